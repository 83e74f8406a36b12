// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IEnclaveRegistry} from "../attestation/IEnclaveRegistry.sol";
import {IProofRegistry} from "./IProofRegistry.sol";
import {IQuorumRegistry} from "./IQuorumRegistry.sol";
import {OrderedTree} from "./OrderedTree.sol";
import {ReportLib} from "./ReportLib.sol";
import {Report} from "./Types.sol";

/// @title QuorumRegistry
/// @notice For agreements that one platform's word is not enough for. Nobody owns it.
contract QuorumRegistry is IQuorumRegistry {
    /// @notice Who is attested.
    IEnclaveRegistry public immutable ENCLAVES;
    /// @notice Which batches are believed.
    IProofRegistry public immutable PROOFS;

    /// @inheritdoc IQuorumRegistry
    mapping(bytes32 quorumId => uint256) public thresholdOf;
    /// @inheritdoc IQuorumRegistry
    mapping(bytes32 quorumId => mapping(bytes32 stream => bool)) public isMember;

    /// @param enclaves Who is attested.
    /// @param proofs Which batches are believed.
    constructor(IEnclaveRegistry enclaves, IProofRegistry proofs) {
        ENCLAVES = enclaves;
        PROOFS = proofs;
    }

    /// @inheritdoc IQuorumRegistry
    function found(bytes32[] calldata streams, uint256 threshold)
        external
        returns (bytes32 quorumId)
    {
        if (threshold == 0 || threshold > streams.length) {
            revert QuorumRegistryBadThreshold(threshold, streams.length);
        }
        quorumId = keccak256(abi.encode(streams, threshold));
        thresholdOf[quorumId] = threshold;
        bytes32 previous = 0;
        for (uint256 i = 0; i < streams.length; ++i) {
            // A stream of zero is refused too: it does not ascend from the beginning.
            if (streams[i] <= previous) revert QuorumRegistryNotAscending(previous, streams[i]);
            previous = streams[i];
            isMember[quorumId][previous] = true;
        }
        emit QuorumFounded(quorumId, threshold, streams);
    }

    /// @inheritdoc IQuorumRegistry
    function verifyReport(
        bytes32 quorumId,
        Report calldata report,
        uint32 index,
        bytes32[] calldata path,
        SignedBatch[] calldata batches
    ) external view returns (bytes32 leaf) {
        (bytes32 root, uint32 count) = _agreement(quorumId, batches);
        leaf = ReportLib.leafOf(report);
        bytes32 computed = OrderedTree.rootFromPath(leaf, index, count, path);
        if (computed != root) revert QuorumRegistryNotIncluded(leaf, computed, root);
    }

    /// @dev Root and count that all batches share.
    function _agreement(bytes32 quorumId, SignedBatch[] calldata batches)
        private
        view
        returns (bytes32 root, uint32 count)
    {
        uint256 threshold = thresholdOf[quorumId];
        if (threshold == 0) revert QuorumRegistryUnknown(quorumId);
        if (batches.length < threshold) revert QuorumRegistryTooFew(batches.length, threshold);
        root = batches[0].batch.reportRoot;
        count = batches[0].batch.reportCount;
        bytes32 previous = 0;
        bytes16[] memory platforms = new bytes16[](batches.length);
        for (uint256 i = 0; i < batches.length; ++i) {
            bytes32 stream = batches[i].batch.stream;
            if (stream <= previous) revert QuorumRegistryNotAscending(previous, stream);
            previous = stream;
            if (!isMember[quorumId][stream]) revert QuorumRegistryNotMember(quorumId, stream);
            if (batches[i].batch.reportRoot != root || batches[i].batch.reportCount != count) {
                revert QuorumRegistryRootsDiffer(root, batches[i].batch.reportRoot);
            }
            platforms[i] = _platformOf(batches[i]);
            for (uint256 k = 0; k < i; ++k) {
                if (platforms[k] == platforms[i]) {
                    revert QuorumRegistrySamePlatform(platforms[i]);
                }
            }
        }
    }

    function _platformOf(SignedBatch calldata signed) private view returns (bytes16 ppid) {
        (, address signer) = PROOFS.verifySignedBatch(signed.batch, signed.signature);
        (,, ppid,,) = ENCLAVES.signerRecord(signer);
    }
}
