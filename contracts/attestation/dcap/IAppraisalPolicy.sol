// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IQuoteVerifier} from "../IQuoteVerifier.sol";
import {IDcapQuoteVerifier} from "./IDcapQuoteVerifier.sol";

/// @title IAppraisalPolicy
/// @notice A quote verifier with an opinion: it passes on what {IDcapQuoteVerifier} proved if the rules
/// of one operator accept it. A registry takes it in place of the bare verifier.
///
/// Errors are named after the rules 300 to 399 of `verifier/appraisal/rules.ts`, behind the contract's
/// name, and raised in their order. Which images are welcome, and what the report data must be, is the
/// registry's business.
interface IAppraisalPolicy is IQuoteVerifier {
    /// @notice What a quote must show.
    /// @param evaluationNumberFloor Least `tcbEvaluationDataNumber` of the TCB info.
    /// @param qeEvaluationNumberFloor Least one of the QE identity, which Intel raises on its own schedule.
    /// @param maximumCollateralAgeSeconds Greatest age of TCB info, QE identity and PCK list; zero leaves it
    /// to their own windows. Below Intel's cadence of up to thirty days it stops honest platforms.
    /// @param acceptedTcbStatuses Bit by status; see `TcbStatus.sol`. That of a revoked TCB has no effect.
    /// @param requiresAllowedPlatform Whether a platform must be on the list.
    /// @param requiresImage Whether measurements must be there at all and MRCONFIGID of a known kind.
    /// @param allowedTdAttributes TD attributes that may be set besides SEPT_VE_DISABLE, byte 0 first.
    struct Rules {
        uint32 evaluationNumberFloor;
        uint32 qeEvaluationNumberFloor;
        uint32 maximumCollateralAgeSeconds;
        uint16 acceptedTcbStatuses;
        bool requiresAllowedPlatform;
        bool requiresImage;
        bytes8 allowedTdAttributes;
    }

    /// @notice The rules changed.
    event RulesChanged(Rules rules);
    /// @notice A status is accepted for so long after the platform fell behind; zero for no limit.
    event GraceChanged(uint8 indexed tcbStatus, uint32 graceSeconds);
    /// @notice An advisory refuses platforms, or no longer does.
    event AdvisoryDenied(bytes4 indexed tag, bool isDenied);
    /// @notice A platform is refused, or no longer is.
    event PlatformDenied(bytes16 indexed ppid, bool isDenied);
    /// @notice A platform is on the list, or no longer is.
    event PlatformAllowed(bytes16 indexed ppid, bool isAllowed);

    /// @notice Fetch TCB info with `update=early` or of this evaluation number.
    error AppraisalPolicyEvaluationNumberBelowFloor(uint32 evaluationNumber, uint32 floor);
    /// @notice Fetch the QE identity with `update=early` or of this evaluation number.
    error AppraisalPolicyQeEvaluationNumberBelowFloor(uint32 evaluationNumber, uint32 floor);
    /// @notice Upload the collateral again.
    error AppraisalPolicyCollateralTooOld(uint40 issuedAt, uint32 maximumAgeSeconds);
    error AppraisalPolicyTcbStatusNotAllowed(uint8 tcbStatus, uint16 accepted);
    error AppraisalPolicyTcbGraceExpired(
        uint8 tcbStatus, uint40 degradedSince, uint32 graceSeconds
    );
    error AppraisalPolicyAdvisoryDenied(bytes4 tag);
    error AppraisalPolicyPlatformDenied(bytes16 ppid);
    error AppraisalPolicyPlatformNotAllowed(bytes16 ppid);
    error AppraisalPolicyTdAttributeNotAllowed(bytes8 attributes, bytes8 allowed);
    /// @param offset Offset of the measurement in the TD report.
    error AppraisalPolicyMeasurementZero(uint256 offset);
    error AppraisalPolicyMrConfigIdUnknown(uint256 version);
    /// @notice {tightenRules} may only take away.
    error AppraisalPolicyLoosened();

    /// @notice Verifies that the quotes themselves are genuine.
    function verifier() external view returns (IDcapQuoteVerifier);

    /// @notice What a quote must show.
    function rules() external view returns (Rules memory);

    /// @notice For how long after falling behind a status is accepted; zero for no limit.
    function graceSeconds(uint8 tcbStatus) external view returns (uint32);

    /// @notice Whether an advisory refuses a platform, by the first four bytes of Keccak-256 of its name.
    function isAdvisoryDenied(bytes4 tag) external view returns (bool);

    /// @notice Whether a platform is refused.
    function isPlatformDenied(bytes16 ppid) external view returns (bool);

    /// @notice Whether a platform is on the list.
    function isPlatformAllowed(bytes16 ppid) external view returns (bool);

    /// @notice Sets the rules; to loosen them is meant to take a delay.
    function setRules(Rules calldata next) external;

    /// @notice Sets rules that accept nothing that is not accepted already; meant to take no delay.
    function tightenRules(Rules calldata next) external;

    /// @notice Sets for how long a status is accepted.
    function setGrace(uint8 tcbStatus, uint32 seconds_) external;

    /// @notice Puts an advisory on the deny list or takes it off.
    /// @param tag First four bytes of Keccak-256 of its name, `INTEL-SA-01192`.
    function setAdvisoryDenied(bytes4 tag, bool isDenied) external;

    /// @notice Puts a platform on the deny list, which is looked at first, or takes it off.
    function setPlatformDenied(bytes16 ppid, bool isDenied) external;

    /// @notice Puts a platform on the allow list or takes it off.
    function setPlatformAllowed(bytes16 ppid, bool isAllowed) external;
}
