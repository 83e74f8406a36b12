import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Hex, toHex } from '#schemas/bytes.ts'
import {
  type NegativeName,
  mintNegative,
  negativeNames,
  negatives,
} from '#localnet/tdx/negatives.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { deniedAdvisory, deniedPpid } from '#localnet/tdx/strictPolicy.ts'
import { QuoteRefusedError } from '#verifier/appraisal/errors.ts'
import { refusalRules } from '#verifier/appraisal/rules.ts'
import { type TcbStatus, tcbStatuses } from '#verifier/collateral/tcbStatus.ts'
import { packQuoteEvidence } from '#verifier/quote/packQuoteEvidence.ts'
import { advisoryTag } from './advisoryTag.ts'
import { type Bench, type OnChainPolicy, startBench } from './bench.ts'
import { packLoosely } from './packLoosely.ts'

const now = Date.UTC(2026, 8, 1, 12) / 1000

/**
 * Cases in which a contract sees the lie from another side than the TypeScript verifier, and what it
 * says then.
 */
const differently: Partial<Record<NegativeName, string>> = {
  // The store reads TDX documents only, so a quote never meets SGX collateral.
  tcbInfoOfSgx: 'TcbInfoUnsupported',
  // A foreign signer is found out by its signature, before its chain's root would be asked for.
  tcbInfoIssuerChainForeign: 'TcbSigningSignatureInvalid',
  qeIdentityIssuerChainForeign: 'TcbSigningSignatureInvalid',
  // Only the leaf of the quote's own chain is handed in.
  pckChainForeign: 'PckSignatureInvalid',
  pckChainForeignRoot: 'accepted',
  pckChainNotPem: 'PckMalformed',
  pckChainEmpty: 'PckMalformed',
  pckChainTooShort: 'accepted',
  pckChainTooLong: 'accepted',
  pckChainOtherCa: 'accepted',
  pckChainReversed: 'PckNameMismatch',
  trailingBytes: 'AuthDataMalformed',
  // Inner length fields and types of the quote are left out of evidence.
  outerSizeTooLong: 'accepted',
  outerSizeTooShort: 'accepted',
  innerSizeTooLong: 'accepted',
  innerSizeTooShort: 'accepted',
  outerTypeUnknown: 'accepted',
  innerTypeEncryptedPpid: 'accepted',
  innerTypeNested: 'accepted',
}

const honest = createPlatform({ now })

/** `strictPolicy` of the local platform, less what is the registry's business: images and report data. */
const strictOnChain: OnChainPolicy = {
  rules: {
    evaluationNumberFloor: 20,
    qeEvaluationNumberFloor: 20,
    maximumCollateralAgeSeconds: 28 * 86_400,
    acceptedTcbStatuses: maskOf('UpToDate', 'ConfigurationAndSWHardeningNeeded'),
    requiresAllowedPlatform: true,
    requiresImage: true,
    allowedTdAttributes: '0x0000000000000000',
  },
  graceStatus: tcbStatuses.indexOf('ConfigurationAndSWHardeningNeeded'),
  graceSeconds: 30 * 86_400,
  deniedAdvisory: advisoryTag(deniedAdvisory),
  deniedPlatform: `0x${deniedPpid}`,
  allowedPlatform: toHex(honest.ppid),
}

function maskOf(...statuses: readonly TcbStatus[]): number {
  return statuses.reduce((mask, status) => mask | (1 << tcbStatuses.indexOf(status)), 0)
}

/** Evidence as a careless or hostile packer would make it: nothing is checked on the way. */
async function ruleOf(bench: Bench, name: NegativeName): Promise<string> {
  const { quote, collateral, rootCertificateDer } = mintNegative(name, { now })
  const evidence: Hex = toHex(packLoosely(quote))
  try {
    const request = { rootCertificate: rootCertificateDer, collateral, evidence, now }
    return (await bench.appraise(request)).rule
  } catch (error) {
    // Collateral whose outer form is broken cannot even be taken apart for upload.
    if (error instanceof QuoteRefusedError) return error.code
    throw error
  }
}

describe('contracts/attestation/dcap', () => {
  let bench: Bench

  beforeAll(async () => {
    bench = await startBench()
  })
  afterAll(() => bench.stop())

  it.each(
    negativeNames
      .filter((name) => {
        const { id, where } = refusalRules[negatives[name].rule]
        return id >= 300 && id < 332 && where === 'both'
      })
      .map((name) => [name, negatives[name].rule] as const),
  )('%s is refused under a strict policy on chain as %s', async (name, rule) => {
    const { quote, collateral, rootCertificateDer } = mintNegative(name, { now })
    const evidence: Hex = toHex(packLoosely(quote))
    const request = { rootCertificate: rootCertificateDer, collateral, evidence, now }
    expect(await bench.ruleUnder(strictOnChain, request)).toBe(rule)
  })

  it('the honest platform passes under that policy', async () => {
    const request = {
      rootCertificate: honest.rootCertificateDer,
      collateral: honest.collateral(),
      evidence: packQuoteEvidence(honest.mintQuote({ reportData: new Uint8Array(64) })),
      now,
    }
    expect(await bench.ruleUnder(strictOnChain, request)).toBe('accepted')
  })

  const genuineness = negativeNames.filter((name) => {
    const { id } = refusalRules[negatives[name].rule]
    return id < 300 || negatives[name].rule === 'ServiceTdNotAllowed'
  })

  it.each(genuineness.map((name) => [name, differently[name] ?? negatives[name].rule] as const))(
    '%s is refused on chain as %s',
    async (name, rule) => {
      expect(await ruleOf(bench, name)).toBe(rule)
    },
  )
})
