import { sha256 } from '@noble/hashes/sha2'
import { utf8 } from '#schemas/bytes.ts'

/** Shorter ones can be guessed; such a deployment has no operator calls rather than weak ones. */
export const shortestTokenCharacters = 16

/**
 * Whether an `Authorization` header carries the operator's bearer token. Both sides are hashed first
 * and compared without an early end, so that neither length nor prefix of the token shows in the time
 * that a refusal takes.
 */
export function isOperator(header: string | undefined, token: string | undefined): boolean {
  if (token === undefined || token.length < shortestTokenCharacters) return false
  const expected = sha256(utf8(`Bearer ${token}`))
  const actual = sha256(utf8(header ?? ''))
  let difference = 0
  for (const [index, byte] of expected.entries()) difference |= byte ^ (actual[index] ?? 0xff)
  return difference === 0
}
