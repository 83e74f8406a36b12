// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOAppCore} from "@layerzerolabs/oapp-evm/contracts/oapp/interfaces/IOAppCore.sol";
import {OAppReceiver, Origin} from "@layerzerolabs/oapp-evm/contracts/oapp/OAppReceiver.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {BatchReceiver} from "#contracts/crosschain/BatchReceiver.sol";
import {CrosschainMessage, Registration} from "#contracts/crosschain/CrosschainMessage.sol";
import {IBatchReceiver} from "#contracts/crosschain/IBatchReceiver.sol";
import {RevocationReceiver} from "#contracts/crosschain/RevocationReceiver.sol";
import {IProofRegistry} from "#contracts/proofs/IProofRegistry.sol";
import {Batch, Inclusion, Report} from "#contracts/proofs/Types.sol";
import {Spoke} from "./Spoke.sol";
import {Trees} from "../support/Trees.sol";
import {vm} from "../support/Vm.sol";

contract BatchReceiverTest is Spoke {
    address internal signer;

    function setUp() public {
        buildSpoke();
        signer = vm.addr(ENCLAVE_KEY);
    }

    function register() internal {
        deliver(registrationMessage(onHub(ENCLAVE_KEY)));
    }

    function someBatch() internal view returns (Batch memory) {
        bytes32[] memory leaves = new bytes32[](2);
        leaves[0] = hasher.report(fact());
        leaves[1] = keccak256("another");
        return nextBatch(leaves);
    }

    // --- what it is for ---

    function test_register_byMessage_answersLikeTheRegistryOfTheHub() public {
        register();
        Registration memory held = onHub(ENCLAVE_KEY);
        (bytes32 stream, bytes32 imageId, uint64 expiresAt) = receiver.signerStatus(signer);
        vm.assertEq(stream, STREAM);
        vm.assertEq(imageId, held.imageId);
        vm.assertEq(uint256(expiresAt), uint256(held.expiresAt));
        vm.assertEq(receiver.validStreamOf(signer), STREAM);
        (bytes32 recorded,, bytes16 ppid, uint64 attestedAt, bool isRevoked) =
            receiver.signerRecord(signer);
        vm.assertEq(recorded, STREAM);
        vm.assertEq(bytes32(ppid), bytes32(held.ppid));
        vm.assertEq(uint256(attestedAt), uint256(held.attestedAt));
        vm.assertFalse(isRevoked);
    }

    function test_batch_ofARegisteredKey_isAnchoredAndHoldsTheSameProof() public {
        register();
        Batch memory batch = someBatch();
        deliver(batchMessage(batch, ENCLAVE_KEY));
        (uint64 head, bytes32 digest) = spokeProofs.head(STREAM);
        vm.assertEq(uint256(head), 1);
        vm.assertEq(digest, hasher.batch(batch));
        anchor(batch);
        Report memory report = fact();
        bytes32[] memory leaves = new bytes32[](2);
        leaves[0] = hasher.report(report);
        leaves[1] = keccak256("another");
        Inclusion memory inclusion = Inclusion(STREAM, 1, 0, Trees.path(leaves, 0));
        vm.assertEq(
            spokeProofs.verifyReport(report, inclusion), proofs.verifyReport(report, inclusion)
        );
    }

    function test_batch_twice_isRedundantAndConsumed() public {
        register();
        Batch memory batch = someBatch();
        bytes memory message = batchMessage(batch, ENCLAVE_KEY);
        deliver(message);
        vm.expectEmit(address(receiver));
        emit IBatchReceiver.MessageRedundant(keccak256(message));
        deliver(message);
    }

    function test_batch_beforeItsPredecessor_stays() public {
        register();
        Batch memory batch = someBatch();
        batch.sequence = 2;
        bytes memory message = batchMessage(batch, ENCLAVE_KEY);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySequenceGap.selector, STREAM, uint64(1), uint64(2)
            )
        );
        deliver(message);
    }

    function test_batch_anotherForTheHeadsPlace_stays() public {
        register();
        Batch memory batch = someBatch();
        deliver(batchMessage(batch, ENCLAVE_KEY));
        bytes32 digest = hasher.batch(batch);
        batch.rosterCount = 2;
        bytes memory message = batchMessage(batch, ENCLAVE_KEY);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistryFork.selector,
                STREAM,
                uint64(1),
                digest,
                hasher.batch(batch)
            )
        );
        deliver(message);
    }

    // --- what a forged message cannot do: the endpoint here verifies nothing ---

    function testFuzz_forgedBatch_reverts(uint256 key) public {
        key = bound(key, 1, 1e30);
        vm.assume(key != ENCLAVE_KEY);
        register();
        bytes memory message = batchMessage(someBatch(), key);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySignerNotValid.selector,
                vm.addr(key),
                STREAM,
                bytes32(0)
            )
        );
        deliver(message);
    }

    /// forge-config: default.fuzz.runs = 128
    function testFuzz_forgedRegistration_withTooFewEndorsers_reverts(uint256 first, uint256 second)
        public
    {
        first = bound(first, 0x1000, 1e30);
        second = bound(second, 0x1000, 1e30);
        vm.assume(first != second);
        Registration memory forged = onHub(ENCLAVE_KEY);
        forged.signer = vm.addr(OTHER_KEY);
        bytes memory message = codec.registration(forged, endorsed(forged, first, second));
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchReceiver.BatchReceiverTooFewEndorsements.selector, uint256(0), uint256(2)
            )
        );
        deliver(message);
        // One of the two that are asked for changes nothing, however he is helped.
        message = codec.registration(forged, endorsed(forged, FIRST_ENDORSER, second));
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchReceiver.BatchReceiverTooFewEndorsements.selector, uint256(1), uint256(2)
            )
        );
        deliver(message);
    }

    function test_forgedRegistration_oneEndorserTwice_reverts() public {
        Registration memory forged = onHub(ENCLAVE_KEY);
        bytes memory message =
            codec.registration(forged, endorsed(forged, FIRST_ENDORSER, FIRST_ENDORSER));
        address endorser = vm.addr(FIRST_ENDORSER);
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchReceiver.BatchReceiverEndorsementsUnordered.selector, endorser, endorser
            )
        );
        deliver(message);
    }

    /// forge-config: default.fuzz.runs = 256
    function testFuzz_registration_anyFieldAltered_reverts(uint8 field, uint64 by) public {
        by = uint64(bound(by, 1, 1_000_000));
        Registration memory registration = onHub(ENCLAVE_KEY);
        bytes memory endorsements = endorsed(registration, FIRST_ENDORSER, SECOND_ENDORSER);
        field %= 6;
        if (field == 0) registration.signer = address(uint160(registration.signer) + by);
        if (field == 1) registration.stream = keccak256(abi.encode(by));
        if (field == 2) registration.imageId = keccak256(abi.encode(by));
        if (field == 3) registration.ppid = bytes16(uint128(registration.ppid) ^ uint128(by));
        if (field == 4) registration.attestedAt += by;
        if (field == 5) registration.expiresAt += by;
        bytes memory message = codec.registration(registration, endorsements);
        // Other endorsers are recovered, in whatever order they happen to stand.
        (bool isTaken,) = address(endpoint)
            .call(
                abi.encodeCall(endpoint.deliver, (receiver, origin(address(broadcaster)), message))
            );
        vm.assertFalse(isTaken);
        vm.assertEq(receiver.validStreamOf(registration.signer), bytes32(0));
    }

    function test_registration_endorsedForAnotherHub_reverts() public {
        Registration memory registration = onHub(ENCLAVE_KEY);
        bytes32 digest = codec.endorsement(CHAIN + 1, address(enclaves), registration);
        bytes memory message = codec.registration(registration, signed(FIRST_ENDORSER, digest));
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchReceiver.BatchReceiverTooFewEndorsements.selector, uint256(0), uint256(2)
            )
        );
        deliver(message);
    }

    function test_registration_badSignature_reverts() public {
        Registration memory registration = onHub(ENCLAVE_KEY);
        bytes memory message = codec.registration(registration, new bytes(65));
        vm.expectRevert(ECDSA.ECDSAInvalidSignature.selector);
        deliver(message);
    }

    // --- endorsers come slowly and go at once ---

    function test_endorser_countsFromTheDelayOn() public {
        uint256 fourth = 0xE4;
        vm.expectEmit(address(receiver));
        emit IBatchReceiver.EndorserAdded(vm.addr(fourth), uint64(block.timestamp + 2 days));
        receiver.addEndorser(vm.addr(fourth));
        Registration memory registration = onHub(ENCLAVE_KEY);
        bytes memory message =
            codec.registration(registration, endorsed(registration, FIRST_ENDORSER, fourth));
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchReceiver.BatchReceiverTooFewEndorsements.selector, uint256(1), uint256(2)
            )
        );
        deliver(message);
        vm.warp(START + 2 days);
        deliver(message);
        vm.assertEq(receiver.validStreamOf(signer), STREAM);
    }

    function test_endorser_removed_countsNoMore() public {
        vm.prank(GUARDIAN);
        receiver.removeEndorser(vm.addr(SECOND_ENDORSER));
        vm.assertEq(uint256(receiver.endorserActiveFrom(vm.addr(SECOND_ENDORSER))), 0);
        bytes memory message = registrationMessage(onHub(ENCLAVE_KEY));
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchReceiver.BatchReceiverTooFewEndorsements.selector, uint256(1), uint256(2)
            )
        );
        deliver(message);
    }

    function test_endorsers_listedOnceAndKnown() public {
        address first = vm.addr(FIRST_ENDORSER);
        vm.expectRevert(
            abi.encodeWithSelector(IBatchReceiver.BatchReceiverEndorserListed.selector, first)
        );
        receiver.addEndorser(first);
        vm.expectRevert(
            abi.encodeWithSelector(IBatchReceiver.BatchReceiverEndorserUnknown.selector, address(0))
        );
        receiver.addEndorser(address(0));
        vm.prank(GUARDIAN);
        vm.expectRevert(
            abi.encodeWithSelector(IBatchReceiver.BatchReceiverEndorserUnknown.selector, RELAYER)
        );
        receiver.removeEndorser(RELAYER);
    }

    function test_restricted_toTheirRoles() public {
        vm.startPrank(RELAYER);
        bytes memory refusal =
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, RELAYER);
        vm.expectRevert(refusal);
        receiver.addEndorser(RELAYER);
        vm.expectRevert(refusal);
        receiver.removeEndorser(RELAYER);
        vm.expectRevert(refusal);
        receiver.revoke(signer);
        vm.expectRevert(refusal);
        receiver.closePath();
        vm.stopPrank();
    }

    function test_constructor_thresholdOutOfRange_reverts() public {
        address[] memory one = new address[](1);
        one[0] = RELAYER;
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchReceiver.BatchReceiverThresholdWrong.selector, uint256(0), uint256(1)
            )
        );
        new BatchReceiver(setup(0), one);
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchReceiver.BatchReceiverThresholdWrong.selector, uint256(2), uint256(1)
            )
        );
        new BatchReceiver(setup(2), one);
    }

    // --- a revocation is for ever ---

    function test_revocation_beforeItsRegistration_holds() public {
        bytes memory registration = registrationMessage(onHub(ENCLAVE_KEY));
        deliverRevocation(revocationMessage(signer));
        vm.expectRevert(
            abi.encodeWithSelector(IBatchReceiver.BatchReceiverSignerRevoked.selector, signer)
        );
        deliver(registration);
        vm.assertEq(receiver.validStreamOf(signer), bytes32(0));
    }

    function test_revocation_afterwards_endsTheKeyAtOnce() public {
        register();
        deliverRevocation(revocationMessage(signer));
        (bytes32 stream,, uint64 expiresAt) = receiver.signerStatus(signer);
        vm.assertEq(stream, bytes32(0));
        vm.assertEq(uint256(expiresAt), 0);
        (,,,, bool isRevoked) = receiver.signerRecord(signer);
        vm.assertTrue(isRevoked);
        bytes memory message = batchMessage(someBatch(), ENCLAVE_KEY);
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySignerNotValid.selector, signer, STREAM, bytes32(0)
            )
        );
        deliver(message);
    }

    /// @dev Registrations, renewals and one revocation in any order and number.
    /// forge-config: default.fuzz.runs = 48
    function testFuzz_revocation_survivesEveryOrder(uint8[12] calldata steps, uint8 at) public {
        Registration memory registration = onHub(ENCLAVE_KEY);
        bool isRevoked;
        for (uint256 i = 0; i < steps.length; ++i) {
            if (i == at % steps.length) {
                deliverRevocation(revocationMessage(signer));
                isRevoked = true;
            }
            registration.attestedAt = uint64(START + steps[i] % 20);
            bytes memory message = registrationMessage(registration);
            (bool isTaken,) = address(endpoint)
                .call(
                    abi.encodeCall(
                        endpoint.deliver, (receiver, origin(address(broadcaster)), message)
                    )
                );
            vm.assertEq(isTaken, !isRevoked);
            vm.assertEq(receiver.validStreamOf(signer), isRevoked ? bytes32(0) : STREAM);
        }
    }

    function test_revocation_twice_isRedundantAndConsumed() public {
        bytes memory message = revocationMessage(signer);
        deliverRevocation(message);
        vm.expectEmit(address(revocationLane));
        emit RevocationReceiver.MessageRedundant(keccak256(message));
        deliverRevocation(message);
    }

    function test_revocation_ofMany_asManyAsFit() public {
        address[] memory signers = new address[](64);
        for (uint256 i = 0; i < 64; ++i) {
            signers[i] = address(uint160(i + 1));
        }
        deliverRevocation(codec.revocation(signers));
        for (uint256 i = 0; i < 64; ++i) {
            (,,,, bool isRevoked) = receiver.signerRecord(signers[i]);
            vm.assertTrue(isRevoked);
        }
    }

    function test_revoke_byAGuardianHere_needsNoBridge() public {
        register();
        vm.prank(GUARDIAN);
        receiver.revoke(signer);
        vm.assertEq(receiver.validStreamOf(signer), bytes32(0));
        vm.prank(GUARDIAN);
        vm.expectRevert(
            abi.encodeWithSelector(IBatchReceiver.BatchReceiverSignerRevoked.selector, signer)
        );
        receiver.revoke(signer);
    }

    function test_revokeByMessage_fromElsewhere_reverts() public {
        address[] memory signers = new address[](1);
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchReceiver.BatchReceiverOnlyRevocationLane.selector, address(this)
            )
        );
        receiver.revokeByMessage(signers);
    }

    // --- renewals, order and time ---

    function test_registration_older_isRedundant() public {
        Registration memory registration = onHub(ENCLAVE_KEY);
        register();
        bytes memory former = registrationMessage(registration);
        registration.attestedAt += 60;
        registration.expiresAt += 60;
        deliver(registrationMessage(registration));
        deliver(former);
        (,, uint64 expiresAt) = receiver.signerStatus(signer);
        vm.assertEq(uint256(expiresAt), uint256(registration.expiresAt));
    }

    function test_registration_ofAnotherStreamOrImage_reverts() public {
        Registration memory registration = onHub(ENCLAVE_KEY);
        register();
        bytes memory refusal = abi.encodeWithSelector(
            IBatchReceiver.BatchReceiverSignerBound.selector, signer, STREAM, registration.imageId
        );
        bytes32 imageId = registration.imageId;
        registration.attestedAt += 1;
        registration.imageId = keccak256("another image");
        bytes memory message = registrationMessage(registration);
        vm.expectRevert(refusal);
        deliver(message);
        registration.imageId = imageId;
        registration.stream = keccak256("another stream");
        message = registrationMessage(registration);
        vm.expectRevert(refusal);
        deliver(message);
    }

    function test_registration_outOfTime_reverts() public {
        Registration memory registration = onHub(ENCLAVE_KEY);
        registration.expiresAt = uint64(block.timestamp);
        expectOutOfTime(registration);
        registration.attestedAt = uint64(block.timestamp + 15 minutes + 1);
        registration.expiresAt = registration.attestedAt + 1 days;
        expectOutOfTime(registration);
        registration.attestedAt -= 1;
        deliver(registrationMessage(registration));
    }

    function expectOutOfTime(Registration memory registration) internal {
        bytes memory message = registrationMessage(registration);
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchReceiver.BatchReceiverOutOfTime.selector,
                registration.attestedAt,
                registration.expiresAt,
                block.timestamp
            )
        );
        deliver(message);
    }

    function test_registration_longerThanAnyRegistryGrants_reverts() public {
        Registration memory registration = onHub(ENCLAVE_KEY);
        registration.expiresAt = registration.attestedAt + 7 days + 1;
        bytes memory message = registrationMessage(registration);
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchReceiver.BatchReceiverLifeTooLong.selector,
                registration.attestedAt,
                registration.expiresAt
            )
        );
        deliver(message);
    }

    function test_registration_incomplete_reverts() public {
        Registration memory registration = onHub(ENCLAVE_KEY);
        registration.stream = 0;
        bytes memory message = registrationMessage(registration);
        vm.expectRevert(IBatchReceiver.BatchReceiverIncomplete.selector);
        deliver(message);
    }

    function test_key_expires_asOnTheHub() public {
        register();
        vm.warp(onHub(ENCLAVE_KEY).expiresAt - 1);
        vm.assertEq(receiver.validStreamOf(signer), STREAM);
        vm.warp(onHub(ENCLAVE_KEY).expiresAt);
        vm.assertEq(receiver.validStreamOf(signer), bytes32(0));
    }

    // --- who may knock ---

    function test_lzReceive_notTheEndpoint_reverts() public {
        bytes memory message = registrationMessage(onHub(ENCLAVE_KEY));
        vm.expectRevert(abi.encodeWithSelector(OAppReceiver.OnlyEndpoint.selector, address(this)));
        receiver.lzReceive(origin(address(broadcaster)), 0, message, address(0), "");
    }

    function test_lzReceive_notThePeer_reverts() public {
        bytes memory message = registrationMessage(onHub(ENCLAVE_KEY));
        vm.expectRevert(
            abi.encodeWithSelector(
                IOAppCore.OnlyPeer.selector, HUB_EID, origin(address(revocations)).sender
            )
        );
        endpoint.deliver(receiver, origin(address(revocations)), message);
    }

    function test_lzReceive_fromAnotherChainThanTheHub_reverts() public {
        setPeer(address(receiver), 1, address(broadcaster));
        setPeer(address(revocationLane), 1, address(revocations));
        Origin memory elsewhere = origin(address(broadcaster));
        elsewhere.srcEid = 1;
        bytes memory message = registrationMessage(onHub(ENCLAVE_KEY));
        vm.expectRevert(
            abi.encodeWithSelector(IBatchReceiver.BatchReceiverNotTheHub.selector, uint32(1))
        );
        endpoint.deliver(receiver, elsewhere, message);
        elsewhere.sender = origin(address(revocations)).sender;
        message = revocationMessage(signer);
        vm.expectRevert(
            abi.encodeWithSelector(
                RevocationReceiver.RevocationReceiverNotTheHub.selector, uint32(1)
            )
        );
        endpoint.deliver(revocationLane, elsewhere, message);
    }

    function test_lzReceive_withMoney_reverts() public {
        bytes memory message = registrationMessage(onHub(ENCLAVE_KEY));
        vm.deal(address(this), 2);
        vm.expectRevert(
            abi.encodeWithSelector(IBatchReceiver.BatchReceiverValueUnwanted.selector, uint256(1))
        );
        endpoint.deliver{value: 1}(receiver, origin(address(broadcaster)), message);
        message = revocationMessage(signer);
        vm.expectRevert(
            abi.encodeWithSelector(
                RevocationReceiver.RevocationReceiverValueUnwanted.selector, uint256(1)
            )
        );
        endpoint.deliver{value: 1}(revocationLane, origin(address(revocations)), message);
    }

    function test_closePath_takesNothingMore() public {
        vm.prank(GUARDIAN);
        receiver.closePath();
        bytes memory message = registrationMessage(onHub(ENCLAVE_KEY));
        vm.expectRevert(abi.encodeWithSelector(IOAppCore.NoPeer.selector, HUB_EID));
        deliver(message);
        vm.assertFalse(receiver.allowInitializePath(origin(address(broadcaster))));
    }

    function test_kinds_keepToTheirLane() public {
        bytes memory message = revocationMessage(signer);
        vm.expectRevert(
            abi.encodeWithSelector(
                CrosschainMessage.CrosschainMessageKindUnknown.selector, uint8(3)
            )
        );
        deliver(message);
        message = registrationMessage(onHub(ENCLAVE_KEY));
        vm.expectRevert(
            abi.encodeWithSelector(
                CrosschainMessage.CrosschainMessageKindUnknown.selector, uint8(2)
            )
        );
        deliverRevocation(message);
    }

    // --- the codec ---

    function testFuzz_message_anyOtherLength_reverts(uint16 length, uint8 kind) public {
        kind = uint8(bound(kind, 1, 3));
        bytes memory message = new bytes(bound(length, 0, 3_000));
        if (message.length > 0) message[0] = 0x01;
        if (message.length > 1) message[1] = bytes1(kind);
        uint256 body = message.length < 2 ? 0 : message.length - 2;
        if (kind == 1) vm.assume(body != 385);
        if (kind == 2) {
            vm.assume(body <= 192 || (body - 192) % 65 != 0 || (body - 192) / 65 > 16);
        }
        if (kind == 3) vm.assume(body == 0 || body % 20 != 0 || body / 20 > 64);
        vm.expectPartialRevert(CrosschainMessage.CrosschainMessageLengthWrong.selector);
        if (kind == 3) deliverRevocation(message);
        else deliver(message);
    }

    function testFuzz_message_anotherVersion_reverts(uint8 version) public {
        vm.assume(version != 1);
        bytes memory message = registrationMessage(onHub(ENCLAVE_KEY));
        message[0] = bytes1(version);
        vm.expectRevert(
            abi.encodeWithSelector(
                CrosschainMessage.CrosschainMessageVersionUnknown.selector, version
            )
        );
        deliver(message);
    }

    function testFuzz_codec_roundTrip(
        Registration calldata registration,
        Batch calldata batch,
        uint8 endorsements,
        address[] calldata signers
    ) public view {
        bytes memory signatures = new bytes(65 * bound(endorsements, 1, 16));
        (Registration memory read, bytes memory readSignatures) =
            codec.readRegistration(codec.registration(registration, signatures));
        vm.assertEq(keccak256(abi.encode(read)), keccak256(abi.encode(registration)));
        vm.assertEq(readSignatures, signatures);
        (Batch memory readBatch, bytes memory signature) =
            codec.readBatch(codec.batch(batch, new bytes(65)));
        vm.assertEq(keccak256(abi.encode(readBatch)), keccak256(abi.encode(batch)));
        vm.assertEq(signature.length, 65);
        if (signers.length == 0 || signers.length > 64) return;
        vm.assertEq(
            keccak256(abi.encode(codec.readRevocation(codec.revocation(signers)))),
            keccak256(abi.encode(signers))
        );
    }

    function test_registration_dirtyPadding_reverts() public {
        bytes memory message = registrationMessage(onHub(ENCLAVE_KEY));
        message[2] = 0x01;
        (bool isTaken,) = address(endpoint)
            .call(
                abi.encodeCall(endpoint.deliver, (receiver, origin(address(broadcaster)), message))
            );
        vm.assertFalse(isTaken);
    }

    // --- little gas ---

    /// @dev EIP-150 leaves 1/64 to the caller at each call. Whatever is given, a message is carried out
    /// whole or reverts whole: nothing in between is ever left behind.
    function test_littleGas_neverConsumesWithoutEffect() public {
        register();
        Batch memory batch = someBatch();
        bytes memory message = batchMessage(batch, ENCLAVE_KEY);
        bytes memory call =
            abi.encodeCall(endpoint.deliver, (receiver, origin(address(broadcaster)), message));
        bool isDone;
        uint256 tries;
        for (uint256 gas_ = 20_000; !isDone; gas_ += 1_000) {
            (isDone,) = address(endpoint).call{gas: gas_}(call);
            (uint64 head,) = spokeProofs.head(STREAM);
            vm.assertEq(uint256(head), isDone ? 1 : 0);
            ++tries;
        }
        vm.assertTrue(tries > 20, "the ladder had rungs");
    }

    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + value % (high - low + 1);
    }
}
