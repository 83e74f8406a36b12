// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {CarbonCredit} from "#contracts/settlement/CarbonCredit.sol";
import {CoverPool} from "#contracts/settlement/CoverPool.sol";
import {ICarbonCredit} from "#contracts/settlement/ICarbonCredit.sol";
import {IParametricCover} from "#contracts/settlement/IParametricCover.sol";
import {IPerformanceEscrow} from "#contracts/settlement/IPerformanceEscrow.sol";
import {IReportConsumer} from "#contracts/settlement/IReportConsumer.sol";
import {ParametricCover} from "#contracts/settlement/ParametricCover.sol";
import {CurveShape, CurveStep, PayoutCurve} from "#contracts/settlement/PayoutCurve.sol";
import {PerformanceEscrow} from "#contracts/settlement/PerformanceEscrow.sol";
import {ReportTerms} from "#contracts/settlement/ReportTerms.sol";
import {Inclusion, Report} from "#contracts/proofs/Types.sol";
import {vm} from "./Vm.sol";
import {World} from "./World.sol";

/// @notice A world in which an escrow, a cover with its pool and a credit contract settle.
abstract contract Settlements is World {
    uint64 internal constant DAY_MS = 86_400_000;
    /// Period of {fact}: one whole day.
    uint64 internal constant PERIOD_START_MS = 1_740_096_000_000;
    uint64 internal constant PERIOD_END_MS = PERIOD_START_MS + DAY_MS;
    uint40 internal constant GRACE_SECONDS = 2 days;
    uint64 internal constant NOTICE_SECONDS = 7 days;
    uint112 internal constant AMOUNT = 1_000_003;
    uint128 internal constant INSURED = 10_000_000;
    uint256 internal constant CAPITAL = 100_000_000;
    bytes32 internal constant PERIL = "drought";
    bytes32 internal constant REGION = "here";
    bytes32 internal constant CARBON_UNIT = "kgCO2e";
    address internal constant INVESTOR = address(0x141E5704);

    PerformanceEscrow internal escrow;
    ParametricCover internal cover;
    CoverPool internal pool;
    CarbonCredit internal credits;

    function buildSettlements() internal {
        build();
        escrow = new PerformanceEscrow(proofs);
        cover = new ParametricCover(proofs, token, address(authority), NOTICE_SECONDS);
        pool = CoverPool(address(cover.POOL()));
        credits = new CarbonCredit(proofs, address(authority));
    }

    // --- time ---

    /// @dev One minute after the period of {fact}.
    function afterPeriod() internal {
        vm.warp(PERIOD_END_MS / 1000 + 60);
    }

    // --- curves ---

    function flat(uint32 maximumPpm) internal pure returns (PayoutCurve memory) {
        return PayoutCurve(CurveShape.FLAT, 0, maximumPpm, 0, 0, new CurveStep[](0));
    }

    /// @dev Nothing at 5,000,000, everything at 1,000,000.
    function linear() internal pure returns (PayoutCurve memory) {
        return
            PayoutCurve(CurveShape.LINEAR, 0, 1_000_000, 5_000_000, 1_000_000, new CurveStep[](0));
    }

    // --- agreements ---

    function terms() internal view returns (IPerformanceEscrow.Terms memory) {
        IPerformanceEscrow.TrancheTerms[] memory tranches = new IPerformanceEscrow.TrancheTerms[](1);
        tranches[0] = IPerformanceEscrow.TrancheTerms(PERIOD_START_MS, PERIOD_END_MS, AMOUNT);
        return IPerformanceEscrow.Terms({
            payee: PAYEE,
            token: token,
            report: ReportTerms(STREAM, SUBJECT, POLICY, UNIT),
            minCoveragePpm: 900_000,
            weakestTier: 2,
            isInOrder: false,
            graceSeconds: GRACE_SECONDS,
            penalty: linear(),
            tranches: tranches
        });
    }

    /// @dev Three days in a row from the period of {fact} on.
    function threeTranches(bool isInOrder)
        internal
        view
        returns (IPerformanceEscrow.Terms memory wanted)
    {
        wanted = terms();
        wanted.isInOrder = isInOrder;
        wanted.tranches = new IPerformanceEscrow.TrancheTerms[](3);
        for (uint64 i = 0; i < 3; ++i) {
            wanted.tranches[i] = IPerformanceEscrow.TrancheTerms(
                PERIOD_START_MS + i * DAY_MS, PERIOD_END_MS + i * DAY_MS, AMOUNT + uint112(i)
            );
        }
    }

    function create(IPerformanceEscrow.Terms memory wanted) internal returns (uint256) {
        uint256 total = 0;
        for (uint256 i = 0; i < wanted.tranches.length; ++i) {
            total += wanted.tranches[i].amount;
        }
        token.mint(PAYER, total);
        vm.startPrank(PAYER);
        IERC20(wanted.token).approve(address(escrow), total);
        uint256 id = escrow.create(wanted);
        vm.stopPrank();
        return id;
    }

    function product() internal pure returns (IParametricCover.Product memory) {
        return IParametricCover.Product({
            stream: STREAM,
            policyId: POLICY,
            unit: UNIT,
            peril: PERIL,
            region: REGION,
            windowMs: DAY_MS,
            minCoveragePpm: 900_000,
            weakestTier: 2,
            maxWindows: 3,
            waitingSeconds: 1 days,
            claimSeconds: GRACE_SECONDS,
            basePpm: 40_000,
            loadPpm: 60_000,
            silencePpm: 250_000,
            silenceCoveragePpm: 100_000,
            curve: linear()
        });
    }

    function purchase(uint256 productId) internal pure returns (IParametricCover.Purchase memory) {
        return IParametricCover.Purchase({
            productId: productId,
            subject: SUBJECT,
            startMs: PERIOD_START_MS,
            windowCount: 3,
            sumInsured: INSURED,
            windowLimit: INSURED / 2,
            maxPremium: type(uint256).max,
            holder: PAYEE
        });
    }

    function invest(address investor, uint256 amount) internal returns (uint256 shares) {
        token.mint(investor, amount);
        vm.startPrank(investor);
        token.approve(address(pool), amount);
        shares = pool.deposit(amount, investor);
        vm.stopPrank();
    }

    /// @dev A funded pool and a product on offer.
    function offered() internal returns (uint256 productId) {
        invest(INVESTOR, CAPITAL);
        cover.setExposureCap(PERIL, REGION, CAPITAL);
        return cover.offer(product());
    }

    function buy(IParametricCover.Purchase memory wanted) internal returns (uint256 id) {
        uint256 premium = cover.quotePremium(wanted);
        token.mint(PAYER, premium);
        vm.startPrank(PAYER);
        token.approve(address(cover), premium);
        id = cover.buy(wanted);
        vm.stopPrank();
    }

    function project() internal pure returns (ICarbonCredit.Project memory) {
        return ICarbonCredit.Project({
            beneficiary: PAYEE,
            report: ReportTerms(STREAM, SUBJECT, POLICY, CARBON_UNIT),
            minCoveragePpm: 900_000,
            weakestTier: 2,
            bufferPpm: 100_000,
            needsConfirmation: false,
            creditsNumerator: 1,
            creditsDenominator: 10,
            name: "Plant",
            methodology: "AMS-I.D.",
            registryId: "PL-1"
        });
    }

    // --- reports ---

    function failing(int128 valueMicro) internal pure returns (Report memory report) {
        report = fact();
        report.verdict = 2;
        report.valueMicro = valueMicro;
    }

    function window(Report memory report, uint64 day) internal pure returns (Report memory) {
        report.periodStartMs = PERIOD_START_MS + day * DAY_MS;
        report.periodEndMs = PERIOD_END_MS + day * DAY_MS;
        return report;
    }

    /// @dev A right to carbon credits of this chain's credit contract.
    function carbon(int128 valueMicro) internal view returns (Report memory report) {
        report = fact();
        report.unit = CARBON_UNIT;
        report.valueMicro = valueMicro;
        report.exclusiveTo = credits.carbonRight();
    }

    // --- settling ---

    function settle(IReportConsumer consumer, uint256 id, Report memory report) internal {
        Inclusion memory at = anchored(report);
        vm.prank(RELAYER);
        consumer.settle(id, report, at);
    }

    /// @dev The report is genuine and anchored; the consumer refuses it for exactly this reason.
    function refuses(
        IReportConsumer consumer,
        uint256 id,
        Report memory report,
        bytes memory refusal
    ) internal {
        Inclusion memory at = anchored(report);
        vm.expectRevert(refusal);
        vm.prank(RELAYER);
        consumer.settle(id, report, at);
    }
}
