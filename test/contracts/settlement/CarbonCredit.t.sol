// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Inclusion, MultiInclusion, Report} from "#contracts/proofs/Types.sol";
import {CarbonCredit} from "#contracts/settlement/CarbonCredit.sol";
import {ICarbonCredit} from "#contracts/settlement/ICarbonCredit.sol";
import {IReportConsumer} from "#contracts/settlement/IReportConsumer.sol";
import {PeriodSet} from "#contracts/settlement/PeriodSet.sol";
import {ReportConsumer} from "#contracts/settlement/ReportConsumer.sol";
import {ReportTermsLib} from "#contracts/settlement/ReportTerms.sol";
import {Settlements} from "../support/Settlements.sol";
import {GasBurner, Reentrant, Shouter} from "../support/Tokens.sol";
import {bound, vm} from "../support/Vm.sol";

contract CarbonCreditTest is Settlements {
    /// Tonnes have eight decimals: 1,000,000 is a hundredth of one.
    int128 private constant VALUE = 10_000_003;

    uint256 private _projectId;
    uint256 private _firstId;

    function setUp() public {
        buildSettlements();
        _projectId = credits.admit(project());
        _firstId = credits.creditIdOf(_projectId, 1);
        afterPeriod();
    }

    function _unconfirmed() private returns (uint256 projectId) {
        ICarbonCredit.Project memory wanted = project();
        wanted.needsConfirmation = true;
        wanted.report.subject = "guarded";
        return credits.admit(wanted);
    }

    // --- projects ---

    function test_admit_isReadBackAsItWasWritten() public view {
        vm.assertEq(abi.encode(credits.projectOf(_projectId)), abi.encode(project()));
    }

    function test_admit_badProject_revertsByField() public {
        _refusesProject("beneficiary");
        _refusesProject("stream");
        _refusesProject("subject");
        _refusesProject("policyId");
        _refusesProject("minCoveragePpm");
        _refusesProject("weakestTier");
        _refusesProject("bufferPpm");
        _refusesProject("creditsNumerator");
        _refusesProject("creditsDenominator");
    }

    function _refusesProject(bytes32 field) private {
        ICarbonCredit.Project memory wanted = project();
        if (field == "beneficiary") wanted.beneficiary = address(credits);
        if (field == "stream") wanted.report.stream = 0;
        if (field == "subject") wanted.report.subject = 0;
        if (field == "policyId") wanted.report.policyId = 0;
        if (field == "minCoveragePpm") wanted.minCoveragePpm = 1_000_001;
        if (field == "weakestTier") wanted.weakestTier = 4;
        if (field == "bufferPpm") wanted.bufferPpm = 1_000_001;
        if (field == "creditsNumerator") wanted.creditsNumerator = 0;
        if (field == "creditsDenominator") wanted.creditsDenominator = 0;
        vm.expectRevert(
            abi.encodeWithSelector(ICarbonCredit.CarbonCreditBadProject.selector, field)
        );
        credits.admit(wanted);
    }

    function testFuzz_restricted_strangersAreRefused(address stranger) public {
        vm.assume(stranger != address(this) && stranger != address(authority));
        bytes[4] memory calls = [
            abi.encodeCall(credits.admit, (project())),
            abi.encodeCall(credits.confirm, (_firstId)),
            abi.encodeCall(credits.setAdjustment, (_firstId, ICarbonCredit.Adjustment.AUTHORISED)),
            abi.encodeCall(credits.cancelFromBuffer, (_firstId, 1, ""))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(stranger);
            (bool isDone, bytes memory answer) = address(credits).call(calls[i]);
            vm.assertFalse(isDone);
            vm.assertEq(
                answer,
                abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, stranger)
            );
        }
    }

    // --- minting ---

    function test_settle_pass_mintsToBeneficiaryAndBuffer() public {
        Report memory report = carbon(VALUE);
        bytes32 leaf = hasher.report(report);
        Inclusion memory at = anchored(report);
        vm.expectEmit(address(credits));
        emit IReportConsumer.ReportSettled(_projectId, leaf, PAYEE, 1_000_000);
        credits.settle(_projectId, report, at);
        vm.assertTrue(credits.isSettled(_projectId, leaf));
        vm.assertEq(credits.balanceOf(PAYEE, _firstId), 900_000);
        vm.assertEq(credits.balanceOf(address(credits), _firstId), 100_000);
        vm.assertEq(credits.remainderOf(_projectId), 3);
        ICarbonCredit.Issuance memory issued = credits.issuanceOf(_firstId);
        vm.assertEq(issued.leaf, leaf);
        vm.assertEq(issued.stream, STREAM);
        vm.assertEq(issued.amount, 1_000_000);
        vm.assertEq(issued.serialStart, 1);
        vm.assertEq(issued.vintage, 2025);
        vm.assertEq(issued.periodStartMs, PERIOD_START_MS);
        vm.assertEq(issued.periodEndMs, PERIOD_END_MS);
        vm.assertTrue(issued.isConfirmed);
        vm.assertFalse(credits.isPeriodFree(SUBJECT, PERIOD_START_MS, PERIOD_START_MS + 60_000));
        vm.assertTrue(credits.isPeriodFree(SUBJECT, PERIOD_END_MS, PERIOD_END_MS + DAY_MS));
    }

    /// @dev What is left over of one report is part of the next: nothing is lost and nothing made up.
    function testFuzz_settle_remainderIsCarried(
        uint64[5] memory values,
        uint64 numerator,
        uint64 denominator
    ) public {
        ICarbonCredit.Project memory wanted = project();
        wanted.report.subject = "fuzzed";
        wanted.creditsNumerator = uint64(bound(numerator, 1, 1 << 60));
        wanted.creditsDenominator = uint64(bound(denominator, 1, type(uint64).max));
        uint256 id = credits.admit(wanted);
        uint256 proven = 0;
        for (uint64 i = 0; i < 5; ++i) {
            Report memory report = window(carbon(int128(uint128(values[i]) + 1)), i);
            report.subject = "fuzzed";
            settle(credits, id, report);
            proven += uint256(values[i]) + 1;
        }
        uint256 minted = 0;
        for (uint256 i = 1; i <= credits.issuanceCount(id); ++i) {
            minted += credits.issuanceOf(credits.creditIdOf(id, i)).amount;
        }
        vm.assertEq(
            minted * wanted.creditsDenominator + credits.remainderOf(id),
            proven * wanted.creditsNumerator
        );
    }

    /// @dev From noon of the last day of 2024 to noon of the first of 2025, and a minute more.
    function test_settle_acrossTheYear_splitsByTime() public {
        Report memory report = carbon(14_410);
        report.periodStartMs = 1_735_689_600_000 - 12 * 3_600_000;
        report.periodEndMs = 1_735_689_600_000 + 12 * 3_600_000 + 60_000;
        settle(credits, _projectId, report);
        vm.assertEq(credits.issuanceCount(_projectId), 2);
        ICarbonCredit.Issuance memory old = credits.issuanceOf(_firstId);
        ICarbonCredit.Issuance memory young = credits.issuanceOf(_firstId + 1);
        vm.assertEq(old.vintage, 2024);
        vm.assertEq(old.amount, 720);
        vm.assertEq(old.periodEndMs, 1_735_689_600_000);
        vm.assertEq(young.vintage, 2025);
        vm.assertEq(young.amount, 721);
        vm.assertEq(young.serialStart, 721);
        vm.assertEq(young.periodStartMs, 1_735_689_600_000);
    }

    function test_settle_lessThanOneUnit_isCarriedWhole() public {
        settle(credits, _projectId, carbon(4));
        vm.assertEq(credits.issuanceCount(_projectId), 0);
        vm.assertEq(credits.remainderOf(_projectId), 4);
        settle(credits, _projectId, window(carbon(6), 1));
        vm.assertEq(credits.issuanceOf(_firstId).amount, 1);
        vm.assertEq(credits.remainderOf(_projectId), 0);
    }

    function test_settle_unknownProject_reverts() public {
        refuses(
            credits,
            9,
            carbon(VALUE),
            abi.encodeWithSelector(ICarbonCredit.CarbonCreditUnknownProject.selector, uint256(9))
        );
    }

    function test_settle_anotherProjectsReport_reverts() public {
        Report memory report = carbon(VALUE);
        report.policyId = "other";
        refuses(
            credits,
            _projectId,
            report,
            abi.encodeWithSelector(
                ReportTermsLib.ReportTermsPolicyMismatch.selector, POLICY, report.policyId
            )
        );
        report = carbon(VALUE);
        report.unit = UNIT;
        refuses(
            credits,
            _projectId,
            report,
            abi.encodeWithSelector(
                ReportTermsLib.ReportTermsUnitMismatch.selector, CARBON_UNIT, UNIT
            )
        );
    }

    function test_settle_fact_reverts() public {
        Report memory report = carbon(VALUE);
        report.exclusiveTo = 0;
        refuses(
            credits,
            _projectId,
            report,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerRightElsewhere.selector,
                credits.carbonRight(),
                bytes32(0)
            )
        );
    }

    /// @dev The bytes that mint on this chain mint nowhere else, be the contract's address the same.
    function testFuzz_settle_onAnotherChain_reverts(uint64 chain) public {
        vm.assume(chain != CHAIN && chain != 0);
        Report memory report = carbon(VALUE);
        bytes32 rightThere = report.exclusiveTo;
        Inclusion memory at = anchored(report);
        vm.chainId(chain);
        vm.expectRevert(
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerRightElsewhere.selector,
                keccak256(
                    abi.encode(uint256(chain), credits, keccak256("plumbline/right/1/carbon"))
                ),
                rightThere
            )
        );
        credits.settle(_projectId, report, at);
    }

    function test_settle_inAnotherContract_reverts() public {
        CarbonCredit other = new CarbonCredit(proofs, address(authority));
        uint256 id = other.admit(project());
        refuses(
            other,
            id,
            carbon(VALUE),
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerRightElsewhere.selector,
                other.carbonRight(),
                credits.carbonRight()
            )
        );
    }

    function test_settle_twice_reverts() public {
        settle(credits, _projectId, carbon(VALUE));
        refuses(
            credits,
            _projectId,
            carbon(VALUE),
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerAlreadySettled.selector,
                _projectId,
                hasher.report(carbon(VALUE))
            )
        );
    }

    /// @dev Another report over time that has been minted for, by however little they overlap.
    function testFuzz_settle_overlappingPeriod_reverts(uint256 startMinute, uint256 minutesLong)
        public
    {
        settle(credits, _projectId, carbon(VALUE));
        startMinute = bound(startMinute, 0, 2 * 1440 - 1);
        uint256 first = startMinute < 1440 ? 1440 - startMinute + 1 : 1;
        minutesLong = bound(minutesLong, first, first + 3000);
        Report memory report = carbon(VALUE + 1);
        report.periodStartMs = PERIOD_START_MS - DAY_MS + uint64(startMinute) * 60_000;
        report.periodEndMs = report.periodStartMs + uint64(minutesLong) * 60_000;
        refuses(
            credits,
            _projectId,
            report,
            abi.encodeWithSelector(
                PeriodSet.PeriodSetTaken.selector, report.periodStartMs, report.periodEndMs
            )
        );
    }

    /// @dev One impact is counted once: another methodology for the same device and time is refused,
    /// though the project, the policy and the unit differ.
    function test_settle_samePeriodAsAnotherImpact_reverts() public {
        ICarbonCredit.Project memory energy = project();
        energy.report.policyId = "renewable energy";
        energy.report.unit = "MWh";
        uint256 other = credits.admit(energy);
        settle(credits, _projectId, carbon(VALUE));
        Report memory report = carbon(VALUE);
        report.policyId = "renewable energy";
        report.unit = "MWh";
        refuses(
            credits,
            other,
            report,
            abi.encodeWithSelector(
                PeriodSet.PeriodSetTaken.selector, PERIOD_START_MS, PERIOD_END_MS
            )
        );
    }

    function test_settle_nothingToIssue_reverts() public {
        bytes4 selector = ICarbonCredit.CarbonCreditNothingToIssue.selector;
        Report memory report = carbon(VALUE);
        report.verdict = 2;
        refuses(credits, _projectId, report, abi.encodeWithSelector(selector, 2, VALUE));
        refuses(credits, _projectId, carbon(0), abi.encodeWithSelector(selector, 1, int128(0)));
        refuses(credits, _projectId, carbon(-1), abi.encodeWithSelector(selector, 1, int128(-1)));
    }

    function test_settle_quality_reverts() public {
        Report memory report = carbon(VALUE);
        report.verdict = 3;
        refuses(
            credits,
            _projectId,
            report,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerInconclusive.selector, hasher.report(report)
            )
        );
        report = carbon(VALUE);
        report.tier = 3;
        refuses(
            credits,
            _projectId,
            report,
            abi.encodeWithSelector(ReportConsumer.ReportConsumerTierTooWeak.selector, 2, 3)
        );
        report = carbon(VALUE);
        report.coveragePpm = 1;
        refuses(
            credits,
            _projectId,
            report,
            abi.encodeWithSelector(ReportConsumer.ReportConsumerCoverageTooLow.selector, 900_000, 1)
        );
    }

    function test_settle_amountTooLarge_reverts() public {
        ICarbonCredit.Project memory wanted = project();
        wanted.report.subject = "huge";
        wanted.creditsNumerator = type(uint64).max;
        wanted.creditsDenominator = 1;
        uint256 id = credits.admit(wanted);
        Report memory report = carbon(type(int128).max);
        report.subject = "huge";
        refuses(
            credits,
            id,
            report,
            abi.encodeWithSelector(
                ICarbonCredit.CarbonCreditAmountTooLarge.selector,
                uint256(uint128(type(int128).max)) * type(uint64).max
            )
        );
    }

    // --- confirmation, adjustment, buffer ---

    function test_confirm_creditsMoveOnlyThen() public {
        uint256 id = _unconfirmed();
        Report memory report = carbon(VALUE);
        report.subject = "guarded";
        settle(credits, id, report);
        uint256 creditId = credits.creditIdOf(id, 1);
        bytes memory refusal =
            abi.encodeWithSelector(ICarbonCredit.CarbonCreditNotConfirmed.selector, creditId);
        vm.startPrank(PAYEE);
        vm.expectRevert(refusal);
        credits.safeTransferFrom(PAYEE, RELAYER, creditId, 1, "");
        vm.expectRevert(refusal);
        credits.retire(PAYEE, creditId, 1, "", "");
        vm.stopPrank();
        credits.confirm(creditId);
        vm.expectRevert(
            abi.encodeWithSelector(ICarbonCredit.CarbonCreditConfirmed.selector, creditId)
        );
        credits.confirm(creditId);
        vm.prank(PAYEE);
        credits.safeTransferFrom(PAYEE, RELAYER, creditId, 1, "");
    }

    function test_setAdjustment_onlyForward() public {
        settle(credits, _projectId, carbon(VALUE));
        credits.setAdjustment(_firstId, ICarbonCredit.Adjustment.APPLIED);
        vm.expectRevert(
            abi.encodeWithSelector(
                ICarbonCredit.CarbonCreditAdjustmentBackwards.selector,
                _firstId,
                ICarbonCredit.Adjustment.APPLIED,
                ICarbonCredit.Adjustment.AUTHORISED
            )
        );
        credits.setAdjustment(_firstId, ICarbonCredit.Adjustment.AUTHORISED);
    }

    function test_unknownIssuance_reverts() public {
        bytes memory refusal =
            abi.encodeWithSelector(ICarbonCredit.CarbonCreditUnknownIssuance.selector, _firstId);
        vm.expectRevert(refusal);
        credits.confirm(_firstId);
        vm.expectRevert(refusal);
        credits.setAdjustment(_firstId, ICarbonCredit.Adjustment.APPLIED);
        vm.expectRevert(refusal);
        credits.cancelFromBuffer(_firstId, 1, "");
        vm.expectRevert(refusal);
        credits.issuanceOf(_firstId);
        vm.expectRevert(refusal);
        credits.retire(address(this), _firstId, 1, "", "");
    }

    /// @dev A reversal is borne by the buffer; not even the registrar reaches a holder's credits.
    function test_cancelFromBuffer_neverTouchesHolders() public {
        settle(credits, _projectId, carbon(VALUE));
        vm.expectPartialRevert(
            bytes4(keccak256("ERC1155InsufficientBalance(address,uint256,uint256,uint256)"))
        );
        credits.cancelFromBuffer(_firstId, 100_001, "fire");
        credits.cancelFromBuffer(_firstId, 100_000, "fire");
        vm.assertEq(credits.balanceOf(PAYEE, _firstId), 900_000);
        vm.assertEq(credits.issuanceOf(_firstId).cancelled, 100_000);
    }

    // --- retiring ---

    function test_retire_serialsFollowEachOther() public {
        settle(credits, _projectId, carbon(VALUE));
        vm.startPrank(PAYEE);
        uint256 first = credits.retire(PAYEE, _firstId, 10, "Ann", "Travel");
        uint256 second = credits.retire(PAYEE, _firstId, 20, "Bob", "Steel");
        vm.stopPrank();
        vm.assertEq(credits.retirementOf(first).serialStart, 1);
        vm.assertEq(credits.retirementOf(second).serialStart, 11);
        vm.assertEq(credits.retirementOf(second).beneficiary, "Bob");
        vm.assertEq(credits.retiredBalanceOf(PAYEE, _firstId), 30);
        vm.assertEq(credits.totalRetired(_firstId), 30);
        vm.assertFalse(credits.isRetired(_firstId));
        vm.prank(PAYEE);
        credits.retire(PAYEE, _firstId, 900_000 - 30, "", "");
        credits.cancelFromBuffer(_firstId, 100_000, "");
        vm.assertTrue(credits.isRetired(_firstId));
        vm.assertFalse(credits.isRetired(_firstId + 1));
    }

    function test_retire_onlyTheHolderOrHisOperator() public {
        settle(credits, _projectId, carbon(VALUE));
        vm.expectRevert(
            abi.encodeWithSelector(
                ICarbonCredit.CarbonCreditNotHolder.selector, address(this), PAYEE
            )
        );
        credits.retire(PAYEE, _firstId, 1, "", "");
        vm.prank(PAYEE);
        credits.setApprovalForAll(address(this), true);
        credits.retire(PAYEE, _firstId, 1, "", "");
        vm.expectRevert(
            abi.encodeWithSelector(ICarbonCredit.CarbonCreditNothingToRetire.selector, _firstId)
        );
        credits.retire(PAYEE, _firstId, 0, "", "");
    }

    function test_retire_moreThanHeld_reverts() public {
        settle(credits, _projectId, carbon(VALUE));
        vm.expectPartialRevert(
            bytes4(keccak256("ERC1155InsufficientBalance(address,uint256,uint256,uint256)"))
        );
        vm.prank(PAYEE);
        credits.retire(PAYEE, _firstId, 900_001, "", "");
    }

    // --- beneficiaries that are contracts ---

    function _projectOf(address beneficiary, bytes32 subject) private returns (uint256) {
        ICarbonCredit.Project memory wanted = project();
        wanted.beneficiary = beneficiary;
        wanted.report.subject = subject;
        return credits.admit(wanted);
    }

    function _carbonOf(bytes32 subject) private view returns (Report memory report) {
        report = carbon(VALUE);
        report.subject = subject;
    }

    function test_settle_beneficiaryThatCallsBackIn_getsNothingMore() public {
        Reentrant thief = new Reentrant();
        uint256 id = _projectOf(address(thief), "thief");
        Report memory report = _carbonOf("thief");
        Inclusion memory at = anchored(report);
        uint256 creditId = credits.creditIdOf(id, 1);
        bytes memory guarded =
            abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        bytes[2] memory strikes = [
            abi.encodeCall(credits.settle, (id, report, at)),
            abi.encodeCall(credits.retire, (address(thief), creditId, 1, "", ""))
        ];
        uint256 before = vm.snapshotState();
        for (uint256 i = 0; i < strikes.length; ++i) {
            thief.prepare(address(credits), strikes[i]);
            credits.settle(id, report, at);
            vm.assertEq(thief.calls(), 1);
            vm.assertEq(thief.answer(), guarded);
            vm.assertEq(credits.balanceOf(address(thief), creditId), 900_000);
            vm.revertToState(before);
        }
    }

    /// @dev One beneficiary burns all the gas that it is given, another answers with sixty thousand
    /// bytes: both pay for it with their own credits, and the honest ones between them are served.
    function test_settleMany_hostileBeneficiariesStopNobodyElse() public {
        uint256[] memory ids = new uint256[](5);
        Report[] memory reports = new Report[](5);
        for (uint256 i = 0; i < 5; ++i) {
            bytes32 subject = keccak256(abi.encode("many", i));
            address beneficiary = PAYEE;
            if (i == 1) beneficiary = address(new GasBurner());
            if (i == 3) beneficiary = address(new Shouter());
            ids[i] = _projectOf(beneficiary, subject);
            reports[i] = _carbonOf(subject);
        }
        MultiInclusion memory at = anchored(reports);
        bytes memory data = abi.encodeCall(credits.settleMany, (ids, reports, at));
        vm.recordLogs();
        uint256 before = gasleft();
        (bool isDone, bytes memory answer) = address(credits).call{gas: 4_000_000}(data);
        vm.assertTrue(isDone);
        vm.assertEq(abi.decode(answer, (uint256)), 3);
        vm.assertLe(before - gasleft(), 3_200_000);
        for (uint256 i = 0; i < 5; ++i) {
            bool isHonest = i % 2 == 0;
            vm.assertEq(credits.isSettled(ids[i], hasher.report(reports[i])), isHonest);
        }
    }

    // --- metadata ---

    function test_uri_namesTheEvidence() public {
        settle(credits, _projectId, carbon(VALUE));
        vm.prank(PAYEE);
        uint256 certificate = credits.retire(PAYEE, _firstId, 10, 'Ann "A"', "Travel");
        string memory uri = credits.uri(_firstId);
        vm.assertEq(_head(uri), "data:application/json;base64,");
        vm.assertEq(_head(credits.retirementUri(certificate)), "data:application/json;base64,");
    }

    function _head(string memory text) private pure returns (string memory) {
        bytes memory head = new bytes(29);
        for (uint256 i = 0; i < 29; ++i) {
            head[i] = bytes(text)[i];
        }
        return string(head);
    }

    function test_supportsInterface() public view {
        vm.assertEq(credits.decimals(), 8);
        vm.assertTrue(credits.supportsInterface(type(IReportConsumer).interfaceId));
        vm.assertTrue(credits.supportsInterface(type(ICarbonCredit).interfaceId));
        vm.assertTrue(credits.supportsInterface(0xd9b67a26));
        vm.assertFalse(credits.supportsInterface(0xffffffff));
    }
}
