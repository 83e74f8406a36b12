// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytecraft} from "./Bytecraft.sol";

/// @title TcbRecord
/// @notice Reads TCB info in the form in which {CollateralStore} keeps it.
/// @dev Offsets of the record:
///
/// | offset | bytes | field                                                              |
/// |--------|-------|--------------------------------------------------------------------|
/// | 0      | 30    | signing certificate: serial 20, notBefore 5, notAfter 5            |
/// | 30     | 2     | PCEID                                                              |
/// | 32     | 1     | number of levels, n                                                |
/// | 33     | 1     | number of module identities                                        |
/// | 34     | 40 n  | levels: SGX SVNs 16, TDX SVNs 16, pcesvn 2, status 1, tcbDate 5    |
/// | …      | 64    | first TDX module: mrsigner 48, attributes 8, mask 8                |
/// | …      |       | identities: version 1, module 64, count 1, levels of 8             |
///
/// A level of a module or of the QE: isvsvn 2, status 1, tcbDate 5.
library TcbRecord {
    uint256 private constant LEVELS = 34;
    uint256 private constant LEVEL = 40;
    uint256 private constant MODULE = 64;
    uint256 private constant ISV_LEVEL = 8;

    /// @dev The lower byte of each 16-bit lane.
    uint256 private constant LOW = type(uint256).max / 0xffff * 0xff;
    /// @dev Bit 8 of each 16-bit lane.
    uint256 private constant CARRY = LOW + LOW / 0xff;

    function pceId(bytes memory record) internal pure returns (bytes2) {
        return bytes2(Bytecraft.wordIn(record, 30));
    }

    /// @notice The module of a version: the first module for zero, else the identity of that version.
    /// @return isKnown Whether the TCB info names it.
    /// @return module Offset of its signer and attributes.
    /// @return levels Offset of its levels.
    /// @return count Number of its levels.
    function findModule(
        bytes memory record,
        uint256 version
    ) internal pure returns (bool isKnown, uint256 module, uint256 levels, uint256 count) {
        unchecked {
            // Offsets into a record, at most 24,531, and counts of one byte.
            uint256 counts = uint256(Bytecraft.wordIn(record, 32));
            module = LEVELS + LEVEL * (counts >> 248);
            if (version == 0) return (true, module, 0, 0);
            uint256 identities = (counts >> 240) & 0xff;
            uint256 at = module + MODULE;
            for (uint256 index; index < identities; ++index) {
                count = uint256(Bytecraft.wordIn(record, at + 65)) >> 248;
                if (uint256(Bytecraft.wordIn(record, at)) >> 248 == version) {
                    return (true, at + 1, at + 66, count);
                }
                at += 66 + ISV_LEVEL * count;
            }
            return (false, 0, 0, 0);
        }
    }

    function isModuleSigner(
        bytes memory record,
        uint256 module,
        bytes32 high,
        bytes16 low
    ) internal pure returns (bool) {
        return Bytecraft.wordIn(record, module) == high
            && bytes16(Bytecraft.wordIn(record, module + 32)) == low;
    }

    function moduleAttributes(
        bytes memory record,
        uint256 module
    ) internal pure returns (bytes8 expected, bytes8 mask) {
        return (
            bytes8(Bytecraft.wordIn(record, module + 48)),
            bytes8(Bytecraft.wordIn(record, module + 56))
        );
    }

    /// @notice Status of the first level that a platform reaches in every component.
    /// @param svns SGX component SVNs ‖ TEE TCB SVNs.
    function platformStatus(
        bytes memory record,
        bytes32 svns,
        uint256 pceSvn
    ) internal pure returns (bool isFound, uint8 status) {
        unchecked {
            uint256 count = uint256(Bytecraft.wordIn(record, 32)) >> 248;
            for (uint256 index; index < count; ++index) {
                uint256 at = LEVELS + LEVEL * index;
                uint256 rest = uint256(Bytecraft.wordIn(record, at + 32));
                if (pceSvn < rest >> 240) continue;
                if (_reaches(uint256(svns), uint256(Bytecraft.wordIn(record, at)))) {
                    return (true, uint8(rest >> 232));
                }
            }
            return (false, 0);
        }
    }

    /// @notice Status of the first level whose SVN is not above `isvSvn`.
    function isvStatus(
        bytes memory record,
        uint256 levels,
        uint256 count,
        uint256 isvSvn
    ) internal pure returns (bool isFound, uint8 status) {
        unchecked {
            for (uint256 index; index < count; ++index) {
                uint256 level = uint256(Bytecraft.wordIn(record, levels + ISV_LEVEL * index));
                if (isvSvn >= level >> 240) return (true, uint8(level >> 232));
            }
            return (false, 0);
        }
    }

    /// @dev Whether each of 32 bytes is at least its counterpart. Bytes are spread over 16-bit lanes with
    /// bit 8 set, so that a lane keeps that bit exactly when its difference is not negative.
    function _reaches(uint256 actual, uint256 required) private pure returns (bool) {
        unchecked {
            uint256 even = ((actual & LOW) | CARRY) - (required & LOW);
            uint256 odd = ((actual >> 8 & LOW) | CARRY) - (required >> 8 & LOW);
            return even & odd & CARRY == CARRY;
        }
    }
}
