import { InvalidCborError } from './invalidCborError.ts'

/** CBOR major types (RFC 8949 §3.1). */
export const major = {
  unsigned: 0,
  negative: 1,
  bytes: 2,
  text: 3,
  array: 4,
  map: 5,
  tag: 6,
  simple: 7,
} as const

const twoTo32 = 4_294_967_296
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * A cursor over untrusted CBOR. Every head it accepts has a definite length in its shortest form, so
 * whatever it reads has exactly one encoding; it never allocates by an announced length.
 */
export class CborReader {
  readonly bytes: Uint8Array
  /** Next byte to read. */
  position: number
  /** First byte that is out of bounds. */
  end: number
  /**
   * Argument of the last head: value, length, count or tag. Exact up to 2^53 - 1; beyond that only
   * {@link argumentHigh} and {@link argumentLow} are exact.
   */
  argument = 0
  argumentHigh = 0
  argumentLow = 0
  /** Additional information of the last head; tells a float's width and a simple value. */
  info = 0
  private view: DataView | undefined

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes
    this.position = start
    this.end = end
  }

  /** Moves the cursor to another part of the same bytes. */
  enter(start: number, end: number): this {
    this.position = start
    this.end = end
    return this
  }

  /** Reads one head and answers its major type; {@link argument} and {@link info} hold the rest. */
  readHead(): number {
    const position = this.position
    if (position >= this.end) throw new InvalidCborError('truncated', position)
    const initial = this.bytes[position] ?? 0
    const info = initial & 0x1f
    this.info = info
    this.position = position + 1
    if (info < 24) this.argument = info
    else this.readLongArgument(position, initial >> 5, info)
    return initial >> 5
  }

  /** The next item's major type without reading it; -1 at the end. */
  peekMajor(): number {
    return this.position < this.end ? (this.bytes[this.position] ?? 0) >> 5 : -1
  }

  /** Reads a head that must be of one major type and answers its argument, which must be exact. */
  expect(expectedMajor: number, expected: string): number {
    const at = this.position
    if (this.readHead() !== expectedMajor)
      throw new InvalidCborError('unexpected-type', at, expected)
    if (this.argument > Number.MAX_SAFE_INTEGER) {
      throw new InvalidCborError('too-many-items', at, expected)
    }
    return this.argument
  }

  /** Reads an unsigned 64-bit integer. */
  readUint64(expected: string): bigint {
    const at = this.position
    if (this.readHead() !== major.unsigned) {
      throw new InvalidCborError('unexpected-type', at, expected)
    }
    return this.exactArgument()
  }

  /** The last head's argument, exact over all 64 bits. */
  exactArgument(): bigint {
    if (this.argument <= Number.MAX_SAFE_INTEGER) return BigInt(this.argument)
    return (BigInt(this.argumentHigh) << 32n) | BigInt(this.argumentLow)
  }

  /** Reads a byte string as a view of the input, not a copy. */
  readBytes(expected: string): Uint8Array {
    const length = this.expect(major.bytes, expected)
    return this.take(length)
  }

  /** Reads a text string; its bytes must be valid UTF-8. */
  readText(expected: string): string {
    const at = this.position
    const length = this.expect(major.text, expected)
    return decodeUtf8(this.take(length), at)
  }

  /** Views the next `length` bytes and passes them. */
  take(length: number): Uint8Array {
    const start = this.position
    this.skipBytes(length)
    return this.bytes.subarray(start, this.position)
  }

  /** Passes `length` bytes. */
  skipBytes(length: number): void {
    if (length > this.end - this.position) throw new InvalidCborError('truncated', this.end)
    this.position += length
  }

  /** Reads a count of array items or map pairs, refusing one that the remaining bytes cannot hold. */
  readCount(expectedMajor: number, expected: string): number {
    const at = this.position
    const count = this.expect(expectedMajor, expected)
    const least = expectedMajor === major.map ? count * 2 : count
    if (least > this.end - this.position) throw new InvalidCborError('too-many-items', at, expected)
    return count
  }

  /** The float whose head (`info` 25, 26 or 27) was just read. */
  floatValue(): number {
    this.view ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength)
    if (this.info === 27) return this.view.getFloat64(this.position - 8)
    if (this.info === 26) return this.view.getFloat32(this.position - 4)
    return halfToNumber(this.view.getUint16(this.position - 2))
  }

  /**
   * Passes one whole item, checking that it is well-formed: heads, nesting, UTF-8. Keys of maps are
   * not compared.
   */
  skipItem(maxDepth: number): void {
    const at = this.position
    const kind = this.readHead()
    if (kind < major.bytes) return
    if (kind === major.bytes) {
      this.skipBytes(this.argument)
      return
    }
    if (kind === major.text) {
      decodeUtf8(this.take(this.argument), at)
      return
    }
    if (kind === major.simple) return
    if (maxDepth <= 0) throw new InvalidCborError('too-deep', at)
    const items = kind === major.tag ? 1 : kind === major.map ? this.argument * 2 : this.argument
    if (items > this.end - this.position) throw new InvalidCborError('too-many-items', at)
    for (let item = 0; item < items; item += 1) this.skipItem(maxDepth - 1)
  }

  /** Demands that nothing follows. */
  expectEnd(): void {
    if (this.position !== this.end) throw new InvalidCborError('trailing-bytes', this.position)
  }

  private readLongArgument(at: number, kind: number, info: number): void {
    if (info > 27) {
      throw new InvalidCborError(info === 31 ? 'indefinite-length' : 'reserved-head', at)
    }
    const width = 1 << (info - 24)
    const start = at + 1
    if (width > this.end - start) throw new InvalidCborError('truncated', this.end)
    this.position = start + width
    const bytes = this.bytes
    if (width === 1) {
      const value = bytes[start] ?? 0
      this.argument = value
      // RFC 8949 §3.3: a simple value below 32 in two bytes is not well-formed.
      if (kind === major.simple) {
        if (value < 32) throw new InvalidCborError('invalid-simple', at)
      } else if (value < 24) throw new InvalidCborError('non-shortest-head', at)
      return
    }
    if (width === 2) {
      this.argument = ((bytes[start] ?? 0) << 8) | (bytes[start + 1] ?? 0)
      if (kind !== major.simple && this.argument < 0x100) {
        throw new InvalidCborError('non-shortest-head', at)
      }
      return
    }
    const high = uint32(bytes, start)
    if (width === 4) {
      this.argument = high
      if (kind !== major.simple && high < 0x1_0000) {
        throw new InvalidCborError('non-shortest-head', at)
      }
      return
    }
    this.argumentHigh = high
    this.argumentLow = uint32(bytes, start + 4)
    this.argument = high * twoTo32 + this.argumentLow
    if (kind !== major.simple && high === 0) throw new InvalidCborError('non-shortest-head', at)
  }
}

function uint32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) |
      ((bytes[at + 1] ?? 0) << 16) |
      ((bytes[at + 2] ?? 0) << 8) |
      (bytes[at + 3] ?? 0)) >>>
    0
  )
}

/** Texts up to this length are read byte by byte as long as they are ASCII: most names and units. */
const shortText = 32

/** The UTF-8 text between two places, refusing what is not UTF-8. */
export function textBetween(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > shortText) return decodeUtf8(bytes.subarray(start, end), start)
  let text = ''
  for (let index = start; index < end; index += 1) {
    const byte = bytes[index] ?? 0
    if (byte > 0x7f) return decodeUtf8(bytes.subarray(start, end), start)
    text += String.fromCharCode(byte)
  }
  return text
}

/** UTF-8 to text, refusing what is not UTF-8. */
export function decodeUtf8(bytes: Uint8Array, offset: number): string {
  try {
    return utf8Decoder.decode(bytes)
  } catch {
    throw new InvalidCborError('invalid-utf8', offset)
  }
}

/** An IEEE 754 binary16 as a number (RFC 8949 appendix D). */
function halfToNumber(bits: number): number {
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  const sign = bits & 0x8000 ? -1 : 1
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}
