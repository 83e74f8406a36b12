// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Report} from "#contracts/proofs/Types.sol";
import {IParametricCover} from "#contracts/settlement/IParametricCover.sol";
import {Invariants} from "../support/Handlers.sol";
import {Settlements} from "../support/Settlements.sol";
import {bound, vm} from "../support/Vm.sol";

/// @notice Invests, gives notice, redeems, buys, reports, closes, and plays every role at its worst.
contract CoverHandler is Settlements {
    address private constant _FIRST = address(0x1001);
    address private constant _SECOND = address(0x1002);

    uint256 public policyCount;
    /// Everything that verdicts paid, as the anchored reports and the policies' terms have it.
    uint256 public paidByVerdict;
    uint256 public invested;
    uint256 public redeemed;
    uint256 public premiums;
    mapping(uint256 policyId => uint256) public paidOn;

    constructor() {
        buildSettlements();
        offered();
        invested = CAPITAL;
    }

    function investMore(uint256 amount, bool isFirst) external {
        amount = bound(amount, 1, CAPITAL);
        invest(isFirst ? _FIRST : _SECOND, amount);
        invested += amount;
    }

    function give(uint256 shares, uint8 who) external {
        address holder = _investor(who);
        shares = bound(shares, 0, pool.balanceOf(holder));
        vm.prank(holder);
        pool.giveNotice(shares);
    }

    function redeem(uint256 shares, uint8 who) external {
        address holder = _investor(who);
        shares = bound(shares, 0, pool.maxRedeem(holder));
        vm.prank(holder);
        redeemed += pool.redeem(shares, holder, holder);
    }

    function buyPolicy(uint128 sum, uint128 limit, uint16 days_) external {
        if (policyCount == 12) return;
        IParametricCover.Purchase memory wanted = purchase(1);
        wanted.sumInsured = uint128(bound(sum, 1, CAPITAL / 3));
        wanted.windowLimit = uint128(bound(limit, 1, wanted.sumInsured));
        wanted.startMs = uint64(block.timestamp / 1 days + 2 + days_ % 2) * DAY_MS;
        uint256 before = token.balanceOf(address(pool));
        try this.buyAsPayer(wanted) returns (uint256 id) {
            vm.assertEq(id, ++policyCount);
            premiums += token.balanceOf(address(pool)) - before;
        } catch {}
    }

    function buyAsPayer(IParametricCover.Purchase calldata wanted) external returns (uint256) {
        return buy(wanted);
    }

    function wait_(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 2 days));
    }

    function report(uint256 policyId, uint8 windowIndex, uint8 kind, uint64 value) external {
        if (policyCount == 0) return;
        policyId = bound(policyId, 1, policyCount);
        (,, uint64 expiresAt) = enclaves.signerStatus(vm.addr(ENCLAVE_KEY));
        if (expiresAt < block.timestamp + 1 days) registerEnclave(ENCLAVE_KEY, STREAM);
        Report memory said = failing(int128(uint128(bound(value, 0, 6_000_000))));
        said.periodStartMs = cover.policy(policyId).startMs + uint64(windowIndex % 4) * DAY_MS;
        said.periodEndMs = said.periodStartMs + DAY_MS;
        if (kind % 4 == 0) (said.verdict, said.coveragePpm) = (3, 0);
        if (kind % 4 == 1) said.verdict = 1;
        uint256 before = token.balanceOf(PAYEE);
        try this.settleAsRelayer(policyId, said) {
            uint256 paid = token.balanceOf(PAYEE) - before;
            vm.assertTrue(paid != 0 && said.verdict != 1);
            paidByVerdict += paid;
            paidOn[policyId] += paid;
        } catch {}
    }

    function settleAsRelayer(uint256 policyId, Report calldata said) external {
        settle(cover, policyId, said);
    }

    function close(uint256 policyId) external {
        try cover.close(bound(policyId, 1, 13)) {} catch {}
    }

    /// @dev Every role is in one hand, and the hand does what it can.
    function meddle(uint8 choice, uint128 amount, bytes32 word) external {
        bytes[8] memory calls = [
            abi.encodeCall(cover.pause, ()),
            abi.encodeCall(cover.unpause, ()),
            abi.encodeCall(cover.withdrawOffer, (uint256(amount) % 3)),
            abi.encodeCall(cover.setExposureCap, (PERIL, REGION, amount)),
            abi.encodeCall(cover.offer, (product())),
            abi.encodeCall(cover.settleProven, (1, failing(0), word, STREAM)),
            abi.encodeCall(cover.transferFrom, (PAYEE, address(this), 1)),
            abi.encodePacked(bytes4(word), word, uint256(amount), word)
        ];
        (bool isDone,) = address(cover).call(calls[choice % 8]);
        bytes[5] memory strikes = [
            abi.encodeCall(pool.pay, (address(this), amount)),
            abi.encodeCall(pool.release, (amount, amount)),
            abi.encodeCall(pool.lock, (amount, amount)),
            abi.encodeCall(pool.redeem, (amount, address(this), INVESTOR)),
            abi.encodeCall(pool.withdraw, (amount, address(this), INVESTOR))
        ];
        (isDone,) = address(pool).call(strikes[choice % 5]);
        if (!cover.isOffered(1)) return;
        cover.setExposureCap(PERIL, REGION, 10 * CAPITAL);
        if (cover.paused()) cover.unpause();
    }

    function check() external view {
        uint256 remaining = 0;
        uint256 unearned = 0;
        uint256 paid = 0;
        for (uint256 id = 1; id <= policyCount; ++id) {
            IParametricCover.PolicyView memory held = cover.policy(id);
            vm.assertLe(paidOn[id], held.sumInsured, "payouts exceed the sum insured");
            paid += paidOn[id];
            remaining += held.remaining;
            if (!held.isClosed) {
                vm.assertEq(held.remaining + paidOn[id], held.sumInsured);
                unearned += held.premium;
            }
        }
        vm.assertEq(pool.lockedAssets(), remaining, "set aside is what is promised");
        vm.assertEq(pool.unearnedPremiums(), unearned);
        vm.assertLe(remaining, pool.totalAssets(), "promises exceed the pool");
        (uint256 promised,) = cover.exposure(PERIL, REGION);
        vm.assertEq(promised, remaining);
        uint256 balance = token.balanceOf(address(pool));
        vm.assertEq(balance, pool.totalAssets() + unearned, "the ledger is the balance");
        vm.assertEq(
            balance + paidByVerdict + redeemed,
            invested + premiums,
            "money left without verdict or shares"
        );
        vm.assertEq(token.balanceOf(address(cover)), 0);
        vm.assertEq(token.balanceOf(address(this)), 0, "a role took something");
        vm.assertLe(
            pool.convertToAssets(pool.totalSupply()), pool.totalAssets(), "shares exceed assets"
        );
    }

    function _investor(uint8 who) private pure returns (address) {
        return who % 3 == 0 ? _FIRST : who % 3 == 1 ? _SECOND : INVESTOR;
    }
}

contract CoverInvariantsTest is Invariants {
    CoverHandler private handler;

    function setUp() public {
        handler = new CoverHandler();
        bytes4[] memory selectors = new bytes4[](9);
        selectors[0] = handler.investMore.selector;
        selectors[1] = handler.give.selector;
        selectors[2] = handler.redeem.selector;
        selectors[3] = handler.buyPolicy.selector;
        selectors[4] = handler.wait_.selector;
        selectors[5] = handler.report.selector;
        selectors[6] = handler.report.selector;
        selectors[7] = handler.close.selector;
        selectors[8] = handler.meddle.selector;
        handle(address(handler), selectors);
    }

    /// @dev Payouts never exceed a policy's sum insured nor the pool; shares are never worth more than
    /// the assets behind them; money leaves by a verdict or for shares, and by no role.
    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_poolKeepsItsPromises() public view {
        handler.check();
    }
}
