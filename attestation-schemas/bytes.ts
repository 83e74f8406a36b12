import { BaseError } from './errors.ts'

/** Lower-case hex with a `0x` prefix, as the EVM side writes bytes. */
export type Hex = `0x${string}`

/** Raised when text that should be hex is not, or has another length than its field demands. */
export class InvalidHexError extends BaseError {
  override readonly name = 'InvalidHexError'
}

const hexDigits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Bytes as lower-case hex with prefix. */
export function toHex(bytes: Uint8Array): Hex {
  let text = '0x'
  for (const byte of bytes) text += hexDigits[byte]
  return text as Hex
}

/**
 * Hex to bytes, strictly: an even number of digits, prefix optional, nothing else.
 *
 * @param field - Named in the error.
 * @param length - Exact number of bytes, when the field has one.
 * @throws {@link InvalidHexError}
 */
export function fromHex(text: string, field: string, length?: number): Uint8Array {
  const from = text.startsWith('0x') ? 2 : 0
  const digits = text.length - from
  const bytes = new Uint8Array(digits >> 1)
  let isHex = digits % 2 === 0
  for (let at = 0; at < bytes.length && isHex; at += 1) {
    const high = digitValue(text.charCodeAt(from + at * 2))
    const low = digitValue(text.charCodeAt(from + at * 2 + 1))
    isHex = (high | low) >= 0
    bytes[at] = (high << 4) | low
  }
  if (!isHex) {
    throw new InvalidHexError(`${field} is not hex.`, {
      field,
      remedy: 'Write an even number of hexadecimal digits, with or without 0x.',
    })
  }
  if (length !== undefined && digits !== length * 2) {
    throw new InvalidHexError(`${field} has the wrong length.`, {
      field,
      metaMessages: [`Expected: ${length} bytes`, `Actual: ${digits / 2} bytes`],
    })
  }
  return bytes
}

/** The value of a digit's character code; negative for what is no digit. */
function digitValue(code: number): number {
  if (code >= 48 && code <= 57) return code - 48
  if (code >= 97 && code <= 102) return code - 87
  return code >= 65 && code <= 70 ? code - 55 : -1
}

/** All parts in order in one new array. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const joined = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

/** Whether two arrays hold the same bytes. Not constant in time: for public values only. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  for (let index = 0; index < left.length; index += 1) {
    if (left[index] !== right[index]) return false
  }
  return true
}

const encoder = new TextEncoder()

/** UTF-8 bytes of a text. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}
