// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytecraft} from "./Bytecraft.sol";

/// @title Der
/// @notice Walks DER in calldata forward only: definite, minimal lengths of at most two octets, low
/// tag numbers, nothing left over. The rules are those of `verifier/x509/der.ts`, one for one.
/// @dev ITU-T X.690 (02/2021) §10. A reader names the error that it raises, because the same bytes
/// mean another refusal in a root, in an authority and in a leaf.
library Der {
    /// @dev Positions as {Bytecraft} has them. {read} knows the order of the first two fields.
    struct Reader {
        uint256 at;
        uint256 end;
        /// @dev Where the item begins: offsets in errors count from here.
        uint256 origin;
        bytes4 refusal;
    }

    uint256 internal constant BOOLEAN = 0x01;
    uint256 internal constant INTEGER = 0x02;
    uint256 internal constant BIT_STRING = 0x03;
    uint256 internal constant OCTET_STRING = 0x04;
    uint256 internal constant OBJECT_IDENTIFIER = 0x06;
    uint256 internal constant ENUMERATED = 0x0a;
    uint256 internal constant UTF8_STRING = 0x0c;
    uint256 internal constant PRINTABLE_STRING = 0x13;
    uint256 internal constant UTC_TIME = 0x17;
    uint256 internal constant GENERALIZED_TIME = 0x18;
    uint256 internal constant SEQUENCE = 0x30;
    uint256 internal constant SET = 0x31;

    /// @notice A reader over an argument.
    /// @param refusal Selector of an error with one `uint256`, the offset at which reading stopped.
    function over(bytes calldata der, bytes4 refusal) internal pure returns (Reader memory) {
        uint256 origin = Bytecraft.position(der);
        return Reader({at: origin, end: origin + der.length, origin: origin, refusal: refusal});
    }

    /// @notice Raises the error of this reader with the offset reached.
    function fail(Reader memory reader) internal pure {
        Bytecraft.revertWith(reader.refusal, reader.at - reader.origin);
    }

    function isDone(Reader memory reader) internal pure returns (bool) {
        return reader.at == reader.end;
    }

    /// @notice Whether the next element has this tag; false at the end.
    function nextIs(Reader memory reader, uint256 tag) internal pure returns (bool) {
        return reader.at < reader.end && Bytecraft.octet(reader.at) == tag;
    }

    /// @notice Contents of the next element, which must have this tag.
    /// @return start Position of the first octet of the contents.
    /// @return end Position behind the last one, and of what follows.
    function read(Reader memory reader, uint256 tag)
        internal
        pure
        returns (uint256 start, uint256 end)
    {
        uint256 wrong;
        // Nothing overflows: positions lie in calldata, lengths are below 2^16. The end is at least two
        // behind the start, so to compare it with the limit covers an element that is cut in its head.
        assembly ("memory-safe") {
            let at := mload(reader)
            let head := calldataload(at)
            let length := byte(1, head)
            start := add(at, 2)
            wrong := xor(byte(0, head), tag)
            if gt(length, 0x7f) {
                switch length
                case 0x81 {
                    start := add(at, 3)
                    length := byte(2, head)
                    wrong := or(wrong, lt(length, 0x80))
                }
                case 0x82 {
                    start := add(at, 4)
                    length := and(shr(224, head), 0xffff)
                    wrong := or(wrong, lt(length, 0x100))
                }
                default { wrong := 1 }
            }
            end := add(start, length)
            wrong := or(wrong, gt(end, mload(add(reader, 0x20))))
            if iszero(wrong) { mstore(reader, end) }
        }
        if (wrong != 0) fail(reader);
    }

    /// @notice Steps over exactly these octets, for elements that have one encoding only.
    /// @param octets The octets as a number.
    /// @param length Their number, at most 32.
    function expect(Reader memory reader, uint256 octets, uint256 length) internal pure {
        uint256 at = reader.at;
        uint256 end = at + length;
        bool isExpected = end <= reader.end && Bytecraft.word(at) >> (256 - 8 * length) == octets;
        if (!isExpected) fail(reader);
        reader.at = end;
    }

    /// @notice Steps over the next element, which must have this tag.
    /// @return start Position of its tag.
    /// @return end Position behind it.
    function readWhole(Reader memory reader, uint256 tag)
        internal
        pure
        returns (uint256 start, uint256 end)
    {
        start = reader.at;
        (, end) = read(reader, tag);
    }

    /// @notice Narrows the reader to the contents of the next element.
    /// @return outer To be handed to {leave}.
    function enter(Reader memory reader, uint256 tag) internal pure returns (uint256 outer) {
        outer = reader.end;
        (reader.at, reader.end) = read(reader, tag);
    }

    /// @notice Widens the reader again; the contents must have been consumed.
    function leave(Reader memory reader, uint256 outer) internal pure {
        if (reader.at != reader.end) fail(reader);
        reader.end = outer;
    }

    /// @notice A non-negative minimal INTEGER or ENUMERATED of at most `maximumBytes`, at most 32.
    function readUnsigned(Reader memory reader, uint256 tag, uint256 maximumBytes)
        internal
        pure
        returns (uint256 value)
    {
        unchecked {
            // The end is never before the start.
            (uint256 start, uint256 end) = read(reader, tag);
            if (start == end) fail(reader);
            value = Bytecraft.word(start);
            uint256 first = value >> 248;
            if (first >= 0x80) fail(reader);
            if (first == 0 && end - start > 1) {
                if ((value >> 240) & 0xff < 0x80) fail(reader);
                start += 1;
                value = Bytecraft.word(start);
            }
            uint256 length = end - start;
            if (length > maximumBytes) fail(reader);
            value >>= 256 - 8 * length;
        }
    }

    /// @notice BOOLEAN contents; DER knows 00 and ff only.
    function readBoolean(Reader memory reader) internal pure returns (bool value) {
        (uint256 start, uint256 end) = read(reader, BOOLEAN);
        if (end - start != 1) fail(reader);
        uint256 octet = Bytecraft.octet(start);
        if (octet != 0 && octet != 0xff) fail(reader);
        return octet == 0xff;
    }

    /// @notice UTCTime or GeneralizedTime in the one form that RFC 5280 §4.1.2.5 allows.
    /// @return unixSeconds Whole seconds since 1970; zero for what lies before.
    function readTime(Reader memory reader) internal pure returns (uint40 unixSeconds) {
        bool isUtc = nextIs(reader, UTC_TIME);
        (uint256 start, uint256 end) = read(reader, isUtc ? UTC_TIME : GENERALIZED_TIME);
        // 13 = YYMMDDHHMMSS 12 + Z 1; 15 with a year of four digits.
        if (end - start != (isUtc ? 13 : 15)) fail(reader);
        uint256 text = Bytecraft.word(start);
        // A year of two digits gets its century, so that one reader serves both forms.
        if (isUtc) {
            uint256 century = (text >> 248) < 0x35 ? 0x3230 : 0x3139;
            text = (century << 240) | (text >> 16);
        }
        if ((text >> 136) & 0xff != 0x5a) fail(reader);
        bool exists;
        (exists, unixSeconds) = Bytecraft.civilTime(text);
        if (!exists) fail(reader);
    }
}
