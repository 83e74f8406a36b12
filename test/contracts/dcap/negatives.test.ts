import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Hex, toHex } from '#schemas/bytes.ts'
import {
  type NegativeName,
  mintNegative,
  negativeNames,
  negatives,
} from '#localnet/tdx/negatives.ts'
import { QuoteRefusedError } from '#verifier/appraisal/errors.ts'
import { refusalRules } from '#verifier/appraisal/rules.ts'
import { type Bench, startBench } from './bench.ts'
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
