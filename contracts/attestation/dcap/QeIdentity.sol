// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IntelJson} from "./IntelJson.sol";

/// @title QeIdentity
/// @notice Reads version 2 of the identity of the TD quoting enclave that Intel signs.
/// @dev Intel PCS API v4, `/tdx/certification/v4/qe/identity`.
library QeIdentity {
    using IntelJson for IntelJson.Cursor;

    struct Document {
        uint40 issueDate;
        uint40 nextUpdate;
        uint32 evaluationNumber;
        /// @dev Packed as {QeRecord} reads it, without its head.
        bytes packed;
    }

    /// @param malformed Selector of the error, with an offset, for a text of another form.
    /// @param unsupported Selector of the error, with an offset, for another enclave or version.
    function parse(
        bytes calldata text,
        bytes4 malformed,
        bytes4 unsupported
    ) internal pure returns (Document memory document) {
        IntelJson.Cursor memory cursor = IntelJson.over(text, malformed);
        cursor.expect(text, '{"id":"', 7);
        cursor.refusal = unsupported;
        cursor.expect(text, 'TD_QE"', 6);
        cursor.refusal = malformed;
        cursor.expect(text, ',"version":', 11);
        if (cursor.integer(text, type(uint8).max) != 2) {
            cursor.refusal = unsupported;
            cursor.fail();
        }
        cursor.expect(text, ',"issueDate":"', 14);
        document.issueDate = cursor.time(text);
        cursor.expect(text, ',"nextUpdate":"', 15);
        document.nextUpdate = cursor.time(text);
        cursor.expect(text, ',"tcbEvaluationDataNumber":', 27);
        document.evaluationNumber = uint32(cursor.integer(text, type(uint32).max));
        cursor.expect(text, ',"miscselect":"', 15);
        bytes4 miscSelect = bytes4(cursor.hexBytes(text, 4));
        cursor.expect(text, '","miscselectMask":"', 20);
        bytes4 miscSelectMask = bytes4(cursor.hexBytes(text, 4));
        cursor.expect(text, '","attributes":"', 16);
        bytes16 attributes = cursor.hexBytes(text, 16);
        cursor.expect(text, '","attributesMask":"', 20);
        bytes16 attributesMask = cursor.hexBytes(text, 16);
        cursor.expect(text, '","mrsigner":"', 14);
        bytes16 signerHigh = cursor.hexBytes(text, 16);
        bytes16 signerLow = cursor.hexBytes(text, 16);
        cursor.expect(text, '","isvprodid":', 14);
        uint256 isvProdId = cursor.integer(text, type(uint16).max);
        cursor.expect(text, ',"tcbLevels":[', 14);
        bytes memory levels = cursor.isvLevels(text);
        cursor.expect(text, "}", 1);
        if (cursor.at != cursor.end) cursor.fail();
        document.packed = abi.encodePacked(
            signerHigh,
            signerLow,
            attributes,
            attributesMask,
            miscSelect,
            miscSelectMask,
            uint16(isvProdId),
            uint8(levels.length / 8),
            levels
        );
    }
}
