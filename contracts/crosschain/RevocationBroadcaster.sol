// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEnclaveRegistry} from "../attestation/IEnclaveRegistry.sol";
import {CrosschainMessage} from "./CrosschainMessage.sol";
import {Destination, HubLane, SentPacket} from "./HubLane.sol";
import {IRevocationBroadcaster} from "./IRevocationBroadcaster.sol";

/// @title RevocationBroadcaster
/// @notice The hub's end of the lane of revocations.
contract RevocationBroadcaster is IRevocationBroadcaster, HubLane {
    mapping(uint32 eid => mapping(address signer => SentPacket)) private _sent;

    /// @param endpoint_ LayerZero's endpoint on the hub.
    /// @param authority AccessManager that owns this contract and configures its paths.
    /// @param enclaves Who is attested on the hub.
    constructor(address endpoint_, address authority, IEnclaveRegistry enclaves)
        HubLane(endpoint_, authority, enclaves)
    {}

    /// @inheritdoc IRevocationBroadcaster
    function broadcastRevocations(address[] calldata signers, Destination[] calldata destinations)
        external
        payable
    {
        _checkFees(destinations);
        for (uint256 i = 0; i < signers.length; ++i) {
            (,,, uint64 attestedAt,) = ENCLAVES.signerRecord(signers[i]);
            (,, uint64 expiresAt) = ENCLAVES.signerStatus(signers[i]);
            // An expired key still has a status: it needs no revocation, and may be renewed.
            if (attestedAt == 0 || expiresAt != 0) {
                revert RevocationBroadcasterSignerNotRevoked(signers[i]);
            }
        }
        bytes memory message = CrosschainMessage.encodeRevocation(signers);
        for (uint256 i = 0; i < destinations.length; ++i) {
            uint32 eid = destinations[i].eid;
            SentPacket memory packet = _send(CrosschainMessage.REVOCATION, message, destinations[i]);
            for (uint256 j = 0; j < signers.length; ++j) {
                _sent[eid][signers[j]] = packet;
                emit RevocationSent(eid, signers[j], packet.nonce);
            }
        }
    }

    /// @inheritdoc IRevocationBroadcaster
    function quoteRevocations(address[] calldata signers, uint32 eid, bytes calldata options)
        external
        view
        returns (uint256 feeWei)
    {
        bytes memory message = CrosschainMessage.encodeRevocation(signers);
        return _feeOf(CrosschainMessage.REVOCATION, message, eid, options);
    }

    /// @inheritdoc IRevocationBroadcaster
    function sentRevocation(uint32 eid, address signer)
        external
        view
        returns (uint64 nonce, uint64 sentAt)
    {
        SentPacket storage packet = _sent[eid][signer];
        return (packet.nonce, packet.sentAt);
    }
}
