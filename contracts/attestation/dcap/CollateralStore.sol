// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {Bytecraft} from "./Bytecraft.sol";
import {Crl} from "./Crl.sol";
import {DocumentReader} from "./DocumentReader.sol";
import {ICollateralStore} from "./ICollateralStore.sol";
import {P256Signatures} from "./P256Signatures.sol";
import {QeIdentity} from "./QeIdentity.sol";
import {Records} from "./Records.sol";
import {TcbInfo} from "./TcbInfo.sol";
import {X509} from "./X509.sol";

/// @title CollateralStore
/// @notice Keeps Intel's collateral, verified against one pinned root. It has no owner.
/// @dev Dates are checked twice: an item must be in force when it is uploaded, and nothing that an answer
/// rests on may have expired when it is asked for. (What was in force once has begun for ever, since
/// time on chain does not go back.)
contract CollateralStore is ICollateralStore, P256Signatures {
    /// @dev Exactly one slot. The list of the root is empty in practice, so its serials are kept in a
    /// mapping, by generation of the list, and `hasRevocations` says whether to look there at all.
    struct Root {
        uint40 notBefore;
        uint40 notAfter;
        uint40 crlThisUpdate;
        uint40 crlNextUpdate;
        uint32 crlGeneration;
        bool hasRevocations;
    }

    /// @dev Certificate of an authority; read when a list of its arrives, not when a quote does.
    struct Certified {
        bytes32 x;
        bytes32 y;
        uint160 serial;
        uint40 notBefore;
        uint40 notAfter;
    }

    /// @dev Exactly one slot. `validUntil` is the document's own end or that of the certificate above it,
    /// whichever comes first; only when it has passed is the record asked which of them it was.
    struct Document {
        address record;
        uint40 issueDate;
        uint40 validUntil;
        uint16 evaluationNumber;
    }

    /// @inheritdoc ICollateralStore
    bytes32 public immutable rootFingerprint;

    bytes32 private constant ROOT_NAME = keccak256("Intel SGX Root CA");
    bytes32 private constant PLATFORM_CA_NAME = keccak256("Intel SGX PCK Platform CA");
    bytes32 private constant PROCESSOR_CA_NAME = keccak256("Intel SGX PCK Processor CA");
    bytes32 private constant TCB_SIGNING_NAME = keccak256("Intel SGX TCB Signing");
    /// @dev 24,531 bytes of a record less 94 of its head, in serials of 20.
    uint256 private constant MAXIMUM_REVOKED = 1_221;

    DocumentReader private immutable _reader;

    Root private _root;
    bytes32 private _rootSubject;
    Certified private _rootCertified;
    mapping(uint32 generation => mapping(uint256 serial => bool)) private _isRevokedByRoot;

    mapping(bytes32 subject => Certified) private _authorities;
    mapping(bytes32 subject => Document) private _authorityRecords;
    mapping(uint256 serial => Certified) private _signers;
    mapping(bytes6 fmspc => Document) private _tcbInfos;
    Document private _qeIdentity;

    /// @param fingerprint SHA-256 of the DER of the root certificate; for Intel's,
    /// 44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3.
    constructor(bytes32 fingerprint) {
        rootFingerprint = fingerprint;
        _reader = new DocumentReader();
    }

    /// @inheritdoc ICollateralStore
    function uploadRootCertificate(bytes calldata der) external {
        bytes32 fingerprint = sha256(der);
        if (fingerprint != rootFingerprint) {
            revert CollateralStoreRootCertificateMismatch(fingerprint, rootFingerprint);
        }
        if (_root.notAfter != 0) return;
        X509.Certificate memory root =
            X509.parse(der, CollateralStoreRootCertificateUnusable.selector);
        uint256 usage = X509.KEY_CERT_SIGN | X509.CRL_SIGN;
        bool isRoot = root.isCa && root.keyUsage & usage == usage && root.issuer == root.subject
            && root.commonName == ROOT_NAME
            && _isSignature(root.digest, root.r, root.s, root.x, root.y);
        if (!isRoot) revert CollateralStoreRootCertificateUnusable(der.length);
        _root.notBefore = root.notBefore;
        _root.notAfter = root.notAfter;
        _rootSubject = root.subject;
        _rootCertified = _certified(root);
        emit RootCertificateStored(fingerprint);
    }

    /// @inheritdoc ICollateralStore
    function uploadRootCrl(bytes calldata der) external {
        Root memory root = _root;
        if (root.notAfter == 0) revert CollateralStoreRootCertificateMissing();
        Crl.RevocationList memory list = Crl.parse(der, CollateralStoreRootCrlMalformed.selector);
        if (list.issuer != _rootSubject) {
            revert CollateralStoreRootCrlIssuerMismatch(list.issuer, _rootSubject);
        }
        bool isSigned =
            _isSignature(list.digest, list.r, list.s, _rootCertified.x, _rootCertified.y);
        if (!isSigned) revert CollateralStoreRootCrlSignatureInvalid();
        if (list.thisUpdate <= root.crlThisUpdate) {
            revert CollateralStoreRootCrlNotNewer(list.thisUpdate, root.crlThisUpdate);
        }
        root.crlThisUpdate = list.thisUpdate;
        root.crlNextUpdate = list.nextUpdate;
        root.crlGeneration += 1;
        uint256 count = list.serials.length / 20;
        root.hasRevocations = count != 0;
        _requireRootInForce(root);
        for (uint256 index; index < count; ++index) {
            _isRevokedByRoot[root.crlGeneration][Bytecraft.serialIn(list.serials, index * 20)] =
            true;
        }
        _root = root;
        emit RootCrlStored(list.thisUpdate, list.nextUpdate, count);
    }

    /// @inheritdoc ICollateralStore
    function uploadPckCa(bytes calldata der) external {
        Root memory root = _rootInForce();
        X509.Certificate memory ca = X509.parse(der, CollateralStorePckCaMalformed.selector);
        if (ca.commonName != PLATFORM_CA_NAME && ca.commonName != PROCESSOR_CA_NAME) {
            revert CollateralStorePckCaNameMismatch(ca.commonName);
        }
        if (ca.issuer != _rootSubject) {
            revert CollateralStorePckCaIssuerMismatch(ca.issuer, _rootSubject);
        }
        uint256 usage = X509.KEY_CERT_SIGN | X509.CRL_SIGN;
        if (!ca.isBasicConstraintsCritical || !ca.isCa || ca.keyUsage & usage != usage) {
            revert CollateralStorePckCaUsageInvalid(ca.keyUsage);
        }
        if (!_isSignedByRoot(ca)) revert CollateralStorePckCaSignatureInvalid();
        if (_isRevoked(root, ca.serial)) revert CollateralStorePckCaRevoked(ca.serial);
        if (!P256.isValidPublicKey(ca.x, ca.y)) revert CollateralStorePckCaMalformed(der.length);
        _requireAuthorityCertificateInForce(ca.notBefore, ca.notAfter);
        Certified storage stored = _authorities[ca.subject];
        if (ca.notBefore <= stored.notBefore) {
            revert CollateralStorePckCaNotNewer(ca.notBefore, stored.notBefore);
        }
        // The list in force was signed by the key that goes.
        delete _authorityRecords[ca.subject];
        _authorities[ca.subject] = _certified(ca);
        emit PckCaStored(ca.subject, ca.serial);
    }

    /// @inheritdoc ICollateralStore
    function uploadPckCrl(bytes calldata der) external {
        Root memory root = _rootInForce();
        Crl.RevocationList memory list = Crl.parse(der, CollateralStorePckCrlMalformed.selector);
        Certified memory authority = _authorities[list.issuer];
        if (authority.notAfter == 0) revert CollateralStorePckCrlIssuerMismatch(list.issuer);
        if (!_isSignature(list.digest, list.r, list.s, authority.x, authority.y)) {
            revert CollateralStorePckCrlSignatureInvalid();
        }
        if (_isRevoked(root, authority.serial)) {
            revert CollateralStorePckCaRevoked(authority.serial);
        }
        _requireAuthorityCertificateInForce(authority.notBefore, authority.notAfter);
        _requirePckCrlInForce(list.thisUpdate, list.nextUpdate);
        Document storage stored = _authorityRecords[list.issuer];
        if (list.thisUpdate <= stored.issueDate) {
            revert CollateralStorePckCrlNotNewer(list.thisUpdate, stored.issueDate);
        }
        uint256 count = list.serials.length / 20;
        if (count > MAXIMUM_REVOKED) revert CollateralStorePckCrlTooLong(count);
        bytes memory head = abi.encodePacked(
            authority.x, authority.y, authority.serial, authority.notBefore, authority.notAfter
        );
        stored.record = Records.write(bytes.concat(head, list.serials));
        stored.issueDate = list.thisUpdate;
        stored.validUntil = _earliest(list.nextUpdate, authority.notAfter);
        emit PckCrlStored(list.issuer, list.thisUpdate, list.nextUpdate, count);
    }

    /// @inheritdoc ICollateralStore
    function uploadTcbSigning(bytes calldata der) external {
        Root memory root = _rootInForce();
        X509.Certificate memory signing =
            X509.parse(der, CollateralStoreTcbSigningMalformed.selector);
        if (signing.commonName != TCB_SIGNING_NAME) {
            revert CollateralStoreTcbSigningNameMismatch(signing.commonName);
        }
        if (signing.issuer != _rootSubject) {
            revert CollateralStoreTcbSigningIssuerMismatch(signing.issuer, _rootSubject);
        }
        if (!X509.isDigitalSigner(signing)) {
            revert CollateralStoreTcbSigningUsageInvalid(signing.keyUsage);
        }
        if (!_isSignedByRoot(signing)) revert CollateralStoreTcbSigningSignatureInvalid();
        if (_isRevoked(root, signing.serial)) {
            revert CollateralStoreTcbSigningRevoked(signing.serial);
        }
        if (!P256.isValidPublicKey(signing.x, signing.y)) {
            revert CollateralStoreTcbSigningMalformed(der.length);
        }
        _requireTcbSigningInForce(signing.notBefore, signing.notAfter);
        _signers[signing.serial] = _certified(signing);
        emit TcbSigningStored(signing.serial);
    }

    /// @inheritdoc ICollateralStore
    function uploadTcbInfo(uint256 signer, bytes calldata text, bytes calldata signature) external {
        Certified memory signing = _signingInForce(signer);
        if (!_isSignedBy(signing, text, signature)) {
            revert CollateralStoreTcbInfoSignatureInvalid();
        }
        TcbInfo.Document memory info = _reader.readTcbInfo(
            text,
            CollateralStoreTcbInfoMalformed.selector,
            CollateralStoreTcbInfoUnsupported.selector
        );
        // Sixteen bits last for as long as Intel has fewer than a thousand recoveries a year.
        if (info.evaluationNumber > type(uint16).max) {
            revert CollateralStoreTcbInfoUnsupported(text.length);
        }
        Document memory next = Document({
            record: address(0),
            issueDate: info.issueDate,
            validUntil: _earliest(info.nextUpdate, signing.notAfter),
            evaluationNumber: uint16(info.evaluationNumber)
        });
        if (block.timestamp < next.issueDate) {
            revert CollateralStoreTcbInfoNotYetValid(
                info.fmspc, next.evaluationNumber, next.issueDate
            );
        }
        if (block.timestamp > info.nextUpdate) {
            revert CollateralStoreTcbInfoExpired(info.fmspc, next.evaluationNumber, info.nextUpdate);
        }
        Document memory stored = _tcbInfos[info.fmspc];
        if (!_isNewer(next, stored)) {
            revert CollateralStoreTcbInfoNotNewer(
                info.fmspc,
                next.evaluationNumber,
                next.issueDate,
                stored.evaluationNumber,
                stored.issueDate
            );
        }
        next.record = Records.write(bytes.concat(_signerHead(signing), info.packed));
        _tcbInfos[info.fmspc] = next;
        emit TcbInfoStored(info.fmspc, next.evaluationNumber, next.issueDate, info.nextUpdate);
    }

    /// @inheritdoc ICollateralStore
    function uploadQeIdentity(uint256 signer, bytes calldata text, bytes calldata signature)
        external
    {
        Certified memory signing = _signingInForce(signer);
        if (!_isSignedBy(signing, text, signature)) {
            revert CollateralStoreQeIdentitySignatureInvalid();
        }
        QeIdentity.Document memory identity = _reader.readQeIdentity(
            text,
            CollateralStoreQeIdentityMalformed.selector,
            CollateralStoreQeIdentityUnsupported.selector
        );
        if (identity.evaluationNumber > type(uint16).max) {
            revert CollateralStoreQeIdentityUnsupported(text.length);
        }
        Document memory next = Document({
            record: address(0),
            issueDate: identity.issueDate,
            validUntil: _earliest(identity.nextUpdate, signing.notAfter),
            evaluationNumber: uint16(identity.evaluationNumber)
        });
        if (block.timestamp < next.issueDate) {
            revert CollateralStoreQeIdentityNotYetValid(next.evaluationNumber, next.issueDate);
        }
        if (block.timestamp > identity.nextUpdate) {
            revert CollateralStoreQeIdentityExpired(next.evaluationNumber, identity.nextUpdate);
        }
        Document memory stored = _qeIdentity;
        if (!_isNewer(next, stored)) {
            revert CollateralStoreQeIdentityNotNewer(
                next.evaluationNumber, next.issueDate, stored.evaluationNumber, stored.issueDate
            );
        }
        next.record = Records.write(bytes.concat(_signerHead(signing), identity.packed));
        _qeIdentity = next;
        emit QeIdentityStored(next.evaluationNumber, next.issueDate, identity.nextUpdate);
    }

    /// @inheritdoc ICollateralStore
    function authorityInForce(bytes32 subject) external view returns (AuthorityInForce memory) {
        return _authorityInForce(_rootInForce(), subject);
    }

    /// @inheritdoc ICollateralStore
    function documentsInForce(bytes6 fmspc) external view returns (DocumentsInForce memory) {
        return _documentsInForce(_rootInForce(), fmspc);
    }

    /// @inheritdoc ICollateralStore
    function collateralInForce(bytes32 subject, bytes6 fmspc)
        external
        view
        returns (AuthorityInForce memory, DocumentsInForce memory)
    {
        Root memory root = _rootInForce();
        return (_authorityInForce(root, subject), _documentsInForce(root, fmspc));
    }

    /// @inheritdoc ICollateralStore
    function tcbInfoState(bytes6 fmspc)
        external
        view
        returns (uint32 evaluationNumber, uint40 issueDate, uint40 nextUpdate)
    {
        Document memory info = _tcbInfos[fmspc];
        return (info.evaluationNumber, info.issueDate, info.validUntil);
    }

    /// @inheritdoc ICollateralStore
    function qeIdentityState()
        external
        view
        returns (uint32 evaluationNumber, uint40 issueDate, uint40 nextUpdate)
    {
        Document memory identity = _qeIdentity;
        return (identity.evaluationNumber, identity.issueDate, identity.validUntil);
    }

    /// @inheritdoc ICollateralStore
    function rootState()
        external
        view
        returns (uint40 notBefore, uint40 notAfter, uint40 crlThisUpdate, uint40 crlNextUpdate)
    {
        Root memory root = _root;
        return (root.notBefore, root.notAfter, root.crlThisUpdate, root.crlNextUpdate);
    }

    /// @inheritdoc ICollateralStore
    function authorityState(bytes32 subject)
        external
        view
        returns (uint160 serial, uint40 notBefore, uint40 crlThisUpdate, uint40 crlNextUpdate)
    {
        Certified memory authority = _authorities[subject];
        Document memory list = _authorityRecords[subject];
        return (authority.serial, authority.notBefore, list.issueDate, list.validUntil);
    }

    /// @inheritdoc ICollateralStore
    function tcbSigningState(uint256 serial)
        external
        view
        returns (uint40 notBefore, uint40 notAfter)
    {
        Certified memory signing = _signers[serial];
        return (signing.notBefore, signing.notAfter);
    }

    function _certified(X509.Certificate memory certificate)
        private
        pure
        returns (Certified memory)
    {
        return Certified({
            x: certificate.x,
            y: certificate.y,
            serial: uint160(certificate.serial),
            notBefore: certificate.notBefore,
            notAfter: certificate.notAfter
        });
    }

    function _isSignedByRoot(X509.Certificate memory certificate) private view returns (bool) {
        return _isSignature(
            certificate.digest, certificate.r, certificate.s, _rootCertified.x, _rootCertified.y
        );
    }

    function _isSignedBy(Certified memory signing, bytes calldata text, bytes calldata signature)
        private
        view
        returns (bool)
    {
        if (signature.length != 64) revert CollateralStoreCollateralMalformed(signature.length);
        return _isSignature(
            sha256(text), bytes32(signature[:32]), bytes32(signature[32:]), signing.x, signing.y
        );
    }

    function _isRevoked(Root memory root, uint256 serial) private view returns (bool) {
        return root.hasRevocations && _isRevokedByRoot[root.crlGeneration][serial];
    }

    function _rootInForce() private view returns (Root memory root) {
        root = _root;
        if (root.notAfter == 0) revert CollateralStoreRootCertificateMissing();
        if (root.crlNextUpdate == 0) revert CollateralStoreRootCrlMissing();
        if (root.hasRevocations && _isRevoked(root, _rootCertified.serial)) {
            revert CollateralStoreRootCertificateRevoked(_rootCertified.serial);
        }
        _requireRootInForce(root);
    }

    /// @dev The signing certificate for uploads, with everything above it in force.
    function _signingInForce(uint256 signer) private view returns (Certified memory signing) {
        Root memory root = _rootInForce();
        signing = _signers[signer];
        if (signing.notAfter == 0) revert CollateralStoreTcbSigningMissing(signer);
        if (_isRevoked(root, signing.serial)) {
            revert CollateralStoreTcbSigningRevoked(signing.serial);
        }
        _requireTcbSigningInForce(signing.notBefore, signing.notAfter);
    }

    /// @dev The slot says all as long as nothing has lapsed and the root has revoked nothing; the record,
    /// a cold account more, is asked otherwise.
    function _authorityInForce(Root memory root, bytes32 subject)
        private
        view
        returns (AuthorityInForce memory authority)
    {
        Document memory list = _authorityRecords[subject];
        if (list.record == address(0)) {
            if (_authorities[subject].notAfter == 0) return authority;
            revert CollateralStorePckCrlMissing(subject);
        }
        bool isExpired = block.timestamp > list.validUntil;
        if (isExpired || root.hasRevocations) {
            // 64 = x 32 + y 32
            (uint256 serial, uint40 notAfter) = _certificateIn(list.record, 64);
            if (_isRevoked(root, serial)) revert CollateralStorePckCaRevoked(serial);
            if (block.timestamp > notAfter) revert CollateralStorePckCaExpired(notAfter);
            if (isExpired) revert CollateralStorePckCrlExpired(list.validUntil);
        }
        authority.record = list.record;
        authority.issuedAt = list.issueDate;
        authority.validUntil = _earliest(_rootEnd(root), list.validUntil);
    }

    function _documentsInForce(Root memory root, bytes6 fmspc)
        private
        view
        returns (DocumentsInForce memory documents)
    {
        Document memory info = _tcbInfos[fmspc];
        Document memory identity = _qeIdentity;
        if (info.record == address(0)) revert CollateralStoreTcbInfoMissing(fmspc);
        if (identity.record == address(0)) revert CollateralStoreQeIdentityMissing();
        uint40 validUntil = _earliest(info.validUntil, identity.validUntil);
        if (root.hasRevocations || block.timestamp > validUntil) {
            _requireSignerInForce(root, info.record);
            _requireSignerInForce(root, identity.record);
            if (block.timestamp > info.validUntil) {
                revert CollateralStoreTcbInfoExpired(fmspc, info.evaluationNumber, info.validUntil);
            }
            if (block.timestamp > identity.validUntil) {
                revert CollateralStoreQeIdentityExpired(
                    identity.evaluationNumber, identity.validUntil
                );
            }
        }
        documents.tcbInfo = info.record;
        documents.qeIdentity = identity.record;
        documents.evaluationNumber = info.evaluationNumber;
        documents.qeEvaluationNumber = identity.evaluationNumber;
        documents.issuedAt = _earliest(info.issueDate, identity.issueDate);
        documents.validUntil = _earliest(_rootEnd(root), validUntil);
    }

    /// @dev The certificate that signed a document, which is at the head of its record.
    function _requireSignerInForce(Root memory root, address record) private view {
        (uint256 serial, uint40 notAfter) = _certificateIn(record, 0);
        if (_isRevoked(root, serial)) revert CollateralStoreTcbSigningRevoked(serial);
        if (block.timestamp > notAfter) revert CollateralStoreTcbSigningExpired(notAfter);
    }

    /// @dev serial 20 ‖ notBefore 5 ‖ notAfter 5 bytes.
    function _certificateIn(address record, uint256 offset)
        private
        view
        returns (uint256 serial, uint40 notAfter)
    {
        uint256 word = uint256(Records.readWord(record, offset));
        return (word >> 96, uint40(word >> 16));
    }

    function _signerHead(Certified memory signing) private pure returns (bytes memory) {
        return abi.encodePacked(signing.serial, signing.notBefore, signing.notAfter);
    }

    function _rootEnd(Root memory root) private pure returns (uint40) {
        return _earliest(root.notAfter, root.crlNextUpdate);
    }

    /// @dev By evaluation number first: Intel serves several at a time, and the older ones do not know of
    /// later recoveries.
    function _isNewer(Document memory next, Document memory stored) private pure returns (bool) {
        if (next.evaluationNumber != stored.evaluationNumber) {
            return next.evaluationNumber > stored.evaluationNumber;
        }
        return next.issueDate > stored.issueDate;
    }

    function _requireRootInForce(Root memory root) private view {
        if (block.timestamp < root.notBefore) {
            revert CollateralStoreRootCertificateNotYetValid(root.notBefore);
        }
        if (block.timestamp > root.notAfter) {
            revert CollateralStoreRootCertificateExpired(root.notAfter);
        }
        if (block.timestamp < root.crlThisUpdate) {
            revert CollateralStoreRootCrlNotYetValid(root.crlThisUpdate);
        }
        if (block.timestamp > root.crlNextUpdate) {
            revert CollateralStoreRootCrlExpired(root.crlNextUpdate);
        }
    }

    function _requireAuthorityCertificateInForce(uint40 notBefore, uint40 notAfter) private view {
        if (block.timestamp < notBefore) revert CollateralStorePckCaNotYetValid(notBefore);
        if (block.timestamp > notAfter) revert CollateralStorePckCaExpired(notAfter);
    }

    function _requirePckCrlInForce(uint40 thisUpdate, uint40 nextUpdate) private view {
        if (block.timestamp < thisUpdate) revert CollateralStorePckCrlNotYetValid(thisUpdate);
        if (block.timestamp > nextUpdate) revert CollateralStorePckCrlExpired(nextUpdate);
    }

    function _requireTcbSigningInForce(uint40 notBefore, uint40 notAfter) private view {
        if (block.timestamp < notBefore) revert CollateralStoreTcbSigningNotYetValid(notBefore);
        if (block.timestamp > notAfter) revert CollateralStoreTcbSigningExpired(notAfter);
    }

    function _earliest(uint40 left, uint40 right) private pure returns (uint40) {
        return left < right ? left : right;
    }
}
