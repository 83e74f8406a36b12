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

    /// @dev Slots in the order in which a settlement reads them; the curve only on FAIL.
    struct Agreement {
        bytes32 termsHash;
        address payee;
        uint40 graceSeconds;
        uint32 minCoveragePpm;
        uint8 weakestTier;
        bool isInOrder;
        IERC20 token;
        uint16 trancheCount;
        /// Tranches that are settled or refunded.
        uint16 closedCount;
        address payer;
        ReportTerms report;
        PayoutCurve penalty;
        uint64[] periodStarts;
    }

    struct Tranche {
        uint64 periodEndMs;
        uint112 amount;
        uint16 ordinal;
        TrancheState state;
        /// {_UNSETTLED} until a report settles it: the slot is paid for when the agreement is made.
        bytes32 leaf;
    }

    bytes32 private constant _UNSETTLED = bytes32(uint256(1));
    uint256 private constant _MAX_TRANCHES = 128;

    uint256 private _agreementCount;
    mapping(uint256 agreementId => Agreement) private _agreements;
    mapping(uint256 agreementId => mapping(uint64 periodStartMs => Tranche)) private _tranches;

    /// @inheritdoc IPerformanceEscrow
    mapping(address token => uint256) public escrowed;

    /// @param proofs Registry of anchored batches.
    constructor(IProofRegistry proofs) ReportConsumer(proofs) {}

    /// @inheritdoc IPerformanceEscrow
    function create(Terms calldata terms) external nonReentrant returns (uint256 agreementId) {
        _checkTerms(terms);
        agreementId = ++_agreementCount;
        Agreement storage made = _agreements[agreementId];
        made.termsHash = ReportTermsLib.hash(terms.report);
        made.payee = terms.payee;
        made.graceSeconds = terms.graceSeconds;
        made.minCoveragePpm = terms.minCoveragePpm;
        made.weakestTier = terms.weakestTier;
        made.isInOrder = terms.isInOrder;
        made.token = terms.token;
        made.trancheCount = SafeCast.toUint16(terms.tranches.length);
        made.payer = msg.sender;
        made.report = terms.report;
        made.penalty.store(terms.penalty);
        uint256 total = _openTranches(agreementId, made, terms.tranches);
        escrowed[address(terms.token)] += total;
        emit EscrowCreated(agreementId, msg.sender, terms.payee, address(terms.token), total);
        ExactTransfer.pull(terms.token, msg.sender, total);
    }

    /// @inheritdoc IPerformanceEscrow
    function refund(uint256 agreementId, uint64 periodStartMs) external nonReentrant {
        Agreement storage made = _existing(agreementId);
        Tranche storage tranche = _tranches[agreementId][periodStartMs];
        if (tranche.state != TrancheState.OPEN) {
            revert PerformanceEscrowNotOpen(agreementId, periodStartMs);
        }
        uint256 deadlineMs = _deadlineMs(tranche.periodEndMs, made.graceSeconds);
        uint256 nowMs = block.timestamp * 1000;
        if (nowMs < deadlineMs) revert PerformanceEscrowDeadlineAhead(deadlineMs, nowMs);
        _close(agreementId, made, tranche.ordinal);
        tranche.state = TrancheState.REFUNDED;
        uint256 amount = tranche.amount;
        IERC20 token = made.token;
        escrowed[address(token)] -= amount;
        emit EscrowRefunded(agreementId, periodStartMs, made.payer, amount);
        token.safeTransfer(made.payer, amount);
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
        return (made.payer, made.payee, address(made.token), made.trancheCount, made.closedCount);
    }

    /// @inheritdoc IPerformanceEscrow
    function tranches(uint256 agreementId) external view returns (TrancheView[] memory views) {
        Agreement storage made = _existing(agreementId);
        views = new TrancheView[](made.periodStarts.length);
        for (uint256 i = 0; i < views.length; ++i) {
            uint64 start = made.periodStarts[i];
            Tranche storage tranche = _tranches[agreementId][start];
            bytes32 leaf = tranche.leaf == _UNSETTLED ? bytes32(0) : tranche.leaf;
            views[i] = TrancheView(start, tranche.periodEndMs, tranche.amount, tranche.state, leaf);
        }
    }

    /// @inheritdoc IReportConsumer
    function isSettled(uint256 agreementId, bytes32 leaf) external view returns (bool) {
        uint64[] storage starts = _agreements[agreementId].periodStarts;
        if (leaf == _UNSETTLED) return false;
        for (uint256 i = 0; i < starts.length; ++i) {
            if (_tranches[agreementId][starts[i]].leaf == leaf) return true;
        }
        return false;
    }

    /// @inheritdoc ReportConsumer
    function _settle(uint256 agreementId, Report calldata report, bytes32 leaf, bytes32 stream)
        internal
        override
    {
        Agreement storage made = _agreements[agreementId];
        if (ReportTermsLib.hashOf(report, stream) != made.termsHash) {
            ReportTermsLib.check(_existing(agreementId).report, report, stream);
        }
        // A payment follows from a fact; a right is somebody else's business.
        _checkRight(report, 0);
        Tranche storage tranche = _tranches[agreementId][report.periodStartMs];
        if (tranche.state == TrancheState.NONE || tranche.periodEndMs != report.periodEndMs) {
            revert PerformanceEscrowUnknownPeriod(
                agreementId, report.periodStartMs, report.periodEndMs
            );
        }
        if (tranche.state == TrancheState.SETTLED) {
            revert ReportConsumerAlreadySettled(agreementId, leaf);
        }
        if (tranche.state == TrancheState.REFUNDED) {
            revert PerformanceEscrowRefunded(agreementId, report.periodStartMs);
        }
        _checkQuality(report, leaf, made.weakestTier, made.minCoveragePpm);
        uint256 deadlineMs = _deadlineMs(report.periodEndMs, made.graceSeconds);
        if (block.timestamp * 1000 >= deadlineMs) {
            revert PerformanceEscrowDeadlinePassed(deadlineMs, block.timestamp * 1000);
        }
        _close(agreementId, made, tranche.ordinal);
        tranche.state = TrancheState.SETTLED;
        tranche.leaf = leaf;
        _pay(agreementId, made, report, leaf, tranche.amount);
    }

    function _pay(
        uint256 agreementId,
        Agreement storage made,
        Report calldata report,
        bytes32 leaf,
        uint256 amount
    ) private {
        IERC20 token = made.token;
        address payee = made.payee;
        escrowed[address(token)] -= amount;
        // Rounded down: what cannot be divided stays with the payee, who did the work.
        uint256 penalty = report.verdict == VERDICT_PASS
            ? 0
            : amount * made.penalty.sharePpm(report.valueMicro) / PPM;
        emit ReportSettled(agreementId, leaf, payee, amount - penalty);
        if (penalty != 0) {
            address payer = made.payer;
            emit EscrowPenalised(agreementId, report.periodStartMs, payer, penalty);
            token.safeTransfer(payer, penalty);
        }
        if (amount != penalty) token.safeTransfer(payee, amount - penalty);
    }

    function _close(uint256 agreementId, Agreement storage made, uint16 ordinal) private {
        uint16 closed = made.closedCount;
        if (made.isInOrder && ordinal != closed) {
            revert PerformanceEscrowOutOfOrder(agreementId, closed, ordinal);
        }
        made.closedCount = closed + 1;
    }

    function _openTranches(
        uint256 agreementId,
        Agreement storage made,
        TrancheTerms[] calldata wanted
    ) private returns (uint256 total) {
        uint64 previousEndMs = 0;
        for (uint256 i = 0; i < wanted.length; ++i) {
            TrancheTerms calldata tranche = wanted[i];
            if (
                tranche.amount == 0 || tranche.periodEndMs <= tranche.periodStartMs
                    || tranche.periodStartMs < previousEndMs
            ) revert PerformanceEscrowBadTranche(i);
            previousEndMs = tranche.periodEndMs;
            total += tranche.amount;
            made.periodStarts.push(tranche.periodStartMs);
            _tranches[agreementId][tranche.periodStartMs] = Tranche(
                tranche.periodEndMs,
                tranche.amount,
                SafeCast.toUint16(i),
                TrancheState.OPEN,
                _UNSETTLED
            );
        }
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
