// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderedTree} from "#contracts/proofs/OrderedTree.sol";
import {Trees} from "./support/Trees.sol";
import {bound, vm} from "./support/Vm.sol";
import {TreeReader} from "./Vectors.t.sol";

contract OrderedTreeTest {
    TreeReader private reader = new TreeReader();

    function _leaves(uint256 count, uint256 seed) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            leaves[i] = keccak256(abi.encode(seed, i));
        }
    }

    function testFuzz_rootFromPath_everyLeafOfEveryTreeIsIncluded(
        uint256 count,
        uint256 index,
        uint256 seed
    ) public view {
        count = bound(count, 1, 70);
        index = bound(index, 0, count - 1);
        bytes32[] memory leaves = _leaves(count, seed);
        bytes32[] memory path = Trees.path(leaves, index);
        vm.assertEq(reader.fromPath(leaves[index], index, count, path), Trees.root(leaves));
    }

    function testFuzz_rootFromPath_anotherIndexLeadsElsewhere(
        uint256 count,
        uint256 index,
        uint256 other,
        uint256 seed
    ) public view {
        count = bound(count, 2, 70);
        index = bound(index, 0, count - 1);
        other = bound(other, 0, count - 1);
        vm.assume(other != index);
        bytes32[] memory leaves = _leaves(count, seed);
        bytes32[] memory path = Trees.path(leaves, index);
        try reader.fromPath(leaves[index], other, count, path) returns (bytes32 root) {
            vm.assertFalse(root == Trees.root(leaves), "an index is not interchangeable");
        } catch {}
    }

    function testFuzz_rootFromPath_alteredNodeLeadsElsewhere(
        uint256 count,
        uint256 index,
        uint256 altered,
        bytes32 change
    ) public view {
        count = bound(count, 2, 70);
        index = bound(index, 0, count - 1);
        vm.assume(change != 0);
        bytes32[] memory leaves = _leaves(count, 1);
        bytes32[] memory path = Trees.path(leaves, index);
        altered = bound(altered, 0, path.length - 1);
        path[altered] ^= change;
        vm.assertFalse(reader.fromPath(leaves[index], index, count, path) == Trees.root(leaves));
    }

    function test_rootFromPath_pathTooShort_reverts() public {
        bytes32[] memory leaves = _leaves(5, 1);
        bytes32[] memory path = new bytes32[](2);
        vm.expectRevert(abi.encodeWithSelector(OrderedTree.OrderedTreeProofTooShort.selector, 2));
        reader.fromPath(leaves[0], 0, 5, path);
    }

    function test_rootFromPath_pathTooLong_reverts() public {
        bytes32[] memory leaves = _leaves(5, 1);
        bytes32[] memory path = new bytes32[](4);
        vm.expectRevert(abi.encodeWithSelector(OrderedTree.OrderedTreeProofTooLong.selector, 4, 3));
        reader.fromPath(leaves[0], 0, 5, path);
    }

    function test_rootFromPath_indexOutsideTheTree_reverts() public {
        vm.expectRevert(
            abi.encodeWithSelector(OrderedTree.OrderedTreeIndexOutOfRange.selector, 5, 5)
        );
        reader.fromPath(bytes32(0), 5, 5, new bytes32[](3));
    }

    function test_rootFromPath_emptyTree_reverts() public {
        vm.expectRevert(
            abi.encodeWithSelector(OrderedTree.OrderedTreeIndexOutOfRange.selector, 0, 0)
        );
        reader.fromPath(bytes32(0), 0, 0, new bytes32[](0));
    }

    function testFuzz_rootFromMultiproof_anySetOfLeavesIsIncluded(
        uint256 count,
        uint256 chosenBits,
        uint256 seed
    ) public view {
        count = bound(count, 1, 40);
        bytes32[] memory leaves = _leaves(count, seed);
        (uint32[] memory indices, bytes32[] memory chosen) = _choose(leaves, chosenBits | 1);
        bytes32[] memory proof = Trees.multiproof(leaves, indices);
        vm.assertEq(reader.fromMultiproof(chosen, indices, count, proof), Trees.root(leaves));
    }

    function testFuzz_rootFromMultiproof_oneForeignLeafLeadsElsewhere(
        uint256 count,
        uint256 chosenBits,
        uint256 foreign
    ) public view {
        count = bound(count, 1, 40);
        bytes32[] memory leaves = _leaves(count, 7);
        (uint32[] memory indices, bytes32[] memory chosen) = _choose(leaves, chosenBits | 1);
        bytes32[] memory proof = Trees.multiproof(leaves, indices);
        chosen[bound(foreign, 0, chosen.length - 1)] = keccak256("foreign");
        vm.assertFalse(reader.fromMultiproof(chosen, indices, count, proof) == Trees.root(leaves));
    }

    function test_rootFromMultiproof_indicesNotAscending_reverts() public {
        bytes32[] memory chosen = _leaves(2, 1);
        uint32[] memory indices = new uint32[](2);
        (indices[0], indices[1]) = (3, 3);
        vm.expectRevert(
            abi.encodeWithSelector(OrderedTree.OrderedTreeIndicesNotAscending.selector, 3, 3)
        );
        reader.fromMultiproof(chosen, indices, 5, new bytes32[](0));
    }

    function test_rootFromMultiproof_noLeaves_reverts() public {
        vm.expectRevert(
            abi.encodeWithSelector(OrderedTree.OrderedTreeLeavesAndIndicesDiffer.selector, 0, 0)
        );
        reader.fromMultiproof(new bytes32[](0), new uint32[](0), 5, new bytes32[](0));
    }

    function test_rootFromMultiproof_leavesAndIndicesDiffer_reverts() public {
        vm.expectRevert(
            abi.encodeWithSelector(OrderedTree.OrderedTreeLeavesAndIndicesDiffer.selector, 2, 1)
        );
        reader.fromMultiproof(_leaves(2, 1), new uint32[](1), 5, new bytes32[](0));
    }

    function test_rootFromMultiproof_indexOutsideTheTree_reverts() public {
        uint32[] memory indices = new uint32[](1);
        indices[0] = 5;
        vm.expectRevert(
            abi.encodeWithSelector(OrderedTree.OrderedTreeIndexOutOfRange.selector, 5, 5)
        );
        reader.fromMultiproof(_leaves(1, 1), indices, 5, new bytes32[](0));
    }

    function test_rootFromMultiproof_proofTooShort_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(OrderedTree.OrderedTreeProofTooShort.selector, 1));
        reader.fromMultiproof(_leaves(1, 1), new uint32[](1), 5, new bytes32[](1));
    }

    function test_rootFromMultiproof_proofTooLong_reverts() public {
        vm.expectRevert(abi.encodeWithSelector(OrderedTree.OrderedTreeProofTooLong.selector, 4, 3));
        reader.fromMultiproof(_leaves(1, 1), new uint32[](1), 5, new bytes32[](4));
    }

    function _choose(bytes32[] memory leaves, uint256 bits)
        private
        pure
        returns (uint32[] memory indices, bytes32[] memory chosen)
    {
        uint256 count = 0;
        for (uint256 i = 0; i < leaves.length; ++i) {
            count += bits >> i & 1;
        }
        indices = new uint32[](count);
        chosen = new bytes32[](count);
        uint256 next = 0;
        for (uint32 i = 0; i < leaves.length; ++i) {
            if (bits >> i & 1 == 0) continue;
            indices[next] = i;
            chosen[next++] = leaves[i];
        }
    }
}
