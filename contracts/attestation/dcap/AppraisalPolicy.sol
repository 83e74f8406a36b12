// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IQuoteVerifier} from "../IQuoteVerifier.sol";
import {TCB_REVOKED} from "../TcbStatus.sol";
import {Bytecraft} from "./Bytecraft.sol";
import {IAppraisalPolicy} from "./IAppraisalPolicy.sol";
import {IDcapQuoteVerifier} from "./IDcapQuoteVerifier.sol";
import {TdxQuote} from "./TdxQuote.sol";

/// @title AppraisalPolicy
/// @notice What one operator accepts of quotes that are genuine.
/// @dev Same rules as `verifier/appraisal/applyPolicy.ts`, less those on images and report data.
contract AppraisalPolicy is IAppraisalPolicy, AccessManaged {
    /// @inheritdoc IAppraisalPolicy
    IDcapQuoteVerifier public immutable verifier;

    Rules private _rules;

    /// @inheritdoc IAppraisalPolicy
    mapping(uint8 tcbStatus => uint32) public graceSeconds;

    /// @inheritdoc IAppraisalPolicy
    mapping(bytes4 tag => bool) public isAdvisoryDenied;

    /// @inheritdoc IAppraisalPolicy
    mapping(bytes16 ppid => bool) public isPlatformDenied;

    /// @inheritdoc IAppraisalPolicy
    mapping(bytes16 ppid => bool) public isPlatformAllowed;

    /// @dev SEPT_VE_DISABLE, bit 28: demanded by the verifier, so not optional here.
    bytes8 private constant SEPT_VE_DISABLE = 0x0000001000000000;

    /// @param quoteVerifier Verifies that quotes are genuine; replacing it means a new policy.
    /// @param manager AccessManager that holds the roles.
    /// @param initial Rules from the start: nobody relies on this policy yet.
    constructor(IDcapQuoteVerifier quoteVerifier, address manager, Rules memory initial)
        AccessManaged(manager)
    {
        verifier = quoteVerifier;
        _rules = initial;
        emit RulesChanged(initial);
    }

    /// @inheritdoc IQuoteVerifier
    function verifyQuote(bytes calldata evidence) external view returns (QuoteClaims memory) {
        IDcapQuoteVerifier.Appraisal memory appraisal = verifier.appraiseQuote(evidence);
        Rules memory wanted = _rules;
        _requireRecent(wanted, appraisal);
        _requireStatus(wanted, appraisal);
        _requireNoDeniedAdvisory(appraisal.advisories);
        _requirePlatform(wanted, appraisal.claims.ppid);
        // 48 = header; a quote of version 5 describes its body in 6 bytes.
        uint256 body = Bytecraft.position(evidence) + (uint8(evidence[0]) == 5 ? 54 : 48);
        _requireTrustDomain(wanted, body);
        return appraisal.claims;
    }

    /// @inheritdoc IAppraisalPolicy
    function rules() external view returns (Rules memory) {
        return _rules;
    }

    /// @inheritdoc IAppraisalPolicy
    function setRules(Rules calldata next) external restricted {
        _rules = next;
        emit RulesChanged(next);
    }

    /// @inheritdoc IAppraisalPolicy
    function tightenRules(Rules calldata next) external restricted {
        Rules memory current = _rules;
        // No limit at all is the loosest age.
        bool isAgeLooser = current.maximumCollateralAgeSeconds != 0
            && (next.maximumCollateralAgeSeconds == 0
                || next.maximumCollateralAgeSeconds > current.maximumCollateralAgeSeconds);
        bool isLooser = isAgeLooser || next.evaluationNumberFloor < current.evaluationNumberFloor
            || next.qeEvaluationNumberFloor < current.qeEvaluationNumberFloor
            || next.acceptedTcbStatuses & ~current.acceptedTcbStatuses != 0
            || (current.requiresAllowedPlatform && !next.requiresAllowedPlatform)
            || (current.requiresImage && !next.requiresImage)
            || next.allowedTdAttributes & ~current.allowedTdAttributes != 0;
        if (isLooser) revert AppraisalPolicyLoosened();
        _rules = next;
        emit RulesChanged(next);
    }

    /// @inheritdoc IAppraisalPolicy
    function setGrace(uint8 tcbStatus, uint32 seconds_) external restricted {
        graceSeconds[tcbStatus] = seconds_;
        emit GraceChanged(tcbStatus, seconds_);
    }

    /// @inheritdoc IAppraisalPolicy
    function setAdvisoryDenied(bytes4 tag, bool isDenied) external restricted {
        isAdvisoryDenied[tag] = isDenied;
        emit AdvisoryDenied(tag, isDenied);
    }

    /// @inheritdoc IAppraisalPolicy
    function setPlatformDenied(bytes16 ppid, bool isDenied) external restricted {
        isPlatformDenied[ppid] = isDenied;
        emit PlatformDenied(ppid, isDenied);
    }

    /// @inheritdoc IAppraisalPolicy
    function setPlatformAllowed(bytes16 ppid, bool isAllowed) external restricted {
        isPlatformAllowed[ppid] = isAllowed;
        emit PlatformAllowed(ppid, isAllowed);
    }

    /// @dev Rules 301 to 303.
    function _requireRecent(Rules memory wanted, IDcapQuoteVerifier.Appraisal memory appraisal)
        private
        view
    {
        uint32 number = appraisal.claims.evaluationNumber;
        if (number < wanted.evaluationNumberFloor) {
            revert AppraisalPolicyEvaluationNumberBelowFloor(number, wanted.evaluationNumberFloor);
        }
        number = appraisal.qeEvaluationNumber;
        if (number < wanted.qeEvaluationNumberFloor) {
            revert AppraisalPolicyQeEvaluationNumberBelowFloor(
                number, wanted.qeEvaluationNumberFloor
            );
        }
        uint256 age = block.timestamp - appraisal.collateralIssuedAt;
        uint32 maximum = wanted.maximumCollateralAgeSeconds;
        if (maximum != 0 && age > maximum) {
            revert AppraisalPolicyCollateralTooOld(appraisal.collateralIssuedAt, maximum);
        }
    }

    /// @dev Rules 304 and 305. By allow list: a status that nobody thought of is not on it.
    function _requireStatus(Rules memory wanted, IDcapQuoteVerifier.Appraisal memory appraisal)
        private
        view
    {
        uint8 status = appraisal.claims.tcbStatus;
        bool isAccepted =
            status < TCB_REVOKED && uint256(wanted.acceptedTcbStatuses) >> status & 1 == 1;
        if (!isAccepted) {
            revert AppraisalPolicyTcbStatusNotAllowed(status, wanted.acceptedTcbStatuses);
        }
        if (appraisal.degradedSince == 0) return;
        uint32 grace = graceSeconds[status];
        if (grace != 0 && block.timestamp > uint256(appraisal.degradedSince) + grace) {
            revert AppraisalPolicyTcbGraceExpired(status, appraisal.degradedSince, grace);
        }
    }

    /// @dev Rule 306.
    function _requireNoDeniedAdvisory(bytes4[] memory advisories) private view {
        for (uint256 index; index < advisories.length; ++index) {
            if (isAdvisoryDenied[advisories[index]]) {
                revert AppraisalPolicyAdvisoryDenied(advisories[index]);
            }
        }
    }

    /// @dev Rules 310 and 311.
    function _requirePlatform(Rules memory wanted, bytes16 ppid) private view {
        if (isPlatformDenied[ppid]) revert AppraisalPolicyPlatformDenied(ppid);
        if (wanted.requiresAllowedPlatform && !isPlatformAllowed[ppid]) {
            revert AppraisalPolicyPlatformNotAllowed(ppid);
        }
    }

    /// @dev Rules 320 and 330 to 331.
    function _requireTrustDomain(Rules memory wanted, uint256 body) private pure {
        bytes8 attributes = bytes8(bytes32(Bytecraft.word(body + TdxQuote.TD_ATTRIBUTES)));
        bytes8 optional = attributes & ~SEPT_VE_DISABLE;
        if (optional & ~wanted.allowedTdAttributes != 0) {
            revert AppraisalPolicyTdAttributeNotAllowed(attributes, wanted.allowedTdAttributes);
        }
        if (!wanted.requiresImage) return;
        _requireMeasurement(body, TdxQuote.MR_TD);
        _requireMeasurement(body, TdxQuote.RTMR0);
        _requireMeasurement(body, TdxQuote.RTMR1);
        _requireMeasurement(body, TdxQuote.RTMR2);
        _requireMeasurement(body, TdxQuote.MR_CONFIG_ID);
        // version 1 ‖ digest 32 ‖ zeros 15
        uint256 at = body + TdxQuote.MR_CONFIG_ID;
        uint256 version = Bytecraft.octet(at);
        if (version == 0 || version > 3 || Bytecraft.word(at + 33) >> 136 != 0) {
            revert AppraisalPolicyMrConfigIdUnknown(version);
        }
    }

    /// @dev 48 bytes: one word, and half of the next.
    function _requireMeasurement(uint256 body, uint256 offset) private pure {
        uint256 at = body + offset;
        if (Bytecraft.word(at) == 0 && Bytecraft.word(at + 32) >> 128 == 0) {
            revert AppraisalPolicyMeasurementZero(offset);
        }
    }
}
