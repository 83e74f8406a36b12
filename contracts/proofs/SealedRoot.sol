// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title SealedRoot
/// @notice Root and number of leaves of a tree in one word, so that a commit writes one slot less.
/// @dev The first 28 bytes of the root, then the count. To pass for another leaf, a path has to meet
/// 224 given bits, as far out of reach as 256; the count fixes the tree's shape, so that an index
/// means what it says.
library SealedRoot {
    /// @notice Root and count as one word.
    function seal(bytes32 root, uint32 count) internal pure returns (bytes32) {
        return bytes32(front(root)) | bytes32(uint256(count));
    }

    /// @notice Root and count of one word.
    function open(bytes32 word) internal pure returns (bytes28 root, uint32 count) {
        // forge-lint: disable-next-line(unsafe-typecast) the count is the word's last four bytes
        count = uint32(uint256(word));
        root = front(word);
    }

    /// @notice What is kept of a root.
    function front(bytes32 root) internal pure returns (bytes28) {
        // forge-lint: disable-next-line(unsafe-typecast) cutting is the purpose; see above
        return bytes28(root);
    }
}
