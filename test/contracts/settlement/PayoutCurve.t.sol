// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {CalendarYear} from "#contracts/settlement/CalendarYear.sol";
import {
    CurveShape,
    CurveStep,
    PayoutCurve,
    PayoutCurveLib
} from "#contracts/settlement/PayoutCurve.sol";
import {PeriodSet} from "#contracts/settlement/PeriodSet.sol";
import {bound, vm} from "../support/Vm.sol";

/// @notice The libraries as contracts call them: curves and periods live in storage.
contract Shelf {
    using PayoutCurveLib for PayoutCurve;
    using PeriodSet for PeriodSet.Set;

    PayoutCurve private _curve;
    PeriodSet.Set private _set;

    function put(PayoutCurve calldata curve) external {
        PayoutCurveLib.check(curve);
        delete _curve;
        _curve.store(curve);
    }

    function share(int128 value) external view returns (uint256) {
        return _curve.sharePpm(value);
    }

    function take(uint64 startMs, uint64 endMs) external {
        _set.take(startMs, endMs);
    }

    function isFree(uint64 startMs, uint64 endMs) external view returns (bool) {
        return _set.isFree(startMs, endMs);
    }
}

contract PayoutCurveTest {
    Shelf private shelf;

    function setUp() public {
        shelf = new Shelf();
    }

    function _curve(CurveShape shape, int128 attachment, int128 exhaustion)
        private
        pure
        returns (PayoutCurve memory)
    {
        return PayoutCurve(shape, 100_000, 900_000, attachment, exhaustion, new CurveStep[](0));
    }

    function _stepped() private pure returns (PayoutCurve memory curve) {
        curve = _curve(CurveShape.STEPPED, 100, 0);
        curve.steps = new CurveStep[](3);
        curve.steps[0] = CurveStep(100, 100_000);
        curve.steps[1] = CurveStep(50, 400_000);
        curve.steps[2] = CurveStep(10, 900_000);
    }

    function _refuses(PayoutCurve memory curve, bytes memory refusal) private {
        vm.expectRevert(refusal);
        shelf.put(curve);
    }

    function testFuzz_flat_whateverTheValue(int128 value) public {
        shelf.put(_curve(CurveShape.FLAT, 0, 0));
        vm.assertEq(shelf.share(value), 900_000);
    }

    function testFuzz_binary_fromTheAttachmentPointOn(int128 value, int128 attachment) public {
        vm.assume(attachment != type(int128).min && attachment != type(int128).max);
        shelf.put(_curve(CurveShape.BINARY, attachment, attachment - 1));
        vm.assertEq(shelf.share(value), value <= attachment ? 900_000 : 0);
        shelf.put(_curve(CurveShape.BINARY, attachment, attachment + 1));
        vm.assertEq(shelf.share(value), value >= attachment ? 900_000 : 0);
    }

    /// @dev Over all of int128: bounded, monotone in the worse direction, exact at both ends.
    function testFuzz_linear_isMonotoneAndBounded(
        int128 attachment,
        int128 exhaustion,
        int128 a,
        int128 b
    ) public {
        vm.assume(attachment != exhaustion);
        shelf.put(_curve(CurveShape.LINEAR, attachment, exhaustion));
        bool isShortfall = exhaustion < attachment;
        (int128 milder, int128 worse) = (a > b) == isShortfall ? (a, b) : (b, a);
        vm.assertLe(shelf.share(milder), shelf.share(worse));
        vm.assertLe(shelf.share(worse), 900_000);
        vm.assertEq(shelf.share(attachment), 100_000);
        vm.assertEq(shelf.share(exhaustion), 900_000);
    }

    function test_linear_halfWay() public {
        shelf.put(_curve(CurveShape.LINEAR, 100, 0));
        vm.assertEq(shelf.share(101), 0);
        vm.assertEq(shelf.share(50), 500_000);
        vm.assertEq(shelf.share(-5), 900_000);
    }

    function test_stepped_theLastStepReached() public {
        shelf.put(_stepped());
        vm.assertEq(shelf.share(101), 0);
        vm.assertEq(shelf.share(100), 100_000);
        vm.assertEq(shelf.share(51), 100_000);
        vm.assertEq(shelf.share(50), 400_000);
        vm.assertEq(shelf.share(11), 400_000);
        vm.assertEq(shelf.share(10), 900_000);
        vm.assertEq(shelf.share(type(int128).min), 900_000);
    }

    function test_check_shareOutOfRange_reverts() public {
        PayoutCurve memory curve = _curve(CurveShape.FLAT, 0, 0);
        curve.maximumPpm = 1_000_001;
        _refuses(
            curve,
            abi.encodeWithSelector(
                PayoutCurveLib.PayoutCurveShareOutOfRange.selector, 100_000, 1_000_001
            )
        );
        curve.maximumPpm = 99_999;
        _refuses(
            curve,
            abi.encodeWithSelector(
                PayoutCurveLib.PayoutCurveShareOutOfRange.selector, 100_000, 99_999
            )
        );
    }

    function test_check_noDirection_reverts() public {
        _refuses(
            _curve(CurveShape.LINEAR, 5, 5),
            abi.encodeWithSelector(
                PayoutCurveLib.PayoutCurveNoDirection.selector, int128(5), int128(5)
            )
        );
    }

    function test_check_stepCount_reverts() public {
        PayoutCurve memory curve = _stepped();
        curve.steps = new CurveStep[](0);
        _refuses(curve, abi.encodeWithSelector(PayoutCurveLib.PayoutCurveStepCount.selector, 0));
        curve.steps = new CurveStep[](17);
        _refuses(curve, abi.encodeWithSelector(PayoutCurveLib.PayoutCurveStepCount.selector, 17));
        curve = _stepped();
        curve.shape = CurveShape.LINEAR;
        _refuses(curve, abi.encodeWithSelector(PayoutCurveLib.PayoutCurveStepCount.selector, 3));
    }

    function test_check_stepOutOfOrder_reverts() public {
        bytes4 selector = PayoutCurveLib.PayoutCurveStepOutOfOrder.selector;
        PayoutCurve memory curve = _stepped();
        curve.steps[0].valueMicro = 101;
        _refuses(curve, abi.encodeWithSelector(selector, 0));
        curve = _stepped();
        curve.steps[1].valueMicro = 100;
        _refuses(curve, abi.encodeWithSelector(selector, 1));
        curve = _stepped();
        curve.steps[2].sharePpm = 399_999;
        _refuses(curve, abi.encodeWithSelector(selector, 2));
        curve = _stepped();
        curve.steps[2].sharePpm = 900_001;
        _refuses(curve, abi.encodeWithSelector(selector, 2));
    }

    // --- periods ---

    uint64 private constant _MINUTE = 60_000;
    uint64 private constant _DAY = 86_400_000;

    /// @dev Any two periods: the second is taken if and only if it shares no minute with the first.
    function testFuzz_periods_overlapIsRefused(
        uint256 startA,
        uint256 lengthA,
        uint256 startB,
        uint256 lengthB
    ) public {
        // Around a boundary of words of days (256 days), so that every kind of run occurs.
        (startA, startB) = (bound(startA, 253, 259), bound(startB, 253, 259));
        uint64 a = uint64(startA) * _DAY + uint64(bound(lengthA >> 128, 0, 1440)) * _MINUTE;
        uint64 b = uint64(startB) * _DAY + uint64(bound(lengthB >> 128, 0, 1440)) * _MINUTE;
        uint64 aEnd = a + uint64(bound(uint128(lengthA), 1, 4 * 1440)) * _MINUTE;
        uint64 bEnd = b + uint64(bound(uint128(lengthB), 1, 4 * 1440)) * _MINUTE;
        shelf.take(a, aEnd);
        vm.assertFalse(shelf.isFree(a, aEnd));
        bool isApart = bEnd <= a || aEnd <= b;
        vm.assertEq(shelf.isFree(b, bEnd), isApart);
        if (!isApart) {
            vm.expectRevert(abi.encodeWithSelector(PeriodSet.PeriodSetTaken.selector, b, bEnd));
        }
        shelf.take(b, bEnd);
    }

    function testFuzz_periods_notOnWholeMinutes_revert(uint64 startMs, uint64 endMs) public {
        vm.assume(startMs % _MINUTE != 0 || endMs % _MINUTE != 0 || endMs <= startMs);
        vm.expectRevert(
            abi.encodeWithSelector(PeriodSet.PeriodSetNotAligned.selector, startMs, endMs)
        );
        shelf.take(startMs, endMs);
    }

    function test_periods_tooLong_reverts() public {
        shelf.take(0, 4_000 * _DAY);
        vm.expectRevert(
            abi.encodeWithSelector(PeriodSet.PeriodSetTooLong.selector, 0, 4_000 * _DAY + _MINUTE)
        );
        shelf.take(0, 4_000 * _DAY + _MINUTE);
    }

    // --- years ---

    function testFuzz_years_everyInstantLiesInItsYear(uint64 unixMs) public pure {
        unixMs = uint64(bound(unixMs, 0, 253_402_300_799_999));
        uint256 year = CalendarYear.yearOf(unixMs);
        vm.assertLe(CalendarYear.startMs(year), unixMs);
        vm.assertGt(CalendarYear.startMs(year + 1), unixMs);
    }

    /// @dev Source: `date -u -d @…`.
    function test_years_knownDates() public pure {
        vm.assertEq(CalendarYear.yearOf(0), 1970);
        vm.assertEq(CalendarYear.startMs(2000), 946_684_800_000);
        vm.assertEq(CalendarYear.startMs(2025), 1_735_689_600_000);
        vm.assertEq(CalendarYear.yearOf(1_735_689_599_999), 2024);
        vm.assertEq(CalendarYear.yearOf(1_735_689_600_000), 2025);
        vm.assertEq(CalendarYear.startMs(2101) - CalendarYear.startMs(2100), 365 days * 1000);
    }
}
