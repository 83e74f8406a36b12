// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Inclusion, MultiInclusion, Report} from "#contracts/proofs/Types.sol";
import {ExactTransfer} from "#contracts/settlement/ExactTransfer.sol";
import {IPerformanceEscrow} from "#contracts/settlement/IPerformanceEscrow.sol";
import {IReportConsumer} from "#contracts/settlement/IReportConsumer.sol";
import {PayoutCurve, PayoutCurveLib} from "#contracts/settlement/PayoutCurve.sol";
import {ReportConsumer} from "#contracts/settlement/ReportConsumer.sol";
import {ReportTermsLib} from "#contracts/settlement/ReportTerms.sol";
import {Settlements} from "../support/Settlements.sol";
import {FeeToken, HookToken, Reentrant, Refuser} from "../support/Tokens.sol";
import {bound, vm} from "../support/Vm.sol";

contract PerformanceEscrowTest is Settlements {
    function setUp() public {
        buildSettlements();
    }

    function _deadline() private pure returns (uint256 deadlineMs) {
        return uint256(PERIOD_END_MS) + uint256(GRACE_SECONDS) * 1000;
    }

    function _refusesTerms(IPerformanceEscrow.Terms memory wanted, bytes memory refusal) private {
        vm.expectRevert(refusal);
        escrow.create(wanted);
    }

    // --- making an agreement ---

    function test_create_takesTheSumInAndOpensEveryTranche() public {
        uint256 id = create(threeTranches(true));
        vm.assertEq(token.balanceOf(address(escrow)), 3 * uint256(AMOUNT) + 3);
        (address payer, address payee, address paidIn, uint16 count, uint16 closed) =
            escrow.agreement(id);
        vm.assertEq(payer, PAYER);
        vm.assertEq(payee, PAYEE);
        vm.assertEq(paidIn, address(token));
        vm.assertEq(count, 3);
        vm.assertEq(closed, 0);
        IPerformanceEscrow.TrancheView[] memory tranches = escrow.tranches(id);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(tranches[i].amount, AMOUNT + i);
            vm.assertEq(uint256(tranches[i].state), uint256(IPerformanceEscrow.TrancheState.OPEN));
            vm.assertEq(tranches[i].leaf, bytes32(0));
        }
    }

    function test_create_badParty_reverts() public {
        IPerformanceEscrow.Terms memory wanted = terms();
        wanted.payee = address(0);
        _refusesTerms(
            wanted,
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowBadParty.selector, address(0)
            )
        );
        wanted.payee = address(escrow);
        _refusesTerms(
            wanted,
            abi.encodeWithSelector(IPerformanceEscrow.PerformanceEscrowBadParty.selector, escrow)
        );
    }

    function test_create_trancheCount_reverts() public {
        IPerformanceEscrow.Terms memory wanted = terms();
        wanted.tranches = new IPerformanceEscrow.TrancheTerms[](0);
        _refusesTerms(
            wanted,
            abi.encodeWithSelector(IPerformanceEscrow.PerformanceEscrowTrancheCount.selector, 0)
        );
        wanted.tranches = new IPerformanceEscrow.TrancheTerms[](129);
        _refusesTerms(
            wanted,
            abi.encodeWithSelector(IPerformanceEscrow.PerformanceEscrowTrancheCount.selector, 129)
        );
    }

    function test_create_badTranche_reverts() public {
        IPerformanceEscrow.Terms memory wanted = threeTranches(false);
        wanted.tranches[1].amount = 0;
        bytes memory refusal =
            abi.encodeWithSelector(IPerformanceEscrow.PerformanceEscrowBadTranche.selector, 1);
        _refusesTerms(wanted, refusal);
        wanted = threeTranches(false);
        wanted.tranches[1].periodEndMs = wanted.tranches[1].periodStartMs;
        _refusesTerms(wanted, refusal);
        wanted = threeTranches(false);
        wanted.tranches[1].periodStartMs = wanted.tranches[0].periodEndMs - 1;
        _refusesTerms(wanted, refusal);
    }

    function test_create_badLimit_reverts() public {
        IPerformanceEscrow.Terms memory wanted = terms();
        wanted.minCoveragePpm = 1_000_001;
        _refusesTerms(
            wanted,
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowBadLimit.selector, 1_000_001, 2
            )
        );
        wanted = terms();
        wanted.weakestTier = 0;
        _refusesTerms(
            wanted,
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowBadLimit.selector, 900_000, 0
            )
        );
        // A replay proves nothing about when it was measured.
        wanted.weakestTier = 4;
        _refusesTerms(
            wanted,
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowBadLimit.selector, 900_000, 4
            )
        );
    }

    function test_create_termsMissing_reverts() public {
        bytes memory refusal =
            abi.encodeWithSelector(IPerformanceEscrow.PerformanceEscrowTermsMissing.selector);
        IPerformanceEscrow.Terms memory wanted = terms();
        wanted.report.stream = 0;
        _refusesTerms(wanted, refusal);
        wanted = terms();
        wanted.report.subject = 0;
        _refusesTerms(wanted, refusal);
        wanted = terms();
        wanted.report.policyId = 0;
        _refusesTerms(wanted, refusal);
    }

    function test_create_badCurve_reverts() public {
        IPerformanceEscrow.Terms memory wanted = terms();
        wanted.penalty.maximumPpm = 1_000_001;
        _refusesTerms(
            wanted,
            abi.encodeWithSelector(PayoutCurveLib.PayoutCurveShareOutOfRange.selector, 0, 1_000_001)
        );
    }

    function test_create_tokenThatTakesFees_reverts() public {
        FeeToken fee = new FeeToken();
        fee.mint(PAYER, AMOUNT);
        IPerformanceEscrow.Terms memory wanted = terms();
        wanted.token = fee;
        vm.startPrank(PAYER);
        fee.approve(address(escrow), AMOUNT);
        vm.expectRevert(
            abi.encodeWithSelector(
                ExactTransfer.ExactTransferShort.selector, fee, AMOUNT, AMOUNT - AMOUNT / 100
            )
        );
        escrow.create(wanted);
        vm.stopPrank();
    }

    // --- settling ---

    function test_settle_pass_paysAllAndNamesTheLeaf() public {
        uint256 id = create(terms());
        afterPeriod();
        Report memory report = fact();
        Inclusion memory at = anchored(report);
        bytes32 leaf = hasher.report(report);
        vm.assertFalse(escrow.isSettled(id, leaf));
        vm.expectEmit(address(escrow));
        emit IReportConsumer.ReportSettled(id, leaf, PAYEE, AMOUNT);
        vm.prank(RELAYER);
        escrow.settle(id, report, at);
        vm.assertEq(token.balanceOf(PAYEE), AMOUNT);
        vm.assertEq(token.balanceOf(address(escrow)), 0);
        vm.assertTrue(escrow.isSettled(id, leaf));
        vm.assertEq(escrow.tranches(id)[0].leaf, leaf);
        (,,,, uint16 closed) = escrow.agreement(id);
        vm.assertEq(closed, 1);
    }

    function test_isSettled_stateWordsAreNoLeaves() public {
        uint256 id = create(terms());
        vm.assertFalse(escrow.isSettled(id, 0));
        vm.assertFalse(escrow.isSettled(id, bytes32((uint256(1) << 128) | AMOUNT)));
        vm.assertFalse(escrow.isSettled(id, bytes32(uint256(1) << 129)));
    }

    /// @dev Rounding leaves the indivisible part with the payee; nothing is lost between the two.
    function testFuzz_settle_fail_splitsByTheCurve(int128 value) public {
        value = int128(int256(bound(uint256(int256(value)), 0, 6_000_000)));
        uint256 id = create(terms());
        afterPeriod();
        settle(escrow, id, failing(value));
        uint256 depth = value >= 5_000_000
            ? 0
            : value <= 1_000_000 ? 4_000_000 : uint256(int256(5_000_000 - value));
        uint256 penalty = uint256(AMOUNT) * (1_000_000 * depth / 4_000_000) / 1_000_000;
        vm.assertEq(token.balanceOf(PAYER), penalty);
        vm.assertEq(token.balanceOf(PAYEE), AMOUNT - penalty);
        vm.assertEq(token.balanceOf(address(escrow)), 0);
    }

    function test_settle_unknownAgreement_reverts() public {
        afterPeriod();
        refuses(
            escrow,
            7,
            fact(),
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowUnknownAgreement.selector, uint256(7)
            )
        );
    }

    function test_settle_anotherSubject_reverts() public {
        uint256 id = create(terms());
        afterPeriod();
        Report memory report = fact();
        report.subject = "other";
        refuses(
            escrow,
            id,
            report,
            abi.encodeWithSelector(
                ReportTermsLib.ReportTermsSubjectMismatch.selector, SUBJECT, report.subject
            )
        );
    }

    function test_settle_anotherPolicy_reverts() public {
        uint256 id = create(terms());
        afterPeriod();
        Report memory report = fact();
        report.policyId = "other";
        refuses(
            escrow,
            id,
            report,
            abi.encodeWithSelector(
                ReportTermsLib.ReportTermsPolicyMismatch.selector, POLICY, report.policyId
            )
        );
    }

    function test_settle_anotherUnit_reverts() public {
        uint256 id = create(terms());
        afterPeriod();
        Report memory report = fact();
        report.unit = "kWh";
        refuses(
            escrow,
            id,
            report,
            abi.encodeWithSelector(
                ReportTermsLib.ReportTermsUnitMismatch.selector, UNIT, report.unit
            )
        );
    }

    function test_settle_anotherStream_reverts() public {
        IPerformanceEscrow.Terms memory wanted = terms();
        wanted.report.stream = "other";
        uint256 id = create(wanted);
        afterPeriod();
        refuses(
            escrow,
            id,
            fact(),
            abi.encodeWithSelector(
                ReportTermsLib.ReportTermsStreamMismatch.selector, wanted.report.stream, STREAM
            )
        );
    }

    function testFuzz_settle_anotherPeriod_reverts(uint64 startMs, uint64 endMs) public {
        vm.assume(startMs != PERIOD_START_MS || endMs != PERIOD_END_MS);
        uint256 id = create(terms());
        afterPeriod();
        Report memory report = fact();
        report.periodStartMs = startMs;
        report.periodEndMs = endMs;
        refuses(
            escrow,
            id,
            report,
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowUnknownPeriod.selector, id, startMs, endMs
            )
        );
    }

    function test_settle_twice_reverts() public {
        uint256 id = create(terms());
        afterPeriod();
        settle(escrow, id, fact());
        refuses(
            escrow,
            id,
            fact(),
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerAlreadySettled.selector, id, hasher.report(fact())
            )
        );
    }

    function test_settle_anotherReportOfTheSamePeriod_reverts() public {
        uint256 id = create(terms());
        afterPeriod();
        settle(escrow, id, failing(2_000_000));
        Report memory amended = fact();
        amended.amends = hasher.report(failing(2_000_000));
        refuses(
            escrow,
            id,
            amended,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerAlreadySettled.selector, id, hasher.report(amended)
            )
        );
    }

    function test_settle_right_reverts() public {
        uint256 id = create(terms());
        afterPeriod();
        Report memory report = fact();
        report.exclusiveTo = keccak256("a right elsewhere");
        refuses(
            escrow,
            id,
            report,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerRightElsewhere.selector, bytes32(0), report.exclusiveTo
            )
        );
    }

    function test_settle_inconclusive_reverts() public {
        uint256 id = create(terms());
        afterPeriod();
        Report memory report = fact();
        report.verdict = 3;
        refuses(
            escrow,
            id,
            report,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerInconclusive.selector, hasher.report(report)
            )
        );
    }

    function test_settle_weakerTier_reverts() public {
        uint256 id = create(terms());
        afterPeriod();
        Report memory report = fact();
        report.tier = 3;
        refuses(
            escrow,
            id,
            report,
            abi.encodeWithSelector(ReportConsumer.ReportConsumerTierTooWeak.selector, 2, 3)
        );
        report.tier = 2;
        settle(escrow, id, report);
    }

    function test_settle_tooLittleCoverage_reverts() public {
        uint256 id = create(terms());
        afterPeriod();
        Report memory report = fact();
        report.coveragePpm = 899_999;
        refuses(
            escrow,
            id,
            report,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerCoverageTooLow.selector, 900_000, 899_999
            )
        );
        report.coveragePpm = 900_000;
        settle(escrow, id, report);
    }

    /// @dev The leaf is made of the words as they stand, so padding is no second name for a report.
    function testFuzz_settle_dirtyPadding_isAnotherReport(uint8 field, uint256 dirt) public {
        // Fields narrower than a word: version, periods, verdict, value, coverage, tier.
        uint8[7] memory words = [0, 3, 4, 5, 6, 8, 9];
        uint8[7] memory bits = [16, 64, 64, 8, 128, 32, 8];
        uint256 chosen = bound(field, 0, 6);
        dirt = bound(dirt, 1, (1 << (256 - bits[chosen])) - 1) << bits[chosen];
        uint256 id = create(terms());
        afterPeriod();
        Report memory report = fact();
        bytes memory data = abi.encodeCall(escrow.settle, (id, report, anchored(report)));
        uint256 at = 4 + 32 + 32 * uint256(words[chosen]);
        assembly {
            let word := add(add(data, 0x20), at)
            mstore(word, xor(mload(word), dirt))
        }
        (bool isDone,) = address(escrow).call(data);
        vm.assertFalse(isDone);
        vm.assertEq(token.balanceOf(PAYEE), 0);
    }

    // --- tranches in order ---

    function test_settle_outOfOrder_reverts() public {
        uint256 id = create(threeTranches(true));
        afterPeriod();
        vm.warp(PERIOD_END_MS / 1000 + 1 days);
        refuses(
            escrow,
            id,
            window(fact(), 1),
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowOutOfOrder.selector, id, uint16(0), uint16(1)
            )
        );
        settle(escrow, id, fact());
        settle(escrow, id, window(fact(), 1));
        vm.assertEq(token.balanceOf(PAYEE), 2 * uint256(AMOUNT) + 1);
    }

    function test_refund_keepsTheOrderToo() public {
        uint256 id = create(threeTranches(true));
        vm.warp(_deadline() / 1000 + 1 days);
        vm.expectRevert(
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowOutOfOrder.selector, id, uint16(0), uint16(1)
            )
        );
        escrow.refund(id, PERIOD_START_MS + DAY_MS);
        escrow.refund(id, PERIOD_START_MS);
        escrow.refund(id, PERIOD_START_MS + DAY_MS);
        // A tranche that lapsed blocks nobody: the third is settled by its own report.
        settle(escrow, id, window(fact(), 2));
        vm.assertEq(token.balanceOf(PAYEE), AMOUNT + 2);
        vm.assertEq(token.balanceOf(PAYER), 2 * uint256(AMOUNT) + 1);
    }

    function test_settle_withoutOrder_anyTrancheFirst() public {
        uint256 id = create(threeTranches(false));
        vm.warp(PERIOD_END_MS / 1000 + 2 days - 1);
        settle(escrow, id, window(fact(), 2));
        settle(escrow, id, fact());
        vm.assertEq(token.balanceOf(PAYEE), 2 * uint256(AMOUNT) + 2);
    }

    // --- the deadline ---

    /// @dev At every second exactly one of the two doors is open, and the other says why it is not.
    function testFuzz_deadline_exactlyOneDoorIsOpen(uint256 nowSeconds, uint16 offsetMs) public {
        nowSeconds = bound(nowSeconds, PERIOD_END_MS / 1000 + 1, START + 7 days - 1);
        if (nowSeconds % 2 == 0) nowSeconds = _deadline() / 1000 - 1 + nowSeconds % 3;
        IPerformanceEscrow.Terms memory wanted = terms();
        wanted.tranches[0].periodEndMs += offsetMs % 1000;
        uint256 deadlineMs = _deadline() + offsetMs % 1000;
        uint256 id = create(wanted);
        vm.warp(nowSeconds);
        Report memory report = fact();
        report.periodEndMs = wanted.tranches[0].periodEndMs;
        if (nowSeconds * 1000 < deadlineMs) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IPerformanceEscrow.PerformanceEscrowDeadlineAhead.selector,
                    deadlineMs,
                    nowSeconds * 1000
                )
            );
            escrow.refund(id, PERIOD_START_MS);
            settle(escrow, id, report);
            vm.assertEq(token.balanceOf(PAYEE), AMOUNT);
        } else {
            refuses(
                escrow,
                id,
                report,
                abi.encodeWithSelector(
                    IPerformanceEscrow.PerformanceEscrowDeadlinePassed.selector,
                    deadlineMs,
                    nowSeconds * 1000
                )
            );
            escrow.refund(id, PERIOD_START_MS);
            vm.assertEq(token.balanceOf(PAYER), AMOUNT);
            refuses(
                escrow,
                id,
                report,
                abi.encodeWithSelector(
                    IPerformanceEscrow.PerformanceEscrowRefunded.selector, id, PERIOD_START_MS
                )
            );
        }
        vm.expectRevert(
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowNotOpen.selector, id, PERIOD_START_MS
            )
        );
        escrow.refund(id, PERIOD_START_MS);
    }

    function test_refund_unknown_reverts() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowUnknownAgreement.selector, uint256(1)
            )
        );
        escrow.refund(1, PERIOD_START_MS);
        uint256 id = create(terms());
        vm.expectRevert(
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowUnknownTranche.selector, PERIOD_START_MS + 1
            )
        );
        escrow.refund(id, PERIOD_START_MS + 1);
    }

    // --- tokens that call back ---

    function _hooked(address payer, address payee)
        private
        returns (HookToken hook, IPerformanceEscrow.Terms memory wanted)
    {
        hook = new HookToken();
        hook.mint(payer, 2 * uint256(AMOUNT));
        wanted = terms();
        wanted.token = hook;
        wanted.payee = payee;
    }

    function test_settle_payeeThatCallsBackIn_getsNothingMore() public {
        Reentrant thief = new Reentrant();
        (HookToken hook, IPerformanceEscrow.Terms memory wanted) = _hooked(PAYER, address(thief));
        hook.listen(address(thief));
        vm.startPrank(PAYER);
        hook.approve(address(escrow), 2 * uint256(AMOUNT));
        uint256 id = escrow.create(wanted);
        escrow.create(wanted);
        vm.stopPrank();
        afterPeriod();
        Report memory report = fact();
        Inclusion memory at = anchored(report);
        bytes memory guarded =
            abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        bytes[4] memory strikes = [
            abi.encodeCall(escrow.settle, (id + 1, report, at)),
            abi.encodeCall(escrow.refund, (id, PERIOD_START_MS)),
            abi.encodeCall(escrow.withdraw, (hook, address(thief))),
            abi.encodeCall(escrow.create, (wanted))
        ];
        uint256 before = vm.snapshotState();
        for (uint256 i = 0; i < strikes.length; ++i) {
            thief.prepare(address(escrow), strikes[i]);
            escrow.settle(id, report, at);
            vm.assertEq(thief.calls(), 1);
            vm.assertEq(thief.answer(), guarded);
            vm.assertEq(hook.balanceOf(address(thief)), AMOUNT);
            vm.assertEq(hook.balanceOf(address(escrow)), AMOUNT);
            vm.revertToState(before);
        }
    }

    /// @dev A payer who refuses his own penalty would otherwise keep the payee from the rest until the
    /// deadline, and then get everything back.
    function test_settle_payerThatRefusesThePenalty_cannotKeepThePayeeFromHisPart() public {
        Refuser payer = new Refuser();
        (HookToken hook, IPerformanceEscrow.Terms memory wanted) = _hooked(address(payer), PAYEE);
        hook.listen(address(payer));
        payer.act(address(hook), abi.encodeCall(IERC20.approve, (address(escrow), AMOUNT)));
        payer.act(address(escrow), abi.encodeCall(escrow.create, (wanted)));
        afterPeriod();
        uint256 penalty = uint256(AMOUNT) / 4;
        Report memory report = failing(4_000_000);
        Inclusion memory at = anchored(report);
        vm.expectEmit(address(escrow));
        emit IPerformanceEscrow.EscrowOwed(address(hook), address(payer), penalty);
        escrow.settle(1, report, at);
        vm.assertEq(hook.balanceOf(PAYEE), AMOUNT - penalty);
        vm.assertEq(escrow.owed(hook, address(payer)), penalty);
        // What is owed goes to whom it is owed, once, to the address that he names.
        vm.expectRevert(
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowNothingOwed.selector, hook, address(this)
            )
        );
        escrow.withdraw(hook, address(this));
        payer.act(address(escrow), abi.encodeCall(escrow.withdraw, (hook, PAYER)));
        vm.assertEq(hook.balanceOf(PAYER), penalty);
        vm.assertEq(hook.balanceOf(address(escrow)), 0);
        vm.expectRevert(
            abi.encodeWithSelector(
                IPerformanceEscrow.PerformanceEscrowNothingOwed.selector, hook, address(payer)
            )
        );
        vm.prank(address(payer));
        escrow.withdraw(hook, PAYER);
    }

    // --- many at once ---

    function _many(uint256 count) private returns (uint256[] memory ids, Report[] memory reports) {
        ids = new uint256[](count);
        reports = new Report[](count);
        IPerformanceEscrow.Terms memory wanted = terms();
        for (uint256 i = 0; i < count; ++i) {
            reports[i] = fact();
            reports[i].subject = keccak256(abi.encode("subject", i));
            wanted.report.subject = reports[i].subject;
            ids[i] = create(wanted);
        }
        afterPeriod();
    }

    function test_settleMany_poisonedEntryStopsNobodyElse() public {
        (uint256[] memory ids, Report[] memory reports) = _many(100);
        reports[41].tier = 3;
        MultiInclusion memory at = anchored(reports);
        vm.expectEmit(address(escrow));
        emit IReportConsumer.ReportNotSettled(
            ids[41],
            hasher.report(reports[41]),
            abi.encodeWithSelector(ReportConsumer.ReportConsumerTierTooWeak.selector, 2, 3)
        );
        vm.assertEq(escrow.settleMany(ids, reports, at), 99);
        vm.assertEq(token.balanceOf(PAYEE), 99 * uint256(AMOUNT));
        vm.assertEq(token.balanceOf(address(escrow)), AMOUNT);
        // Once more changes nothing.
        vm.assertEq(escrow.settleMany(ids, reports, at), 0);
        vm.assertEq(token.balanceOf(PAYEE), 99 * uint256(AMOUNT));
    }

    /// @dev Whatever gas a caller gives, an entry that would settle is never reported as one that
    /// would not: either all of it happens, or the transaction fails.
    /// forge-config: default.fuzz.runs = 128
    function testFuzz_settleMany_littleGas_neverFailsAnHonestEntry(uint256 gas_) public {
        (uint256[] memory ids, Report[] memory reports) = _many(5);
        MultiInclusion memory at = anchored(reports);
        gas_ = bound(gas_, 100_000, 1_500_000);
        (bool isDone, bytes memory answer) =
            address(escrow).call{gas: gas_}(abi.encodeCall(escrow.settleMany, (ids, reports, at)));
        if (isDone) {
            vm.assertEq(abi.decode(answer, (uint256)), 5);
            vm.assertEq(token.balanceOf(PAYEE), 5 * uint256(AMOUNT));
        } else {
            if (answer.length != 0) {
                vm.assertEq(
                    bytes32(bytes4(answer)),
                    bytes32(ReportConsumer.ReportConsumerGasTooLow.selector)
                );
            }
            vm.assertEq(token.balanceOf(PAYEE), 0);
        }
    }

    function test_settleMany_lengthsDiffer_reverts() public {
        (uint256[] memory ids, Report[] memory reports) = _many(2);
        MultiInclusion memory at = anchored(reports);
        vm.expectRevert(
            abi.encodeWithSelector(ReportConsumer.ReportConsumerLengthsDiffer.selector, 1, 2)
        );
        escrow.settleMany(new uint256[](1), reports, at);
        vm.assertEq(escrow.settleMany(ids, reports, at), 2);
    }

    function test_settleProven_isForTheContractItself() public {
        uint256 id = create(terms());
        afterPeriod();
        bytes32 leaf = hasher.report(fact());
        vm.expectRevert(
            abi.encodeWithSelector(ReportConsumer.ReportConsumerNotSelf.selector, address(this))
        );
        escrow.settleProven(id, fact(), leaf, STREAM);
    }

    function test_supportsInterface() public view {
        vm.assertTrue(escrow.supportsInterface(type(IReportConsumer).interfaceId));
        vm.assertTrue(escrow.supportsInterface(0x01ffc9a7));
        vm.assertFalse(escrow.supportsInterface(0xffffffff));
    }
}
