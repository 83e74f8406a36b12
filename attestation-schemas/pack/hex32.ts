import type { Hex } from '../bytes.ts'

/** Character codes of the two digits of every byte. */
const digitCodes = new Uint16Array(512)
for (let byte = 0; byte < 256; byte += 1) {
  const digits = byte.toString(16).padStart(2, '0')
  digitCodes[byte * 2] = digits.charCodeAt(0)
  digitCodes[byte * 2 + 1] = digits.charCodeAt(1)
}

/**
 * 32 bytes as hex, as `toHex` writes them, on the path that every pack takes: four bytes at a time,
 * since a text put together from single bytes costs more to compare than to make.
 */
export function hex32(bytes: Uint8Array, start: number): Hex {
  let text = '0x'
  for (let index = start; index < start + 32; index += 4) {
    const first = (bytes[index] ?? 0) * 2
    const second = (bytes[index + 1] ?? 0) * 2
    const third = (bytes[index + 2] ?? 0) * 2
    const fourth = (bytes[index + 3] ?? 0) * 2
    text += String.fromCharCode(
      digitCodes[first] ?? 0,
      digitCodes[first + 1] ?? 0,
      digitCodes[second] ?? 0,
      digitCodes[second + 1] ?? 0,
      digitCodes[third] ?? 0,
      digitCodes[third + 1] ?? 0,
      digitCodes[fourth] ?? 0,
      digitCodes[fourth + 1] ?? 0,
    )
  }
  return text as Hex
}
