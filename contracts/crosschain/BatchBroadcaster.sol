// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEnclaveRegistry} from "../attestation/IEnclaveRegistry.sol";
import {IProofRegistry} from "../proofs/IProofRegistry.sol";
import {Batch} from "../proofs/Types.sol";
import {CrosschainMessage, Registration} from "./CrosschainMessage.sol";
import {Destination, HubLane, SentPacket} from "./HubLane.sol";
import {IBatchBroadcaster} from "./IBatchBroadcaster.sol";

/// @title BatchBroadcaster
/// @notice The hub's end of the lane of batches and registrations.
contract BatchBroadcaster is IBatchBroadcaster, HubLane {
    struct SentBatch {
        uint64 sequence;
        SentPacket packet;
    }

    /// @notice How many batches of a stream are remembered for each spoke.
    uint256 public constant RING = 64;

    /// @notice Which batches are signed, in order.
    IProofRegistry public immutable PROOFS;

    mapping(uint32 eid => mapping(bytes32 stream => SentBatch[64])) private _batches;
    mapping(uint32 eid => mapping(bytes32 key => SentPacket)) private _registrations;

    /// @param endpoint_ LayerZero's endpoint on the hub.
    /// @param authority AccessManager that owns this contract and configures its paths.
    /// @param enclaves Who is attested on the hub.
    /// @param proofs Which batches are signed.
    constructor(
        address endpoint_,
        address authority,
        IEnclaveRegistry enclaves,
        IProofRegistry proofs
    ) HubLane(endpoint_, authority, enclaves) {
        PROOFS = proofs;
    }

    /// @inheritdoc IBatchBroadcaster
    function broadcastBatch(
        Batch calldata batch,
        bytes calldata signature,
        Destination[] calldata destinations
    ) external payable {
        _checkFees(destinations);
        PROOFS.verifySignedBatch(batch, signature);
        bytes memory message = CrosschainMessage.encodeBatch(batch, signature);
        for (uint256 i = 0; i < destinations.length; ++i) {
            uint32 eid = destinations[i].eid;
            SentPacket memory packet = _send(CrosschainMessage.BATCH, message, destinations[i]);
            _batches[eid][batch.stream][batch.sequence % RING] = SentBatch(batch.sequence, packet);
            emit BatchSent(eid, batch.stream, batch.sequence, packet.nonce);
        }
    }

    /// @inheritdoc IBatchBroadcaster
    function broadcastRegistration(
        address signer,
        bytes calldata endorsements,
        Destination[] calldata destinations
    ) external payable {
        _checkFees(destinations);
        bytes memory message = _registrationMessage(signer, endorsements);
        bytes32 key = _keyOf(signer, keccak256(endorsements));
        for (uint256 i = 0; i < destinations.length; ++i) {
            uint32 eid = destinations[i].eid;
            SentPacket memory packet =
                _send(CrosschainMessage.REGISTRATION, message, destinations[i]);
            _registrations[eid][key] = packet;
            emit RegistrationSent(eid, signer, packet.nonce);
        }
    }

    /// @inheritdoc IBatchBroadcaster
    function quoteBatch(
        Batch calldata batch,
        bytes calldata signature,
        uint32 eid,
        bytes calldata options
    ) external view returns (uint256 feeWei) {
        bytes memory message = CrosschainMessage.encodeBatch(batch, signature);
        return _feeOf(CrosschainMessage.BATCH, message, eid, options);
    }

    /// @inheritdoc IBatchBroadcaster
    function quoteRegistration(
        address signer,
        bytes calldata endorsements,
        uint32 eid,
        bytes calldata options
    ) external view returns (uint256 feeWei) {
        bytes memory message = _registrationMessage(signer, endorsements);
        return _feeOf(CrosschainMessage.REGISTRATION, message, eid, options);
    }

    /// @inheritdoc IBatchBroadcaster
    function sentBatch(uint32 eid, bytes32 stream, uint64 sequence)
        external
        view
        returns (uint64 nonce, uint64 sentAt)
    {
        SentBatch storage sent = _batches[eid][stream][sequence % RING];
        if (sent.sequence != sequence) return (0, 0);
        return (sent.packet.nonce, sent.packet.sentAt);
    }

    /// @inheritdoc IBatchBroadcaster
    function sentRegistration(uint32 eid, address signer, bytes32 endorsementsHash)
        external
        view
        returns (uint64 nonce, uint64 sentAt)
    {
        SentPacket storage packet = _registrations[eid][_keyOf(signer, endorsementsHash)];
        return (packet.nonce, packet.sentAt);
    }

    /// @dev A key that is revoked, or whose image was removed, has no status and is not sent.
    function _registrationMessage(address signer, bytes calldata endorsements)
        private
        view
        returns (bytes memory)
    {
        (bytes32 stream, bytes32 imageId, uint64 expiresAt) = ENCLAVES.signerStatus(signer);
        if (expiresAt <= block.timestamp) revert BatchBroadcasterSignerNotValid(signer);
        (,, bytes16 ppid, uint64 attestedAt,) = ENCLAVES.signerRecord(signer);
        return CrosschainMessage.encodeRegistration(
            Registration(signer, stream, imageId, ppid, attestedAt, expiresAt), endorsements
        );
    }

    function _keyOf(address signer, bytes32 endorsementsHash) private pure returns (bytes32) {
        return keccak256(abi.encode(signer, endorsementsHash));
    }
}
