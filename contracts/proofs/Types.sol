// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The verdict on one subject, one policy, one period. Fourteen words in this order; the
/// ground floor (`attestation-schemas/report.ts`) defines the layout and the golden vectors.
struct Report {
    /// Layout of this report; 1.
    uint16 version;
    /// What is judged: `keccak256("plumbline/subject/1" ‖ 0x00 ‖ name)`.
    bytes32 subject;
    /// Keccak-256 of the policy's canonical bytes (RFC 8785).
    bytes32 policyId;
    /// Unix milliseconds, inclusive.
    uint64 periodStartMs;
    /// Unix milliseconds, exclusive.
    uint64 periodEndMs;
    /// {VERDICT_PASS}, {VERDICT_FAIL} or {VERDICT_INCONCLUSIVE}.
    uint8 verdict;
    /// Value to settle on, in millionths of `unit`; meaningless unless the verdict is conclusive.
    int128 valueMicro;
    /// ASCII code of the unit, left-aligned, zero-padded.
    bytes32 unit;
    /// Part of the period that was observed, parts per million, rounded down.
    uint32 coveragePpm;
    /// Weakest trust tier leaned on: 1 hardware, 2 software, 3 gateway, 4 replay.
    uint8 tier;
    /// SHA-256 tree over the packs in order.
    bytes32 evidenceRoot;
    /// Hash of the named measures and findings.
    bytes32 measuresHash;
    /// Zero for a fact; otherwise the one place where this right can be used.
    bytes32 exclusiveTo;
    /// Leaf of the report that this one amends; zero for a first report.
    bytes32 amends;
}

/// @notice What an enclave signs when a window closes, linked to everything its stream said before.
struct Batch {
    bytes32 stream;
    /// 1 for the first batch, then one more each time, without gaps.
    uint64 sequence;
    /// Digest of the batch before; zero for the first.
    bytes32 previous;
    /// Ordered Keccak tree over report leaves; zero when there are none.
    bytes32 reportRoot;
    uint32 reportCount;
    /// Ordered Keccak tree over who was expected and who was heard.
    bytes32 rosterRoot;
    uint32 rosterCount;
    /// The enclave's clock when it closed the batch, Unix milliseconds. The host owns that clock.
    uint64 closedAtMs;
    /// Number and hash of a block on the anchor chain of the signer's statement: the batch is younger.
    uint64 anchorNumber;
    bytes32 anchorHash;
}

/// @notice What an enclave says about its own keys; its hash is the first half of a quote's report data.
struct Statement {
    uint16 version;
    address signer;
    bytes32 ed25519PublicKey;
    bytes32 stream;
    bytes32 release;
    uint256 anchorChainId;
    address registry;
}

/// @notice One line of a batch's roster: an enrolled device, whether or not it spoke.
struct RosterEntry {
    bytes32 device;
    bytes32 subject;
    uint32 expectedReadings;
    uint32 heardReadings;
    uint64 firstSequence;
    uint64 lastSequence;
    bytes32 headHash;
    bytes32 packsRoot;
}

/// @notice Where one leaf stands in an anchored batch.
struct Inclusion {
    bytes32 stream;
    uint64 sequence;
    /// Position of the leaf, from zero.
    uint32 index;
    /// Siblings from leaf to root; a level on which the node is promoted contributes none.
    bytes32[] path;
}

/// @notice Where several leaves stand in one anchored batch.
struct MultiInclusion {
    bytes32 stream;
    uint64 sequence;
    /// Positions of the leaves, strictly ascending.
    uint32[] indices;
    /// Further nodes, level by level from the leaves up, left to right, each once.
    bytes32[] proof;
}

uint16 constant REPORT_VERSION = 1;
uint16 constant STATEMENT_VERSION = 1;

uint8 constant VERDICT_PASS = 1;
uint8 constant VERDICT_FAIL = 2;
uint8 constant VERDICT_INCONCLUSIVE = 3;

uint8 constant TIER_HARDWARE = 1;
uint8 constant TIER_SOFTWARE = 2;
uint8 constant TIER_GATEWAY = 3;
uint8 constant TIER_REPLAY = 4;

uint256 constant PPM = 1_000_000;
