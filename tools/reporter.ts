import { writeFileSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

/** What the gate adds up: written to the file that PLUMBLINE_TEST_SUMMARY names. */
export type TestSummary = {
  passed: number
  failed: number
  notChecked: string[]
  failures: string[]
}

/**
 * Counts tests for the gate's closing line, and names what could not be checked on this machine
 * (published material that is not beside the clone): those entries are `todo`, neither passed nor
 * failed.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const file = process.env['PLUMBLINE_TEST_SUMMARY']
    if (file === undefined) return
    const summary: TestSummary = { passed: 0, failed: 0, notChecked: [], failures: [] }
    for (const module of modules) {
      const errors = module.errors()
      if (errors.length > 0) {
        summary.failed += 1
        summary.failures.push(`${module.relativeModuleId}\n${firstLines(errors)}`)
      }
      for (const test of module.children.allTests()) {
        const { state, errors: problems = [] } = test.result()
        if (state === 'passed') summary.passed += 1
        else if (test.name.startsWith('NOT CHECKED')) summary.notChecked.push(test.fullName)
        // A test that ended in any other way (failed, skipped, still pending) did not pass.
        else {
          summary.failed += 1
          summary.failures.push(
            `${module.relativeModuleId} > ${test.fullName} (${state})\n${firstLines(problems)}`,
          )
        }
      }
    }
    writeFileSync(file, JSON.stringify(summary))
  }
}

/** Enough of each error to know what broke, indented below its test. */
function firstLines(errors: readonly { message?: string }[]): string {
  return errors
    .flatMap(({ message = 'no message' }) => message.split('\n').slice(0, 30))
    .map((line) => `      ${line}`)
    .join('\n')
}
