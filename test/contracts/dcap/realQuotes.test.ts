import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeShared } from '#test/shared.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { QuoteRefusedError } from '#verifier/appraisal/errors.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { tcbStatuses } from '#verifier/collateral/tcbStatus.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { decodeQuoteFile } from '#verifier/quote/decodeQuoteFile.ts'
import { packQuoteEvidence } from '#verifier/quote/packQuoteEvidence.ts'
import { verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'
import { anythingGenuine } from './anythingGenuine.ts'
import { type Bench, startBench } from './bench.ts'
import { advisoryTag } from './advisoryTag.ts'

const policy = createQuotePolicy(anythingGenuine)

/** The TypeScript verifier's answer, in the words of the contracts. */
function answerOffChain(quote: Uint8Array, collateral: Collateral, now: number) {
  try {
    const { platform, tcb, reportData, validUntilUnixSeconds } = verifyQuoteWithCollateral(
      quote,
      collateral,
      { rootCertificate: intelRootCertificate, now, policy, crypto: nodeCrypto },
    )
    return {
      rule: 'accepted',
      ppid: platform.ppid,
      fmspc: `0x${platform.fmspc.toLowerCase()}`,
      status: tcb.status,
      evaluationNumber: tcb.evaluationDataNumber,
      qeEvaluationNumber: tcb.qeEvaluationDataNumber,
      degradedSince: tcb.degradedSinceUnixSeconds ?? 0,
      advisories: tcb.advisoryIds.map(advisoryTag).sort(),
      reportData,
      validUntil: validUntilUnixSeconds,
    }
  } catch (error) {
    if (error instanceof QuoteRefusedError) return { rule: error.code }
    throw error
  }
}

describeShared('real Intel quotes under the real root', 'vectors/tdx', (folder) => {
  let bench: Bench

  beforeAll(async () => {
    bench = await startBench()
  })
  afterAll(() => bench.stop())

  async function answerOnChain(quote: Uint8Array, collateral: Collateral, now: number) {
    const verdict = await bench.appraise({
      rootCertificate: intelRootCertificate,
      collateral,
      evidence: packQuoteEvidence(quote),
      now,
    })
    if (!('appraisal' in verdict)) return { rule: verdict.rule }
    const { claims, ...appraisal } = verdict.appraisal
    return {
      rule: 'accepted',
      ppid: claims.ppid,
      fmspc: appraisal.fmspc,
      status: tcbStatuses[claims.tcbStatus],
      evaluationNumber: claims.evaluationNumber,
      qeEvaluationNumber: appraisal.qeEvaluationNumber,
      degradedSince: appraisal.degradedSince,
      advisories: [...new Set(appraisal.advisories)].sort(),
      reportData: claims.reportDataHigh + claims.reportDataLow.slice(2),
      validUntil: Number(claims.validUntil),
    }
  }

  const { cases } = JSON.parse(readFileSync(join(folder, 'expectations.json'), 'utf8')) as {
    cases: { quote: string; collateral: string; now: number; nowIso: string; note: string }[]
  }
  const onTdx = cases.filter(({ quote }) => !quote.includes('sgx'))

  it.each(
    onTdx.map((entry) => [`${entry.quote} at ${entry.nowIso} (${entry.note})`, entry] as const),
  )(
    '%s: the contracts answer as the TypeScript verifier does',
    async (_, { quote: quoteFile, collateral: collateralFile, now }) => {
      const { quote } = decodeQuoteFile(readFileSync(join(folder, quoteFile)))
      const collateral = JSON.parse(
        readFileSync(join(folder, collateralFile), 'utf8'),
      ) as Collateral

      const answer = await answerOnChain(quote, collateral, now)
      expect(answer).toEqual(answerOffChain(quote, collateral, now))
    },
  )

  it('most of the real cases are accepted, so that agreement is not all refusal', async () => {
    const rules = await Promise.all(
      onTdx.map(async ({ quote: quoteFile, collateral, now }) => {
        const { quote } = decodeQuoteFile(readFileSync(join(folder, quoteFile)))
        const parsed = JSON.parse(readFileSync(join(folder, collateral), 'utf8')) as Collateral
        return (await answerOnChain(quote, parsed, now)).rule
      }),
    )
    expect(rules.filter((rule) => rule === 'accepted').length).toBeGreaterThanOrEqual(8)
  })
})
