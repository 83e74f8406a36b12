import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { decodeSign1, verifySign1 } from '#schemas/cose/decodeSign1.ts'
import { fromHex } from '#schemas/bytes.ts'
import { InvalidDeviceKeyError, coseKeyBytes, deviceKeyFromCose } from '#schemas/pack/deviceKey.ts'
import { createDeviceSigner, portableSignatures } from '#schemas/pack/portableSignatures.ts'
import { type Fuzzer, fuzzMain } from './harness.ts'
import { mutateCbor } from './mutateCbor.ts'

const keys = (['ES256', 'Ed25519', 'ES256K'] as const).map(
  (algorithm) => createDeviceSigner(algorithm, new Uint8Array(32).fill(7)).key,
)

/** A mutated COSE_Key is refused by a typed error, or is a key whose own form reads back as itself. */
export const coseKeyFuzzer: Fuzzer = {
  name: 'cose-key',
  attempt(random) {
    const bytes = mutateCbor(coseKeyBytes(random.pick(keys)), random)
    try {
      const key = deviceKeyFromCose(bytes)
      if (deviceKeyFromCose(coseKeyBytes(key)).id !== key.id) throw new Error('another id')
      return true
    } catch (error) {
      if (error instanceof InvalidDeviceKeyError || error instanceof FormatRefusedError)
        return false
      throw error
    }
  },
}

// ecdsa-sig-01 of cose-wg/Examples and a message with headers of many kinds.
const messages = [
  'D28445A201260300A10442313154546869732069732074686520636F6E74656E742E58406520BBAF2081D7E0ED0F95F76EB0733D667005F7467CEC4B87B9381A6BA1EDE8E00DF29F32A37230F39A842A54821FDD223092819D7728EFB9D3A0080B75380B',
  `d2844ca3012602811821182142aabba204423131054101430102035840${'00'.repeat(64)}`,
].map((hex) => fromHex(hex, 'corpus'))

/** A mutated COSE_Sign1 is refused by name, or decodes and then fails or passes by name. */
export const sign1Fuzzer: Fuzzer = {
  name: 'sign1',
  attempt(random) {
    const bytes = mutateCbor(random.pick(messages), random)
    try {
      const message = decodeSign1(bytes, { understood: [33] })
      const [key] = keys
      if (key !== undefined) verifySign1(message, { key, verifier: portableSignatures })
      throw new Error('a forgery verifies')
    } catch (error) {
      if (!(error instanceof FormatRefusedError)) throw error
      // Refused by its signature alone: everything before was accepted.
      return error.rule === 'signature'
    }
  },
}

if (import.meta.main) fuzzMain([coseKeyFuzzer, sign1Fuzzer])
