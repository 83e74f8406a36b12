// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IEnclaveRegistry} from "../attestation/IEnclaveRegistry.sol";
import {IProofRegistry} from "./IProofRegistry.sol";
import {OrderedTree} from "./OrderedTree.sol";
import {ReportLib} from "./ReportLib.sol";
import {SealedRoot} from "./SealedRoot.sol";
import {TypedData} from "./TypedData.sol";
import {Batch, Inclusion, MultiInclusion, Report, RosterEntry} from "./Types.sol";

/// @title ProofRegistry
/// @notice Anchors batches of attested enclaves: each stream is one chain without gaps or forks.
/// @dev Nobody owns it. A commit writes three slots and, once the ring has filled, no new one:
/// digest of the head, its counters, and the root in the ring.
contract ProofRegistry is IProofRegistry {
    using TypedData for Batch;

    struct Stream {
        bytes32 headDigest;
        uint64 headSequence;
        uint64 headClosedAtMs;
        /// Unix seconds of the last commit.
        uint64 committedAt;
        bool isFrozen;
        /// {SealedRoot} of the last batches, at `sequence % RING`. A slot counts only while its sequence
        /// is within RING of the head; what is left out is cleared, so a stale root is never served.
        bytes32[64] ring;
    }

    /// @notice How many batches of a stream stay open for settlement by inclusion.
    uint256 public constant RING = 64;

    /// @notice How far an enclave's clock may be ahead of this chain.
    uint256 public constant MAX_CLOCK_SKEW_MS = 15 minutes * 1000;

    /// @notice How long a stream must have been still before a batch may be left out.
    uint64 public constant SKIP_AFTER_SECONDS = 1 days;

    /// @notice Who is attested.
    IEnclaveRegistry public immutable ENCLAVES;

    /// @notice How old a batch may be when it is anchored.
    uint256 public immutable MAX_BATCH_AGE_MS;

    mapping(bytes32 stream => Stream) private _streams;
    mapping(bytes32 stream => Equivocation) private _equivocations;

    /// @param enclaves Who is attested.
    /// @param maxBatchAgeSeconds How old a batch may be when it is anchored.
    constructor(IEnclaveRegistry enclaves, uint256 maxBatchAgeSeconds) {
        ENCLAVES = enclaves;
        MAX_BATCH_AGE_MS = maxBatchAgeSeconds * 1000;
    }

    /// @inheritdoc IProofRegistry
    function commit(Batch calldata batch, bytes calldata signature) external {
        Stream storage line = _streams[batch.stream];
        uint64 previousSequence = line.headSequence;
        // Not in `unchecked`: at the last sequence of all the stream ends with a panic.
        if (batch.sequence != previousSequence + 1) {
            revert ProofRegistrySequenceGap(batch.stream, previousSequence + 1, batch.sequence);
        }
        bytes32 previousDigest = line.headDigest;
        if (batch.previous != previousDigest) {
            revert ProofRegistryFork(batch.stream, batch.sequence, previousDigest, batch.previous);
        }
        _anchor(line, batch, signature);
    }

    /// @inheritdoc IProofRegistry
    function commitAfterSkip(Batch calldata batch, bytes calldata signature) external {
        Stream storage line = _streams[batch.stream];
        uint64 previousSequence = line.headSequence;
        if (batch.sequence <= previousSequence + 1) {
            revert ProofRegistryNothingSkipped(batch.stream, batch.sequence);
        }
        uint64 allowedFrom = line.committedAt + SKIP_AFTER_SECONDS;
        if (previousSequence != 0 && block.timestamp < allowedFrom) {
            revert ProofRegistrySkipTooEarly(batch.stream, allowedFrom);
        }
        uint256 skipped = batch.sequence - previousSequence - 1;
        if (previousSequence != 0) {
            // Slots of the batches left out still hold roots of one lap ago.
            for (uint256 i = 1; i <= skipped && i <= RING; ++i) {
                line.ring[(previousSequence + i) % RING] = 0;
            }
        }
        emit BatchesSkipped(batch.stream, previousSequence + 1, batch.sequence - 1);
        _anchor(line, batch, signature);
    }

    /// @inheritdoc IProofRegistry
    function recordEquivocation(
        Batch calldata first,
        bytes calldata firstSignature,
        Batch calldata second,
        bytes calldata secondSignature
    ) external {
        bytes32 stream = first.stream;
        uint64 sequence = first.sequence;
        bytes32 firstDigest = first.digest();
        bytes32 secondDigest = second.digest();
        if (second.stream != stream || second.sequence != sequence || firstDigest == secondDigest) {
            revert ProofRegistryNoEquivocation(firstDigest, secondDigest);
        }
        address firstSigner = _onceRegisteredSigner(stream, firstDigest, firstSignature);
        address secondSigner = _onceRegisteredSigner(stream, secondDigest, secondSignature);
        bool freezes = ENCLAVES.validStreamOf(firstSigner) == stream
            && ENCLAVES.validStreamOf(secondSigner) == stream;
        Stream storage line = _streams[stream];
        // Recorded once, and once more if only the second proof can freeze.
        if (_equivocations[stream].sequence != 0 && (line.isFrozen || !freezes)) {
            revert ProofRegistryEquivocationRecorded(stream, _equivocations[stream].sequence);
        }
        _equivocations[stream] = Equivocation({
            sequence: sequence,
            recordedAt: SafeCast.toUint64(block.timestamp),
            firstDigest: firstDigest,
            secondDigest: secondDigest,
            firstSigner: firstSigner,
            secondSigner: secondSigner
        });
        if (freezes) line.isFrozen = true;
        emit EquivocationRecorded(
            stream, sequence, firstDigest, secondDigest, firstSigner, secondSigner, freezes
        );
    }

    /// @inheritdoc IProofRegistry
    function head(bytes32 stream) external view returns (uint64 sequence, bytes32 digest) {
        Stream storage line = _streams[stream];
        return (line.headSequence, line.headDigest);
    }

    /// @inheritdoc IProofRegistry
    function anchoredRoot(bytes32 stream, uint64 sequence)
        public
        view
        returns (bytes28 root, uint32 count)
    {
        Stream storage line = _streams[stream];
        uint64 last = line.headSequence;
        // Written without a sum that could overflow for a sequence from the caller.
        if (sequence > last || last - sequence >= RING) {
            revert ProofRegistryNotAnchored(stream, sequence, last);
        }
        (root, count) = SealedRoot.open(line.ring[sequence % RING]);
        if (count == 0) revert ProofRegistryNotAnchored(stream, sequence, last);
    }

    /// @inheritdoc IProofRegistry
    function verifyReport(Report calldata report, Inclusion calldata inclusion)
        external
        view
        returns (bytes32 leaf)
    {
        return ReportLib.verify(this, report, inclusion);
    }

    /// @inheritdoc IProofRegistry
    function verifyReports(Report[] calldata reports, MultiInclusion calldata inclusion)
        external
        view
        returns (bytes32[] memory leaves)
    {
        return ReportLib.verifyMany(this, reports, inclusion);
    }

    /// @inheritdoc IProofRegistry
    function verifySignedBatch(Batch calldata batch, bytes calldata signature)
        public
        view
        returns (bytes32 digest, address signer)
    {
        if (_streams[batch.stream].isFrozen) revert ProofRegistryStreamFrozen(batch.stream);
        _checkAge(batch.closedAtMs);
        digest = batch.digest();
        signer = _checkSigner(batch.stream, digest, signature);
    }

    /// @inheritdoc IProofRegistry
    function verifySignedReport(
        Report calldata report,
        uint32 index,
        bytes32[] calldata path,
        Batch calldata batch,
        bytes calldata signature
    ) external view returns (bytes32 leaf) {
        verifySignedBatch(batch, signature);
        leaf = ReportLib.leafOf(report);
        bytes32 root = OrderedTree.rootFromPath(leaf, index, batch.reportCount, path);
        if (root != batch.reportRoot) {
            revert ProofRegistryNotIncluded(
                leaf, SealedRoot.front(root), SealedRoot.front(batch.reportRoot)
            );
        }
    }

    /// @inheritdoc IProofRegistry
    function verifyRosterEntry(
        RosterEntry calldata entry,
        uint32 index,
        bytes32[] calldata path,
        Batch[] calldata headers
    ) external view returns (bytes32 leaf) {
        if (headers.length == 0) {
            revert ProofRegistryHeadersDoNotConnect(0, bytes32(0), bytes32(0));
        }
        Batch calldata wanted = headers[0];
        bytes32 digest = wanted.digest();
        for (uint256 i = 1; i < headers.length; ++i) {
            if (headers[i].previous != digest) {
                revert ProofRegistryHeadersDoNotConnect(i, digest, headers[i].previous);
            }
            digest = headers[i].digest();
        }
        bytes32 headDigest = _streams[wanted.stream].headDigest;
        if (digest != headDigest) {
            revert ProofRegistryHeadersDoNotConnect(headers.length, headDigest, digest);
        }
        leaf = TypedData.hash(entry);
        bytes32 root = OrderedTree.rootFromPath(leaf, index, wanted.rosterCount, path);
        if (root != wanted.rosterRoot) {
            revert ProofRegistryNotIncluded(
                leaf, SealedRoot.front(root), SealedRoot.front(wanted.rosterRoot)
            );
        }
    }

    /// @inheritdoc IProofRegistry
    function equivocationOf(bytes32 stream) external view returns (Equivocation memory) {
        return _equivocations[stream];
    }

    /// @inheritdoc IProofRegistry
    function isFrozen(bytes32 stream) external view returns (bool) {
        return _streams[stream].isFrozen;
    }

    function _anchor(Stream storage line, Batch calldata batch, bytes calldata signature) private {
        if (line.isFrozen) revert ProofRegistryStreamFrozen(batch.stream);
        if ((batch.reportCount == 0) != (batch.reportRoot == 0)) {
            revert ProofRegistryRootAndCountDiffer(batch.reportRoot, batch.reportCount);
        }
        if (batch.closedAtMs < line.headClosedAtMs) {
            revert ProofRegistryClockWentBack(line.headClosedAtMs, batch.closedAtMs);
        }
        _checkAge(batch.closedAtMs);
        bytes32 digest = batch.digest();
        address signer = _checkSigner(batch.stream, digest, signature);

        line.headDigest = digest;
        line.headSequence = batch.sequence;
        line.headClosedAtMs = batch.closedAtMs;
        line.committedAt = SafeCast.toUint64(block.timestamp);
        line.ring[batch.sequence % RING] = SealedRoot.seal(batch.reportRoot, batch.reportCount);
        emit BatchCommitted(batch.stream, batch.sequence, digest, batch.reportRoot, signer);
    }

    function _checkAge(uint64 closedAtMs) private view {
        uint256 nowMs = block.timestamp * 1000;
        if (closedAtMs > nowMs + MAX_CLOCK_SKEW_MS) {
            revert ProofRegistryFromTheFuture(closedAtMs, nowMs + MAX_CLOCK_SKEW_MS);
        }
        if (closedAtMs + MAX_BATCH_AGE_MS < nowMs) {
            revert ProofRegistryTooLate(closedAtMs, nowMs - MAX_BATCH_AGE_MS);
        }
    }

    function _checkSigner(bytes32 stream, bytes32 digest, bytes calldata signature)
        private
        view
        returns (address signer)
    {
        signer = ECDSA.recoverCalldata(digest, signature);
        bytes32 validStream = ENCLAVES.validStreamOf(signer);
        // A stream of zero would match the answer for a key that is not valid.
        if (validStream != stream || stream == 0) {
            revert ProofRegistrySignerNotValid(signer, stream, validStream);
        }
    }

    function _onceRegisteredSigner(bytes32 stream, bytes32 digest, bytes calldata signature)
        private
        view
        returns (address signer)
    {
        signer = ECDSA.recoverCalldata(digest, signature);
        (bytes32 registered,,,,) = ENCLAVES.signerRecord(signer);
        if (registered != stream || stream == 0) {
            revert ProofRegistrySignerNotValid(signer, stream, registered);
        }
    }
}
