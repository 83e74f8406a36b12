import { refusalRules, type RefusalCode } from '#verifier/appraisal/rules.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'

/** Two answers to the same lie. */
export type Answers = {
  readonly collateral: Collateral
  readonly offChain: string
  readonly onChain: string
}

/**
 * A way in which the contracts answer otherwise than the TypeScript verifier, and why that is meant.
 * In each of them the contracts refuse. The differential fails on a difference that none explains;
 * `docs/onchain-attestation.md` lists the same ids.
 */
export type Tolerance = {
  readonly id: string
  readonly why: string
  readonly explains: (answers: Answers) => boolean
}

/** Whether the verifier got beyond a rule; it did with what it accepted. */
const isBeyond = (rule: string, other: RefusalCode): boolean =>
  !Object.hasOwn(refusalRules, rule) ||
  refusalRules[rule as RefusalCode].id > refusalRules[other].id

export const tolerances: readonly Tolerance[] = [
  {
    id: 'template',
    why: 'A document of Intel is read as a template. One that is written otherwise, however well it reads as JSON, is refused before its values are looked at.',
    explains: ({ offChain, onChain }) =>
      (onChain === 'TcbInfoMalformed' || onChain === 'QeIdentityMalformed') &&
      isBeyond(offChain, onChain),
  },
  {
    id: 'one-pass',
    why: 'A document is read forward, once: another kind or version is found before what is malformed behind it.',
    explains: ({ offChain, onChain }) =>
      (onChain === 'TcbInfoUnsupported' && offChain === 'TcbInfoMalformed') ||
      (onChain === 'QeIdentityUnsupported' && offChain === 'QeIdentityMalformed'),
  },
  {
    id: 'sixteen-bits',
    why: 'Evaluation numbers are kept in 16 bits; Intel stands at 20 after eight years.',
    explains: ({ collateral, offChain, onChain }) =>
      (onChain === 'TcbInfoUnsupported' &&
        isBeyond(offChain, onChain) &&
        hasWideNumber(collateral.tcb_info)) ||
      (onChain === 'QeIdentityUnsupported' &&
        isBeyond(offChain, onChain) &&
        hasWideNumber(collateral.qe_identity)),
  },
  {
    id: 'no-padding',
    why: 'Evidence ends where it says it ends. A quote may be followed by zeros; other bytes behind it have a rule of their own.',
    explains: ({ offChain, onChain }) =>
      offChain === 'TrailingBytesNotZero' && onChain === 'AuthDataMalformed',
  },
]

function hasWideNumber(document: string): boolean {
  const number = /"tcbEvaluationDataNumber":(\d+)/.exec(document)?.[1]
  return Number(number) > 0xffff
}
