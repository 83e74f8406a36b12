import { z } from 'zod'
import type { Calibration } from '#evaluation/intake.ts'
import { type Hex, fromHex } from '#schemas/bytes.ts'
import { streamId } from '#schemas/batch.ts'
import { BaseError } from '#schemas/errors.ts'
import { type DeviceKey, deviceKeyFromCose, deviceKeyFromJwk } from '#schemas/pack/deviceKey.ts'
import { type Policy, decodePolicy, policyExclusiveTo, policyId } from '#schemas/policy/policy.ts'
import { subjectId, zeroHash } from '#schemas/report.ts'
import { rightClass, rightId } from '#schemas/right.ts'
import { type TrustTier, trustTiers } from '#schemas/trustTier.ts'
import { NotForProductionError } from '#verifier/appraisal/notForProductionError.ts'
import { assertProductionKmsRoot } from '#verifier/appraisal/productionPolicy.ts'
import { parseCertificate } from '#verifier/x509/certificate.ts'
import { doorsSchema, sourceSchema } from './doors/doorsConfig.ts'
import type { LaboratoryStatement } from './enrolment/laboratories.ts'
import type { MakerStatement } from './enrolment/makerStatement.ts'
import { type Assignment, assignmentKey } from './windows/assignment.ts'
import { assertPeriods } from './windows/periods.ts'
import { assertDistinctRights } from './windows/rights.ts'

/** Raised when the configuration is not one that a worker can run with. */
export class InvalidConfigError extends BaseError {
  override readonly name = 'InvalidConfigError'
}

const name = z.string().min(1).max(200)
const hex = (bytes: number) =>
  z
    .string()
    .regex(
      new RegExp(`^0x[0-9a-f]{${bytes * 2}}$`),
      `must be 0x and ${bytes} bytes in lower-case hex`,
    )
const milliseconds = z.int().min(0).max(Number.MAX_SAFE_INTEGER)
const duration = (longestMs: number) => z.int().min(0).max(longestMs)
const dayMs = 86_400_000

const registrySchema = z.strictObject({
  chainId: z.int().min(1),
  registry: hex(20),
  rpcUrl: z.url({ protocol: /^https?$/ }),
  /** Where that chain keeps batches: compared at every boot, so that a set-back disk is found. */
  proofRegistry: hex(20).optional(),
})

const deviceSchema = z.strictObject({
  /** COSE_Key in hex, or a JWK with public members only. */
  publicKey: z.union([z.string().min(2).max(512), z.record(z.string(), z.unknown())]),
  algorithm: z.enum(['ES256', 'Ed25519', 'ES256K']),
  subject: name,
  tier: z.enum(['hardware', 'software']),
  /** What the device is expected to send, per series. */
  intervalMs: z
    .int()
    .min(1)
    .max(366 * dayMs),
  /** Names of the series it may send; a pack with another one is refused. Absent: any. */
  series: z.array(name).min(1).max(64).optional(),
  label: name.optional(),
})

const calibrationSchema = z.strictObject({
  /** Id of the device: the thumbprint of its key. */
  device: hex(32),
  series: name,
  validFromMs: milliseconds,
  /** Exclusive. */
  validUntilMs: milliseconds,
  /** SHA-256 of the certificate that the laboratory issued, for whoever wants to see it. */
  certificate: hex(32).optional(),
})

const laboratorySchema = z.strictObject({
  /** As its certificates name it. */
  name,
  /** Number of its accreditation by ISO/IEC 17025, for whoever wants to look it up. */
  accreditation: name.optional(),
  status: z.enum(['active', 'revoked']).default('active'),
  /** COSE_Key in hex, or a JWK with public members only. */
  publicKey: z.union([z.string().min(2).max(512), z.record(z.string(), z.unknown())]),
  algorithm: z.enum(['ES256', 'Ed25519', 'ES256K']),
  /** What it is accredited for; absent: anything. */
  scope: z
    .array(z.strictObject({ series: name, unit: name }))
    .min(1)
    .max(1000)
    .optional(),
})

const modelSchema = z.strictObject({
  /** OID of the model: `hwType` of RFC 4108. */
  hwType: z.string().regex(/^[0-2](\.(0|[1-9][0-9]*)){1,32}$/),
  name,
  status: z.enum(['active', 'revoked']).default('active'),
  /** How many were ever made. */
  quantity: z.int().min(1).max(1_000_000_000),
  serials: z
    .strictObject({
      first: z.string().regex(/^0x([0-9a-f]{2}){1,64}$/),
      last: z.string().regex(/^0x([0-9a-f]{2}){1,64}$/),
    })
    .optional(),
  maxPerDay: z.int().min(1).max(1_000_000).default(1000),
  tier: z.enum(['hardware', 'software']).default('hardware'),
  intervalMs: z
    .int()
    .min(1)
    .max(366 * dayMs),
  series: z.array(name).min(1).max(64).optional(),
})

const makerSchema = z.strictObject({
  name,
  status: z.enum(['active', 'revoked']).default('active'),
  /** DER of the root certificate, in hex. */
  root: z.string().regex(/^0x([0-9a-f]{2}){64,4096}$/),
  models: z.array(modelSchema).min(1).max(1000),
  revokedCertificates: z
    .array(z.string().regex(/^([0-9a-f]{2}){1,20}$/))
    .max(100_000)
    .default([]),
})

const periodSchema = z.strictObject({ startMs: milliseconds, endMs: milliseconds })

const assignmentSchema = z.strictObject({
  subject: name,
  /** Name or id of one of `policies`. */
  policy: name,
  periods: z.array(periodSchema).min(1).max(10_000).optional(),
  fromMs: milliseconds.optional(),
  exclusiveTo: z
    .strictObject({ chainId: z.int().min(1), contract: hex(20), right: name })
    .optional(),
})

export const limitsSchema = z.strictObject({
  maxBodyBytes: z
    .int()
    .min(1024)
    .max(64 * 1024 * 1024)
    .default(8 * 1024 * 1024),
  maxPacksPerBody: z.int().min(1).max(100_000).default(4096),
  /** Bytes of bodies that are being worked on; beyond it the answer is 429 and Retry-After. */
  maxBytesInFlight: z
    .int()
    .min(65_536)
    .default(64 * 1024 * 1024),
  maxConnections: z.int().min(1).max(65_535).default(4096),
  /** A client that has not sent its whole request by then is cut off. */
  requestTimeoutMs: duration(600_000).default(30_000),
  headersTimeoutMs: duration(600_000).default(10_000),
  /** Packs that are taken of one device per second, a minute's worth at once. */
  maxPacksPerSecondPerDevice: z.number().min(0.001).max(100_000).default(1000),
  /** Kept free on the disk for batches: no pack is taken below it. */
  minFreeBytes: z
    .int()
    .min(0)
    .default(64 * 1024 * 1024),
  verifyThreads: z.int().min(0).max(64).default(2),
})

export const configSchema = z.strictObject({
  version: z.literal(1),
  /** Name of the stream; its hash is the stream id. */
  stream: name,
  listen: z.strictObject({ host: name, port: z.int().min(0).max(65_535) }),
  dataFolder: z.string().min(1),
  /** Where dstack's guest agent listens: an http URL or the path of its socket. */
  guestAgent: z.string().min(1),
  /** Base URL of a PCCS: attestations then carry their collateral, which proof bundles need. */
  certificationService: z.url({ protocol: /^https?$/ }).optional(),
  /** Whether anybody may read the devices' packs; else only what is concluded from them is public. */
  publishesReadings: z.boolean().default(false),
  /** Chains whose registries this worker makes statements for. */
  registries: z.array(registrySchema).min(1).max(64),
  /**
   * Relayers that follow this stream, by their addresses: what they have verified is compared at
   * every boot, so that a disk that was set back is found before a chain can tell; and each is woken
   * when there is a new batch.
   */
  peers: z
    .array(z.url({ protocol: /^https?$/ }))
    .max(16)
    .default([]),
  /** The one of them whose blocks anchor batches in time. */
  anchorChainId: z.int().min(1),
  /** SHA-256 of the release, as the operator claims it. */
  release: hex(32),
  allowedLatenessMs: duration(31 * dayMs),
  quietMs: duration(dayMs).default(0),
  /** Close a period before its lateness has passed, as soon as every device has been heard to its end. */
  closesWhenComplete: z.boolean().default(false),
  maxQuietWaitMs: duration(dayMs).default(600_000),
  /** How far ahead of the enclave's clock a device may stamp. */
  maxFutureSkewMs: duration(dayMs).default(60_000),
  /** How old the newest known anchor block may be when a batch is signed. */
  maxAnchorAgeMs: duration(dayMs).default(600_000),
  /** How far the clock may lag behind the anchor block's own time. */
  maxAnchorLeadMs: duration(dayMs).default(120_000),
  /** Packs that wait longer than this are committed to by a batch without reports. */
  maxBatchIntervalMs: z
    .int()
    .min(100)
    .max(31 * dayMs)
    .optional(),
  /** How long after its end a period can still be amended by late packs. */
  amendForMs: duration(366 * dayMs).default(31 * dayMs),
  /** Readings older than this may be dropped by `plumbline worker compact`; absent: never. */
  keepReadingsForMs: duration(100 * 366 * dayMs).optional(),
  tickMs: z.int().min(10).max(60_000).default(250),
  /** `kms`: the ledger is sealed with the application's key. `none` is for a disk encrypted below. */
  sealing: z.enum(['kms', 'none']).default('kms'),
  /**
   * Whose keys seal: root of the key management service (`kmsInfo.k256Pubkey` of its contract) and the
   * application. Absent: those of whatever KMS the guest has.
   */
  kms: z.strictObject({ root: hex(33), appId: hex(20).optional() }).optional(),
  /** Refuse to run on what is for development; see {@link assertProductionConfig}. */
  production: z.boolean().default(false),
  /** Where a collector takes spans by OTLP over HTTP, and which share of traces it gets. Absent: none. */
  traces: z
    .strictObject({
      endpoint: z.url({ protocol: /^https?$/ }),
      ratio: z.number().min(0).max(1).default(1),
    })
    .optional(),
  /** Address whose capability tokens open the administration calls; absent: they stay shut. */
  operator: hex(20).optional(),
  limits: limitsSchema.prefault({}),
  doors: doorsSchema.prefault({}),
  /** Who platforms speak for. */
  sources: z.array(sourceSchema).max(100_000).default([]),
  devices: z.array(deviceSchema).max(1_000_000),
  /** When which sensor's calibration is valid: policies that demand calibration take no other reading. */
  calibrations: z.array(calibrationSchema).max(1_000_000).default([]),
  /** Laboratories whose certificates count as they arrive, while the worker runs. */
  laboratories: z.array(laboratorySchema).max(1000).default([]),
  /** Makers whose endorsement enrols a device while the worker runs. */
  makers: z.array(makerSchema).max(100).default([]),
  maxDevicesPerSubject: z.int().min(1).max(1_000_000).default(1000),
  policies: z.array(z.unknown()).max(10_000),
  assignments: z.array(assignmentSchema).max(1_000_000),
})

export type RegistryTarget = {
  readonly chainId: bigint
  readonly registry: Hex
  readonly rpcUrl: string
  readonly proofRegistry: Hex | undefined
}

/** A device that the configuration enrols. */
export type EnrolledDevice = {
  readonly key: DeviceKey
  readonly subject: Hex
  readonly subjectName: string
  readonly tier: TrustTier
  readonly intervalMs: number
  readonly series: readonly string[] | undefined
  readonly label: string | undefined
}

/** A calibration certificate, as far as judging needs it. */
export type CalibrationEntry = Calibration & { readonly certificate: Hex | undefined }

export type PolicyEntry = { readonly id: Hex; readonly policy: Policy }

export type WorkerConfig = Omit<
  z.output<typeof configSchema>,
  | 'registries'
  | 'anchorChainId'
  | 'release'
  | 'devices'
  | 'calibrations'
  | 'laboratories'
  | 'makers'
  | 'policies'
  | 'assignments'
  | 'operator'
  | 'kms'
> & {
  readonly streamId: Hex
  readonly registries: readonly RegistryTarget[]
  readonly anchorChainId: bigint
  readonly release: Hex
  readonly operator: Hex | undefined
  readonly kms: { readonly root: Hex; readonly appId: Hex | undefined } | undefined
  readonly devices: readonly EnrolledDevice[]
  readonly calibrations: readonly CalibrationEntry[]
  readonly laboratories: readonly LaboratoryStatement[]
  readonly makers: readonly MakerStatement[]
  readonly policies: readonly PolicyEntry[]
  readonly assignments: readonly Assignment[]
}

/**
 * Settings that a worker of production must not have. What the platform is shows only in its quote,
 * which is looked at when the worker starts.
 *
 * @throws {@link NotForProductionError} `LedgerNotSealed`, `GuestAgentOverNetwork`,
 *   `KmsRootNotPinned` or `DevelopmentKmsRoot`.
 */
function assertProductionConfig(config: z.output<typeof configSchema>): void {
  if (config.sealing !== 'kms') {
    throw new NotForProductionError('LedgerNotSealed', 'The ledger lies open on the host’s disk.', {
      field: 'config.sealing',
      remedy: 'Write "kms".',
    })
  }
  if (!config.guestAgent.startsWith('/')) {
    throw new NotForProductionError(
      'GuestAgentOverNetwork',
      'The guest agent is reached over a network; a guest’s own is a socket.',
      { field: 'config.guestAgent', remedy: 'Mount and name /var/run/dstack.sock.' },
    )
  }
  if (config.kms === undefined) {
    throw new NotForProductionError('KmsRootNotPinned', 'Any KMS may give the sealing key.', {
      field: 'config.kms.root',
      remedy: 'Pin kmsInfo.k256Pubkey of the KMS contract.',
    })
  }
  assertProductionKmsRoot(config.kms.root as Hex)
}

function refuse(field: string, message: string, remedy?: string, cause?: unknown): never {
  throw new InvalidConfigError(message, { field, remedy, cause })
}

function readKey(
  { publicKey, algorithm }: Pick<z.output<typeof deviceSchema>, 'publicKey' | 'algorithm'>,
  field: string,
  otherwise: string,
): DeviceKey {
  let key: DeviceKey
  try {
    key =
      typeof publicKey === 'string'
        ? deviceKeyFromCose(fromHex(publicKey, `${field}.publicKey`))
        : deviceKeyFromJwk(publicKey)
  } catch (cause) {
    return refuse(
      `${field}.publicKey`,
      otherwise,
      'Write a COSE_Key in hex, or a JWK with public members only.',
      cause,
    )
  }
  if (key.algorithm !== algorithm) {
    refuse(`${field}.algorithm`, `The key is one for ${key.algorithm}, not ${algorithm}.`)
  }
  return key
}

function readLaboratories(
  laboratories: readonly z.output<typeof laboratorySchema>[],
): LaboratoryStatement[] {
  const seen = new Set<Hex>()
  return laboratories.map((laboratory, index) => {
    const field = `config.laboratories.${index}`
    const key = readKey(
      laboratory,
      field,
      'The laboratory’s key is not a public key that a certificate can be signed with.',
    )
    if (seen.has(key.id)) {
      refuse(
        `${field}.publicKey`,
        'This key is pinned twice.',
        'One key is one laboratory’s: leave one entry.',
      )
    }
    seen.add(key.id)
    const { name: laboratoryName, accreditation, status, scope } = laboratory
    return { name: laboratoryName, accreditation, key, status, scope }
  })
}

/** What many devices have in common, kept once for all of them. */
type Shared = {
  readonly subjects: Map<string, { readonly subject: Hex; readonly subjectName: string }>
  readonly series: Map<string, readonly string[]>
}

function sharedSubject(name: string, { subjects }: Shared) {
  const known = subjects.get(name)
  if (known !== undefined) return known
  const first = { subject: subjectId(name), subjectName: name }
  subjects.set(name, first)
  return first
}

function sharedSeries(series: readonly string[], shared: Shared): readonly string[] {
  const key = JSON.stringify(series)
  const known = shared.series.get(key)
  if (known !== undefined) return known
  shared.series.set(key, series)
  return series
}

function readDevice(
  device: z.output<typeof deviceSchema>,
  field: string,
  shared: Shared,
): EnrolledDevice {
  const key = readKey(
    device,
    field,
    'The device key is not a public key that a device can be enrolled with.',
  )
  return {
    key,
    ...sharedSubject(device.subject, shared),
    tier: trustTiers[device.tier],
    intervalMs: device.intervalMs,
    series: device.series === undefined ? undefined : sharedSeries(device.series, shared),
    label: device.label,
  }
}

/**
 * Reads a worker's configuration.
 *
 * @param value - Parsed JSON.
 * @throws {@link InvalidConfigError} names the first field at fault; errors of policies and rights
 *   come through as they are, and {@link NotForProductionError} where `production` is set.
 */
export function readConfig(value: unknown): WorkerConfig {
  const result = configSchema.safeParse(value)
  if (!result.success) {
    const issue = result.error.issues[0]
    const field = ['config', ...(issue?.path ?? [])].join('.')
    throw new InvalidConfigError('The configuration is not well formed.', {
      field,
      ...(issue === undefined ? {} : { metaMessages: [`Problem: ${issue.message}`] }),
      remedy: 'See docs/worker.md for every field and its range.',
    })
  }
  const config = result.data
  if (config.production) assertProductionConfig(config)

  const registries = config.registries.map((entry) => ({
    chainId: BigInt(entry.chainId),
    registry: entry.registry as Hex,
    rpcUrl: entry.rpcUrl,
    proofRegistry: entry.proofRegistry as Hex | undefined,
  }))
  if (new Set(config.registries.map(({ chainId }) => chainId)).size !== registries.length) {
    refuse('config.registries', 'A chain is named twice.', 'Leave one registry for each chain.')
  }
  if (!config.registries.some(({ chainId }) => chainId === config.anchorChainId)) {
    refuse(
      'config.anchorChainId',
      `Chain ${config.anchorChainId} is not among the registries.`,
      'Add its registry, or anchor on one of the chains that are there.',
    )
  }

  const shared: Shared = { subjects: new Map(), series: new Map() }
  const devices = config.devices.map((device, index) =>
    readDevice(device, `config.devices.${index}`, shared),
  )
  const seen = new Set<Hex>()
  for (const [index, { key }] of devices.entries()) {
    if (seen.has(key.id)) {
      refuse(
        `config.devices.${index}.publicKey`,
        'This key is enrolled twice.',
        'One key is one device: leave one entry.',
      )
    }
    seen.add(key.id)
  }

  const calibrations = config.calibrations.map((entry, index): CalibrationEntry => {
    const { device, series, validFromMs, validUntilMs, certificate } = entry
    if (validUntilMs <= validFromMs) {
      refuse(
        `config.calibrations.${index}.validUntilMs`,
        'The calibration ends before it has begun.',
      )
    }
    if (!seen.has(device as Hex) && config.makers.length === 0) {
      refuse(
        `config.calibrations.${index}.device`,
        'No device with this id is configured.',
        'Write the thumbprint of the device’s key, as GET /v1/devices and `plumbline pack inspect` tell it.',
      )
    }
    return {
      device: device as Hex,
      series,
      validFromMs,
      validUntilMs,
      certificate: certificate as Hex | undefined,
    }
  })

  const laboratories = readLaboratories(config.laboratories)

  const makers = config.makers.map((maker, index): MakerStatement => {
    const root = fromHex(maker.root, `config.makers.${index}.root`)
    try {
      parseCertificate(root, 'the root')
    } catch (cause) {
      refuse(
        `config.makers.${index}.root`,
        'The root is no certificate that a device path can end at.',
        'Write the DER of an X.509 v3 certificate over P-256 with SHA-256, in hex.',
        cause,
      )
    }
    return {
      name: maker.name,
      status: maker.status,
      root,
      revokedCertificates: maker.revokedCertificates,
      models: maker.models.map((model) => ({
        ...model,
        tier: trustTiers[model.tier],
        serials:
          model.serials === undefined
            ? undefined
            : { first: model.serials.first as Hex, last: model.serials.last as Hex },
        series: model.series,
      })),
    }
  })
  if (makers.length > 0 && config.operator === undefined) {
    refuse(
      'config.operator',
      'Makers are named and no operator who could allow an enrolment.',
      'Configure the operator’s address.',
    )
  }

  const policies = config.policies.map((document) => {
    const policy = decodePolicy(document)
    return { id: policyId(policy), policy }
  })

  const assignments = config.assignments.map((assignment, index): Assignment => {
    const field = `config.assignments.${index}`
    const named = policies.filter(
      ({ id, policy }) => id === assignment.policy || policy.name === assignment.policy,
    )
    const found = named[0]
    if (found === undefined || named.length > 1) {
      return refuse(
        `${field}.policy`,
        found === undefined
          ? `No policy is called "${assignment.policy}".`
          : `Two policies are called "${assignment.policy}".`,
        'Name one of config.policies by its name or its id.',
      )
    }
    const { policy, id } = found
    assertPeriods(policy.window, assignment.periods, assignment.fromMs, `${field}.periods`)
    const written = policyExclusiveTo(policy)
    let exclusiveTo = written
    let impactClass = policy.audience.kind === 'right' ? policy.audience.impactClass : undefined
    if (assignment.exclusiveTo !== undefined) {
      const { chainId, contract, right } = assignment.exclusiveTo
      exclusiveTo = rightId({
        chainId: BigInt(chainId),
        contract: contract as Hex,
        right: rightClass(right),
      })
      impactClass = right
      if (written !== zeroHash && written !== exclusiveTo) {
        refuse(
          `${field}.exclusiveTo`,
          'The policy grants its right in another place.',
          'Leave the place out here, or correct the audience of the policy.',
        )
      }
    }
    const { subject, subjectName } = sharedSubject(assignment.subject, shared)
    return {
      key: assignmentKey(subject, id, exclusiveTo),
      subject,
      subjectName,
      policy,
      policyId: id,
      exclusiveTo,
      impactClass: impactClass === undefined ? undefined : rightClass(impactClass),
      periods: assignment.periods,
      fromMs: assignment.fromMs,
    }
  })
  const sources = new Set<string>()
  for (const [index, { platform, name: source }] of config.sources.entries()) {
    const field = `config.sources.${index}`
    if (config.doors[platform] === undefined) {
      refuse(`${field}.platform`, 'The door of this platform is shut.', 'Configure config.doors.')
    }
    if (sources.has(`${platform}/${source}`)) {
      refuse(`${field}.name`, 'This source is there twice.', 'Leave one of them.')
    }
    sources.add(`${platform}/${source}`)
  }
  const observed = new Set(devices.map(({ subject }) => subject))
  for (const { subject } of config.sources) observed.add(subjectId(subject))
  const keys = new Set<string>()
  for (const [index, { key, subject, subjectName }] of assignments.entries()) {
    if (keys.has(key)) {
      refuse(`config.assignments.${index}`, 'This assignment is there twice.', 'Leave one of them.')
    }
    keys.add(key)
    // Where there is an operator, a device may still be enrolled for it or transferred to it.
    if (!observed.has(subject) && config.operator === undefined) {
      refuse(
        `config.assignments.${index}.subject`,
        `No device observes "${subjectName}".`,
        'Enrol its devices, or correct the name.',
      )
    }
  }
  assertDistinctRights(assignments)

  return {
    ...config,
    streamId: streamId(config.stream),
    registries,
    anchorChainId: BigInt(config.anchorChainId),
    release: config.release as Hex,
    operator: config.operator as Hex | undefined,
    kms:
      config.kms === undefined
        ? undefined
        : { root: config.kms.root as Hex, appId: config.kms.appId as Hex | undefined },
    devices,
    calibrations,
    laboratories,
    makers,
    policies,
    assignments,
  }
}
