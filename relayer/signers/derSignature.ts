import { secp256k1 } from '@noble/curves/secp256k1'
import { toHex as toText } from '#schemas/bytes.ts'
import type { Hex } from '#schemas/bytes.ts'
import { addressOf } from '#schemas/signatures.ts'
import { WrongSignatureError } from './signerErrors.ts'

/** A signature as a transaction carries it. */
export type TransactionSignature = {
  readonly r: Hex
  readonly s: Hex
  readonly yParity: 0 | 1
}

/**
 * What a key management service answers (an ECDSA signature in DER, either half of s, no recovery
 * bit) as what a chain wants: s in the lower half, and the parity that leads back to the sender.
 *
 * @param der - `SEQUENCE { r INTEGER, s INTEGER }`, RFC 3279 §2.2.3, in strict DER.
 * @throws {@link WrongSignatureError} when it is no such signature, or not one of this address
 * @see EIP-2, which outlaws the upper half of s
 */
export function signatureOfDer(
  der: Uint8Array,
  digest: Uint8Array,
  address: Hex,
): TransactionSignature {
  let signature: InstanceType<typeof secp256k1.Signature>
  try {
    signature = secp256k1.Signature.fromDER(der).normalizeS()
  } catch (cause) {
    throw new WrongSignatureError('The signer’s answer is not an ECDSA signature in DER.', {
      metaMessages: [`Its length: ${der.length} bytes`],
      cause,
    })
  }
  const word = (value: bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`
  for (const yParity of [0, 1] as const) {
    let candidate: Hex | undefined
    try {
      const point = signature.addRecoveryBit(yParity).recoverPublicKey(digest)
      candidate = addressOf(point.toRawBytes(false))
    } catch {
      // This parity leads to no point of the curve; the other one may.
    }
    if (candidate === address) {
      return { r: word(signature.r), s: word(signature.s), yParity }
    }
  }
  throw new WrongSignatureError('The signer signed with another key than the lane’s sender.', {
    metaMessages: [`Expected: ${address}`, `Digest: ${toText(digest)}`],
    remedy: 'Check which key and which address the settings name; they must belong together.',
  })
}
