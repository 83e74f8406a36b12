// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PPM} from "../proofs/Types.sol";

/// @notice How a measured value becomes a share.
/// FLAT: the maximum, whatever the value. BINARY: the maximum from the attachment point on.
/// LINEAR: from the minimum at the attachment point to the maximum at the exhaustion point.
/// STEPPED: the share of the last step reached.
enum CurveShape {
    FLAT,
    BINARY,
    LINEAR,
    STEPPED
}

/// @notice One step of a stepped curve.
struct CurveStep {
    int128 valueMicro;
    uint32 sharePpm;
}

/// @notice A curve from value to share.
/// @dev The worse direction is the one from attachment to exhaustion: downwards for a shortfall,
/// upwards for an excess.
struct PayoutCurve {
    CurveShape shape;
    /// Share at the attachment point; LINEAR only.
    uint32 minimumPpm;
    /// Largest share.
    uint32 maximumPpm;
    /// Value at which something is due, inclusive.
    int128 attachmentMicro;
    /// Value from which the largest share is due.
    int128 exhaustionMicro;
    /// STEPPED only: from the mildest to the worst, at most {PayoutCurveLib.MAX_STEPS}.
    CurveStep[] steps;
}

/// @title PayoutCurveLib
/// @notice Checks curves when agreements are made and reads them when they are settled.
library PayoutCurveLib {
    /// @notice A share lies above the whole, or the minimum above the maximum.
    error PayoutCurveShareOutOfRange(uint32 minimumPpm, uint32 maximumPpm);
    /// @notice Attachment and exhaustion must differ: their order is the worse direction.
    error PayoutCurveNoDirection(int128 attachmentMicro, int128 exhaustionMicro);
    /// @notice Steps must get worse and larger one by one, within the curve's bounds.
    error PayoutCurveStepOutOfOrder(uint256 position);
    /// @notice A stepped curve has between one and {MAX_STEPS} steps, any other none.
    error PayoutCurveStepCount(uint256 count);

    uint256 internal constant MAX_STEPS = 16;

    /// @notice Refuses a curve that does not say what it means.
    function check(PayoutCurve calldata curve) internal pure {
        if (curve.maximumPpm > PPM || curve.minimumPpm > curve.maximumPpm) {
            revert PayoutCurveShareOutOfRange(curve.minimumPpm, curve.maximumPpm);
        }
        bool isStepped = curve.shape == CurveShape.STEPPED;
        if (isStepped
                ? curve.steps.length == 0 || curve.steps.length > MAX_STEPS
                : curve.steps.length != 0) {
            revert PayoutCurveStepCount(curve.steps.length);
        }
        if (curve.shape == CurveShape.FLAT) return;
        if (curve.attachmentMicro == curve.exhaustionMicro) {
            revert PayoutCurveNoDirection(curve.attachmentMicro, curve.exhaustionMicro);
        }
        bool isShortfall = curve.exhaustionMicro < curve.attachmentMicro;
        for (uint256 i = 0; i < curve.steps.length; ++i) {
            CurveStep calldata step = curve.steps[i];
            bool isInOrder = i == 0
                ? _isAtOrPast(step.valueMicro, curve.attachmentMicro, isShortfall)
                : step.valueMicro != curve.steps[i - 1].valueMicro
                    && _isAtOrPast(step.valueMicro, curve.steps[i - 1].valueMicro, isShortfall)
                    && step.sharePpm >= curve.steps[i - 1].sharePpm;
            if (!isInOrder || step.sharePpm > curve.maximumPpm) {
                revert PayoutCurveStepOutOfOrder(i);
            }
        }
    }

    /// @notice Share that a value is due.
    /// @return Parts per million, rounded down.
    function sharePpm(PayoutCurve storage curve, int128 valueMicro)
        internal
        view
        returns (uint256)
    {
        CurveShape shape = curve.shape;
        uint256 maximum = curve.maximumPpm;
        if (shape == CurveShape.FLAT) return maximum;
        int256 attachment = curve.attachmentMicro;
        int256 exhaustion = curve.exhaustionMicro;
        bool isShortfall = exhaustion < attachment;
        if (!_isAtOrPast(valueMicro, attachment, isShortfall)) return 0;
        if (shape == CurveShape.BINARY) return maximum;
        if (shape == CurveShape.LINEAR) {
            if (_isAtOrPast(valueMicro, exhaustion, isShortfall)) return maximum;
            // Differences of 128-bit values fit in 129 bits, times at most a million in 149.
            uint256 span = uint256(isShortfall ? attachment - exhaustion : exhaustion - attachment);
            uint256 depth = uint256(isShortfall ? attachment - valueMicro : valueMicro - attachment);
            uint256 minimum = curve.minimumPpm;
            return minimum + (maximum - minimum) * depth / span;
        }
        uint256 share = 0;
        uint256 count = curve.steps.length;
        for (uint256 i = 0; i < count; ++i) {
            CurveStep storage step = curve.steps[i];
            if (!_isAtOrPast(valueMicro, step.valueMicro, isShortfall)) break;
            share = step.sharePpm;
        }
        return share;
    }

    /// @notice Copies a curve into storage.
    function store(PayoutCurve storage target, PayoutCurve calldata curve) internal {
        target.shape = curve.shape;
        target.minimumPpm = curve.minimumPpm;
        target.maximumPpm = curve.maximumPpm;
        target.attachmentMicro = curve.attachmentMicro;
        target.exhaustionMicro = curve.exhaustionMicro;
        for (uint256 i = 0; i < curve.steps.length; ++i) {
            target.steps.push(curve.steps[i]);
        }
    }

    function _isAtOrPast(int256 value, int256 point, bool isShortfall) private pure returns (bool) {
        return isShortfall ? value <= point : value >= point;
    }
}
