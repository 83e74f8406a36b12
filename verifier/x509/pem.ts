import { BaseError } from '#schemas/errors.ts'

/** Raised when text is not the PEM that was expected. */
export class InvalidPemError extends BaseError {
  override readonly name = 'InvalidPemError'
}

const begin = '-----BEGIN CERTIFICATE-----'
const end = '-----END CERTIFICATE-----'

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const valueOfCode = new Uint8Array(128).fill(0xff)
for (let index = 0; index < 64; index += 1) valueOfCode[alphabet.charCodeAt(index)] = index

/**
 * The certificates of a PEM text (RFC 7468), in order, as DER. Between the blocks only line breaks
 * and blanks may stand; a chain inside a quote may end in one NUL, which Intel's library writes.
 *
 * @param maximum - More blocks than this are refused before they are decoded.
 * @throws {@link InvalidPemError}
 */
export function readPemCertificates(text: string, what: string, maximum: number): Uint8Array[] {
  const certificates: Uint8Array[] = []
  let position = 0
  for (;;) {
    const start = text.indexOf(begin, position)
    const between = text.slice(position, start < 0 ? text.length : start)
    const filler = start < 0 && between.endsWith('\0') ? between.slice(0, -1) : between
    if (/[^\r\n\t ]/.test(filler)) fail(what, 'holds text outside its certificates')
    if (start < 0) break
    if (certificates.length === maximum) fail(what, `holds more than ${maximum} certificates`)
    const bodyStart = start + begin.length
    const bodyEnd = text.indexOf(end, bodyStart)
    if (bodyEnd < 0) fail(what, 'has a certificate without an end line')
    certificates.push(decodeBase64(text, bodyStart, bodyEnd, what))
    position = bodyEnd + end.length
  }
  if (certificates.length === 0) fail(what, 'holds no certificate')
  return certificates
}

/** Base64 (RFC 4648 §4) with line breaks; padding and unused bits must be exact. */
function decodeBase64(text: string, start: number, stop: number, what: string): Uint8Array {
  const out = new Uint8Array(Math.ceil(((stop - start) * 3) / 4))
  let length = 0
  let buffer = 0
  let bits = 0
  let digits = 0
  let padding = 0
  for (let index = start; index < stop; index += 1) {
    const code = text.charCodeAt(index)
    if (code === 0x0a || code === 0x0d) continue
    if (code === 0x3d) {
      padding += 1
      continue
    }
    const value = code < 128 ? (valueOfCode[code] ?? 0xff) : 0xff
    if (value === 0xff || padding > 0) fail(what, 'has a character that is not base64')
    buffer = ((buffer << 6) | value) & 0xffff
    digits += 1
    bits += 6
    if (bits < 8) continue
    bits -= 8
    out[length] = (buffer >> bits) & 0xff
    length += 1
  }
  const unused = buffer & ((1 << bits) - 1)
  if (padding > 2 || (digits + padding) % 4 !== 0 || unused !== 0 || digits === 0) {
    fail(what, 'is not complete base64')
  }
  return out.subarray(0, length)
}

function fail(what: string, problem: string): never {
  throw new InvalidPemError(`${what} ${problem}.`, {
    remedy: 'Hand in the PEM text as Intel or the quote carries it.',
  })
}
