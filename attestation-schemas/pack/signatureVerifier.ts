import type { DeviceKey } from './deviceKey.ts'

/** Port: checks signatures. One adapter is portable, one uses the crypto of Node. */
export interface SignatureVerifier {
  /**
   * Whether `signature` is valid over `message` under `key`, by the algorithm the key is enrolled
   * for and by no other. Both the low and the high `s` of an ECDSA signature are valid: secure
   * elements do not normalise it, and nothing here identifies a message by its signature.
   */
  verify(key: DeviceKey, message: Uint8Array, signature: Uint8Array): boolean
}
