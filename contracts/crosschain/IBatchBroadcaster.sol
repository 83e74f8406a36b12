// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Batch} from "../proofs/Types.sol";
import {Destination} from "./HubLane.sol";

/// @title IBatchBroadcaster
/// @notice On the hub: sends verified batches, and the registrations of the keys that sign them, to
/// spokes. Anyone may call, and pays; what the hub's registries do not confirm is not sent.
interface IBatchBroadcaster {
    /// @notice A batch went out.
    /// @param eid LayerZero's id of the spoke.
    /// @param stream Line of batches.
    /// @param sequence Position in it.
    /// @param nonce Number on the path.
    event BatchSent(
        uint32 indexed eid, bytes32 indexed stream, uint64 indexed sequence, uint64 nonce
    );

    /// @notice A registration went out.
    /// @param eid LayerZero's id of the spoke.
    /// @param signer Address of the key.
    /// @param nonce Number on the path.
    event RegistrationSent(uint32 indexed eid, address indexed signer, uint64 nonce);

    /// @notice The key is not valid on the hub: never registered, expired, or revoked.
    error BatchBroadcasterSignerNotValid(address signer);

    /// @notice Sends a batch, whose signature the hub checks as if it were anchored.
    /// @param batch The batch.
    /// @param signature Signature of a key that is valid for the stream in this block.
    /// @param destinations Where to; their fees add up to what is paid.
    function broadcastBatch(
        Batch calldata batch,
        bytes calldata signature,
        Destination[] calldata destinations
    ) external payable;

    /// @notice Sends what the hub's registry holds of a key.
    /// @param signer Address of the key.
    /// @param endorsements Signatures of endorsers, 65 bytes each, in ascending order of their
    /// addresses; the spokes judge them.
    /// @param destinations Where to; their fees add up to what is paid.
    function broadcastRegistration(
        address signer,
        bytes calldata endorsements,
        Destination[] calldata destinations
    ) external payable;

    /// @notice What LayerZero asks for a batch.
    /// @param batch The batch.
    /// @param signature Its signature.
    /// @param eid LayerZero's id of the spoke.
    /// @param options As in {Destination}.
    /// @return feeWei The fee.
    function quoteBatch(
        Batch calldata batch,
        bytes calldata signature,
        uint32 eid,
        bytes calldata options
    ) external view returns (uint256 feeWei);

    /// @notice What LayerZero asks for a registration.
    /// @param signer Address of the key.
    /// @param endorsements As in {broadcastRegistration}.
    /// @param eid LayerZero's id of the spoke.
    /// @param options As in {Destination}.
    /// @return feeWei The fee.
    function quoteRegistration(
        address signer,
        bytes calldata endorsements,
        uint32 eid,
        bytes calldata options
    ) external view returns (uint256 feeWei);

    /// @notice When a batch was last sent to a spoke; remembered for the last 64 of a stream.
    /// @param eid LayerZero's id of the spoke.
    /// @param stream Line of batches.
    /// @param sequence Position in it.
    /// @return nonce Number on the path; zero when it was not sent.
    /// @return sentAt Unix seconds.
    function sentBatch(uint32 eid, bytes32 stream, uint64 sequence)
        external
        view
        returns (uint64 nonce, uint64 sentAt);

    /// @notice When a registration was last sent to a spoke with these endorsements, which name it.
    /// @param eid LayerZero's id of the spoke.
    /// @param signer Address of the key.
    /// @param endorsementsHash Keccak-256 of the endorsements.
    /// @return nonce Number on the path; zero when it was not sent.
    /// @return sentAt Unix seconds.
    function sentRegistration(uint32 eid, address signer, bytes32 endorsementsHash)
        external
        view
        returns (uint64 nonce, uint64 sentAt);
}
