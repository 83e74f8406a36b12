// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Batch, Inclusion, MultiInclusion, Report, RosterEntry} from "./Types.sol";

/// @title IProofRegistry
/// @notice Which batches an attested enclave signed, in order, without gaps or forks; and whether a
/// report or a roster entry is in one of them.
interface IProofRegistry {
    /// @notice Two batches that one stream signed for one sequence.
    /// @param sequence The sequence; zero when none is recorded.
    /// @param firstDigest Digest of one batch.
    /// @param secondDigest Digest of the other.
    /// @param firstSigner Who signed the one.
    /// @param secondSigner Who signed the other.
    /// @param recordedAt Unix seconds.
    struct Equivocation {
        uint64 sequence;
        uint64 recordedAt;
        bytes32 firstDigest;
        bytes32 secondDigest;
        address firstSigner;
        address secondSigner;
    }

    /// @notice A batch was anchored.
    /// @param stream Line of batches.
    /// @param sequence Position in it.
    /// @param digest EIP-712 digest, the batch's name.
    /// @param reportRoot Root over its reports.
    /// @param signer Attested key that signed it.
    event BatchCommitted(
        bytes32 indexed stream,
        uint64 indexed sequence,
        bytes32 digest,
        bytes32 reportRoot,
        address signer
    );

    /// @notice Batches were left out here; their reports can only be settled by signature.
    /// @param stream Line of batches.
    /// @param firstSequence First batch left out.
    /// @param lastSequence Last batch left out.
    event BatchesSkipped(bytes32 indexed stream, uint64 firstSequence, uint64 lastSequence);

    /// @notice A stream signed two batches for one sequence.
    /// @param stream Line of batches.
    /// @param sequence The sequence.
    /// @param firstDigest Digest of one batch.
    /// @param secondDigest Digest of the other.
    /// @param firstSigner Who signed the one.
    /// @param secondSigner Who signed the other.
    /// @param isFrozen Whether the stream is frozen from now on: both keys are valid today.
    event EquivocationRecorded(
        bytes32 indexed stream,
        uint64 indexed sequence,
        bytes32 firstDigest,
        bytes32 secondDigest,
        address firstSigner,
        address secondSigner,
        bool isFrozen
    );

    /// @notice The signer may not sign for this stream now: unknown, expired, revoked, or another's.
    error ProofRegistrySignerNotValid(address signer, bytes32 stream, bytes32 validStream);
    /// @notice The batch is not the one after the head.
    error ProofRegistrySequenceGap(bytes32 stream, uint64 expected, uint64 actual);
    /// @notice The batch continues another history than the anchored one.
    error ProofRegistryFork(bytes32 stream, uint64 sequence, bytes32 expected, bytes32 actual);
    /// @notice The batch was closed before the batch in front of it.
    error ProofRegistryClockWentBack(uint64 previousClosedAtMs, uint64 closedAtMs);
    /// @notice The batch was closed in the future.
    error ProofRegistryFromTheFuture(uint64 closedAtMs, uint256 latestMs);
    /// @notice The batch is too old to be anchored.
    error ProofRegistryTooLate(uint64 closedAtMs, uint256 earliestMs);
    /// @notice A root without reports, or reports without a root.
    error ProofRegistryRootAndCountDiffer(bytes32 reportRoot, uint32 reportCount);
    /// @notice The stream signed two batches for one sequence and is believed no more.
    error ProofRegistryStreamFrozen(bytes32 stream);
    /// @notice The stream is alive here, so nothing may be left out yet.
    error ProofRegistrySkipTooEarly(bytes32 stream, uint64 allowedFrom);
    /// @notice A skip has to leave something out.
    error ProofRegistryNothingSkipped(bytes32 stream, uint64 sequence);
    /// @notice The batch is not anchored here: not yet, left out, or too long ago.
    error ProofRegistryNotAnchored(bytes32 stream, uint64 sequence, uint64 head);
    /// @notice The path does not lead to the anchored root.
    error ProofRegistryNotIncluded(bytes32 leaf, bytes28 computed, bytes28 anchored);
    /// @notice The headers do not lead from the wanted batch to the head.
    error ProofRegistryHeadersDoNotConnect(uint256 position, bytes32 expected, bytes32 actual);
    /// @notice Two batches are no equivocation: another stream or sequence, or the same batch.
    error ProofRegistryNoEquivocation(bytes32 firstDigest, bytes32 secondDigest);
    /// @notice An equivocation of this stream is recorded already.
    error ProofRegistryEquivocationRecorded(bytes32 stream, uint64 sequence);

    /// @notice Anchors the next batch of a stream. Anyone may call.
    /// @param batch The batch.
    /// @param signature Signature of a key that is valid for the stream in this block: nobody can
    /// prove when a signature was made, only when it was shown.
    function commit(Batch calldata batch, bytes calldata signature) external;

    /// @notice Anchors a batch that is not the next one, where the ones between cannot be had: on a
    /// chain that joins late, or when the keys that signed them have expired. Only for a stream that
    /// is new here or has been still for {SKIP_AFTER_SECONDS}.
    /// @param batch The batch.
    /// @param signature Signature of a key that is valid for the stream in this block.
    function commitAfterSkip(Batch calldata batch, bytes calldata signature) external;

    /// @notice Records that a stream signed two batches for one sequence. Anyone may call. While both
    /// keys are valid this freezes the stream: a lost key of last year cannot.
    /// @param first One batch.
    /// @param firstSignature Signature of a key once registered for the stream.
    /// @param second Another batch of the same stream and sequence.
    /// @param secondSignature Signature of a key once registered for the stream.
    function recordEquivocation(
        Batch calldata first,
        bytes calldata firstSignature,
        Batch calldata second,
        bytes calldata secondSignature
    ) external;

    /// @notice The last batch of a stream.
    /// @param stream Line of batches.
    /// @return sequence Its sequence; zero when none is anchored.
    /// @return digest Its digest.
    function head(bytes32 stream) external view returns (uint64 sequence, bytes32 digest);

    /// @notice The report root of an anchored batch; reverts when it is not to be had.
    /// @param stream Line of batches.
    /// @param sequence Its sequence.
    /// @return root First 28 bytes of the root.
    /// @return count Number of reports.
    function anchoredRoot(bytes32 stream, uint64 sequence)
        external
        view
        returns (bytes28 root, uint32 count);

    /// @notice Whether an anchored batch holds a report; reverts unless it does.
    /// @param report The report.
    /// @param inclusion Where it stands.
    /// @return leaf The report's leaf.
    function verifyReport(Report calldata report, Inclusion calldata inclusion)
        external
        view
        returns (bytes32 leaf);

    /// @notice Whether an anchored batch holds several reports; reverts unless it holds them all.
    /// @param reports The reports in the order of their positions.
    /// @param inclusion Where they stand.
    /// @return leaves Their leaves.
    function verifyReports(Report[] calldata reports, MultiInclusion calldata inclusion)
        external
        view
        returns (bytes32[] memory leaves);

    /// @notice Whether a batch, anchored or not, is signed by a key that is valid in this block;
    /// reverts unless it is.
    /// @param batch The batch.
    /// @param signature Signature of a key that is valid for the stream.
    /// @return digest The batch's digest.
    /// @return signer Who signed it.
    function verifySignedBatch(Batch calldata batch, bytes calldata signature)
        external
        view
        returns (bytes32 digest, address signer);

    /// @notice Whether a batch that is signed now, anchored or not, holds a report.
    /// @param report The report.
    /// @param index Its position.
    /// @param path Siblings from leaf to root.
    /// @param batch The batch.
    /// @param signature Signature of a key that is valid for the stream in this block.
    /// @return leaf The report's leaf.
    function verifySignedReport(
        Report calldata report,
        uint32 index,
        bytes32[] calldata path,
        Batch calldata batch,
        bytes calldata signature
    ) external view returns (bytes32 leaf);

    /// @notice Whether a batch on the way to the head holds a roster entry: how silence is proved.
    /// @param entry The roster entry.
    /// @param index Its position.
    /// @param path Siblings from leaf to root.
    /// @param headers Every batch from the wanted one to the head, in order.
    /// @return leaf The entry's leaf.
    function verifyRosterEntry(
        RosterEntry calldata entry,
        uint32 index,
        bytes32[] calldata path,
        Batch[] calldata headers
    ) external view returns (bytes32 leaf);

    /// @notice The equivocation recorded for a stream.
    /// @param stream Line of batches.
    /// @return The record; its sequence is zero when there is none.
    function equivocationOf(bytes32 stream) external view returns (Equivocation memory);

    /// @notice Whether a stream is believed no more.
    /// @param stream Line of batches.
    function isFrozen(bytes32 stream) external view returns (bool);
}
