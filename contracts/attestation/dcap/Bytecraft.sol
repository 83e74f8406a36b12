// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Bytecraft
/// @notice The few operations on raw bytes and on times that DER, Intel's JSON and quotes share.
/// @dev All assembly of this folder stands here. It exists because a certificate is some two hundred
/// elements and Solidity's slices cost five times a plain load (measured in docs/onchain-attestation.md).
library Bytecraft {
    /// @dev What {digits} answers for characters that are not digits: no field of a time is as large.
    uint256 internal constant NOT_A_NUMBER = type(uint256).max;

    /// @notice The 32 bytes from `at` on.
    /// @dev Calldata reads as zero behind its end, but behind the end of `data` may stand another
    /// argument: callers use only the bytes that they know to lie inside `data`.
    function wordAt(bytes calldata data, uint256 at) internal pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := calldataload(add(data.offset, at))
        }
    }

    /// @notice The byte at `at`, under the same condition as {wordAt}.
    function byteAt(bytes calldata data, uint256 at) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := byte(0, calldataload(add(data.offset, at)))
        }
    }

    /// @notice The 32 bytes of `data` from `at` on; callers use only those inside `data`.
    function wordIn(bytes memory data, uint256 at) internal pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 0x20), at))
        }
    }

    /// @notice The 20-byte serial number at `at`.
    function serialIn(bytes memory data, uint256 at) internal pure returns (uint256) {
        return uint256(wordIn(data, at)) >> 96;
    }

    /// @notice Writes a serial number as the 20 bytes of entry `index`; a whole word must fit there.
    function putSerial(bytes memory serials, uint256 index, uint256 serial) internal pure {
        assembly ("memory-safe") {
            // 96 = 256 - 8 * 20
            mstore(add(add(serials, 0x20), mul(index, 20)), shl(96, serial))
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

    /// @notice Keccak-256 of a part of calldata.
    function keccak(
        bytes calldata data,
        uint256 start,
        uint256 end
    ) internal pure returns (bytes32) {
        return keccak256(data[start:end]);
    }

    /// @notice Little-endian 16-bit integer.
    function uint16At(bytes calldata data, uint256 at) internal pure returns (uint256) {
        uint256 word = uint256(wordAt(data, at));
        return ((word >> 240) & 0xff) << 8 | (word >> 248);
    }

    /// @notice Little-endian 32-bit integer.
    function uint32At(bytes calldata data, uint256 at) internal pure returns (uint256) {
        uint256 word = uint256(wordAt(data, at));
        return
            ((word >> 224) & 0xff) << 24 | ((word >> 232) & 0xff) << 16
                | ((word >> 240) & 0xff) << 8 | (word >> 248);
    }

    /// @notice Decimal value of `count` characters of a word, or {NOT_A_NUMBER}.
    /// @param start Index of the first character, 0 being the most significant byte.
    function digits(
        uint256 text,
        uint256 start,
        uint256 count
    ) internal pure returns (uint256 value) {
        unchecked {
            // At most 32 decimal digits, which is below 2^107.
            for (uint256 index = start; index < start + count; ++index) {
                uint256 digit = ((text >> (248 - 8 * index)) & 0xff) - 0x30;
                if (digit > 9) return NOT_A_NUMBER;
                value = value * 10 + digit;
            }
        }
    }

    /// @notice Whole seconds since 1970-01-01T00:00:00Z of a UTC civil time.
    /// @return exists Whether the fields name a second; leap seconds do not count as one.
    /// @return unixSeconds Zero for what lies before 1970.
    function civilTime(
        uint256 year,
        uint256 month,
        uint256 day,
        uint256 hour,
        uint256 minute,
        uint256 second
    ) internal pure returns (bool exists, uint40 unixSeconds) {
        if (year > 9999 || month == 0 || month > 12 || day == 0) return (false, 0);
        if (hour > 23 || minute > 59 || second > 59) return (false, 0);
        if (day > _monthLength(year, month)) return (false, 0);
        if (year < 1970) return (true, 0);
        unchecked {
            // Days from civil, with the year beginning in March so that the leap day comes last. Years
            // are at most 9999, so no product reaches 2^40.
            uint256 shifted = month <= 2 ? year - 1 : year;
            uint256 yearOfEra = shifted % 400;
            uint256 dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
            uint256 dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear;
            // 146097 days in 400 years; 719468 from 0000-03-01 to 1970-01-01.
            uint256 daysSince1970 = (shifted / 400) * 146_097 + dayOfEra - 719_468;
            return (
                true,
                uint40(daysSince1970 * 86_400 + hour * 3600 + minute * 60 + second)
            );
        }
    }

    function _monthLength(uint256 year, uint256 month) private pure returns (uint256) {
        if (month == 2) {
            bool isLeap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            return isLeap ? 29 : 28;
        }
        return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
    }
}
