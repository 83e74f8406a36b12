// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EnclaveRegistry} from "#contracts/attestation/EnclaveRegistry.sol";
import {Authority} from "#contracts/governance/Authority.sol";
import {LocalnetQuoteVerifier} from "#contracts/localnet/LocalnetQuoteVerifier.sol";
import {TestToken} from "#contracts/localnet/TestToken.sol";
import {ProofRegistry} from "#contracts/proofs/ProofRegistry.sol";
import {TypedData} from "#contracts/proofs/TypedData.sol";
import {
    Batch,
    Inclusion,
    MultiInclusion,
    Report,
    RosterEntry,
    Statement
} from "#contracts/proofs/Types.sol";
import {Measurements, Quotes} from "./Quotes.sol";
import {Trees} from "./Trees.sol";
import {vm} from "./Vm.sol";

/// @notice Hashes from memory what the contracts hash from calldata.
contract Hasher {
    function report(Report calldata value) external pure returns (bytes32) {
        return TypedData.hash(value);
    }

    function statement(Statement calldata value) external pure returns (bytes32) {
        return TypedData.hash(value);
    }

    function roster(RosterEntry calldata value) external pure returns (bytes32) {
        return TypedData.hash(value);
    }

    function batch(Batch calldata value) external pure returns (bytes32) {
        return TypedData.digest(value);
    }

    function possession(Statement calldata value) external pure returns (bytes32) {
        return TypedData.possessionDigest(value);
    }
}

/// @notice A chain with an authority, a registered enclave and a stream: what tests begin with.
abstract contract World {
    uint256 internal constant ENCLAVE_KEY = 0xE7C1A7E;
    uint256 internal constant OTHER_KEY = 0x07E4;
    uint256 internal constant CHAIN = 31_337;
    uint256 internal constant START = 1_740_000_000;

    bytes32 internal constant STREAM = keccak256("plumbline/stream/1/test");
    bytes32 internal constant SUBJECT = keccak256("subject");
    bytes32 internal constant POLICY = keccak256("policy");
    bytes32 internal constant UNIT = "Wh";

    address internal constant RELAYER = address(0x4E1A);
    address internal constant PAYER = address(0xBA7E4);
    address internal constant PAYEE = address(0xBA7EE);

    Hasher internal hasher;
    Authority internal authority;
    LocalnetQuoteVerifier internal quotes;
    EnclaveRegistry internal enclaves;
    ProofRegistry internal proofs;
    TestToken internal token;

    /// @dev Head as the enclave knows it, chain by chain of the test.
    uint64 internal sequence;
    bytes32 internal headDigest;

    function build() internal {
        vm.chainId(CHAIN);
        vm.warp(START);
        vm.roll(1_000);
        hasher = new Hasher();
        authority = new Authority(address(this));
        (bytes32 x, bytes32 y) = Quotes.platformKey();
        quotes = new LocalnetQuoteVerifier(x, y);
        bytes32[] memory images = new bytes32[](1);
        images[0] = Quotes.imageId(Quotes.honest());
        enclaves = new EnclaveRegistry(quotes, address(authority), 2 days, images);
        proofs = new ProofRegistry(enclaves, 30 days);
        token = new TestToken();
        registerEnclave(ENCLAVE_KEY, STREAM);
    }

    function statementOf(uint256 key, bytes32 stream) internal view returns (Statement memory) {
        return Statement({
            version: 1,
            signer: vm.addr(key),
            ed25519PublicKey: keccak256(abi.encode("ed25519", key)),
            stream: stream,
            release: keccak256("release"),
            anchorChainId: block.chainid,
            registry: address(enclaves)
        });
    }

    function recentBlock() internal returns (uint64 number, bytes32 hash) {
        number = uint64(block.number - 1);
        hash = keccak256(abi.encode("block", number));
        vm.setBlockhash(number, hash);
    }

    function registerEnclave(uint256 key, bytes32 stream) internal {
        Statement memory statement = statementOf(key, stream);
        (uint64 number, bytes32 hash) = recentBlock();
        enclaves.register(
            statement,
            number,
            signed(key, hasher.possession(statement)),
            Quotes.mint(Quotes.honest(), hasher.statement(statement), hash)
        );
    }

    function signed(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function fact() internal pure returns (Report memory) {
        return Report({
            version: 1,
            subject: SUBJECT,
            policyId: POLICY,
            periodStartMs: 1_740_096_000_000,
            periodEndMs: 1_740_182_400_000,
            verdict: 1,
            valueMicro: 5_000_000,
            unit: UNIT,
            coveragePpm: 1_000_000,
            tier: 1,
            evidenceRoot: keccak256("evidence"),
            measuresHash: keccak256("measures"),
            exclusiveTo: 0,
            amends: 0
        });
    }

    function nextBatch(bytes32[] memory leaves) internal view returns (Batch memory) {
        return Batch({
            stream: STREAM,
            sequence: sequence + 1,
            previous: headDigest,
            reportRoot: Trees.root(leaves),
            reportCount: uint32(leaves.length),
            rosterRoot: keccak256("roster"),
            rosterCount: 1,
            closedAtMs: uint64(block.timestamp * 1000),
            anchorNumber: uint64(block.number - 1),
            anchorHash: keccak256("anchor")
        });
    }

    function anchor(Batch memory batch) internal {
        bytes32 digest = hasher.batch(batch);
        proofs.commit(batch, signed(ENCLAVE_KEY, digest));
        sequence = batch.sequence;
        headDigest = digest;
    }

    function anchor(bytes32[] memory leaves) internal {
        anchor(nextBatch(leaves));
    }

    /// @dev Anchors a batch of exactly this report and answers where it stands.
    function anchored(Report memory report) internal returns (Inclusion memory) {
        bytes32[] memory leaves = new bytes32[](1);
        leaves[0] = hasher.report(report);
        anchor(leaves);
        return Inclusion(STREAM, sequence, 0, new bytes32[](0));
    }

    /// @dev Anchors a batch of these reports and answers where all of them stand.
    function anchored(Report[] memory reports) internal returns (MultiInclusion memory) {
        bytes32[] memory leaves = leavesOf(reports);
        anchor(leaves);
        uint32[] memory indices = new uint32[](reports.length);
        for (uint32 i = 0; i < reports.length; ++i) {
            indices[i] = i;
        }
        return MultiInclusion(STREAM, sequence, indices, new bytes32[](0));
    }

    function leavesOf(Report[] memory reports) internal view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](reports.length);
        for (uint256 i = 0; i < reports.length; ++i) {
            leaves[i] = hasher.report(reports[i]);
        }
    }
}
