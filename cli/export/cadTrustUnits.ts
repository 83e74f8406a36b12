import { z } from 'zod'
import { reportLeaf, unitText, zeroHash } from '#schemas/report.ts'
import { readMessage } from '#schemas/workerApi.ts'
import { type ExaminedBundle, NotExportableError } from './examined.ts'

const text = z.string().min(1).max(500)
const unitTypes = [
  'Avoidance',
  'Reduction - nature',
  'Reduction - technical',
  'Removal - nature',
  'Removal - technical',
  'Not Determined',
] as const
const declarations = ['Committed', 'Not Required', 'Unknown'] as const
const adjustments = ['Not Applicable', 'Not Started', 'Pending', 'Completed'] as const

/** What the registry decides and no measurement tells. */
export const unitFactsSchema = z.strictObject({
  /** Before the year and the number in every serial. */
  serialPrefix: z.string().regex(/^[A-Za-z0-9-]{1,60}$/),
  /** Number of the first unit of the block. */
  firstUnit: z.int().min(1),
  countryJurisdictionOfOwner: text,
  unitOwner: text.optional(),
  unitType: z.enum(unitTypes),
  unitRegistryLink: z.url(),
  correspondingAdjustmentDeclaration: z.enum(declarations),
  correspondingAdjustmentStatus: z.enum(adjustments),
  verificationBody: text,
  verificationDate: z.iso.date(),
})

export type UnitFacts = z.output<typeof unitFactsSchema>

/**
 * A unit record with its issuance, as the Climate Action Data Trust's API takes it.
 *
 * @see Chia-Network/cadt, data model 1: units and issuances, their required fields and pick lists
 */
export const cadTrustUnitSchema = z
  .strictObject({
    unitBlockStart: text,
    unitBlockEnd: text,
    unitCount: z.int().min(1),
    vintageYear: z.int().min(1900).max(3000),
    unitType: z.enum(unitTypes),
    unitStatus: z.literal('Held'),
    unitOwner: text.optional(),
    countryJurisdictionOfOwner: text,
    unitRegistryLink: z.url(),
    unitTags: text,
    correspondingAdjustmentDeclaration: z.enum(declarations),
    correspondingAdjustmentStatus: z.enum(adjustments),
    issuance: z.strictObject({
      startDate: z.iso.datetime(),
      endDate: z.iso.datetime(),
      verificationApproach: text,
      verificationDate: z.iso.date(),
      verificationBody: text,
    }),
  })
  .refine(({ issuance }) => issuance.startDate < issuance.endDate, {
    error: 'The issuance ends before it begins.',
  })

export type CadTrustUnit = z.output<typeof cadTrustUnitSchema>

const kilogramsPerTonne = 1000n
const million = 1_000_000n

/**
 * The report's whole tonnes as one block of units. Only a right is exported: a fact may be read any
 * number of times, and units made of it would be counted as often.
 *
 * @throws {@link NotExportableError} unless the report passed, in kgCO2e or tCO2e, as a right, within
 *   one vintage.
 */
export function cadTrustUnit({ bundle, verdict }: ExaminedBundle, facts: UnitFacts): CadTrustUnit {
  const { report } = bundle
  const refuse = (field: string, message: string, remedy: string): never => {
    throw new NotExportableError(message, { field, remedy })
  }
  if (report.exclusiveTo === zeroHash) {
    return refuse(
      'report.exclusiveTo',
      'The report is a fact, and units of a fact would be counted as often as it is read.',
      'Export a report under a policy that grants a right.',
    )
  }
  if (verdict !== 'PASS') {
    return refuse('report.verdict', 'The report did not pass.', 'Nothing was earned to be issued.')
  }
  const unit = unitText(report.unit)
  if (unit !== 'kgCO2e' && unit !== 'tCO2e') {
    return refuse('report.unit', `The report is in ${unit}.`, 'Export a report in kgCO2e or tCO2e.')
  }
  const tonnes = report.valueMicro / million / (unit === 'kgCO2e' ? kilogramsPerTonne : 1n)
  if (tonnes < 1n) {
    return refuse('report.valueMicro', 'The report comes to less than a tonne.', 'Wait for more.')
  }
  const start = new Date(Number(report.periodStartMs)).toISOString()
  const end = new Date(Number(report.periodEndMs)).toISOString()
  // A period that ends with the year ends in its last instant, not in the next year.
  const lastYear = new Date(Number(report.periodEndMs) - 1).getUTCFullYear()
  const vintageYear = new Date(Number(report.periodStartMs)).getUTCFullYear()
  if (lastYear !== vintageYear) {
    return refuse(
      'report.periodEndMs',
      'The period lies in two vintages.',
      'Let the policy’s periods end with the year.',
    )
  }
  const serial = (number: number): string => `${facts.serialPrefix}-${vintageYear}-${number}`
  return readMessage(
    cadTrustUnitSchema,
    {
      unitBlockStart: serial(facts.firstUnit),
      unitBlockEnd: serial(facts.firstUnit + Number(tonnes) - 1),
      unitCount: Number(tonnes),
      vintageYear,
      unitType: facts.unitType,
      unitStatus: 'Held',
      ...(facts.unitOwner === undefined ? {} : { unitOwner: facts.unitOwner }),
      countryJurisdictionOfOwner: facts.countryJurisdictionOfOwner,
      unitRegistryLink: facts.unitRegistryLink,
      unitTags: `plumbline report ${reportLeaf(report)}, right ${report.exclusiveTo}`,
      correspondingAdjustmentDeclaration: facts.correspondingAdjustmentDeclaration,
      correspondingAdjustmentStatus: facts.correspondingAdjustmentStatus,
      issuance: {
        startDate: start,
        endDate: end,
        verificationApproach: `Attested report, proof bundle ${bundle.digest}`,
        verificationDate: facts.verificationDate,
        verificationBody: facts.verificationBody,
      },
    },
    'unit record',
  )
}
