// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Batch, Report} from "./Types.sol";

/// @title IQuorumRegistry
/// @notice Reports that k of n independent enclaves signed: each runs its own stream on a platform of
/// its own and, fed alike, arrives at the same report root.
/// @dev ECDSA signatures today. An aggregate signature would be another registry behind the same
/// {verifyReport}, with one signature in place of {SignedBatch}es.
interface IQuorumRegistry {
    /// @notice One enclave's batch and signature.
    struct SignedBatch {
        Batch batch;
        bytes signature;
    }

    /// @notice A quorum was founded.
    /// @param quorumId Its name, which follows from its content.
    /// @param threshold How many streams have to agree.
    /// @param streams The streams, ascending.
    event QuorumFounded(bytes32 indexed quorumId, uint256 threshold, bytes32[] streams);

    /// @notice The threshold is zero or above the number of streams.
    error QuorumRegistryBadThreshold(uint256 threshold, uint256 streams);
    /// @notice Streams, or the batches of a proof, do not ascend strictly.
    error QuorumRegistryNotAscending(bytes32 previous, bytes32 stream);
    /// @notice No quorum has this name.
    error QuorumRegistryUnknown(bytes32 quorumId);
    /// @notice Fewer streams agree than the quorum demands.
    error QuorumRegistryTooFew(uint256 signed, uint256 threshold);
    /// @notice A stream is no member.
    error QuorumRegistryNotMember(bytes32 quorumId, bytes32 stream);
    /// @notice Two batches have different reports.
    error QuorumRegistryRootsDiffer(bytes32 expected, bytes32 actual);
    /// @notice Two of the enclaves run on one platform, so they are one witness.
    error QuorumRegistrySamePlatform(bytes16 ppid);
    /// @notice The path does not lead to the signed root.
    error QuorumRegistryNotIncluded(bytes32 leaf, bytes32 computed, bytes32 signed);

    /// @notice Founds a quorum. Anyone may; a consumer chooses which one it believes.
    /// @param streams The streams, strictly ascending.
    /// @param threshold How many have to agree.
    /// @return quorumId Its name: `keccak256(abi.encode(streams, threshold))`.
    function found(bytes32[] calldata streams, uint256 threshold)
        external
        returns (bytes32 quorumId);

    /// @notice Whether enough streams of a quorum signed a report; reverts unless they did.
    /// @param quorumId The quorum.
    /// @param report The report.
    /// @param index Its position.
    /// @param path Siblings from leaf to root.
    /// @param batches One batch of each agreeing stream, by stream ascending.
    /// @return leaf The report's leaf.
    function verifyReport(
        bytes32 quorumId,
        Report calldata report,
        uint32 index,
        bytes32[] calldata path,
        SignedBatch[] calldata batches
    ) external view returns (bytes32 leaf);

    /// @notice How many streams of a quorum have to agree; zero when nobody founded it.
    /// @param quorumId The quorum.
    function thresholdOf(bytes32 quorumId) external view returns (uint256);

    /// @notice Whether a stream is a member.
    /// @param quorumId The quorum.
    /// @param stream The stream.
    function isMember(bytes32 quorumId, bytes32 stream) external view returns (bool);
}
