// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OAppCore} from "@layerzerolabs/oapp-evm/contracts/oapp/OAppCore.sol";
import {MessagingFee, OAppSender} from "@layerzerolabs/oapp-evm/contracts/oapp/OAppSender.sol";
import {OAppOptionsType3} from "@layerzerolabs/oapp-evm/contracts/oapp/libs/OAppOptionsType3.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IEnclaveRegistry} from "../attestation/IEnclaveRegistry.sol";

/// @notice One spoke that a message goes to.
/// @param eid LayerZero's id of the chain.
/// @param feeWei What is paid to LayerZero at most; what is left over returns to the caller.
/// @param options Options of type 3 on top of the lane's gas floor; empty for the floor alone.
struct Destination {
    uint32 eid;
    uint128 feeWei;
    bytes options;
}

/// @notice When, and under which number, something was last sent to a spoke.
/// @param nonce Number on the path; zero when it was never sent.
/// @param sentAt Unix seconds.
struct SentPacket {
    uint64 nonce;
    uint64 sentAt;
}

/// @title HubLane
/// @notice The hub's end of a lane: whatever goes out has been checked against the hub's own registries,
/// so anyone may send, and pays for it.
/// @dev The owner is an AccessManager, which sets peers, gas floors and verifiers through `execute`.
/// What was sent is kept as state, so that a relayer needs neither its own memory nor anybody's logs to
/// know where a message stands.
abstract contract HubLane is OAppSender, OAppOptionsType3 {
    /// @notice Who is attested on the hub.
    IEnclaveRegistry public immutable ENCLAVES;

    /// @notice A message goes nowhere.
    error HubLaneNoDestination();
    /// @notice The fees of all destinations do not add up to what was paid.
    error HubLaneFeesDiffer(uint256 paid, uint256 fees);
    /// @notice No gas floor is set for this kind of message on that spoke: it could be sent with too
    /// little gas to be carried out.
    error HubLaneNoGasFloor(uint32 eid, uint8 kind);

    /// @param endpoint_ LayerZero's endpoint on the hub.
    /// @param authority AccessManager that owns this contract and configures its paths.
    /// @param enclaves Who is attested on the hub.
    constructor(address endpoint_, address authority, IEnclaveRegistry enclaves)
        OAppCore(endpoint_, authority)
        Ownable(authority)
    {
        ENCLAVES = enclaves;
    }

    /// @dev One transaction pays for several messages; {_checkFees} has seen to the sum.
    function _payNative(uint256 feeWei) internal pure override returns (uint256) {
        return feeWei;
    }

    function _checkFees(Destination[] calldata destinations) internal view {
        if (destinations.length == 0) revert HubLaneNoDestination();
        uint256 sum;
        for (uint256 i = 0; i < destinations.length; ++i) {
            sum += destinations[i].feeWei;
        }
        if (sum != msg.value) revert HubLaneFeesDiffer(msg.value, sum);
    }

    /// @dev What is left of the fee goes back to the caller, who may call in again from there: nothing
    /// is owed at that moment, and a record that is overtaken names an equally good packet.
    function _send(uint8 kind, bytes memory message, Destination calldata destination)
        internal
        returns (SentPacket memory)
    {
        uint64 nonce =
            _lzSend(
            destination.eid,
            message,
            _optionsFor(destination.eid, kind, destination.options),
            MessagingFee(destination.feeWei, 0),
            msg.sender
        )
        .nonce;
        return SentPacket(nonce, SafeCast.toUint64(block.timestamp));
    }

    function _feeOf(uint8 kind, bytes memory message, uint32 eid, bytes calldata options)
        internal
        view
        returns (uint256 feeWei)
    {
        return _quote(eid, message, _optionsFor(eid, kind, options), false).nativeFee;
    }

    function _optionsFor(uint32 eid, uint8 kind, bytes calldata options)
        private
        view
        returns (bytes memory)
    {
        if (enforcedOptions[eid][kind].length == 0) revert HubLaneNoGasFloor(eid, kind);
        return combineOptions(eid, kind, options);
    }
}
