// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

/// @title P256Fallback
/// @notice P-256 in Solidity, by OpenZeppelin, for chains without the precompile.
contract P256Fallback {
    /// @notice Whether (r, s) is a signature of `digest` by the key (x, y). Both values of s count.
    function isSignature(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y)
        external
        view
        returns (bool)
    {
        // OpenZeppelin takes the lower s only; its twin verifies exactly when it does. An s of n or
        // above has no twin and is refused.
        uint256 wide = uint256(s);
        if (wide > P256.N / 2 && wide < P256.N) s = bytes32(P256.N - wide);
        return P256.verifySolidity(digest, r, s, x, y);
    }
}

/// @title P256Signatures
/// @notice ECDSA over P-256 through the precompile of EIP-7951 / RIP-7212 where the chain has one,
/// through {P256Fallback} where it has none. Which of the two is settled at deployment.
abstract contract P256Signatures {
    /// @dev Same address in both proposals.
    uint256 private constant PRECOMPILE = 0x100;

    /// @notice Where signatures are verified without the precompile; zero where there is one.
    P256Fallback public immutable p256Fallback;

    constructor() {
        // wycheproof, ecdsa_secp256r1_sha256_p1363, r = 5 and s = 1: valid, and unlike any signature
        // that a code-less address would "confirm" by answering with nothing.
        bool hasPrecompile = _callPrecompile(
            0xbb5a52f42f9c9261ed4361f59422a1e30036e7c32b270c8807a419feca605023,
            bytes32(uint256(5)),
            bytes32(uint256(1)),
            0xa71af64de5126a4a4e02b7922d66ce9415ce88a4c9d25514d91082c8725ac957,
            0x5d47723c8fbe580bb369fec9c2665d8e30a435b9932645482e7c9f11e872296b
        );
        if (!hasPrecompile) p256Fallback = new P256Fallback();
    }

    /// @dev Both values of s count: Intel's signatures are not normalised. So nothing may be identified
    /// by a signature, or by bytes that hold one.
    function _isSignature(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y)
        internal
        view
        returns (bool)
    {
        if (address(p256Fallback) == address(0)) return _callPrecompile(digest, r, s, x, y);
        return p256Fallback.isSignature(digest, r, s, x, y);
    }

    /// @dev An invalid signature is answered with no bytes at all, a valid one with the word 1. A code-less
    /// address answers with nothing too, so silence is never taken for consent.
    function _callPrecompile(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y)
        private
        view
        returns (bool isValid)
    {
        // In assembly, because a registration calls three times and Solidity copies the word both ways.
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore(input, digest)
            mstore(add(input, 0x20), r)
            mstore(add(input, 0x40), s)
            mstore(add(input, 0x60), x)
            mstore(add(input, 0x80), y)
            mstore(0x00, 0)
            let isDone := staticcall(gas(), PRECOMPILE, input, 0xa0, 0x00, 0x20)
            isValid := and(and(isDone, eq(returndatasize(), 0x20)), eq(mload(0x00), 1))
        }
    }
}
