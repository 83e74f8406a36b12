import { BaseError, type ErrorDetails } from '#schemas/errors.ts'
import { refusalRules, type RefusalCode, type RefusalStage } from './rules.ts'

export type RefusalDetails = ErrorDetails & {
  /** Family-model-stepping-platform of the processor, lower-case hex, once it is known. */
  fmspc?: string | undefined
  /** `tcbEvaluationDataNumber` of the TCB info that the answer rests on, once it is known. */
  evaluationDataNumber?: number | undefined
}

/**
 * Evidence was refused. `code` is the rule of {@link refusalRules} that failed first; the subclass is
 * the decision that is left to the caller.
 */
export class QuoteRefusedError extends BaseError {
  override readonly name: string = 'QuoteRefusedError'
  readonly code: RefusalCode
  readonly ruleId: number
  readonly fmspc: string | undefined
  readonly evaluationDataNumber: number | undefined

  constructor(code: RefusalCode, message: string, details: RefusalDetails = {}) {
    const about = [
      `Rule: ${code} (${refusalRules[code].id})`,
      ...(details.fmspc === undefined ? [] : [`FMSPC: ${details.fmspc}`]),
      ...(details.evaluationDataNumber === undefined
        ? []
        : [`TCB evaluation data number: ${details.evaluationDataNumber}`]),
    ]
    super(message, {
      ...details,
      metaMessages: [...(details.metaMessages ?? []), ...about],
      remedy: details.remedy ?? remedyOfStage[refusalRules[code].stage],
    })
    this.code = code
    this.ruleId = refusalRules[code].id
    this.fmspc = details.fmspc
    this.evaluationDataNumber = details.evaluationDataNumber
  }
}

const remedyOfStage = {
  input: 'Correct the call; nothing was verified.',
  collateral: 'Discard this collateral and fetch it again, from another source if it persists.',
  window: 'Fetch collateral that is in force at this instant, or verify at an instant it covers.',
  format: 'Discard the bytes; a quote arrives raw, without wrapping or cut.',
  genuineness: 'Treat the quote as forged and ask the attester for a fresh one.',
  tcb: 'Do not trust this platform until its operator has updated or reconfigured it.',
  policy: 'Correct the deployment, or change the policy if this was meant to be accepted.',
  dstack: 'Ask the guest agent for evidence of this very boot: quote, event log and compose file.',
} as const satisfies Record<RefusalStage, string>

/** The call itself is wrong (clock, pinned root, unverified collateral): repair the caller. */
export class VerifierInputError extends QuoteRefusedError {
  override readonly name = 'VerifierInputError'
}

/** The collateral is not what Intel signed: discard it and ask another source. */
export class CollateralRefusedError extends QuoteRefusedError {
  override readonly name = 'CollateralRefusedError'
}

/** The collateral is authentic but not in force at `now`: fetch it again. */
export class CollateralNotCurrentError extends QuoteRefusedError {
  override readonly name = 'CollateralNotCurrentError'
  override readonly retryable = true
}

/** The bytes are not a quote that this verifier reads: discard them. */
export class QuoteMalformedError extends QuoteRefusedError {
  override readonly name = 'QuoteMalformedError'
}

/** The quote is not vouched for by Intel's key for this platform: treat as forged. */
export class QuoteNotGenuineError extends QuoteRefusedError {
  override readonly name = 'QuoteNotGenuineError'
}

/** The quote is genuine, and the platform or its mode of operation is beyond trust. */
export class PlatformUntrustedError extends QuoteRefusedError {
  override readonly name = 'PlatformUntrustedError'
}

/** The quote is genuine and the appraisal policy does not accept it. */
export class PolicyRefusedError extends QuoteRefusedError {
  override readonly name = 'PolicyRefusedError'
}

/** The quote may be genuine, but what is told about the application in it does not follow from it. */
export class DstackEvidenceError extends QuoteRefusedError {
  override readonly name = 'DstackEvidenceError'
}

const classOfStage = {
  input: VerifierInputError,
  collateral: CollateralRefusedError,
  window: CollateralNotCurrentError,
  format: QuoteMalformedError,
  genuineness: QuoteNotGenuineError,
  tcb: PlatformUntrustedError,
  policy: PolicyRefusedError,
  dstack: DstackEvidenceError,
} as const

/** The error for a failed rule, of the class that its stage demands. */
export function refusal(
  code: RefusalCode,
  message: string,
  details: RefusalDetails = {},
): QuoteRefusedError {
  return new classOfStage[refusalRules[code].stage](code, message, details)
}
