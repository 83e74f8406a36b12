// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytecraft} from "./Bytecraft.sol";

/// @title QeRecord
/// @notice Reads a QE identity in the form in which {CollateralStore} keeps it.
/// @dev Offsets of the record:
///
/// | offset | bytes | field                                                   |
/// |--------|-------|---------------------------------------------------------|
/// | 0      | 30    | signing certificate: serial 20, notBefore 5, notAfter 5 |
/// | 30     | 32    | mrsigner                                                |
/// | 62     | 32    | attributes 16, attributesMask 16                        |
/// | 94     | 8     | miscselect 4, miscselectMask 4                          |
/// | 102    | 2     | isvprodid                                               |
/// | 104    | 1     | number of levels, n                                     |
/// | 105    | 11 n  | levels: isvsvn 2, level end 9, see {TcbRecord}          |
/// | …      | 4 m   | tags of advisories, see {TcbRecord}                     |
library QeRecord {
    function mrSigner(bytes memory record) internal pure returns (bytes32) {
        return Bytecraft.wordIn(record, 30);
    }

    function attributes(bytes memory record)
        internal
        pure
        returns (bytes16 expected, bytes16 mask)
    {
        bytes32 word = Bytecraft.wordIn(record, 62);
        return (bytes16(word), bytes16(word << 128));
    }

    function miscSelect(bytes memory record) internal pure returns (bytes4 expected, bytes4 mask) {
        bytes32 word = Bytecraft.wordIn(record, 94);
        return (bytes4(word), bytes4(word << 32));
    }

    function isvProdId(bytes memory record) internal pure returns (uint256) {
        return uint256(Bytecraft.wordIn(record, 102)) >> 240;
    }

    /// @return start Offset of the levels, as {TcbRecord-isvLevel} takes it.
    /// @return count Number of levels.
    function levels(bytes memory record) internal pure returns (uint256 start, uint256 count) {
        return (105, uint256(Bytecraft.wordIn(record, 104)) >> 248);
    }

    /// @notice Offset of the advisories.
    function advisoriesAt(bytes memory record) internal pure returns (uint256) {
        (uint256 start, uint256 count) = levels(record);
        return start + 11 * count;
    }
}
