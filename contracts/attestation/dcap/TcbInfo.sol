// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IntelJson} from "./IntelJson.sol";

/// @title TcbInfo
/// @notice Reads version 3 of the TDX TCB info that Intel signs, into the packed form in which it is
/// kept. @dev Intel PCS API v4, `/tdx/certification/v4/tcb`.
library TcbInfo {
    using IntelJson for IntelJson.Cursor;

    struct Document {
        uint40 issueDate;
        uint40 nextUpdate;
        bytes6 fmspc;
        uint32 evaluationNumber;
        /// @dev Packed as {TcbRecord} reads it, without its head.
        bytes packed;
    }

    uint256 private constant MAXIMUM_LEVELS = 64;
    uint256 private constant MAXIMUM_MODULES = 16;

    /// @param malformed Selector of the error, with an offset, for a text of another form.
    /// @param unsupported Selector of the error, with an offset, for another kind of TCB info.
    function parse(
        bytes calldata text,
        bytes4 malformed,
        bytes4 unsupported
    ) internal pure returns (Document memory document) {
        IntelJson.Cursor memory cursor = IntelJson.over(text, malformed);
        cursor.expect(text, '{"id":"', 7);
        cursor.refusal = unsupported;
        cursor.expect(text, 'TDX"', 4);
        cursor.refusal = malformed;
        cursor.expect(text, ',"version":', 11);
        _expectNumber(cursor, text, 3, unsupported);
        cursor.expect(text, ',"issueDate":"', 14);
        document.issueDate = cursor.time(text);
        cursor.expect(text, ',"nextUpdate":"', 15);
        document.nextUpdate = cursor.time(text);
        cursor.expect(text, ',"fmspc":"', 10);
        document.fmspc = bytes6(cursor.hexBytes(text, 6));
        cursor.expect(text, '","pceId":"', 11);
        bytes2 pceId = bytes2(cursor.hexBytes(text, 2));
        cursor.expect(text, '","tcbType":', 12);
        _expectNumber(cursor, text, 0, unsupported);
        cursor.expect(text, ',"tcbEvaluationDataNumber":', 27);
        document.evaluationNumber = uint32(cursor.integer(text, type(uint32).max));

        cursor.expect(text, ',"tdxModule":{', 14);
        bytes memory module = _module(cursor, text);
        cursor.expect(text, "}", 1);
        (bytes memory identities, uint256 identityCount) = _identities(cursor, text);
        cursor.expect(text, ',"tcbLevels":[', 14);
        (bytes memory levels, uint256 levelCount) = _levels(cursor, text);
        cursor.expect(text, "}", 1);
        if (cursor.at != cursor.end) cursor.fail();
        document.packed = bytes.concat(
            abi.encodePacked(pceId, uint8(levelCount), uint8(identityCount)),
            levels,
            module,
            identities
        );
    }

    function _expectNumber(
        IntelJson.Cursor memory cursor,
        bytes calldata text,
        uint256 expected,
        bytes4 unsupported
    ) private pure {
        if (cursor.integer(text, type(uint8).max) == expected) return;
        cursor.refusal = unsupported;
        cursor.fail();
    }

    /// @return packed mrsigner 48 ‖ attributes 8 ‖ attributesMask 8 bytes.
    function _module(
        IntelJson.Cursor memory cursor,
        bytes calldata text
    ) private pure returns (bytes memory packed) {
        cursor.expect(text, '"mrsigner":"', 12);
        bytes16 first = cursor.hexBytes(text, 16);
        bytes16 second = cursor.hexBytes(text, 16);
        bytes16 third = cursor.hexBytes(text, 16);
        cursor.expect(text, '","attributes":"', 16);
        bytes8 attributes = bytes8(cursor.hexBytes(text, 8));
        cursor.expect(text, '","attributesMask":"', 20);
        bytes8 mask = bytes8(cursor.hexBytes(text, 8));
        cursor.expect(text, '"', 1);
        return abi.encodePacked(first, second, third, attributes, mask);
    }

    /// @return packed For each identity version 1 ‖ module 64 ‖ level count 1 ‖ levels of 8 bytes.
    function _identities(
        IntelJson.Cursor memory cursor,
        bytes calldata text
    ) private pure returns (bytes memory packed, uint256 count) {
        if (!cursor.take(text, ',"tdxModuleIdentities":[', 24)) return (packed, 0);
        if (cursor.take(text, "]", 1)) return (packed, 0);
        while (true) {
            if (++count > MAXIMUM_MODULES) cursor.fail();
            cursor.expect(text, '{"id":"TDX_', 11);
            bytes1 version = bytes1(cursor.hexBytes(text, 1));
            cursor.expect(text, '",', 2);
            bytes memory module = _module(cursor, text);
            cursor.expect(text, ',"tcbLevels":[', 14);
            bytes memory levels = cursor.isvLevels(text);
            cursor.expect(text, "}", 1);
            packed = bytes.concat(
                packed, abi.encodePacked(version, module, uint8(levels.length / 8), levels)
            );
            if (cursor.take(text, "]", 1)) return (packed, count);
            cursor.expect(text, ",", 1);
        }
    }

    /// @return packed For each level SGX SVNs 16 ‖ TDX SVNs 16 ‖ pcesvn 2 ‖ status 1 ‖ tcbDate 5 bytes.
    function _levels(
        IntelJson.Cursor memory cursor,
        bytes calldata text
    ) private pure returns (bytes memory packed, uint256 count) {
        if (cursor.take(text, "]", 1)) return (packed, 0);
        while (true) {
            if (++count > MAXIMUM_LEVELS) cursor.fail();
            cursor.expect(text, '{"tcb":{"sgxtcbcomponents":[', 28);
            bytes16 sgx = _components(cursor, text);
            cursor.expect(text, ',"pcesvn":', 10);
            uint256 pceSvn = cursor.integer(text, type(uint16).max);
            cursor.expect(text, ',"tdxtcbcomponents":[', 21);
            bytes16 tdx = _components(cursor, text);
            cursor.expect(text, '},"tcbDate":"', 13);
            uint40 date = cursor.time(text);
            cursor.expect(text, ',"tcbStatus":"', 14);
            uint8 status = cursor.status(text, false);
            cursor.skipAdvisories(text);
            cursor.expect(text, "}", 1);
            packed = bytes.concat(
                packed, abi.encodePacked(sgx, tdx, uint16(pceSvn), status, date)
            );
            if (cursor.take(text, "]", 1)) return (packed, count);
            cursor.expect(text, ",", 1);
        }
    }

    /// @dev Sixteen times {"svn":n} with an optional category and an optional type, both texts.
    function _components(
        IntelJson.Cursor memory cursor,
        bytes calldata text
    ) private pure returns (bytes16) {
        uint256 svns;
        for (uint256 index; index < 16; ++index) {
            if (index != 0) cursor.expect(text, ",", 1);
            cursor.expect(text, '{"svn":', 7);
            svns = svns << 8 | cursor.integer(text, type(uint8).max);
            if (cursor.take(text, "}", 1)) continue;
            if (cursor.take(text, ',"category":"', 13)) cursor.skipText(text, 64);
            if (cursor.take(text, ',"type":"', 9)) cursor.skipText(text, 64);
            cursor.expect(text, "}", 1);
        }
        cursor.expect(text, "]", 1);
        return bytes16(uint128(svns));
    }
}
