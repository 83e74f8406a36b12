import { secp256k1 } from '@noble/curves/secp256k1'
import { type Hex, fromHex, toHex } from './bytes.ts'
import { BaseError } from './errors.ts'
import { keccak } from './keccak.ts'

/** Raised when a signature is not one that the EVM side would accept. */
export class InvalidSignatureError extends BaseError {
  override readonly name = 'InvalidSignatureError'
}

/** The address of an uncompressed or compressed secp256k1 public key. */
export function addressOf(publicKey: Uint8Array): Hex {
  const uncompressed = secp256k1.ProjectivePoint.fromHex(publicKey).toRawBytes(false)
  return toHex(keccak(uncompressed.subarray(1)).subarray(12))
}

/**
 * Signs a digest: r ‖ s ‖ v, s in the lower half, v 27 or 28, nonce by RFC 6979, so that the same
 * digest always gives the same signature and no random source can leak the key.
 */
export function signDigest(digest: Hex, privateKey: Uint8Array): Hex {
  const signature = secp256k1.sign(fromHex(digest, 'digest', 32), privateKey, { lowS: true })
  const bytes = new Uint8Array(65)
  bytes.set(signature.toCompactRawBytes())
  bytes[64] = 27 + signature.recovery
  return toHex(bytes)
}

/**
 * The address that signed a digest.
 *
 * @throws {@link InvalidSignatureError} for a wrong length, v other than 27 or 28, s in the upper
 *   half, or values that lead to no key: whatever OpenZeppelin's `ECDSA.recover` refuses.
 */
export function recoverSigner(digest: Hex, signature: Hex): Hex {
  const bytes = fromHex(signature, 'signature')
  const recoveryByte = bytes[64]
  if (bytes.length !== 65 || (recoveryByte !== 27 && recoveryByte !== 28)) {
    throw new InvalidSignatureError('A signature has 65 bytes and ends in 27 or 28.', {
      field: 'signature',
      metaMessages: [`Actual: ${bytes.length} bytes`],
    })
  }
  try {
    const parsed = secp256k1.Signature.fromCompact(bytes.subarray(0, 64))
    if (parsed.hasHighS()) throw new InvalidSignatureError('s is in the upper half of its range.')
    const point = parsed
      .addRecoveryBit(recoveryByte - 27)
      .recoverPublicKey(fromHex(digest, 'digest', 32))
    return addressOf(point.toRawBytes(false))
  } catch (cause) {
    throw new InvalidSignatureError('The signature leads to no signer.', {
      field: 'signature',
      cause,
    })
  }
}
