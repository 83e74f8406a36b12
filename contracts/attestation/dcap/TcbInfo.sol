// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytecraft} from "./Bytecraft.sol";
import {IntelJson} from "./IntelJson.sol";
import {Packer} from "./Packer.sol";

/// @title TcbInfo
/// @notice Reads version 3 of the TDX TCB info that Intel signs, into the packed form in which it is
/// kept.
/// @dev Intel PCS API v4, `/tdx/certification/v4/tcb`.
library TcbInfo {
    using IntelJson for IntelJson.Cursor;
    using Packer for Packer.Buffer;

    struct Document {
        uint40 issueDate;
        uint40 nextUpdate;
        bytes6 fmspc;
        uint32 evaluationNumber;
        /// @dev As {TcbRecord} reads it, without its head.
        bytes packed;
    }

    uint256 private constant MAXIMUM_LEVELS = 64;
    uint256 private constant MAXIMUM_MODULES = 16;
    uint256 private constant MAXIMUM_LABEL = 64;

    /// @param malformed Selector of the error, with an offset, for a text of another form.
    /// @param unsupported Selector of the error, with an offset, for another kind of TCB info.
    function parse(bytes calldata document, bytes4 malformed, bytes4 unsupported)
        internal
        pure
        returns (Document memory info)
    {
        IntelJson.Cursor memory cursor = IntelJson.over(document, malformed);
        cursor.expect('{"id":"', 7);
        if (!cursor.take('TDX"', 4)) _refuse(cursor, unsupported);
        cursor.expect(',"version":', 11);
        if (cursor.integer(type(uint8).max) != 3) _refuse(cursor, unsupported);
        cursor.expect(',"issueDate":"', 14);
        info.issueDate = cursor.time();
        cursor.expect(',"nextUpdate":"', 15);
        info.nextUpdate = cursor.time();
        cursor.expect(',"fmspc":"', 10);
        info.fmspc = bytes6(uint48(cursor.hexNumber(6)));
        cursor.expect('","pceId":"', 11);
        uint256 pceId = cursor.hexNumber(2);
        cursor.expect('","tcbType":', 12);
        if (cursor.integer(type(uint8).max) != 0) _refuse(cursor, unsupported);
        cursor.expect(',"tcbEvaluationDataNumber":', 27);
        info.evaluationNumber = uint32(cursor.integer(type(uint32).max));

        // Bounds by what the packed forms are read from: a level of 43 bytes takes some 500 characters, a
        // module of 66 some 150, a level of 11 some 70, and an advisory of 4 at least three.
        Packer.Buffer memory modules = Packer.create(document.length / 2 + 64);
        Packer.Buffer memory levels = Packer.create(document.length / 8 + 64);
        Packer.Buffer memory advisories = Packer.create(document.length / 3 * 4 + 4);
        cursor.expect(',"tdxModule":{', 14);
        _readModule(cursor, modules);
        cursor.expect("}", 1);
        uint256 moduleCount = _readIdentities(cursor, modules, advisories);
        cursor.expect(',"tcbLevels":[', 14);
        uint256 levelCount = _readLevels(cursor, levels, advisories);
        cursor.expect("}", 1);
        cursor.finish();
        info.packed = _join(pceId, levelCount, moduleCount, levels, modules, advisories);
    }

    function _refuse(IntelJson.Cursor memory cursor, bytes4 unsupported) private pure {
        cursor.refusal = unsupported;
        cursor.fail();
    }

    function _join(
        uint256 pceId,
        uint256 levelCount,
        uint256 moduleCount,
        Packer.Buffer memory levels,
        Packer.Buffer memory modules,
        Packer.Buffer memory advisories
    ) private pure returns (bytes memory) {
        // 36 = head of the record 30 + PCEID 2 + counts 2 + this offset 2
        uint256 advisoriesAt = 36 + levels.length + modules.length;
        return bytes.concat(
            abi.encodePacked(
                uint16(pceId), uint8(levelCount), uint8(moduleCount), uint16(advisoriesAt)
            ),
            levels.finish(),
            modules.finish(),
            advisories.finish()
        );
    }

    /// @dev Appends mrsigner 48 ‖ attributes 8 ‖ attributesMask 8 bytes.
    function _readModule(IntelJson.Cursor memory cursor, Packer.Buffer memory modules)
        private
        pure
    {
        cursor.expect('"mrsigner":"', 12);
        modules.append(cursor.hexNumber(16), 16);
        modules.append(cursor.hexNumber(16), 16);
        modules.append(cursor.hexNumber(16), 16);
        cursor.expect('","attributes":"', 16);
        modules.append(cursor.hexNumber(8), 8);
        cursor.expect('","attributesMask":"', 20);
        modules.append(cursor.hexNumber(8), 8);
        cursor.expect('"', 1);
    }

    /// @dev Appends for each identity version 1 ‖ module 64 ‖ number of levels 1 ‖ levels of 11 bytes.
    function _readIdentities(
        IntelJson.Cursor memory cursor,
        Packer.Buffer memory modules,
        Packer.Buffer memory advisories
    ) private pure returns (uint256 count) {
        if (!cursor.take(',"tdxModuleIdentities":[', 24)) return 0;
        if (cursor.take("]", 1)) return 0;
        while (true) {
            if (++count > MAXIMUM_MODULES) cursor.fail();
            cursor.expect('{"id":"TDX_', 11);
            modules.append(cursor.hexNumber(1), 1);
            cursor.expect('",', 2);
            _readModule(cursor, modules);
            cursor.expect(',"tcbLevels":[', 14);
            uint256 countAt = modules.length;
            modules.append(0, 1);
            uint256 levelCount = cursor.isvLevels(modules, advisories);
            modules.data[countAt] = bytes1(uint8(levelCount));
            cursor.expect("}", 1);
            if (cursor.take("]", 1)) return count;
            cursor.expect(",", 1);
        }
    }

    /// @dev Appends for each level SGX SVNs 16 ‖ TDX SVNs 16 ‖ pcesvn 2 ‖ {IntelJson-levelEnd} 9 bytes.
    function _readLevels(
        IntelJson.Cursor memory cursor,
        Packer.Buffer memory levels,
        Packer.Buffer memory advisories
    ) private pure returns (uint256 count) {
        if (cursor.take("]", 1)) return 0;
        while (true) {
            if (++count > MAXIMUM_LEVELS) cursor.fail();
            cursor.expect('{"tcb":{"sgxtcbcomponents":', 27);
            uint256 sgx = _readComponents(cursor);
            cursor.expect(',"pcesvn":', 10);
            uint256 pceSvn = cursor.integer(type(uint16).max);
            cursor.expect(',"tdxtcbcomponents":', 20);
            levels.append(sgx << 128 | _readComponents(cursor), 32);
            levels.append(pceSvn, 2);
            cursor.expect("},", 2);
            levels.append(cursor.levelEnd(advisories, false), 9);
            if (cursor.take("]", 1)) return count;
            cursor.expect(",", 1);
        }
    }

    /// @dev Sixteen times {"svn":n} with an optional category and an optional type, both texts, in
    /// brackets. Most have neither and a number of one digit; those are compared as one word, with the
    /// bracket or comma before them.
    function _readComponents(IntelJson.Cursor memory cursor) private pure returns (uint256 svns) {
        unchecked {
            uint256 at = cursor.at;
            uint256 before = 0x5b;
            for (uint256 index; index < 16; ++index) {
                // 176 = 256 - 8 * 10 characters
                uint256 short = Bytecraft.word(at) >> 176;
                uint256 svn = (short >> 8 & 0xff) - 0x30;
                if (svn <= 9 && short & ~uint256(0xff00) == (before << 72 | SHORT_COMPONENT)) {
                    at += 10;
                } else {
                    cursor.at = at;
                    if (short >> 72 != before) cursor.fail();
                    cursor.at = at + 1;
                    svn = _readComponent(cursor);
                    at = cursor.at;
                }
                svns = svns << 8 | svn;
                before = 0x2c;
            }
            cursor.at = at;
        }
        cursor.expect("]", 1);
    }

    function _readComponent(IntelJson.Cursor memory cursor) private pure returns (uint256 svn) {
        cursor.expect('{"svn":', 7);
        svn = cursor.integer(type(uint8).max);
        if (cursor.take(',"category":"', 13)) {
            // The two that Intel uses; any other text is as good.
            bool isKnown = cursor.take('BIOS"', 5) || cursor.take('OS/VMM"', 7);
            if (!isKnown) cursor.text(MAXIMUM_LABEL);
        }
        if (cursor.take(',"type":"', 9)) cursor.text(MAXIMUM_LABEL);
        cursor.expect("}", 1);
    }

    /// @dev {"svn":n} with a zero byte for n.
    uint256 private constant SHORT_COMPONENT = uint72(bytes9('{"svn":\x00}'));
}
