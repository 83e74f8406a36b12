// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {OAppCore} from "@layerzerolabs/oapp-evm/contracts/oapp/OAppCore.sol";
import {OAppReceiver, Origin} from "@layerzerolabs/oapp-evm/contracts/oapp/OAppReceiver.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IEnclaveRegistry} from "../attestation/IEnclaveRegistry.sol";
import {IProofRegistry} from "../proofs/IProofRegistry.sol";
import {ProofRegistry} from "../proofs/ProofRegistry.sol";
import {TypedData} from "../proofs/TypedData.sol";
import {Batch} from "../proofs/Types.sol";
import {CrosschainMessage, Registration} from "./CrosschainMessage.sol";
import {IBatchReceiver} from "./IBatchReceiver.sol";
import {RevocationReceiver} from "./RevocationReceiver.sol";

/// @title BatchReceiver
/// @notice On a spoke: keys attested on the hub, and the batches they sign, by LayerZero. What settles
/// here asks the same {ProofRegistry} as everywhere, which asks this table instead of a registry.
/// @dev Nothing in the message path is caught: what fails reverts as a whole, so however little gas an
/// executor gives (63/64 rule, EIP-150), a message is either carried out or still with the endpoint.
contract BatchReceiver is IBatchReceiver, OAppReceiver, AccessManaged {
    /// @dev Third slot of a record: 16 + 6 + 6 + 1 bytes.
    struct Record {
        bytes32 stream;
        bytes32 imageId;
        bytes16 ppid;
        uint48 attestedAt;
        uint48 expiresAt;
        /// Never cleared, whatever comes later or twice.
        bool isRevoked;
    }

    /// @notice How this receiver is set up.
    /// @param endpoint LayerZero's endpoint on this chain.
    /// @param authority AccessManager that owns this contract and configures its paths.
    /// @param hubEid LayerZero's id of the hub.
    /// @param threshold Endorsements that a registration needs.
    /// @param hubChainId Chain id of the hub.
    /// @param hubRegistry Enclave registry of the hub.
    /// @param additionDelaySeconds Delay between listing an endorser and its counting.
    /// @param maxBatchAgeSeconds How old a batch may be when it is anchored.
    struct Setup {
        address endpoint;
        address authority;
        uint32 hubEid;
        uint8 threshold;
        uint256 hubChainId;
        address hubRegistry;
        uint256 additionDelaySeconds;
        uint256 maxBatchAgeSeconds;
    }

    /// @notice Longest time that a key stays valid on one quote, as on the hub.
    uint256 public constant MAX_KEY_LIFE_SECONDS = 7 days;

    /// @notice How far the hub's clock may be ahead of this chain.
    uint256 public constant MAX_CLOCK_SKEW_SECONDS = 15 minutes;

    /// @inheritdoc IBatchReceiver
    IProofRegistry public immutable PROOFS;

    /// @notice The lane of revocations, a path of its own.
    RevocationReceiver public immutable REVOCATIONS;

    /// @notice LayerZero's id of the hub.
    uint32 public immutable HUB_EID;

    /// @notice Chain id of the hub.
    uint256 public immutable HUB_CHAIN_ID;

    /// @notice Enclave registry of the hub, which endorsers read.
    address public immutable HUB_REGISTRY;

    /// @notice Endorsements that a registration needs; another number means another receiver.
    uint256 public immutable THRESHOLD;

    /// @notice Seconds between putting an endorser on the list and its counting.
    uint256 public immutable ADDITION_DELAY_SECONDS;

    mapping(address signer => Record) private _records;
    mapping(address endorser => uint64) private _endorsers;

    /// @param setup How this receiver is set up.
    /// @param endorsers Endorsers that count from the start: nobody relies on this receiver yet.
    constructor(Setup memory setup, address[] memory endorsers)
        OAppCore(setup.endpoint, setup.authority)
        Ownable(setup.authority)
        AccessManaged(setup.authority)
    {
        if (setup.threshold == 0 || setup.threshold > endorsers.length) {
            revert BatchReceiverThresholdWrong(setup.threshold, endorsers.length);
        }
        HUB_EID = setup.hubEid;
        HUB_CHAIN_ID = setup.hubChainId;
        HUB_REGISTRY = setup.hubRegistry;
        THRESHOLD = setup.threshold;
        ADDITION_DELAY_SECONDS = setup.additionDelaySeconds;
        // The registry asks `validStreamOf` and `signerRecord` and no more, and this table answers both.
        PROOFS = new ProofRegistry(IEnclaveRegistry(address(this)), setup.maxBatchAgeSeconds);
        REVOCATIONS = new RevocationReceiver(setup.endpoint, setup.authority, setup.hubEid);
        for (uint256 i = 0; i < endorsers.length; ++i) {
            _list(endorsers[i], SafeCast.toUint64(block.timestamp));
        }
    }

    /// @inheritdoc IBatchReceiver
    function revokeByMessage(address[] calldata signers) external returns (uint256 changed) {
        if (msg.sender != address(REVOCATIONS)) {
            revert BatchReceiverOnlyRevocationLane(msg.sender);
        }
        for (uint256 i = 0; i < signers.length; ++i) {
            if (_revoke(signers[i])) ++changed;
        }
    }

    /// @inheritdoc IBatchReceiver
    function revoke(address signer) external restricted {
        if (!_revoke(signer)) revert BatchReceiverSignerRevoked(signer);
    }

    /// @inheritdoc IBatchReceiver
    function addEndorser(address endorser) external restricted {
        _list(endorser, SafeCast.toUint64(block.timestamp + ADDITION_DELAY_SECONDS));
    }

    /// @inheritdoc IBatchReceiver
    function removeEndorser(address endorser) external restricted {
        if (_endorsers[endorser] == 0) revert BatchReceiverEndorserUnknown(endorser);
        _endorsers[endorser] = 0;
        emit EndorserRemoved(endorser);
    }

    /// @inheritdoc IBatchReceiver
    function closePath() external restricted {
        _setPeer(HUB_EID, 0);
    }

    /// @inheritdoc IBatchReceiver
    function signerStatus(address signer)
        external
        view
        returns (bytes32 stream, bytes32 imageId, uint64 expiresAt)
    {
        Record storage record = _records[signer];
        if (record.isRevoked) return (0, 0, 0);
        return (record.stream, record.imageId, record.expiresAt);
    }

    /// @inheritdoc IBatchReceiver
    function validStreamOf(address signer) external view returns (bytes32 stream) {
        Record storage record = _records[signer];
        if (block.timestamp < record.expiresAt && !record.isRevoked) stream = record.stream;
    }

    /// @inheritdoc IBatchReceiver
    function signerRecord(address signer)
        external
        view
        returns (bytes32 stream, bytes32 imageId, bytes16 ppid, uint64 attestedAt, bool isRevoked)
    {
        Record storage record = _records[signer];
        return (record.stream, record.imageId, record.ppid, record.attestedAt, record.isRevoked);
    }

    /// @inheritdoc IBatchReceiver
    function endorserActiveFrom(address endorser) external view returns (uint64 activeFrom) {
        return _endorsers[endorser];
    }

    function _lzReceive(
        Origin calldata origin,
        bytes32 guid,
        bytes calldata message,
        address,
        bytes calldata
    ) internal override {
        if (msg.value != 0) revert BatchReceiverValueUnwanted(msg.value);
        if (origin.srcEid != HUB_EID) revert BatchReceiverNotTheHub(origin.srcEid);
        uint8 kind = CrosschainMessage.kindOf(message);
        bool isRedundant;
        if (kind == CrosschainMessage.BATCH) {
            isRedundant = _commit(message);
        } else if (kind == CrosschainMessage.REGISTRATION) {
            isRedundant = _register(message);
        } else {
            revert CrosschainMessage.CrosschainMessageKindUnknown(kind);
        }
        if (isRedundant) emit MessageRedundant(guid);
    }

    /// @dev A batch at or below the head can change nothing any more: anchored by whoever brought it
    /// first, or left out for good. Only another batch for the head's own place is refused, so that the
    /// message stays as proof. Everything else is the registry's to say, first of all the signature.
    function _commit(bytes calldata message) private returns (bool isRedundant) {
        (Batch calldata batch, bytes calldata signature) = CrosschainMessage.batchOf(message);
        (uint64 sequence, bytes32 digest) = PROOFS.head(batch.stream);
        if (batch.sequence < sequence) return true;
        if (batch.sequence == sequence && sequence != 0) {
            bytes32 named = TypedData.digest(batch);
            if (named == digest) return true;
            revert IProofRegistry.ProofRegistryFork(batch.stream, sequence, digest, named);
        }
        PROOFS.commit(batch, signature);
    }

    /// @dev Endorsements first: without them nothing about a message is worth reading.
    function _register(bytes calldata message) private returns (bool isRedundant) {
        (Registration memory wanted, bytes calldata endorsements) =
            CrosschainMessage.registrationOf(message);
        _checkEndorsements(wanted, endorsements);
        if (wanted.signer == address(0) || wanted.stream == 0 || wanted.attestedAt == 0) {
            revert BatchReceiverIncomplete();
        }
        if (
            wanted.expiresAt <= block.timestamp
                || wanted.attestedAt > block.timestamp + MAX_CLOCK_SKEW_SECONDS
        ) {
            revert BatchReceiverOutOfTime(wanted.attestedAt, wanted.expiresAt, block.timestamp);
        }
        // The first of the two also keeps the difference from wrapping.
        if (
            wanted.expiresAt < wanted.attestedAt
                || wanted.expiresAt - wanted.attestedAt > MAX_KEY_LIFE_SECONDS
        ) {
            revert BatchReceiverLifeTooLong(wanted.attestedAt, wanted.expiresAt);
        }
        Record storage record = _records[wanted.signer];
        if (record.isRevoked) revert BatchReceiverSignerRevoked(wanted.signer);
        if (record.attestedAt != 0) {
            if (record.stream != wanted.stream || record.imageId != wanted.imageId) {
                revert BatchReceiverSignerBound(wanted.signer, record.stream, record.imageId);
            }
            // Messages of one path may be carried out in any order: an older one says less.
            if (wanted.attestedAt <= record.attestedAt) return true;
        } else {
            record.stream = wanted.stream;
            record.imageId = wanted.imageId;
        }
        record.ppid = wanted.ppid;
        record.attestedAt = SafeCast.toUint48(wanted.attestedAt);
        record.expiresAt = SafeCast.toUint48(wanted.expiresAt);
        emit EnclaveRegistered(wanted.signer, wanted.stream, wanted.imageId, wanted.expiresAt);
    }

    function _checkEndorsements(Registration memory registration, bytes calldata endorsements)
        private
        view
    {
        bytes32 digest =
            CrosschainMessage.endorsementDigest(HUB_CHAIN_ID, HUB_REGISTRY, registration);
        uint256 counted;
        address previous;
        uint256 length = CrosschainMessage.SIGNATURE_LENGTH;
        for (uint256 start = 0; start < endorsements.length; start += length) {
            address endorser = ECDSA.recoverCalldata(digest, endorsements[start:start + length]);
            if (endorser <= previous) {
                revert BatchReceiverEndorsementsUnordered(previous, endorser);
            }
            previous = endorser;
            // One message serves many spokes, each with endorsers of its own: strangers are passed over.
            uint64 activeFrom = _endorsers[endorser];
            if (activeFrom != 0 && activeFrom <= block.timestamp) ++counted;
        }
        if (counted < THRESHOLD) revert BatchReceiverTooFewEndorsements(counted, THRESHOLD);
    }

    /// @dev A key that was never heard of is marked too: its registration may still be under way.
    function _revoke(address signer) private returns (bool isNew) {
        Record storage record = _records[signer];
        if (record.isRevoked) return false;
        record.isRevoked = true;
        emit EnclaveRevoked(signer);
        return true;
    }

    function _list(address endorser, uint64 activeFrom) private {
        if (endorser == address(0)) revert BatchReceiverEndorserUnknown(endorser);
        if (_endorsers[endorser] != 0) revert BatchReceiverEndorserListed(endorser);
        _endorsers[endorser] = activeFrom;
        emit EndorserAdded(endorser, activeFrom);
    }
}
