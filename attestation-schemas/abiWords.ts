import { type Hex, fromHex } from './bytes.ts'
import { BaseError } from './errors.ts'

/** Raised when a value does not fit the ABI type that its field has. */
export class AbiRangeError extends BaseError {
  override readonly name = 'AbiRangeError'
}

/** The static ABI types that our signed structures are made of. */
export type WordType =
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'uint128'
  | 'uint256'
  | 'int128'
  | 'address'
  | 'bytes16'
  | 'bytes32'

export type WordField = { readonly name: string; readonly type: WordType }

/** The values that each integer type holds, both ends included. */
const integerRanges: Readonly<Record<string, readonly [bigint, bigint]>> = Object.fromEntries([
  ...([8, 16, 32, 64, 128, 256] as const).map((bits) => [
    `uint${bits}`,
    [0n, 2n ** BigInt(bits) - 1n],
  ]),
  ['int128', [-(2n ** 127n), 2n ** 127n - 1n]],
])

const below64Bits = 2n ** 64n

function writeInteger(words: DataView, offset: number, value: bigint, field: WordField): void {
  const [low, high] = integerRanges[field.type] ?? [0n, -1n]
  if (value < low || value > high) {
    throw new AbiRangeError(`${field.name} is out of range.`, {
      field: field.name,
      metaMessages: [`Actual: ${value}`, `Allowed: ${low} to ${high}`],
    })
  }
  words.setBigUint64(offset + 24, BigInt.asUintN(64, value))
  if (value >= 0n && value < below64Bits) return
  words.setBigUint64(offset + 16, BigInt.asUintN(64, value >> 64n))
  words.setBigUint64(offset + 8, BigInt.asUintN(64, value >> 128n))
  words.setBigUint64(offset, BigInt.asUintN(64, value >> 192n))
}

/** Bytes that a type takes, and how far from the left of its word they begin. */
const byteTypes: Readonly<Record<string, readonly [length: number, from: number]>> = {
  bytes32: [32, 0],
  bytes16: [16, 0],
  address: [20, 12],
}

/** Writes a value where the words are zero still. */
function writeWord(
  words: DataView,
  offset: number,
  value: bigint | number | Hex,
  field: WordField,
): void {
  const bytes = byteTypes[field.type]
  if (bytes !== undefined) {
    const [length, from] = bytes
    const written = fromHex(String(value), field.name, length)
    new Uint8Array(words.buffer).set(written, offset + from)
    return
  }
  if (typeof value === 'string' || (typeof value === 'number' && !Number.isSafeInteger(value))) {
    throw new AbiRangeError(`${field.name} is not an integer.`, { field: field.name })
  }
  writeInteger(words, offset, BigInt(value), field)
}

/**
 * One 32-byte word as `abi.encode` writes it.
 *
 * @throws {@link AbiRangeError} | {@link InvalidHexError}
 * @see Contract ABI Specification, Solidity 0.8.37, "Formal Specification of the Encoding"
 */
export function abiWord(value: bigint | number | Hex, field: WordField): Uint8Array {
  const word = new Uint8Array(32)
  writeWord(new DataView(word.buffer), 0, value, field)
  return word
}

/** A static structure as `abi.encode` writes it: its fields' words in order. */
export function abiWords(
  fields: readonly WordField[],
  values: Readonly<Record<string, bigint | number | Hex>>,
): Uint8Array {
  const words = new Uint8Array(fields.length * 32)
  const view = new DataView(words.buffer)
  for (const [index, field] of fields.entries()) {
    const value = values[field.name]
    if (value === undefined) {
      throw new AbiRangeError(`${field.name} is missing.`, { field: field.name })
    }
    writeWord(view, index * 32, value, field)
  }
  return words
}

/**
 * Reads the words of a static structure back, refusing every byte that `abi.encode` would not write
 * (dirty padding, wrong length), as a Solidity decoder does.
 *
 * @throws {@link AbiRangeError}
 */
export function readAbiWords(
  fields: readonly WordField[],
  bytes: Uint8Array,
  structure: string,
): Record<string, bigint | Hex> {
  if (bytes.length !== fields.length * 32) {
    throw new AbiRangeError(`${structure} has the wrong length.`, {
      field: structure,
      metaMessages: [`Expected: ${fields.length * 32} bytes`, `Actual: ${bytes.length} bytes`],
    })
  }
  const values: Record<string, bigint | Hex> = {}
  for (const [index, field] of fields.entries()) {
    const word = bytes.subarray(index * 32, index * 32 + 32)
    let hex: Hex = '0x'
    for (const byte of word) hex += byte.toString(16).padStart(2, '0')
    const raw = BigInt(hex)
    let value: bigint | Hex
    if (field.type === 'bytes32') value = hex
    else if (field.type === 'bytes16') value = `0x${hex.slice(2, 34)}`
    else if (field.type === 'address') value = `0x${hex.slice(26)}`
    else if (field.type === 'int128') value = BigInt.asIntN(256, raw)
    else value = raw
    // Encoding again is the range check: a value the type cannot hold, or padding that is not its
    // sign extension, cannot come back to the same word.
    const again = abiWord(value, field)
    if (again.some((byte, at) => byte !== word[at])) {
      throw new AbiRangeError(`${field.name} holds bytes that its type cannot.`, {
        field: field.name,
      })
    }
    values[field.name] = value
  }
  return values
}
