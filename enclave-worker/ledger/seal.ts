import { createCipheriv, createDecipheriv, hkdfSync, webcrypto } from 'node:crypto'

/**
 * How a frame's body rests on a disk that belongs to the host. `open` throws when the bytes are not
 * what was sealed under that number: a frame cannot be altered, moved or taken from another ledger.
 */
export type Seal = {
  /** Names the sealing in the segment header, so that a ledger is never opened with the wrong one. */
  readonly id: number
  /** What sealing adds to a body, so that offsets are known before a frame is written. */
  readonly overheadBytes: number
  /**
   * Writes the parts of a body, sealed, to `target` at `offset`: body and overhead have room there.
   * Answers a promise where it takes a while; nobody else may write there until it is kept.
   */
  seal(
    number: bigint,
    parts: readonly Uint8Array[],
    target: Uint8Array,
    offset: number,
  ): void | Promise<void>
  open(number: bigint, sealed: Uint8Array): Uint8Array
}

/** For tests and for disks that are encrypted below: bytes rest as they are. */
export const noSeal: Seal = {
  id: 0,
  overheadBytes: 0,
  seal: (_, parts, target, offset) => {
    let at = offset
    for (const part of parts) {
      target.set(part, at)
      at += part.length
    }
  },
  open: (_, sealed) => sealed,
}

const tagBytes = 16
const nonceBytes = 12
/** Sealed piece by piece: fresh memory for a whole roster costs more than the cipher does. */
const pieceBytes = 64 * 1024
/**
 * Larger bodies are sealed beside the main thread. Each piece of the others is fresh memory that the
 * collector is told about: beside a million assignments 300 MB of them took four seconds.
 */
const largeBytes = 1024 * 1024

/**
 * AES-256-GCM under a key that only this application's enclaves can derive. The frame number alone
 * cannot be the nonce: after a crash the same number is written again with other content, and a
 * host that kept the torn frame would hold two messages under one nonce. The key of each frame is
 * therefore derived from a random salt that travels with it, and the number is authenticated.
 */
export function createSeal(
  key: Uint8Array,
  context: Uint8Array,
  randomBytes: (length: number) => Uint8Array,
): Seal {
  const frameKey = (salt: Uint8Array): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', key, salt, context, 32))
  const nonce = new Uint8Array(nonceBytes)
  const numberBytes = (number: bigint): Uint8Array => {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigUint64(0, number)
    return bytes
  }
  const saltBytes = 32

  async function sealLarge(
    number: bigint,
    parts: readonly Uint8Array[],
    target: Uint8Array,
    offset: number,
  ): Promise<void> {
    const salt = randomBytes(saltBytes)
    target.set(salt, offset)
    const start = offset + saltBytes
    let end = start
    for (const part of parts) {
      target.set(part, end)
      end += part.length
    }
    const { subtle } = webcrypto
    const large = await subtle.importKey('raw', frameKey(salt), 'AES-GCM', false, ['encrypt'])
    const algorithm = { name: 'AES-GCM', iv: nonce, additionalData: numberBytes(number) }
    // Ciphertext and tag, one behind the other: the same bytes as below.
    const sealed = await subtle.encrypt(algorithm, large, target.subarray(start, end))
    target.set(new Uint8Array(sealed), start)
    // Given back at once: the collector would let many of them gather first.
    sealed.transfer(0)
  }

  return {
    id: 1,
    overheadBytes: saltBytes + tagBytes,
    seal: (number, parts, target, offset) => {
      const bytes = parts.reduce((sum, part) => sum + part.length, 0)
      if (bytes > largeBytes) return sealLarge(number, parts, target, offset)
      const salt = randomBytes(saltBytes)
      const cipher = createCipheriv('aes-256-gcm', frameKey(salt), nonce)
      cipher.setAAD(numberBytes(number))
      target.set(salt, offset)
      let at = offset + saltBytes
      for (const part of parts) {
        for (let from = 0; from < part.length; from += pieceBytes) {
          target.set(cipher.update(part.subarray(from, from + pieceBytes)), at)
          at += Math.min(pieceBytes, part.length - from)
        }
      }
      cipher.final()
      target.set(cipher.getAuthTag(), at)
      return undefined
    },
    open: (number, sealed) => {
      const salt = sealed.subarray(0, saltBytes)
      const decipher = createDecipheriv('aes-256-gcm', frameKey(salt), nonce)
      decipher.setAAD(numberBytes(number))
      decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes))
      const body = decipher.update(sealed.subarray(saltBytes, sealed.length - tagBytes))
      decipher.final()
      return new Uint8Array(body.buffer, body.byteOffset, body.length)
    },
  }
}
