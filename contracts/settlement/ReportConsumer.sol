// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC165} from "@openzeppelin/contracts/utils/introspection/ERC165.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IProofRegistry} from "../proofs/IProofRegistry.sol";
import {ReportLib} from "../proofs/ReportLib.sol";
import {WithReports} from "../proofs/WithReports.sol";
import {Inclusion, MultiInclusion, Report, VERDICT_INCONCLUSIVE} from "../proofs/Types.sol";
import {IReportConsumer} from "./IReportConsumer.sol";

/// @title ReportConsumer
/// @notice Base of a contract that settles on reports: inherit, implement {_settle}, done.
abstract contract ReportConsumer is IReportConsumer, WithReports, ERC165, ReentrancyGuardTransient {
    /// @notice Only the contract itself may call.
    error ReportConsumerNotSelf(address caller);
    /// @notice Agreements and reports differ in number.
    error ReportConsumerLengthsDiffer(uint256 agreements, uint256 reports);
    /// @notice There is too little gas left to tell a poisoned entry from a starved one.
    error ReportConsumerGasTooLow(uint256 available, uint256 required);
    /// @notice The report leans on weaker trust than the agreement accepts.
    error ReportConsumerTierTooWeak(uint8 weakestAccepted, uint8 actual);
    /// @notice Too little of the period was observed.
    error ReportConsumerCoverageTooLow(uint32 minimumPpm, uint32 actualPpm);
    /// @notice The verdict settles nothing: not enough was observed to judge.
    error ReportConsumerInconclusive(bytes32 leaf);
    /// @notice The right belongs elsewhere, or there is none.
    error ReportConsumerRightElsewhere(bytes32 expected, bytes32 actual);
    /// @notice The agreement was settled on this report, or on this period, already.
    error ReportConsumerAlreadySettled(uint256 agreementId, bytes32 leaf);

    /// @dev Gas of one of many settlements: no less, so that a failure is never the caller's doing, and
    /// no more, so that a hook of whoever is paid cannot burn what the others need. What needs more,
    /// such as a mint over many years, is settled alone.
    uint256 internal constant SETTLEMENT_GAS = 600_000;
    /// @dev What must be left for that: 64/63 of it, and what the call itself costs.
    uint256 internal constant REQUIRED_GAS = 640_000;
    /// @dev A hook chooses what it reverts with, and the caller pays for the copy in the log.
    uint256 internal constant MAX_REASON_BYTES = 512;

    /// @param proofs Registry of anchored batches.
    constructor(IProofRegistry proofs) WithReports(proofs) {}

    /// @inheritdoc IReportConsumer
    function settle(uint256 agreementId, Report calldata report, Inclusion calldata inclusion)
        external
        nonReentrant
    {
        bytes32 leaf = ReportLib.verify(PROOFS, report, inclusion);
        _settle(agreementId, report, leaf, inclusion.stream);
    }

    /// @inheritdoc IReportConsumer
    function settleMany(
        uint256[] calldata agreementIds,
        Report[] calldata reports,
        MultiInclusion calldata inclusion
    ) external nonReentrant returns (uint256 settledCount) {
        if (agreementIds.length != reports.length) {
            revert ReportConsumerLengthsDiffer(agreementIds.length, reports.length);
        }
        bytes32[] memory leaves = ReportLib.verifyMany(PROOFS, reports, inclusion);
        for (uint256 i = 0; i < reports.length; ++i) {
            // 63/64 of what is left reaches the inner call. A caller who leaves too little would
            // make honest entries fail, so too little gas fails the whole transaction instead.
            if (gasleft() < REQUIRED_GAS) {
                revert ReportConsumerGasTooLow(gasleft(), REQUIRED_GAS);
            }
            (bool isDone, bytes memory reason) = _callSelf(
                abi.encodeCall(
                    this.settleProven, (agreementIds[i], reports[i], leaves[i], inclusion.stream)
                )
            );
            if (isDone) ++settledCount;
            else emit ReportNotSettled(agreementIds[i], leaves[i], reason);
        }
    }

    /// @notice One entry of {settleMany}; only the contract itself may call.
    /// @param agreementId Agreement of this contract.
    /// @param report A report whose inclusion has been proved.
    /// @param leaf Its leaf.
    /// @param stream Stream of the batch that holds it.
    function settleProven(uint256 agreementId, Report calldata report, bytes32 leaf, bytes32 stream)
        external
    {
        if (msg.sender != address(this)) revert ReportConsumerNotSelf(msg.sender);
        _settle(agreementId, report, leaf, stream);
    }

    /// @inheritdoc ERC165
    function supportsInterface(bytes4 interfaceId) public view virtual override returns (bool) {
        return
            interfaceId == type(IReportConsumer).interfaceId || super.supportsInterface(interfaceId);
    }

    /// @dev Settles an agreement on a report that is proved to be in an anchored batch. Checks what
    /// the report says against the agreement, spends the nullifier, then pays.
    function _settle(uint256 agreementId, Report calldata report, bytes32 leaf, bytes32 stream)
        internal
        virtual;

    /// @dev `address(this).call`, with bounds on the gas it takes and on what it answers.
    function _callSelf(bytes memory data) private returns (bool isDone, bytes memory reason) {
        assembly ("memory-safe") {
            isDone := call(SETTLEMENT_GAS, address(), 0, add(data, 0x20), mload(data), 0, 0)
            let size := returndatasize()
            if gt(size, MAX_REASON_BYTES) { size := MAX_REASON_BYTES }
            reason := mload(0x40)
            mstore(0x40, add(reason, and(add(size, 0x3f), not(0x1f))))
            mstore(reason, size)
            returndatacopy(add(reason, 0x20), 0, size)
        }
    }

    /// @dev What must hold whatever the agreement: a fact, or a right of exactly this contract.
    function _checkRight(Report calldata report, bytes32 expected) internal pure {
        if (report.exclusiveTo != expected) {
            revert ReportConsumerRightElsewhere(expected, report.exclusiveTo);
        }
    }

    function _checkQuality(
        Report calldata report,
        bytes32 leaf,
        uint8 weakestTier,
        uint32 minCoveragePpm
    ) internal pure {
        if (report.verdict == VERDICT_INCONCLUSIVE) {
            revert ReportConsumerInconclusive(leaf);
        }
        if (report.tier > weakestTier) {
            revert ReportConsumerTierTooWeak(weakestTier, report.tier);
        }
        if (report.coveragePpm < minCoveragePpm) {
            revert ReportConsumerCoverageTooLow(minCoveragePpm, report.coveragePpm);
        }
    }
}
