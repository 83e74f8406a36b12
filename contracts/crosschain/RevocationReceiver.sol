// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OAppCore} from "@layerzerolabs/oapp-evm/contracts/oapp/OAppCore.sol";
import {OAppReceiver, Origin} from "@layerzerolabs/oapp-evm/contracts/oapp/OAppReceiver.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {CrosschainMessage} from "./CrosschainMessage.sol";
import {IBatchReceiver} from "./IBatchReceiver.sol";

/// @title RevocationReceiver
/// @notice The lane on which revocations reach a spoke, and nothing else.
/// @dev LayerZero executes message n of a path only once every message before it is verified. On a path
/// of their own, revocations never stand behind batches; and the path may be given verifiers of its own:
/// forging a revocation only denies service, so here few suffice, where for registrations many are asked.
contract RevocationReceiver is OAppReceiver {
    /// @notice Whose keys are revoked.
    IBatchReceiver public immutable RECEIVER;

    /// @notice LayerZero's id of the hub.
    uint32 public immutable HUB_EID;

    /// @notice The message changed nothing.
    /// @param guid The message.
    event MessageRedundant(bytes32 indexed guid);

    /// @notice Messages come from the hub alone.
    error RevocationReceiverNotTheHub(uint32 eid);
    /// @notice A message came with money, which nobody could take out again.
    error RevocationReceiverValueUnwanted(uint256 value);

    /// @dev The creator is the receiver whose keys this lane revokes.
    /// @param endpoint_ LayerZero's endpoint on this chain.
    /// @param authority AccessManager that owns this contract and configures its paths.
    /// @param hubEid LayerZero's id of the hub.
    constructor(address endpoint_, address authority, uint32 hubEid)
        OAppCore(endpoint_, authority)
        Ownable(authority)
    {
        RECEIVER = IBatchReceiver(msg.sender);
        HUB_EID = hubEid;
    }

    /// @dev Nothing is caught: what fails reverts as a whole, and the message stays with the endpoint.
    function _lzReceive(
        Origin calldata origin,
        bytes32 guid,
        bytes calldata message,
        address,
        bytes calldata
    ) internal override {
        if (msg.value != 0) revert RevocationReceiverValueUnwanted(msg.value);
        if (origin.srcEid != HUB_EID) revert RevocationReceiverNotTheHub(origin.srcEid);
        uint8 kind = CrosschainMessage.kindOf(message);
        if (kind != CrosschainMessage.REVOCATION) {
            revert CrosschainMessage.CrosschainMessageKindUnknown(kind);
        }
        if (RECEIVER.revokeByMessage(CrosschainMessage.revocationOf(message)) == 0) {
            emit MessageRedundant(guid);
        }
    }
}
