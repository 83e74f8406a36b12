import { describe, expect, it } from 'vitest'
import { createCertificateAuthority, issueTlsCertificate } from '#localnet/agent/raTls.ts'
import { deriveP256Key } from '#localnet/tdx/keys.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { verifyCollateral } from '#verifier/collateral/verifyCollateral.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { raTlsReportData, verifyRaTlsCertificate } from '#verifier/dstack/raTls.ts'
import { toHex } from '#schemas/bytes.ts'
import { permissivePolicy, refusalOf } from '../vectors.ts'

const now = 1_790_000_000
const platform = createPlatform({ now })
const collateral = verifyCollateral(platform.collateral(), {
  rootCertificate: platform.rootCertificateDer,
  now,
  crypto: nodeCrypto,
})
const authority = createCertificateAuthority('ra-tls test')
const key = deriveP256Key('ra-tls test', 'leaf')
const otherKey = deriveP256Key('ra-tls test', 'other')

function issue(quotedKey = key, hasQuote = true) {
  const attestation = {
    quote: platform.mintQuote({ reportData: raTlsReportData(quotedKey.publicKey) }),
    eventLog: '[]',
  }
  return issueTlsCertificate(authority, {
    key,
    appId: new Uint8Array(20),
    subject: 'worker.local',
    altNames: ['worker.local'],
    isServer: true,
    isClient: true,
    notBefore: now - 3600,
    notAfter: now + 3600,
    ...(hasQuote ? { attestation } : {}),
  })
}

const [leaf, issuerCertificate, root] = issue()
const options = { now, policy: permissivePolicy, crypto: nodeCrypto, issuerCertificate }

describe('an RA-TLS certificate', () => {
  it('proves that its key lives in the quoted guest', () => {
    const appraisal = verifyRaTlsCertificate(leaf, collateral, options)
    expect(appraisal.publicKey).toBe(toHex(key.publicKey))
    expect(appraisal.eventLog).toBe('[]')
    expect(appraisal.quote.tcb.status).toBe('UpToDate')
  })

  it('is refused with a quote over another key', () => {
    const [borrowed] = issue(otherKey)
    expect(refusalOf(() => verifyRaTlsCertificate(borrowed, collateral, options))).toBe(
      'RaTlsKeyNotBound',
    )
  })

  it('is refused without a quote', () => {
    const [plain] = issue(key, false)
    expect(refusalOf(() => verifyRaTlsCertificate(plain, collateral, options))).toBe(
      'RaTlsQuoteMissing',
    )
  })

  it('is refused before and after its life', () => {
    const at = (instant: number) =>
      refusalOf(() => verifyRaTlsCertificate(leaf, collateral, { ...options, now: instant }))
    expect(at(now - 3601)).toBe('RaTlsNotYetValid')
    expect(at(now + 3601)).toBe('RaTlsExpired')
  })

  it('is refused with another issuer, or with a bit of its signature turned', () => {
    expect(
      refusalOf(() =>
        verifyRaTlsCertificate(leaf, collateral, { ...options, issuerCertificate: root }),
      ),
    ).toBe('RaTlsSignatureInvalid')
    const spoiled = Uint8Array.from(leaf)
    spoiled[spoiled.length - 1] = (spoiled.at(-1) ?? 0) ^ 1
    expect(refusalOf(() => verifyRaTlsCertificate(spoiled, collateral, options))).toBe(
      'RaTlsSignatureInvalid',
    )
  })

  it('is refused when it is no certificate', () => {
    expect(refusalOf(() => verifyRaTlsCertificate(leaf.subarray(1), collateral, options))).toBe(
      'RaTlsMalformed',
    )
  })

  it('carries every refusal of the quote inside', () => {
    const intel = { ...collateral }
    expect(refusalOf(() => verifyRaTlsCertificate(leaf, intel, options))).toBe(
      'CollateralNotVerified',
    )
  })
})
