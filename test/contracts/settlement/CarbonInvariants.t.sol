// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Report} from "#contracts/proofs/Types.sol";
import {ICarbonCredit} from "#contracts/settlement/ICarbonCredit.sol";
import {Invariants} from "../support/Handlers.sol";
import {Settlements} from "../support/Settlements.sol";
import {bound, vm} from "../support/Vm.sol";

/// @notice Reports over any periods, moves, retires, cancels, and plays the registrar at its worst.
contract CarbonHandler is Settlements {
    address private constant _BUYER = address(0xB04E4);
    /// Around the end of 2024, so that vintages are split.
    uint64 private constant _FROM_MS = 1_735_689_600_000 - 3 * DAY_MS;
    uint256 private constant _HOURS = 7 * 24;

    uint256 public projectCount = 2;
    mapping(uint256 projectId => uint256) public proven;
    /// Hours of each subject for which something was minted.
    mapping(bytes32 subject => mapping(uint256 hour => bool)) public isTaken;
    uint256 public certificates;

    constructor() {
        buildSettlements();
        ICarbonCredit.Project memory wanted = project();
        wanted.creditsDenominator = 7;
        credits.admit(wanted);
        // Another impact of the same subject, under another policy and unit.
        wanted.report.policyId = "energy";
        wanted.report.unit = "MWh";
        wanted.bufferPpm = 0;
        credits.admit(wanted);
    }

    function report(bool isEnergy, uint8 from, uint8 length, uint64 value) external {
        Report memory said = carbon(int128(uint128(value)));
        if (isEnergy) (said.policyId, said.unit) = (bytes32("energy"), bytes32("MWh"));
        uint256 first = bound(from, 0, _HOURS - 1);
        uint256 end = bound(length, first + 1, _HOURS);
        if (end > first + 30) end = first + 1 + length % 30;
        said.periodStartMs = _FROM_MS + uint64(first) * 3_600_000;
        said.periodEndMs = _FROM_MS + uint64(end) * 3_600_000;
        bool isFree = true;
        for (uint256 hour = first; hour < end; ++hour) {
            if (isTaken[SUBJECT][hour]) isFree = false;
        }
        vm.assertEq(credits.isPeriodFree(SUBJECT, said.periodStartMs, said.periodEndMs), isFree);
        (,, uint64 expiresAt) = enclaves.signerStatus(vm.addr(ENCLAVE_KEY));
        if (expiresAt < block.timestamp + 1 days) registerEnclave(ENCLAVE_KEY, STREAM);
        uint256 id = isEnergy ? 2 : 1;
        try this.settleAsRelayer(id, said) {
            vm.assertTrue(isFree && value != 0, "minted twice");
            proven[id] += value;
            for (uint256 hour = first; hour < end; ++hour) {
                isTaken[SUBJECT][hour] = true;
            }
        } catch {
            vm.assertTrue(!isFree || value == 0, "refused what was due");
        }
    }

    function settleAsRelayer(uint256 id, Report calldata said) external {
        settle(credits, id, said);
    }

    function move(uint8 which, uint256 amount) external {
        uint256 id = _pick(which);
        amount = bound(amount, 0, credits.balanceOf(PAYEE, id));
        vm.prank(PAYEE);
        (bool isDone,) = address(credits)
            .call(abi.encodeCall(credits.safeTransferFrom, (PAYEE, _BUYER, id, amount, "")));
        isDone;
    }

    function retire(uint8 which, uint256 amount, bool isBuyer) external {
        uint256 id = _pick(which);
        address holder = isBuyer ? _BUYER : PAYEE;
        // Up to one more than there is.
        amount = bound(amount, 0, credits.balanceOf(holder, id) + 1);
        vm.prank(holder);
        try credits.retire(holder, id, amount, "", "") returns (uint256 certificate) {
            vm.assertEq(certificate, ++certificates);
        } catch {}
    }

    function cancel(uint8 which, uint256 amount) external {
        uint256 id = _pick(which);
        amount = bound(amount, 0, credits.balanceOf(address(credits), id) + 1);
        try credits.cancelFromBuffer(id, amount, "") {} catch {}
    }

    /// @dev The registrar tries to take, move and retire what is not his.
    function meddle(uint8 which, uint256 amount, bytes32 word) external {
        uint256 id = _pick(which);
        amount = bound(amount, 0, 1_000_000);
        bytes[4] memory calls = [
            abi.encodeCall(credits.safeTransferFrom, (PAYEE, address(this), id, amount, "")),
            abi.encodeCall(credits.retire, (_BUYER, id, amount, "", "")),
            abi.encodeCall(
                credits.safeTransferFrom, (address(credits), address(this), id, amount, "")
            ),
            abi.encodeCall(credits.settleProven, (1, carbon(1), word, STREAM))
        ];
        (bool isDone,) = address(credits).call(calls[uint256(word) % 4]);
        vm.assertFalse(isDone && amount != 0);
    }

    function check() external view {
        for (uint256 project_ = 1; project_ <= 2; ++project_) {
            uint256 minted = 0;
            uint256 count = credits.issuanceCount(project_);
            for (uint256 i = 1; i <= count; ++i) {
                uint256 id = credits.creditIdOf(project_, i);
                ICarbonCredit.Issuance memory issued = credits.issuanceOf(id);
                vm.assertEq(issued.serialStart, minted + 1, "serials leave no gap");
                minted += issued.amount;
                vm.assertEq(
                    credits.balanceOf(PAYEE, id) + credits.balanceOf(_BUYER, id)
                        + credits.balanceOf(address(credits), id) + issued.retired
                        + issued.cancelled,
                    issued.amount,
                    "every unit is held, retired or cancelled"
                );
                vm.assertEq(
                    credits.retiredBalanceOf(PAYEE, id) + credits.retiredBalanceOf(_BUYER, id),
                    issued.retired
                );
            }
            (uint256 numerator, uint256 denominator) = _rate(project_);
            vm.assertEq(
                minted * denominator + credits.remainderOf(project_),
                proven[project_] * numerator,
                "minted is proven less the remainder"
            );
            vm.assertLe(credits.remainderOf(project_), denominator - 1);
        }
        // No serial stands on two certificates.
        for (uint256 a = 1; a <= certificates; ++a) {
            ICarbonCredit.Retirement memory one = credits.retirementOf(a);
            ICarbonCredit.Issuance memory from = credits.issuanceOf(one.id);
            vm.assertGe(one.serialStart, from.serialStart);
            vm.assertLe(
                uint256(one.serialStart) + one.amount, uint256(from.serialStart) + from.amount
            );
            for (uint256 b = a + 1; b <= certificates; ++b) {
                ICarbonCredit.Retirement memory other = credits.retirementOf(b);
                if (other.id != one.id) continue;
                vm.assertGe(other.serialStart, uint256(one.serialStart) + one.amount);
            }
        }
    }

    function _rate(uint256 project_) private view returns (uint256, uint256) {
        ICarbonCredit.Project memory read = credits.projectOf(project_);
        return (read.creditsNumerator, read.creditsDenominator);
    }

    function _pick(uint8 which) private view returns (uint256) {
        uint256 project_ = 1 + which % 2;
        uint256 count = credits.issuanceCount(project_);
        return credits.creditIdOf(project_, count == 0 ? 0 : 1 + uint256(which / 2) % count);
    }
}

contract CarbonInvariantsTest is Invariants {
    CarbonHandler private handler;

    function setUp() public {
        handler = new CarbonHandler();
        bytes4[] memory selectors = new bytes4[](6);
        selectors[0] = handler.report.selector;
        selectors[1] = handler.report.selector;
        selectors[2] = handler.move.selector;
        selectors[3] = handler.retire.selector;
        selectors[4] = handler.cancel.selector;
        selectors[5] = handler.meddle.selector;
        handle(address(handler), selectors);
    }

    /// @dev Σ minted = Σ proven − remainder; every unit is minted once and retired at most once; no
    /// minute of a subject is minted for twice, whatever the impact class.
    /// forge-config: default.invariant.fail-on-revert = true
    /// forge-config: default.invariant.runs = 32
    function invariant_unitsAreMintedOnceAndRetiredAtMostOnce() public view {
        handler.check();
    }
}
