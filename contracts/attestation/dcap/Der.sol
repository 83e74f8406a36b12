// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytecraft} from "./Bytecraft.sol";

/// @title Der
/// @notice Walks DER in calldata forward only: definite, minimal lengths of at most two octets, low
/// tag numbers, nothing left over. The rules are those of `verifier/x509/der.ts`, one for one.
/// @dev ITU-T X.690 (02/2021) §10. A reader names the error that it raises, because the same bytes
/// mean another refusal in a root, in an authority and in a leaf.
library Der {
    /// @dev `at` and `end` are offsets into the calldata slice that is handed in beside the reader.
    struct Reader {
        uint256 at;
        uint256 end;
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

    /// @notice A reader over the whole slice.
    /// @param refusal Selector of an error with one `uint256`, the offset at which reading stopped.
    function over(bytes calldata der, bytes4 refusal) internal pure returns (Reader memory) {
        return Reader({at: 0, end: der.length, refusal: refusal});
    }

    /// @notice Raises the error of this reader with the offset reached.
    function fail(Reader memory reader) internal pure {
        Bytecraft.revertWith(reader.refusal, reader.at);
    }

    function isDone(Reader memory reader) internal pure returns (bool) {
        return reader.at == reader.end;
    }

    /// @notice Whether the next element has this tag; false at the end.
    function nextIs(
        Reader memory reader,
        bytes calldata der,
        uint256 tag
    ) internal pure returns (bool) {
        return reader.at < reader.end && Bytecraft.byteAt(der, reader.at) == tag;
    }

    /// @notice Contents of the next element, which must have this tag.
    /// @return start Offset of the first octet of the contents.
    /// @return end Offset behind the last one, and of what follows.
    function read(
        Reader memory reader,
        bytes calldata der,
        uint256 tag
    ) internal pure returns (uint256 start, uint256 end) {
        unchecked {
            // No sum here can overflow: every term is an offset into calldata or below 2^16.
            uint256 at = reader.at;
            uint256 limit = reader.end;
            if (at + 2 > limit) fail(reader);
            uint256 head = uint256(Bytecraft.wordAt(der, at));
            if (head >> 248 != tag) fail(reader);
            uint256 length = (head >> 240) & 0xff;
            start = at + 2;
            if (length >= 0x80) {
                if (length == 0x81) {
                    start += 1;
                    length = (head >> 232) & 0xff;
                    if (length < 0x80) fail(reader);
                } else {
                    if (length != 0x82) fail(reader);
                    start += 2;
                    length = (head >> 224) & 0xffff;
                    if (length < 0x100) fail(reader);
                }
            }
            // Covers a length that itself stands behind the limit: then `start` is behind it too.
            end = start + length;
            if (end > limit) fail(reader);
            reader.at = end;
        }
    }

    /// @notice Steps over the next element, which must have this tag.
    /// @return start Offset of its tag.
    /// @return end Offset behind it.
    function readWhole(
        Reader memory reader,
        bytes calldata der,
        uint256 tag
    ) internal pure returns (uint256 start, uint256 end) {
        start = reader.at;
        (, end) = read(reader, der, tag);
    }

    /// @notice Narrows the reader to the contents of the next element.
    /// @return outer To be handed to {leave}.
    function enter(
        Reader memory reader,
        bytes calldata der,
        uint256 tag
    ) internal pure returns (uint256 outer) {
        outer = reader.end;
        (reader.at, reader.end) = read(reader, der, tag);
    }

    /// @notice Widens the reader again; the contents must have been consumed.
    function leave(Reader memory reader, uint256 outer) internal pure {
        if (reader.at != reader.end) fail(reader);
        reader.end = outer;
    }

    /// @notice A non-negative minimal INTEGER or ENUMERATED of at most `maximumBytes`, at most 32.
    /// @return value The number.
    /// @return length Octets of its magnitude.
    function readUnsigned(
        Reader memory reader,
        bytes calldata der,
        uint256 tag,
        uint256 maximumBytes
    ) internal pure returns (uint256 value, uint256 length) {
        (uint256 start, uint256 end) = read(reader, der, tag);
        if (start == end) fail(reader);
        uint256 head = uint256(Bytecraft.wordAt(der, start));
        uint256 first = head >> 248;
        if (first >= 0x80) fail(reader);
        if (first == 0 && end - start > 1) {
            if ((head >> 240) & 0xff < 0x80) fail(reader);
            start += 1;
            head = uint256(Bytecraft.wordAt(der, start));
        }
        length = end - start;
        if (length > maximumBytes) fail(reader);
        value = head >> (256 - 8 * length);
    }

    /// @notice BOOLEAN contents; DER knows 00 and ff only.
    function readBoolean(
        Reader memory reader,
        bytes calldata der
    ) internal pure returns (bool value) {
        (uint256 start, uint256 end) = read(reader, der, BOOLEAN);
        if (end - start != 1) fail(reader);
        uint256 octet = Bytecraft.byteAt(der, start);
        if (octet != 0 && octet != 0xff) fail(reader);
        return octet == 0xff;
    }

    /// @notice UTCTime or GeneralizedTime in the one form that RFC 5280 §4.1.2.5 allows.
    /// @return unixSeconds Whole seconds since 1970; zero for what lies before.
    function readTime(
        Reader memory reader,
        bytes calldata der
    ) internal pure returns (uint40 unixSeconds) {
        bool isUtc = nextIs(reader, der, UTC_TIME);
        (uint256 start, uint256 end) = read(reader, der, isUtc ? UTC_TIME : GENERALIZED_TIME);
        // 13 = YYMMDDHHMMSS 12 + Z 1; 15 with a year of four digits.
        if (end - start != (isUtc ? 13 : 15)) fail(reader);
        uint256 text = uint256(Bytecraft.wordAt(der, start));
        // A year of two digits gets its century, so that one reader serves both forms.
        if (isUtc) {
            uint256 century = (text >> 248) < 0x35 ? 0x3230 : 0x3139;
            text = (century << 240) | (text >> 16);
        }
        if ((text >> 136) & 0xff != 0x5a) fail(reader);
        (bool exists, uint40 seconds_) = Bytecraft.civilTime(
            Bytecraft.digits(text, 0, 4),
            Bytecraft.digits(text, 4, 2),
            Bytecraft.digits(text, 6, 2),
            Bytecraft.digits(text, 8, 2),
            Bytecraft.digits(text, 10, 2),
            Bytecraft.digits(text, 12, 2)
        );
        if (!exists) fail(reader);
        return seconds_;
    }
}
