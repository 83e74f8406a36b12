// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED,
    TCB_CONFIGURATION_NEEDED,
    TCB_OUT_OF_DATE,
    TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
    TCB_REVOKED,
    TCB_SW_HARDENING_NEEDED,
    TCB_UP_TO_DATE
} from "../TcbStatus.sol";
import {Bytecraft} from "./Bytecraft.sol";
import {Packer} from "./Packer.sol";

/// @title IntelJson
/// @notice Reads the documents that Intel signs, in calldata and forward only, as a template: every
/// field in its place, of its type, once; no blanks. A field that moved, repeated or changed its type
/// is refused, because a second reading of one signed text would be a second truth.
/// @dev Intel has written these documents in one form for as long as version 4 of its service exists.
///
/// Single steps do not look at the end of the text: a cursor only moves forward, so one that went
/// beyond is found out by {finish}, and what it read there never leaves this library.
library IntelJson {
    using Packer for Packer.Buffer;

    /// @dev Positions as {Bytecraft} has them. {take} knows the order of the fields.
    struct Cursor {
        uint256 at;
        uint256 end;
        /// @dev Where the text begins: offsets in errors count from here.
        uint256 origin;
        bytes4 refusal;
    }

    uint256 private constant MAXIMUM_LEVELS = 64;
    uint256 private constant MAXIMUM_ADVISORIES = 128;
    uint256 private constant MAXIMUM_ADVISORY_LENGTH = 256;
    /// @dev The byte 01 in each of 32 lanes of 8 bits.
    uint256 private constant ONES = type(uint256).max / 0xff;

    /// @notice A cursor over an argument.
    /// @param refusal Selector of an error with one `uint256`, the offset at which reading stopped.
    function over(bytes calldata document, bytes4 refusal) internal pure returns (Cursor memory) {
        uint256 origin = Bytecraft.position(document);
        return Cursor({at: origin, end: origin + document.length, origin: origin, refusal: refusal});
    }

    /// @notice Raises the error of this cursor with the offset reached.
    function fail(Cursor memory cursor) internal pure {
        Bytecraft.revertWith(cursor.refusal, cursor.at - cursor.origin);
    }

    /// @notice The text must end exactly here.
    function finish(Cursor memory cursor) internal pure {
        if (cursor.at != cursor.end) fail(cursor);
    }

    /// @notice Steps over exactly these characters.
    /// @param literal The characters, left-aligned.
    /// @param length Their number, at most 32.
    function expect(Cursor memory cursor, bytes32 literal, uint256 length) internal pure {
        if (!take(cursor, literal, length)) fail(cursor);
    }

    /// @notice Steps over these characters if they are next.
    function take(Cursor memory cursor, bytes32 literal, uint256 length)
        internal
        pure
        returns (bool isNext)
    {
        // Half of the gas of a document is spent here: the first field of the cursor is its position.
        assembly ("memory-safe") {
            let at := mload(cursor)
            let rest := sub(256, shl(3, length))
            isNext := iszero(shr(rest, xor(calldataload(at), literal)))
            mstore(cursor, add(at, mul(isNext, length)))
        }
    }

    /// @notice An unsigned integer without leading zeros.
    function integer(Cursor memory cursor, uint256 maximum) internal pure returns (uint256 value) {
        unchecked {
            // At most ten digits, which hold any 32-bit number.
            uint256 characters = Bytecraft.word(cursor.at);
            value = (characters >> 248) - 0x30;
            if (value > 9) fail(cursor);
            uint256 count = 1;
            for (; count < 10; ++count) {
                characters <<= 8;
                uint256 digit = (characters >> 248) - 0x30;
                if (digit > 9) break;
                if (value == 0) fail(cursor);
                value = value * 10 + digit;
            }
            if (value > maximum) fail(cursor);
            cursor.at += count;
        }
    }

    /// @notice `YYYY-MM-DDTHH:MM:SSZ` with its closing quote.
    /// @return unixSeconds Zero for what lies before 1970.
    function time(Cursor memory cursor) internal pure returns (uint40 unixSeconds) {
        unchecked {
            uint256 characters = Bytecraft.word(cursor.at);
            // 88 = 256 - 8 * 21 characters; the mask keeps those between the digits.
            uint256 between = (characters >> 88) & 0x00000000ff0000ff0000ff0000ff0000ff0000ffff;
            if (between != 0x000000002d00002d00005400003a00003a00005a22) fail(cursor);
            uint256 digits = characters >> 224;
            digits = digits << 16 | (characters >> 200 & 0xffff);
            digits = digits << 16 | (characters >> 176 & 0xffff);
            digits = digits << 16 | (characters >> 152 & 0xffff);
            digits = digits << 16 | (characters >> 128 & 0xffff);
            digits = digits << 16 | (characters >> 104 & 0xffff);
            bool exists;
            // 144 = 256 - 8 * 14 digits
            (exists, unixSeconds) = Bytecraft.civilTime(digits << 144);
            if (!exists) fail(cursor);
            cursor.at += 21;
        }
    }

    /// @notice Hexadecimal digits of `length` bytes, at most 16, either case.
    /// @return value The number that they write, most significant digit first.
    function hexNumber(Cursor memory cursor, uint256 length) internal pure returns (uint256 value) {
        unchecked {
            // What stands behind the digits gives way to zeros in front, so that all lanes are digits.
            uint256 digits = Bytecraft.word(cursor.at) >> (256 - 16 * length);
            if (length < 16) digits |= (ONES * 0x30) << (16 * length);

            // One lane a character. Letters of both cases have bit 6, digits have not.
            uint256 letters = (digits >> 6) & ONES;
            uint256 low = digits & (ONES * 0x0f);
            // Upper half: 3 for a digit, 4 or 6 for a letter.
            uint256 high = (digits >> 4) & (ONES * 0x0f);
            uint256 wrong = (high & ~(letters << 1)) ^ (ONES * 3 + letters);
            // Lower half: at most 9 for a digit, 1 to 6 for a letter; bit 4 of the sums shows the excess.
            wrong |= (low + ONES * 6 + letters * 3) & (ONES << 4);
            wrong |= ~(low + ONES * 16 - letters) & (ONES << 4);
            if (wrong != 0) fail(cursor);
            value = low + letters * 9;

            // 32 lanes of a nibble become 16 bytes.
            value = (value | value >> 4) & (type(uint256).max / 0xffff * 0xff);
            value = (value | value >> 8) & (type(uint256).max / 0xffffffff * 0xffff);
            value = (value | value >> 16) & (type(uint256).max / type(uint64).max * 0xffffffff);
            value =
                (value | value >> 32) & (type(uint256).max / type(uint128).max * type(uint64).max);
            value = (value | value >> 64) & type(uint128).max;
            cursor.at += 2 * length;
        }
    }

    /// @notice The rest of a text, up to its closing quote, over which it steps as well. Escapes and
    /// control characters are refused: no identifier of Intel's has any.
    /// @return start Position of the first character.
    /// @return end Position of the quote.
    function text(Cursor memory cursor, uint256 maximum)
        internal
        pure
        returns (uint256 start, uint256 end)
    {
        unchecked {
            start = cursor.at;
            end = start;
            while (true) {
                uint256 lanes = Bytecraft.word(end);
                // Bit 7 of every lane with a quote, a backslash or a control character.
                uint256 stops = _lanesEqual(lanes, 0x22) | _lanesEqual(lanes, 0x5c)
                    | ~((lanes & (ONES * 0x7f)) + ONES * 0x60 | lanes) & (ONES << 7);
                if (stops == 0) {
                    end += 32;
                    if (end - start > maximum) fail(cursor);
                    continue;
                }
                uint256 index = _firstLane(stops);
                end += index;
                bool isQuote = (lanes >> (248 - 8 * index)) & 0xff == 0x22;
                if (!isQuote || end - start > maximum) fail(cursor);
                cursor.at = end + 1;
                return (start, end);
            }
        }
    }

    /// @notice One of Intel's statuses with its closing quote.
    /// @param isPart Whether only those of a QE or module level are known: UpToDate, OutOfDate, Revoked.
    function status(Cursor memory cursor, bool isPart) internal pure returns (uint8 code) {
        if (take(cursor, 'UpToDate"', 9)) return TCB_UP_TO_DATE;
        if (take(cursor, 'OutOfDate"', 10)) return TCB_OUT_OF_DATE;
        if (take(cursor, 'Revoked"', 8)) return TCB_REVOKED;
        if (isPart) fail(cursor);
        if (take(cursor, 'SWHardeningNeeded"', 18)) return TCB_SW_HARDENING_NEEDED;
        if (take(cursor, 'ConfigurationNeeded"', 20)) return TCB_CONFIGURATION_NEEDED;
        if (take(cursor, "ConfigurationAndSWHardeningNeede", 32)) {
            expect(cursor, 'd"', 2);
            return TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED;
        }
        expect(cursor, 'OutOfDateConfigurationNeeded"', 29);
        return TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
    }

    /// @notice Date, status and advisories, with which levels of all kinds end, up to their brace.
    /// @param advisories Gets a tag of 4 bytes for each advisory, the first of Keccak-256 of its name.
    /// @return packed status 1 ‖ tcbDate 5 ‖ index of the first advisory 2 ‖ number of advisories 1.
    function levelEnd(Cursor memory cursor, Packer.Buffer memory advisories, bool isPart)
        internal
        pure
        returns (uint256 packed)
    {
        expect(cursor, '"tcbDate":"', 11);
        uint256 date = time(cursor);
        expect(cursor, ',"tcbStatus":"', 14);
        packed = uint256(status(cursor, isPart)) << 64 | date << 24;
        uint256 first = advisories.length / 4;
        if (first > type(uint16).max) fail(cursor);
        packed |= first << 8 | _readAdvisories(cursor, advisories);
        expect(cursor, "}", 1);
    }

    /// @notice `"tcbLevels":[…]` of a QE or module identity, from behind the opening bracket to behind
    /// the closing one.
    /// @param levels Gets 11 bytes for each level: isvsvn 2 ‖ what {levelEnd} packs 9.
    /// @return count Number of levels.
    function isvLevels(
        Cursor memory cursor,
        Packer.Buffer memory levels,
        Packer.Buffer memory advisories
    ) internal pure returns (uint256 count) {
        if (take(cursor, "]", 1)) return 0;
        while (true) {
            if (++count > MAXIMUM_LEVELS) fail(cursor);
            expect(cursor, '{"tcb":{"isvsvn":', 17);
            levels.append(integer(cursor, type(uint16).max), 2);
            expect(cursor, "},", 2);
            levels.append(levelEnd(cursor, advisories, true), 9);
            if (take(cursor, "]", 1)) return count;
            expect(cursor, ",", 1);
        }
    }

    function _readAdvisories(Cursor memory cursor, Packer.Buffer memory advisories)
        private
        pure
        returns (uint256 count)
    {
        if (!take(cursor, ',"advisoryIDs":[', 16)) return 0;
        if (take(cursor, "]", 1)) return 0;
        while (true) {
            if (++count > MAXIMUM_ADVISORIES) fail(cursor);
            expect(cursor, '"', 1);
            (uint256 start, uint256 end) = _advisory(cursor);
            // 224 = 256 - 8 * 4
            advisories.append(uint256(keccak256(Bytecraft.slice(start, end))) >> 224, 4);
            if (take(cursor, "]", 1)) return count;
            expect(cursor, ",", 1);
        }
    }

    /// @dev A text like any other, but Intel's names all have the form INTEL-SA-ddddd, which one comparison
    /// finds. Characters 0x30 to 0x3f are no quotes, escapes or control characters.
    function _advisory(Cursor memory cursor) private pure returns (uint256 start, uint256 end) {
        unchecked {
            start = cursor.at;
            // 136 = 256 - 8 * 15 characters with the quote
            uint256 name = Bytecraft.word(start) >> 136;
            if (name & 0xfffffffffffffffffff0f0f0f0f0ff != 0x494e54454c2d53412d303030303022) {
                return text(cursor, MAXIMUM_ADVISORY_LENGTH);
            }
            end = start + 14;
            cursor.at = end + 1;
        }
    }

    /// @dev Bit 7 of every lane that holds `value`; exact, since no lane's sum reaches the next.
    function _lanesEqual(uint256 lanes, uint256 value) private pure returns (uint256) {
        unchecked {
            uint256 difference = lanes ^ (ONES * value);
            return ~((difference & (ONES * 0x7f)) + ONES * 0x7f | difference) & (ONES << 7);
        }
    }

    /// @dev Index of the most significant of the lanes that have bit 7; there is one. A search by halves:
    /// at each step the upper half is empty or it is not.
    function _firstLane(uint256 stops) private pure returns (uint256 index) {
        assembly ("memory-safe") {
            index := shl(4, iszero(shr(128, stops)))
            stops := shl(shl(3, index), stops)
            let step := shl(3, iszero(shr(192, stops)))
            index := or(index, step)
            stops := shl(shl(3, step), stops)
            step := shl(2, iszero(shr(224, stops)))
            index := or(index, step)
            stops := shl(shl(3, step), stops)
            step := shl(1, iszero(shr(240, stops)))
            index := or(index, step)
            stops := shl(shl(3, step), stops)
            index := or(index, iszero(shr(248, stops)))
        }
    }
}
