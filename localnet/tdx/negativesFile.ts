import { refusalRules } from '#verifier/appraisal/rules.ts'
import type { PlatformOptions } from './blueprint.ts'
import { mintNegative, negativeNames } from './negatives.ts'
import { createPlatform } from './platform.ts'
import type { QuoteCollateral } from './platform.ts'
import { strictPolicy } from './strictPolicy.ts'

/** One case as JSON: bytes as 0x-hex, so that Solidity's test tools read them as they are. */
export type NegativeRecord = {
  readonly name: string
  readonly description: string
  readonly rule: string
  readonly ruleId: number
  readonly stage: string
  readonly where: string
  readonly quote: string
  readonly collateral: QuoteCollateral
  readonly rootCertificate: string
}

/**
 * The whole catalogue, minted for one instant, beside the honest evidence that it departs from.
 * Tests that want files write it on demand; nothing of it is ever committed.
 */
export function mintNegativesFile(options: PlatformOptions) {
  const honest = createPlatform(options)
  const reportData = new Uint8Array(64).fill(0x5a)
  const record = (name: (typeof negativeNames)[number]): NegativeRecord => {
    const evidence = mintNegative(name, options, reportData)
    const { id, stage, where } = refusalRules[evidence.rule]
    return {
      name,
      description: evidence.description,
      rule: evidence.rule,
      ruleId: id,
      stage,
      where,
      quote: hex(evidence.quote),
      collateral: evidence.collateral,
      rootCertificate: hex(evidence.rootCertificateDer),
    }
  }
  return {
    now: options.now,
    reportData: hex(reportData),
    policy: strictPolicy(honest),
    rootPublicKey: {
      x: hex(honest.rootPublicKey.subarray(0, 32)),
      y: hex(honest.rootPublicKey.subarray(32)),
    },
    honest: {
      quote: hex(honest.mintQuote({ reportData })),
      quoteVersion5: hex(honest.mintQuote({ reportData, version: 5 })),
      collateral: honest.collateral(),
      rootCertificate: hex(honest.rootCertificateDer),
    },
    negatives: negativeNames.map(record),
  }
}

function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString('hex')}`
}
