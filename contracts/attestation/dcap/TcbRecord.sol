// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytecraft} from "./Bytecraft.sol";

/// @title TcbRecord
/// @notice Reads TCB info in the form in which {CollateralStore} keeps it.
/// @dev Offsets of the record:
///
/// | offset | bytes | field                                                                   |
/// |--------|-------|-------------------------------------------------------------------------|
/// | 0      | 30    | signing certificate: serial 20, notBefore 5, notAfter 5                 |
/// | 30     | 2     | PCEID                                                                   |
/// | 32     | 2     | number of levels, n, and of module identities, one byte each            |
/// | 34     | 2     | offset of the advisories                                                |
/// | 36     | 43 n  | levels: SGX SVNs 16, TDX SVNs 16, pcesvn 2, level end 9                 |
/// | …      | 64    | first TDX module: mrsigner 48, attributes 8, mask 8                     |
/// | …      |       | identities: version 1, module 64, number of levels 1, levels of 11      |
/// | …      | 4 m   | tags of advisories: first bytes of Keccak-256 of their names            |
///
/// A level of a module or of the QE: isvsvn 2, level end 9. A level end: status 1, tcbDate 5, index of
/// the first advisory 2, number of advisories 1.
library TcbRecord {
    /// @dev The first level that is reached, and what stands above it.
    struct Match {
        bool isFound;
        uint8 status;
        /// @dev Since when something better exists: tcbDate of the level above, or its own at the top.
        uint40 degradedSince;
        uint256 firstAdvisory;
        uint256 advisoryCount;
    }

    uint256 private constant LEVELS = 36;
    uint256 private constant LEVEL = 43;
    uint256 private constant MODULE = 64;
    uint256 private constant ISV_LEVEL = 11;
    uint256 private constant ADVISORY = 4;

    /// @dev The lower byte of each 16-bit lane.
    uint256 private constant LOW = type(uint256).max / 0xffff * 0xff;
    /// @dev Bit 8 of each 16-bit lane.
    uint256 private constant CARRY = type(uint256).max / 0xffff * 0x100;

    function pceId(bytes memory record) internal pure returns (bytes2) {
        return bytes2(Bytecraft.wordIn(record, 30));
    }

    /// @notice The module of a version: the first module for zero, else the identity of that version.
    /// @return isKnown Whether the TCB info names it.
    /// @return module Offset of its signer and attributes.
    /// @return levels Offset of its levels.
    /// @return count Number of its levels.
    function findModule(bytes memory record, uint256 version)
        internal
        pure
        returns (bool isKnown, uint256 module, uint256 levels, uint256 count)
    {
        unchecked {
            // Offsets into a record, at most 24,531, and counts of one byte.
            uint256 counts = uint256(Bytecraft.wordIn(record, 32));
            module = LEVELS + LEVEL * (counts >> 248);
            if (version == 0) return (true, module, 0, 0);
            uint256 identities = (counts >> 240) & 0xff;
            uint256 at = module + MODULE;
            for (uint256 index; index < identities; ++index) {
                // 65 = version 1 + module 64
                count = uint256(Bytecraft.wordIn(record, at + 65)) >> 248;
                if (uint256(Bytecraft.wordIn(record, at)) >> 248 == version) {
                    return (true, at + 1, at + 66, count);
                }
                at += 66 + ISV_LEVEL * count;
            }
            return (false, 0, 0, 0);
        }
    }

    function isModuleSigner(bytes memory record, uint256 module, bytes32 high, bytes16 low)
        internal
        pure
        returns (bool)
    {
        return Bytecraft.wordIn(record, module) == high
            && bytes16(Bytecraft.wordIn(record, module + 32)) == low;
    }

    function moduleAttributes(bytes memory record, uint256 module)
        internal
        pure
        returns (bytes8 expected, bytes8 mask)
    {
        bytes32 both = Bytecraft.wordIn(record, module + 48);
        return (bytes8(both), bytes8(both << 64));
    }

    /// @notice The first level that a platform reaches in every component.
    /// @param svns SGX component SVNs ‖ TEE TCB SVNs.
    function platformLevel(bytes memory record, bytes32 svns, uint256 pceSvn)
        internal
        pure
        returns (Match memory found)
    {
        unchecked {
            uint256 count = uint256(Bytecraft.wordIn(record, 32)) >> 248;
            for (uint256 index; index < count; ++index) {
                uint256 at = LEVELS + LEVEL * index;
                // pcesvn 2, level end 9
                uint256 rest = uint256(Bytecraft.wordIn(record, at + 32));
                if (pceSvn < rest >> 240) continue;
                if (!_reaches(uint256(svns), uint256(Bytecraft.wordIn(record, at)))) continue;
                uint256 above =
                    index == 0 ? rest << 16 : uint256(Bytecraft.wordIn(record, at - LEVEL + 34));
                return _match(rest << 16, above);
            }
        }
    }

    /// @notice The first level whose SVN is not above `isvSvn`.
    /// @param levels Offset of the levels of a module or of the QE, in the record of either.
    function isvLevel(bytes memory record, uint256 levels, uint256 count, uint256 isvSvn)
        internal
        pure
        returns (Match memory found)
    {
        unchecked {
            for (uint256 index; index < count; ++index) {
                uint256 at = levels + ISV_LEVEL * index;
                uint256 level = uint256(Bytecraft.wordIn(record, at));
                if (isvSvn < level >> 240) continue;
                uint256 above = index == 0
                    ? level << 16
                    : uint256(Bytecraft.wordIn(record, at - ISV_LEVEL + 2));
                return _match(level << 16, above);
            }
        }
    }

    /// @notice Writes the tags of a level's advisories into a list.
    /// @param advisories Offset of the advisories in the record.
    /// @param tags List with room for them from `next` on.
    /// @return Index behind the last one written.
    function copyAdvisories(
        bytes memory record,
        uint256 advisories,
        Match memory level,
        bytes4[] memory tags,
        uint256 next
    ) internal pure returns (uint256) {
        for (uint256 index; index < level.advisoryCount; ++index) {
            uint256 at =
                advisories + ADVISORY * (level.firstAdvisory + index);
            tags[next++] = bytes4(Bytecraft.wordIn(record, at));
        }
        return next;
    }

    /// @notice Offset of the advisories.
    function advisoriesAt(bytes memory record) internal pure returns (uint256) {
        return uint256(Bytecraft.wordIn(record, 34)) >> 240;
    }

    /// @dev Both begin with a level end: status 1, tcbDate 5, first advisory 2, count 1.
    function _match(uint256 level, uint256 above) private pure returns (Match memory) {
        return Match({
            isFound: true,
            status: uint8(level >> 248),
            degradedSince: uint40(above >> 208),
            firstAdvisory: (level >> 192) & 0xffff,
            advisoryCount: (level >> 184) & 0xff
        });
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
