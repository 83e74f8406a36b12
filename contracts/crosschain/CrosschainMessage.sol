// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TypedData} from "../proofs/TypedData.sol";
import {Batch} from "../proofs/Types.sol";

/// @notice What the registry of the hub holds of a key. Six words in this order.
struct Registration {
    /// Address of the key.
    address signer;
    /// Line of batches that it may sign.
    bytes32 stream;
    /// Measured image that holds it.
    bytes32 imageId;
    /// Platform that made the quote.
    bytes16 ppid;
    /// Unix seconds of the last quote, on the hub's clock.
    uint64 attestedAt;
    /// Unix seconds from which the key is no longer valid.
    uint64 expiresAt;
}

/// @title CrosschainMessage
/// @notice What travels from the hub to a spoke: version, kind, body. Every length is exact; a byte
/// too many or too few is refused.
/// @dev `attestation-schemas/crosschain.ts` is the same codec in TypeScript.
library CrosschainMessage {
    uint8 internal constant VERSION = 1;

    /// @dev Body: the batch's ten words, then 65 bytes of signature.
    uint8 internal constant BATCH = 1;
    /// @dev Body: the registration's six words, then 65 bytes for each endorsement.
    uint8 internal constant REGISTRATION = 2;
    /// @dev Body: 20 bytes for each key.
    uint8 internal constant REVOCATION = 3;

    uint256 internal constant SIGNATURE_LENGTH = 65;
    uint256 internal constant MAX_ENDORSEMENTS = 16;
    uint256 internal constant MAX_REVOCATIONS = 64;

    /// @dev 2 = version 1 + kind 1.
    uint256 private constant HEADER_LENGTH = 2;
    uint256 private constant BATCH_LENGTH = 10 * 32;
    uint256 private constant REGISTRATION_LENGTH = 6 * 32;

    bytes32 internal constant ENDORSEMENT_TYPEHASH = keccak256(
        "Endorsement(uint256 hubChainId,address hubRegistry,address signer,bytes32 stream,bytes32 imageId,bytes16 ppid,uint64 attestedAt,uint64 expiresAt)"
    );

    /// @notice The message is not a whole number of its parts, or holds too few or too many.
    error CrosschainMessageLengthWrong(uint256 length);
    /// @notice The message was written by another version.
    error CrosschainMessageVersionUnknown(uint8 version);
    /// @notice This kind of message has no business here.
    error CrosschainMessageKindUnknown(uint8 kind);

    /// @notice A batch and its signature as a message.
    function encodeBatch(Batch calldata batch, bytes calldata signature)
        internal
        pure
        returns (bytes memory)
    {
        if (signature.length != SIGNATURE_LENGTH) {
            revert CrosschainMessageLengthWrong(signature.length);
        }
        return abi.encodePacked(VERSION, BATCH, abi.encode(batch), signature);
    }

    /// @notice A registration and its endorsements as a message.
    function encodeRegistration(Registration memory registration, bytes calldata endorsements)
        internal
        pure
        returns (bytes memory)
    {
        _countOf(endorsements.length, SIGNATURE_LENGTH, MAX_ENDORSEMENTS);
        return abi.encodePacked(VERSION, REGISTRATION, abi.encode(registration), endorsements);
    }

    /// @notice Revoked keys as a message.
    function encodeRevocation(address[] calldata signers)
        internal
        pure
        returns (bytes memory message)
    {
        _countOf(signers.length * 20, 20, MAX_REVOCATIONS);
        message = abi.encodePacked(VERSION, REVOCATION);
        for (uint256 i = 0; i < signers.length; ++i) {
            message = abi.encodePacked(message, signers[i]);
        }
    }

    /// @notice Kind of a message of this version.
    function kindOf(bytes calldata message) internal pure returns (uint8 kind) {
        if (message.length < HEADER_LENGTH) revert CrosschainMessageLengthWrong(message.length);
        uint8 version = uint8(message[0]);
        if (version != VERSION) revert CrosschainMessageVersionUnknown(version);
        return uint8(message[1]);
    }

    /// @notice Batch and signature of a message of that kind.
    function batchOf(bytes calldata message)
        internal
        pure
        returns (Batch calldata batch, bytes calldata signature)
    {
        if (message.length != HEADER_LENGTH + BATCH_LENGTH + SIGNATURE_LENGTH) {
            revert CrosschainMessageLengthWrong(message.length);
        }
        // The structure is static: its words as they stand are its calldata. Dirty padding is refused
        // by whoever reads a field, and hashes to something that no enclave signed.
        assembly ("memory-safe") {
            batch := add(message.offset, 2)
        }
        signature = message[HEADER_LENGTH + BATCH_LENGTH:];
    }

    /// @notice Registration and endorsements, one after the other, of a message of that kind.
    function registrationOf(bytes calldata message)
        internal
        pure
        returns (Registration memory registration, bytes calldata endorsements)
    {
        if (message.length < HEADER_LENGTH + REGISTRATION_LENGTH) {
            revert CrosschainMessageLengthWrong(message.length);
        }
        registration = abi.decode(message[HEADER_LENGTH:], (Registration));
        endorsements = message[HEADER_LENGTH + REGISTRATION_LENGTH:];
        _countOf(endorsements.length, SIGNATURE_LENGTH, MAX_ENDORSEMENTS);
    }

    /// @notice Revoked keys of a message of that kind.
    function revocationOf(bytes calldata message) internal pure returns (address[] memory signers) {
        uint256 count = _countOf(message.length - HEADER_LENGTH, 20, MAX_REVOCATIONS);
        signers = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 start = HEADER_LENGTH + i * 20;
            signers[i] = address(bytes20(message[start:start + 20]));
        }
    }

    /// @notice What an endorser signs: that the registry of the hub holds this of a key.
    /// @dev Under the domain without chain id: it is a fact about the hub and holds on every spoke.
    function endorsementDigest(
        uint256 hubChainId,
        address hubRegistry,
        Registration memory registration
    ) internal pure returns (bytes32) {
        return TypedData.signingDigest(
            keccak256(abi.encode(ENDORSEMENT_TYPEHASH, hubChainId, hubRegistry, registration))
        );
    }

    function _countOf(uint256 length, uint256 partLength, uint256 maximum)
        private
        pure
        returns (uint256 count)
    {
        count = length / partLength;
        if (count == 0 || count > maximum || length % partLength != 0) {
            revert CrosschainMessageLengthWrong(length);
        }
    }
}
