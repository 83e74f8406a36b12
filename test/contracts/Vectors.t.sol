// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OrderedTree} from "#contracts/proofs/OrderedTree.sol";
import {ReportLib} from "#contracts/proofs/ReportLib.sol";
import {TypedData} from "#contracts/proofs/TypedData.sol";
import {Batch, Report, RosterEntry, Statement} from "#contracts/proofs/Types.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Trees} from "./support/Trees.sol";
import {vm} from "./support/Vm.sol";
import {Hasher} from "./support/World.sol";

/// @notice Opens proofs from memory.
contract TreeReader {
    function fromPath(bytes32 leaf, uint256 index, uint256 count, bytes32[] calldata path)
        external
        pure
        returns (bytes32)
    {
        return OrderedTree.rootFromPath(leaf, index, count, path);
    }

    function fromMultiproof(
        bytes32[] calldata leaves,
        uint32[] calldata indices,
        uint256 count,
        bytes32[] calldata proof
    ) external pure returns (bytes32) {
        return OrderedTree.rootFromMultiproof(leaves, indices, count, proof);
    }
}

/// @notice The golden vectors of `attestation-schemas/vectors`, which TypeScript reads as well.
contract VectorsTest {
    Hasher private hasher = new Hasher();
    TreeReader private reader = new TreeReader();
    string private json;

    function _read(string memory name) private {
        json = vm.readFile(
            string.concat(vm.projectRoot(), "/attestation-schemas/vectors/", name, ".json")
        );
    }

    function _key(uint256 index, string memory rest) private pure returns (string memory) {
        return string.concat(".cases[", vm.toString(index), "]", rest);
    }

    function _has(uint256 index) private view returns (bool) {
        return vm.keyExistsJson(json, _key(index, ""));
    }

    function _uint(uint256 index, string memory rest) private view returns (uint256) {
        return vm.parseJsonUint(json, _key(index, rest));
    }

    function _word(uint256 index, string memory rest) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, _key(index, rest));
    }

    function test_reports_encodeAndHashAsTypeScriptDoes() public {
        _read("reports");
        vm.assertEq(
            vm.parseJsonBytes32(json, ".domainSeparator"), TypedData.DOMAIN_SEPARATOR, "domain"
        );
        bytes32 typeHash = keccak256("EIP712Domain(string name,string version)");
        vm.assertEq(
            keccak256(abi.encode(typeHash, keccak256("Plumbline"), keccak256("1"))),
            TypedData.DOMAIN_SEPARATOR,
            "domain by its definition"
        );
        uint256 count = 0;
        for (; _has(count); ++count) {
            Report memory report = _report(count);
            vm.assertEq(abi.encode(report), vm.parseJsonBytes(json, _key(count, ".encoded")));
            vm.assertEq(hasher.report(report), _word(count, ".leaf"), "leaf");
        }
        vm.assertGt(count, 1);
    }

    function test_batches_haveTheDigestThatWasSigned() public {
        _read("batches");
        uint256 count = 0;
        for (; _has(count); ++count) {
            bytes32 digest = hasher.batch(_batch(count));
            vm.assertEq(digest, _word(count, ".digest"), "digest");
            _checkSignature(count, digest);
        }
        vm.assertGt(count, 1);
    }

    function test_statements_haveTheHashThatIsQuotedAndTheDigestThatIsSigned() public {
        _read("statements");
        uint256 count = 0;
        for (; _has(count); ++count) {
            Statement memory statement = Statement({
                version: uint16(_uint(count, ".statement.version")),
                signer: vm.parseJsonAddress(json, _key(count, ".statement.signer")),
                ed25519PublicKey: _word(count, ".statement.ed25519PublicKey"),
                stream: _word(count, ".statement.stream"),
                release: _word(count, ".statement.release"),
                anchorChainId: _uint(count, ".statement.anchorChainId"),
                registry: vm.parseJsonAddress(json, _key(count, ".statement.registry"))
            });
            vm.assertEq(hasher.statement(statement), _word(count, ".structHash"), "struct hash");
            vm.assertEq(hasher.possession(statement), _word(count, ".digest"), "digest");
            _checkSignature(count, hasher.possession(statement));
        }
        vm.assertGt(count, 0);
    }

    function test_rosters_hashAsTypeScriptDoes() public {
        _read("rosters");
        uint256 count = 0;
        for (; _has(count); ++count) {
            RosterEntry memory entry = RosterEntry({
                device: _word(count, ".entry.device"),
                subject: _word(count, ".entry.subject"),
                expectedReadings: uint32(_uint(count, ".entry.expectedReadings")),
                heardReadings: uint32(_uint(count, ".entry.heardReadings")),
                firstSequence: uint64(_uint(count, ".entry.firstSequence")),
                lastSequence: uint64(_uint(count, ".entry.lastSequence")),
                headHash: _word(count, ".entry.headHash"),
                packsRoot: _word(count, ".entry.packsRoot")
            });
            vm.assertEq(hasher.roster(entry), _word(count, ".leaf"), "leaf");
        }
        vm.assertGt(count, 0);
    }

    function test_rights_areNamedAsTypeScriptDoes() public {
        _read("rights");
        vm.assertEq(_word(0, ".right"), ReportLib.RIGHT_CARBON, "right class");
        vm.assertEq(
            keccak256(
                abi.encode(
                    _uint(0, ".chainId"),
                    vm.parseJsonAddress(json, _key(0, ".contract")),
                    _word(0, ".right")
                )
            ),
            _word(0, ".rightId"),
            "right id"
        );
    }

    function test_trees_openEveryPathAndMultiproof() public {
        _read("trees");
        uint256 position = 0;
        for (; _has(position); ++position) {
            uint256 count = _uint(position, ".count");
            bytes32 root = _word(position, ".root");
            bytes32[] memory leaves = vm.parseJsonBytes32Array(json, _key(position, ".leaves"));
            vm.assertEq(Trees.root(leaves), root, "the tests' own tree");
            for (uint256 index = 0; index < count; ++index) {
                bytes32[] memory path = vm.parseJsonBytes32Array(
                    json, _key(position, string.concat(".paths[", vm.toString(index), "]"))
                );
                vm.assertEq(reader.fromPath(leaves[index], index, count, path), root, "path");
            }
            uint256[] memory wide =
                vm.parseJsonUintArray(json, _key(position, ".multiproof.indices"));
            uint32[] memory indices = new uint32[](wide.length);
            bytes32[] memory chosen = new bytes32[](wide.length);
            for (uint256 i = 0; i < wide.length; ++i) {
                indices[i] = uint32(wide[i]);
                chosen[i] = leaves[wide[i]];
            }
            bytes32[] memory proof =
                vm.parseJsonBytes32Array(json, _key(position, ".multiproof.proof"));
            vm.assertEq(reader.fromMultiproof(chosen, indices, count, proof), root, "multiproof");
        }
        vm.assertGt(position, 8);
    }

    function _checkSignature(uint256 index, bytes32 digest) private view {
        vm.assertEq(
            ECDSA.recover(digest, vm.parseJsonBytes(json, _key(index, ".signature"))),
            vm.parseJsonAddress(json, _key(index, ".signer"))
        );
    }

    function _report(uint256 index) private view returns (Report memory) {
        return Report({
            version: uint16(_uint(index, ".report.version")),
            subject: _word(index, ".report.subject"),
            policyId: _word(index, ".report.policyId"),
            periodStartMs: uint64(_uint(index, ".report.periodStartMs")),
            periodEndMs: uint64(_uint(index, ".report.periodEndMs")),
            verdict: uint8(_uint(index, ".report.verdict")),
            valueMicro: int128(vm.parseJsonInt(json, _key(index, ".report.valueMicro"))),
            unit: _word(index, ".report.unit"),
            coveragePpm: uint32(_uint(index, ".report.coveragePpm")),
            tier: uint8(_uint(index, ".report.tier")),
            evidenceRoot: _word(index, ".report.evidenceRoot"),
            measuresHash: _word(index, ".report.measuresHash"),
            exclusiveTo: _word(index, ".report.exclusiveTo"),
            amends: _word(index, ".report.amends")
        });
    }

    function _batch(uint256 index) private view returns (Batch memory) {
        return Batch({
            stream: _word(index, ".batch.stream"),
            sequence: uint64(_uint(index, ".batch.sequence")),
            previous: _word(index, ".batch.previous"),
            reportRoot: _word(index, ".batch.reportRoot"),
            reportCount: uint32(_uint(index, ".batch.reportCount")),
            rosterRoot: _word(index, ".batch.rosterRoot"),
            rosterCount: uint32(_uint(index, ".batch.rosterCount")),
            closedAtMs: uint64(_uint(index, ".batch.closedAtMs")),
            anchorNumber: uint64(_uint(index, ".batch.anchorNumber")),
            anchorHash: _word(index, ".batch.anchorHash")
        });
    }
}
