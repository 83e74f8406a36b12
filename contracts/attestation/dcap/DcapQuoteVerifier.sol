// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {IQuoteVerifier} from "../IQuoteVerifier.sol";
import {TCB_REVOKED, TCB_UP_TO_DATE} from "../TcbStatus.sol";
import {Bytecraft} from "./Bytecraft.sol";
import {ICollateralStore} from "./ICollateralStore.sol";
import {IDcapQuoteVerifier} from "./IDcapQuoteVerifier.sol";
import {P256Signatures} from "./P256Signatures.sol";
import {PckExtension} from "./PckExtension.sol";
import {QeRecord} from "./QeRecord.sol";
import {Records} from "./Records.sol";
import {TcbConvergence} from "./TcbConvergence.sol";
import {TcbRecord} from "./TcbRecord.sol";
import {TdxQuote} from "./TdxQuote.sol";
import {X509} from "./X509.sol";

/// @title DcapQuoteVerifier
/// @notice Verifies TDX quotes of versions 4 and 5 in full, against the collateral of one store.
/// @dev The rules, their names and their order are those of `verifier/appraisal/rules.ts`. One thing is
/// turned round by necessity: which collateral is meant stands in the PCK certificate, so the form of
/// the quote and the certificate itself are looked at before the windows of the documents.
contract DcapQuoteVerifier is IDcapQuoteVerifier, P256Signatures {
    /// @dev What is known of the case at hand; one struct, because the stack has sixteen places.
    struct Case {
        TdxQuote.Layout at;
        PlatformFacts platform;
        uint40 issuedAt;
        uint40 validUntil;
        uint32 evaluationNumber;
        uint32 qeEvaluationNumber;
        bytes tcbInfo;
        bytes qeIdentity;
        uint8 status;
        TcbRecord.Match platformLevel;
        TcbRecord.Match moduleLevel;
        TcbRecord.Match qeLevel;
    }

    /// @inheritdoc IDcapQuoteVerifier
    ICollateralStore public immutable collateralStore;

    /// @inheritdoc IDcapQuoteVerifier
    mapping(bytes32 key => address) public rememberedUnder;

    bytes32 private constant PCK_NAME = keccak256("Intel SGX PCK Certificate");
    /// @dev x 32 + y 32 + serial 20 + notBefore 5 + notAfter 5; revoked serials follow, 20 bytes each.
    uint256 private constant AUTHORITY_HEAD = 94;

    constructor(ICollateralStore store) {
        collateralStore = store;
    }

    /// @inheritdoc IDcapQuoteVerifier
    function rememberPlatform(bytes calldata evidence) external returns (bytes32 key) {
        Case memory subject;
        subject.at = _locate(evidence);
        if (subject.at.hasFacts) {
            revert DcapQuoteVerifierAuthDataMalformed(subject.at.signature - subject.at.header);
        }
        address authority = _verifyCertificate(subject);
        _verifyQuotingEnclave(subject);
        TdxQuote.Layout memory at = subject.at;
        key = keccak256(
            bytes.concat(Bytecraft.slice(at.attestationKey, at.qeReport), _pack(subject.platform))
        );
        rememberedUnder[key] = authority;
        emit PlatformRemembered(key, subject.platform.ppid, subject.platform.fmspc);
    }

    /// @inheritdoc IQuoteVerifier
    function verifyQuote(bytes calldata evidence) external view returns (QuoteClaims memory) {
        return _claims(_verify(evidence));
    }

    /// @inheritdoc IDcapQuoteVerifier
    function appraiseQuote(bytes calldata evidence)
        external
        view
        returns (Appraisal memory appraisal)
    {
        Case memory subject = _verify(evidence);
        appraisal.claims = _claims(subject);
        appraisal.fmspc = subject.platform.fmspc;
        appraisal.qeEvaluationNumber = subject.qeEvaluationNumber;
        appraisal.collateralIssuedAt = subject.issuedAt;
        appraisal.degradedSince = _degradedSince(subject);
        appraisal.advisories = _advisories(subject);
    }

    function _verify(bytes calldata evidence) private view returns (Case memory subject) {
        subject.at = _locate(evidence);
        if (subject.at.hasFacts) {
            _recall(subject);
        } else {
            _verifyCertificate(subject);
            _load(subject, collateralStore.documentsInForce(subject.platform.fmspc));
            _verifyQuotingEnclave(subject);
        }
        _verifySignature(subject.at);
        _requireQuotingEnclave(subject);
        uint256 body = subject.at.body;
        _requireSafeAttributes(bytes8(bytes32(Bytecraft.word(body + TdxQuote.TD_ATTRIBUTES))));
        _appraiseTcb(subject);
        if (subject.at.isTd15) _requireNoServiceTd(body);
    }

    /// @dev Rules 200 to 210: the form of header, body and what follows them.
    function _locate(bytes calldata evidence) private pure returns (TdxQuote.Layout memory at) {
        uint256 length = evidence.length;
        if (length > TdxQuote.MAXIMUM_BYTES) revert DcapQuoteVerifierQuoteTooLarge(length);
        _requireLength(length, 48);
        uint256 header = Bytecraft.position(evidence);
        uint256 version = Bytecraft.uint16At(header);
        if (version != 4 && version != 5) {
            revert DcapQuoteVerifierQuoteVersionUnsupported(version);
        }
        uint256 keyType = Bytecraft.uint16At(header + 2);
        if (keyType != 2) revert DcapQuoteVerifierAttestationKeyTypeUnsupported(keyType);
        uint256 teeType = Bytecraft.uint32At(header + 4);
        if (teeType != 0x81) revert DcapQuoteVerifierTeeTypeUnsupported(teeType);

        unchecked {
            // Positions in calldata, and lengths below 2^16.
            at.header = header;
            at.body = header + 48;
            at.end = header + length;
            uint256 bodyLength = TdxQuote.TD10_LENGTH;
            if (version == 5) {
                _requireLength(length, 54);
                uint256 bodyType = Bytecraft.uint16At(at.body);
                uint256 size = Bytecraft.uint32At(at.body + 2);
                at.body += 6;
                at.isTd15 = bodyType == 3;
                if (at.isTd15) bodyLength = TdxQuote.TD15_LENGTH;
                if ((bodyType != 2 && !at.isTd15) || size != bodyLength) {
                    revert DcapQuoteVerifierQuoteBodyUnsupported(bodyType, size);
                }
            }
            at.signedEnd = at.body + bodyLength;
            // 4 = the size of all that follows
            at.signature = at.signedEnd + 4;
            _requireLength(length, at.signature - header);
            uint256 rest = Bytecraft.uint32At(at.signedEnd);
            _requireLength(length, at.signature - header + rest);
            at.attestationKey = at.signature + 64;
            at.qeReport = at.attestationKey + 64;
            at.hasFacts = at.qeReport + TdxQuote.FACTS_LENGTH == at.end;
            bool isExact = at.signature + rest == at.end;
            if (!at.hasFacts) {
                at.qeSignature = at.qeReport + TdxQuote.QE_REPORT_LENGTH;
                at.qeAuth = at.qeSignature + 66;
                if (!isExact || at.qeAuth > at.end) {
                    revert DcapQuoteVerifierAuthDataMalformed(at.signature - header);
                }
                // The PCK certificate takes the rest.
                at.pck = at.qeAuth + Bytecraft.uint16At(at.qeAuth - 2);
                if (at.pck > at.end) {
                    revert DcapQuoteVerifierAuthDataMalformed(at.qeAuth - header);
                }
            } else if (!isExact) {
                revert DcapQuoteVerifierAuthDataMalformed(at.signature - header);
            }
        }
        bytes16 vendorId = bytes16(bytes32(Bytecraft.word(header + 12)));
        if (vendorId != TdxQuote.INTEL_QE_VENDOR_ID) {
            revert DcapQuoteVerifierQeVendorUnknown(vendorId);
        }
    }

    function _requireLength(uint256 length, uint256 needed) private pure {
        if (length < needed) revert DcapQuoteVerifierQuoteTruncated(length, needed);
    }

    /// @dev Rules 230 to 238.
    /// @return record The record of the authority that signed the certificate.
    function _verifyCertificate(Case memory subject) private view returns (address record) {
        bytes calldata der = Bytecraft.slice(subject.at.pck, subject.at.end);
        X509.Certificate memory leaf = X509.parse(der, DcapQuoteVerifierPckMalformed.selector);
        if (leaf.commonName != PCK_NAME) {
            revert DcapQuoteVerifierPckNameMismatch(leaf.commonName);
        }
        record = _admit(subject, collateralStore.authorityInForce(leaf.issuer), leaf.issuer);
        bytes memory authority = Records.read(record);
        if (!X509.isDigitalSigner(leaf)) {
            revert DcapQuoteVerifierPckUsageInvalid(leaf.keyUsage);
        }
        bool isSigned = _isSignature(
            leaf.digest,
            leaf.r,
            leaf.s,
            Bytecraft.wordIn(authority, 0),
            Bytecraft.wordIn(authority, 32)
        );
        if (!isSigned) revert DcapQuoteVerifierPckSignatureInvalid(leaf.serial);
        PlatformFacts memory platform = subject.platform;
        platform.x = leaf.x;
        platform.y = leaf.y;
        platform.issuer = leaf.issuer;
        platform.serial = uint160(leaf.serial);
        platform.notBefore = leaf.notBefore;
        platform.notAfter = leaf.notAfter;
        _requireValid(subject);
        _requireNotRevoked(platform.serial, authority);
        PckExtension.Platform memory extension = PckExtension.parse(
            der, leaf.sgxStart, leaf.sgxEnd, DcapQuoteVerifierPckExtensionMalformed.selector
        );
        platform.ppid = extension.ppid;
        platform.componentSvns = extension.componentSvns;
        platform.pceSvn = extension.pceSvn;
        platform.pceId = extension.pceId;
        platform.fmspc = extension.fmspc;
    }

    /// @dev The facts of a remembered platform, with all that may have changed since looked at again.
    function _recall(Case memory subject) private view {
        TdxQuote.Layout memory at = subject.at;
        PlatformFacts memory platform = _unpack(at.qeReport);
        subject.platform = platform;
        (
            ICollateralStore.AuthorityInForce memory authority,
            ICollateralStore.DocumentsInForce memory documents
        ) = collateralStore.collateralInForce(platform.issuer, platform.fmspc);
        address record = _admit(subject, authority, platform.issuer);
        bytes32 key = keccak256(Bytecraft.slice(at.attestationKey, at.end));
        address former = rememberedUnder[key];
        if (former == address(0)) revert DcapQuoteVerifierPlatformNotRemembered(key);
        _requireValid(subject);
        // Records are addressed by content: the same one holds the same key and the same serials, among
        // which this one was not.
        if (former != record) {
            bytes memory next = Records.read(record);
            bool isSameKey = Records.readWord(former, 0) == Bytecraft.wordIn(next, 0)
                && Records.readWord(former, 32) == Bytecraft.wordIn(next, 32);
            if (!isSameKey) revert DcapQuoteVerifierPlatformNotRemembered(key);
            _requireNotRevoked(platform.serial, next);
        }
        _load(subject, documents);
    }

    function _admit(
        Case memory subject,
        ICollateralStore.AuthorityInForce memory authority,
        bytes32 issuer
    ) private pure returns (address) {
        if (authority.record == address(0)) {
            revert DcapQuoteVerifierPckIssuerMismatch(issuer);
        }
        subject.issuedAt = authority.issuedAt;
        subject.validUntil = authority.validUntil;
        return authority.record;
    }

    function _requireValid(Case memory subject) private view {
        PlatformFacts memory platform = subject.platform;
        if (block.timestamp < platform.notBefore) {
            revert DcapQuoteVerifierPckNotYetValid(platform.notBefore);
        }
        if (block.timestamp > platform.notAfter) {
            revert DcapQuoteVerifierPckExpired(platform.notAfter);
        }
        subject.validUntil = _earliest(subject.validUntil, platform.notAfter);
    }

    function _requireNotRevoked(uint256 serial, bytes memory authority) private pure {
        if (Bytecraft.hasSerial(authority, AUTHORITY_HEAD, serial)) {
            revert DcapQuoteVerifierPckRevoked(serial);
        }
    }

    /// @dev Rules 240 to 241: the documents must be those of this platform.
    function _load(Case memory subject, ICollateralStore.DocumentsInForce memory documents)
        private
        view
    {
        subject.tcbInfo = Records.read(documents.tcbInfo);
        subject.qeIdentity = Records.read(documents.qeIdentity);
        subject.evaluationNumber = documents.evaluationNumber;
        subject.qeEvaluationNumber = documents.qeEvaluationNumber;
        subject.issuedAt = _earliest(subject.issuedAt, documents.issuedAt);
        subject.validUntil = _earliest(subject.validUntil, documents.validUntil);
        bytes2 pceId = TcbRecord.pceId(subject.tcbInfo);
        if (pceId != subject.platform.pceId) {
            revert DcapQuoteVerifierPceIdMismatch(
                subject.platform.fmspc, subject.platform.pceId, pceId
            );
        }
    }

    /// @dev Rules 250 and 251: PCK over QE report, QE report over attestation key.
    function _verifyQuotingEnclave(Case memory subject) private view {
        TdxQuote.Layout memory at = subject.at;
        PlatformFacts memory platform = subject.platform;
        bytes32 digest = sha256(Bytecraft.slice(at.qeReport, at.qeSignature));
        if (!_isSignatureAt(digest, at.qeSignature, platform.x, platform.y)) {
            revert DcapQuoteVerifierQeReportSignatureInvalid();
        }
        uint256 report = at.qeReport;
        bytes32 bound = bytes32(Bytecraft.word(report + TdxQuote.QE_REPORT_DATA));
        bytes32 actual = sha256(
            bytes.concat(
                Bytecraft.slice(at.attestationKey, report), Bytecraft.slice(at.qeAuth, at.pck)
            )
        );
        if (bound != actual || Bytecraft.word(report + TdxQuote.QE_REPORT_DATA + 32) != 0) {
            revert DcapQuoteVerifierAttestationKeyNotBound(bound, actual);
        }
        platform.qeMrSigner = bytes32(Bytecraft.word(report + TdxQuote.QE_MR_SIGNER));
        platform.qeAttributes = bytes16(bytes32(Bytecraft.word(report + TdxQuote.QE_ATTRIBUTES)));
        platform.qeMiscSelect = bytes4(bytes32(Bytecraft.word(report + TdxQuote.QE_MISC_SELECT)));
        platform.qeIsvProdId = uint16(Bytecraft.uint16At(report + TdxQuote.QE_ISV_PROD_ID));
        platform.qeIsvSvn = uint16(Bytecraft.uint16At(report + TdxQuote.QE_ISV_SVN));
    }

    /// @dev Rules 252 and 253: attestation key over the quote.
    function _verifySignature(TdxQuote.Layout memory at) private view {
        bytes32 x = bytes32(Bytecraft.word(at.attestationKey));
        bytes32 y = bytes32(Bytecraft.word(at.attestationKey + 32));
        if (!P256.isValidPublicKey(x, y)) revert DcapQuoteVerifierAttestationKeyInvalid();
        bytes32 digest = sha256(Bytecraft.slice(at.header, at.signedEnd));
        if (!_isSignatureAt(digest, at.signature, x, y)) {
            revert DcapQuoteVerifierQuoteSignatureInvalid();
        }
    }

    function _isSignatureAt(bytes32 digest, uint256 at, bytes32 x, bytes32 y)
        private
        view
        returns (bool)
    {
        return _isSignature(
            digest, bytes32(Bytecraft.word(at)), bytes32(Bytecraft.word(at + 32)), x, y
        );
    }

    /// @dev Rules 260 to 264.
    function _requireQuotingEnclave(Case memory subject) private pure {
        bytes memory identity = subject.qeIdentity;
        PlatformFacts memory platform = subject.platform;
        if (platform.qeMrSigner != QeRecord.mrSigner(identity)) {
            revert DcapQuoteVerifierQeMrSignerMismatch(
                platform.qeMrSigner, QeRecord.mrSigner(identity)
            );
        }
        if (platform.qeIsvProdId != QeRecord.isvProdId(identity)) {
            revert DcapQuoteVerifierQeIsvProdIdMismatch(
                platform.qeIsvProdId, QeRecord.isvProdId(identity)
            );
        }
        (bytes4 expectedMisc, bytes4 miscMask) = QeRecord.miscSelect(identity);
        if ((platform.qeMiscSelect ^ expectedMisc) & miscMask != 0) {
            revert DcapQuoteVerifierQeMiscSelectMismatch(platform.qeMiscSelect, expectedMisc);
        }
        (bytes16 expected, bytes16 mask) = QeRecord.attributes(identity);
        if ((platform.qeAttributes ^ expected) & mask != 0) {
            revert DcapQuoteVerifierQeAttributesMismatch(platform.qeAttributes, expected);
        }
        // Intel's mask covers the debug bit; this holds whatever a mask says.
        if (uint8(platform.qeAttributes[0]) & 0x02 != 0) {
            revert DcapQuoteVerifierQeDebug(platform.qeAttributes);
        }
    }

    /// @dev Rules 271 to 273. Bits as written, byte 0 first: the group under debug is byte 0; defined
    /// are LASS, SEPT_VE_DISABLE, MIGRATABLE, PKS and KL in byte 3, TPA and PERFMON in byte 7.
    function _requireSafeAttributes(bytes8 attributes) private pure {
        if (attributes[0] != 0) revert DcapQuoteVerifierTdDebug(attributes);
        if (attributes & ~bytes8(0x000000f8000000c0) != 0) {
            revert DcapQuoteVerifierTdAttributesReserved(attributes);
        }
        // Without SEPT_VE_DISABLE the host can inject #VE by removing the guest's pages.
        if (attributes & bytes8(0x0000001000000000) == 0) {
            revert DcapQuoteVerifierTdSeptVeDisableClear(attributes);
        }
    }

    /// @dev Rules 280 to 293.
    function _appraiseTcb(Case memory subject) private pure {
        bytes16 teeTcbSvn = bytes16(bytes32(Bytecraft.word(subject.at.body + TdxQuote.TEE_TCB_SVN)));
        uint256 version = uint8(teeTcbSvn[1]);
        (bool isKnown, uint256 module, uint256 levels, uint256 count) =
            TcbRecord.findModule(subject.tcbInfo, version);
        if (!isKnown) {
            revert DcapQuoteVerifierTdxModuleUnknown(
                subject.platform.fmspc, subject.evaluationNumber, version
            );
        }
        _requireModule(subject, module);
        _matchPlatform(subject, teeTcbSvn, version);
        subject.status = subject.platformLevel.status;
        // The first module names no version and is judged by the platform's level alone.
        if (version != 0) {
            subject.moduleLevel =
                TcbRecord.isvLevel(subject.tcbInfo, levels, count, uint8(teeTcbSvn[0]));
            if (!subject.moduleLevel.isFound) {
                revert DcapQuoteVerifierTdxModuleTcbLevelNotFound(
                    subject.platform.fmspc, subject.evaluationNumber, uint8(teeTcbSvn[0])
                );
            }
            subject.status = TcbConvergence.converge(subject.status, subject.moduleLevel.status);
        }
        uint256 isvSvn = subject.platform.qeIsvSvn;
        (levels, count) = QeRecord.levels(subject.qeIdentity);
        subject.qeLevel = TcbRecord.isvLevel(subject.qeIdentity, levels, count, isvSvn);
        if (!subject.qeLevel.isFound) {
            revert DcapQuoteVerifierQeTcbLevelNotFound(
                subject.platform.fmspc, subject.evaluationNumber, isvSvn
            );
        }
        subject.status = TcbConvergence.converge(subject.status, subject.qeLevel.status);
        if (subject.status == TCB_REVOKED) {
            revert DcapQuoteVerifierTcbRevoked(subject.platform.fmspc, subject.evaluationNumber);
        }
    }

    function _requireModule(Case memory subject, uint256 module) private pure {
        uint256 body = subject.at.body;
        bytes32 high = bytes32(Bytecraft.word(body + TdxQuote.MR_SIGNER_SEAM));
        bytes16 low = bytes16(bytes32(Bytecraft.word(body + TdxQuote.MR_SIGNER_SEAM + 32)));
        if (!TcbRecord.isModuleSigner(subject.tcbInfo, module, high, low)) {
            revert DcapQuoteVerifierTdxModuleSignerMismatch(
                subject.platform.fmspc, subject.evaluationNumber
            );
        }
        bytes8 actual = bytes8(bytes32(Bytecraft.word(body + TdxQuote.SEAM_ATTRIBUTES)));
        (bytes8 expected, bytes8 mask) = TcbRecord.moduleAttributes(subject.tcbInfo, module);
        if ((actual ^ expected) & mask != 0) {
            revert DcapQuoteVerifierTdxModuleAttributesMismatch(actual, expected);
        }
    }

    /// @dev From module 1.5 on the first two TDX components are the module's version and are judged by
    /// the module's identity instead: the highest SVN in their place meets every level.
    function _matchPlatform(Case memory subject, bytes16 teeTcbSvn, uint256 version) private pure {
        if (version != 0) teeTcbSvn |= bytes16(bytes2(0xffff));
        bytes32 svns = bytes32(subject.platform.componentSvns) | bytes32(teeTcbSvn) >> 128;
        subject.platformLevel =
            TcbRecord.platformLevel(subject.tcbInfo, svns, subject.platform.pceSvn);
        if (!subject.platformLevel.isFound) {
            revert DcapQuoteVerifierTcbLevelNotFound(
                subject.platform.fmspc, subject.evaluationNumber, svns, subject.platform.pceSvn
            );
        }
    }

    function _requireNoServiceTd(uint256 body) private pure {
        // 48 bytes: one word, and half of the next.
        uint256 at = body + TdxQuote.MR_SERVICE_TD;
        if (Bytecraft.word(at) != 0 || Bytecraft.word(at + 32) >> 128 != 0) {
            revert DcapQuoteVerifierServiceTdNotAllowed();
        }
    }

    function _claims(Case memory subject) private pure returns (QuoteClaims memory claims) {
        uint256 body = subject.at.body;
        claims.reportDataHigh = bytes32(Bytecraft.word(body + TdxQuote.REPORT_DATA));
        claims.reportDataLow = bytes32(Bytecraft.word(body + TdxQuote.REPORT_DATA + 32));
        claims.imageId = keccak256(
            bytes.concat(
                Bytecraft.slice(body + TdxQuote.MR_TD, body + TdxQuote.MR_CONFIG_ID),
                // RTMR0 to RTMR2 stand side by side, as do attributes and XFAM.
                Bytecraft.slice(body + TdxQuote.RTMR0, body + TdxQuote.RTMR3),
                Bytecraft.slice(body + TdxQuote.MR_CONFIG_ID, body + TdxQuote.MR_OWNER),
                Bytecraft.slice(body + TdxQuote.TD_ATTRIBUTES, body + TdxQuote.MR_TD)
            )
        );
        claims.ppid = subject.platform.ppid;
        claims.tcbStatus = subject.status;
        claims.evaluationNumber = subject.evaluationNumber;
        claims.validUntil = subject.validUntil;
    }

    function _degradedSince(Case memory subject) private pure returns (uint40 since) {
        since = _behindSince(type(uint40).max, subject.platformLevel);
        since = _behindSince(since, subject.moduleLevel);
        since = _behindSince(since, subject.qeLevel);
        if (since == type(uint40).max) since = 0;
    }

    function _behindSince(uint40 since, TcbRecord.Match memory level)
        private
        pure
        returns (uint40)
    {
        bool isBehind = level.isFound && level.status != TCB_UP_TO_DATE;
        return isBehind ? _earliest(since, level.degradedSince) : since;
    }

    function _advisories(Case memory subject) private pure returns (bytes4[] memory tags) {
        bytes memory info = subject.tcbInfo;
        uint256 at = TcbRecord.advisoriesAt(info);
        tags = new bytes4[](
            subject.platformLevel.advisoryCount + subject.moduleLevel.advisoryCount
                + subject.qeLevel.advisoryCount
        );
        uint256 next = TcbRecord.copyAdvisories(info, at, subject.platformLevel, tags, 0);
        next = TcbRecord.copyAdvisories(info, at, subject.moduleLevel, tags, next);
        bytes memory identity = subject.qeIdentity;
        at = QeRecord.advisoriesAt(identity);
        TcbRecord.copyAdvisories(identity, at, subject.qeLevel, tags, next);
    }

    /// @dev As {TdxQuote} lays the facts out.
    function _pack(PlatformFacts memory platform) private pure returns (bytes memory) {
        return bytes.concat(
            abi.encodePacked(
                platform.x,
                platform.y,
                platform.issuer,
                platform.serial,
                platform.notBefore,
                platform.notAfter
            ),
            abi.encodePacked(
                platform.ppid,
                platform.componentSvns,
                platform.pceSvn,
                platform.pceId,
                platform.fmspc
            ),
            abi.encodePacked(
                platform.qeMrSigner,
                platform.qeAttributes,
                platform.qeMiscSelect,
                platform.qeIsvProdId,
                platform.qeIsvSvn
            )
        );
    }

    /// @dev The inverse of {_pack}, from a position in calldata.
    function _unpack(uint256 at) private pure returns (PlatformFacts memory platform) {
        platform.x = bytes32(Bytecraft.word(at));
        platform.y = bytes32(Bytecraft.word(at + 32));
        platform.issuer = bytes32(Bytecraft.word(at + 64));
        // serial 20 ‖ notBefore 5 ‖ notAfter 5
        uint256 packed = Bytecraft.word(at + 96);
        platform.serial = uint160(packed >> 96);
        platform.notBefore = uint40(packed >> 56);
        platform.notAfter = uint40(packed >> 16);
        platform.ppid = bytes16(bytes32(Bytecraft.word(at + 126)));
        // SVNs 16 ‖ PCESVN 2 ‖ PCEID 2 ‖ FMSPC 6
        packed = Bytecraft.word(at + 142);
        platform.componentSvns = bytes16(bytes32(packed));
        platform.pceSvn = uint16(packed >> 112);
        platform.pceId = bytes2(bytes32(packed << 144));
        platform.fmspc = bytes6(bytes32(packed << 160));
        platform.qeMrSigner = bytes32(Bytecraft.word(at + 168));
        // ATTRIBUTES 16 ‖ MISCSELECT 4 ‖ ISVPRODID 2 ‖ ISVSVN 2
        packed = Bytecraft.word(at + 200);
        platform.qeAttributes = bytes16(bytes32(packed));
        platform.qeMiscSelect = bytes4(bytes32(packed << 128));
        platform.qeIsvProdId = uint16(packed >> 80);
        platform.qeIsvSvn = uint16(packed >> 64);
    }

    function _earliest(uint40 left, uint40 right) private pure returns (uint40) {
        return left < right ? left : right;
    }
}
