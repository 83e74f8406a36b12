import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { QuoteVerifier } from '@phala/dcap-qvl'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tcbStatuses } from '#localnet/tdx/documents.ts'
import type { QeIdentity, TcbInfo, TcbStatus } from '#localnet/tdx/documents.ts'
import { developmentRootCertificate, isLocalRoot } from '#localnet/tdx/localRoot.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import type { QuoteCollateral } from '#localnet/tdx/platform.ts'
import { strictPolicy } from '#localnet/tdx/strictPolicy.ts'
import { createQuotePolicy } from '#verifier/appraisal/policy.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { verifyQuoteWithCollateral } from '#verifier/quote/verifyQuote.ts'
import { describeShared } from '#test/shared.ts'

const now = Date.UTC(2026, 8, 1, 12) / 1000
const reportData = Uint8Array.from({ length: 64 }, (_, index) => index)
const platform = createPlatform({ now })
const policy = createQuotePolicy(strictPolicy(platform))

const forms = [
  { name: 'version 4', form: { version: 4 } },
  { name: 'version 5 with a TD 1.0 body', form: { version: 5, body: 'td10' } },
  { name: 'version 5 with a TD 1.5 body', form: { version: 5, body: 'td15' } },
  { name: 'version 4 with the padding of real quotes', form: { paddingLength: 70 } },
] as const

describe('localnet/tdx/platform', () => {
  describe.each(forms)('a quote of $name', ({ form }) => {
    const quote = platform.mintQuote({ reportData, ...form })

    it('passes every check of the production verifier under the local root', () => {
      const appraisal = verifyQuoteWithCollateral(quote, platform.collateral(), {
        rootCertificate: platform.rootCertificateDer,
        now,
        policy,
        expectedReportData: reportData,
      })
      expect(appraisal.tcb.status).toBe('UpToDate')
      expect(appraisal.platform.ppid).toBe(`0x${Buffer.from(platform.ppid).toString('hex')}`)
    })

    it("is refused by the production verifier under Intel's root", () => {
      expect(() =>
        verifyQuoteWithCollateral(quote, platform.collateral(), {
          rootCertificate: intelRootCertificate,
          now,
          policy,
        }),
      ).toThrow('An issuer chain leads to another root.')
    })

    it('is accepted by the published verifier under the local root and by no other', () => {
      const published = QuoteVerifier.newWithRootCa(Buffer.from(platform.rootCertificateDer))
      const collateral = platform.collateral()
      expect(published.verify(Buffer.from(quote), collateral, now).status).toBe('UpToDate')
      expect(() => QuoteVerifier.newProd().verify(Buffer.from(quote), collateral, now)).toThrow(
        /certificate chain/,
      )
    })
  })

  it('certificates chain under an independent implementation', () => {
    const [root, pckCa, pck, tcbSigning] = (['root', 'pckCa', 'pck', 'tcbSigning'] as const).map(
      (name) => new X509Certificate(platform.certificates[name]),
    )
    if (root === undefined || pckCa === undefined || pck === undefined) throw new Error('no root')
    expect(root.ca).toBe(true)
    expect(root.checkIssued(root)).toBe(true)
    expect(root.verify(root.publicKey)).toBe(true)
    expect(pckCa.ca).toBe(true)
    expect(pckCa.checkIssued(root)).toBe(true)
    expect(pckCa.verify(root.publicKey)).toBe(true)
    expect(pck.ca).toBe(false)
    expect(pck.checkIssued(pckCa)).toBe(true)
    expect(pck.verify(pckCa.publicKey)).toBe(true)
    expect(tcbSigning?.verify(root.publicKey)).toBe(true)
  })

  it('the same seed mints the same bytes and another seed shares no key', () => {
    const again = createPlatform({ now })
    expect(again.mintQuote({ reportData })).toEqual(platform.mintQuote({ reportData }))
    expect(again.collateral()).toEqual(platform.collateral())
    const other = createPlatform({ now, seed: Uint8Array.of(1, 2, 3) })
    expect(other.rootPublicKey).not.toEqual(platform.rootPublicKey)
    expect(other.ppid).not.toEqual(platform.ppid)
  })

  it('the root does not depend on the instant', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_600_000_000, max: 2_500_000_000 }), (instant) => {
        const { rootCertificateDer } = createPlatform({ now: instant })
        expect(rootCertificateDer).toEqual(platform.rootCertificateDer)
      }),
      { numRuns: 5 },
    )
  })

  it('collateral is in force at any instant of the local root and refused a month later', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_600_000_000, max: 2_500_000_000 }), (instant) => {
        const collateral = platform.collateral(instant)
        const quote = platform.mintQuote({ reportData })
        const verify = (at: number) =>
          verifyQuoteWithCollateral(quote, collateral, {
            rootCertificate: platform.rootCertificateDer,
            now: at,
            policy,
          })
        expect(verify(instant).tcb.status).toBe('UpToDate')
        expect(() => verify(instant + 31 * 86_400)).toThrow('has expired')
        expect(() => verify(instant - 2 * 86_400)).toThrow('is not in force yet')
      }),
      { numRuns: 5 },
    )
  })

  function judged(tcbStatus: TcbStatus): TcbStatus {
    const lesser = createPlatform({ now, tcbStatus })
    const document = strictPolicy(lesser)
    const acceptedStatuses = Object.fromEntries(
      accepted.map((status) => [status, { graceDays: null }]),
    )
    return verifyQuoteWithCollateral(lesser.mintQuote({ reportData }), lesser.collateral(), {
      rootCertificate: lesser.rootCertificateDer,
      now,
      policy: createQuotePolicy({ ...document, tcb: { ...document.tcb, acceptedStatuses } }),
    }).tcb.status
  }
  const accepted = tcbStatuses.filter((status) => status !== 'Revoked')

  it.each(accepted)('a platform asked to be %s is judged so', (tcbStatus) => {
    expect(judged(tcbStatus)).toBe(tcbStatus)
  })

  it('a platform asked to be revoked is refused', () => {
    expect(() => judged('Revoked')).toThrow('Intel has revoked the TCB of this platform.')
  })

  it('FMSPC, PPID, serial and validity are arguments', () => {
    const named = createPlatform({
      now,
      fmspc: '00a1b2c3d4e5',
      ppid: '0102030405060708090a0b0c0d0e0f10',
      pckSerial: 'c0ffee',
      pckValidity: { notBefore: now - 60, notAfter: now + 60 },
    })
    const pck = new X509Certificate(named.certificates.pck)
    expect(pck.serialNumber).toBe('C0FFEE')
    expect(pck.validToDate.getTime()).toBe((now + 60) * 1000)
    expect(named.collateral().tcb_info).toContain('"fmspc":"00A1B2C3D4E5"')
    expect(Buffer.from(named.ppid).toString('hex')).toBe('0102030405060708090a0b0c0d0e0f10')
  })

  it('refuses report data that is not 64 bytes', () => {
    expect(() => platform.mintQuote({ reportData: new Uint8Array(32) }))
      .toThrowErrorMatchingInlineSnapshot(`
      [ReportDataLengthError: Report data must be exactly 64 bytes.
      Field: reportData
      Actual: 32 bytes
      Remedy: Pad on the right with zeros, as dstack does.]
    `)
  })

  it('refuses measurements of another length and instants outside the life of its root', () => {
    expect(() =>
      platform.mintQuote({ reportData, measurements: { rtmr3: new Uint8Array(32) } }),
    ).toThrow('rtmr3 has the wrong length.')
    expect(() => createPlatform({ now: Number.NaN })).toThrow('A platform cannot live at NaN.')
    expect(() => createPlatform({ now: 0 })).toThrow('A platform cannot live at 0.')
    expect(() => createPlatform({ now, fmspc: '00' })).toThrow('fmspc has the wrong length.')
  })

  it("recognises its own roots, whatever the seed, and not Intel's", () => {
    expect(isLocalRoot(platform.rootCertificateDer)).toBe(true)
    expect(isLocalRoot(createPlatform({ now, seed: 'else' }).rootCertificateDer)).toBe(true)
    expect(developmentRootCertificate()).toEqual(platform.rootCertificateDer)
    expect(isLocalRoot(intelRootCertificate)).toBe(false)
    expect(isLocalRoot(new Uint8Array(0))).toBe(false)
  })
})

describeShared("localnet/tdx/platform beside Intel's", 'vectors/tdx', (folder) => {
  const genuine = JSON.parse(
    readFileSync(join(folder, 'dcap-qvl/tdx_quote_collateral.json'), 'utf8'),
  ) as QuoteCollateral
  const minted = platform.collateral()
  const genuineQuote = readFileSync(join(folder, 'dcap-qvl/tdx_quote'))
  const mintedQuote = platform.mintQuote({ reportData })

  it.each(['pck_crl_issuer_chain', 'tcb_info_issuer_chain', 'qe_identity_issuer_chain'] as const)(
    'certificates of %s have the structure of the genuine ones, tag by tag',
    (field) => {
      expect(certificates(minted[field]).map(skeleton)).toEqual(
        certificates(genuine[field]).map(skeleton),
      )
    },
  )

  it('the PCK certificate has the structure of a genuine one, tag by tag', () => {
    const [leaf] = certificates(new TextDecoder('latin1').decode(mintedQuote))
    const [genuineLeaf] = certificates(new TextDecoder('latin1').decode(genuineQuote))
    expect(leaf?.length).toBeGreaterThan(1000)
    expect(skeleton(leaf ?? new Uint8Array())).toEqual(skeleton(genuineLeaf ?? new Uint8Array()))
  })

  it('revocation lists have the structure of genuine ones, tag by tag', () => {
    const crl = (hex: string) => skeleton(Buffer.from(hex, 'hex'))
    expect(crl(minted.root_ca_crl)).toEqual(crl(genuine.root_ca_crl))
    // The genuine list is longer; an entry repeats.
    expect(new Set(crl(minted.pck_crl))).toEqual(new Set(crl(genuine.pck_crl)))
  })

  it('TCB info and QE identity have the properties of the genuine ones, in their order', () => {
    const tcbInfo = (collateral: QuoteCollateral) => JSON.parse(collateral.tcb_info) as TcbInfo
    const identity = (collateral: QuoteCollateral) =>
      JSON.parse(collateral.qe_identity) as QeIdentity
    expect(properties(tcbInfo(minted))).toEqual(properties(tcbInfo(genuine)))
    expect(properties(identity(minted))).toEqual(properties(identity(genuine)))
  })

  it('header and certification data are those of a genuine quote, field by field', () => {
    const buffer = Buffer.from(mintedQuote)
    // Version, key type, TEE type, reserved words and vendor.
    expect(buffer.subarray(0, 28)).toEqual(genuineQuote.subarray(0, 28))
    // Attributes and XFAM of the TD; types and lengths up to the PCK chain.
    expect(buffer.subarray(168, 184)).toEqual(genuineQuote.subarray(168, 184))
    expect(buffer.subarray(764, 766)).toEqual(genuineQuote.subarray(764, 766))
    expect(buffer.subarray(1218, 1254)).toEqual(genuineQuote.subarray(1218, 1254))
    expect(mintedQuote.at(-1)).toBe(0)
  })
})

function certificates(text: string): Uint8Array[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  return blocks.map((block) => new X509Certificate(block).raw)
}

/** Path of tags of every value, with the identifiers that stand in it; lengths are left out. */
function skeleton(bytes: Uint8Array): string[] {
  const lines: string[] = []
  walk(bytes, '', lines)
  return lines
}

function walk(bytes: Uint8Array, path: string, lines: string[]): void {
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at] ?? 0
    const first = bytes[at + 1] ?? 0
    const octets = first < 0x80 ? 0 : first & 0x7f
    let length = first < 0x80 ? first : 0
    for (let index = 0; index < octets; index += 1)
      length = length * 256 + (bytes[at + 2 + index] ?? 0)
    const start = at + 2 + octets
    const content = bytes.subarray(start, start + length)
    const here = `${path}/${tag.toString(16)}`
    lines.push(tag === 0x06 ? `${here} ${Buffer.from(content).toString('hex')}` : here)
    if ((tag & 0x20) !== 0) walk(content, here, lines)
    at = start + length
  }
}

/** Ordered property names by path; optional advisories aside. */
function properties(value: unknown, path = '', found = new Map<string, string>()) {
  if (Array.isArray(value)) {
    value.forEach((each) => properties(each, `${path}[]`, found))
  } else if (typeof value === 'object' && value !== null) {
    const names = Object.keys(value).filter((name) => name !== 'advisoryIDs')
    // SVN components carry labels or none; the first of a list stands for the rest.
    if (!found.has(path)) found.set(path, names.join())
    for (const [name, each] of Object.entries(value)) properties(each, `${path}.${name}`, found)
  }
  return found
}
