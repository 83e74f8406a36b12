// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IProofRegistry} from "../proofs/IProofRegistry.sol";
import {ReportLib} from "../proofs/ReportLib.sol";
import {PPM, Report, TIER_REPLAY, VERDICT_PASS} from "../proofs/Types.sol";
import {CalendarYear} from "./CalendarYear.sol";
import {CarbonMetadata} from "./CarbonMetadata.sol";
import {ICarbonCredit} from "./ICarbonCredit.sol";
import {IReportConsumer} from "./IReportConsumer.sol";
import {PeriodSet} from "./PeriodSet.sol";
import {ReportConsumer} from "./ReportConsumer.sol";
import {ReportTermsLib} from "./ReportTerms.sol";

/// @title CarbonCredit
/// @notice Mints credits on attested reports that carry the right to be minted here, once.
/// @dev Registrars admit projects, confirm, and keep adjustments; no role can mint, move or retire
/// what belongs to a holder.
contract CarbonCredit is ICarbonCredit, ReportConsumer, ERC1155, AccessManaged {
    using PeriodSet for PeriodSet.Set;

    /// @dev What a settlement reads, in as few slots as it takes; the rest is in {_projects}.
    struct Ledger {
        bytes32 termsHash;
        address beneficiary;
        uint32 minCoveragePpm;
        uint32 bufferPpm;
        uint8 weakestTier;
        bool needsConfirmation;
        uint64 creditsNumerator;
        uint64 creditsDenominator;
        /// What the last issuances were short of one more unit, in `1 / creditsDenominator`.
        uint64 remainder;
        uint64 issuanceCount;
        /// Units issued so far; the next serial is one more.
        uint128 issued;
    }

    /// @notice Writes metadata.
    CarbonMetadata public immutable METADATA;

    uint256 private _projectCount;
    uint256 private _retirementCount;
    mapping(uint256 projectId => Project) private _projects;
    mapping(uint256 projectId => Ledger) private _ledgers;
    mapping(uint256 id => Issuance) private _issuances;
    mapping(uint256 projectId => mapping(bytes32 leaf => bool)) private _settledLeaves;
    /// @dev By subject and not by project: one impact is counted once, whoever claims it.
    mapping(bytes32 subject => PeriodSet.Set) private _periods;
    mapping(address account => mapping(uint256 id => uint256)) private _retiredBalances;
    mapping(uint256 retirementId => Retirement) private _retirements;

    /// @param proofs Registry of anchored batches.
    /// @param manager AccessManager that holds the roles.
    constructor(IProofRegistry proofs, address manager)
        ReportConsumer(proofs)
        ERC1155("")
        AccessManaged(manager)
    {
        METADATA = new CarbonMetadata();
    }

    /// @inheritdoc ICarbonCredit
    function admit(Project calldata project) external restricted returns (uint256 projectId) {
        _checkProject(project);
        projectId = ++_projectCount;
        _projects[projectId] = project;
        _ledgers[projectId] = Ledger({
            termsHash: ReportTermsLib.hash(project.report),
            beneficiary: project.beneficiary,
            minCoveragePpm: project.minCoveragePpm,
            bufferPpm: project.bufferPpm,
            weakestTier: project.weakestTier,
            needsConfirmation: project.needsConfirmation,
            creditsNumerator: project.creditsNumerator,
            creditsDenominator: project.creditsDenominator,
            remainder: 0,
            issuanceCount: 0,
            issued: 0
        });
        emit ProjectAdmitted(projectId, project.beneficiary, project.report.subject);
    }

    /// @inheritdoc ICarbonCredit
    function confirm(uint256 id) external restricted {
        Issuance storage issuance = _existing(id);
        if (issuance.isConfirmed) revert CarbonCreditConfirmed(id);
        issuance.isConfirmed = true;
        emit IssuanceConfirmed(id);
    }

    /// @inheritdoc ICarbonCredit
    function setAdjustment(uint256 id, Adjustment adjustment) external restricted {
        Issuance storage issuance = _existing(id);
        if (adjustment <= issuance.adjustment) {
            revert CarbonCreditAdjustmentBackwards(id, issuance.adjustment, adjustment);
        }
        issuance.adjustment = adjustment;
        emit AdjustmentChanged(id, adjustment);
    }

    /// @inheritdoc ICarbonCredit
    function cancelFromBuffer(uint256 id, uint256 amount, string calldata reason)
        external
        restricted
    {
        Issuance storage issuance = _existing(id);
        _burn(address(this), id, amount);
        issuance.cancelled += SafeCast.toUint128(amount);
        emit BufferCancelled(id, amount, reason);
    }

    /// @inheritdoc ICarbonCredit
    function retire(
        address account,
        uint256 id,
        uint256 amount,
        string calldata beneficiary,
        string calldata reason
    ) external nonReentrant returns (uint256 retirementId) {
        if (msg.sender != account && !isApprovedForAll(account, msg.sender)) {
            revert CarbonCreditNotHolder(msg.sender, account);
        }
        if (amount == 0) revert CarbonCreditNothingToRetire(id);
        Issuance storage issuance = _existing(id);
        _burn(account, id, amount);
        uint128 serialStart = issuance.serialStart + issuance.retired + issuance.cancelled;
        issuance.retired += SafeCast.toUint128(amount);
        _retiredBalances[account][id] += amount;
        retirementId = ++_retirementCount;
        _retirements[retirementId] = Retirement({
            account: account,
            id: id,
            amount: SafeCast.toUint128(amount),
            serialStart: serialStart,
            retiredAt: SafeCast.toUint64(block.timestamp),
            beneficiary: beneficiary,
            reason: reason
        });
        emit CreditsRetired(retirementId, id, account, amount, serialStart, beneficiary, reason);
    }

    /// @inheritdoc ICarbonCredit
    function retiredBalanceOf(address account, uint256 id) external view returns (uint256) {
        return _retiredBalances[account][id];
    }

    /// @inheritdoc ICarbonCredit
    function totalRetired(uint256 id) external view returns (uint256) {
        return _issuances[id].retired;
    }

    /// @inheritdoc ICarbonCredit
    function isRetired(uint256 id) external view returns (bool) {
        Issuance storage issuance = _issuances[id];
        return
            issuance.amount != 0
                && uint256(issuance.retired) + issuance.cancelled == issuance.amount;
    }

    /// @inheritdoc ICarbonCredit
    function decimals() external pure returns (uint8) {
        return 8;
    }

    /// @inheritdoc ICarbonCredit
    function projectOf(uint256 projectId) external view returns (Project memory) {
        return _projects[projectId];
    }

    /// @inheritdoc ICarbonCredit
    function issuanceCount(uint256 projectId) external view returns (uint256) {
        return _ledgers[projectId].issuanceCount;
    }

    /// @inheritdoc ICarbonCredit
    function issuanceOf(uint256 id) external view returns (Issuance memory) {
        return _existing(id);
    }

    /// @inheritdoc ICarbonCredit
    function retirementOf(uint256 retirementId) external view returns (Retirement memory) {
        return _retirements[retirementId];
    }

    /// @inheritdoc ICarbonCredit
    function remainderOf(uint256 projectId) external view returns (uint256) {
        return _ledgers[projectId].remainder;
    }

    /// @inheritdoc ICarbonCredit
    function creditIdOf(uint256 projectId, uint256 creditId) public pure returns (uint256 id) {
        return projectId << 128 | creditId;
    }

    /// @inheritdoc ICarbonCredit
    function isPeriodFree(bytes32 subject, uint64 periodStartMs, uint64 periodEndMs)
        external
        view
        returns (bool)
    {
        return _periods[subject].isFree(periodStartMs, periodEndMs);
    }

    /// @inheritdoc ICarbonCredit
    function carbonRight() public view returns (bytes32) {
        return ReportLib.rightHere(ReportLib.RIGHT_CARBON);
    }

    /// @inheritdoc IReportConsumer
    function isSettled(uint256 agreementId, bytes32 leaf) external view returns (bool) {
        return _settledLeaves[agreementId][leaf];
    }

    /// @notice Metadata of an id as a data URI: whatever a registry needs to find the evidence.
    /// @param id Issuance.
    function uri(uint256 id) public view override returns (string memory) {
        return METADATA.issuanceUri(id);
    }

    /// @inheritdoc ICarbonCredit
    function retirementUri(uint256 retirementId) external view returns (string memory) {
        return METADATA.retirementUri(retirementId);
    }

    /// @inheritdoc ReportConsumer
    function supportsInterface(bytes4 interfaceId)
        public
        view
        override(ReportConsumer, ERC1155)
        returns (bool)
    {
        return interfaceId == type(ICarbonCredit).interfaceId
            || ReportConsumer.supportsInterface(interfaceId)
            || ERC1155.supportsInterface(interfaceId);
    }

    /// @inheritdoc ReportConsumer
    function _settle(uint256 agreementId, Report calldata report, bytes32 leaf, bytes32 stream)
        internal
        override
    {
        Ledger storage ledger = _ledgers[agreementId];
        if (ReportTermsLib.hashOf(report, stream) != ledger.termsHash) {
            if (ledger.termsHash == 0) revert CarbonCreditUnknownProject(agreementId);
            ReportTermsLib.check(_projects[agreementId].report, report, stream);
        }
        _checkRight(report, carbonRight());
        if (_settledLeaves[agreementId][leaf]) {
            revert ReportConsumerAlreadySettled(agreementId, leaf);
        }
        _checkQuality(report, leaf, ledger.weakestTier, ledger.minCoveragePpm);
        if (report.verdict != VERDICT_PASS || report.valueMicro <= 0) {
            revert CarbonCreditNothingToIssue(report.verdict, report.valueMicro);
        }
        _settledLeaves[agreementId][leaf] = true;
        _periods[report.subject].take(report.periodStartMs, report.periodEndMs);
        uint256 units = _earn(ledger, SafeCast.toUint256(report.valueMicro));
        emit ReportSettled(agreementId, leaf, ledger.beneficiary, units);
        _issueByYear(agreementId, ledger, report, leaf, stream, units);
    }

    /// @dev Credits are minted once and move only when confirmed.
    function _update(address from, address to, uint256[] memory ids, uint256[] memory values)
        internal
        override
    {
        if (from != address(0)) {
            for (uint256 i = 0; i < ids.length; ++i) {
                if (!_issuances[ids[i]].isConfirmed) revert CarbonCreditNotConfirmed(ids[i]);
            }
        }
        super._update(from, to, ids, values);
    }

    /// @dev Whole units that a value earns. What is left over is carried, so that the sum over all
    /// reports is exact: minted = (proven × numerator − remainder) / denominator.
    function _earn(Ledger storage ledger, uint256 valueMicro) private returns (uint256 units) {
        uint256 denominator = ledger.creditsDenominator;
        // 127 bits times 64 bits, plus 64 bits.
        uint256 earned = valueMicro * ledger.creditsNumerator + ledger.remainder;
        units = earned / denominator;
        if (units > type(uint128).max - ledger.issued) revert CarbonCreditAmountTooLarge(units);
        ledger.remainder = SafeCast.toUint64(earned % denominator);
    }

    /// @dev One issuance for each calendar year (UTC) that the period touches, in proportion to time;
    /// the last year takes what rounding left.
    function _issueByYear(
        uint256 projectId,
        Ledger storage ledger,
        Report calldata report,
        bytes32 leaf,
        bytes32 stream,
        uint256 units
    ) private {
        uint256 year = CalendarYear.yearOf(report.periodStartMs);
        uint256 startMs = report.periodStartMs;
        uint256 left = units;
        while (startMs < report.periodEndMs) {
            uint256 endMs = Math.min(CalendarYear.startMs(year + 1), report.periodEndMs);
            uint256 share = endMs == report.periodEndMs
                ? left
                : units * (endMs - startMs) / (report.periodEndMs - report.periodStartMs);
            left -= share;
            if (share != 0) {
                _issue(
                    projectId,
                    ledger,
                    Issuance({
                        leaf: leaf,
                        stream: stream,
                        blockNumber: SafeCast.toUint64(block.number),
                        amount: SafeCast.toUint128(share),
                        serialStart: 0,
                        retired: 0,
                        cancelled: 0,
                        periodStartMs: SafeCast.toUint64(startMs),
                        periodEndMs: SafeCast.toUint64(endMs),
                        vintage: SafeCast.toUint16(year),
                        adjustment: Adjustment.NONE,
                        isConfirmed: false
                    })
                );
            }
            startMs = endMs;
            ++year;
        }
    }

    function _issue(uint256 projectId, Ledger storage ledger, Issuance memory issuance) private {
        uint64 creditId = ledger.issuanceCount + 1;
        uint256 id = creditIdOf(projectId, creditId);
        issuance.serialStart = ledger.issued + 1;
        issuance.isConfirmed = !ledger.needsConfirmation;
        ledger.issuanceCount = creditId;
        ledger.issued += issuance.amount;
        _issuances[id] = issuance;
        emit CreditsIssued(
            id, projectId, issuance.leaf, issuance.amount, issuance.vintage, issuance.serialStart
        );
        // Rounded up: the buffer never holds less than its part.
        uint256 buffer = Math.ceilDiv(uint256(issuance.amount) * ledger.bufferPpm, PPM);
        if (buffer != 0) {
            uint256[] memory ids = new uint256[](1);
            uint256[] memory values = new uint256[](1);
            ids[0] = id;
            values[0] = buffer;
            // To this contract itself, which need not be asked whether it accepts.
            _update(address(0), address(this), ids, values);
        }
        if (issuance.amount != buffer) {
            _mint(ledger.beneficiary, id, issuance.amount - buffer, "");
        }
    }

    function _checkProject(Project calldata project) private view {
        if (project.beneficiary == address(0) || project.beneficiary == address(this)) {
            revert CarbonCreditBadProject("beneficiary");
        }
        if (project.report.stream == 0) revert CarbonCreditBadProject("stream");
        if (project.report.subject == 0) revert CarbonCreditBadProject("subject");
        if (project.report.policyId == 0) revert CarbonCreditBadProject("policyId");
        if (project.minCoveragePpm > PPM) revert CarbonCreditBadProject("minCoveragePpm");
        if (project.weakestTier == 0 || project.weakestTier >= TIER_REPLAY) {
            revert CarbonCreditBadProject("weakestTier");
        }
        if (project.bufferPpm > PPM) revert CarbonCreditBadProject("bufferPpm");
        if (project.creditsNumerator == 0) revert CarbonCreditBadProject("creditsNumerator");
        if (project.creditsDenominator == 0) revert CarbonCreditBadProject("creditsDenominator");
    }

    function _existing(uint256 id) private view returns (Issuance storage issuance) {
        issuance = _issuances[id];
        if (issuance.amount == 0) revert CarbonCreditUnknownIssuance(id);
    }
}
