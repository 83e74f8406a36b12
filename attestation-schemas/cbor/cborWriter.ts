import { utf8 } from '../bytes.ts'
import { major } from './cborReader.ts'

/** Builds CBOR whose every head is in its shortest form; order of map keys is the caller's. */
export class CborWriter {
  private buffer = new Uint8Array(256)
  private length = 0

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.buffer.slice(0, this.length)
  }

  head(kind: number, argument: number | bigint): this {
    const initial = kind << 5
    if (argument < 24) return this.byte(initial | Number(argument))
    if (argument < 0x100) return this.byte(initial | 24).uint(Number(argument), 1)
    if (argument < 0x1_0000) return this.byte(initial | 25).uint(Number(argument), 2)
    if (argument < 0x1_0000_0000) return this.byte(initial | 26).uint(Number(argument), 4)
    const wide = BigInt(argument)
    return this.byte(initial | 27)
      .uint(Number(wide >> 32n), 4)
      .uint(Number(wide & 0xffff_ffffn), 4)
  }

  integer(value: number | bigint): this {
    if (value >= 0) return this.head(major.unsigned, value)
    return this.head(major.negative, typeof value === 'bigint' ? -1n - value : -1 - value)
  }

  bytes(value: Uint8Array): this {
    return this.head(major.bytes, value.length).raw(value)
  }

  text(value: string): this {
    const encoded = utf8(value)
    return this.head(major.text, encoded.length).raw(encoded)
  }

  array(count: number): this {
    return this.head(major.array, count)
  }

  map(pairs: number): this {
    return this.head(major.map, pairs)
  }

  tag(value: number): this {
    return this.head(major.tag, value)
  }

  boolean(value: boolean): this {
    return this.byte(value ? 0xf5 : 0xf4)
  }

  /** Bytes that are CBOR already. */
  raw(encoded: Uint8Array): this {
    this.reserve(encoded.length)
    this.buffer.set(encoded, this.length)
    this.length += encoded.length
    return this
  }

  byte(value: number): this {
    this.reserve(1)
    this.buffer[this.length] = value
    this.length += 1
    return this
  }

  private uint(value: number, width: number): this {
    this.reserve(width)
    for (let index = width - 1; index >= 0; index -= 1) {
      this.buffer[this.length + index] = value & 0xff
      value = Math.floor(value / 256)
    }
    this.length += width
    return this
  }

  private reserve(extra: number): void {
    if (this.length + extra <= this.buffer.length) return
    const grown = new Uint8Array(Math.max(this.buffer.length * 2, this.length + extra))
    grown.set(this.buffer.subarray(0, this.length))
    this.buffer = grown
  }
}
