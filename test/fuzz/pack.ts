import { createNodeSignatures } from '#schemas/adapters/nodeSignatures.ts'
import { fromBase64Url } from '#schemas/adapters/base64Url.ts'
import { concatBytes, equalBytes, utf8 } from '#schemas/bytes.ts'
import { CborWriter } from '#schemas/cbor/cborWriter.ts'
import { FormatRefusedError } from '#schemas/cbor/formatRefusedError.ts'
import { decodeSign1 } from '#schemas/cose/decodeSign1.ts'
import { sigStructure } from '#schemas/cose/sigStructure.ts'
import { type DecodedPack, decodePack, packMark } from '#schemas/pack/decodePack.ts'
import { encodePack } from '#schemas/pack/encodePack.ts'
import { noPrevious, packAad } from '#schemas/pack/packProfile.ts'
import { splitPackSequence } from '#schemas/pack/packSequence.ts'
import { createDeviceSigner } from '#schemas/pack/portableSignatures.ts'
import { encodeJsonPack, encodeJwsPack, jsonPackItem, jwsPackItem } from '#schemas/pack/textPack.ts'
import { verifyPack } from '#schemas/pack/verifyPack.ts'
import { trustTiers } from '#schemas/trustTier.ts'
import { type Fuzzer, fuzzMain } from './harness.ts'
import { mutateCbor } from './mutateCbor.ts'

const stream = `0x${'5a'.repeat(32)}` as const
const verifier = createNodeSignatures()

const samples = (['ES256', 'Ed25519', 'ES256K'] as const).map((algorithm) => {
  const signer = createDeviceSigner(algorithm, new Uint8Array(32).fill(7))
  const { bytes } = encodePack({
    claims: {
      stream,
      sequence: 1n,
      previous: noPrevious,
      bootCount: 3n,
      firmware: `0x${'0f'.repeat(32)}`,
    },
    kid: signer.key.id,
    algorithm,
    records: [
      { name: 'cold:temp', unit: 'Cel', timeMs: 1_700_000_000_000, valueMicro: 4_200_000 },
      { name: 'cold:hum', unit: '%RH', timeMs: 1_700_000_060_000, valueMicro: null },
    ],
    sign: signer.sign,
  })
  return { signer, bytes, parts: decodeSign1(bytes) }
})

const textContent = samples.map(({ signer }) => ({
  signer,
  content: {
    claims: {
      stream,
      sequence: 2n,
      previous: `0x${'ab'.repeat(32)}` as const,
      bootCount: 3n,
      firmware: noPrevious,
    },
    kid: signer.key.id,
    algorithm: signer.key.algorithm,
    sign: signer.sign,
  },
}))
const plainReading = '[{"series":"temp","time_ms":1700000000000,"value":4.2,"unit":"Cel"}]'
const textSamples = textContent.flatMap(({ signer, content }) => {
  const { body, signature } = encodeJsonPack({ ...content, readings: plainReading })
  const senml = '[{"bn":"cold:","n":"temp","u":"Cel","v":4.2,"t":1700000000}]'
  return [
    { signer, bytes: jsonPackItem(body, fromBase64Url(signature) ?? new Uint8Array()) },
    { signer, bytes: jwsPackItem(utf8(encodeJwsPack({ ...content, payload: senml }))) },
    {
      signer,
      bytes: jwsPackItem(utf8(encodeJwsPack({ ...content, payload: plainReading, cty: 'json' }))),
    },
  ]
})

function refused(run: () => void): boolean {
  try {
    run()
    return false
  } catch (error) {
    if (error instanceof FormatRefusedError) return true
    throw error
  }
}

/** What every decoded pack must hold to, whoever signed it. */
function checkDecoded(pack: DecodedPack, bytes: Uint8Array): void {
  const { protectedBytes, payload, signature } = decodeSign1(bytes)
  const externalAad = packAad(pack.claims.stream)
  if (!equalBytes(pack.signedBytes, sigStructure({ protectedBytes, payload, externalAad }))) {
    throw new Error('another Sig_structure')
  }
  if (!equalBytes(pack.signature, signature)) throw new Error('another signature')
  const readings = pack.readings(trustTiers.hardware)
  const { firstTimeMs, lastTimeMs } = packMark(pack)
  for (const { timeMs, valueMicro, series, unit } of readings) {
    const isSound =
      timeMs >= firstTimeMs &&
      timeMs <= lastTimeMs &&
      (valueMicro === null || Number.isSafeInteger(valueMicro)) &&
      series !== '' &&
      unit !== ''
    if (!isSound)
      throw new Error(`unsound reading ${JSON.stringify({ timeMs, valueMicro, series })}`)
  }
}

/** A mutated pack is refused, or it is byte for byte what was signed. */
export const tamperedPackFuzzer: Fuzzer = {
  name: 'pack-tampered',
  attempt(random) {
    const { signer, bytes } = random.pick(samples)
    const mutated = mutateCbor(bytes, random)
    let pack: DecodedPack | undefined
    const isRefused = refused(() => {
      pack = decodePack(mutated)
      checkDecoded(pack, mutated)
    })
    if (isRefused || pack === undefined) return false
    const decoded = pack
    const isForged = !refused(() => verifyPack(decoded, { key: signer.key, stream, verifier }))
    if (isForged && !equalBytes(decoded.signedBytes, decodePack(bytes).signedBytes)) {
      throw new Error('a forgery verifies')
    }
    return isForged
  },
}

/** A pack in JWS or JSON with bytes changed anywhere is refused, or it is what was signed. */
export const textPackFuzzer: Fuzzer = {
  name: 'pack-text',
  attempt(random) {
    const { signer, bytes } = random.pick(textSamples)
    const mutated = bytes.slice()
    for (let round = random.below(3); round > 0; round -= 1) {
      mutated[random.below(mutated.length)] = random.below(256)
    }
    let pack: DecodedPack | undefined
    if (refused(() => (pack = decodePack(mutated))) || pack === undefined) return false
    const decoded = pack
    const isAuthentic = !refused(() => verifyPack(decoded, { key: signer.key, stream, verifier }))
    if (isAuthentic && !equalBytes(decoded.signedBytes, decodePack(bytes).signedBytes)) {
      throw new Error('a forgery verifies')
    }
    return isAuthentic
  },
}

/** Header and payload are mutated first and signed then: what is signed is still judged. */
export const signedPackFuzzer: Fuzzer = {
  name: 'pack-signed',
  attempt(random) {
    const { parts } = random.pick(samples)
    const header =
      random.below(2) === 0 ? mutateCbor(parts.protectedBytes, random) : parts.protectedBytes
    const payload = random.below(2) === 0 ? mutateCbor(parts.payload, random) : parts.payload
    const message = new CborWriter()
      .tag(18)
      .array(4)
      .bytes(header)
      .map(0)
      .bytes(payload)
      .bytes(parts.signature)
      .finish()
    return !refused(() => {
      checkDecoded(decodePack(message), message)
    })
  },
}

/** A sequence is split into parts that are the whole, or refused. */
export const sequenceFuzzer: Fuzzer = {
  name: 'pack-sequence',
  attempt(random) {
    const whole = concatBytes(
      ...Array.from({ length: 1 + random.below(4) }, () => random.pick(samples).bytes),
    )
    const bytes = random.below(4) === 0 ? whole : mutateCbor(whole, random)
    return !refused(() => {
      const packs = splitPackSequence(bytes)
      if (!equalBytes(concatBytes(...packs), bytes)) throw new Error('bytes are lost')
      for (const pack of packs) refused(() => decodePack(pack))
    })
  },
}

if (import.meta.main)
  fuzzMain([tamperedPackFuzzer, textPackFuzzer, signedPackFuzzer, sequenceFuzzer])
