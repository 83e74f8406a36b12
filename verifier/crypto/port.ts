/**
 * The cryptography that quote verification needs, behind one small port.
 *
 * It is synchronous on purpose: the verifier is a pure function, and a promise at every signature
 * would make it several functions glued by a scheduler. That rules WebCrypto out as an adapter (its
 * verify is asynchronous); browsers use the portable adapter, about 30 ms for one quote with raw
 * collateral, and Workers use either adapter (`nodejs_compat` has node:crypto).
 */
export interface VerifierCrypto {
  sha256(bytes: Uint8Array): Uint8Array
  /**
   * @param point - x ‖ y of a P-256 point, 64 bytes.
   * @returns The key, or `undefined` when the point is not on the curve.
   */
  importP256(point: Uint8Array): P256PublicKey | undefined
  /**
   * {@link importP256} and {@link P256PublicKey.verify} in one, for keys that are used once; an adapter
   * may have a shorter way. False also when the point is not on the curve.
   */
  verifyP256(point: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean
}

export interface P256PublicKey {
  /**
   * ECDSA with SHA-256 over `message`.
   *
   * Both values of s are accepted: Intel's signatures are not normalised. No identity may therefore
   * be derived from a signature, or from bytes that contain one.
   *
   * @param signature - r ‖ s, 64 bytes big-endian.
   */
  verify(message: Uint8Array, signature: Uint8Array): boolean
}
