// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {TCB_REVOKED} from "../TcbStatus.sol";
import {Bytecraft} from "./Bytecraft.sol";

/// @title IntelJson
/// @notice Reads the documents that Intel signs, in calldata and forward only, as a template: every
/// field in its place, of its type, once; no blanks. A field that moved, repeated or changed its type
/// is refused, because a second reading of one signed text would be a second truth.
/// @dev Intel has written these documents in one form for as long as version 4 of its service exists.
library IntelJson {
    /// @dev `at` and `end` are offsets into the text that is handed in beside the cursor.
    struct Cursor {
        uint256 at;
        uint256 end;
        bytes4 refusal;
    }

    /// @notice A cursor over the whole text.
    /// @param refusal Selector of an error with one `uint256`, the offset at which reading stopped.
    function over(bytes calldata text, bytes4 refusal) internal pure returns (Cursor memory) {
        return Cursor({at: 0, end: text.length, refusal: refusal});
    }

    /// @notice Raises the error of this cursor with the offset reached.
    function fail(Cursor memory cursor) internal pure {
        Bytecraft.revertWith(cursor.refusal, cursor.at);
    }

    /// @notice Steps over exactly these characters.
    /// @param literal The characters, left-aligned.
    /// @param length Their number, at most 32.
    function expect(
        Cursor memory cursor,
        bytes calldata text,
        bytes32 literal,
        uint256 length
    ) internal pure {
        if (!take(cursor, text, literal, length)) fail(cursor);
    }

    /// @notice Steps over these characters if they are next.
    function take(
        Cursor memory cursor,
        bytes calldata text,
        bytes32 literal,
        uint256 length
    ) internal pure returns (bool isNext) {
        uint256 at = cursor.at;
        if (at + length > cursor.end) return false;
        if ((Bytecraft.wordAt(text, at) ^ literal) >> (256 - 8 * length) != 0) return false;
        cursor.at = at + length;
        return true;
    }

    /// @notice An unsigned integer without leading zeros.
    function integer(
        Cursor memory cursor,
        bytes calldata text,
        uint256 maximum
    ) internal pure returns (uint256 value) {
        unchecked {
            uint256 start = cursor.at;
            uint256 at = start;
            uint256 word = uint256(Bytecraft.wordAt(text, at));
            // Ten digits hold any 32-bit number.
            for (; at < cursor.end && at - start < 11; ++at) {
                uint256 digit = ((word >> (248 - 8 * (at - start))) & 0xff) - 0x30;
                if (digit > 9) break;
                value = value * 10 + digit;
            }
            bool hasLeadingZero = at - start > 1 && word >> 248 == 0x30;
            if (at == start || value > maximum || hasLeadingZero) fail(cursor);
            cursor.at = at;
        }
    }

    /// @notice `YYYY-MM-DDTHH:MM:SSZ` with its closing quote.
    /// @return unixSeconds Zero for what lies before 1970.
    function time(
        Cursor memory cursor,
        bytes calldata text
    ) internal pure returns (uint40 unixSeconds) {
        uint256 word = uint256(Bytecraft.wordAt(text, cursor.at));
        // 21 = 20 characters + quote; the mask keeps what stands between the digits.
        uint256 between = word & 0x00000000ff0000ff0000ff0000ff0000ff0000ffff << 88;
        bool isShaped = cursor.at + 21 <= cursor.end
            && between
                == uint256(bytes32(hex"000000002d00002d00005400003a00003a00005a22"));
        if (!isShaped) fail(cursor);
        (bool exists, uint40 instant) = Bytecraft.civilTime(
            Bytecraft.digits(word, 0, 4),
            Bytecraft.digits(word, 5, 2),
            Bytecraft.digits(word, 8, 2),
            Bytecraft.digits(word, 11, 2),
            Bytecraft.digits(word, 14, 2),
            Bytecraft.digits(word, 17, 2)
        );
        if (!exists) fail(cursor);
        cursor.at += 21;
        return instant;
    }

    /// @notice Hexadecimal digits of `length` bytes, at most 16, either case.
    /// @return value The bytes, left-aligned.
    function hexBytes(
        Cursor memory cursor,
        bytes calldata text,
        uint256 length
    ) internal pure returns (bytes16 value) {
        unchecked {
            if (cursor.at + 2 * length > cursor.end) fail(cursor);
            uint256 word = uint256(Bytecraft.wordAt(text, cursor.at));
            // What stands behind the digits is replaced by zeros, so that all 32 lanes are digits.
            uint256 rest = 256 - 16 * length;
            word = (word >> rest) << rest;
            word |= (_ONES * 0x30) & ((1 << rest) - 1);

            // One lane per character. Letters of both cases have bit 6, digits have not.
            uint256 isLetter = (word >> 6) & _ONES;
            uint256 low = word & (_ONES * 0x0f);
            // Upper half: 3 for digits, 4 or 6 for letters.
            uint256 high = (word >> 4) & (_ONES * 0x0f);
            uint256 wrong = (high & ~(isLetter << 1)) ^ (_ONES * 3 + isLetter);
            // A letter's low half is 1 to 6, a digit's 0 to 9: bit 4 of the sums shows the excess.
            wrong |= (low + _ONES * 6 + isLetter * 3) & (_ONES << 4);
            wrong |= ~(low + _ONES * 16 - isLetter) & (_ONES << 4);
            if (wrong != 0) fail(cursor);
            uint256 nibbles = low + isLetter * 9;

            // 32 lanes of a nibble become 16 bytes.
            nibbles = (nibbles | nibbles >> 4) & (type(uint256).max / 0xffff * 0xff);
            nibbles = (nibbles | nibbles >> 8) & (type(uint256).max / 0xffffffff * 0xffff);
            nibbles =
                (nibbles | nibbles >> 16) & (type(uint256).max / type(uint64).max * 0xffffffff);
            nibbles = (nibbles | nibbles >> 32)
                & (type(uint256).max / type(uint128).max * type(uint64).max);
            nibbles = (nibbles | nibbles >> 64) & type(uint128).max;
            cursor.at += 2 * length;
            return bytes16(uint128(nibbles));
        }
    }

    /// @notice Steps over the rest of a text and its closing quote, at most `maximum` characters. Escapes
    /// and control characters are refused: no identifier of Intel's has any.
    function skipText(
        Cursor memory cursor,
        bytes calldata text,
        uint256 maximum
    ) internal pure {
        unchecked {
            uint256 at = cursor.at;
            uint256 limit = at + maximum;
            while (true) {
                uint256 word = uint256(Bytecraft.wordAt(text, at));
                uint256 stops = _lanesEqual(word, 0x22) | _lanesEqual(word, 0x5c)
                    | (~(((word & (_ONES * 0x7f)) + _ONES * 0x60) | word) & (_ONES << 7));
                if (stops == 0) {
                    at += 32;
                    if (at > limit || at > cursor.end) fail(cursor);
                    continue;
                }
                // Index of the most significant lane that stops.
                uint256 index;
                while (stops >> 255 == 0) {
                    stops <<= 8;
                    ++index;
                }
                at += index;
                bool isQuote = (word >> (248 - 8 * index)) & 0xff == 0x22;
                if (at > limit || at >= cursor.end || !isQuote) fail(cursor);
                cursor.at = at + 1;
                return;
            }
        }
    }

    /// @notice One of Intel's statuses with its closing quote.
    /// @param isPart Whether only those of a QE or module level are known: UpToDate, OutOfDate, Revoked.
    function status(
        Cursor memory cursor,
        bytes calldata text,
        bool isPart
    ) internal pure returns (uint8 code) {
        if (take(cursor, text, 'UpToDate"', 9)) return 0;
        if (take(cursor, text, 'OutOfDate"', 10)) return 4;
        if (take(cursor, text, 'Revoked"', 8)) return TCB_REVOKED;
        if (isPart) fail(cursor);
        if (take(cursor, text, 'SWHardeningNeeded"', 18)) return 1;
        if (take(cursor, text, 'ConfigurationNeeded"', 20)) return 2;
        if (take(cursor, text, 'ConfigurationAndSWHardeningNeede', 32)) {
            expect(cursor, text, 'd"', 2);
            return 3;
        }
        expect(cursor, text, 'OutOfDateConfigurationNeeded"', 29);
        return 5;
    }

    /// @notice The optional list of advisories with which a level ends. Its entries are not kept.
    function skipAdvisories(Cursor memory cursor, bytes calldata text) internal pure {
        if (!take(cursor, text, ',"advisoryIDs":[', 16)) return;
        if (take(cursor, text, "]", 1)) return;
        for (uint256 count; count < 128; ++count) {
            expect(cursor, text, '"', 1);
            skipText(cursor, text, 256);
            if (take(cursor, text, "]", 1)) return;
            expect(cursor, text, ",", 1);
        }
        fail(cursor);
    }

    /// @notice `"tcbLevels":[…]` of a QE or module identity, from behind the opening bracket to the
    /// closing one.
    /// @return levels For each level isvsvn 2 ‖ status 1 ‖ tcbDate 5 bytes.
    function isvLevels(
        Cursor memory cursor,
        bytes calldata text
    ) internal pure returns (bytes memory levels) {
        if (take(cursor, text, "]", 1)) return levels;
        for (uint256 count; count < 64; ++count) {
            expect(cursor, text, '{"tcb":{"isvsvn":', 17);
            uint256 isvSvn = integer(cursor, text, type(uint16).max);
            expect(cursor, text, '},"tcbDate":"', 13);
            uint40 date = time(cursor, text);
            expect(cursor, text, ',"tcbStatus":"', 14);
            uint8 code = status(cursor, text, true);
            skipAdvisories(cursor, text);
            expect(cursor, text, "}", 1);
            levels = bytes.concat(levels, abi.encodePacked(uint16(isvSvn), code, date));
            if (take(cursor, text, "]", 1)) return levels;
            expect(cursor, text, ",", 1);
        }
        fail(cursor);
    }

    /// @dev The byte 01 in each of 32 lanes.
    uint256 private constant _ONES = type(uint256).max / 0xff;

    /// @dev Bit 7 of every lane that holds `value`; exact, since no lane's sum reaches the next.
    function _lanesEqual(uint256 word, uint256 value) private pure returns (uint256) {
        unchecked {
            uint256 difference = word ^ (_ONES * value);
            return ~(((difference & (_ONES * 0x7f)) + _ONES * 0x7f) | difference) & (_ONES << 7);
        }
    }
}
