import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toPem } from '#localnet/tdx/pem.ts'
import { InvalidPemError, readPemCertificates } from '#verifier/x509/pem.ts'

const pem = (bytes: Uint8Array) => toPem('CERTIFICATE', bytes)
const read = (text: string, maximum = 3) => readPemCertificates(text, 'chain', maximum)

describe('readPemCertificates', () => {
  it('gives back what was wrapped, in order', () => {
    const der = fc.uint8Array({ minLength: 1, maxLength: 300 })
    fc.assert(
      fc.property(fc.array(der, { minLength: 1, maxLength: 3 }), (certificates) => {
        expect(read(certificates.map(pem).join('')).map((bytes) => [...bytes])).toEqual(
          certificates.map((bytes) => [...bytes]),
        )
      }),
    )
  })

  it('takes Windows line breaks, and one NUL behind the chain', () => {
    const text = pem(Uint8Array.of(1, 2, 3))
    expect(read(text.replaceAll('\n', '\r\n'))).toEqual([Uint8Array.of(1, 2, 3)])
    expect(read(`${text}\0`)).toEqual([Uint8Array.of(1, 2, 3)])
  })

  const block = (body: string) =>
    `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`

  it.each([
    ['nothing', ''],
    ['text before the block', `x${block('AQID')}`],
    ['text between blocks', `${block('AQID')}x${block('AQID')}`],
    ['text behind the block', `${block('AQID')}x`],
    ['two NULs behind the block', `${block('AQID')}\0\0`],
    ['a NUL between blocks', `${block('AQID')}\0${block('AQID')}`],
    ['no end line', '-----BEGIN CERTIFICATE-----\nAQID\n'],
    ['a private key', block('AQID').replaceAll('CERTIFICATE', 'PRIVATE KEY')],
    ['an empty block', block('')],
    ['a foreign character', block('AQ*D')],
    ['a blank within a line', block('AQ ID')],
    ['the alphabet for URLs', block('AQ-_')],
    ['missing padding', block('AQI')],
    ['padding in the middle', block('AQ==AQID')],
    ['three pads', block('A===')],
    ['unused bits that are set', block('AQJ=')],
    ['more blocks than allowed', block('AQID').repeat(4)],
  ])('refuses %s', (_, text) => {
    expect(() => read(text)).toThrow(InvalidPemError)
  })
})
