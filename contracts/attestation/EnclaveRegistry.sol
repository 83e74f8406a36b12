// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {STATEMENT_VERSION, Statement} from "../proofs/Types.sol";
import {TypedData} from "../proofs/TypedData.sol";
import {IEnclaveRegistry} from "./IEnclaveRegistry.sol";
import {IQuoteVerifier} from "./IQuoteVerifier.sol";
import {TCB_UP_TO_DATE} from "./TcbStatus.sol";

/// @title EnclaveRegistry
/// @notice Registers keys on the evidence of quotes, and forgets them in time.
/// @dev No role can make a key valid: a key enters by a quote that verifies, of an image that has
/// been allowed for as long as the addition delay. Roles (AccessManager) decide which images are
/// welcome, slowly, and which images, platforms and keys no longer are, at once.
contract EnclaveRegistry is IEnclaveRegistry, AccessManaged {
    /// @dev Second slot of a record is exactly full: 16 + 6 + 6 + 4 bytes.
    struct Record {
        bytes32 stream;
        bytes16 ppid;
        /// Unix seconds of the last successful registration; an image allowed later does not cover it.
        uint48 attestedAt;
        /// Zero once revoked.
        uint48 expiresAt;
        uint32 image;
    }

    struct Image {
        bytes32 imageId;
        /// Zero when it is not on the list.
        uint48 activeFrom;
    }

    struct Appraisal {
        uint16 acceptedTcbStatuses;
        uint32 evaluationNumberFloor;
        bool requiresAllowedPlatform;
    }

    /// @notice Longest time that a key stays valid on one quote.
    uint256 public constant MAX_KEY_LIFE_SECONDS = 7 days;

    /// @notice Verifier of quotes; replacing it means a new registry.
    IQuoteVerifier public immutable QUOTE_VERIFIER;

    /// @notice Seconds between putting an image on the list and its being allowed.
    uint256 public immutable IMAGE_DELAY_SECONDS;

    /// @notice What a quote must show.
    Appraisal public appraisal;

    /// @notice Platforms whose quotes are refused.
    mapping(bytes16 ppid => bool) public isPlatformDenied;

    /// @notice Platforms on the list; it applies while the appraisal requires it.
    mapping(bytes16 ppid => bool) public isPlatformAllowed;

    mapping(address signer => Record) private _records;
    mapping(uint32 index => Image) private _images;
    mapping(bytes32 imageId => uint32 index) private _imageIndex;
    uint32 private _imageCount;

    /// @param quoteVerifier Verifier of quotes.
    /// @param manager AccessManager that holds the roles.
    /// @param imageDelaySeconds Delay between listing an image and its being allowed.
    /// @param imageIds Images allowed from the start: nobody relies on this registry yet.
    constructor(
        IQuoteVerifier quoteVerifier,
        address manager,
        uint256 imageDelaySeconds,
        bytes32[] memory imageIds
    ) AccessManaged(manager) {
        QUOTE_VERIFIER = quoteVerifier;
        IMAGE_DELAY_SECONDS = imageDelaySeconds;
        _setAppraisal(Appraisal(uint16(1) << TCB_UP_TO_DATE, 0, false));
        for (uint256 i = 0; i < imageIds.length; ++i) {
            _list(imageIds[i], SafeCast.toUint48(block.timestamp));
        }
    }

    /// @inheritdoc IEnclaveRegistry
    function register(
        Statement calldata statement,
        uint64 blockNumber,
        bytes calldata possession,
        bytes calldata evidence
    ) external {
        bytes32 structHash = _checkStatement(statement, possession);
        IQuoteVerifier.QuoteClaims memory claims = QUOTE_VERIFIER.verifyQuote(evidence);
        if (claims.reportDataHigh != structHash) {
            revert EnclaveRegistryStatementMismatch(claims.reportDataHigh, structHash);
        }
        _checkFreshness(blockNumber, claims.reportDataLow);
        uint32 image = _checkImage(claims.imageId);
        _checkPlatform(claims);
        _record(statement, claims, image, _expiry(claims.validUntil));
    }

    /// @inheritdoc IEnclaveRegistry
    function revoke(address signer) external restricted {
        Record storage record = _records[signer];
        if (record.attestedAt == 0) revert EnclaveRegistrySignerUnknown(signer);
        if (record.expiresAt == 0) revert EnclaveRegistrySignerRevoked(signer);
        record.expiresAt = 0;
        emit EnclaveRevoked(signer);
    }

    /// @inheritdoc IEnclaveRegistry
    function allowImage(bytes32 imageId) external restricted {
        _list(imageId, SafeCast.toUint48(block.timestamp + IMAGE_DELAY_SECONDS));
    }

    /// @inheritdoc IEnclaveRegistry
    function removeImage(bytes32 imageId) external restricted {
        uint32 index = _imageIndex[imageId];
        if (index == 0 || _images[index].activeFrom == 0) {
            revert EnclaveRegistryImageUnknown(imageId);
        }
        _images[index].activeFrom = 0;
        emit ImageRemoved(imageId);
    }

    /// @inheritdoc IEnclaveRegistry
    function setPlatformDenied(bytes16 ppid, bool isDenied) external restricted {
        isPlatformDenied[ppid] = isDenied;
        emit PlatformDenied(ppid, isDenied);
    }

    /// @inheritdoc IEnclaveRegistry
    function setPlatformAllowed(bytes16 ppid, bool isAllowed) external restricted {
        isPlatformAllowed[ppid] = isAllowed;
        emit PlatformAllowed(ppid, isAllowed);
    }

    /// @inheritdoc IEnclaveRegistry
    function setAppraisal(
        uint16 acceptedTcbStatuses,
        uint32 evaluationNumberFloor,
        bool requiresAllowedPlatform
    ) external restricted {
        _setAppraisal(
            Appraisal(acceptedTcbStatuses, evaluationNumberFloor, requiresAllowedPlatform)
        );
    }

    /// @inheritdoc IEnclaveRegistry
    function tightenAppraisal(
        uint16 acceptedTcbStatuses,
        uint32 evaluationNumberFloor,
        bool requiresAllowedPlatform
    ) external restricted {
        Appraisal memory current = appraisal;
        if (
            acceptedTcbStatuses & ~current.acceptedTcbStatuses != 0
                || evaluationNumberFloor < current.evaluationNumberFloor
                || (current.requiresAllowedPlatform && !requiresAllowedPlatform)
        ) {
            revert EnclaveRegistryAppraisalLoosened(
                acceptedTcbStatuses, evaluationNumberFloor, requiresAllowedPlatform
            );
        }
        _setAppraisal(
            Appraisal(acceptedTcbStatuses, evaluationNumberFloor, requiresAllowedPlatform)
        );
    }

    /// @inheritdoc IEnclaveRegistry
    function signerStatus(address signer)
        external
        view
        returns (bytes32 stream, bytes32 imageId, uint64 expiresAt)
    {
        Record storage record = _records[signer];
        if (!_isCovered(record)) return (0, 0, 0);
        return (record.stream, _images[record.image].imageId, record.expiresAt);
    }

    /// @inheritdoc IEnclaveRegistry
    function validStreamOf(address signer) external view returns (bytes32 stream) {
        Record storage record = _records[signer];
        if (block.timestamp < record.expiresAt && _isCovered(record)) stream = record.stream;
    }

    /// @inheritdoc IEnclaveRegistry
    function signerRecord(address signer)
        external
        view
        returns (bytes32 stream, bytes32 imageId, bytes16 ppid, uint64 attestedAt, bool isRevoked)
    {
        Record storage record = _records[signer];
        attestedAt = record.attestedAt;
        return (
            record.stream,
            _images[record.image].imageId,
            record.ppid,
            attestedAt,
            attestedAt != 0 && record.expiresAt == 0
        );
    }

    /// @inheritdoc IEnclaveRegistry
    function imageActiveFrom(bytes32 imageId) external view returns (uint64 activeFrom) {
        return _images[_imageIndex[imageId]].activeFrom;
    }

    /// @dev Whether a record is not revoked and its image is still the one allowed when it was made.
    function _isCovered(Record storage record) private view returns (bool) {
        uint48 activeFrom = _images[record.image].activeFrom;
        return record.expiresAt != 0 && activeFrom != 0 && record.attestedAt >= activeFrom;
    }

    function _checkStatement(Statement calldata statement, bytes calldata possession)
        private
        view
        returns (bytes32 structHash)
    {
        if (statement.version != STATEMENT_VERSION) {
            revert EnclaveRegistryVersionUnknown(statement.version);
        }
        if (statement.anchorChainId != block.chainid) {
            revert EnclaveRegistryWrongChain(statement.anchorChainId, block.chainid);
        }
        if (statement.registry != address(this)) {
            revert EnclaveRegistryWrongRegistry(statement.registry, address(this));
        }
        if (statement.stream == 0) revert EnclaveRegistryStreamMissing();
        structHash = TypedData.hash(statement);
        // Refuses high s, wrong lengths and the zero address: one signature, one form.
        address recovered = ECDSA.recover(TypedData.signingDigest(structHash), possession);
        if (recovered != statement.signer) {
            revert EnclaveRegistryPossessionUnproven(statement.signer, recovered);
        }
    }

    /// @dev A TDX quote holds no time. The hash of a block says that it was not made before it, and
    /// this chain remembers the last 8191 (EIP-2935), so an old quote cannot be registered again.
    function _checkFreshness(uint64 blockNumber, bytes32 quoted) private view {
        bytes32 actual = Blockhash.blockHash(blockNumber);
        if (actual == 0) revert EnclaveRegistryBlockUnknown(blockNumber, block.number);
        if (quoted != actual) revert EnclaveRegistryBlockMismatch(quoted, actual);
    }

    function _checkImage(bytes32 imageId) private view returns (uint32 index) {
        index = _imageIndex[imageId];
        uint48 activeFrom = _images[index].activeFrom;
        if (index == 0 || activeFrom == 0 || block.timestamp < activeFrom) {
            revert EnclaveRegistryImageNotAllowed(imageId, activeFrom);
        }
    }

    function _checkPlatform(IQuoteVerifier.QuoteClaims memory claims) private view {
        if (isPlatformDenied[claims.ppid]) revert EnclaveRegistryPlatformDenied(claims.ppid);
        Appraisal memory wanted = appraisal;
        if (wanted.requiresAllowedPlatform && !isPlatformAllowed[claims.ppid]) {
            revert EnclaveRegistryPlatformNotAllowed(claims.ppid);
        }
        // A status beyond bit 15 shifts out of the mask and is refused.
        if (uint256(wanted.acceptedTcbStatuses) >> claims.tcbStatus & 1 == 0) {
            revert EnclaveRegistryTcbStatusRefused(claims.tcbStatus, wanted.acceptedTcbStatuses);
        }
        if (claims.evaluationNumber < wanted.evaluationNumberFloor) {
            revert EnclaveRegistryEvaluationTooOld(
                claims.evaluationNumber, wanted.evaluationNumberFloor
            );
        }
    }

    function _expiry(uint64 validUntil) private view returns (uint48) {
        if (validUntil <= block.timestamp) {
            revert EnclaveRegistryCollateralExpired(validUntil, block.timestamp);
        }
        uint256 expiresAt = block.timestamp + MAX_KEY_LIFE_SECONDS;
        return SafeCast.toUint48(validUntil < expiresAt ? validUntil : expiresAt);
    }

    function _record(
        Statement calldata statement,
        IQuoteVerifier.QuoteClaims memory claims,
        uint32 image,
        uint48 expiresAt
    ) private {
        address signer = statement.signer;
        Record storage record = _records[signer];
        if (record.attestedAt == 0) {
            record.stream = statement.stream;
        } else {
            if (record.expiresAt == 0) revert EnclaveRegistrySignerRevoked(signer);
            if (record.stream != statement.stream || record.image != image) {
                revert EnclaveRegistrySignerBound(
                    signer, record.stream, _images[record.image].imageId
                );
            }
        }
        record.ppid = claims.ppid;
        record.attestedAt = SafeCast.toUint48(block.timestamp);
        record.expiresAt = expiresAt;
        record.image = image;
        emit EnclaveRegistered(signer, statement.stream, claims.imageId, expiresAt);
        emit EnclaveAttested(
            signer,
            claims.ppid,
            claims.tcbStatus,
            claims.evaluationNumber,
            statement.ed25519PublicKey,
            statement.release
        );
    }

    function _list(bytes32 imageId, uint48 activeFrom) private {
        uint32 index = _imageIndex[imageId];
        if (index == 0) {
            index = ++_imageCount;
            _imageIndex[imageId] = index;
            _images[index].imageId = imageId;
        } else if (_images[index].activeFrom != 0) {
            revert EnclaveRegistryImageListed(imageId, _images[index].activeFrom);
        }
        _images[index].activeFrom = activeFrom;
        emit ImageAllowed(imageId, activeFrom);
    }

    function _setAppraisal(Appraisal memory next) private {
        appraisal = next;
        emit AppraisalChanged(
            next.acceptedTcbStatuses, next.evaluationNumberFloor, next.requiresAllowedPlatform
        );
    }
}
