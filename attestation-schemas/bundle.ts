import { sha256 } from '@noble/hashes/sha2'
import canonicalize from 'canonicalize'
import { z } from 'zod'
import { type Hex, toHex, utf8 } from './bytes.ts'
import {
  attestationSchema,
  batchSchema,
  hexSchema,
  readMessage,
  reportSchema,
  uint32Schema,
  unsignedSchema,
} from './workerApi.ts'

/** The bundle layout that this release writes and the only one it reads. */
export const bundleVersion = 1

const rosterEntrySchema = z.strictObject({
  device: hexSchema(32),
  subject: hexSchema(32),
  expectedReadings: uint32Schema,
  heardReadings: uint32Schema,
  firstSequence: unsignedSchema,
  lastSequence: unsignedSchema,
  headHash: hexSchema(32),
  packsRoot: hexSchema(32),
})

/**
 * When a device that moved observed the report's subject: its readings of other times are about
 * another one. Absent: always, and its line of the roster names the subject.
 */
const observedSchema = z
  .array(z.strictObject({ fromMs: z.int().optional(), untilMs: z.int().optional() }))
  .min(1)
  .max(100)
  .optional()

/** Everything one device sent for the report, and the key to check it with. */
const deviceEvidenceSchema = z.strictObject({
  /** COSE_Key of the enrolled key (RFC 9052 section 7), whose thumbprint is the device id. */
  coseKey: hexSchema(),
  algorithm: z.enum(['ES256', 'Ed25519', 'ES256K']),
  tier: z.enum(['hardware', 'software', 'gateway', 'replay']),
  /** DER certificates from the device up to its maker's root, when it was enrolled by one. */
  certificates: z.array(hexSchema()).max(8).optional(),
  /** The packs as they came: a CBOR sequence (RFC 8742) of COSE_Sign1. */
  packs: hexSchema(),
  /**
   * When the worker took each pack, in their order, Unix milliseconds: its host's clock. Judged only
   * by policies that bound a device's clock, and proved by nothing but the report that comes out.
   */
  receivedMs: z.array(z.int().min(0)).max(10_000).optional(),
  observed: observedSchema,
  /**
   * When its sensors' calibrations were valid, where the policy demands calibration: as configured, or
   * as a laboratory has signed.
   */
  calibrations: z
    .array(
      z.strictObject({
        series: z.string().min(1).max(200),
        validFromMs: z.int().min(0),
        validUntilMs: z.int().min(0),
        /** The laboratory's certificate, a COSE_Sign1, and its key, a COSE_Key. */
        signed: z.strictObject({ certificate: hexSchema(), laboratoryKey: hexSchema() }).optional(),
      }),
    )
    .max(1000)
    .optional(),
})

/**
 * One report with everything that an auditor needs to check it down to Intel's root certificate and
 * the devices' own signatures, in one JSON file, without a network.
 */
export const bundleSchema = z.strictObject({
  kind: z.literal('plumbline-proof-bundle'),
  version: z.literal(bundleVersion),
  /** When the bundle was put together, Unix seconds: attestation is judged as of the recorded instant. */
  recordedAtSeconds: z.int().min(1_700_000_000).max(9_999_999_999),
  subjectName: z.string().min(1).max(200),
  streamName: z.string().min(1).max(200),
  report: reportSchema,
  /** The policy's canonical text (RFC 8785); its Keccak-256 is the report's policy id. */
  policy: z.string().min(2).max(65_536),
  /** The named measures and findings whose hash the report carries. */
  measures: z.string().min(2).max(1_048_576),
  inclusion: z.strictObject({ index: uint32Schema, path: z.array(hexSchema(32)).max(32) }),
  batch: batchSchema,
  signature: hexSchema(65),
  signer: hexSchema(20),
  attestation: attestationSchema,
  /** Roster lines of the devices that the report leans on, each with its path. */
  roster: z.array(
    z.strictObject({
      entry: rosterEntrySchema,
      index: uint32Schema,
      path: z.array(hexSchema(32)).max(32),
      observed: observedSchema,
    }),
  ),
  devices: z.array(deviceEvidenceSchema).optional(),
  /** {@link bundleDigest} of all the above: finds a damaged file, proves nothing about its maker. */
  digest: hexSchema(32),
})

export type ProofBundle = z.output<typeof bundleSchema>

/** SHA-256 of a bundle's canonical JSON (RFC 8785), its own `digest` left out. */
export function bundleDigest(
  bundle: Readonly<Record<string, unknown>>,
  hash: (bytes: Uint8Array) => Uint8Array = sha256,
): Hex {
  const { digest: _, ...content } = bundle
  return toHex(hash(utf8(canonicalize(content) ?? '')))
}

/**
 * A bundle as the file it is published as: canonical JSON with its digest.
 *
 * @param content - Plain JSON: integers beyond 2^53 as text, `undefined` fields absent.
 */
export function writeBundle(content: Readonly<Record<string, unknown>>): string {
  return canonicalize({ ...content, digest: bundleDigest(content) }) ?? ''
}

/**
 * Reads a bundle from untrusted JSON. Says nothing yet about whether it holds.
 *
 * @throws {@link InvalidMessageError}
 */
export function readBundle(value: unknown): ProofBundle {
  return readMessage(bundleSchema, value, 'bundle')
}
