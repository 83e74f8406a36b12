// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EnclaveRegistry} from "#contracts/attestation/EnclaveRegistry.sol";
import {IQuoteVerifier} from "#contracts/attestation/IQuoteVerifier.sol";
import {IProofRegistry} from "#contracts/proofs/IProofRegistry.sol";
import {IQuorumRegistry} from "#contracts/proofs/IQuorumRegistry.sol";
import {OrderedTree} from "#contracts/proofs/OrderedTree.sol";
import {ProofRegistry} from "#contracts/proofs/ProofRegistry.sol";
import {QuorumRegistry} from "#contracts/proofs/QuorumRegistry.sol";
import {ReportLib} from "#contracts/proofs/ReportLib.sol";
import {
    Batch,
    Inclusion,
    MultiInclusion,
    Report,
    RosterEntry,
    Statement
} from "#contracts/proofs/Types.sol";
import {OpenVerifier} from "./EnclaveRegistry.t.sol";
import {Quotes} from "./support/Quotes.sol";
import {Trees} from "./support/Trees.sol";
import {bound, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

contract ProofRegistryTest is World {
    function setUp() public {
        build();
    }

    function _batch() private view returns (Batch memory) {
        bytes32[] memory leaves = new bytes32[](3);
        for (uint256 i = 0; i < 3; ++i) {
            leaves[i] = keccak256(abi.encode("leaf", sequence, i));
        }
        return nextBatch(leaves);
    }

    function _sign(Batch memory batch) private view returns (bytes memory) {
        return signed(ENCLAVE_KEY, hasher.batch(batch));
    }

    function _commit(Batch memory batch) private {
        proofs.commit(batch, _sign(batch));
    }

    function _expect(Batch memory batch, bytes memory refusal) private {
        bytes memory signature = _sign(batch);
        vm.expectRevert(refusal);
        proofs.commit(batch, signature);
    }

    // --- anchoring ---

    function test_commit_headMovesToTheBatch() public {
        Batch memory batch = _batch();
        bytes32 digest = hasher.batch(batch);
        vm.expectEmit(address(proofs));
        emit IProofRegistry.BatchCommitted(
            STREAM, 1, digest, batch.reportRoot, vm.addr(ENCLAVE_KEY)
        );
        vm.prank(RELAYER);
        proofs.commit(batch, signed(ENCLAVE_KEY, digest));
        (uint64 last, bytes32 head) = proofs.head(STREAM);
        vm.assertEq(last, 1);
        vm.assertEq(head, digest);
    }

    function test_commit_twice_reverts() public {
        Batch memory batch = _batch();
        _commit(batch);
        _expect(
            batch,
            abi.encodeWithSelector(IProofRegistry.ProofRegistrySequenceGap.selector, STREAM, 2, 1)
        );
    }

    function test_commit_withGap_reverts() public {
        Batch memory batch = _batch();
        batch.sequence = 2;
        _expect(
            batch,
            abi.encodeWithSelector(IProofRegistry.ProofRegistrySequenceGap.selector, STREAM, 1, 2)
        );
    }

    function test_commit_onAnotherHistory_reverts() public {
        anchor(_batch());
        Batch memory batch = _batch();
        batch.previous = keccak256("another history");
        _expect(
            batch,
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryFork.selector, STREAM, 2, headDigest, batch.previous
            )
        );
    }

    function test_commit_unknownSigner_reverts() public {
        Batch memory batch = _batch();
        bytes memory signature = signed(OTHER_KEY, hasher.batch(batch));
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySignerNotValid.selector,
                vm.addr(OTHER_KEY),
                STREAM,
                bytes32(0)
            )
        );
        proofs.commit(batch, signature);
    }

    function test_commit_expiredSigner_reverts() public {
        vm.warp(START + 7 days);
        _expect(
            _batch(),
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySignerNotValid.selector,
                vm.addr(ENCLAVE_KEY),
                STREAM,
                bytes32(0)
            )
        );
    }

    function test_commit_revokedSigner_reverts() public {
        enclaves.revoke(vm.addr(ENCLAVE_KEY));
        _expect(
            _batch(),
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySignerNotValid.selector,
                vm.addr(ENCLAVE_KEY),
                STREAM,
                bytes32(0)
            )
        );
    }

    function test_commit_signerOfAnotherStream_reverts() public {
        bytes32 other = keccak256("another stream");
        registerEnclave(OTHER_KEY, other);
        Batch memory batch = _batch();
        bytes memory signature = signed(OTHER_KEY, hasher.batch(batch));
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySignerNotValid.selector,
                vm.addr(OTHER_KEY),
                STREAM,
                other
            )
        );
        proofs.commit(batch, signature);
    }

    /// @dev An unknown key answers with stream zero, which must not pass for a batch of stream zero.
    function test_commit_streamZero_reverts() public {
        Batch memory batch = _batch();
        batch.stream = 0;
        bytes memory signature = signed(OTHER_KEY, hasher.batch(batch));
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySignerNotValid.selector,
                vm.addr(OTHER_KEY),
                bytes32(0),
                bytes32(0)
            )
        );
        proofs.commit(batch, signature);
    }

    function testFuzz_commit_changedBatchIsNotTheSignedOne(uint8 field, uint32 change) public {
        vm.assume(change != 0);
        Batch memory batch = _batch();
        bytes memory signature = _sign(batch);
        field = uint8(bound(field, 0, 5));
        if (field == 0) batch.reportRoot ^= bytes32(uint256(change));
        if (field == 1) batch.reportCount ^= change;
        if (field == 2) batch.rosterRoot ^= bytes32(uint256(change));
        if (field == 3) batch.rosterCount ^= change;
        if (field == 4) batch.anchorNumber ^= change;
        if (field == 5) batch.anchorHash ^= bytes32(uint256(change));
        vm.assume(batch.reportCount != 0 && batch.reportRoot != 0);
        vm.expectPartialRevert(IProofRegistry.ProofRegistrySignerNotValid.selector);
        proofs.commit(batch, signature);
    }

    function test_commit_clockBackwards_reverts() public {
        anchor(_batch());
        Batch memory batch = _batch();
        batch.closedAtMs -= 1;
        _expect(
            batch,
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryClockWentBack.selector, START * 1000, START * 1000 - 1
            )
        );
    }

    function test_commit_fromTheFuture_reverts() public {
        Batch memory batch = _batch();
        batch.closedAtMs = uint64((START + 15 minutes) * 1000);
        _commit(batch);
        Batch memory late = nextBatch(new bytes32[](0));
        late.sequence = 2;
        late.previous = hasher.batch(batch);
        late.closedAtMs = batch.closedAtMs + 1;
        _expect(
            late,
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryFromTheFuture.selector,
                batch.closedAtMs + 1,
                batch.closedAtMs
            )
        );
    }

    function test_commit_tooLate_reverts() public {
        Batch memory batch = _batch();
        batch.closedAtMs = uint64((START - 30 days) * 1000 - 1);
        _expect(
            batch,
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryTooLate.selector,
                batch.closedAtMs,
                (START - 30 days) * 1000
            )
        );
        batch.closedAtMs += 1;
        _commit(batch);
    }

    function test_commit_rootWithoutReports_reverts() public {
        Batch memory batch = _batch();
        batch.reportCount = 0;
        _expect(
            batch,
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryRootAndCountDiffer.selector, batch.reportRoot, 0
            )
        );
    }

    function test_commit_reportsWithoutRoot_reverts() public {
        Batch memory batch = _batch();
        batch.reportRoot = 0;
        _expect(
            batch,
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryRootAndCountDiffer.selector, bytes32(0), 3
            )
        );
    }

    function test_commit_batchWithoutReports_isAnchoredAndHoldsNothing() public {
        anchor(nextBatch(new bytes32[](0)));
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.ProofRegistryNotAnchored.selector, STREAM, 1, 1)
        );
        proofs.anchoredRoot(STREAM, 1);
    }

    function test_commit_freshKeyAfterRestart_continuesTheChain() public {
        anchor(_batch());
        registerEnclave(OTHER_KEY, STREAM);
        Batch memory batch = _batch();
        proofs.commit(batch, signed(OTHER_KEY, hasher.batch(batch)));
        (uint64 last,) = proofs.head(STREAM);
        vm.assertEq(last, 2);
    }

    /// @dev Once the ring has gone round, a commit touches the head's two slots and one of the ring.
    function test_commit_takesNoNewSlotOnceTheRingIsFull() public {
        for (uint256 i = 0; i < proofs.RING(); ++i) {
            anchor(_batch());
        }
        Batch memory batch = _batch();
        bytes memory signature = _sign(batch);
        vm.record();
        proofs.commit(batch, signature);
        (, bytes32[] memory writes) = vm.accesses(address(proofs));
        vm.assertLe(writes.length, 6, "writes of one packed slot are counted one by one");
        bytes32[] memory distinct = new bytes32[](writes.length);
        uint256 count = 0;
        for (uint256 i = 0; i < writes.length; ++i) {
            bool isNew = true;
            for (uint256 k = 0; k < count; ++k) {
                if (distinct[k] == writes[i]) isNew = false;
            }
            if (isNew) distinct[count++] = writes[i];
        }
        vm.assertEq(count, 3);
    }

    /// forge-config: default.fuzz.runs = 48
    function testFuzz_ring_servesExactlyTheLastBatches(uint256 total, uint256 wanted) public {
        total = bound(total, 1, 140);
        wanted = bound(wanted, 0, total + 2);
        bytes32[] memory roots = new bytes32[](total + 1);
        for (uint256 i = 1; i <= total; ++i) {
            Batch memory batch = _batch();
            roots[i] = batch.reportRoot;
            anchor(batch);
        }
        if (wanted == 0 || wanted > total || wanted + 64 <= total) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IProofRegistry.ProofRegistryNotAnchored.selector, STREAM, wanted, total
                )
            );
            proofs.anchoredRoot(STREAM, uint64(wanted));
            return;
        }
        (bytes28 root, uint32 count) = proofs.anchoredRoot(STREAM, uint64(wanted));
        vm.assertEq(bytes32(root), bytes32(bytes28(roots[wanted])));
        vm.assertEq(count, 3);
    }

    // --- leaving batches out ---

    function test_commitAfterSkip_newStream_startsAnywhere() public {
        Batch memory batch = _batch();
        batch.sequence = 9;
        batch.previous = keccak256("eight");
        bytes memory signature = _sign(batch);
        vm.expectEmit(address(proofs));
        emit IProofRegistry.BatchesSkipped(STREAM, 1, 8);
        proofs.commitAfterSkip(batch, signature);
        (uint64 last,) = proofs.head(STREAM);
        vm.assertEq(last, 9);
    }

    function test_commitAfterSkip_liveStream_reverts() public {
        anchor(_batch());
        Batch memory batch = _batch();
        batch.sequence = 5;
        bytes memory signature = _sign(batch);
        vm.warp(START + 1 days - 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySkipTooEarly.selector, STREAM, START + 1 days
            )
        );
        proofs.commitAfterSkip(batch, signature);
        vm.warp(START + 1 days);
        proofs.commitAfterSkip(batch, signature);
    }

    function test_commitAfterSkip_nothingLeftOut_reverts() public {
        Batch memory batch = _batch();
        bytes memory signature = _sign(batch);
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.ProofRegistryNothingSkipped.selector, STREAM, 1)
        );
        proofs.commitAfterSkip(batch, signature);
    }

    /// forge-config: default.fuzz.runs = 48
    function testFuzz_commitAfterSkip_neverServesARootOfTheLapBefore(
        uint256 before,
        uint256 skipped
    ) public {
        before = bound(before, 1, 80);
        skipped = bound(skipped, 1, 200);
        for (uint256 i = 0; i < before; ++i) {
            anchor(_batch());
        }
        vm.warp(START + 1 days);
        Batch memory batch = _batch();
        batch.sequence = uint64(before + skipped + 1);
        batch.closedAtMs = uint64(block.timestamp * 1000);
        proofs.commitAfterSkip(batch, _sign(batch));
        for (uint256 i = before + 1; i <= before + skipped; ++i) {
            vm.expectPartialRevert(IProofRegistry.ProofRegistryNotAnchored.selector);
            proofs.anchoredRoot(STREAM, uint64(i));
        }
        (, uint32 count) = proofs.anchoredRoot(STREAM, batch.sequence);
        vm.assertEq(count, 3);
        // What was anchored before and is still within the ring stays good.
        if (skipped < 63) proofs.anchoredRoot(STREAM, uint64(before));
    }

    // --- reports ---

    function _reports(uint256 count) private pure returns (Report[] memory reports) {
        reports = new Report[](count);
        for (uint256 i = 0; i < count; ++i) {
            reports[i] = fact();
            reports[i].subject = keccak256(abi.encode("subject", i));
        }
    }

    function testFuzz_verifyReport_everyReportOfTheBatch(uint256 count, uint256 index) public {
        count = bound(count, 1, 20);
        index = bound(index, 0, count - 1);
        Report[] memory reports = _reports(count);
        bytes32[] memory leaves = leavesOf(reports);
        anchor(leaves);
        Inclusion memory inclusion = Inclusion(STREAM, 1, uint32(index), Trees.path(leaves, index));
        vm.assertEq(proofs.verifyReport(reports[index], inclusion), leaves[index]);
    }

    function testFuzz_verifyReport_changedReportIsNotIncluded(uint8 field, uint32 change) public {
        vm.assume(change != 0);
        Report memory report = fact();
        Inclusion memory inclusion = anchored(report);
        field = uint8(bound(field, 0, 11));
        if (field == 0) report.subject ^= bytes32(uint256(change));
        if (field == 1) report.policyId ^= bytes32(uint256(change));
        if (field == 2) report.periodStartMs ^= change;
        if (field == 3) report.periodEndMs ^= change;
        if (field == 4) report.valueMicro += int128(uint128(change));
        if (field == 5) report.unit ^= bytes32(uint256(change));
        if (field == 6) report.coveragePpm ^= change;
        if (field == 7) report.evidenceRoot ^= bytes32(uint256(change));
        if (field == 8) report.measuresHash ^= bytes32(uint256(change));
        if (field == 9) report.exclusiveTo ^= bytes32(uint256(change));
        if (field == 10) report.amends ^= bytes32(uint256(change));
        if (field == 11) report.verdict = 2;
        vm.expectPartialRevert(IProofRegistry.ProofRegistryNotIncluded.selector);
        proofs.verifyReport(report, inclusion);
    }

    function test_verifyReport_anotherVersion_reverts() public {
        Report memory report = fact();
        report.version = 2;
        Inclusion memory inclusion = anchored(report);
        vm.expectRevert(abi.encodeWithSelector(ReportLib.ReportLibVersionUnknown.selector, 2));
        proofs.verifyReport(report, inclusion);
    }

    function test_verifyReport_batchNotAnchored_reverts() public {
        anchored(fact());
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.ProofRegistryNotAnchored.selector, STREAM, 2, 1)
        );
        proofs.verifyReport(fact(), Inclusion(STREAM, 2, 0, new bytes32[](0)));
    }

    /// @dev A batch with one report has its leaf as root; a batch of two must not serve an inner node.
    function test_verifyReport_innerNodeIsNoLeaf() public {
        Report[] memory reports = _reports(4);
        bytes32[] memory leaves = leavesOf(reports);
        anchor(leaves);
        bytes32[] memory path = Trees.path(leaves, 0);
        bytes32[] memory shorter = new bytes32[](1);
        shorter[0] = path[1];
        vm.expectRevert(abi.encodeWithSelector(OrderedTree.OrderedTreeProofTooShort.selector, 1));
        proofs.verifyReport(reports[0], Inclusion(STREAM, 1, 0, shorter));
    }

    function testFuzz_verifyReports_anySetOfTheBatch(uint256 count, uint256 bits) public {
        count = bound(count, 1, 16);
        Report[] memory reports = _reports(count);
        bytes32[] memory leaves = leavesOf(reports);
        anchor(leaves);
        uint256 chosenCount = 0;
        for (uint256 i = 0; i < count; ++i) {
            chosenCount += bits >> i & 1;
        }
        vm.assume(chosenCount != 0);
        uint32[] memory indices = new uint32[](chosenCount);
        Report[] memory chosen = new Report[](chosenCount);
        uint256 next = 0;
        for (uint32 i = 0; i < count; ++i) {
            if (bits >> i & 1 == 0) continue;
            indices[next] = i;
            chosen[next++] = reports[i];
        }
        MultiInclusion memory inclusion =
            MultiInclusion(STREAM, 1, indices, Trees.multiproof(leaves, indices));
        bytes32[] memory answer = proofs.verifyReports(chosen, inclusion);
        for (uint256 i = 0; i < chosenCount; ++i) {
            vm.assertEq(answer[i], leaves[indices[i]]);
        }
        chosen[0].valueMicro += 1;
        vm.expectPartialRevert(IProofRegistry.ProofRegistryNotIncluded.selector);
        proofs.verifyReports(chosen, inclusion);
    }

    // --- without anchoring ---

    function test_verifySignedReport_needsNoAnchoredBatch() public view {
        bytes32[] memory leaves = leavesOf(_reports(3));
        Batch memory batch = nextBatch(leaves);
        batch.sequence = 77;
        bytes32 leaf = proofs.verifySignedReport(
            _reports(3)[1], 1, Trees.path(leaves, 1), batch, _sign(batch)
        );
        vm.assertEq(leaf, leaves[1]);
    }

    function test_verifySignedReport_expiredSigner_reverts() public {
        bytes32[] memory leaves = leavesOf(_reports(1));
        Batch memory batch = nextBatch(leaves);
        bytes memory signature = _sign(batch);
        vm.warp(START + 7 days);
        vm.expectPartialRevert(IProofRegistry.ProofRegistrySignerNotValid.selector);
        proofs.verifySignedReport(_reports(1)[0], 0, new bytes32[](0), batch, signature);
    }

    function test_verifySignedReport_otherReport_reverts() public {
        bytes32[] memory leaves = leavesOf(_reports(1));
        Batch memory batch = nextBatch(leaves);
        bytes memory signature = _sign(batch);
        vm.expectPartialRevert(IProofRegistry.ProofRegistryNotIncluded.selector);
        proofs.verifySignedReport(fact(), 0, new bytes32[](0), batch, signature);
    }

    // --- silence ---

    function _rosterBatch(RosterEntry memory entry) private view returns (Batch memory batch) {
        batch = nextBatch(new bytes32[](0));
        batch.rosterRoot = hasher.roster(entry);
        batch.rosterCount = 1;
    }

    function _silent() private pure returns (RosterEntry memory) {
        return RosterEntry({
            device: keccak256("device"),
            subject: SUBJECT,
            expectedReadings: 96,
            heardReadings: 0,
            firstSequence: 0,
            lastSequence: 0,
            headHash: keccak256("last pack"),
            packsRoot: 0
        });
    }

    function test_verifyRosterEntry_provesSilenceThroughTheHeaders() public {
        Batch[] memory headers = new Batch[](3);
        headers[0] = _rosterBatch(_silent());
        anchor(headers[0]);
        headers[1] = _batch();
        anchor(headers[1]);
        headers[2] = _batch();
        anchor(headers[2]);
        vm.assertEq(
            proofs.verifyRosterEntry(_silent(), 0, new bytes32[](0), headers),
            hasher.roster(_silent())
        );
    }

    function test_verifyRosterEntry_headersThatDoNotReachTheHead_revert() public {
        Batch[] memory headers = new Batch[](1);
        headers[0] = _rosterBatch(_silent());
        anchor(headers[0]);
        anchor(_batch());
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryHeadersDoNotConnect.selector,
                1,
                headDigest,
                hasher.batch(headers[0])
            )
        );
        proofs.verifyRosterEntry(_silent(), 0, new bytes32[](0), headers);
    }

    function test_verifyRosterEntry_brokenChainOfHeaders_reverts() public {
        Batch[] memory headers = new Batch[](2);
        headers[0] = _rosterBatch(_silent());
        anchor(headers[0]);
        headers[1] = _batch();
        anchor(headers[1]);
        headers[0].rosterCount = 2;
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryHeadersDoNotConnect.selector,
                1,
                hasher.batch(headers[0]),
                headers[1].previous
            )
        );
        proofs.verifyRosterEntry(_silent(), 0, new bytes32[](0), headers);
    }

    function test_verifyRosterEntry_withoutHeaders_reverts() public {
        vm.expectPartialRevert(IProofRegistry.ProofRegistryHeadersDoNotConnect.selector);
        proofs.verifyRosterEntry(_silent(), 0, new bytes32[](0), new Batch[](0));
    }

    function test_verifyRosterEntry_otherEntry_reverts() public {
        Batch[] memory headers = new Batch[](1);
        headers[0] = _rosterBatch(_silent());
        anchor(headers[0]);
        RosterEntry memory entry = _silent();
        entry.heardReadings = 1;
        vm.expectPartialRevert(IProofRegistry.ProofRegistryNotIncluded.selector);
        proofs.verifyRosterEntry(entry, 0, new bytes32[](0), headers);
    }

    // --- equivocation ---

    function _twoBatches() private view returns (Batch memory first, Batch memory second) {
        first = _batch();
        second = _batch();
        second.reportRoot = keccak256("another root");
    }

    function test_recordEquivocation_freezesTheStream() public {
        (Batch memory first, Batch memory second) = _twoBatches();
        bytes memory a = _sign(first);
        bytes memory b = _sign(second);
        vm.prank(RELAYER);
        proofs.recordEquivocation(first, a, second, b);
        IProofRegistry.Equivocation memory record = proofs.equivocationOf(STREAM);
        vm.assertEq(record.sequence, 1);
        vm.assertEq(record.firstDigest, hasher.batch(first));
        vm.assertEq(record.secondDigest, hasher.batch(second));
        vm.assertEq(record.firstSigner, vm.addr(ENCLAVE_KEY));
        vm.assertTrue(proofs.isFrozen(STREAM));
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.ProofRegistryStreamFrozen.selector, STREAM)
        );
        proofs.commit(first, a);
        vm.expectRevert(
            abi.encodeWithSelector(IProofRegistry.ProofRegistryStreamFrozen.selector, STREAM)
        );
        proofs.verifySignedBatch(first, a);
    }

    function test_recordEquivocation_whatWasAnchoredStaysGood() public {
        Report memory report = fact();
        Inclusion memory inclusion = anchored(report);
        (Batch memory first, Batch memory second) = _twoBatches();
        proofs.recordEquivocation(first, _sign(first), second, _sign(second));
        vm.assertEq(proofs.verifyReport(report, inclusion), hasher.report(report));
    }

    function test_recordEquivocation_expiredKeysAreRecordedButFreezeNothing() public {
        (Batch memory first, Batch memory second) = _twoBatches();
        bytes memory a = _sign(first);
        bytes memory b = _sign(second);
        vm.warp(START + 8 days);
        proofs.recordEquivocation(first, a, second, b);
        vm.assertEq(proofs.equivocationOf(STREAM).sequence, 1);
        vm.assertFalse(proofs.isFrozen(STREAM));
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryEquivocationRecorded.selector, STREAM, 1
            )
        );
        proofs.recordEquivocation(first, a, second, b);
        // A proof by keys that are valid still freezes.
        registerEnclave(OTHER_KEY, STREAM);
        bytes memory c = signed(OTHER_KEY, hasher.batch(first));
        bytes memory d = signed(OTHER_KEY, hasher.batch(second));
        proofs.recordEquivocation(first, c, second, d);
        vm.assertTrue(proofs.isFrozen(STREAM));
    }

    function test_recordEquivocation_sameBatch_reverts() public {
        Batch memory first = _batch();
        bytes memory signature = _sign(first);
        vm.expectPartialRevert(IProofRegistry.ProofRegistryNoEquivocation.selector);
        proofs.recordEquivocation(first, signature, first, signature);
    }

    function test_recordEquivocation_twoSequences_reverts() public {
        (Batch memory first, Batch memory second) = _twoBatches();
        second.sequence = 2;
        bytes memory a = _sign(first);
        bytes memory b = _sign(second);
        vm.expectPartialRevert(IProofRegistry.ProofRegistryNoEquivocation.selector);
        proofs.recordEquivocation(first, a, second, b);
    }

    function test_recordEquivocation_foreignSigner_reverts() public {
        (Batch memory first, Batch memory second) = _twoBatches();
        bytes memory a = _sign(first);
        bytes memory b = signed(OTHER_KEY, hasher.batch(second));
        vm.expectPartialRevert(IProofRegistry.ProofRegistrySignerNotValid.selector);
        proofs.recordEquivocation(first, a, second, b);
    }

    // --- k of n ---

    function _quorum(uint256 count, uint256 threshold)
        private
        returns (QuorumRegistry quorums, bytes32 quorumId, bytes32[] memory streams)
    {
        bytes32[] memory images = new bytes32[](1);
        images[0] = "image";
        enclaves = new EnclaveRegistry(new OpenVerifier(), address(authority), 2 days, images);
        proofs = new ProofRegistry(enclaves, 30 days);
        quorums = new QuorumRegistry(enclaves, proofs);
        streams = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            streams[i] = bytes32(i + 1);
            _registerOn(bytes16(uint128(i)), 100 + i, streams[i]);
        }
        quorumId = quorums.found(streams, threshold);
    }

    function _registerOn(bytes16 ppid, uint256 key, bytes32 stream) private {
        Statement memory statement = statementOf(key, stream);
        (uint64 number, bytes32 hash) = recentBlock();
        enclaves.register(
            statement,
            number,
            signed(key, hasher.possession(statement)),
            abi.encode(
                IQuoteVerifier.QuoteClaims({
                    reportDataHigh: hasher.statement(statement),
                    reportDataLow: hash,
                    imageId: "image",
                    ppid: ppid,
                    tcbStatus: 0,
                    evaluationNumber: 0,
                    validUntil: uint64(START + 30 days)
                })
            )
        );
    }

    function _votes(bytes32[] memory streams, uint256 count, bytes32[] memory leaves)
        private
        view
        returns (IQuorumRegistry.SignedBatch[] memory votes)
    {
        votes = new IQuorumRegistry.SignedBatch[](count);
        for (uint256 i = 0; i < count; ++i) {
            Batch memory batch = nextBatch(leaves);
            batch.stream = streams[i];
            batch.sequence = uint64(10 + i);
            votes[i] = IQuorumRegistry.SignedBatch(batch, signed(100 + i, hasher.batch(batch)));
        }
    }

    /// forge-config: default.fuzz.runs = 48
    function testFuzz_quorum_enoughAgreeingStreamsSuffice(uint256 count, uint256 threshold) public {
        count = bound(count, 1, 6);
        threshold = bound(threshold, 1, count);
        (QuorumRegistry quorums, bytes32 id, bytes32[] memory streams) = _quorum(count, threshold);
        bytes32[] memory leaves = leavesOf(_reports(2));
        IQuorumRegistry.SignedBatch[] memory votes = _votes(streams, threshold, leaves);
        bytes32[] memory path = Trees.path(leaves, 1);
        vm.assertEq(quorums.verifyReport(id, _reports(2)[1], 1, path, votes), leaves[1]);
        if (threshold == 1) return;
        votes = _votes(streams, threshold - 1, leaves);
        Report memory report = _reports(2)[1];
        vm.expectRevert(
            abi.encodeWithSelector(
                IQuorumRegistry.QuorumRegistryTooFew.selector, threshold - 1, threshold
            )
        );
        quorums.verifyReport(id, report, 1, path, votes);
    }

    function test_quorum_refusals() public {
        (QuorumRegistry quorums, bytes32 id, bytes32[] memory streams) = _quorum(3, 2);
        bytes32[] memory leaves = leavesOf(_reports(1));
        bytes32[] memory path = new bytes32[](0);
        Report memory report = _reports(1)[0];

        IQuorumRegistry.SignedBatch[] memory votes = _votes(streams, 2, leaves);
        vm.expectRevert(
            abi.encodeWithSelector(IQuorumRegistry.QuorumRegistryUnknown.selector, bytes32("x"))
        );
        quorums.verifyReport("x", report, 0, path, votes);

        (votes[0], votes[1]) = (votes[1], votes[0]);
        vm.expectRevert(
            abi.encodeWithSelector(
                IQuorumRegistry.QuorumRegistryNotAscending.selector, streams[1], streams[0]
            )
        );
        quorums.verifyReport(id, report, 0, path, votes);

        votes[0] = votes[1];
        vm.expectPartialRevert(IQuorumRegistry.QuorumRegistryNotAscending.selector);
        quorums.verifyReport(id, report, 0, path, votes);

        votes = _votes(streams, 2, leaves);
        votes[1].batch.reportRoot = keccak256("another root");
        vm.expectRevert(
            abi.encodeWithSelector(
                IQuorumRegistry.QuorumRegistryRootsDiffer.selector,
                votes[0].batch.reportRoot,
                votes[1].batch.reportRoot
            )
        );
        quorums.verifyReport(id, report, 0, path, votes);

        votes = _votes(streams, 2, leaves);
        votes[1].batch.stream = bytes32(uint256(99));
        vm.expectRevert(
            abi.encodeWithSelector(
                IQuorumRegistry.QuorumRegistryNotMember.selector, id, bytes32(uint256(99))
            )
        );
        quorums.verifyReport(id, report, 0, path, votes);

        votes = _votes(streams, 2, leaves);
        votes[1].signature = votes[0].signature;
        vm.expectPartialRevert(IProofRegistry.ProofRegistrySignerNotValid.selector);
        quorums.verifyReport(id, report, 0, path, votes);

        votes = _votes(streams, 2, leaves);
        report.valueMicro += 1;
        vm.expectPartialRevert(IQuorumRegistry.QuorumRegistryNotIncluded.selector);
        quorums.verifyReport(id, report, 0, path, votes);
    }

    function test_quorum_twoEnclavesOfOnePlatformAreOneWitness() public {
        (QuorumRegistry quorums, bytes32 id, bytes32[] memory streams) = _quorum(2, 2);
        // The second stream's enclave moves to the first one's platform.
        _registerOn(bytes16(0), 101, streams[1]);
        bytes32[] memory leaves = leavesOf(_reports(1));
        IQuorumRegistry.SignedBatch[] memory votes = _votes(streams, 2, leaves);
        Report memory report = _reports(1)[0];
        vm.expectRevert(
            abi.encodeWithSelector(IQuorumRegistry.QuorumRegistrySamePlatform.selector, bytes16(0))
        );
        quorums.verifyReport(id, report, 0, new bytes32[](0), votes);
    }

    function test_quorum_found_refusals() public {
        QuorumRegistry quorums = new QuorumRegistry(enclaves, proofs);
        bytes32[] memory streams = new bytes32[](2);
        (streams[0], streams[1]) = (bytes32("a"), bytes32("a"));
        vm.expectRevert(
            abi.encodeWithSelector(IQuorumRegistry.QuorumRegistryBadThreshold.selector, 0, 2)
        );
        quorums.found(streams, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IQuorumRegistry.QuorumRegistryBadThreshold.selector, 3, 2)
        );
        quorums.found(streams, 3);
        vm.expectRevert(
            abi.encodeWithSelector(
                IQuorumRegistry.QuorumRegistryNotAscending.selector, bytes32("a"), bytes32("a")
            )
        );
        quorums.found(streams, 2);
    }
}
