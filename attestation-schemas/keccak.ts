import { keccak_256 } from '@noble/hashes/sha3'
import { type Hex, concatBytes, toHex, utf8 } from './bytes.ts'

/** Keccak-256 of all parts in order, as Ethereum uses it (not FIPS 202 SHA3-256). */
export function keccak(...parts: readonly Uint8Array[]): Uint8Array {
  return keccak_256(parts.length === 1 && parts[0] !== undefined ? parts[0] : concatBytes(...parts))
}

/** Keccak-256 of a text's UTF-8 bytes, as hex. */
export function keccakText(text: string): Hex {
  return toHex(keccak(utf8(text)))
}
