// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProofRegistry} from "./IProofRegistry.sol";
import {OrderedTree} from "./OrderedTree.sol";
import {SealedRoot} from "./SealedRoot.sol";
import {TypedData} from "./TypedData.sol";
import {Inclusion, MultiInclusion, REPORT_VERSION, Report} from "./Types.sol";

/// @title ReportLib
/// @notice What a consumer needs of a report: is it anchored, and for whom is it.
/// @dev The path is opened in the consumer's own frame and only the root is asked for, so that a
/// report is not copied into another call.
library ReportLib {
    /// @notice The report has a layout that is unknown here; nothing is guessed about it.
    error ReportLibVersionUnknown(uint16 version);

    /// @notice The class of a right to a carbon credit, for `exclusiveTo`.
    bytes32 internal constant RIGHT_CARBON = keccak256("plumbline/right/1/carbon");

    /// @notice Whether an anchored batch holds a report; reverts unless it does.
    /// @param proofs Registry of anchored batches.
    /// @param report The report.
    /// @param inclusion Where it stands.
    /// @return leaf The report's leaf: its name, and what a nullifier is made of.
    function verify(IProofRegistry proofs, Report calldata report, Inclusion calldata inclusion)
        internal
        view
        returns (bytes32 leaf)
    {
        leaf = leafOf(report);
        (bytes28 root, uint32 count) = proofs.anchoredRoot(inclusion.stream, inclusion.sequence);
        bytes28 computed = SealedRoot.front(
            OrderedTree.rootFromPath(leaf, inclusion.index, count, inclusion.path)
        );
        if (computed != root) {
            revert IProofRegistry.ProofRegistryNotIncluded(leaf, computed, root);
        }
    }

    /// @notice Whether an anchored batch holds several reports; reverts unless it holds them all.
    /// @param proofs Registry of anchored batches.
    /// @param reports The reports in the order of their positions.
    /// @param inclusion Where they stand.
    /// @return leaves Their leaves.
    function verifyMany(
        IProofRegistry proofs,
        Report[] calldata reports,
        MultiInclusion calldata inclusion
    ) internal view returns (bytes32[] memory leaves) {
        (bytes28 root, uint32 count) = proofs.anchoredRoot(inclusion.stream, inclusion.sequence);
        leaves = new bytes32[](reports.length);
        bytes32[] memory nodes = new bytes32[](reports.length);
        for (uint256 i = 0; i < reports.length; ++i) {
            leaves[i] = nodes[i] = leafOf(reports[i]);
        }
        bytes28 computed = SealedRoot.front(
            OrderedTree.rootFromMultiproof(nodes, inclusion.indices, count, inclusion.proof)
        );
        if (computed != root) {
            revert IProofRegistry.ProofRegistryNotIncluded(leaves[0], computed, root);
        }
    }

    /// @notice A report's leaf, if its layout is the one that is known here.
    /// @param report The report.
    function leafOf(Report calldata report) internal pure returns (bytes32) {
        if (report.version != REPORT_VERSION) revert ReportLibVersionUnknown(report.version);
        return TypedData.hash(report);
    }

    /// @notice `exclusiveTo` of a right that can be used once, by the calling contract, on this chain.
    /// @param right Class of the right.
    function rightHere(bytes32 right) internal view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), right));
    }
}
