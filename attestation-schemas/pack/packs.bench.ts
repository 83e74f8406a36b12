/**
 * `node attestation-schemas/pack/packs.bench.ts [--short]`: decoding packs of 60 readings, and
 * verifying and decoding them, beside the crypto of Node alone, `openssl speed`, cborg and cbor2, in
 * one run on one core. Rates are per second of processor time, the best of several rounds in turn.
 * One line of JSON.
 */
import { execFileSync } from 'node:child_process'
import { createHash, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import { decode as decodeWithCbor2 } from 'cbor2'
import { decode as decodeWithCborg } from 'cborg'
import { createNodeSignatures } from '../adapters/nodeSignatures.ts'
import { toBase64Url } from '../adapters/base64Url.ts'
import type { SignatureAlgorithm } from '../cose/signatureAlgorithm.ts'
import { decodeSign1 } from '../cose/decodeSign1.ts'
import type { SenmlRecord } from '../senml/encodeSenmlCbor.ts'
import { trustTiers } from '../trustTier.ts'
import { decodePack } from './decodePack.ts'
import type { DeviceKey } from './deviceKey.ts'
import { encodePack } from './encodePack.ts'
import { noPrevious } from './packProfile.ts'
import { createDeviceSigner, portableSignatures } from './portableSignatures.ts'
import { verifyPack } from './verifyPack.ts'

const isShort = process.argv.includes('--short')
const secondsEach = isShort ? 0.05 : 0.5
const rounds = isShort ? 2 : 6
const readingsPerPack = 60
const stream = `0x${'5a'.repeat(32)}` as const

/** As a cooler sends an hour: hundredths of a degree, every minute. */
const oneSeries: readonly SenmlRecord[] = Array.from({ length: readingsPerPack }, (_, minute) => ({
  name: 'cold:temp',
  unit: 'Cel',
  timeMs: 1_700_000_000_000 + minute * 60_000,
  valueMicro: 4_000_000 + ((minute * 7919) % 500) * 10_000,
}))
const twoSeries = oneSeries.map((record, index) =>
  index % 2 === 0 ? record : { ...record, name: 'cold:hum', unit: '%RH' },
)

function makePack(algorithm: SignatureAlgorithm, records: readonly SenmlRecord[]) {
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
    records,
    sign: signer.sign,
  })
  return { key: signer.key, bytes }
}

/** Node's crypto and nothing else: the signed bytes are at hand, the key object is made. */
function cryptoAlone(
  { algorithm, publicKey }: DeviceKey,
  message: Uint8Array,
  signature: Uint8Array,
) {
  const isEdwards = algorithm === 'Ed25519'
  const key = createPublicKey({
    format: 'jwk',
    key: isEdwards
      ? { kty: 'OKP', crv: 'Ed25519', x: toBase64Url(publicKey) }
      : {
          kty: 'EC',
          crv: algorithm === 'ES256' ? 'P-256' : 'secp256k1',
          x: toBase64Url(publicKey.subarray(0, 32)),
          y: toBase64Url(publicKey.subarray(32)),
        },
  })
  const options = isEdwards ? key : { key, dsaEncoding: 'ieee-p1363' as const }
  const digest = isEdwards ? null : 'sha256'
  return () => {
    if (!verify(digest, message, options, signature)) throw new Error('a signature was refused')
  }
}

/** Verifications per second by `openssl speed` on the same machine, or `undefined` without it. */
function opensslVerifications(name: string): number | undefined {
  try {
    const output = execFileSync(
      'openssl',
      ['speed', '-mr', '-seconds', isShort ? '1' : '2', name],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    )
    // +F4:…:bits:signatures:verifications a second, +F6 with the curve's name before them.
    const line = output.split('\n').find((text) => /^\+F[46]:/.test(text)) ?? ''
    const each = Number(line.split(':').at(-1))
    return each > 0 ? Math.round(each) : undefined
  } catch {
    return undefined
  }
}

const es256 = makePack('ES256', oneSeries)
const ed25519 = makePack('Ed25519', oneSeries)
const es256k = makePack('ES256K', oneSeries)
const two = makePack('ES256', twoSeries)
const { payload } = decodeSign1(es256.bytes)
const verifier = createNodeSignatures()
const nativeSha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

function whole({ key, bytes }: ReturnType<typeof makePack>, by = verifier) {
  return () => verifyPack(decodePack(bytes), { key, stream, verifier: by })
}
/** The same over DER signatures, which Node 24 checks much faster. */
function aloneDer() {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { signedBytes } = decodePack(es256.bytes)
  const signature = sign('sha256', signedBytes, pair.privateKey)
  return () => verify('sha256', signedBytes, pair.publicKey, signature)
}
function alone({ key, bytes }: ReturnType<typeof makePack>) {
  const pack = decodePack(bytes)
  return cryptoAlone(key, pack.signedBytes, pack.signature)
}
const fractions = { 4: (decode: () => unknown) => decode() }

const contenders: Readonly<Record<string, () => unknown>> = {
  decode: () => decodePack(es256.bytes),
  decodeWithClaims: () => {
    const pack = decodePack(es256.bytes)
    return [pack.claims, pack.kid]
  },
  decodeTwoSeries: () => decodePack(two.bytes),
  decodeToReadings: () => decodePack(es256.bytes).readings(trustTiers.hardware),
  decodeAndHash: () => decodePack(es256.bytes, { sha256: nativeSha256 }).packHash,
  cborgPayloadOnly: () =>
    decodeWithCborg(payload, { useMaps: true, strict: true, tags: fractions }),
  cbor2PayloadOnly: () => decodeWithCbor2(payload, { preferMap: true }),
  verifyES256: whole(es256),
  verifyEd25519: whole(ed25519),
  verifyES256K: whole(es256k),
  verifyES256Portable: whole(es256, portableSignatures),
  nodeCryptoES256: alone(es256),
  nodeCryptoES256Der: aloneDer(),
  nodeCryptoEd25519: alone(ed25519),
  nodeCryptoES256K: alone(es256k),
}

/** Calls per second of processor time. */
function rate(run: () => unknown): number {
  let calls = 0
  const before = process.cpuUsage()
  for (;;) {
    for (let index = 0; index < 20; index += 1) run()
    calls += 20
    const { user, system } = process.cpuUsage(before)
    const seconds = (user + system) / 1e6
    if (seconds >= secondsEach) return calls / seconds
  }
}

const best: Record<string, number> = {}
const openssl: Record<string, number | undefined> = {}
for (let round = 0; round < rounds; round += 1) {
  for (const [name, run] of Object.entries(contenders)) {
    best[name] = Math.max(best[name] ?? 0, Math.round(rate(run)))
  }
  // OpenSSL takes its turn in every round, so that all of them meet the same machine.
  for (const curve of ['ecdsap256', 'ed25519']) {
    const found = opensslVerifications(curve)
    if (found !== undefined) openssl[curve] = Math.max(openssl[curve] ?? 0, found)
  }
}

const ratio = (one = 0, other = 0) =>
  other === 0 ? undefined : Math.round((one / other) * 100) / 100
console.log(
  JSON.stringify({
    bench: 'packs',
    node: process.version,
    openssl: process.versions.openssl,
    readingsPerPack,
    packBytes: es256.bytes.length,
    packsPerSecond: best,
    opensslSpeedVerifiesPerSecond: openssl,
    verifyES256: {
      ofNodeCrypto: ratio(best['verifyES256'], best['nodeCryptoES256']),
      ofNodeCryptoDer: ratio(best['verifyES256'], best['nodeCryptoES256Der']),
      ofOpensslSpeed: ratio(best['verifyES256'], openssl['ecdsap256']),
    },
    verifyEd25519: {
      ofNodeCrypto: ratio(best['verifyEd25519'], best['nodeCryptoEd25519']),
      ofOpensslSpeed: ratio(best['verifyEd25519'], openssl['ed25519']),
    },
    budgets: { decodePacksPerSecond: 400_000, verifyOfOpensslSpeed: 0.75 },
  }),
)
