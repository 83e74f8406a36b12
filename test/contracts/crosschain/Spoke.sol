// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    MessagingFee,
    MessagingParams,
    MessagingReceipt,
    Origin
} from "@layerzerolabs/lz-evm-protocol-v2/contracts/interfaces/ILayerZeroEndpointV2.sol";
import {
    EnforcedOptionParam
} from "@layerzerolabs/oapp-evm/contracts/oapp/interfaces/IOAppOptionsType3.sol";
import {OAppReceiver} from "@layerzerolabs/oapp-evm/contracts/oapp/OAppReceiver.sol";
import {BatchBroadcaster} from "#contracts/crosschain/BatchBroadcaster.sol";
import {BatchReceiver} from "#contracts/crosschain/BatchReceiver.sol";
import {CrosschainMessage, Registration} from "#contracts/crosschain/CrosschainMessage.sol";
import {RevocationBroadcaster} from "#contracts/crosschain/RevocationBroadcaster.sol";
import {RevocationReceiver} from "#contracts/crosschain/RevocationReceiver.sol";
import {ProofRegistry} from "#contracts/proofs/ProofRegistry.sol";
import {Batch} from "#contracts/proofs/Types.sol";
import {World} from "../support/World.sol";
import {vm} from "../support/Vm.sol";

/// @notice Where LayerZero's endpoint would stand, under the test's control: it hands over whatever it
/// is told to, as one that is verified by nobody would. `test/localnet/layerzero.test.ts` has the real one.
contract LooseEndpoint {
    uint256 public constant FEE = 1_000;

    uint64 public lastNonce;
    bytes public lastMessage;
    bytes public lastOptions;

    function setDelegate(address) external {}

    function deliver(OAppReceiver receiver, Origin calldata origin, bytes calldata message)
        external
        payable
    {
        receiver.lzReceive{value: msg.value}(origin, keccak256(message), message, msg.sender, "");
    }

    function quote(MessagingParams calldata, address) external pure returns (MessagingFee memory) {
        return MessagingFee(FEE, 0);
    }

    function send(MessagingParams calldata params, address refundAddress)
        external
        payable
        returns (MessagingReceipt memory)
    {
        require(msg.value >= FEE, "short of the fee");
        lastMessage = params.message;
        lastOptions = params.options;
        (bool isPaid,) = refundAddress.call{value: msg.value - FEE}("");
        require(isPaid, "refund refused");
        return MessagingReceipt(keccak256(params.message), ++lastNonce, MessagingFee(FEE, 0));
    }
}

/// @notice The codec from outside.
contract Codec {
    function registration(Registration calldata value, bytes calldata endorsements)
        external
        pure
        returns (bytes memory)
    {
        return CrosschainMessage.encodeRegistration(value, endorsements);
    }

    function batch(Batch calldata value, bytes calldata signature)
        external
        pure
        returns (bytes memory)
    {
        return CrosschainMessage.encodeBatch(value, signature);
    }

    function revocation(address[] calldata signers) external pure returns (bytes memory) {
        return CrosschainMessage.encodeRevocation(signers);
    }

    function readRegistration(bytes calldata message)
        external
        pure
        returns (Registration memory, bytes memory)
    {
        return CrosschainMessage.registrationOf(message);
    }

    function readBatch(bytes calldata message) external pure returns (Batch memory, bytes memory) {
        return CrosschainMessage.batchOf(message);
    }

    function readRevocation(bytes calldata message) external pure returns (address[] memory) {
        return CrosschainMessage.revocationOf(message);
    }

    function endorsement(uint256 chainId, address registry, Registration calldata value)
        external
        pure
        returns (bytes32)
    {
        return CrosschainMessage.endorsementDigest(chainId, registry, value);
    }
}

/// @notice A hub and a spoke of it, in one chain: they meet in messages only.
abstract contract Spoke is World {
    uint32 internal constant HUB_EID = 30_101;
    uint32 internal constant SPOKE_EID = 30_184;
    uint256 internal constant FIRST_ENDORSER = 0xE1;
    uint256 internal constant SECOND_ENDORSER = 0xE2;
    uint256 internal constant THIRD_ENDORSER = 0xE3;
    address internal constant GUARDIAN = address(0x60A4D);

    LooseEndpoint internal endpoint;
    Codec internal codec;
    BatchBroadcaster internal broadcaster;
    RevocationBroadcaster internal revocations;
    BatchReceiver internal receiver;
    RevocationReceiver internal revocationLane;
    ProofRegistry internal spokeProofs;

    function buildSpoke() internal {
        build();
        endpoint = new LooseEndpoint();
        codec = new Codec();
        broadcaster = new BatchBroadcaster(address(endpoint), address(authority), enclaves, proofs);
        revocations = new RevocationBroadcaster(address(endpoint), address(authority), enclaves);
        address[] memory endorsers = new address[](3);
        endorsers[0] = vm.addr(FIRST_ENDORSER);
        endorsers[1] = vm.addr(SECOND_ENDORSER);
        endorsers[2] = vm.addr(THIRD_ENDORSER);
        receiver = new BatchReceiver(setup(2), endorsers);
        revocationLane = receiver.REVOCATIONS();
        spokeProofs = ProofRegistry(address(receiver.PROOFS()));

        setPeer(address(broadcaster), SPOKE_EID, address(receiver));
        setPeer(address(revocations), SPOKE_EID, address(revocationLane));
        setPeer(address(receiver), HUB_EID, address(broadcaster));
        setPeer(address(revocationLane), HUB_EID, address(revocations));
        setFloor(address(broadcaster), SPOKE_EID, CrosschainMessage.BATCH, hex"0003aa");
        setFloor(address(broadcaster), SPOKE_EID, CrosschainMessage.REGISTRATION, hex"0003bb");
        setFloor(address(revocations), SPOKE_EID, CrosschainMessage.REVOCATION, hex"0003cc");

        bytes4[] memory selectors = new bytes4[](3);
        selectors[0] = BatchReceiver.revoke.selector;
        selectors[1] = BatchReceiver.removeEndorser.selector;
        selectors[2] = BatchReceiver.closePath.selector;
        authority.setTargetFunctionRole(address(receiver), selectors, 1);
        authority.grantRole(1, GUARDIAN, 0);
    }

    function setup(uint8 threshold) internal view returns (BatchReceiver.Setup memory) {
        return BatchReceiver.Setup({
            endpoint: address(endpoint),
            authority: address(authority),
            hubEid: HUB_EID,
            threshold: threshold,
            hubChainId: CHAIN,
            hubRegistry: address(enclaves),
            additionDelaySeconds: 2 days,
            maxBatchAgeSeconds: 30 days
        });
    }

    function setPeer(address app, uint32 eid, address peer) internal {
        authority.execute(
            app,
            abi.encodeWithSignature("setPeer(uint32,bytes32)", eid, bytes32(uint256(uint160(peer))))
        );
    }

    function setFloor(address app, uint32 eid, uint16 kind, bytes memory options) internal {
        EnforcedOptionParam[] memory params = new EnforcedOptionParam[](1);
        params[0] = EnforcedOptionParam(eid, kind, options);
        authority.execute(
            app, abi.encodeWithSignature("setEnforcedOptions((uint32,uint16,bytes)[])", params)
        );
    }

    function origin(address sender) internal pure returns (Origin memory) {
        return Origin(HUB_EID, bytes32(uint256(uint160(sender))), 1);
    }

    function deliver(bytes memory message) internal {
        endpoint.deliver(receiver, origin(address(broadcaster)), message);
    }

    function deliverRevocation(bytes memory message) internal {
        endpoint.deliver(revocationLane, origin(address(revocations)), message);
    }

    /// @dev What the hub holds of a key.
    function onHub(uint256 key) internal view returns (Registration memory) {
        address signer = vm.addr(key);
        (bytes32 stream, bytes32 imageId, uint64 expiresAt) = enclaves.signerStatus(signer);
        (,, bytes16 ppid, uint64 attestedAt,) = enclaves.signerRecord(signer);
        return Registration(signer, stream, imageId, ppid, attestedAt, expiresAt);
    }

    /// @dev Endorsements by two keys, in the order of their addresses.
    function endorsed(Registration memory registration, uint256 first, uint256 second)
        internal
        view
        returns (bytes memory)
    {
        if (vm.addr(first) > vm.addr(second)) (first, second) = (second, first);
        bytes32 digest = codec.endorsement(CHAIN, address(enclaves), registration);
        return bytes.concat(signed(first, digest), signed(second, digest));
    }

    function registrationMessage(Registration memory registration)
        internal
        view
        returns (bytes memory)
    {
        return codec.registration(
            registration, endorsed(registration, FIRST_ENDORSER, SECOND_ENDORSER)
        );
    }

    function revocationMessage(address signer) internal view returns (bytes memory) {
        address[] memory signers = new address[](1);
        signers[0] = signer;
        return codec.revocation(signers);
    }

    function batchMessage(Batch memory batch, uint256 key) internal view returns (bytes memory) {
        return codec.batch(batch, signed(key, hasher.batch(batch)));
    }
}
