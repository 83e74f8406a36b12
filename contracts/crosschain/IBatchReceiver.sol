// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProofRegistry} from "../proofs/IProofRegistry.sol";

/// @title IBatchReceiver
/// @notice On a spoke: who is attested on the hub, learnt by message, and the batches of those keys.
///
/// **What must be trusted for what.** The bridge is a carrier. A message that it forged
/// - about a *batch* does nothing: the batch must carry the signature of a key that is valid here;
/// - about a *registration* does nothing: the key counts only with the signatures of `THRESHOLD`
///   endorsers, who read the hub's registry by nodes of their own;
/// - about a *revocation* takes a key away that should have stayed: service is denied until the enclave
///   makes another key. Nothing is minted or paid.
/// So a stranger's key needs every verifier network of the path **and** `THRESHOLD` endorsers to lie.
/// A bridge that keeps a revocation back leaves a key valid that the hub no longer believes, until its
/// expiry (at most seven days) or until a guardian of this chain revokes it, which needs no bridge.
interface IBatchReceiver {
    /// @notice A key was registered, or its registration was renewed, by message.
    /// @param signer Address of the key.
    /// @param stream Line of batches that it may sign.
    /// @param imageId Measured image that holds it.
    /// @param expiresAt Unix seconds from which it is no longer valid.
    event EnclaveRegistered(
        address indexed signer, bytes32 indexed stream, bytes32 indexed imageId, uint64 expiresAt
    );

    /// @notice A key is no longer valid here and never will be again, whether or not it ever was.
    /// @param signer Address of the key.
    event EnclaveRevoked(address indexed signer);

    /// @notice A message said what was known already, or less, and changed nothing.
    /// @param guid The message.
    event MessageRedundant(bytes32 indexed guid);

    /// @notice An endorser will count.
    /// @param endorser Address of its key.
    /// @param activeFrom Unix seconds from which it counts.
    event EndorserAdded(address indexed endorser, uint64 activeFrom);

    /// @notice An endorser counts no more.
    /// @param endorser Address of its key.
    event EndorserRemoved(address indexed endorser);

    /// @notice Only the revocation lane of this receiver may do this.
    error BatchReceiverOnlyRevocationLane(address caller);
    /// @notice Messages come from the hub alone.
    error BatchReceiverNotTheHub(uint32 eid);
    /// @notice A message came with money, which nobody could take out again.
    error BatchReceiverValueUnwanted(uint256 value);
    /// @notice The key was revoked.
    error BatchReceiverSignerRevoked(address signer);
    /// @notice The key is registered for another stream or image; a key never changes either.
    error BatchReceiverSignerBound(address signer, bytes32 stream, bytes32 imageId);
    /// @notice The registration has run out, or is from a future that no clock skew explains.
    error BatchReceiverOutOfTime(uint64 attestedAt, uint64 expiresAt, uint256 nowSeconds);
    /// @notice The registration lives longer than any registry grants.
    error BatchReceiverLifeTooLong(uint64 attestedAt, uint64 expiresAt);
    /// @notice A registration lacks a field.
    error BatchReceiverIncomplete();
    /// @notice Endorsements are to stand in ascending order of their signers, each once.
    error BatchReceiverEndorsementsUnordered(address previous, address endorser);
    /// @notice Too few of the signatures are of endorsers that count here.
    error BatchReceiverTooFewEndorsements(uint256 counted, uint256 wanted);
    /// @notice The endorser is on the list already.
    error BatchReceiverEndorserListed(address endorser);
    /// @notice The endorser is not on the list.
    error BatchReceiverEndorserUnknown(address endorser);
    /// @notice The threshold is zero or above the number of endorsers.
    error BatchReceiverThresholdWrong(uint256 threshold, uint256 endorsers);

    /// @notice Revokes keys that the hub revoked; called by the revocation lane.
    /// @param signers Addresses of the keys.
    /// @return changed How many were not revoked before.
    function revokeByMessage(address[] calldata signers) external returns (uint256 changed);

    /// @notice Revokes a key here, at once and for ever.
    /// @param signer Address of the key, known here or not.
    function revoke(address signer) external;

    /// @notice Puts an endorser on the list; it counts once the addition delay has passed.
    /// @param endorser Address of its key.
    function addEndorser(address endorser) external;

    /// @notice Takes an endorser off the list at once.
    /// @param endorser Address of its key.
    function removeEndorser(address endorser) external;

    /// @notice Closes the path from the hub at once: no message is taken until a peer is set again.
    function closePath() external;

    /// @notice As in `IEnclaveRegistry`: what a key may sign, as long as it is valid.
    /// @param signer Address of the key.
    /// @return stream Line of batches; zero when it was never registered or is revoked.
    /// @return imageId Measured image.
    /// @return expiresAt Unix seconds from which it is invalid; zero as above.
    function signerStatus(address signer)
        external
        view
        returns (bytes32 stream, bytes32 imageId, uint64 expiresAt);

    /// @notice As in `IEnclaveRegistry`: the stream of a key that is valid now.
    /// @param signer Address of the key.
    /// @return stream Line of batches; zero when the key is not valid in this block.
    function validStreamOf(address signer) external view returns (bytes32 stream);

    /// @notice As in `IEnclaveRegistry`: what was registered for a key, valid or not.
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

    /// @notice From when an endorser counts.
    /// @param endorser Address of its key.
    /// @return activeFrom Unix seconds; zero when it is not on the list.
    function endorserActiveFrom(address endorser) external view returns (uint64 activeFrom);

    /// @notice Where this chain's batches stand: the same contract as on every other chain.
    // forge-lint: disable-next-line(mixed-case-function) an immutable's name
    function PROOFS() external view returns (IProofRegistry);
}
