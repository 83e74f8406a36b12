import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { sha256 } from '@noble/hashes/sha2'
import canonicalize from 'canonicalize'
import { z } from 'zod'
import { concatBytes, toHex, utf8 } from '#schemas/bytes.ts'
import { toBase64Url } from '#schemas/adapters/base64Url.ts'
import { formatDecimal } from '#schemas/policy/quantities.ts'
import { reportLeaf, unitText, zeroHash } from '#schemas/report.ts'
import { readMessage } from '#schemas/workerApi.ts'
import { type ExaminedBundle, NotExportableError } from './examined.ts'

const instant = z.iso.datetime()

/**
 * The data model's own context, and the one that it publishes for terms of an issuer's own. Both are
 * known to every implementation by heart; a context of ours would have to be fetched.
 *
 * @see W3C Verifiable Credentials Data Model 2.0, section 5.2 and appendix B.2
 */
const contexts = [
  'https://www.w3.org/ns/credentials/v2',
  'https://www.w3.org/ns/credentials/undefined-terms/v2',
] as const

/**
 * What a verifiable credential has to look like, as far as this one uses the data model.
 *
 * @see W3C Verifiable Credentials Data Model 2.0, section 4
 */
export const credentialSchema = z.strictObject({
  '@context': z.tuple([z.literal(contexts[0]), z.literal(contexts[1])]),
  id: z.url(),
  type: z.tuple([z.literal('VerifiableCredential'), z.literal('PerformanceReportCredential')]),
  issuer: z.url(),
  validFrom: instant,
  credentialSubject: z.strictObject({
    id: z.url(),
    name: z.string().min(1),
    stream: z.string().min(1),
    periodStart: instant,
    periodEnd: instant,
    verdict: z.enum(['PASS', 'FAIL', 'INCONCLUSIVE']),
    /** Exact decimals as text: a JSON number would be rounded on its way. */
    value: z.string().regex(/^-?\d+(\.\d+)?$/),
    unit: z.string(),
    coveragePercent: z.string(),
    policyName: z.string(),
    policyId: z.string(),
    exclusiveTo: z.string().optional(),
  }),
  evidence: z.array(
    z.strictObject({
      id: z.url(),
      type: z.array(z.string()).min(1),
      bundleDigest: z.string(),
      enclaveSigner: z.string(),
      batchSequence: z.string(),
      evidenceRoot: z.string(),
    }),
  ),
})

export type ReportCredential = z.output<typeof credentialSchema>

function isoTime(ms: bigint): string {
  return new Date(Number(ms)).toISOString()
}

/**
 * A report as a W3C Verifiable Credential 2.0. The issuer vouches that the bundle held when it was
 * exported; the bundle itself, named in `evidence`, needs nobody to vouch for it.
 *
 * @param issuer - A DID or another URL.
 */
export function reportCredential(examined: ExaminedBundle, issuer: string): ReportCredential {
  const { bundle, policy, verdict } = examined
  const { report, batch } = bundle
  return readMessage(
    credentialSchema,
    {
      '@context': contexts,
      id: `urn:plumbline:report:${reportLeaf(report)}`,
      type: ['VerifiableCredential', 'PerformanceReportCredential'],
      issuer,
      validFrom: isoTime(batch.closedAtMs),
      credentialSubject: {
        id: `urn:plumbline:subject:${report.subject}`,
        name: bundle.subjectName,
        stream: bundle.streamName,
        periodStart: isoTime(report.periodStartMs),
        periodEnd: isoTime(report.periodEndMs),
        verdict,
        value: formatDecimal(report.valueMicro),
        unit: unitText(report.unit),
        coveragePercent: formatDecimal(BigInt(report.coveragePpm) * 100n),
        policyName: policy.name,
        policyId: report.policyId,
        ...(report.exclusiveTo === zeroHash ? {} : { exclusiveTo: report.exclusiveTo }),
      },
      evidence: [
        {
          id: `urn:plumbline:bundle:${bundle.digest}`,
          type: ['PlumblineProofBundle'],
          bundleDigest: bundle.digest,
          enclaveSigner: bundle.signer,
          batchSequence: batch.sequence.toString(),
          evidenceRoot: report.evidenceRoot,
        },
      ],
    },
    'credential',
  )
}

const keySchema = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().min(1),
  d: z.string().min(1),
})

/** @throws {@link NotExportableError} when the key is none of the kind. */
function readIssuerKey(jwk: unknown) {
  const read = keySchema.safeParse(jwk)
  if (!read.success) {
    throw new NotExportableError('The issuer’s key is no private Ed25519 key.', {
      field: '--issuer-key',
      remedy: 'Give a JWK file with kty OKP, crv Ed25519, x and d (RFC 8037).',
    })
  }
  const privateKey = createPrivateKey({ key: read.data, format: 'jwk' })
  // Of the private half, so that a file whose x is another key's signs as nobody else.
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  return { privateKey, x }
}

/**
 * Secures the credential as a JSON Web Signature under the issuer's own key, whose DID carries the
 * public half.
 *
 * @param jwk - Private Ed25519 key, JWK (RFC 8037).
 * @returns the compact form, media type `application/vc+jwt`.
 * @throws {@link NotExportableError} when the key is none of that kind.
 * @see W3C Securing Verifiable Credentials using JOSE and COSE, section 3.1; did:jwk method
 */
export function signedCredential(examined: ExaminedBundle, jwk: unknown): string {
  const { privateKey, x } = readIssuerKey(jwk)
  const publicJwk = { kty: 'OKP', crv: 'Ed25519', x }
  const issuer = `did:jwk:${toBase64Url(utf8(canonicalize(publicJwk) ?? ''))}`
  const credential = reportCredential(examined, issuer)
  const header = { alg: 'EdDSA', typ: 'vc+jwt', cty: 'vc', kid: `${issuer}#0` }
  const input = [header, credential]
    .map((part) => toBase64Url(utf8(canonicalize(part) ?? '')))
    .join('.')
  return `${input}.${toBase64Url(sign(null, utf8(input), privateKey))}`
}

/** Multicodec of an Ed25519 public key, as a varint. */
const ed25519Codec = [0xed, 0x01]

/**
 * The same with a Data Integrity proof inside, cryptosuite `eddsa-jcs-2022`: plain JSON that anyone can
 * read, signed over its canonical form (RFC 8785). The issuer is a `did:key`.
 *
 * @throws {@link NotExportableError} when the key is no private Ed25519 key.
 * @see W3C Data Integrity EdDSA Cryptosuites 1.0, section 3.3; W3C Verifiable Credential Data Integrity
 */
export function provenCredential(examined: ExaminedBundle, jwk: unknown): string {
  const { privateKey, x } = readIssuerKey(jwk)
  const publicKey = Buffer.from(x, 'base64url')
  const multikey = `z${base58(concatBytes(Uint8Array.from(ed25519Codec), publicKey))}`
  const issuer = `did:key:${multikey}`
  const credential = reportCredential(examined, issuer)
  const options = {
    type: 'DataIntegrityProof',
    cryptosuite: 'eddsa-jcs-2022',
    created: credential.validFrom.replace(/\.\d+Z$/, 'Z'),
    verificationMethod: `${issuer}#${multikey}`,
    proofPurpose: 'assertionMethod',
  }
  const hash = (part: unknown): Uint8Array => sha256(utf8(canonicalize(part) ?? ''))
  // The proof's own terms are signed under the document's context, or they could be read otherwise.
  const configuration = { '@context': credential['@context'], ...options }
  const signature = sign(null, concatBytes(hash(configuration), hash(credential)), privateKey)
  const proof = { ...configuration, proofValue: `z${base58(signature)}` }
  return JSON.stringify({ ...credential, proof }, undefined, 2)
}

const base58Alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** Base58 in Bitcoin's alphabet. @see W3C Controlled Identifiers 1.0, section 2.4 */
function base58(bytes: Uint8Array): string {
  let number = BigInt(toHex(bytes))
  let text = ''
  for (; number > 0n; number /= 58n) text = (base58Alphabet[Number(number % 58n)] ?? '') + text
  for (const byte of bytes) {
    if (byte !== 0) break
    text = `1${text}`
  }
  return text
}
