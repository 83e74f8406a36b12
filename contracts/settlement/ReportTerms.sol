// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Report} from "../proofs/Types.sol";

/// @notice Which reports an agreement listens to.
struct ReportTerms {
    /// Whose batches may speak. Any other stream, of an allowed image or not, is refused.
    bytes32 stream;
    bytes32 subject;
    bytes32 policyId;
    bytes32 unit;
}

/// @title ReportTermsLib
/// @notice Compares a report with terms at the price of one storage slot.
library ReportTermsLib {
    /// @notice The report speaks for another stream.
    error ReportTermsStreamMismatch(bytes32 expected, bytes32 actual);
    /// @notice The report speaks about another subject.
    error ReportTermsSubjectMismatch(bytes32 expected, bytes32 actual);
    /// @notice The report follows another policy.
    error ReportTermsPolicyMismatch(bytes32 expected, bytes32 actual);
    /// @notice The report's value is in another unit.
    error ReportTermsUnitMismatch(bytes32 expected, bytes32 actual);

    /// @notice The terms as one word.
    function hash(ReportTerms memory terms) internal pure returns (bytes32) {
        return keccak256(abi.encode(terms.stream, terms.subject, terms.policyId, terms.unit));
    }

    /// @notice The same word of what a report speaks about.
    /// @dev Copies the words as they stand in calldata, as {TypedData} does: the report's leaf was made
    /// of the same words, so dirty padding has failed before this.
    function hashOf(Report calldata report, bytes32 stream) internal pure returns (bytes32 word) {
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            mstore(pointer, stream)
            // subject and policyId are words 1 and 2, unit is word 7.
            calldatacopy(add(pointer, 0x20), add(report, 0x20), 0x40)
            calldatacopy(add(pointer, 0x60), add(report, 0xe0), 0x20)
            word := keccak256(pointer, 0x80)
        }
    }

    /// @notice Terms and one period as one word.
    function key(ReportTerms memory terms, uint64 periodStartMs, uint64 periodEndMs)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encode(
                terms.stream, terms.subject, terms.policyId, periodStartMs, periodEndMs, terms.unit
            )
        );
    }

    /// @notice The same word of what a report speaks about.
    /// @dev See {hashOf}.
    function keyOf(Report calldata report, bytes32 stream) internal pure returns (bytes32 word) {
        assembly ("memory-safe") {
            let pointer := mload(0x40)
            mstore(pointer, stream)
            // subject, policyId, periodStartMs and periodEndMs are words 1 to 4, unit is word 7.
            calldatacopy(add(pointer, 0x20), add(report, 0x20), 0x80)
            calldatacopy(add(pointer, 0xa0), add(report, 0xe0), 0x20)
            word := keccak256(pointer, 0xc0)
        }
    }

    /// @notice Reverts with the first of the terms that a report does not meet.
    function check(ReportTerms memory terms, Report calldata report, bytes32 stream) internal pure {
        if (terms.stream != stream) revert ReportTermsStreamMismatch(terms.stream, stream);
        if (terms.subject != report.subject) {
            revert ReportTermsSubjectMismatch(terms.subject, report.subject);
        }
        if (terms.policyId != report.policyId) {
            revert ReportTermsPolicyMismatch(terms.policyId, report.policyId);
        }
        if (terms.unit != report.unit) revert ReportTermsUnitMismatch(terms.unit, report.unit);
    }
}
