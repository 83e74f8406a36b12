/** Errors of LayerZero's endpoint that a message can run into, as text (`abiErrors`). */
export const endpointRefusals: readonly string[] = [
  'LZ_InvalidNonce(uint64 nonce)',
  'LZ_PayloadHashNotFound(bytes32 expected,bytes32 actual)',
  'LZ_InsufficientFee(uint256 requiredNative,uint256 suppliedNative,uint256 requiredLzToken,uint256 suppliedLzToken)',
  'LZ_DefaultSendLibUnavailable()',
  'LZ_PathNotInitializable()',
  'LZ_UnsupportedEid()',
]
