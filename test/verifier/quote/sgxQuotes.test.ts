import { describe, expect, it } from 'vitest'
import { createBlueprint } from '#localnet/tdx/blueprint.ts'
import { deriveP256Key, developmentSeed, signP256 } from '#localnet/tdx/keys.ts'
import { createPlatform, quotePckChain } from '#localnet/tdx/platform.ts'
import {
  attestationKeyBinding,
  encodeQeReport,
  type QeReport,
  uint16,
  uint32,
} from '#localnet/tdx/quote.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { concatBytes, toHex, utf8 } from '#schemas/bytes.ts'
import { QuoteRefusedError } from '#verifier/appraisal/errors.ts'
import { createQuotePolicy, type QuotePolicyDocument } from '#verifier/appraisal/policy.ts'
import type { Collateral } from '#verifier/collateral/collateral.ts'
import { verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'

/**
 * The rules about enclaves, on SGX quotes of the local platform's keys: version 3, TCB info `SGX` and
 * QE identity `QE`. The platform itself mints trust domains only.
 *
 * @see Intel SGX ECDSA QuoteLibReference DCAP API, A.4
 */
const now = 1_790_000_000
const platform = createPlatform({ now })
const blueprint = createBlueprint({ now })
const attestationKey = deriveP256Key(developmentSeed, 'attestation')
const tcbSigningKey = deriveP256Key(developmentSeed, 'tcb signing')

function collateral(): Collateral {
  // What JSON.stringify finds undefined it leaves out: Intel's TCB info for SGX has no TDX module.
  const tcbInfoText = JSON.stringify({
    ...blueprint.tcbInfo,
    id: 'SGX',
    tdxModule: undefined,
    tdxModuleIdentities: undefined,
  })
  const qeIdentityText = JSON.stringify({ ...blueprint.qeIdentity, id: 'QE' })
  const sign = (text: string): string => toHex(signP256(tcbSigningKey, utf8(text))).slice(2)
  return {
    ...platform.collateral(),
    tcb_info: tcbInfoText,
    tcb_info_signature: sign(tcbInfoText),
    qe_identity: qeIdentityText,
    qe_identity_signature: sign(qeIdentityText),
  }
}

const enclave: QeReport = {
  cpuSvn: blueprint.qeReport.cpuSvn,
  miscSelect: new Uint8Array(4),
  // INIT and MODE64BIT.
  attributes: Uint8Array.of(0x05, ...new Uint8Array(15)),
  mrEnclave: new Uint8Array(32).fill(0xe1),
  mrSigner: new Uint8Array(32).fill(0x51),
  isvProdId: 7,
  isvSvn: 3,
}

function mintSgxQuote(changes: Partial<QeReport> = {}): Uint8Array {
  const { header, qeAuthData, qeReport, qeReportSigner } = blueprint
  const signedPart = concatBytes(
    uint16(3),
    uint16(2),
    uint32(0),
    // SVNs of QE and PCE.
    new Uint8Array(4),
    header.qeVendorId,
    header.userData,
    encodeQeReport({ ...enclave, ...changes }, new Uint8Array(64)),
  )
  const report = encodeQeReport(
    qeReport,
    attestationKeyBinding(attestationKey.publicKey, qeAuthData),
  )
  const { pck, pckCa, root } = platform.certificates
  const chain = quotePckChain(pck, pckCa, root)
  const auth = concatBytes(
    signP256(attestationKey, signedPart),
    attestationKey.publicKey,
    report,
    signP256(qeReportSigner, report),
    uint16(qeAuthData.length),
    qeAuthData,
    uint16(5),
    uint32(chain.length),
    chain,
  )
  return concatBytes(signedPart, uint32(auth.length), auth)
}

const approved = {
  name: 'sample',
  mrSigner: toHex(enclave.mrSigner),
  isvProdId: 7,
  minimumIsvSvn: 3,
}

function answer(changes: Partial<QuotePolicyDocument> = {}, report: Partial<QeReport> = {}) {
  try {
    return verifyQuoteWithCollateral(mintSgxQuote(report), collateral(), {
      rootCertificate: platform.rootCertificateDer,
      now,
      policy: createQuotePolicy({
        ...strictPolicy(platform),
        tees: ['SGX'],
        enclaves: [approved],
        ...changes,
      }),
    }).image
  } catch (error) {
    if (error instanceof QuoteRefusedError) return error.code
    throw error
  }
}

describe('an SGX quote', () => {
  it('is accepted by signer, product and version, or by build', () => {
    expect(answer()).toBe('sample')
    expect(answer({ enclaves: [{ ...approved, mrEnclave: toHex(enclave.mrEnclave) }] })).toBe(
      'sample',
    )
  })

  it('of an enclave that can be debugged is refused under every policy', () => {
    const attributes = Uint8Array.of(0x07, ...new Uint8Array(15))
    expect(answer({ enclaves: 'any' }, { attributes })).toBe('EnclaveDebug')
  })

  it('is refused where the policy asks for TDX', () => {
    expect(answer({ tees: ['TDX'] })).toBe('TeeNotAllowed')
  })

  it.each([
    ['no entry', []],
    ['another signer', [{ ...approved, mrSigner: `0x${'11'.repeat(32)}` }]],
    ['another product', [{ ...approved, isvProdId: 8 }]],
    ['a later version', [{ ...approved, minimumIsvSvn: 4 }]],
    ['another build', [{ ...approved, mrEnclave: `0x${'11'.repeat(32)}` }]],
  ])('is refused by a list that holds %s', (_, enclaves) => {
    expect(answer({ enclaves })).toBe('EnclaveNotAllowed')
  })
})
