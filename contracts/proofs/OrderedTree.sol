// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title OrderedTree
/// @notice Inclusion in ordered Keccak trees whose odd last node is promoted unchanged.
/// @dev The shape is that of RFC 6962 without its prefix bytes: every leaf preimage in this project
/// has a length other than 64 bytes, so a leaf can never be read as a node. The number of leaves is
/// part of what is signed, since it decides where nodes are promoted. Twin of
/// `attestation-schemas/merkle/orderedTree.ts`; both read `attestation-schemas/vectors/trees.json`.
library OrderedTree {
    /// @notice A position lies outside the tree.
    error OrderedTreeIndexOutOfRange(uint256 index, uint256 count);
    /// @notice A path or multiproof has fewer nodes than the tree's shape demands.
    error OrderedTreeProofTooShort(uint256 length);
    /// @notice A path or multiproof has more nodes than the tree's shape allows.
    error OrderedTreeProofTooLong(uint256 length, uint256 used);
    /// @notice The positions of a multiproof do not ascend strictly.
    error OrderedTreeIndicesNotAscending(uint256 previous, uint256 index);
    /// @notice A multiproof needs at least one leaf and one position for each.
    error OrderedTreeLeavesAndIndicesDiffer(uint256 leaves, uint256 indices);

    /// @notice The root that a leaf and its path lead to; the caller compares it with one it trusts.
    /// @param leaf Leaf hash.
    /// @param index Position of the leaf.
    /// @param count Number of leaves of the signed tree.
    /// @param path Siblings from leaf to root.
    /// @return node Root of that tree, if the leaf is in it.
    function rootFromPath(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata path)
        internal
        pure
        returns (bytes32 node)
    {
        if (index >= count) revert OrderedTreeIndexOutOfRange(index, count);
        uint256 last = count - 1;
        uint256 used;
        assembly ("memory-safe") {
            let at := path.offset
            node := leaf
            // `last` is the position of the level's last node. Left of it every node has a sibling,
            // which goes to the side that the position's lowest bit leaves free.
            for {} xor(index, last) {} {
                let side := shl(5, and(index, 1))
                mstore(side, node)
                mstore(xor(side, 0x20), calldataload(at))
                node := keccak256(0x00, 0x40)
                at := add(at, 0x20)
                index := shr(1, index)
                last := shr(1, last)
            }
            // At the border it is always the last node: at an odd position it has a sibling to its
            // left, at an even one it is promoted. The root level has position zero alone.
            for {} last {} {
                if and(last, 1) {
                    mstore(0x00, calldataload(at))
                    mstore(0x20, node)
                    node := keccak256(0x00, 0x40)
                    at := add(at, 0x20)
                }
                last := shr(1, last)
            }
            used := shr(5, sub(at, path.offset))
        }
        // A path that is too short has been read beyond its end; what came of it is not looked at.
        if (used > path.length) revert OrderedTreeProofTooShort(path.length);
        if (used < path.length) revert OrderedTreeProofTooLong(path.length, used);
    }

    /// @notice The root that several leaves and their multiproof lead to.
    /// @dev Overwrites `leaves` with inner nodes as it climbs.
    /// @param leaves Leaf hashes in the order of their positions.
    /// @param indices Positions, strictly ascending.
    /// @param count Number of leaves of the signed tree.
    /// @param proof Further nodes, level by level from the leaves up, left to right.
    function rootFromMultiproof(
        bytes32[] memory leaves,
        uint32[] calldata indices,
        uint256 count,
        bytes32[] calldata proof
    ) internal pure returns (bytes32) {
        return _climb(leaves, _positions(leaves.length, indices, count), count - 1, proof);
    }

    /// @notice Inner node over two children.
    function hashPair(bytes32 left, bytes32 right) internal pure returns (bytes32 node) {
        assembly ("memory-safe") {
            mstore(0x00, left)
            mstore(0x20, right)
            node := keccak256(0x00, 0x40)
        }
    }

    function _positions(uint256 leafCount, uint32[] calldata indices, uint256 count)
        private
        pure
        returns (uint256[] memory at)
    {
        if (leafCount == 0 || leafCount != indices.length) {
            revert OrderedTreeLeavesAndIndicesDiffer(leafCount, indices.length);
        }
        at = new uint256[](leafCount);
        for (uint256 i = 0; i < leafCount; ++i) {
            uint256 index = indices[i];
            if (index >= count) revert OrderedTreeIndexOutOfRange(index, count);
            if (i != 0 && index <= at[i - 1]) {
                revert OrderedTreeIndicesNotAscending(at[i - 1], index);
            }
            at[i] = index;
        }
    }

    /// @dev Level by level; `last` is the position of the level's last node.
    function _climb(
        bytes32[] memory nodes,
        uint256[] memory at,
        uint256 last,
        bytes32[] calldata proof
    ) private pure returns (bytes32) {
        uint256 used = 0;
        uint256 known = nodes.length;
        for (; last != 0; last >>= 1) {
            uint256 next = 0;
            for (uint256 i = 0; i < known; ++i) {
                uint256 index = at[i];
                bytes32 node = nodes[i];
                if (index & 1 == 1) {
                    if (used == proof.length) revert OrderedTreeProofTooShort(proof.length);
                    node = hashPair(proof[used++], node);
                } else if (i + 1 < known && at[i + 1] == index + 1) {
                    node = hashPair(node, nodes[++i]);
                } else if (index != last) {
                    if (used == proof.length) revert OrderedTreeProofTooShort(proof.length);
                    node = hashPair(node, proof[used++]);
                }
                at[next] = index >> 1;
                nodes[next++] = node;
            }
            known = next;
        }
        if (used != proof.length) revert OrderedTreeProofTooLong(proof.length, used);
        return nodes[0];
    }
}
