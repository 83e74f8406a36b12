// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytecraft} from "./Bytecraft.sol";

/// @title Packer
/// @notice Appends short values to bytes of a known greatest length, without copying them each time.
library Packer {
    struct Buffer {
        bytes data;
        uint256 length;
    }

    /// @dev A value is written as a whole word, of which 31 bytes may stand behind the last one.
    uint256 private constant SLACK = 32;

    /// @param capacity Bytes that will be appended at most.
    function create(uint256 capacity) internal pure returns (Buffer memory) {
        return Buffer({data: new bytes(capacity + SLACK), length: 0});
    }

    /// @notice Appends the lower `count` bytes of a value, 1 to 32 of them.
    function append(Buffer memory buffer, uint256 value, uint256 count) internal pure {
        unchecked {
            // Lengths of memory, far below 2^256.
            uint256 length = buffer.length;
            assert(length + SLACK <= buffer.data.length);
            Bytecraft.put(buffer.data, length, bytes32(value << (256 - 8 * count)));
            buffer.length = length + count;
        }
    }

    /// @notice What was appended; the buffer is used up.
    function finish(Buffer memory buffer) internal pure returns (bytes memory data) {
        data = buffer.data;
        Bytecraft.truncate(data, buffer.length);
    }
}
