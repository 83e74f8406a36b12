// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Builds ordered trees the plain way, level by level, for tests to check proofs against.
library Trees {
    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        if (leaves.length == 0) return 0;
        bytes32[] memory level = leaves;
        while (level.length > 1) level = _next(level);
        return level[0];
    }

    function path(bytes32[] memory leaves, uint256 index)
        internal
        pure
        returns (bytes32[] memory siblings)
    {
        bytes32[] memory level = leaves;
        siblings = new bytes32[](0);
        while (level.length > 1) {
            uint256 sibling = index ^ 1;
            if (sibling < level.length) siblings = _push(siblings, level[sibling]);
            level = _next(level);
            index >>= 1;
        }
    }

    function multiproof(bytes32[] memory leaves, uint32[] memory indices)
        internal
        pure
        returns (bytes32[] memory proof)
    {
        bytes32[] memory level = leaves;
        proof = new bytes32[](0);
        bool[] memory known = new bool[](leaves.length);
        for (uint256 i = 0; i < indices.length; ++i) {
            known[indices[i]] = true;
        }
        while (level.length > 1) {
            bool[] memory above = new bool[]((level.length + 1) / 2);
            for (uint256 i = 0; i < level.length; i += 2) {
                bool left = known[i];
                bool right = i + 1 < level.length && known[i + 1];
                if (left && !right && i + 1 < level.length) proof = _push(proof, level[i + 1]);
                if (right && !left) proof = _push(proof, level[i]);
                above[i / 2] = left || right;
            }
            level = _next(level);
            known = above;
        }
    }

    function _next(bytes32[] memory level) private pure returns (bytes32[] memory above) {
        above = new bytes32[]((level.length + 1) / 2);
        for (uint256 i = 0; i < above.length; ++i) {
            above[i] = 2 * i + 1 < level.length
                ? keccak256(abi.encodePacked(level[2 * i], level[2 * i + 1]))
                : level[2 * i];
        }
    }

    function _push(bytes32[] memory list, bytes32 item)
        private
        pure
        returns (bytes32[] memory longer)
    {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) {
            longer[i] = list[i];
        }
        longer[list.length] = item;
    }
}
