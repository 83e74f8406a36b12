// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IOAppCore} from "@layerzerolabs/oapp-evm/contracts/oapp/interfaces/IOAppCore.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {CrosschainMessage, Registration} from "#contracts/crosschain/CrosschainMessage.sol";
import {Destination, HubLane} from "#contracts/crosschain/HubLane.sol";
import {IBatchBroadcaster} from "#contracts/crosschain/IBatchBroadcaster.sol";
import {IRevocationBroadcaster} from "#contracts/crosschain/IRevocationBroadcaster.sol";
import {IProofRegistry} from "#contracts/proofs/IProofRegistry.sol";
import {Batch} from "#contracts/proofs/Types.sol";
import {Spoke} from "./Spoke.sol";
import {vm} from "../support/Vm.sol";

contract BroadcastersTest is Spoke {
    address internal signer;

    receive() external payable {}

    function setUp() public {
        buildSpoke();
        signer = vm.addr(ENCLAVE_KEY);
        vm.deal(address(this), 1 ether);
    }

    function to(uint32 eid, uint128 feeWei, bytes memory options)
        internal
        pure
        returns (Destination[] memory destinations)
    {
        destinations = new Destination[](1);
        destinations[0] = Destination(eid, feeWei, options);
    }

    function someBatch() internal view returns (Batch memory batch, bytes memory signature) {
        batch = nextBatch(new bytes32[](0));
        batch.reportRoot = 0;
        signature = signed(ENCLAVE_KEY, hasher.batch(batch));
    }

    function test_registration_goesOutAsTheSpokeTakesIt() public {
        bytes memory endorsements = endorsed(onHub(ENCLAVE_KEY), FIRST_ENDORSER, SECOND_ENDORSER);
        vm.expectEmit(address(broadcaster));
        emit IBatchBroadcaster.RegistrationSent(SPOKE_EID, signer, 1);
        broadcaster.broadcastRegistration{value: 1_000}(
            signer, endorsements, to(SPOKE_EID, 1_000, "")
        );
        deliver(endpoint.lastMessage());
        vm.assertEq(receiver.validStreamOf(signer), STREAM);
        (uint64 nonce, uint64 sentAt) =
            broadcaster.sentRegistration(SPOKE_EID, signer, keccak256(endorsements));
        vm.assertEq(uint256(nonce), 1);
        vm.assertEq(uint256(sentAt), block.timestamp);
        (nonce,) = broadcaster.sentRegistration(SPOKE_EID, signer, keccak256("others"));
        vm.assertEq(uint256(nonce), 0);
    }

    function test_registration_ofAKeyThatIsNotValid_reverts() public {
        bytes memory endorsements = new bytes(65);
        Destination[] memory destinations = to(SPOKE_EID, 1_000, "");
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchBroadcaster.BatchBroadcasterSignerNotValid.selector, RELAYER
            )
        );
        broadcaster.broadcastRegistration{value: 1_000}(RELAYER, endorsements, destinations);
        vm.warp(onHub(ENCLAVE_KEY).expiresAt);
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchBroadcaster.BatchBroadcasterSignerNotValid.selector, signer
            )
        );
        broadcaster.broadcastRegistration{value: 1_000}(signer, endorsements, destinations);
    }

    function test_batch_goesOutAsTheSpokeTakesIt() public {
        deliver(registrationMessage(onHub(ENCLAVE_KEY)));
        (Batch memory batch, bytes memory signature) = someBatch();
        broadcaster.broadcastBatch{value: 1_000}(batch, signature, to(SPOKE_EID, 1_000, ""));
        deliver(endpoint.lastMessage());
        (uint64 head,) = spokeProofs.head(STREAM);
        vm.assertEq(uint256(head), 1);
    }

    function test_batch_forged_isNotSent() public {
        (Batch memory batch,) = someBatch();
        bytes memory signature = signed(OTHER_KEY, hasher.batch(batch));
        Destination[] memory destinations = to(SPOKE_EID, 1_000, "");
        vm.expectRevert(
            abi.encodeWithSelector(
                IProofRegistry.ProofRegistrySignerNotValid.selector,
                vm.addr(OTHER_KEY),
                STREAM,
                bytes32(0)
            )
        );
        broadcaster.broadcastBatch{value: 1_000}(batch, signature, destinations);
    }

    function test_batches_rememberedForOneLap() public {
        for (uint256 i = 0; i < 65; ++i) {
            (Batch memory batch, bytes memory signature) = someBatch();
            broadcaster.broadcastBatch{value: 1_000}(batch, signature, to(SPOKE_EID, 1_000, ""));
            sequence = batch.sequence;
            headDigest = hasher.batch(batch);
        }
        (uint64 nonce,) = broadcaster.sentBatch(SPOKE_EID, STREAM, 1);
        vm.assertEq(uint256(nonce), 0);
        (nonce,) = broadcaster.sentBatch(SPOKE_EID, STREAM, 2);
        vm.assertEq(uint256(nonce), 2);
        (nonce,) = broadcaster.sentBatch(SPOKE_EID, STREAM, 65);
        vm.assertEq(uint256(nonce), 65);
        (nonce,) = broadcaster.sentBatch(SPOKE_EID, STREAM, 66);
        vm.assertEq(uint256(nonce), 0);
    }

    function test_revocation_ofARevokedKey_goesOut() public {
        address[] memory signers = new address[](1);
        signers[0] = signer;
        Destination[] memory destinations = to(SPOKE_EID, 1_000, "");
        vm.expectRevert(
            abi.encodeWithSelector(
                IRevocationBroadcaster.RevocationBroadcasterSignerNotRevoked.selector, signer
            )
        );
        revocations.broadcastRevocations{value: 1_000}(signers, destinations);
        enclaves.revoke(signer);
        revocations.broadcastRevocations{value: 1_000}(signers, destinations);
        deliverRevocation(endpoint.lastMessage());
        (,,,, bool isRevoked) = receiver.signerRecord(signer);
        vm.assertTrue(isRevoked);
        (uint64 nonce,) = revocations.sentRevocation(SPOKE_EID, signer);
        vm.assertEq(uint256(nonce), 1);
    }

    function test_revocation_ofARemovedImagesKey_goesOut_anUnknownOnesDoesNot() public {
        enclaves.removeImage(onHub(ENCLAVE_KEY).imageId);
        address[] memory signers = new address[](1);
        signers[0] = signer;
        revocations.broadcastRevocations{value: 1_000}(signers, to(SPOKE_EID, 1_000, ""));
        signers[0] = RELAYER;
        vm.expectRevert(
            abi.encodeWithSelector(
                IRevocationBroadcaster.RevocationBroadcasterSignerNotRevoked.selector, RELAYER
            )
        );
        revocations.broadcastRevocations{value: 1_000}(signers, to(SPOKE_EID, 1_000, ""));
    }

    function test_fees_addUpAndSurplusReturns() public {
        setPeer(address(broadcaster), 7, address(receiver));
        setFloor(address(broadcaster), 7, CrosschainMessage.BATCH, hex"0003aa");
        (Batch memory batch, bytes memory signature) = someBatch();
        Destination[] memory both = new Destination[](2);
        both[0] = Destination(SPOKE_EID, 1_500, "");
        both[1] = Destination(7, 1_000, "");
        vm.expectRevert(
            abi.encodeWithSelector(
                HubLane.HubLaneFeesDiffer.selector, uint256(2_499), uint256(2_500)
            )
        );
        broadcaster.broadcastBatch{value: 2_499}(batch, signature, both);
        uint256 before = address(this).balance;
        broadcaster.broadcastBatch{value: 2_500}(batch, signature, both);
        vm.assertEq(before - address(this).balance, 2 * endpoint.FEE());
        vm.assertEq(address(broadcaster).balance, 0);
        (uint64 nonce,) = broadcaster.sentBatch(7, STREAM, 1);
        vm.assertEq(uint256(nonce), 2);
    }

    function test_nowhere_reverts() public {
        (Batch memory batch, bytes memory signature) = someBatch();
        Destination[] memory none = new Destination[](0);
        vm.expectRevert(HubLane.HubLaneNoDestination.selector);
        broadcaster.broadcastBatch(batch, signature, none);
    }

    function test_withoutAGasFloor_reverts() public {
        setPeer(address(broadcaster), 7, address(receiver));
        (Batch memory batch, bytes memory signature) = someBatch();
        Destination[] memory destinations = to(7, 1_000, hex"0003aa");
        vm.expectRevert(
            abi.encodeWithSelector(
                HubLane.HubLaneNoGasFloor.selector, uint32(7), CrosschainMessage.BATCH
            )
        );
        broadcaster.broadcastBatch{value: 1_000}(batch, signature, destinations);
    }

    function test_options_standOnTopOfTheFloor() public {
        (Batch memory batch, bytes memory signature) = someBatch();
        broadcaster.broadcastBatch{value: 1_000}(
            batch, signature, to(SPOKE_EID, 1_000, hex"0003dd")
        );
        vm.assertEq(endpoint.lastOptions(), hex"0003aadd");
        vm.assertEq(broadcaster.quoteBatch(batch, signature, SPOKE_EID, hex"0003dd"), 1_000);
    }

    function test_withoutAPeer_reverts() public {
        setFloor(address(broadcaster), 7, CrosschainMessage.BATCH, hex"0003aa");
        (Batch memory batch, bytes memory signature) = someBatch();
        Destination[] memory destinations = to(7, 1_000, "");
        vm.expectRevert(abi.encodeWithSelector(IOAppCore.NoPeer.selector, uint32(7)));
        broadcaster.broadcastBatch{value: 1_000}(batch, signature, destinations);
    }

    function test_configuration_throughTheAuthorityAlone() public {
        vm.assertEq(broadcaster.owner(), address(authority));
        vm.assertEq(receiver.owner(), address(authority));
        vm.assertEq(revocationLane.owner(), address(authority));
        vm.expectRevert(
            abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this))
        );
        broadcaster.setPeer(7, bytes32(uint256(1)));
        vm.expectRevert(
            abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this))
        );
        receiver.setDelegate(address(this));
    }
}
