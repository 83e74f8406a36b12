// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IntelJson} from "./IntelJson.sol";
import {Packer} from "./Packer.sol";

/// @title QeIdentity
/// @notice Reads version 2 of the identity of the TD quoting enclave that Intel signs.
/// @dev Intel PCS API v4, `/tdx/certification/v4/qe/identity`.
library QeIdentity {
    using IntelJson for IntelJson.Cursor;
    using Packer for Packer.Buffer;

    struct Document {
        uint40 issueDate;
        uint40 nextUpdate;
        uint32 evaluationNumber;
        /// @dev As {QeRecord} reads it, without its head.
        bytes packed;
    }

    /// @param malformed Selector of the error, with an offset, for a text of another form.
    /// @param unsupported Selector of the error, with an offset, for another enclave or version.
    function parse(bytes calldata document, bytes4 malformed, bytes4 unsupported)
        internal
        pure
        returns (Document memory identity)
    {
        IntelJson.Cursor memory cursor = IntelJson.over(document, malformed);
        cursor.expect('{"id":"', 7);
        if (!cursor.take('TD_QE"', 6)) _refuse(cursor, unsupported);
        cursor.expect(',"version":', 11);
        if (cursor.integer(type(uint8).max) != 2) _refuse(cursor, unsupported);
        cursor.expect(',"issueDate":"', 14);
        identity.issueDate = cursor.time();
        cursor.expect(',"nextUpdate":"', 15);
        identity.nextUpdate = cursor.time();
        cursor.expect(',"tcbEvaluationDataNumber":', 27);
        identity.evaluationNumber = uint32(cursor.integer(type(uint32).max));

        // 75 = fixed part; a level of 11 bytes takes some 70 characters, an advisory of 4 at least three.
        Packer.Buffer memory packed = Packer.create(75 + document.length / 4);
        cursor.expect(',"miscselect":"', 15);
        uint256 misc = cursor.hexNumber(4);
        cursor.expect('","miscselectMask":"', 20);
        misc = misc << 32 | cursor.hexNumber(4);
        cursor.expect('","attributes":"', 16);
        uint256 attributes = cursor.hexNumber(16);
        cursor.expect('","attributesMask":"', 20);
        attributes = attributes << 128 | cursor.hexNumber(16);
        cursor.expect('","mrsigner":"', 14);
        packed.append(cursor.hexNumber(16), 16);
        packed.append(cursor.hexNumber(16), 16);
        packed.append(attributes, 32);
        packed.append(misc, 8);
        cursor.expect('","isvprodid":', 14);
        packed.append(cursor.integer(type(uint16).max), 2);
        cursor.expect(',"tcbLevels":[', 14);
        uint256 countAt = packed.length;
        packed.append(0, 1);
        Packer.Buffer memory advisories = Packer.create(document.length / 3 * 4 + 4);
        uint256 count = cursor.isvLevels(packed, advisories);
        packed.data[countAt] = bytes1(uint8(count));
        cursor.expect("}", 1);
        cursor.finish();
        identity.packed = bytes.concat(packed.finish(), advisories.finish());
    }

    function _refuse(IntelJson.Cursor memory cursor, bytes4 unsupported) private pure {
        cursor.refusal = unsupported;
        cursor.fail();
    }
}
