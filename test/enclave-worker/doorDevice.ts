import { sha256 } from '@noble/hashes/sha2'
import { toBase64Url } from '#schemas/adapters/base64Url.ts'
import { type Hex, toHex, utf8 } from '#schemas/bytes.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious } from '#schemas/pack/packProfile.ts'
import { type DeviceSigner, createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { encodeJsonPack, encodeJwsPack } from '#schemas/pack/textPack.ts'

/** A device that can say the next thing of its one chain in every form that a door takes. */
export type DoorDevice = {
  readonly signer: DeviceSigner
  readonly id: Hex
  readonly sequence: () => bigint
  cose(timeMs: number, valueMicro?: number): Uint8Array
  /** The compact serialisation. */
  jws(timeMs: number): string
  /** SenML-JSON, and what goes into `x-signature` beside it. */
  detached(timeMs: number): { readonly body: Uint8Array; readonly signature: string }
  json(timeMs: number): { readonly body: Uint8Array; readonly signature: string }
}

export function createDoorDevice(name: string, stream: Hex): DoorDevice {
  const signer = createDeviceSigner('ES256', sha256(utf8(`door device ${name}`)))
  let sequence = 0n
  let previous: Hex = noPrevious
  function content() {
    sequence += 1n
    return {
      claims: { stream, sequence, previous, bootCount: 1n, firmware: noPrevious },
      kid: signer.key.id,
      algorithm: 'ES256' as const,
      sign: signer.sign,
    }
  }
  const senml = (timeMs: number): string =>
    `[{"n":"power","u":"W","t":${Math.floor(timeMs / 1000)}.${String(timeMs % 1000).padStart(3, '0')},"v":5}]`
  const jws = (timeMs: number): string => {
    const text = encodeJwsPack({ ...content(), payload: senml(timeMs) })
    previous = toHex(sha256(utf8(text.slice(0, text.lastIndexOf('.')))))
    return text
  }
  return {
    signer,
    id: signer.key.id,
    sequence: () => sequence,
    cose(timeMs, valueMicro = 5_000_000) {
      const pack = encodePack({
        ...content(),
        records: [{ name: 'power', unit: 'W', timeMs, valueMicro }],
      })
      previous = pack.packHash
      return pack.bytes
    },
    jws,
    detached(timeMs) {
      const [header = '', payload = '', proof = ''] = jws(timeMs).split('.')
      const body = utf8(senml(timeMs))
      if (toBase64Url(body) !== payload) throw new Error('unreachable')
      return { body, signature: `${header}..${proof}` }
    },
    json(timeMs) {
      const pack = encodeJsonPack({
        ...content(),
        readings: `[{"series":"power","time_ms":${timeMs},"value":5,"unit":"W"}]`,
      })
      previous = toHex(sha256(pack.body))
      return pack
    },
  }
}
