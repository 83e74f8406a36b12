import { createHash, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '#schemas/bytes.ts'
import { createPlatform } from '#localnet/tdx/platform.ts'
import { intelRootCertificate } from '#verifier/collateral/intelRootCertificate.ts'
import { nodeCrypto } from '#verifier/crypto/adapters/nodeCrypto.ts'
import { parseCertificate } from '#verifier/x509/certificate.ts'
import { parseCrl } from '#verifier/x509/crl.ts'
import { InvalidDerError } from '#verifier/x509/der.ts'
import { extensionOid, findExtension } from '#verifier/x509/certificate.ts'
import { parseSgxExtension } from '#verifier/x509/sgxExtension.ts'

const now = 1_790_000_000
const platform = createPlatform({ now })
const { certificates } = platform
const crl = Buffer.from(platform.collateral().pck_crl, 'hex')
const extension = findExtension(parseCertificate(certificates.pck, 'It'), extensionOid.sgx)

describe('Intel’s root certificate', () => {
  it('is the one with the published fingerprint', () => {
    expect(createHash('sha256').update(intelRootCertificate).digest('hex')).toBe(
      '44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3',
    )
  })

  it('signed itself', () => {
    const root = parseCertificate(intelRootCertificate, 'It')
    expect(nodeCrypto.verifyP256(root.publicKey, root.signedBytes, root.signature)).toBe(true)
    expect(root.subjectCommonName).toBe('Intel SGX Root CA')
    expect(root.notAfterUnixSeconds).toBe(Date.UTC(2049, 11, 31, 23, 59, 59) / 1000)
  })
})

describe('parseCertificate', () => {
  it.each(['root', 'pckCa', 'pck', 'tcbSigning'] as const)(
    'reads the %s certificate as node:crypto does',
    (name) => {
      const certificate = parseCertificate(certificates[name], 'It')
      const other = new X509Certificate(certificates[name])
      expect(certificate.serial).toBe(other.serialNumber.toLowerCase())
      expect(certificate.notBeforeUnixSeconds * 1000).toBe(Date.parse(other.validFrom))
      expect(certificate.notAfterUnixSeconds * 1000).toBe(Date.parse(other.validTo))
      expect(other.subject).toContain(`CN=${certificate.subjectCommonName}`)
      expect(certificate.basicConstraints?.isCa).toBe(other.ca)
      const { x, y } = other.publicKey.export({ format: 'jwk' })
      expect(Buffer.from(certificate.publicKey).toString('base64url')).toBe(
        Buffer.concat([
          Buffer.from(x ?? '', 'base64url'),
          Buffer.from(y ?? '', 'base64url'),
        ]).toString('base64url'),
      )
    },
  )

  it('reads a changed certificate or refuses it as InvalidDerError', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(certificates.pck.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.nat(3),
        (changes, cut) => {
          const changed = Uint8Array.from(certificates.pck)
          for (const [at, byte] of changes) changed[at] = byte
          const bytes = changed.subarray(0, changed.length - cut)
          expect(isReadOrRefused(() => parseCertificate(bytes, 'It'))).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('parseCrl', () => {
  it('reads a changed list or refuses it as InvalidDerError', () => {
    fc.assert(
      fc.property(fc.nat(crl.length - 1), fc.nat(255), fc.nat(3), (at, byte, cut) => {
        const changed = Uint8Array.from(crl)
        changed[at] = byte
        const bytes = changed.subarray(0, changed.length - cut)
        expect(isReadOrRefused(() => parseCrl(bytes, 'It'))).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})

describe('parseSgxExtension', () => {
  it('finds PPID and family', () => {
    const sgx = parseSgxExtension(extension ?? new Uint8Array())
    expect(toHex(sgx.ppid)).toBe(toHex(platform.ppid))
    expect(toHex(sgx.fmspc)).toBe(toHex(platform.fmspc))
  })

  it('reads a changed extension or refuses it as InvalidDerError', () => {
    const honest = extension ?? new Uint8Array()
    fc.assert(
      fc.property(fc.nat(honest.length - 1), fc.nat(255), (at, byte) => {
        const changed = Uint8Array.from(honest)
        changed[at] = byte
        expect(isReadOrRefused(() => parseSgxExtension(changed))).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})

/** Anything but InvalidDerError goes through. */
function isReadOrRefused(read: () => unknown): boolean {
  try {
    return read() !== undefined
  } catch (error) {
    if (error instanceof InvalidDerError) return true
    throw error
  }
}
