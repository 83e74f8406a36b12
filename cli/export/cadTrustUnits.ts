import { z } from 'zod'
import { reportLeaf, zeroHash } from '#schemas/report.ts'
import { readMessage } from '#schemas/workerApi.ts'
import {
  cadTrustIssuance,
  cadTrustIssuanceSchema,
  earnedTonnes,
  verificationFacts,
} from './cadTrustIssuance.ts'
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
  ...verificationFacts,
})

export type UnitFacts = z.output<typeof unitFactsSchema>

/**
 * A unit record with its issuance, as the Climate Action Data Trust's API takes it.
 *
 * @see Chia-Network/cadt, data model 1, `src/validations/units.validations.js` and its pick lists
 */
export const cadTrustUnitSchema = z.strictObject({
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
  issuance: cadTrustIssuanceSchema,
})

export type CadTrustUnit = z.output<typeof cadTrustUnitSchema>

/**
 * The report's whole tonnes as one block of units. Only a right is exported: a fact may be read any
 * number of times, and units made of it would be counted as often.
 *
 * @throws {@link NotExportableError} unless the report passed, in kgCO2e or tCO2e, as a right, within
 *   one vintage.
 */
export function cadTrustUnit(examined: ExaminedBundle, facts: UnitFacts): CadTrustUnit {
  const { report } = examined.bundle
  if (report.exclusiveTo === zeroHash) {
    throw new NotExportableError(
      'The report is a fact, and units of a fact would be counted as often as it is read.',
      {
        field: 'report.exclusiveTo',
        remedy: 'Export a report under a policy that grants a right.',
      },
    )
  }
  const tonnes = earnedTonnes(examined)
  // A period that ends with the year ends in its last instant, not in the next year.
  const lastYear = new Date(Number(report.periodEndMs) - 1).getUTCFullYear()
  const vintageYear = new Date(Number(report.periodStartMs)).getUTCFullYear()
  if (lastYear !== vintageYear) {
    throw new NotExportableError('The period lies in two vintages.', {
      field: 'report.periodEndMs',
      remedy: 'Let the policy’s periods end with the year.',
    })
  }
  const serial = (number: number): string => `${facts.serialPrefix}-${vintageYear}-${number}`
  return readMessage(
    cadTrustUnitSchema,
    {
      unitBlockStart: serial(facts.firstUnit),
      unitBlockEnd: serial(facts.firstUnit + tonnes - 1),
      unitCount: tonnes,
      vintageYear,
      unitType: facts.unitType,
      unitStatus: 'Held',
      ...(facts.unitOwner === undefined ? {} : { unitOwner: facts.unitOwner }),
      countryJurisdictionOfOwner: facts.countryJurisdictionOfOwner,
      unitRegistryLink: facts.unitRegistryLink,
      unitTags: `plumbline report ${reportLeaf(report)}, right ${report.exclusiveTo}`,
      correspondingAdjustmentDeclaration: facts.correspondingAdjustmentDeclaration,
      correspondingAdjustmentStatus: facts.correspondingAdjustmentStatus,
      issuance: cadTrustIssuance(examined, facts),
    },
    'unit record',
  )
}
