// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProofRegistry} from "#contracts/proofs/IProofRegistry.sol";
import {ReportLib} from "#contracts/proofs/ReportLib.sol";
import {Batch, Inclusion, Report} from "#contracts/proofs/Types.sol";
import {IReportConsumer} from "#contracts/settlement/IReportConsumer.sol";
import {ReportConsumer} from "#contracts/settlement/ReportConsumer.sol";
import {Settlements} from "../support/Settlements.sol";
import {Trees} from "../support/Trees.sol";
import {vm} from "../support/Vm.sol";

/// @notice One batch, signed once, settles cover on one chain, a payment on a second and a mint on a
/// third; then the same bytes are carried everywhere else. A chain here is its own set of contracts
/// under its own chain id. Thefts of one contract alone are in its own file.
contract TheftsTest is Settlements {
    uint256 private constant _A = CHAIN;
    uint256 private constant _B = CHAIN + 1;
    uint256 private constant _C = CHAIN + 2;

    struct Place {
        IProofRegistry proofs;
        IReportConsumer consumer;
        uint256 agreementId;
        uint256 otherId;
    }

    Place private _coverA;
    Place private _escrowB;
    Place private _creditsC;
    Place private _creditsA;

    Report[] private _reports;
    bytes32[] private _leaves;
    Batch private _batch;
    bytes private _signature;

    function _move(uint256 chain) private {
        vm.chainId(chain);
    }

    function _deploy(uint256 chain) private {
        buildSettlements();
        _move(chain);
        // Built under the first chain's id, so the key states the right one only now.
        registerEnclave(ENCLAVE_KEY, STREAM);
    }

    function setUp() public {
        _deploy(_A);
        _coverA = Place(proofs, cover, buy(purchase(offered())), 0);
        _coverA.otherId = cover.offer(product());
        _creditsA = Place(proofs, credits, credits.admit(project()), 0);
        _deploy(_B);
        _escrowB = Place(proofs, escrow, create(terms()), create(threeTranches(false)));
        _deploy(_C);
        _creditsC = Place(proofs, credits, credits.admit(project()), 0);

        // What the enclave signs: a fact, an amendment's other verdict, a right of chain C.
        _reports.push(fact());
        _reports.push(failing(1_000_000));
        _reports.push(carbon(1_000));
        for (uint256 i = 0; i < _reports.length; ++i) {
            _leaves.push(hasher.report(_reports[i]));
        }
        afterPeriod();
        _batch = nextBatch(_leaves);
        _signature = signed(ENCLAVE_KEY, hasher.batch(_batch));
        _commit(_A, _coverA.proofs);
        _commit(_B, _escrowB.proofs);
        _commit(_C, _creditsC.proofs);
    }

    function _commit(uint256 chain, IProofRegistry registry) private {
        _move(chain);
        registry.commit(_batch, _signature);
    }

    function _at(uint32 index) private view returns (Inclusion memory) {
        return Inclusion(STREAM, 1, index, Trees.path(_leaves, index));
    }

    function _settle(uint256 chain, Place storage place, uint256 id, uint32 index) private {
        Inclusion memory at = _at(index);
        _move(chain);
        place.consumer.settle(id, _reports[index], at);
    }

    function _refused(
        uint256 chain,
        Place storage place,
        uint256 id,
        uint32 index,
        bytes memory refusal
    ) private {
        Inclusion memory at = _at(index);
        _move(chain);
        vm.expectRevert(refusal);
        place.consumer.settle(id, _reports[index], at);
    }

    function test_oneSignature_settlesOnThreeChainsAndNowhereTwice() public {
        _settle(_A, _coverA, _coverA.agreementId, 1);
        _settle(_B, _escrowB, _escrowB.agreementId, 0);
        _settle(_C, _creditsC, _creditsC.agreementId, 2);

        bytes32 rightC = _reports[2].exclusiveTo;
        bytes4 elsewhere = ReportConsumer.ReportConsumerRightElsewhere.selector;
        // Mint on A too.
        _refused(
            _A,
            _creditsA,
            _creditsA.agreementId,
            2,
            abi.encodeWithSelector(elsewhere, _rightOf(_A, _creditsA), rightC)
        );
        // Mint twice on C.
        _refused(
            _C,
            _creditsC,
            _creditsC.agreementId,
            2,
            abi.encodeWithSelector(
                ReportConsumer.ReportConsumerAlreadySettled.selector,
                _creditsC.agreementId,
                _leaves[2]
            )
        );
        // Be paid twice, by the verdict that was settled and by the other one of the same period.
        for (uint32 i = 0; i < 2; ++i) {
            _refused(
                _B,
                _escrowB,
                _escrowB.agreementId,
                i,
                abi.encodeWithSelector(
                    ReportConsumer.ReportConsumerAlreadySettled.selector,
                    _escrowB.agreementId,
                    _leaves[i]
                )
            );
        }
        // A fact is a fact for another agreement about it.
        _settle(_B, _escrowB, _escrowB.otherId, 0);
    }

    function _rightOf(uint256 chain, Place storage place) private view returns (bytes32) {
        return keccak256(abi.encode(chain, place.consumer, ReportLib.RIGHT_CARBON));
    }

    /// @dev The same key signs another history for the second batch: it is refused on every chain that
    /// knows the first, and by its two signatures the stream is believed no more.
    function test_forkedBatch_isRefusedAndFreezesTheStream() public {
        Batch memory forked = _batch;
        forked.reportRoot = keccak256("a better month");
        bytes memory signature = signed(ENCLAVE_KEY, hasher.batch(forked));
        _move(_B);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySequenceGap.selector, STREAM, uint64(2), uint64(1)
            )
        );
        _escrowB.proofs.commit(forked, signature);
        Batch memory next = forked;
        next.sequence = 2;
        next.previous = hasher.batch(forked);
        bytes memory nextSignature = signed(ENCLAVE_KEY, hasher.batch(next));
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryFork.selector,
                STREAM,
                uint64(2),
                hasher.batch(_batch),
                next.previous
            )
        );
        _escrowB.proofs.commit(next, nextSignature);
        forked = _batch;
        forked.reportRoot = keccak256("a better month");
        _escrowB.proofs.recordEquivocation(_batch, _signature, forked, signature);
        vm.assertTrue(_escrowB.proofs.isFrozen(STREAM));
        // What was anchored in time stays good.
        _settle(_B, _escrowB, _escrowB.agreementId, 0);
    }

    /// @dev A key that has expired anchors nothing, though it signed in time for all that anyone knows.
    function test_expiredSigner_anchorsNothing() public {
        Batch memory next = _batch;
        next.sequence = 2;
        next.previous = hasher.batch(_batch);
        bytes memory signature = signed(ENCLAVE_KEY, hasher.batch(next));
        vm.warp(START + 7 days);
        _move(_A);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySignerNotValid.selector,
                vm.addr(ENCLAVE_KEY),
                STREAM,
                bytes32(0)
            )
        );
        _coverA.proofs.commit(next, signature);
    }

    /// @dev A report that no batch holds, one that another batch holds, one under another index.
    function test_reportThatIsNotThere_settlesNothing() public {
        Report memory better = _reports[1];
        better.valueMicro = 0;
        Inclusion memory at = _at(1);
        _move(_A);
        vm.expectPartialRevert(IProofRegistry.ProofRegistryNotIncluded.selector);
        _coverA.consumer.settle(_coverA.agreementId, better, at);
        at.index = 0;
        vm.expectPartialRevert(IProofRegistry.ProofRegistryNotIncluded.selector);
        _coverA.consumer.settle(_coverA.agreementId, _reports[1], at);
        at = _at(1);
        at.sequence = 2;
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryNotAnchored.selector, STREAM, uint64(2), uint64(1)
            )
        );
        _coverA.consumer.settle(_coverA.agreementId, _reports[1], at);
    }
}
