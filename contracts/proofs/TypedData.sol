// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Batch, Report, RosterEntry, Statement} from "./Types.sol";

/// @title TypedData
/// @notice EIP-712 hashes of everything that an enclave signs.
/// @dev The domain has no chain id and no contract on purpose: a batch is a fact and holds on every
/// chain. What may happen only once, in one place, is bound by a report's `exclusiveTo` instead.
///
/// All structures are static, so the calldata of one is its words in order and hashing copies them as
/// they stand. A word with dirty padding therefore hashes to something that no enclave ever signed,
/// and reading the field afterwards reverts in the ABI decoder.
library TypedData {
    bytes32 internal constant REPORT_TYPEHASH = keccak256(
        "Report(uint16 version,bytes32 subject,bytes32 policyId,uint64 periodStartMs,uint64 periodEndMs,uint8 verdict,int128 valueMicro,bytes32 unit,uint32 coveragePpm,uint8 tier,bytes32 evidenceRoot,bytes32 measuresHash,bytes32 exclusiveTo,bytes32 amends)"
    );
    bytes32 internal constant BATCH_TYPEHASH = keccak256(
        "Batch(bytes32 stream,uint64 sequence,bytes32 previous,bytes32 reportRoot,uint32 reportCount,bytes32 rosterRoot,uint32 rosterCount,uint64 closedAtMs,uint64 anchorNumber,bytes32 anchorHash)"
    );
    bytes32 internal constant STATEMENT_TYPEHASH = keccak256(
        "Statement(uint16 version,address signer,bytes32 ed25519PublicKey,bytes32 stream,bytes32 release,uint256 anchorChainId,address registry)"
    );
    bytes32 internal constant ROSTER_ENTRY_TYPEHASH = keccak256(
        "RosterEntry(bytes32 device,bytes32 subject,uint32 expectedReadings,uint32 heardReadings,uint64 firstSequence,uint64 lastSequence,bytes32 headHash,bytes32 packsRoot)"
    );
    /// @dev `keccak256(abi.encode(keccak256("EIP712Domain(string name,string version)"),
    /// keccak256("Plumbline"), keccak256("1")))`, written out because the compiler would compute it anew
    /// each time; the vectors' test holds it to that.
    bytes32 internal constant DOMAIN_SEPARATOR =
        0xd71f0dad9de34c37a7a621c297f632bb8bced2942aaae7e9bb840c12d3b308ba;

    /// @notice A report's leaf in a batch.
    function hash(Report calldata report) internal pure returns (bytes32) {
        uint256 offset;
        assembly ("memory-safe") {
            offset := report
        }
        return _hashWords(REPORT_TYPEHASH, offset, 14 * 32);
    }

    /// @notice A roster entry's leaf in a batch.
    function hash(RosterEntry calldata entry) internal pure returns (bytes32) {
        uint256 offset;
        assembly ("memory-safe") {
            offset := entry
        }
        return _hashWords(ROSTER_ENTRY_TYPEHASH, offset, 8 * 32);
    }

    /// @notice Structure hash of a statement: first half of a quote's report data.
    function hash(Statement calldata statement) internal pure returns (bytes32) {
        uint256 offset;
        assembly ("memory-safe") {
            offset := statement
        }
        return _hashWords(STATEMENT_TYPEHASH, offset, 7 * 32);
    }

    /// @notice What is signed for a batch, and its name everywhere.
    function digest(Batch calldata batch) internal pure returns (bytes32) {
        uint256 offset;
        assembly ("memory-safe") {
            offset := batch
        }
        return signingDigest(_hashWords(BATCH_TYPEHASH, offset, 10 * 32));
    }

    /// @notice What a signer signs to prove that it holds the key it states.
    function possessionDigest(Statement calldata statement) internal pure returns (bytes32) {
        return signingDigest(hash(statement));
    }

    /// @notice EIP-712 digest under the domain without chain id.
    function signingDigest(bytes32 structHash) internal pure returns (bytes32 result) {
        bytes32 separator = DOMAIN_SEPARATOR;
        assembly ("memory-safe") {
            // 0x42 bytes would overwrite the free memory pointer's low bytes in scratch space.
            let pointer := mload(0x40)
            mstore(pointer, hex"1901")
            mstore(add(pointer, 0x02), separator)
            mstore(add(pointer, 0x22), structHash)
            result := keccak256(pointer, 0x42)
        }
    }

    /// @dev `keccak256(typeHash ‖ length bytes of calldata)`.
    function _hashWords(bytes32 typeHash, uint256 offset, uint256 length)
        private
        pure
        returns (bytes32 structHash)
    {
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            mstore(pointer, typeHash)
            calldatacopy(add(pointer, 0x20), offset, length)
            structHash := keccak256(pointer, add(length, 0x20))
        }
    }
}
