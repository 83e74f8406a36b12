import { equalBytes } from '../bytes.ts'

/**
 * The shortest of binary16, binary32 and binary64 that keeps the value, with its head; NaN is the
 * quiet half-precision one.
 *
 * @see RFC 8949 §4.1 and §4.2.2
 */
export function preferredFloat(value: number): Uint8Array {
  if (Number.isNaN(value)) return Uint8Array.of(0xf9, 0x7e, 0x00)
  const half = toHalf(value)
  if (half !== undefined) return Uint8Array.of(0xf9, half >> 8, half & 0xff)
  const encoded = new Uint8Array(Object.is(Math.fround(value), value) ? 5 : 9)
  const view = new DataView(encoded.buffer)
  if (encoded.length === 5) {
    encoded[0] = 0xfa
    view.setFloat32(1, value)
  } else {
    encoded[0] = 0xfb
    view.setFloat64(1, value)
  }
  return encoded
}

/** Whether these bytes are the preferred encoding of this float. */
export function isPreferredFloat(encoded: Uint8Array, value: number): boolean {
  return equalBytes(encoded, preferredFloat(value))
}

/** The binary16 bits of a value, or `undefined` when none has exactly this value. */
function toHalf(value: number): number | undefined {
  const sign = Object.is(value, -0) || value < 0 ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (magnitude === 0) return sign
  if (magnitude === Infinity) return sign | 0x7c00
  if (magnitude > 65_504) return undefined
  // 2^-14 is the smallest normal binary16; below it the step is 2^-24.
  const exponent = Math.max(Math.floor(Math.log2(magnitude)), -14)
  let steps = magnitude / 2 ** (exponent - 10)
  if (!Number.isInteger(steps)) return undefined
  let biased = exponent + 15
  // log2 may land one off at the borders of a binade.
  if (steps >= 2048) {
    steps /= 2
    biased += 1
    if (!Number.isInteger(steps)) return undefined
  }
  if (steps < 1024) return exponent === -14 ? sign | steps : undefined
  return sign | (biased << 10) | (steps - 1024)
}
