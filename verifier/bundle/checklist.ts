import { BaseError } from '#schemas/errors.ts'

/** What one line of a bundle's examination says. */
export type CheckStatus = 'passed' | 'failed' | 'not-checked'

export type Check = {
  /** Stable name, for programs. */
  readonly id: CheckId
  /** What was asked, for people. */
  readonly title: string
  readonly status: CheckStatus
  /** What was found, or why it was not looked at. */
  readonly detail: string
}

/** The lines in the order in which trust flows: from Intel's root to the reading and back up. */
export const checkTitles = {
  format: 'The file is a proof bundle of a known version',
  collateral: 'Root certificate → collateral, in force at the recorded instant',
  quote: 'Collateral → platform and quote, accepted by the appraisal policy',
  image: 'Quote → image: the compose file shown is the one measured',
  statement: 'Quote → statement: report data is its hash and a block hash',
  possession: 'Statement → signer: the key’s holder signed it',
  batch: 'Signer → batch: signature and stream',
  inclusion: 'Batch → report: the report stands under the signed root',
  policy: 'Report → policy: these are the policy’s bytes, in canonical form',
  right: 'Policy → right: the report can be used where the policy says, and only there',
  measures: 'Report → measures: these are the named measures',
  roster: 'Batch → roster: who was expected and who was heard',
  devices: 'Devices: every pack is signed by its enrolled key, in an unbroken chain',
  evidence: 'Packs → report: the evidence root covers exactly these packs',
  evaluation: 'Packs + policy → report: evaluated again, byte for byte the same',
} as const

export type CheckId = keyof typeof checkTitles

/** A reason why a line failed that is no error of the code that looked. */
export class CheckFailedError extends BaseError {
  override readonly name = 'CheckFailedError'
}

/** Raised inside a line that has nothing to look at. */
export class NotCheckedError extends BaseError {
  override readonly name = 'NotCheckedError'
}

export type Checklist = {
  /**
   * Runs one line. What it returns is there for later lines only if it passed; a line that needs
   * something that an earlier one did not establish says so instead of guessing.
   */
  readonly run: <Result>(
    id: CheckId,
    look: () => { readonly detail: string; readonly result: Result },
  ) => Result | undefined
  readonly checks: readonly Check[]
}

export function createChecklist(onCheck?: (check: Check) => void): Checklist {
  const checks: Check[] = []
  const write = (check: Check): void => {
    checks.push(check)
    onCheck?.(check)
  }
  return {
    checks,
    run: (id, look) => {
      const title = checkTitles[id]
      try {
        const { detail, result } = look()
        write({ id, title, status: 'passed', detail })
        return result
      } catch (error) {
        const status = error instanceof NotCheckedError ? 'not-checked' : 'failed'
        // A foreign error is a failed line too: nothing that could not be established passes.
        const detail = error instanceof BaseError ? error.message : `Unreadable: ${String(error)}`
        write({ id, title, status, detail })
        return undefined
      }
    },
  }
}

/** What an earlier line established, or a refusal to go on without it. */
export function established<Value>(value: Value | undefined, by: CheckId): Value {
  if (value !== undefined) return value
  throw new NotCheckedError(`Rests on “${checkTitles[by]}”, which did not pass.`)
}

export function demand(condition: boolean, message: string, details: string[] = []): void {
  if (!condition) throw new CheckFailedError(message, { metaMessages: details })
}
