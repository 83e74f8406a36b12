import { z } from 'zod'
import { unitText } from '#schemas/report.ts'
import { type ExaminedBundle, NotExportableError } from './examined.ts'

/**
 * An issuance as the Climate Action Data Trust's API takes it, inside a unit or a project.
 *
 * @see Chia-Network/cadt, data model 1, `src/validations/issuances.validation.js`
 */
export const cadTrustIssuanceSchema = z
  .strictObject({
    startDate: z.iso.datetime(),
    endDate: z.iso.datetime(),
    verificationApproach: z.string().min(1),
    verificationReportDate: z.iso.date(),
    verificationBody: z.string().min(1),
  })
  .refine(({ startDate, endDate }) => startDate <= endDate, {
    error: 'The issuance ends before it begins.',
  })

export type CadTrustIssuance = z.output<typeof cadTrustIssuanceSchema>

/** Who verified, and when: facts of the registry's process. */
export const verificationFacts = {
  verificationBody: z.string().min(1).max(500),
  verificationReportDate: z.iso.date(),
} as const

export function cadTrustIssuance(
  { bundle }: ExaminedBundle,
  facts: { readonly verificationBody: string; readonly verificationReportDate: string },
): CadTrustIssuance {
  const instant = (ms: bigint): string => new Date(Number(ms)).toISOString()
  return {
    startDate: instant(bundle.report.periodStartMs),
    endDate: instant(bundle.report.periodEndMs),
    verificationApproach: `Attested report, proof bundle ${bundle.digest}`,
    verificationReportDate: facts.verificationReportDate,
    verificationBody: facts.verificationBody,
  }
}

const kilogramsPerTonne = 1000n
const million = 1_000_000n

/**
 * Whole tonnes that a report earned, rounded down.
 *
 * @throws {@link NotExportableError} unless the report passed, in kgCO2e or tCO2e, with a tonne or more.
 */
export function earnedTonnes({ bundle, verdict }: ExaminedBundle): number {
  const { report } = bundle
  const refuse = (field: string, message: string, remedy: string): never => {
    throw new NotExportableError(message, { field, remedy })
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
  return Number(tonnes)
}
