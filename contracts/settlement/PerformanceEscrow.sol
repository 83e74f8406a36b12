// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IProofRegistry} from "../proofs/IProofRegistry.sol";
import {PPM, Report, TIER_REPLAY, VERDICT_PASS} from "../proofs/Types.sol";
import {ExactTransfer} from "./ExactTransfer.sol";
import {IPerformanceEscrow} from "./IPerformanceEscrow.sol";
import {IReportConsumer} from "./IReportConsumer.sol";
import {PayoutCurve, PayoutCurveLib} from "./PayoutCurve.sol";
import {ReportConsumer} from "./ReportConsumer.sol";
import {ReportTerms, ReportTermsLib} from "./ReportTerms.sol";

/// @title PerformanceEscrow
/// @notice Holds payments until an attested verdict releases them. Nobody owns it; nothing pauses it.
contract PerformanceEscrow is IPerformanceEscrow, ReportConsumer {
    using SafeERC20 for IERC20;
    using PayoutCurveLib for PayoutCurve;

    /// @dev The first two slots are what every settlement reads; the rest is for mismatches, penalties
    /// and refunds.
    struct Agreement {
        Rules rules;
        IERC20 token;
        /// Tranches that are settled or refunded; kept only where there is an order to keep.
        uint16 closedCount;
        address payer;
        ReportTerms report;
        PayoutCurve penalty;
        Period[] periods;
    }

    /// @dev One slot, read once.
    struct Rules {
        address payee;
        uint40 graceSeconds;
        uint32 minCoveragePpm;
        uint8 weakestTier;
        bool isInOrder;
    }

    struct Period {
        uint64 startMs;
        uint64 endMs;
        uint112 amount;
    }

    uint256 private constant _MAX_TRANCHES = 128;
    /// @dev An open tranche: this bit, its ordinal above 112 bits of amount.
    uint256 private constant _OPEN = 1 << 128;
    uint256 private constant _REFUNDED = 1 << 129;
    uint256 private constant _FIRST_LEAF = 1 << 160;

    uint256 private _agreementCount;
    mapping(uint256 agreementId => Agreement) private _agreements;
    /// @dev Found by what its report must say, so that finding a tranche is the comparison. The word:
    /// zero, there is none; below `1 << 160`, a state (see {_open}); otherwise the leaf that settled
    /// it. No leaf is a state: a hash with 96 leading zero bits is not to be had.
    mapping(uint256 agreementId => mapping(bytes32 key => uint256 word)) private _tranches;

    /// @inheritdoc IPerformanceEscrow
    mapping(IERC20 token => mapping(address party => uint256)) public owed;

    /// @param proofs Registry of anchored batches.
    constructor(IProofRegistry proofs) ReportConsumer(proofs) {}

    /// @inheritdoc IPerformanceEscrow
    function create(Terms calldata terms) external nonReentrant returns (uint256 agreementId) {
        _checkTerms(terms);
        agreementId = ++_agreementCount;
        Agreement storage made = _agreements[agreementId];
        made.rules = Rules({
            payee: terms.payee,
            graceSeconds: terms.graceSeconds,
            minCoveragePpm: terms.minCoveragePpm,
            weakestTier: terms.weakestTier,
            // One tranche is always in order.
            isInOrder: terms.isInOrder && terms.tranches.length > 1
        });
        made.token = terms.token;
        made.payer = msg.sender;
        made.report = terms.report;
        made.penalty.store(terms.penalty);
        uint256 total = _openTranches(agreementId, made, terms);
        emit EscrowCreated(agreementId, msg.sender, terms.payee, address(terms.token), total);
        ExactTransfer.pull(terms.token, msg.sender, total);
    }

    /// @inheritdoc IPerformanceEscrow
    function refund(uint256 agreementId, uint64 periodStartMs) external nonReentrant {
        Agreement storage made = _existing(agreementId);
        Period memory period = _periodAt(made, periodStartMs);
        bytes32 key = ReportTermsLib.key(made.report, period.startMs, period.endMs);
        uint256 word = _tranches[agreementId][key];
        if (!_isOpen(word)) revert PerformanceEscrowNotOpen(agreementId, periodStartMs);
        uint256 deadlineMs = _deadlineMs(period.endMs, made.rules.graceSeconds);
        uint256 nowMs = block.timestamp * 1000;
        if (nowMs < deadlineMs) revert PerformanceEscrowDeadlineAhead(deadlineMs, nowMs);
        if (made.rules.isInOrder) _keepOrder(agreementId, made, word);
        _tranches[agreementId][key] = _REFUNDED;
        uint256 amount = period.amount;
        address payer = made.payer;
        emit EscrowRefunded(agreementId, periodStartMs, payer, amount);
        made.token.safeTransfer(payer, amount);
    }

    /// @inheritdoc IPerformanceEscrow
    function withdraw(IERC20 token, address to) external nonReentrant {
        uint256 amount = owed[token][msg.sender];
        if (amount == 0) revert PerformanceEscrowNothingOwed(address(token), msg.sender);
        owed[token][msg.sender] = 0;
        emit EscrowWithdrawn(address(token), msg.sender, to, amount);
        token.safeTransfer(to, amount);
    }

    /// @inheritdoc IPerformanceEscrow
    function agreement(uint256 agreementId)
        external
        view
        returns (
            address payer,
            address payee,
            address token,
            uint16 trancheCount,
            uint16 closedCount
        )
    {
        Agreement storage made = _existing(agreementId);
        trancheCount = SafeCast.toUint16(made.periods.length);
        for (uint256 i = 0; i < trancheCount; ++i) {
            if (!_isOpen(_wordOf(agreementId, made, made.periods[i]))) ++closedCount;
        }
        return (made.payer, made.rules.payee, address(made.token), trancheCount, closedCount);
    }

    /// @inheritdoc IPerformanceEscrow
    function tranches(uint256 agreementId) external view returns (TrancheView[] memory views) {
        Agreement storage made = _existing(agreementId);
        views = new TrancheView[](made.periods.length);
        for (uint256 i = 0; i < views.length; ++i) {
            Period memory period = made.periods[i];
            uint256 word = _wordOf(agreementId, made, period);
            bytes32 leaf = 0;
            TrancheState state = _isOpen(word) ? TrancheState.OPEN : TrancheState.REFUNDED;
            if (word >= _FIRST_LEAF) (state, leaf) = (TrancheState.SETTLED, bytes32(word));
            views[i] = TrancheView(period.startMs, period.endMs, period.amount, state, leaf);
        }
    }

    /// @inheritdoc IReportConsumer
    function isSettled(uint256 agreementId, bytes32 leaf) external view returns (bool) {
        if (uint256(leaf) < _FIRST_LEAF) return false;
        Agreement storage made = _agreements[agreementId];
        for (uint256 i = 0; i < made.periods.length; ++i) {
            if (_wordOf(agreementId, made, made.periods[i]) == uint256(leaf)) return true;
        }
        return false;
    }

    /// @inheritdoc ReportConsumer
    function _settle(uint256 agreementId, Report calldata report, bytes32 leaf, bytes32 stream)
        internal
        override
    {
        Agreement storage made = _agreements[agreementId];
        bytes32 key = ReportTermsLib.keyOf(report, stream);
        uint256 word = _tranches[agreementId][key];
        if (!_isOpen(word)) _explain(agreementId, report, stream, leaf, word);
        // A payment follows from a fact; a right is somebody else's business.
        _checkRight(report, 0);
        Rules memory rules = made.rules;
        _checkQuality(report, leaf, rules.weakestTier, rules.minCoveragePpm);
        uint256 deadlineMs = _deadlineMs(report.periodEndMs, rules.graceSeconds);
        if (block.timestamp * 1000 >= deadlineMs) {
            revert PerformanceEscrowDeadlinePassed(deadlineMs, block.timestamp * 1000);
        }
        if (rules.isInOrder) _keepOrder(agreementId, made, word);
        _tranches[agreementId][key] = uint256(leaf);
        // forge-lint: disable-next-line(unsafe-typecast) the amount is the low 112 bits
        _pay(agreementId, made, rules.payee, report, leaf, uint112(word));
    }

    function _pay(
        uint256 agreementId,
        Agreement storage made,
        address payee,
        Report calldata report,
        bytes32 leaf,
        uint256 amount
    ) private {
        IERC20 token = made.token;
        // Rounded down: what cannot be divided stays with the payee, who did the work.
        uint256 penalty = report.verdict == VERDICT_PASS
            ? 0
            : amount * made.penalty.sharePpm(report.valueMicro) / PPM;
        emit ReportSettled(agreementId, leaf, payee, amount - penalty);
        if (amount != penalty) token.safeTransfer(payee, amount - penalty);
        if (penalty != 0) {
            address payer = made.payer;
            emit EscrowPenalised(agreementId, report.periodStartMs, payer, penalty);
            if (!token.trySafeTransfer(payer, penalty)) {
                owed[token][payer] += penalty;
                emit EscrowOwed(address(token), payer, penalty);
            }
        }
    }

    function _keepOrder(uint256 agreementId, Agreement storage made, uint256 word) private {
        uint16 closed = made.closedCount;
        // forge-lint: disable-next-line(unsafe-typecast) the ordinal is the 16 bits above the amount
        uint16 ordinal = uint16(word >> 112);
        if (ordinal != closed) revert PerformanceEscrowOutOfOrder(agreementId, closed, ordinal);
        made.closedCount = closed + 1;
    }

    function _openTranches(uint256 agreementId, Agreement storage made, Terms calldata terms)
        private
        returns (uint256 total)
    {
        uint64 previousEndMs = 0;
        for (uint256 i = 0; i < terms.tranches.length; ++i) {
            TrancheTerms calldata tranche = terms.tranches[i];
            if (
                tranche.amount == 0 || tranche.periodEndMs <= tranche.periodStartMs
                    || tranche.periodStartMs < previousEndMs
            ) revert PerformanceEscrowBadTranche(i);
            previousEndMs = tranche.periodEndMs;
            total += tranche.amount;
            made.periods.push(Period(tranche.periodStartMs, tranche.periodEndMs, tranche.amount));
            bytes32 key =
                ReportTermsLib.key(terms.report, tranche.periodStartMs, tranche.periodEndMs);
            _tranches[agreementId][key] = _OPEN | i << 112 | tranche.amount;
        }
    }

    /// @dev Reverts with why a report opens no tranche.
    function _explain(
        uint256 agreementId,
        Report calldata report,
        bytes32 stream,
        bytes32 leaf,
        uint256 word
    ) private view {
        if (word == 0) {
            ReportTermsLib.check(_existing(agreementId).report, report, stream);
            revert PerformanceEscrowUnknownPeriod(
                agreementId, report.periodStartMs, report.periodEndMs
            );
        }
        if (word == _REFUNDED) {
            revert PerformanceEscrowRefunded(agreementId, report.periodStartMs);
        }
        revert ReportConsumerAlreadySettled(agreementId, leaf);
    }

    function _wordOf(uint256 agreementId, Agreement storage made, Period memory period)
        private
        view
        returns (uint256)
    {
        return _tranches[agreementId][ReportTermsLib.key(made.report, period.startMs, period.endMs)];
    }

    function _isOpen(uint256 word) private pure returns (bool) {
        return word >> 128 == 1;
    }

    function _periodAt(Agreement storage made, uint64 startMs)
        private
        view
        returns (Period memory period)
    {
        for (uint256 i = 0; i < made.periods.length; ++i) {
            period = made.periods[i];
            if (period.startMs == startMs) return period;
        }
        revert PerformanceEscrowUnknownTranche(startMs);
    }

    function _checkTerms(Terms calldata terms) private view {
        if (terms.payee == address(0) || terms.payee == address(this)) {
            revert PerformanceEscrowBadParty(terms.payee);
        }
        uint256 count = terms.tranches.length;
        if (count == 0 || count > _MAX_TRANCHES) revert PerformanceEscrowTrancheCount(count);
        if (terms.report.stream == 0 || terms.report.subject == 0 || terms.report.policyId == 0) {
            revert PerformanceEscrowTermsMissing();
        }
        // Nothing settles on a replay: the weakest tier an agreement can accept is a gateway's.
        if (
            terms.minCoveragePpm > PPM || terms.weakestTier == 0 || terms.weakestTier >= TIER_REPLAY
        ) revert PerformanceEscrowBadLimit(terms.minCoveragePpm, terms.weakestTier);
        PayoutCurveLib.check(terms.penalty);
    }

    function _existing(uint256 agreementId) private view returns (Agreement storage made) {
        made = _agreements[agreementId];
        if (made.payer == address(0)) revert PerformanceEscrowUnknownAgreement(agreementId);
    }

    function _deadlineMs(uint64 periodEndMs, uint40 graceSeconds) private pure returns (uint256) {
        return uint256(periodEndMs) + uint256(graceSeconds) * 1000;
    }
}
