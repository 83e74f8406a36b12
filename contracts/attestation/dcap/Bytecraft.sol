// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Bytecraft
/// @notice The few operations on raw bytes and on times that DER, Intel's JSON and quotes share.
/// @dev The assembly of this folder stands here and in {Der-read}. A certificate is a hundred and fifty
/// elements and TCB info two hundred fields: with Solidity's slices they cost three to six times as
/// much (figures in docs/onchain-attestation.md).
///
/// A position is an absolute offset into calldata, so that one number says where a reader stands.
/// Calldata reads as zero behind its end, but behind one argument may stand another: a reader must not
/// use what it found beyond its own end.
library Bytecraft {
    /// @notice The position at which an argument begins.
    function position(bytes calldata data) internal pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := data.offset
        }
    }

    /// @notice The bytes between two positions.
    function slice(uint256 start, uint256 end) internal pure returns (bytes calldata data) {
        assembly ("memory-safe") {
            data.offset := start
            data.length := sub(end, start)
        }
    }

    /// @notice The 32 bytes from a position on.
    function word(uint256 at) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := calldataload(at)
        }
    }

    /// @notice The byte at a position.
    function octet(uint256 at) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := byte(0, calldataload(at))
        }
    }

    /// @notice Little-endian 16-bit integer at a position.
    function uint16At(uint256 at) internal pure returns (uint256) {
        uint256 value = word(at);
        return ((value >> 240) & 0xff) << 8 | (value >> 248);
    }

    /// @notice Little-endian 32-bit integer at a position.
    function uint32At(uint256 at) internal pure returns (uint256) {
        return uint16At(at) | uint16At(at + 2) << 16;
    }

    /// @notice The 32 bytes of `data` from `at` on; callers use only those inside `data`.
    function wordIn(bytes memory data, uint256 at) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := mload(add(add(data, 0x20), at))
        }
    }

    /// @notice The 20-byte serial number at `at`.
    function serialIn(bytes memory data, uint256 at) internal pure returns (uint256) {
        return uint256(wordIn(data, at)) >> 96;
    }

    /// @notice Whether a serial number is among those of 20 bytes each that fill `data` from `at` on.
    function hasSerial(bytes memory data, uint256 at, uint256 serial)
        internal
        pure
        returns (bool isFound)
    {
        // Every registration walks the whole list: four serials a turn, without a branch in between.
        assembly ("memory-safe") {
            let next := add(add(data, 0x20), at)
            let end := add(add(data, 0x20), mload(data))
            for { let last := sub(end, 79) } lt(next, last) { next := add(next, 80) } {
                let hits := eq(shr(96, mload(next)), serial)
                hits := or(hits, eq(shr(96, mload(add(next, 20))), serial))
                hits := or(hits, eq(shr(96, mload(add(next, 40))), serial))
                hits := or(hits, eq(shr(96, mload(add(next, 60))), serial))
                isFound := or(isFound, hits)
            }
            for {} lt(next, end) { next := add(next, 20) } {
                isFound := or(isFound, eq(shr(96, mload(next)), serial))
            }
        }
    }

    /// @notice Writes a word at `at`; all 32 bytes must lie inside `data`.
    function put(bytes memory data, uint256 at, bytes32 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(data, 0x20), at), value)
        }
    }

    /// @notice Shortens an array in place; `length` must not exceed what it has.
    function truncate(bytes memory data, uint256 length) internal pure {
        assembly ("memory-safe") {
            mstore(data, length)
        }
    }

    /// @notice Reverts with an error of one word that the caller chose by its selector.
    function revertWith(bytes4 selector, uint256 argument) internal pure {
        assembly ("memory-safe") {
            mstore(0x00, selector)
            mstore(0x04, argument)
            revert(0x00, 0x24)
        }
    }

    /// @notice Whole seconds since 1970-01-01T00:00:00Z of a UTC civil time.
    /// @param text YYYYMMDDHHMMSS in its 14 most significant bytes.
    /// @return exists Whether these are digits that name a second; leap seconds do not count as one.
    /// @return unixSeconds Zero for what lies before 1970.
    function civilTime(uint256 text) internal pure returns (bool exists, uint40 unixSeconds) {
        unchecked {
            // 144 = 256 - 8 * 14. A digit is 0x30 to 0x39: upper half 3, and still 3 after adding 6.
            uint256 characters = text >> 144;
            uint256 upper = _LANES_14 * 0xf0;
            uint256 threes = _LANES_14 * 0x30;
            if (characters & upper != threes) return (false, 0);
            if ((characters + _LANES_14 * 0x06) & upper != threes) return (false, 0);
            // Seven pairs of digits in lanes of 16 bits; 99 does not leave a lane.
            uint256 tens = (characters >> 8) & (_LANES_7 * 0x0f);
            uint256 pairs = tens * 10 + (characters & (_LANES_7 * 0x0f));
            uint256 year = (pairs >> 96) * 100 + ((pairs >> 80) & 0xff);
            uint256 month = (pairs >> 64) & 0xff;
            uint256 day = (pairs >> 48) & 0xff;
            uint256 hour = (pairs >> 32) & 0xff;
            uint256 minute = (pairs >> 16) & 0xff;
            uint256 second = pairs & 0xff;
            if (month == 0 || month > 12 || day == 0 || day > _monthLength(year, month)) {
                return (false, 0);
            }
            if (hour > 23 || minute > 59 || second > 59) return (false, 0);
            if (year < 1970) return (true, 0);
            // Days from civil, with the year beginning in March so that the leap day comes last. Years
            // are at most 9999, so nothing here reaches 2^40.
            if (month <= 2) {
                year -= 1;
                month += 12;
            }
            uint256 yearOfEra = year % 400;
            uint256 daysOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100
                + (153 * (month - 3) + 2) / 5 + day - 1;
            // 146097 days in 400 years; 719468 from 0000-03-01 to 1970-01-01.
            uint256 daysSince1970 = (year / 400) * 146_097 + daysOfEra - 719_468;
            return (true, uint40(daysSince1970 * 86_400 + hour * 3600 + minute * 60 + second));
        }
    }

    /// @dev The byte 01 in each of 14 lanes of 8 bits.
    uint256 private constant _LANES_14 = 0x0101010101010101010101010101;
    /// @dev The number 1 in each of 7 lanes of 16 bits.
    uint256 private constant _LANES_7 = 0x0001000100010001000100010001;

    function _monthLength(uint256 year, uint256 month) private pure returns (uint256) {
        if (month == 2) {
            bool isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            return isLeap ? 29 : 28;
        }
        return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
    }
}
