// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Destination} from "./HubLane.sol";

/// @title IRevocationBroadcaster
/// @notice On the hub: sends revocations to spokes on a path of their own, so that they never stand
/// behind a batch. Anyone may call, and pays.
interface IRevocationBroadcaster {
    /// @notice A revocation went out.
    /// @param eid LayerZero's id of the spoke.
    /// @param signer Address of the key.
    /// @param nonce Number on the path.
    event RevocationSent(uint32 indexed eid, address indexed signer, uint64 nonce);

    /// @notice The hub never knew the key, or still believes it.
    error RevocationBroadcasterSignerNotRevoked(address signer);

    /// @notice Sends revocations of keys that were revoked on the hub, or whose image was removed.
    /// On the spokes they hold for ever, even if the image is allowed again here.
    /// @param signers Addresses of the keys, at most 64.
    /// @param destinations Where to; their fees add up to what is paid.
    function broadcastRevocations(address[] calldata signers, Destination[] calldata destinations)
        external
        payable;

    /// @notice What LayerZero asks for revocations.
    /// @param signers Addresses of the keys.
    /// @param eid LayerZero's id of the spoke.
    /// @param options As in {Destination}.
    /// @return feeWei The fee.
    function quoteRevocations(address[] calldata signers, uint32 eid, bytes calldata options)
        external
        view
        returns (uint256 feeWei);

    /// @notice When the revocation of a key was last sent to a spoke.
    /// @param eid LayerZero's id of the spoke.
    /// @param signer Address of the key.
    /// @return nonce Number on the path; zero when it was not sent.
    /// @return sentAt Unix seconds.
    function sentRevocation(uint32 eid, address signer)
        external
        view
        returns (uint64 nonce, uint64 sentAt);
}
