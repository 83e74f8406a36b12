import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import canonicalize from 'canonicalize'
import { z } from 'zod'
import { utf8 } from '#schemas/bytes.ts'
import { toBase64Url } from '#schemas/adapters/base64Url.ts'
import { formatDecimal } from '#schemas/policy/quantities.ts'
import { reportLeaf, unitText, zeroHash } from '#schemas/report.ts'
import { readMessage } from '#schemas/workerApi.ts'
import { type ExaminedBundle, NotExportableError } from './examined.ts'

const instant = z.iso.datetime()

/**
 * What a verifiable credential has to look like, as far as this one uses the data model.
 *
 * @see W3C Verifiable Credentials Data Model 2.0, section 4
 */
export const credentialSchema = z.strictObject({
  '@context': z.tuple([
    z.literal('https://www.w3.org/ns/credentials/v2'),
    z.record(z.string(), z.string()),
  ]),
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

/** Terms of ours mean what this project says; `@vocab` gives each of them a name of its own. */
const vocabulary = { '@vocab': 'urn:plumbline:terms:1:' }

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
      '@context': ['https://www.w3.org/ns/credentials/v2', vocabulary],
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
  const read = keySchema.safeParse(jwk)
  if (!read.success) {
    throw new NotExportableError('The issuer’s key is no private Ed25519 key.', {
      field: '--issuer-key',
      remedy: 'Give a JWK file with kty OKP, crv Ed25519, x and d (RFC 8037).',
    })
  }
  const privateKey = createPrivateKey({ key: read.data, format: 'jwk' })
  const { kty, crv, x } = createPublicKey(privateKey).export({ format: 'jwk' })
  const issuer = `did:jwk:${toBase64Url(utf8(canonicalize({ kty, crv, x }) ?? ''))}`
  const credential = reportCredential(examined, issuer)
  const header = { alg: 'EdDSA', typ: 'vc+jwt', cty: 'vc', kid: `${issuer}#0` }
  const input = [header, credential]
    .map((part) => toBase64Url(utf8(canonicalize(part) ?? '')))
    .join('.')
  return `${input}.${toBase64Url(sign(null, utf8(input), privateKey))}`
}
