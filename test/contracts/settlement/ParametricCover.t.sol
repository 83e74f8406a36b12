// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Inclusion, Report} from "#contracts/proofs/Types.sol";
import {CoverPool} from "#contracts/settlement/CoverPool.sol";
import {ExactTransfer} from "#contracts/settlement/ExactTransfer.sol";
import {ICoverPool} from "#contracts/settlement/ICoverPool.sol";
import {IParametricCover} from "#contracts/settlement/IParametricCover.sol";
import {IReportConsumer} from "#contracts/settlement/IReportConsumer.sol";
import {ParametricCover} from "#contracts/settlement/ParametricCover.sol";
import {PayoutCurveLib} from "#contracts/settlement/PayoutCurve.sol";
import {ReportConsumer} from "#contracts/settlement/ReportConsumer.sol";
import {ReportTermsLib} from "#contracts/settlement/ReportTerms.sol";
import {Settlements} from "../support/Settlements.sol";
import {FeeToken, HookToken, Reentrant} from "../support/Tokens.sol";
import {bound, vm} from "../support/Vm.sol";

contract ParametricCoverTest is Settlements {
    function setUp() public {
        buildSettlements();
    }

    function _policy() private returns (uint256) {
        return buy(purchase(offered()));
    }

    function _deadlineMs() private pure returns (uint256) {
        return uint256(PERIOD_START_MS) + 3 * uint256(DAY_MS) + uint256(GRACE_SECONDS) * 1000;
    }

    function _refusesPurchase(IParametricCover.Purchase memory wanted, bytes memory refusal)
        private
    {
        vm.expectRevert(refusal);
        cover.buy(wanted);
    }

    // --- offering ---

    function test_offer_isReadBackAsItWasWritten() public {
        uint256 id = offered();
        vm.assertEq(abi.encode(cover.product(id)), abi.encode(product()));
        vm.assertTrue(cover.isOffered(id));
    }

    function test_offer_badProduct_revertsByField() public {
        _refusesProduct("stream");
        _refusesProduct("policyId");
        _refusesProduct("windowMs");
        _refusesProduct("maxWindows");
        _refusesProduct("minCoveragePpm");
        _refusesProduct("weakestTier");
        _refusesProduct("basePpm");
        _refusesProduct("silencePpm");
        _refusesProduct("silenceCoveragePpm");
    }

    function _refusesProduct(bytes32 field) private {
        IParametricCover.Product memory wanted = product();
        if (field == "stream") wanted.stream = 0;
        if (field == "policyId") wanted.policyId = 0;
        if (field == "windowMs") wanted.windowMs = 0;
        if (field == "maxWindows") wanted.maxWindows = 0;
        if (field == "minCoveragePpm") wanted.minCoveragePpm = 1_000_001;
        if (field == "weakestTier") wanted.weakestTier = 4;
        if (field == "basePpm") wanted.basePpm = 0;
        if (field == "silencePpm") wanted.silencePpm = 1_000_001;
        if (field == "silenceCoveragePpm") wanted.silenceCoveragePpm = 1_000_001;
        vm.expectRevert(
            abi.encodeWithSelector(IParametricCover.ParametricCoverBadProduct.selector, field)
        );
        cover.offer(wanted);
    }

    function test_offer_badCurve_reverts() public {
        IParametricCover.Product memory wanted = product();
        wanted.curve.exhaustionMicro = wanted.curve.attachmentMicro;
        vm.expectRevert(
            abi.encodeWithSelector(
                PayoutCurveLib.PayoutCurveNoDirection.selector,
                wanted.curve.attachmentMicro,
                wanted.curve.attachmentMicro
            )
        );
        cover.offer(wanted);
    }

    function testFuzz_restricted_strangersAreRefused(address stranger) public {
        vm.assume(stranger != address(this) && stranger != address(authority));
        bytes[5] memory calls = [
            abi.encodeCall(cover.offer, (product())),
            abi.encodeCall(cover.withdrawOffer, (1)),
            abi.encodeCall(cover.setExposureCap, (PERIL, REGION, 1)),
            abi.encodeCall(cover.pause, ()),
            abi.encodeCall(cover.unpause, ())
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(stranger);
            (bool isDone, bytes memory answer) = address(cover).call(calls[i]);
            vm.assertFalse(isDone);
            vm.assertEq(
                answer,
                abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, stranger)
            );
        }
    }

    function test_withdrawOffer_policiesSoldGoOn() public {
        uint256 productId = offered();
        uint256 id = buy(purchase(productId));
        cover.withdrawOffer(productId);
        bytes memory refusal =
            abi.encodeWithSelector(IParametricCover.ParametricCoverNotOffered.selector, productId);
        _refusesPurchase(purchase(productId), refusal);
        vm.expectRevert(refusal);
        cover.withdrawOffer(productId);
        afterPeriod();
        settle(cover, id, failing(1_000_000));
        vm.assertEq(token.balanceOf(PAYEE), INSURED / 2);
    }

    // --- buying ---

    function test_buy_locksCapitalAndMintsThePolicy() public {
        uint256 id = _policy();
        vm.assertEq(cover.ownerOf(id), PAYEE);
        vm.assertEq(pool.lockedAssets(), INSURED);
        vm.assertEq(pool.freeAssets(), CAPITAL - INSURED);
        vm.assertEq(pool.totalAssets(), CAPITAL, "a premium is not earned yet");
        (uint256 promised,) = cover.exposure(PERIL, REGION);
        vm.assertEq(promised, INSURED);
        IParametricCover.PolicyView memory held = cover.policy(id);
        vm.assertEq(held.remaining, INSURED);
        vm.assertEq(held.premium, pool.unearnedPremiums());
        vm.assertEq(token.balanceOf(address(pool)), CAPITAL + held.premium);
        vm.assertEq(token.balanceOf(address(cover)), 0);
    }

    /// @dev Base 4 % and 6 % times the tenth of the pool that is promised with it: 4.6 % a year, for the
    /// days from the sale to the end of the claim time.
    function test_quotePremium_isForAllTheTimeThatCapitalIsHeld() public {
        uint256 id = offered();
        uint256 heldSeconds = _deadlineMs() / 1000 - START;
        uint256 numerator = uint256(INSURED) * 46_000 * heldSeconds;
        uint256 denominator = 1_000_000 * uint256(365 days);
        vm.assertEq(cover.quotePremium(purchase(id)), (numerator + denominator - 1) / denominator);
        IParametricCover.Purchase memory late = purchase(id);
        late.startMs += 50 * 365 * DAY_MS;
        vm.assertGt(cover.quotePremium(late), 2 * uint256(INSURED));
    }

    function test_buy_afterTheEvent_reverts() public {
        uint256 id = offered();
        IParametricCover.Purchase memory wanted = purchase(id);
        uint256 earliestMs = (START + 1 days) * 1000;
        wanted.startMs = uint64(earliestMs - 1);
        _refusesPurchase(
            wanted,
            abi.encodeWithSelector(
                IParametricCover.ParametricCoverStartTooEarly.selector, wanted.startMs, earliestMs
            )
        );
        wanted.startMs = uint64(earliestMs);
        buy(wanted);
    }

    function test_buy_windowCount_reverts() public {
        IParametricCover.Purchase memory wanted = purchase(offered());
        wanted.windowCount = 0;
        _refusesPurchase(
            wanted,
            abi.encodeWithSelector(IParametricCover.ParametricCoverWindowCount.selector, 0, 3)
        );
        wanted.windowCount = 4;
        _refusesPurchase(
            wanted,
            abi.encodeWithSelector(IParametricCover.ParametricCoverWindowCount.selector, 4, 3)
        );
    }

    function test_buy_badLimit_reverts() public {
        IParametricCover.Purchase memory wanted = purchase(offered());
        wanted.windowLimit = 0;
        _refusesPurchase(
            wanted,
            abi.encodeWithSelector(IParametricCover.ParametricCoverBadLimit.selector, 0, INSURED)
        );
        wanted.windowLimit = INSURED + 1;
        _refusesPurchase(
            wanted,
            abi.encodeWithSelector(
                IParametricCover.ParametricCoverBadLimit.selector, INSURED + 1, INSURED
            )
        );
    }

    function test_buy_partyMissing_reverts() public {
        bytes memory refusal =
            abi.encodeWithSelector(IParametricCover.ParametricCoverPartyMissing.selector);
        IParametricCover.Purchase memory wanted = purchase(offered());
        wanted.subject = 0;
        _refusesPurchase(wanted, refusal);
        wanted = purchase(1);
        wanted.holder = address(0);
        _refusesPurchase(wanted, refusal);
    }

    function test_buy_premiumTooHigh_reverts() public {
        IParametricCover.Purchase memory wanted = purchase(offered());
        uint256 premium = cover.quotePremium(wanted);
        wanted.maxPremium = premium - 1;
        _refusesPurchase(
            wanted,
            abi.encodeWithSelector(
                IParametricCover.ParametricCoverPremiumTooHigh.selector, premium, premium - 1
            )
        );
    }

    function test_buy_exposureExceeded_reverts() public {
        IParametricCover.Purchase memory wanted = purchase(offered());
        cover.setExposureCap(PERIL, REGION, INSURED - 1);
        _refusesPurchase(
            wanted,
            abi.encodeWithSelector(
                IParametricCover.ParametricCoverExposureExceeded.selector,
                PERIL,
                REGION,
                INSURED,
                INSURED - 1
            )
        );
    }

    function test_buy_beyondThePoolsCapital_reverts() public {
        IParametricCover.Purchase memory wanted = purchase(offered());
        cover.setExposureCap(PERIL, REGION, type(uint128).max);
        wanted.sumInsured = uint128(CAPITAL) + 1;
        _refusesPurchase(
            wanted,
            abi.encodeWithSelector(
                ICoverPool.CoverPoolCapacityExceeded.selector, CAPITAL + 1, CAPITAL
            )
        );
    }

    function test_buy_whilePaused_revertsButPayoutsGoOn() public {
        uint256 id = _policy();
        cover.pause();
        IParametricCover.Purchase memory wanted = purchase(1);
        _refusesPurchase(wanted, abi.encodeWithSelector(Pausable.EnforcedPause.selector));
        afterPeriod();
        settle(cover, id, failing(1_000_000));
        vm.warp(_deadlineMs() / 1000);
        cover.close(id);
        cover.unpause();
        wanted.startMs = uint64((block.timestamp + 1 days) * 1000);
        buy(wanted);
    }

    function test_buy_tokenThatTakesFees_reverts() public {
        FeeToken fee = new FeeToken();
        cover = new ParametricCover(proofs, fee, address(authority), NOTICE_SECONDS);
        pool = CoverPool(address(cover.POOL()));
        fee.mint(INVESTOR, CAPITAL);
        vm.startPrank(INVESTOR);
        fee.approve(address(pool), CAPITAL);
        vm.expectRevert(
            abi.encodeWithSelector(
                ExactTransfer.ExactTransferShort.selector, fee, CAPITAL, CAPITAL - CAPITAL / 100
            )
        );
        pool.deposit(CAPITAL, INVESTOR);
        vm.stopPrank();
    }

    // --- settling ---

    function testFuzz_settle_fail_paysByTheCurve(int128 value) public {
        uint256 id = _policy();
        afterPeriod();
        value = int128(int256(bound(uint256(int256(value)), 0, 4_999_995)));
        uint256 depth = value <= 1_000_000 ? 4_000_000 : uint256(int256(5_000_000 - value));
        uint256 payout = uint256(INSURED / 2) * (1_000_000 * depth / 4_000_000) / 1_000_000;
        Report memory report = failing(value);
        bytes32 leaf = hasher.report(report);
        Inclusion memory at = anchored(report);
        vm.expectEmit(address(cover));
        emit IReportConsumer.ReportSettled(id, leaf, PAYEE, payout);
        cover.settle(id, report, at);
        vm.assertTrue(cover.isSettled(id, leaf));
        vm.assertEq(token.balanceOf(PAYEE), payout);
        vm.assertEq(cover.policy(id).remaining, INSURED - payout);
        vm.assertEq(pool.lockedAssets(), INSURED - payout);
        vm.assertEq(pool.totalAssets(), CAPITAL - payout);
        (uint256 promised,) = cover.exposure(PERIL, REGION);
        vm.assertEq(promised, INSURED - payout);
    }

    function test_settle_paysWhoHoldsThePolicyNow() public {
        uint256 id = _policy();
        vm.prank(PAYEE);
        cover.transferFrom(PAYEE, INVESTOR, id);
        afterPeriod();
        settle(cover, id, failing(0));
        vm.assertEq(token.balanceOf(INVESTOR), INSURED / 2);
        vm.assertEq(token.balanceOf(PAYEE), 0);
    }

    function test_settle_neverMoreThanTheSumInsured() public {
        IParametricCover.Purchase memory wanted = purchase(offered());
        wanted.windowLimit = INSURED * 2 / 3;
        uint256 id = buy(wanted);
        vm.warp(PERIOD_END_MS / 1000 + 2 days);
        settle(cover, id, failing(0));
        settle(cover, id, window(failing(0), 1));
        vm.assertEq(token.balanceOf(PAYEE), INSURED);
        refuses(
            cover,
            id,
            window(failing(0), 2),
            abi.encodeWithSelector(IParametricCover.ParametricCoverExhausted.selector, id)
        );
        // Used up, so it can be closed before its deadline.
        cover.close(id);
        vm.assertTrue(cover.policy(id).isClosed);
    }

    function test_settle_sameWindowTwice_reverts() public {
        uint256 id = _policy();
        afterPeriod();
        settle(cover, id, failing(2_000_000));
        Report memory other = failing(0);
        refuses(
            cover,
            id,
            other,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerAlreadySettled.selector, id, hasher.report(other)
            )
        );
    }

    /// @dev Overlap, a part of a window, two windows at once, a window before or after: none of it.
    function testFuzz_settle_outsideTheWindows_reverts(uint64 startMs, uint64 endMs) public {
        startMs = uint64(bound(startMs, PERIOD_START_MS - DAY_MS, PERIOD_START_MS + 4 * DAY_MS));
        endMs = uint64(bound(endMs, startMs, startMs + 2 * DAY_MS));
        vm.assume(startMs % DAY_MS != 0 || endMs - startMs != DAY_MS);
        uint256 id = _policy();
        afterPeriod();
        Report memory report = failing(0);
        report.periodStartMs = startMs;
        report.periodEndMs = endMs;
        refuses(
            cover,
            id,
            report,
            abi.encodeWithSelector(
                IParametricCover.ParametricCoverOutsideWindows.selector, id, startMs, endMs
            )
        );
    }

    function test_settle_windowsBesideThePolicys_revert() public {
        uint256 id = _policy();
        vm.warp(PERIOD_END_MS / 1000 + 3 days);
        Report memory before = failing(0);
        before.periodStartMs -= DAY_MS;
        before.periodEndMs -= DAY_MS;
        bytes4 selector = IParametricCover.ParametricCoverOutsideWindows.selector;
        refuses(
            cover,
            id,
            before,
            abi.encodeWithSelector(selector, id, before.periodStartMs, before.periodEndMs)
        );
        Report memory behind = window(failing(0), 3);
        refuses(
            cover,
            id,
            behind,
            abi.encodeWithSelector(selector, id, behind.periodStartMs, behind.periodEndMs)
        );
    }

    function test_settle_anotherPolicysReport_reverts() public {
        uint256 id = _policy();
        afterPeriod();
        Report memory report = failing(0);
        report.subject = "other";
        refuses(
            cover,
            id,
            report,
            abi.encodeWithSelector(
                ReportTermsLib.ReportTermsSubjectMismatch.selector, SUBJECT, report.subject
            )
        );
        report = failing(0);
        report.policyId = "other";
        refuses(
            cover,
            id,
            report,
            abi.encodeWithSelector(
                ReportTermsLib.ReportTermsPolicyMismatch.selector, POLICY, report.policyId
            )
        );
        report = failing(0);
        report.unit = "kWh";
        refuses(
            cover,
            id,
            report,
            abi.encodeWithSelector(
                ReportTermsLib.ReportTermsUnitMismatch.selector, UNIT, report.unit
            )
        );
    }

    function test_settle_unknownPolicy_reverts() public {
        afterPeriod();
        refuses(
            cover,
            9,
            failing(0),
            abi.encodeWithSelector(
                IParametricCover.ParametricCoverUnknownPolicy.selector, uint256(9)
            )
        );
        vm.expectRevert(
            abi.encodeWithSelector(
                IParametricCover.ParametricCoverUnknownPolicy.selector, uint256(9)
            )
        );
        cover.policy(9);
    }

    function test_settle_notTriggered_reverts() public {
        uint256 id = _policy();
        afterPeriod();
        bytes4 selector = IParametricCover.ParametricCoverNotTriggered.selector;
        refuses(cover, id, fact(), abi.encodeWithSelector(selector, id, 1, int128(5_000_000)));
        // A FAIL that the curve pays nothing for spends nothing: an amendment may still pay.
        refuses(
            cover,
            id,
            failing(5_000_001),
            abi.encodeWithSelector(selector, id, 2, int128(5_000_001))
        );
        settle(cover, id, failing(1_000_000));
    }

    function test_settle_right_reverts() public {
        uint256 id = _policy();
        afterPeriod();
        Report memory report = failing(0);
        report.exclusiveTo = "elsewhere";
        refuses(
            cover,
            id,
            report,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerRightElsewhere.selector, bytes32(0), report.exclusiveTo
            )
        );
    }

    function test_settle_weakerTierOrCoverage_reverts() public {
        uint256 id = _policy();
        afterPeriod();
        Report memory report = failing(0);
        report.tier = 3;
        refuses(
            cover,
            id,
            report,
            abi.encodeWithSelector(ReportConsumer.ReportConsumerTierTooWeak.selector, 2, 3)
        );
        report = failing(0);
        report.coveragePpm = 899_999;
        refuses(
            cover,
            id,
            report,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerCoverageTooLow.selector, 900_000, 899_999
            )
        );
    }

    function test_settle_darkWindow_paysTheSilenceClause() public {
        uint256 id = _policy();
        afterPeriod();
        Report memory report = failing(0);
        report.verdict = 3;
        report.coveragePpm = 100_001;
        refuses(
            cover,
            id,
            report,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerInconclusive.selector, hasher.report(report)
            )
        );
        report.coveragePpm = 100_000;
        settle(cover, id, report);
        vm.assertEq(token.balanceOf(PAYEE), INSURED / 2 / 4);
    }

    function test_settle_darkWindowWithoutSilenceClause_reverts() public {
        offered();
        IParametricCover.Product memory silent = product();
        silent.silencePpm = 0;
        uint256 id = buy(purchase(cover.offer(silent)));
        afterPeriod();
        Report memory report = failing(0);
        report.verdict = 3;
        report.coveragePpm = 0;
        refuses(
            cover,
            id,
            report,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerInconclusive.selector, hasher.report(report)
            )
        );
    }

    // --- the deadline ---

    function testFuzz_deadline_exactlyOneDoorIsOpen(uint256 nowSeconds) public {
        uint256 deadline = _deadlineMs() / 1000;
        nowSeconds = bound(nowSeconds, deadline - 2, deadline + 2);
        uint256 id = _policy();
        vm.warp(nowSeconds);
        // The key of the beginning has expired by then.
        registerEnclave(ENCLAVE_KEY, STREAM);
        if (nowSeconds < deadline) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IParametricCover.ParametricCoverDeadlineAhead.selector,
                    deadline * 1000,
                    nowSeconds * 1000
                )
            );
            cover.close(id);
            settle(cover, id, failing(0));
            return;
        }
        refuses(
            cover,
            id,
            failing(0),
            abi.encodeWithSelector(
                IParametricCover.ParametricCoverDeadlinePassed.selector,
                deadline * 1000,
                nowSeconds * 1000
            )
        );
        uint256 premium = cover.policy(id).premium;
        cover.close(id);
        vm.assertEq(pool.lockedAssets(), 0);
        vm.assertEq(pool.totalAssets(), CAPITAL + premium, "the premium is earned");
        vm.assertEq(pool.unearnedPremiums(), 0);
        bytes memory closed =
            abi.encodeWithSelector(IParametricCover.ParametricCoverPolicyClosed.selector, id);
        refuses(cover, id, failing(0), closed);
        vm.expectRevert(closed);
        cover.close(id);
    }

    // --- a token that calls back ---

    function test_settle_holderThatCallsBackIn_getsNothingMore() public {
        HookToken hook = new HookToken();
        cover = new ParametricCover(proofs, hook, address(authority), NOTICE_SECONDS);
        pool = CoverPool(address(cover.POOL()));
        hook.mint(address(this), 2 * CAPITAL);
        hook.approve(address(pool), CAPITAL);
        hook.approve(address(cover), CAPITAL);
        pool.deposit(CAPITAL, address(this));
        cover.setExposureCap(PERIL, REGION, CAPITAL);
        Reentrant thief = new Reentrant();
        hook.listen(address(thief));
        IParametricCover.Purchase memory wanted = purchase(cover.offer(product()));
        wanted.holder = address(thief);
        uint256 id = cover.buy(wanted);
        afterPeriod();
        Report memory report = failing(0);
        Inclusion memory at = anchored(report);
        bytes memory guarded =
            abi.encodeWithSelector(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        bytes[3] memory strikes = [
            abi.encodeCall(cover.settle, (id, report, at)),
            abi.encodeCall(cover.close, (id)),
            abi.encodeCall(cover.buy, (wanted))
        ];
        uint256 before = vm.snapshotState();
        for (uint256 i = 0; i < strikes.length; ++i) {
            thief.prepare(address(cover), strikes[i]);
            cover.settle(id, report, at);
            vm.assertEq(thief.calls(), 1);
            vm.assertEq(thief.answer(), guarded);
            vm.assertEq(hook.balanceOf(address(thief)), INSURED / 2);
            vm.revertToState(before);
        }
    }

    // --- the pool ---

    function testFuzz_pool_nobodyButTheCoverMovesCapital(address stranger) public {
        vm.assume(stranger != address(cover));
        offered();
        bytes[3] memory calls = [
            abi.encodeCall(pool.lock, (1, 0)),
            abi.encodeCall(pool.pay, (stranger, 1)),
            abi.encodeCall(pool.release, (0, 0))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(stranger);
            (bool isDone, bytes memory answer) = address(pool).call(calls[i]);
            vm.assertFalse(isDone);
            vm.assertEq(
                answer, abi.encodeWithSelector(ICoverPool.CoverPoolNotCover.selector, stranger)
            );
        }
    }

    function test_pool_capacityExceeded_reverts() public {
        _policy();
        bytes4 selector = ICoverPool.CoverPoolCapacityExceeded.selector;
        vm.startPrank(address(cover));
        vm.expectRevert(abi.encodeWithSelector(selector, CAPITAL - INSURED + 1, CAPITAL - INSURED));
        pool.lock(CAPITAL - INSURED + 1, 0);
        vm.expectRevert(abi.encodeWithSelector(selector, INSURED + 1, INSURED));
        pool.pay(PAYEE, INSURED + 1);
        vm.expectRevert(abi.encodeWithSelector(selector, INSURED + 1, INSURED));
        pool.release(INSURED + 1, 0);
        vm.stopPrank();
    }

    function test_pool_redeem_onlyAfterNotice() public {
        uint256 shares = invest(INVESTOR, CAPITAL);
        bytes4 selector = ERC4626.ERC4626ExceededMaxRedeem.selector;
        vm.startPrank(INVESTOR);
        vm.expectRevert(abi.encodeWithSelector(selector, INVESTOR, shares, 0));
        pool.redeem(shares, INVESTOR, INVESTOR);
        pool.giveNotice(shares);
        uint256 maturesAt = START + NOTICE_SECONDS;
        vm.assertEq(pool.noticeOf(INVESTOR).maturesAt, maturesAt);
        vm.warp(maturesAt - 1);
        vm.expectRevert(abi.encodeWithSelector(selector, INVESTOR, shares, 0));
        pool.redeem(shares, INVESTOR, INVESTOR);
        vm.warp(maturesAt);
        vm.assertEq(pool.redeem(shares, INVESTOR, INVESTOR), CAPITAL);
        vm.stopPrank();
        vm.assertEq(token.balanceOf(INVESTOR), CAPITAL);
    }

    /// @dev A standing notice would let its holder leave with the free capital when a loss is in sight.
    function test_pool_notice_lapsesAndIsRenewed() public {
        uint256 shares = invest(INVESTOR, CAPITAL);
        vm.startPrank(INVESTOR);
        pool.giveNotice(shares);
        uint256 lapsesAt = START + NOTICE_SECONDS + pool.REDEMPTION_SECONDS();
        vm.warp(lapsesAt - 1);
        vm.assertEq(pool.maxRedeem(INVESTOR), shares);
        vm.warp(lapsesAt);
        vm.assertEq(pool.maxRedeem(INVESTOR), 0);
        vm.assertEq(pool.maxWithdraw(INVESTOR), 0);
        pool.giveNotice(0);
        vm.warp(lapsesAt + NOTICE_SECONDS);
        vm.assertEq(pool.maxRedeem(INVESTOR), shares);
        pool.withdrawNotice();
        vm.assertEq(pool.balanceOf(INVESTOR), shares);
        vm.assertEq(pool.maxRedeem(INVESTOR), 0);
        vm.expectRevert(abi.encodeWithSelector(ICoverPool.CoverPoolNoNotice.selector, INVESTOR));
        pool.withdrawNotice();
        vm.stopPrank();
    }

    function test_pool_capitalSetAsideCannotLeave() public {
        _policy();
        uint256 shares = pool.balanceOf(INVESTOR);
        vm.startPrank(INVESTOR);
        pool.giveNotice(shares);
        vm.warp(START + NOTICE_SECONDS);
        vm.assertLe(pool.maxWithdraw(INVESTOR), CAPITAL - INSURED);
        vm.expectPartialRevert(ERC4626.ERC4626ExceededMaxRedeem.selector);
        pool.redeem(shares, INVESTOR, INVESTOR);
        pool.redeem(pool.maxRedeem(INVESTOR), INVESTOR, INVESTOR);
        vm.stopPrank();
        vm.assertGe(pool.totalAssets(), INSURED);
    }

    function test_pool_anotherMayRedeemOnlyWithAllowance() public {
        uint256 shares = invest(INVESTOR, CAPITAL);
        vm.prank(INVESTOR);
        pool.giveNotice(shares);
        vm.warp(START + NOTICE_SECONDS);
        vm.expectPartialRevert(
            bytes4(keccak256("ERC20InsufficientAllowance(address,uint256,uint256)"))
        );
        pool.redeem(shares, address(this), INVESTOR);
    }

    /// @dev Donations change no price, so the first deposit cannot be inflated away.
    function testFuzz_pool_donationsChangeNoPrice(uint256 donation, uint256 deposit) public {
        donation = bound(donation, 0, 1e30);
        deposit = bound(deposit, 1, 1e15);
        invest(address(0xBAD), 1);
        token.mint(address(pool), donation);
        uint256 shares = invest(INVESTOR, deposit);
        vm.assertEq(pool.previewRedeem(shares), deposit);
    }

    function test_supportsInterface() public view {
        vm.assertTrue(cover.supportsInterface(type(IReportConsumer).interfaceId));
        vm.assertTrue(cover.supportsInterface(0x80ac58cd));
        vm.assertFalse(cover.supportsInterface(0xffffffff));
    }
}
