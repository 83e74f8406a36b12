import { toHex, type Hex } from '#schemas/bytes.ts'
import { BaseError } from '#schemas/errors.ts'
import { InvalidDocumentError, JsonFields } from '../collateral/jsonFields.ts'
import { tcbStatuses, type TcbStatus } from '../collateral/tcbStatus.ts'
import { refusal } from './errors.ts'

/**
 * What a relying party accepts, as a JSON document. Every field is mandatory: nothing is accepted
 * because it was forgotten. What is not named is refused, except where the word `any` is written out.
 */
export type QuotePolicyDocument = {
  /** Name of the policy, repeated in the result. */
  readonly id: string
  readonly tees: readonly ('TDX' | 'SGX')[]
  readonly tcb: {
    /**
     * Statuses that pass. `graceDays` counts from the day on which the platform fell behind (see
     * `TcbAppraisal.degradedSinceUnixSeconds`); `null` sets no limit. `Revoked` never passes.
     */
    readonly acceptedStatuses: Partial<
      Record<AcceptableStatus, { readonly graceDays: number | null }>
    >
    /**
     * Floor of the TCB info's `tcbEvaluationDataNumber`. Intel serves several at a time, all signed
     * and in force, and the older ones do not know of later recoveries.
     */
    readonly minimumEvaluationDataNumber: number
    /** Floor of the QE identity's number, which Intel raises on its own schedule. */
    readonly minimumQeEvaluationDataNumber: number
    /** Advisories that refuse a platform whatever its status, for example `INTEL-SA-01192`. */
    readonly deniedAdvisories: readonly string[]
    /**
     * Greatest age of TCB info, QE identity and PCK revocation list in days; `null` leaves it to
     * their own windows. Below Intel's cadence (up to 30 days) this stops honest platforms.
     */
    readonly maximumCollateralAgeDays: number | null
  }
  /** By PPID, 16 bytes of hex. The denied list is looked at first. */
  readonly platforms: {
    readonly allowed: 'any' | readonly string[]
    readonly denied: readonly string[]
  }
  /** Optional TD attributes that may be set; all others must be clear. */
  readonly allowedTdAttributes: readonly TdAttributeName[]
  /** MRSERVICETD values that may be bound to the TD, besides none; 48 bytes of hex. */
  readonly allowedServiceTds: readonly string[]
  /** Trust-domain images; `any` skips all rules about measurements. */
  readonly images: 'any' | readonly ImageDocument[]
  /** Enclaves, where `tees` names SGX. */
  readonly enclaves: 'any' | readonly EnclaveDocument[]
}

export type AcceptableStatus = Exclude<TcbStatus, 'Revoked'>

/** One approved image. Measurements are 48 bytes of hex and never zero. */
export type ImageDocument = {
  readonly name: string
  readonly mrTd: string
  readonly rtmr0: string
  readonly rtmr1: string
  readonly rtmr2: string
  /** Whole MRCONFIGID with its version byte, or … */
  readonly mrConfigId?: string
  /** … the compose hash (32 bytes), which stands for MRCONFIGID 01 ‖ hash ‖ zeros. */
  readonly composeHash?: string
}

export type EnclaveDocument = {
  readonly name: string
  readonly mrSigner: string
  readonly isvProdId: number
  readonly minimumIsvSvn: number
  /** When present, this one build only. */
  readonly mrEnclave?: string
}

/** Bits of TDATTRIBUTES that a policy may allow. @see Intel TDX Module ABI 1.5, TD_ATTRIBUTES */
export const tdAttributeBits = {
  LASS: 27,
  MIGRATABLE: 29,
  PKS: 30,
  KL: 31,
  TPA: 62,
  PERFMON: 63,
} as const

export type TdAttributeName = keyof typeof tdAttributeBits

/** A policy that was read and prepared; only {@link createQuotePolicy} makes one. */
export type QuotePolicy = {
  readonly id: string
  readonly tees: ReadonlySet<'TDX' | 'SGX'>
  readonly graceDays: ReadonlyMap<TcbStatus, number | null>
  readonly minimumEvaluationDataNumber: number
  readonly minimumQeEvaluationDataNumber: number
  readonly deniedAdvisories: ReadonlySet<string>
  readonly maximumCollateralAgeDays: number | null
  readonly allowedPlatforms: 'any' | ReadonlySet<string>
  readonly deniedPlatforms: ReadonlySet<string>
  readonly allowedTdAttributes: bigint
  readonly allowedServiceTds: ReadonlySet<string>
  readonly images: 'any' | ReadonlyMap<string, string>
  readonly enclaves: 'any' | readonly PreparedEnclave[]
}

export type PreparedEnclave = {
  readonly name: string
  readonly mrSigner: Hex
  readonly isvProdId: number
  readonly minimumIsvSvn: number
  readonly mrEnclave: Hex | undefined
}

/** Raised when a policy document lacks a field, has one too many, or contradicts itself. */
export class InvalidQuotePolicyError extends BaseError {
  override readonly name = 'InvalidQuotePolicyError'
}

const made = new WeakSet<QuotePolicy>()
const maximumEntries = 4096

/**
 * Reads a policy document, strictly: no field may be missing, none may be unknown.
 *
 * @throws {@link InvalidQuotePolicyError}
 */
export function createQuotePolicy(document: unknown): QuotePolicy {
  try {
    const policy = Object.freeze(readPolicy(new JsonFields(document, 'policy')))
    made.add(policy)
    return policy
  } catch (cause) {
    if (!(cause instanceof InvalidDocumentError)) throw cause
    throw new InvalidQuotePolicyError(cause.shortMessage, {
      cause,
      field: cause.field,
      remedy: 'See docs/quote-verifier.md for the fields; none has a default.',
    })
  }
}

/** @throws {@link VerifierInputError} `PolicyNotPrepared` for look-alikes and bare documents. */
export function expectPrepared(policy: QuotePolicy): void {
  if (made.has(policy)) return
  throw refusal('PolicyNotPrepared', 'This policy was not prepared here.', {
    field: 'policy',
    remedy: 'Pass the very object that createQuotePolicy returned.',
  })
}

/** The key under which an image is looked up: all five measurements, bare hex, in this order. */
export function imageKey(measurements: readonly Uint8Array[]): string {
  return measurements.map(bareHex).join(':')
}

function readPolicy(fields: JsonFields): QuotePolicy {
  fields.only(
    'id',
    'tees',
    'tcb',
    'platforms',
    'allowedTdAttributes',
    'allowedServiceTds',
    'images',
    'enclaves',
  )
  const tcb = fields.object('tcb')
  tcb.only(
    'acceptedStatuses',
    'minimumEvaluationDataNumber',
    'minimumQeEvaluationDataNumber',
    'deniedAdvisories',
    'maximumCollateralAgeDays',
  )
  const platforms = fields.object('platforms')
  platforms.only('allowed', 'denied')
  const evaluationNumber = (name: string) => tcb.integer(name, 0, 0xffff_ffff)
  return {
    id: fields.text('id', 200),
    tees: new Set(readChoices(fields, 'tees', ['TDX', 'SGX'] as const)),
    graceDays: readStatuses(tcb.object('acceptedStatuses')),
    minimumEvaluationDataNumber: evaluationNumber('minimumEvaluationDataNumber'),
    minimumQeEvaluationDataNumber: evaluationNumber('minimumQeEvaluationDataNumber'),
    deniedAdvisories: new Set(tcb.texts('deniedAdvisories', maximumEntries)),
    maximumCollateralAgeDays: readDays(tcb, 'maximumCollateralAgeDays'),
    allowedPlatforms:
      platforms.value('allowed') === 'any' ? 'any' : readHexSet(platforms, 'allowed', 16),
    deniedPlatforms: readHexSet(platforms, 'denied', 16),
    allowedTdAttributes: readChoices(
      fields,
      'allowedTdAttributes',
      Object.keys(tdAttributeBits) as TdAttributeName[],
    ).reduce((mask, name) => mask | (1n << BigInt(tdAttributeBits[name])), 0n),
    allowedServiceTds: readHexSet(fields, 'allowedServiceTds', 48),
    images: fields.value('images') === 'any' ? 'any' : readImages(fields),
    enclaves: fields.value('enclaves') === 'any' ? 'any' : readEnclaves(fields),
  }
}

function readStatuses(fields: JsonFields): Map<TcbStatus, number | null> {
  const acceptable = tcbStatuses.filter((status) => status !== 'Revoked')
  fields.only(...acceptable)
  const graceDays = new Map<TcbStatus, number | null>()
  for (const status of acceptable) {
    if (!fields.has(status)) continue
    const entry = fields.object(status)
    entry.only('graceDays')
    graceDays.set(status, readDays(entry, 'graceDays'))
  }
  return graceDays
}

function readDays(fields: JsonFields, name: string): number | null {
  return fields.value(name) === null ? null : fields.integer(name, 0, 36_525)
}

function readChoices<Choice extends string>(
  fields: JsonFields,
  name: string,
  choices: readonly Choice[],
): Choice[] {
  return fields.texts(name, choices.length).map((text) => {
    const choice = choices.find((candidate) => candidate === text)
    return choice ?? fields.fail(name, `names something else than ${choices.join(', ')}`)
  })
}

function readHexSet(fields: JsonFields, name: string, length: number): Set<string> {
  return new Set(
    fields.texts(name, maximumEntries).map((text) => {
      const digits = text.replace(/^0x/, '').toLowerCase()
      if (!/^[0-9a-f]*$/.test(digits) || digits.length !== length * 2) {
        fields.fail(name, `holds an entry that is not ${length} bytes of hex`)
      }
      return digits
    }),
  )
}

function readImages(fields: JsonFields): Map<string, string> {
  const images = new Map<string, string>()
  for (const image of fields.objects('images', maximumEntries)) {
    image.only('name', 'mrTd', 'rtmr0', 'rtmr1', 'rtmr2', 'mrConfigId', 'composeHash')
    const measurements = ['mrTd', 'rtmr0', 'rtmr1', 'rtmr2'].map((name) => image.hex(name, 48))
    measurements.push(readMrConfigId(image))
    if (measurements.some(isZero)) image.fail('mrTd', 'or another measurement is zero')
    images.set(imageKey(measurements), image.text('name', 200))
  }
  return images
}

function readMrConfigId(image: JsonFields): Uint8Array {
  if (image.has('composeHash') === image.has('mrConfigId')) {
    image.fail('mrConfigId', 'or composeHash must be given, and not both')
  }
  if (image.has('mrConfigId')) return image.hex('mrConfigId', 48)
  const mrConfigId = new Uint8Array(48)
  mrConfigId[0] = 1
  mrConfigId.set(image.hex('composeHash', 32), 1)
  return mrConfigId
}

function readEnclaves(fields: JsonFields): PreparedEnclave[] {
  return fields.objects('enclaves', maximumEntries).map((enclave) => {
    enclave.only('name', 'mrSigner', 'isvProdId', 'minimumIsvSvn', 'mrEnclave')
    return {
      name: enclave.text('name', 200),
      mrSigner: toHex(enclave.hex('mrSigner', 32)),
      isvProdId: enclave.integer('isvProdId', 0, 0xffff),
      minimumIsvSvn: enclave.integer('minimumIsvSvn', 0, 0xffff),
      mrEnclave: enclave.has('mrEnclave') ? toHex(enclave.hex('mrEnclave', 32)) : undefined,
    }
  })
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}

/** Hex without prefix, the way PPIDs and measurements are written in policies. */
export function bareHex(bytes: Uint8Array): string {
  return toHex(bytes).slice(2)
}
