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

const unsignedBits = { uint8: 8, uint16: 16, uint32: 32, uint64: 64, uint128: 128, uint256: 256 }

function integerWord(value: bigint, low: bigint, high: bigint, field: string): Uint8Array {
  if (value < low || value > high) {
    throw new AbiRangeError(`${field} is out of range.`, {
      field,
      metaMessages: [`Actual: ${value}`, `Allowed: ${low} to ${high}`],
    })
  }
  const word = new Uint8Array(32)
  const view = new DataView(word.buffer)
  const bits = BigInt.asUintN(256, value)
  view.setBigUint64(0, bits >> 192n)
  view.setBigUint64(8, BigInt.asUintN(64, bits >> 128n))
  view.setBigUint64(16, BigInt.asUintN(64, bits >> 64n))
  view.setBigUint64(24, BigInt.asUintN(64, bits))
  return word
}

/**
 * One 32-byte word as `abi.encode` writes it.
 *
 * @throws {@link AbiRangeError} | {@link InvalidHexError}
 * @see Contract ABI Specification, Solidity 0.8.37, "Formal Specification of the Encoding"
 */
export function abiWord(value: bigint | number | Hex, { name, type }: WordField): Uint8Array {
  if (type === 'bytes32') return fromHex(String(value), name, 32)
  if (type === 'bytes16') {
    const word = new Uint8Array(32)
    word.set(fromHex(String(value), name, 16))
    return word
  }
  if (type === 'address') {
    const word = new Uint8Array(32)
    word.set(fromHex(String(value), name, 20), 12)
    return word
  }
  if (typeof value === 'string' || (typeof value === 'number' && !Number.isSafeInteger(value))) {
    throw new AbiRangeError(`${name} is not an integer.`, { field: name })
  }
  if (type === 'int128') {
    return integerWord(BigInt(value), -(2n ** 127n), 2n ** 127n - 1n, name)
  }
  return integerWord(BigInt(value), 0n, 2n ** BigInt(unsignedBits[type]) - 1n, name)
}

/** A static structure as `abi.encode` writes it: its fields' words in order. */
export function abiWords(
  fields: readonly WordField[],
  values: Readonly<Record<string, bigint | number | Hex>>,
): Uint8Array {
  const words = new Uint8Array(fields.length * 32)
  for (const [index, field] of fields.entries()) {
    const value = values[field.name]
    if (value === undefined) {
      throw new AbiRangeError(`${field.name} is missing.`, { field: field.name })
    }
    words.set(abiWord(value, field), index * 32)
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
