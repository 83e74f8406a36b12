// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Statement} from "../proofs/Types.sol";

/// @title IEnclaveRegistry
/// @notice Who is attested: keys that a confidential VM of an allowed image made and holds.
interface IEnclaveRegistry {
    /// @notice A key was registered, or its registration was renewed.
    /// @param signer Address of the key.
    /// @param stream Line of batches that it may sign.
    /// @param imageId Measured image that holds it.
    /// @param expiresAt Unix seconds from which it is no longer valid.
    event EnclaveRegistered(
        address indexed signer, bytes32 indexed stream, bytes32 indexed imageId, uint64 expiresAt
    );

    /// @notice What stood behind a registration.
    /// @param signer Address of the key.
    /// @param ppid Platform that made the quote.
    /// @param tcbStatus Judgement of its TCB.
    /// @param evaluationNumber TCB evaluation data number leaned on.
    /// @param ed25519PublicKey The same enclave's key for chains that verify that curve.
    /// @param release Release that the operator claims to run.
    event EnclaveAttested(
        address indexed signer,
        bytes16 indexed ppid,
        uint8 tcbStatus,
        uint32 evaluationNumber,
        bytes32 ed25519PublicKey,
        bytes32 release
    );

    /// @notice A key is no longer valid and never will be again.
    /// @param signer Address of the key.
    event EnclaveRevoked(address indexed signer);

    /// @notice An image will be allowed.
    /// @param imageId Measured image.
    /// @param activeFrom Unix seconds from which it is allowed.
    event ImageAllowed(bytes32 indexed imageId, uint64 activeFrom);

    /// @notice An image is no longer allowed; keys held by it are invalid from now on.
    /// @param imageId Measured image.
    event ImageRemoved(bytes32 indexed imageId);

    /// @notice A platform was denied or is no longer denied.
    /// @param ppid Platform provisioning id.
    /// @param isDenied Whether quotes of this platform are refused.
    event PlatformDenied(bytes16 indexed ppid, bool isDenied);

    /// @notice A platform was put on, or taken off, the list that applies while the list is required.
    /// @param ppid Platform provisioning id.
    /// @param isAllowed Whether it is on the list.
    event PlatformAllowed(bytes16 indexed ppid, bool isAllowed);

    /// @notice The appraisal policy for quotes changed.
    /// @param acceptedTcbStatuses Bit n is set when TCB status n is accepted.
    /// @param evaluationNumberFloor Smallest TCB evaluation data number accepted.
    /// @param requiresAllowedPlatform Whether only platforms on the list may register.
    event AppraisalChanged(
        uint16 acceptedTcbStatuses, uint32 evaluationNumberFloor, bool requiresAllowedPlatform
    );

    /// @notice A statement carries a layout that is unknown here.
    error EnclaveRegistryVersionUnknown(uint16 version);
    /// @notice A statement was made for another chain.
    error EnclaveRegistryWrongChain(uint256 stated, uint256 actual);
    /// @notice A statement was made for another registry.
    error EnclaveRegistryWrongRegistry(address stated, address actual);
    /// @notice A statement names no stream.
    error EnclaveRegistryStreamMissing();
    /// @notice The proof of possession was not made by the key that the statement names.
    error EnclaveRegistryPossessionUnproven(address stated, address recovered);
    /// @notice The quote was made for another statement.
    error EnclaveRegistryStatementMismatch(bytes32 quoted, bytes32 stated);
    /// @notice The block is not among the last 8191, so its hash is unknown here.
    error EnclaveRegistryBlockUnknown(uint64 blockNumber, uint256 currentBlock);
    /// @notice The quote was made against another block than the one named.
    error EnclaveRegistryBlockMismatch(bytes32 quoted, bytes32 actual);
    /// @notice The image is not allowed, or not yet (`activeFrom` in the future).
    error EnclaveRegistryImageNotAllowed(bytes32 imageId, uint64 activeFrom);
    /// @notice The platform is denied.
    error EnclaveRegistryPlatformDenied(bytes16 ppid);
    /// @notice Only platforms on the list may register, and this one is not.
    error EnclaveRegistryPlatformNotAllowed(bytes16 ppid);
    /// @notice The platform's TCB status is not accepted.
    error EnclaveRegistryTcbStatusRefused(uint8 tcbStatus, uint16 acceptedTcbStatuses);
    /// @notice The quote leans on a TCB evaluation that is too old.
    error EnclaveRegistryEvaluationTooOld(uint32 evaluationNumber, uint32 floor);
    /// @notice The collateral behind the quote has expired.
    error EnclaveRegistryCollateralExpired(uint64 validUntil, uint256 nowSeconds);
    /// @notice The key was revoked.
    error EnclaveRegistrySignerRevoked(address signer);
    /// @notice The key is registered for another stream or image; a key never changes either.
    error EnclaveRegistrySignerBound(address signer, bytes32 stream, bytes32 imageId);
    /// @notice The key is not registered.
    error EnclaveRegistrySignerUnknown(address signer);
    /// @notice What was to be a tightening accepts something that was refused before.
    error EnclaveRegistryAppraisalLoosened(
        uint16 acceptedTcbStatuses, uint32 evaluationNumberFloor, bool requiresAllowedPlatform
    );
    /// @notice The image is on the list already.
    error EnclaveRegistryImageListed(bytes32 imageId, uint64 activeFrom);
    /// @notice The image is not on the list.
    error EnclaveRegistryImageUnknown(bytes32 imageId);

    /// @notice Registers a key, or renews it, on the evidence of a quote. Anyone may call.
    /// @param statement What the enclave says about its own keys.
    /// @param blockNumber Block of this chain whose hash is the second half of the report data.
    /// @param possession Signature of `statement.signer` over the statement's EIP-712 digest.
    /// @param evidence The quote as this deployment's quote verifier takes it.
    function register(
        Statement calldata statement,
        uint64 blockNumber,
        bytes calldata possession,
        bytes calldata evidence
    ) external;

    /// @notice Revokes a key at once and for ever.
    /// @param signer Address of the key.
    function revoke(address signer) external;

    /// @notice Puts an image on the list; it is allowed once the addition delay has passed.
    /// @param imageId Measured image.
    function allowImage(bytes32 imageId) external;

    /// @notice Takes an image off the list at once; keys that it holds become invalid.
    /// @param imageId Measured image.
    function removeImage(bytes32 imageId) external;

    /// @notice Refuses quotes of a platform, or stops refusing them.
    /// @param ppid Platform provisioning id.
    /// @param isDenied Whether to refuse.
    function setPlatformDenied(bytes16 ppid, bool isDenied) external;

    /// @notice Puts a platform on, or takes it off, the list of allowed platforms.
    /// @param ppid Platform provisioning id.
    /// @param isAllowed Whether it is on the list.
    function setPlatformAllowed(bytes16 ppid, bool isAllowed) external;

    /// @notice Sets what a quote must show.
    /// @param acceptedTcbStatuses Bit n is set when TCB status n is accepted.
    /// @param evaluationNumberFloor Smallest TCB evaluation data number accepted.
    /// @param requiresAllowedPlatform Whether only platforms on the list may register.
    function setAppraisal(
        uint16 acceptedTcbStatuses,
        uint32 evaluationNumberFloor,
        bool requiresAllowedPlatform
    ) external;

    /// @notice Sets what a quote must show to something at least as strict in every part, at once.
    /// @param acceptedTcbStatuses A part of what was accepted.
    /// @param evaluationNumberFloor No smaller than it was.
    /// @param requiresAllowedPlatform True if it was.
    function tightenAppraisal(
        uint16 acceptedTcbStatuses,
        uint32 evaluationNumberFloor,
        bool requiresAllowedPlatform
    ) external;

    /// @notice What a key may sign, as long as it is valid.
    /// @param signer Address of the key.
    /// @return stream Line of batches; zero when the key is not valid.
    /// @return imageId Measured image; zero when the key is not valid.
    /// @return expiresAt Unix seconds from which it is invalid. Zero: never registered, revoked, or
    /// its image was removed. A past value: expired.
    function signerStatus(address signer)
        external
        view
        returns (bytes32 stream, bytes32 imageId, uint64 expiresAt);

    /// @notice The stream of a key that is valid now; what {IProofRegistry} asks for each batch.
    /// @param signer Address of the key.
    /// @return stream Line of batches; zero when the key is not valid in this block.
    function validStreamOf(address signer) external view returns (bytes32 stream);

    /// @notice What was registered for a key, whether or not it is still valid.
    /// @param signer Address of the key.
    /// @return stream Line of batches; zero when it was never registered.
    /// @return imageId Measured image.
    /// @return ppid Platform that made the quote.
    /// @return attestedAt Unix seconds of the last quote; zero when it was never registered.
    /// @return isRevoked Whether it was revoked.
    function signerRecord(address signer)
        external
        view
        returns (bytes32 stream, bytes32 imageId, bytes16 ppid, uint64 attestedAt, bool isRevoked);

    /// @notice From when an image is allowed.
    /// @param imageId Measured image.
    /// @return activeFrom Unix seconds; zero when it is not on the list.
    function imageActiveFrom(bytes32 imageId) external view returns (uint64 activeFrom);
}
