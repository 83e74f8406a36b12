import { sha256 } from '@noble/hashes/sha2'
import canonicalize from 'canonicalize'
import { z } from 'zod'
import { compilePolicy } from '#evaluation/compile.ts'
import { toHex, utf8 } from '#schemas/bytes.ts'
import { readMessage } from '#schemas/workerApi.ts'
import { reportLeaf } from '#schemas/report.ts'
import { type ExaminedBundle, NotExportableError, deviceIds, judgedReadings } from './examined.ts'

const date = z.iso.date()

/** What a registry wants to know of a device and no measurement can tell: handed in by the operator. */
export const deviceFactsSchema = z.strictObject({
  accountId: z.string().min(1).max(200),
  deviceName: z.string().min(1).max(200),
  technology: z.string().min(1).max(200),
  energySource: z.string().min(1).max(100),
  productionStartDate: date,
  capacityW: z.int().min(1),
  /** Degrees as text, latitude first. */
  location: z.tuple([
    z.string().regex(/^-?\d{1,2}(\.\d{1,8})?$/),
    z.string().regex(/^-?\d{1,3}(\.\d{1,8})?$/),
  ]),
  country: z.string().regex(/^[A-Z]{2,3}$/),
  grid: z.string().min(1).max(200),
  marketZone: z.string().min(1).max(200),
  issuingBody: z.string().min(1).max(200),
  issuanceDate: date,
  expiryDate: date,
  registryConfiguration: z.union([z.literal(1), z.literal(2), z.literal(3)]),
})

export type DeviceFacts = z.output<typeof deviceFactsSchema>

/**
 * A granular certificate bundle with the attributes that the EnergyTag standard names.
 *
 * @see EnergyTag Granular Certificate Scheme Standard, version 2, and its API specification;
 *   GranularCertificateBundle and IssuanceMetaData of its open-source demonstration registry
 */
export const granularCertificateSchema = z
  .strictObject({
    account_id: z.string().min(1),
    issuance_id: z.string().min(1),
    certificate_status: z.literal('Active'),
    bundle_id_range_start: z.int().min(0),
    bundle_id_range_end: z.int().min(0),
    /** Whole watt-hours, rounded down. */
    bundle_quantity: z.int().min(1),
    energy_carrier: z.literal('Electricity'),
    energy_source: z.string().min(1),
    face_value: z.literal(1),
    issuance_post_energy_carrier_conversion: z.literal(false),
    registry_configuration: z.int().min(1).max(3),
    device_id: z.string().regex(/^0x[0-9a-f]{64}$/),
    device_name: z.string().min(1),
    device_technology_type: z.string().min(1),
    device_production_start_date: date,
    device_capacity: z.int().min(1),
    device_type: z.literal('production'),
    device_location: z.tuple([z.number().min(-90).max(90), z.number().min(-180).max(180)]),
    production_starting_interval: z.iso.datetime(),
    production_ending_interval: z.iso.datetime(),
    issuance_datestamp: date,
    expiry_datestamp: date,
    is_storage: z.literal(false),
    country_of_issuance: z.string(),
    connected_grid_identification: z.string(),
    issuing_body: z.string(),
    issue_market_zone: z.string(),
    /** The report that proves the quantity. */
    quality_scheme_reference: z.string(),
    /** SHA-256 over the other properties as canonical JSON (RFC 8785). */
    hash: z.string().regex(/^[0-9a-f]{64}$/),
  })
  .refine(
    (each) => each.bundle_quantity === each.bundle_id_range_end - each.bundle_id_range_start + 1,
    { error: 'The range of ids is not as long as the quantity.' },
  )
  .refine(
    (each) => {
      const lengthMs =
        Date.parse(each.production_ending_interval) - Date.parse(each.production_starting_interval)
      return lengthMs > 0 && lengthMs <= 3_600_000
    },
    { error: 'An interval is longer than an hour, or empty.' },
  )

export type GranularCertificate = z.output<typeof granularCertificateSchema>

const hourMs = 3_600_000

/**
 * One certificate bundle for each hour of the report's period in which at least a watt-hour was
 * produced. Energy is counted in integers from the devices' own readings and rounded down in every
 * hour, so that the sum never exceeds what the report proves. What was not observed counts nothing.
 *
 * @throws {@link NotExportableError} unless the report is about electric power of one device, in means
 *   over intervals that an hour is a multiple of.
 */
export function granularCertificates(
  examined: ExaminedBundle,
  facts: DeviceFacts,
): GranularCertificate[] {
  const { bundle, policy, measures } = examined
  const { interpolation, signal } = policy
  const refuse = (field: string, message: string): never => {
    throw new NotExportableError(message, {
      field,
      remedy: 'Export a report on electric power (W, interval means) of one device.',
    })
  }
  if (signal.unit !== 'W' || interpolation.kind !== 'interval-mean') {
    return refuse('policy.signal', 'The report is not about electric power in interval means.')
  }
  const isWattHours = policy.aggregates.some(
    (aggregate) => aggregate.kind === 'integral' && aggregate.per === 'h',
  )
  if (!isWattHours) return refuse('policy.aggregates', 'The report does not sum up watt-hours.')
  const { reachMs } = compilePolicy(policy)
  if (hourMs % reachMs !== 0) {
    return refuse('policy.interpolation', 'An hour is no multiple of the readings’ interval.')
  }
  const [device, other] = deviceIds(examined)
  if (device === undefined || other !== undefined) {
    return refuse('devices', 'The report does not rest on exactly one device.')
  }
  if (examined.verdict === 'INCONCLUSIVE') {
    return refuse('report.verdict', 'An inconclusive report proves no production.')
  }
  const startMs = Number(bundle.report.periodStartMs)
  const shiftMs = interpolation.stamp === 'end' ? reachMs : 0
  const microWattMs = new Map<number, bigint>()
  for (const { timeMs, valueMicro } of judgedReadings(examined)) {
    if (valueMicro === null || valueMicro <= 0) continue
    const hour = Math.floor((timeMs - shiftMs - startMs) / hourMs)
    if (hour < 0) continue
    microWattMs.set(hour, (microWattMs.get(hour) ?? 0n) + BigInt(valueMicro) * BigInt(reachMs))
  }
  const leaf = reportLeaf(bundle.report)
  let next = 0
  const certificates: GranularCertificate[] = []
  for (const [hour, energy] of [...microWattMs].sort(([left], [right]) => left - right)) {
    const wh = Number(energy / (1_000_000n * BigInt(hourMs)))
    if (wh === 0) continue
    const fromMs = startMs + hour * hourMs
    const starting = new Date(fromMs).toISOString()
    const endMs = Math.min(fromMs + hourMs, Number(bundle.report.periodEndMs))
    const properties = {
      account_id: facts.accountId,
      issuance_id: `${device.id}-${starting}`,
      certificate_status: 'Active',
      bundle_id_range_start: next,
      bundle_id_range_end: next + wh - 1,
      bundle_quantity: wh,
      energy_carrier: 'Electricity',
      energy_source: facts.energySource,
      face_value: 1,
      issuance_post_energy_carrier_conversion: false,
      registry_configuration: facts.registryConfiguration,
      device_id: device.id,
      device_name: facts.deviceName,
      device_technology_type: facts.technology,
      device_production_start_date: facts.productionStartDate,
      device_capacity: facts.capacityW,
      device_type: 'production',
      device_location: facts.location.map(Number),
      production_starting_interval: starting,
      production_ending_interval: new Date(endMs).toISOString(),
      issuance_datestamp: facts.issuanceDate,
      expiry_datestamp: facts.expiryDate,
      is_storage: false,
      country_of_issuance: facts.country,
      connected_grid_identification: facts.grid,
      issuing_body: facts.issuingBody,
      issue_market_zone: facts.marketZone,
      quality_scheme_reference: `plumbline report ${leaf}`,
    }
    const hash = toHex(sha256(utf8(canonicalize(properties) ?? ''))).slice(2)
    certificates.push(
      readMessage(granularCertificateSchema, { ...properties, hash }, 'granular certificate'),
    )
    next += wh
  }
  const { integral } = measures
  if (integral === null || integral === undefined || BigInt(next) * 1_000_000n > BigInt(integral)) {
    return refuse('measures.integral', 'The readings add up to more than the report proves.')
  }
  return certificates
}
