// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {vm} from "./Vm.sol";

/// @notice What a trust domain measures, as little of it as tests vary.
struct Measurements {
    bytes1 firstAttribute;
    bytes32 mrTd;
    bytes32 mrConfigId;
    bytes32 rtmr;
}

/// @notice TDX v4 quotes signed by a platform of the tests' own.
library Quotes {
    uint256 internal constant PLATFORM_KEY = 0xA77E57;

    function platformKey() internal pure returns (bytes32 x, bytes32 y) {
        (uint256 px, uint256 py) = vm.publicKeyP256(PLATFORM_KEY);
        return (bytes32(px), bytes32(py));
    }

    function honest() internal pure returns (Measurements memory) {
        return Measurements({
            firstAttribute: 0,
            mrTd: keccak256("mrtd"),
            mrConfigId: keccak256("compose"),
            rtmr: keccak256("rtmr")
        });
    }

    function mint(Measurements memory measured, bytes32 high, bytes32 low)
        internal
        pure
        returns (bytes memory)
    {
        return sign(abi.encodePacked(header(), body(measured, high, low)), PLATFORM_KEY);
    }

    /// @dev Version 4, attestation key type 2, TEE type 0x81, all little endian.
    function header() internal pure returns (bytes memory) {
        return abi.encodePacked(hex"0400020081000000", new bytes(40));
    }

    function body(Measurements memory measured, bytes32 high, bytes32 low)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(
            new bytes(120),
            measured.firstAttribute,
            new bytes(7),
            hex"e702060000000000",
            measured.mrTd,
            new bytes(16),
            measured.mrConfigId,
            new bytes(112),
            _registers(measured.rtmr),
            high,
            low
        );
    }

    /// @dev RTMR0 to RTMR3, 48 bytes each.
    function _registers(bytes32 rtmr) private pure returns (bytes memory) {
        return abi.encodePacked(
            rtmr, new bytes(16), rtmr, new bytes(16), rtmr, new bytes(16), new bytes(48)
        );
    }

    function sign(bytes memory signedPart, uint256 key) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s) = vm.signP256(key, sha256(signedPart));
        (uint256 x, uint256 y) = vm.publicKeyP256(key);
        return abi.encodePacked(signedPart, uint32(0x80000000), r, s, x, y);
    }

    function imageId(Measurements memory measured) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                measured.mrTd,
                new bytes(16),
                measured.rtmr,
                new bytes(16),
                measured.rtmr,
                new bytes(16),
                measured.rtmr,
                new bytes(16),
                measured.mrConfigId,
                new bytes(16),
                measured.firstAttribute,
                new bytes(7),
                hex"e702060000000000"
            )
        );
    }
}
