import { createHmac, timingSafeEqual } from 'node:crypto'
import { type Hex, fromHex, toHex } from '#schemas/bytes.ts'

/** How long a device has to answer. */
export const nonceLifetimeMs = 300_000

/**
 * Nonces that need no memory: 8 bytes of time, 8 random, 16 of an HMAC under a key of this boot.
 * A million askers cost nothing, and a nonce of an earlier boot is worth nothing.
 */
export type Nonces = {
  issue(): { readonly nonce: Hex; readonly expiresAtMs: number }
  isFresh(nonce: Hex): boolean
}

export function createNonces(
  randomBytes: (length: number) => Uint8Array,
  nowMs: () => number,
): Nonces {
  const secret = randomBytes(32)
  const tag = (head: Uint8Array): Uint8Array =>
    createHmac('sha256', secret).update(head).digest().subarray(0, 16)
  return {
    issue() {
      const issuedMs = nowMs()
      const bytes = new Uint8Array(32)
      new DataView(bytes.buffer).setBigUint64(0, BigInt(issuedMs))
      bytes.set(randomBytes(8), 8)
      bytes.set(tag(bytes.subarray(0, 16)), 16)
      return { nonce: toHex(bytes), expiresAtMs: issuedMs + nonceLifetimeMs }
    },
    isFresh(nonce) {
      const bytes = fromHex(nonce, 'nonce', 32)
      if (!timingSafeEqual(tag(bytes.subarray(0, 16)), bytes.subarray(16))) return false
      const issuedMs = Number(new DataView(bytes.buffer).getBigUint64(0))
      const ageMs = nowMs() - issuedMs
      return ageMs >= 0 && ageMs <= nonceLifetimeMs
    },
  }
}
