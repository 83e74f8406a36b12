// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Inclusion, Report} from "#contracts/proofs/Types.sol";
import {IPerformanceEscrow} from "#contracts/settlement/IPerformanceEscrow.sol";
import {Invariants} from "../support/Handlers.sol";
import {Settlements} from "../support/Settlements.sol";
import {bound, vm} from "../support/Vm.sol";

/// @notice Makes agreements, reports on them honestly or not, waits, refunds, and lets anybody, roles
/// included, call whatever the escrow has. Keeps its own books of who must have what.
contract EscrowHandler is Settlements {
    mapping(bytes32 leaf => bool) public isAnchored;
    uint256 public agreementCount;
    uint256 public paidIn;
    uint256 public paidToPayee;
    uint256 public paidToPayer;
    uint256 public settledCount;
    uint256 public refundedCount;

    constructor() {
        buildSettlements();
    }

    function make(uint256 seed, bool isInOrder) external {
        if (agreementCount == 6) return;
        IPerformanceEscrow.Terms memory wanted = threeTranches(isInOrder);
        for (uint256 i = 0; i < 3; ++i) {
            wanted.tranches[i].amount = uint112(bound(seed >> (64 * i), 1, type(uint64).max));
            paidIn += wanted.tranches[i].amount;
        }
        ++agreementCount;
        vm.assertEq(create(wanted), agreementCount);
    }

    function wait_(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 1 days));
    }

    /// @dev A genuine report, of this or another subject, good or bad; the same one may come twice.
    function report(uint256 agreement, uint8 day, uint8 kind, uint64 value) external {
        _keepKey();
        Report memory said = window(fact(), day % 4);
        said.verdict = uint8(bound(kind, 1, 4)) % 4;
        if (said.verdict == 0) (said.verdict, said.subject) = (1, "other");
        said.valueMicro = int128(uint128(value));
        said.tier = uint8(bound(value, 1, 3));
        Inclusion memory at = anchored(said);
        isAnchored[hasher.report(said)] = true;
        _try(abi.encodeCall(escrow.settle, (bound(agreement, 1, 7), said, at)));
    }

    /// @dev A report that no batch holds.
    function forge(uint256 agreement, uint8 day, uint64 value) external {
        _keepKey();
        Report memory said = window(fact(), day % 3);
        Inclusion memory at = anchored(said);
        isAnchored[hasher.report(said)] = true;
        said.valueMicro = int128(uint128(value)) + 5_000_001;
        _try(abi.encodeCall(escrow.settle, (bound(agreement, 1, 7), said, at)));
    }

    function refund(uint256 agreement, uint8 day) external {
        uint64 startMs = PERIOD_START_MS + uint64(day % 4) * DAY_MS;
        _try(abi.encodeCall(escrow.refund, (bound(agreement, 1, 7), startMs)));
    }

    /// @dev Whoever holds every role calls whatever the contract has, with whatever.
    function meddle(uint256 choice, bytes32 a, bytes32 b) external {
        bytes4[6] memory selectors = [
            escrow.settle.selector,
            escrow.settleMany.selector,
            escrow.settleProven.selector,
            escrow.refund.selector,
            escrow.withdraw.selector,
            bytes4(a)
        ];
        _try(
            abi.encodePacked(
                selectors[choice % 6], a, b, uint256(uint160(address(token))), a, b, b, a
            )
        );
    }

    function openAmount() external view returns (uint256 amount) {
        for (uint256 id = 1; id <= agreementCount; ++id) {
            IPerformanceEscrow.TrancheView[] memory tranches = escrow.tranches(id);
            for (uint256 i = 0; i < tranches.length; ++i) {
                if (tranches[i].state == IPerformanceEscrow.TrancheState.OPEN) {
                    amount += tranches[i].amount;
                } else if (tranches[i].state == IPerformanceEscrow.TrancheState.SETTLED) {
                    vm.assertTrue(isAnchored[tranches[i].leaf], "settled without a verdict");
                } else {
                    uint256 deadlineMs = tranches[i].periodEndMs + uint256(GRACE_SECONDS) * 1000;
                    vm.assertGe(block.timestamp * 1000, deadlineMs);
                }
            }
        }
    }

    function held() external view returns (uint256) {
        return token.balanceOf(address(escrow));
    }

    function outside() external view returns (uint256) {
        return token.balanceOf(PAYER) + token.balanceOf(PAYEE);
    }

    function _try(bytes memory data) private {
        (bool isDone,) = address(escrow).call(data);
        if (isDone) ++settledCount;
    }

    function _keepKey() private {
        (,, uint64 expiresAt) = enclaves.signerStatus(vm.addr(ENCLAVE_KEY));
        if (expiresAt < block.timestamp + 1 days) registerEnclave(ENCLAVE_KEY, STREAM);
    }
}

contract EscrowInvariantsTest is Invariants {
    EscrowHandler private handler;

    function setUp() public {
        handler = new EscrowHandler();
        bytes4[] memory selectors = new bytes4[](6);
        selectors[0] = handler.make.selector;
        selectors[1] = handler.wait_.selector;
        selectors[2] = handler.report.selector;
        selectors[3] = handler.forge.selector;
        selectors[4] = handler.refund.selector;
        selectors[5] = handler.meddle.selector;
        handle(address(handler), selectors);
    }

    /// @dev What is held is what is open, to the last unit; whatever has left, left by an anchored
    /// verdict or after its deadline, to payer and payee and nobody else.
    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_escrowConservesItsTokens() public view {
        vm.assertEq(handler.held(), handler.openAmount());
        vm.assertEq(handler.held() + handler.outside(), handler.paidIn());
    }
}
