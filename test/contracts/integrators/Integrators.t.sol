// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProofRegistry} from "#contracts/proofs/IProofRegistry.sol";
import {Inclusion, Report} from "#contracts/proofs/Types.sol";
import {PeriodSet} from "#contracts/settlement/PeriodSet.sol";
import {ReportConsumer} from "#contracts/settlement/ReportConsumer.sol";
import {ReportTerms} from "#contracts/settlement/ReportTerms.sol";
import {Settlements} from "../support/Settlements.sol";
import {vm} from "../support/Vm.sol";
import {Bonus} from "./Bonus.sol";
import {EnergyCertificates} from "./EnergyCertificates.sol";
import {FrostCover} from "./FrostCover.sol";
import {PayPerUse} from "./PayPerUse.sol";

/// @notice The contracts of `docs/contracts.md`, word for word, settle on real reports.
contract IntegratorsTest is Settlements {
    ReportTerms private _terms = ReportTerms(STREAM, SUBJECT, POLICY, UNIT);

    function setUp() public {
        buildSettlements();
    }

    function test_bonus_paysOnAnAnchoredPass() public {
        vm.deal(address(this), 1 ether);
        Bonus bonus = new Bonus{value: 1 ether}(proofs, _terms, payable(PAYEE));
        Report memory report = fact();
        Inclusion memory at = anchored(report);
        Report memory better = fact();
        better.verdict = 2;
        Inclusion memory other = anchored(better);
        vm.expectRevert(bytes(""));
        bonus.pay(better, other);
        vm.expectPartialRevert(IProofRegistry.ProofRegistryNotIncluded.selector);
        bonus.pay(better, at);
        bonus.pay(report, at);
        vm.assertEq(PAYEE.balance, 1 ether);
    }

    function test_frostCover_paysOnceForItsSeason() public {
        FrostCover frost = new FrostCover(proofs, token);
        token.mint(address(this), AMOUNT);
        token.approve(address(frost), AMOUNT);
        uint256 id = frost.write(_terms, PERIOD_START_MS, PERIOD_END_MS, PAYEE, AMOUNT);
        afterPeriod();
        refuses(
            frost,
            id,
            window(failing(0), 1),
            abi.encodeWithSelector(FrostCover.FrostCoverNotOurs.selector, id)
        );
        settle(frost, id, failing(0));
        vm.assertEq(token.balanceOf(PAYEE), AMOUNT);
        refuses(
            frost,
            id,
            failing(0),
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerAlreadySettled.selector, id, hasher.report(failing(0))
            )
        );
    }

    function test_energyCertificates_mintOnceForEachMinute() public {
        EnergyCertificates energy = new EnergyCertificates(proofs);
        uint256 plant = energy.admit(_terms, PAYEE);
        afterPeriod();
        Report memory report = fact();
        report.exclusiveTo = energy.right();
        settle(energy, plant, report);
        vm.assertEq(energy.balanceOf(PAYEE), 5_000_000);
        report.periodStartMs += 60_000;
        refuses(
            energy,
            plant,
            report,
            abi.encodeWithSelector(
                PeriodSet.PeriodSetTaken.selector, report.periodStartMs, report.periodEndMs
            )
        );
    }

    function test_payPerUse_paysPeriodAfterPeriodAndReturnsTheRest() public {
        PayPerUse use = new PayPerUse(proofs, token);
        token.mint(PAYER, 1_000);
        vm.startPrank(PAYER);
        token.approve(address(use), 1_000);
        uint256 id = use.open(_terms, PAYEE, PERIOD_START_MS, 7, 1_000);
        vm.stopPrank();
        afterPeriod();
        settle(use, id, fact());
        vm.assertEq(token.balanceOf(PAYEE), 35);
        refuses(
            use,
            id,
            fact(),
            abi.encodeWithSelector(
                PayPerUse.PayPerUseNotNext.selector, PERIOD_END_MS, PERIOD_START_MS
            )
        );
        vm.warp(PERIOD_END_MS / 1000 + 30 days + 1);
        use.close(id);
        vm.assertEq(token.balanceOf(PAYER), 965);
    }
}
