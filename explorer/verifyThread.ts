import './strictZod.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import type { QuoteAppraisal } from '#verifier/appraisal/appraisal.ts'
import type { Check } from '#verifier/bundle/checklist.ts'
import { verifyBundle } from '#verifier/bundle/verifyBundle.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { readPemCertificates } from '#verifier/x509/pem.ts'
import type { Report } from '#schemas/report.ts'

/** The verifier in a thread of its own: the page stays alive while a month is evaluated again. */

export type Examination = {
  readonly id: number
  /** The file as it was read. */
  readonly text: string
  /** PEM of the root that is trusted; absent: Intel's. */
  readonly rootCertificate?: string | undefined
  readonly quotePolicy: unknown
}

export type ExaminationEvent =
  | { readonly id: number; readonly kind: 'check'; readonly check: Check }
  | {
      readonly id: number
      readonly kind: 'verdict'
      readonly isAccepted: boolean
      readonly report: Report | undefined
      readonly appraisal: QuoteAppraisal | undefined
    }
  /** Nothing could be examined. */
  | { readonly id: number; readonly kind: 'unreadable'; readonly message: string }

// A dedicated worker's own scope; the types that this folder is checked with are a page's.
const scope = globalThis as unknown as {
  addEventListener: (
    type: 'message',
    listener: (event: { readonly data: Examination }) => void,
  ) => void
  postMessage: (event: ExaminationEvent) => void
}

function tell(event: ExaminationEvent): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's has no such argument
  scope.postMessage(event)
}

scope.addEventListener('message', ({ data }) => {
  const { id } = data
  try {
    const [root] =
      data.rootCertificate === undefined
        ? [intelRootCertificate]
        : readPemCertificates(data.rootCertificate, 'root', 1)
    if (root === undefined) throw new TypeError('There is no root certificate.')
    const { isAccepted, report, appraisal } = verifyBundle(JSON.parse(data.text) as unknown, {
      rootCertificate: root,
      quotePolicy: createQuotePolicy(data.quotePolicy),
      onCheck: (check) => {
        tell({ id, kind: 'check', check })
      },
    })
    tell({ id, kind: 'verdict', isAccepted, report, appraisal })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    tell({ id, kind: 'unreadable', message })
  }
})
