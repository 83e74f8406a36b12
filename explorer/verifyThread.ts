import './strictZod.ts'
import { type QuotePolicyDocument, createQuotePolicy } from '#verifier/appraisal/policy.ts'
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

const scope = globalThis as unknown as {
  onmessage: (event: { readonly data: Examination }) => void
  postMessage: (event: ExaminationEvent) => void
}

scope.onmessage = ({ data }) => {
  const { id } = data
  try {
    const [root] =
      data.rootCertificate === undefined
        ? [intelRootCertificate]
        : readPemCertificates(data.rootCertificate, 'root', 1)
    if (root === undefined) throw new TypeError('There is no root certificate.')
    const { isAccepted, report, appraisal } = verifyBundle(JSON.parse(data.text) as unknown, {
      rootCertificate: root,
      quotePolicy: createQuotePolicy(data.quotePolicy as QuotePolicyDocument),
      onCheck: (check) => {
        scope.postMessage({ id, kind: 'check', check })
      },
    })
    scope.postMessage({ id, kind: 'verdict', isAccepted, report, appraisal })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    scope.postMessage({ id, kind: 'unreadable', message })
  }
}
