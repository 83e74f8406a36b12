import { secp256k1 } from '@noble/curves/secp256k1'
import { keccak_256 } from '@noble/hashes/sha3'
import { concatBytes, fromHex, InvalidHexError, toHex, utf8, type Hex } from '#schemas/bytes.ts'
import { refusal } from '../appraisal/errors.ts'

export type KmsKeyClaim = {
  /**
   * The public key in question: compressed secp256k1 (33 bytes), or Ed25519 (32 bytes). Take it from
   * the private key or from a signature; never from whoever hands over the chain.
   */
  readonly publicKey: Hex
  /** The `purpose` that `GetKey` was asked with. It is signed, but it does not change the key. */
  readonly purpose: string
  /** 20 bytes. */
  readonly appId: Hex
  /** `signature_chain` of `GetKey`: twice r ‖ s ‖ recovery id, 65 bytes. */
  readonly signatureChain: readonly Hex[]
  /** Compressed root key of the KMS, pinned: `kmsInfo.k256Pubkey` of its contract. */
  readonly kmsRoot: Hex
}

/**
 * Verifies that a key was derived for an app by a KMS: the app key signed the derived key, and the
 * pinned root signed the app key.
 *
 * 1. Keccak-256 of `purpose ":" hex(public key)`, signed by the app key;
 * 2. Keccak-256 of `dstack-kms-issued:` ‖ app id ‖ compressed app key, signed by the root.
 *
 * Such a key is shared by all instances of the app for ever, and removing a compose hash does not take
 * it back: it is good for identity and sealing, and no basis for settlement.
 *
 * @returns The compressed app key.
 * @throws {@link DstackEvidenceError} `KmsChainMalformed`, `KmsSignatureInvalid`, `KmsRootMismatch`.
 * @see Dstack-TEE/dstack, `kms/src/crypto.rs` and `guest-agent/src/rpc_service.rs`
 */
export function verifyKmsKey(claim: KmsKeyClaim): { readonly appPublicKey: Hex } {
  const publicKey = readBytes(claim.publicKey, 'publicKey')
  const appId = readBytes(claim.appId, 'appId', 20)
  const kmsRoot = readBytes(claim.kmsRoot, 'kmsRoot', 33)
  const [overKey, overApp, ...more] = claim.signatureChain
  if (overKey === undefined || overApp === undefined || more.length > 0) {
    throw malformed('signatureChain', 'does not hold two signatures')
  }
  if (publicKey.length !== 33 && publicKey.length !== 32) {
    throw malformed('publicKey', 'is neither a compressed secp256k1 nor an Ed25519 key')
  }
  const appKey = recover(
    overKey,
    keccak_256(utf8(`${claim.purpose}:${toHex(publicKey).slice(2)}`)),
    'signatureChain[0]',
  )
  const root = recover(
    overApp,
    keccak_256(concatBytes(utf8('dstack-kms-issued:'), appId, appKey)),
    'signatureChain[1]',
  )
  if (toHex(root) !== toHex(kmsRoot)) {
    throw refusal('KmsRootMismatch', 'The chain does not lead to the pinned KMS root.', {
      field: 'signatureChain',
      metaMessages: [`Expected: ${toHex(kmsRoot)}`, `Actual: ${toHex(root)}`],
      remedy:
        'Key, purpose, app id and root must all be the true ones; any other gives another root.',
    })
  }
  return { appPublicKey: toHex(appKey) }
}

function recover(signature: Hex, digest: Uint8Array, field: string): Uint8Array {
  const bytes = readBytes(signature, field, 65)
  const recovery = bytes[64] ?? 0xff
  if (recovery > 1) throw malformed(field, 'has a recovery id other than 0 and 1')
  try {
    const parsed = secp256k1.Signature.fromCompact(bytes.subarray(0, 64)).addRecoveryBit(recovery)
    // dstack signs with low s; the other form would let anyone write the chain in a second way.
    if (!parsed.hasHighS()) return parsed.recoverPublicKey(digest).toRawBytes(true)
  } catch (cause) {
    throw refusal('KmsSignatureInvalid', 'A signature of the chain belongs to no key.', {
      field,
      cause,
    })
  }
  throw refusal('KmsSignatureInvalid', 'A signature of the chain is not in its low form.', {
    field,
  })
}

function readBytes(hex: Hex, field: string, length?: number): Uint8Array {
  try {
    return fromHex(hex, field, length)
  } catch (cause) {
    if (!(cause instanceof InvalidHexError)) throw cause
    throw refusal('KmsChainMalformed', cause.shortMessage, { field, cause })
  }
}

function malformed(field: string, problem: string) {
  return refusal('KmsChainMalformed', `${field} ${problem}.`, { field })
}
