import { describe, expect, it } from 'vitest'
import { QuoteRefusedError, refusal } from '#verifier/appraisal/errors.ts'
import { refusalCodes, refusalRules } from '#verifier/appraisal/rules.ts'

describe('the table of rules', () => {
  it('has an id for every rule, ascending in the order of evaluation', () => {
    const ids = refusalCodes.map((code) => refusalRules[code].id)
    expect(ids).toEqual([...new Set(ids)].toSorted((left, right) => left - right))
  })

  it('gives every refusal a remedy, its rule and a class of its own stage', () => {
    const classes = new Map<string, string>()
    for (const code of refusalCodes) {
      const error = refusal(code, 'No.')
      expect(error).toBeInstanceOf(QuoteRefusedError)
      expect(error.ruleId).toBe(refusalRules[code].id)
      expect(error.message).toContain(`Rule: ${code} (${refusalRules[code].id})`)
      expect(error.remedy).not.toBe(undefined)
      classes.set(refusalRules[code].stage, error.name)
    }
    expect(Object.fromEntries(classes)).toEqual({
      input: 'VerifierInputError',
      collateral: 'CollateralRefusedError',
      window: 'CollateralNotCurrentError',
      format: 'QuoteMalformedError',
      genuineness: 'QuoteNotGenuineError',
      tcb: 'PlatformUntrustedError',
      policy: 'PolicyRefusedError',
      dstack: 'DstackEvidenceError',
    })
  })
})
