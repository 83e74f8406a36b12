import { ed25519 } from '@noble/curves/ed25519'
import { secp256k1 } from '@noble/curves/secp256k1'
import { type Hex, toHex } from '#schemas/bytes.ts'
import { addressOf, signDigest } from '#schemas/signatures.ts'

/**
 * The keys of one boot. They are made inside the enclave, stay in this closure, are never written
 * anywhere and end with the process: a signature by them says that this very process ran.
 */
export type BootKeys = {
  readonly signer: Hex
  readonly ed25519PublicKey: Hex
  /** Signature of an EIP-712 digest, as contracts recover it. */
  sign(digest: Hex): Hex
  /** The secp256k1 key for this process's own threads, which sign receipts; nobody else gets it. */
  forThreads(): Uint8Array
}

/** @param randomBytes - The enclave's own random source. */
export function createBootKeys(randomBytes: (length: number) => Uint8Array): BootKeys {
  // 48 bytes reduced to the group order leave a bias below 2^-128 (FIPS 186-5, appendix A.2.1).
  const secret = secp256k1.CURVE.n
  const seed = randomBytes(48)
  let scalar = 0n
  for (const byte of seed) scalar = (scalar << 8n) | BigInt(byte)
  scalar = (scalar % (secret - 1n)) + 1n
  const privateKey = new Uint8Array(32)
  for (let index = 31; index >= 0; index -= 1) {
    privateKey[index] = Number(scalar & 0xffn)
    scalar >>= 8n
  }
  const edwardsSeed = randomBytes(32)
  return {
    signer: addressOf(secp256k1.getPublicKey(privateKey, false)),
    ed25519PublicKey: toHex(ed25519.getPublicKey(edwardsSeed)),
    sign: (digest) => signDigest(digest, privateKey),
    forThreads: () => privateKey.slice(),
  }
}
