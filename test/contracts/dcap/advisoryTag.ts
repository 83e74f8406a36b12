import { keccak_256 } from '@noble/hashes/sha3'
import { type Hex, toHex, utf8 } from '#schemas/bytes.ts'

/** How the contracts name an advisory: the first four bytes of Keccak-256 of its name. */
export function advisoryTag(name: string): Hex {
  return toHex(keccak_256(utf8(name)).subarray(0, 4))
}
