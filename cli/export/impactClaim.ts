import { z } from 'zod'
import { formatDecimal } from '#schemas/policy/quantities.ts'
import { explainPolicy, measureCatalogue } from '#schemas/policy/policy.ts'
import { reportLeaf, unitText } from '#schemas/report.ts'
import { readMessage } from '#schemas/workerApi.ts'
import { type ExaminedBundle, NotExportableError, deviceIds } from './examined.ts'

const text = z.string().min(1)
/** Exact decimals as text. */
const decimal = z.string().regex(/^-?\d+(\.\d+)?$/)
const coBenefits = [
  'NoPoverty',
  'ZeroHunger',
  'GoodHealthAndWellBeing',
  'QualityEducation',
  'GenderEquality',
  'CleanWaterAndSanitation',
  'AffordableAndCleanEnergy',
  'DecentWorkAndEconomicGrowth',
  'IndustryInnovationAndInfrastructure',
  'ReducedInequalities',
  'SustainableCitiesAndCommunities',
  'ResponsibleConsumptionAndProduction',
  'ClimateAction',
  'LifeBelowWater',
  'LifeOnLand',
  'PeaceJusticeAndStrongInstitutions',
  'PartnershipsForTheGoals',
] as const
const contexts = [
  'ImpactClaim',
  'Checkpoint',
  'DataPackageManifest',
  'DataFile',
  'Formula',
  'Variable',
] as const

/** What the parties to a project know and no measurement tells. */
export const claimFactsSchema = z.strictObject({
  /** Activity impact module: the project that the claim is about. */
  aimId: text.max(200),
  /** Accountable impact organisation. */
  aioId: text.max(200),
  projectDeveloperId: text.max(200),
  /** Where whoever verifies the claim finds the bundle. */
  bundleUri: z.url(),
  coBenefits: z.array(z.enum(coBenefits)).max(17).default([]),
})

export type ClaimFacts = z.output<typeof claimFactsSchema>

const anyData = z.strictObject({ dataType: text, value: z.string() })
const datePoint = z.strictObject({
  date: z.strictObject({ dateTime: z.iso.datetime(), dateString: z.iso.date() }),
  timeStamp: z.strictObject({
    seconds: z.int().min(0),
    nanos: z.int().min(0).max(999_999_999),
  }),
})
const variable = z.strictObject({
  id: text,
  templateId: text,
  data: anyData,
  appliedToId: text,
  extensionContext: z.enum(contexts),
})
const formula = z.strictObject({
  id: text,
  templateId: text,
  data: anyData,
  aimId: text,
  variables: z.array(variable),
  extensionContext: z.enum(contexts),
})
const dataFile = z.strictObject({
  name: text,
  type: z.enum(['DataBinary', 'DataJson']),
  description: text,
  claimSourceId: text,
  claimSourceAttestation: text,
})
const dataPackage = z.strictObject({
  manifest: z.strictObject({
    id: text,
    version: text,
    aioId: text,
    aimId: text,
    claimId: text,
    projectDeveloperId: text,
    created: datePoint,
    formulas: z.array(formula),
    dataFiles: z.array(dataFile),
  }),
  verifiedLinkToDataPackage: z.strictObject({
    id: text,
    uri: z.url(),
    description: text,
    hashProof: text,
    hashAlgorithm: z.enum(['Sha256', 'Sha3']),
  }),
})
const checkpoint = z.strictObject({
  id: text,
  claimId: text,
  claimSourceIds: z.array(text),
  projectDeveloperId: text,
  efBefore: decimal,
  efAfter: decimal,
  checkpointDateRange: z.strictObject({ startDate: datePoint, endDate: datePoint }),
  variables: z.array(variable),
  dataPackages: z.array(dataPackage).min(1),
})

/**
 * An impact claim with its checkpoint and data package. The published schema allows no other fields
 * and lets all of these be absent; what is demanded here is what a verifier needs.
 *
 * @see InterWork Alliance, Digital MRV 3.0, `openapi-schema.json`: ImpactClaim, ImpactClaimCheckpoint,
 *   DataPackage, Manifest, DataFile, VerifiedLink, Formula, Variable, DatePoint, UnitOfMeasure, CoBenefit
 */
export const impactClaimSchema = z.strictObject({
  id: text,
  aimId: text,
  processedClaimId: z.literal(''),
  claimGroupId: z.literal(''),
  startDate: z.iso.date(),
  endDate: z.iso.date(),
  unitOfMeasure: z.enum(['TonneCo2E', 'KwH', 'CubicMeter', 'Liter', 'Kilogram', 'Kilometer']),
  quantity: decimal,
  coBenefits: z.array(z.enum(coBenefits)),
  formulas: z.array(formula),
  checkpoints: z.array(checkpoint).min(1),
})

export type ImpactClaim = z.output<typeof impactClaimSchema>

/** Units of reports as the data model names them, and how many of the first make one of the second. */
const units: Readonly<Record<string, { name: ImpactClaim['unitOfMeasure']; per: bigint }>> = {
  tCO2e: { name: 'TonneCo2E', per: 1n },
  kgCO2e: { name: 'TonneCo2E', per: 1000n },
  Wh: { name: 'KwH', per: 1000n },
  kWh: { name: 'KwH', per: 1n },
  m3: { name: 'CubicMeter', per: 1n },
  L: { name: 'Liter', per: 1n },
  kg: { name: 'Kilogram', per: 1n },
  km: { name: 'Kilometer', per: 1n },
}

/** Millionths of a unit as a decimal of a larger one, exactly. */
function quantityText(valueMicro: bigint, per: bigint): string {
  if (per === 1n) return formatDecimal(valueMicro)
  const sign = valueMicro < 0n ? '-' : ''
  const magnitude = valueMicro < 0n ? -valueMicro : valueMicro
  const scale = 1_000_000n * per
  const digits = scale.toString().length - 1
  const fraction = (magnitude % scale).toString().padStart(digits, '0').replace(/0+$/, '')
  return `${sign}${magnitude / scale}${fraction === '' ? '' : `.${fraction}`}`
}

/**
 * A report as an impact claim: the policy is its formula, the measures are its variables, the proof
 * bundle is the data package that its checkpoint links to.
 *
 * @throws {@link NotExportableError} unless the report passed, in a unit that the data model has.
 */
export function impactClaim(examined: ExaminedBundle, facts: ClaimFacts): ImpactClaim {
  const { bundle, policy, verdict, measures } = examined
  const { report, batch } = bundle
  if (verdict !== 'PASS') {
    throw new NotExportableError('The report did not pass.', {
      field: 'report.verdict',
      remedy: 'There is no impact to be claimed.',
    })
  }
  const unit = units[unitText(report.unit)]
  if (unit === undefined) {
    throw new NotExportableError(`The report is in ${unitText(report.unit)}.`, {
      field: 'report.unit',
      metaMessages: [`Expected: one of ${Object.keys(units).join(', ')}`],
      remedy: 'Export a report that settles on one of these units.',
    })
  }
  const leaf = reportLeaf(report)
  const claimId = `urn:plumbline:report:${leaf}`
  const packageId = `urn:plumbline:bundle:${bundle.digest}`
  const policyUrn = `urn:plumbline:policy:${report.policyId}`
  const quantity = quantityText(report.valueMicro, unit.per)
  const point = (ms: number) => ({
    date: {
      dateTime: new Date(ms).toISOString(),
      dateString: new Date(ms).toISOString().slice(0, 10),
    },
    timeStamp: { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1_000_000 },
  })
  const startMs = Number(report.periodStartMs)
  const endMs = Number(report.periodEndMs)
  const devices = deviceIds(examined)
  const catalogue = measureCatalogue(policy)
  const variables = Object.entries(measures).flatMap(([name, value]) => {
    const definition = catalogue.get(name)
    if (value === null || definition === undefined) return []
    return [
      {
        id: `${claimId}:${name}`,
        templateId: `${policyUrn}:${name}`,
        data: { dataType: definition.kind, value },
        appliedToId: claimId,
        extensionContext: 'Checkpoint' as const,
      },
    ]
  })
  const formulas = [
    {
      id: policyUrn,
      templateId: policyUrn,
      data: { dataType: 'application/json', value: bundle.policy },
      aimId: facts.aimId,
      variables: [],
      extensionContext: 'ImpactClaim' as const,
    },
  ]
  return readMessage(
    impactClaimSchema,
    {
      id: claimId,
      aimId: facts.aimId,
      processedClaimId: '',
      claimGroupId: '',
      startDate: point(startMs).date.dateString,
      // The period's last instant: a month ends on its last day, not on the first of the next.
      endDate: point(endMs - 1).date.dateString,
      unitOfMeasure: unit.name,
      quantity,
      coBenefits: facts.coBenefits,
      formulas,
      checkpoints: [
        {
          id: `${claimId}:checkpoint`,
          claimId,
          claimSourceIds: devices.map(({ id }) => id),
          projectDeveloperId: facts.projectDeveloperId,
          efBefore: '0',
          efAfter: quantity,
          checkpointDateRange: { startDate: point(startMs), endDate: point(endMs) },
          variables,
          dataPackages: [
            {
              manifest: {
                id: packageId,
                version: String(bundle.version),
                aioId: facts.aioId,
                aimId: facts.aimId,
                claimId,
                projectDeveloperId: facts.projectDeveloperId,
                created: point(Number(batch.closedAtMs)),
                formulas,
                dataFiles: devices.map(({ id, tier }) => ({
                  name: `Packs of device ${id}`,
                  type: 'DataBinary' as const,
                  description: `Readings as the device signed them (COSE_Sign1 over SenML), ${tier} key. ${explainPolicy(policy)[0] ?? ''}`,
                  claimSourceId: id,
                  claimSourceAttestation: 'digital_signature',
                })),
              },
              verifiedLinkToDataPackage: {
                id: packageId,
                uri: facts.bundleUri,
                description:
                  'Proof bundle. The hash is over its canonical JSON (RFC 8785) without its digest.',
                hashProof: bundle.digest.slice(2),
                hashAlgorithm: 'Sha256',
              },
            },
          ],
        },
      ],
    },
    'impact claim',
  )
}
