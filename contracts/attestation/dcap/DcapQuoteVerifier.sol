// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {IQuoteVerifier} from "../IQuoteVerifier.sol";
import {TCB_REVOKED} from "../TcbStatus.sol";
import {Bytecraft} from "./Bytecraft.sol";
import {ICollateralStore} from "./ICollateralStore.sol";
import {IDcapQuoteVerifier} from "./IDcapQuoteVerifier.sol";
import {P256Signatures} from "./P256Signatures.sol";
import {PckExtension} from "./PckExtension.sol";
import {QeRecord} from "./QeRecord.sol";
import {Records} from "./Records.sol";
import {TcbRecord} from "./TcbRecord.sol";
import {TcbConvergence} from "./TcbConvergence.sol";
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
        PckFacts pck;
        bytes tcbInfo;
        bytes qeIdentity;
        uint32 evaluationNumber;
        uint40 validUntil;
    }

    /// @inheritdoc IDcapQuoteVerifier
    ICollateralStore public immutable collateralStore;

    /// @inheritdoc IDcapQuoteVerifier
    mapping(bytes32 key => bool) public isRemembered;

    bytes32 private constant PCK_NAME = keccak256("Intel SGX PCK Certificate");
    /// @dev x 32 + y 32 + issuer 32 + serial 20 + notBefore 5 + notAfter 5 + PPID 16 + SVNs 16
    /// + PCESVN 2 + PCEID 2 + FMSPC 6
    uint256 private constant FACTS_LENGTH = 168;
    /// @dev x 32 + y 32 + serial 20 + notBefore 5 + notAfter 5; revoked serials follow, 20 bytes each.
    uint256 private constant AUTHORITY_HEAD = 94;

    constructor(ICollateralStore store) {
        collateralStore = store;
    }

    /// @inheritdoc IDcapQuoteVerifier
    function rememberPck(bytes calldata der) external returns (bytes32 key) {
        (PckFacts memory facts, bytes memory authority,) = _verifyCertificate(der);
        key = _keyOf(authority, _pack(facts));
        isRemembered[key] = true;
        emit PckRemembered(key, facts.ppid, facts.fmspc);
    }

    /// @inheritdoc IQuoteVerifier
    function verifyQuote(bytes calldata evidence)
        external
        view
        returns (QuoteClaims memory claims)
    {
        Case memory subject;
        subject.at = _locate(evidence);
        _verifyPlatform(evidence, subject);
        _loadDocuments(subject);
        _verifySignatures(evidence, subject);
        _requireQuotingEnclave(evidence, subject);
        _requireSafeAttributes(bytes8(Bytecraft.wordAt(
            evidence, subject.at.body + TdxQuote.TD_ATTRIBUTES
        )));
        claims.tcbStatus = _appraiseTcb(evidence, subject);
        if (subject.at.isTd15) _requireNoServiceTd(evidence, subject.at.body);

        uint256 body = subject.at.body;
        claims.reportDataHigh = Bytecraft.wordAt(evidence, body + TdxQuote.REPORT_DATA);
        claims.reportDataLow = Bytecraft.wordAt(evidence, body + TdxQuote.REPORT_DATA + 32);
        claims.imageId = _imageId(evidence, body);
        claims.ppid = subject.pck.ppid;
        claims.evaluationNumber = subject.evaluationNumber;
        claims.validUntil = subject.validUntil;
    }

    /// @dev Rules 200 to 210: the form of header, body and what follows them.
    function _locate(bytes calldata evidence) private pure returns (TdxQuote.Layout memory at) {
        uint256 length = evidence.length;
        if (length > TdxQuote.MAXIMUM_BYTES) revert DcapQuoteVerifierQuoteTooLarge(length);
        _requireLength(length, 48);
        uint256 version = Bytecraft.uint16At(evidence, 0);
        if (version != 4 && version != 5) {
            revert DcapQuoteVerifierQuoteVersionUnsupported(version);
        }
        uint256 keyType = Bytecraft.uint16At(evidence, 2);
        if (keyType != 2) revert DcapQuoteVerifierAttestationKeyTypeUnsupported(keyType);
        uint256 teeType = Bytecraft.uint32At(evidence, 4);
        if (teeType != 0x81) revert DcapQuoteVerifierTeeTypeUnsupported(teeType);

        at.body = 48;
        uint256 bodyLength = TdxQuote.TD10_LENGTH;
        if (version == 5) {
            at.body = 54;
            _requireLength(length, 54);
            uint256 bodyType = Bytecraft.uint16At(evidence, 48);
            uint256 size = Bytecraft.uint32At(evidence, 50);
            at.isTd15 = bodyType == 3;
            if (at.isTd15) bodyLength = TdxQuote.TD15_LENGTH;
            if ((bodyType != 2 && bodyType != 3) || size != bodyLength) {
                revert DcapQuoteVerifierQuoteBodyUnsupported(bodyType, size);
            }
        }
        at.signedEnd = at.body + bodyLength;
        _requireLength(length, at.signedEnd);
        at.signature = at.signedEnd + 4;
        at.attestationKey = at.signature + 64;
        at.qeReport = at.attestationKey + 64;
        at.qeSignature = at.qeReport + TdxQuote.QE_REPORT_LENGTH;
        at.qeAuth = at.qeSignature + 66;
        if (at.qeAuth > length) revert DcapQuoteVerifierAuthDataMalformed(at.signedEnd);
        at.qeAuthEnd = at.qeAuth + Bytecraft.uint16At(evidence, at.qeAuth - 2);
        // One byte says in which form the PCK certificate follows.
        if (at.qeAuthEnd >= length) revert DcapQuoteVerifierAuthDataMalformed(at.qeAuth);

        bytes16 vendorId = bytes16(Bytecraft.wordAt(evidence, 12));
        if (vendorId != TdxQuote.INTEL_QE_VENDOR_ID) {
            revert DcapQuoteVerifierQeVendorUnknown(vendorId);
        }
    }

    function _requireLength(uint256 length, uint256 needed) private pure {
        if (length < needed) revert DcapQuoteVerifierQuoteTruncated(length, needed);
    }

    /// @dev Rules 230 to 238, for a certificate in full or for the facts of a remembered one.
    function _verifyPlatform(bytes calldata evidence, Case memory subject) private view {
        uint256 start = subject.at.qeAuthEnd;
        uint256 form = Bytecraft.byteAt(evidence, start);
        if (form == 0) {
            (subject.pck,, subject.validUntil) = _verifyCertificate(evidence[start + 1:]);
            return;
        }
        if (form != 1 || evidence.length - start - 1 != FACTS_LENGTH) {
            revert DcapQuoteVerifierAuthDataMalformed(start);
        }
        bytes calldata packed = evidence[start + 1:];
        PckFacts memory facts = _unpack(packed);
        (bytes memory authority, uint40 validUntil) = _authority(facts.issuer);
        bytes32 key = _keyOf(authority, packed);
        if (!isRemembered[key]) revert DcapQuoteVerifierPckNotRemembered(key);
        _requireInForce(facts, authority);
        subject.pck = facts;
        subject.validUntil = _earliest(validUntil, facts.notAfter);
    }

    function _verifyCertificate(bytes calldata der)
        private
        view
        returns (PckFacts memory facts, bytes memory authority, uint40 validUntil)
    {
        X509.Certificate memory leaf = X509.parse(der, DcapQuoteVerifierPckMalformed.selector);
        if (leaf.commonName != PCK_NAME) {
            revert DcapQuoteVerifierPckNameMismatch(leaf.commonName);
        }
        (authority, validUntil) = _authority(leaf.issuer);
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
        facts.x = leaf.x;
        facts.y = leaf.y;
        facts.issuer = leaf.issuer;
        facts.serial = uint160(leaf.serial);
        facts.notBefore = leaf.notBefore;
        facts.notAfter = leaf.notAfter;
        _requireInForce(facts, authority);
        PckExtension.Platform memory platform = PckExtension.parse(
            der, leaf.sgxStart, leaf.sgxEnd, DcapQuoteVerifierPckExtensionMalformed.selector
        );
        facts.ppid = platform.ppid;
        facts.componentSvns = platform.componentSvns;
        facts.pceSvn = platform.pceSvn;
        facts.pceId = platform.pceId;
        facts.fmspc = platform.fmspc;
        validUntil = _earliest(validUntil, facts.notAfter);
    }

    /// @dev The authority's key, certificate and revoked serials, all of it in force.
    function _authority(bytes32 issuer)
        private
        view
        returns (bytes memory authority, uint40 validUntil)
    {
        address record;
        (record, validUntil) = collateralStore.authorityInForce(issuer);
        if (record == address(0)) revert DcapQuoteVerifierPckIssuerMismatch(issuer);
        authority = Records.read(record);
    }

    function _requireInForce(PckFacts memory facts, bytes memory authority) private view {
        if (block.timestamp < facts.notBefore) {
            revert DcapQuoteVerifierPckNotYetValid(facts.notBefore);
        }
        if (block.timestamp > facts.notAfter) {
            revert DcapQuoteVerifierPckExpired(facts.notAfter);
        }
        uint256 serial = facts.serial;
        unchecked {
            // Offsets into a record, at most 24,531.
            for (uint256 at = AUTHORITY_HEAD; at < authority.length; at += 20) {
                if (Bytecraft.serialIn(authority, at) == serial) {
                    revert DcapQuoteVerifierPckRevoked(serial);
                }
            }
        }
    }

    /// @dev Rules 178 to 183 and 240 to 241: the documents for this platform.
    function _loadDocuments(Case memory subject) private view {
        (address tcbInfo, address qeIdentity, uint32 evaluationNumber, uint40 validUntil) =
            collateralStore.documentsInForce(subject.pck.fmspc);
        subject.tcbInfo = Records.read(tcbInfo);
        subject.qeIdentity = Records.read(qeIdentity);
        subject.evaluationNumber = evaluationNumber;
        subject.validUntil = _earliest(subject.validUntil, validUntil);
        bytes2 pceId = TcbRecord.pceId(subject.tcbInfo);
        if (pceId != subject.pck.pceId) {
            revert DcapQuoteVerifierPceIdMismatch(subject.pck.fmspc, subject.pck.pceId, pceId);
        }
    }

    /// @dev Rules 250 to 253: PCK over QE report, QE report over attestation key, that key over the
    /// quote.
    function _verifySignatures(bytes calldata evidence, Case memory subject) private view {
        TdxQuote.Layout memory at = subject.at;
        bool isSigned = _isSignature(
            sha256(evidence[at.qeReport:at.qeSignature]),
            Bytecraft.wordAt(evidence, at.qeSignature),
            Bytecraft.wordAt(evidence, at.qeSignature + 32),
            subject.pck.x,
            subject.pck.y
        );
        if (!isSigned) revert DcapQuoteVerifierQeReportSignatureInvalid();

        bytes32 bound = Bytecraft.wordAt(evidence, at.qeReport + TdxQuote.QE_REPORT_DATA);
        bytes32 actual = sha256(bytes.concat(
            evidence[at.attestationKey:at.qeReport], evidence[at.qeAuth:at.qeAuthEnd]
        ));
        bytes32 rest = Bytecraft.wordAt(evidence, at.qeReport + TdxQuote.QE_REPORT_DATA + 32);
        if (bound != actual || rest != 0) {
            revert DcapQuoteVerifierAttestationKeyNotBound(bound, actual);
        }
        bytes32 x = Bytecraft.wordAt(evidence, at.attestationKey);
        bytes32 y = Bytecraft.wordAt(evidence, at.attestationKey + 32);
        if (!P256.isValidPublicKey(x, y)) revert DcapQuoteVerifierAttestationKeyInvalid();
        isSigned = _isSignature(
            sha256(evidence[:at.signedEnd]),
            Bytecraft.wordAt(evidence, at.signature),
            Bytecraft.wordAt(evidence, at.signature + 32),
            x,
            y
        );
        if (!isSigned) revert DcapQuoteVerifierQuoteSignatureInvalid();
    }

    /// @dev Rules 260 to 264.
    function _requireQuotingEnclave(bytes calldata evidence, Case memory subject) private pure {
        bytes memory identity = subject.qeIdentity;
        uint256 report = subject.at.qeReport;
        bytes32 mrSigner = Bytecraft.wordAt(evidence, report + TdxQuote.QE_MR_SIGNER);
        if (mrSigner != QeRecord.mrSigner(identity)) {
            revert DcapQuoteVerifierQeMrSignerMismatch(mrSigner, QeRecord.mrSigner(identity));
        }
        uint256 isvProdId = Bytecraft.uint16At(evidence, report + TdxQuote.QE_ISV_PROD_ID);
        if (isvProdId != QeRecord.isvProdId(identity)) {
            revert DcapQuoteVerifierQeIsvProdIdMismatch(isvProdId, QeRecord.isvProdId(identity));
        }
        bytes4 misc = bytes4(Bytecraft.wordAt(evidence, report + TdxQuote.QE_MISC_SELECT));
        (bytes4 expectedMisc, bytes4 miscMask) = QeRecord.miscSelect(identity);
        if ((misc ^ expectedMisc) & miscMask != 0) {
            revert DcapQuoteVerifierQeMiscSelectMismatch(misc, expectedMisc);
        }
        bytes16 attributes = bytes16(Bytecraft.wordAt(evidence, report + TdxQuote.QE_ATTRIBUTES));
        (bytes16 expected, bytes16 mask) = QeRecord.attributes(identity);
        if ((attributes ^ expected) & mask != 0) {
            revert DcapQuoteVerifierQeAttributesMismatch(attributes, expected);
        }
        // Intel's mask covers the debug bit; this holds whatever a mask says.
        if (uint8(attributes[0]) & 0x02 != 0) revert DcapQuoteVerifierQeDebug(attributes);
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
    function _appraiseTcb(
        bytes calldata evidence,
        Case memory subject
    ) private pure returns (uint8 status) {
        uint256 body = subject.at.body;
        bytes16 teeTcbSvn = bytes16(Bytecraft.wordAt(evidence, body + TdxQuote.TEE_TCB_SVN));
        uint256 version = uint8(teeTcbSvn[1]);
        (bool isKnown, uint256 module, uint256 levels, uint256 count) =
            TcbRecord.findModule(subject.tcbInfo, version);
        if (!isKnown) {
            revert DcapQuoteVerifierTdxModuleUnknown(
                subject.pck.fmspc, subject.evaluationNumber, version
            );
        }
        _requireModule(evidence, subject, module);
        status = _platformStatus(subject, teeTcbSvn, version);
        uint8 part;
        // The first module names no version and is judged by the platform's level alone.
        if (version != 0) {
            (isKnown, part) = TcbRecord.isvStatus(
                subject.tcbInfo, levels, count, uint8(teeTcbSvn[0])
            );
            if (!isKnown) {
                revert DcapQuoteVerifierTdxModuleTcbLevelNotFound(
                    subject.pck.fmspc, subject.evaluationNumber, uint8(teeTcbSvn[0])
                );
            }
            status = TcbConvergence.converge(status, part);
        }
        uint256 isvSvn =
            Bytecraft.uint16At(evidence, subject.at.qeReport + TdxQuote.QE_ISV_SVN);
        (levels, count) = QeRecord.levels(subject.qeIdentity);
        (isKnown, part) = TcbRecord.isvStatus(subject.qeIdentity, levels, count, isvSvn);
        if (!isKnown) {
            revert DcapQuoteVerifierQeTcbLevelNotFound(
                subject.pck.fmspc, subject.evaluationNumber, isvSvn
            );
        }
        status = TcbConvergence.converge(status, part);
        if (status == TCB_REVOKED) {
            revert DcapQuoteVerifierTcbRevoked(subject.pck.fmspc, subject.evaluationNumber);
        }
    }

    function _requireModule(
        bytes calldata evidence,
        Case memory subject,
        uint256 module
    ) private pure {
        uint256 body = subject.at.body;
        bytes32 high = Bytecraft.wordAt(evidence, body + TdxQuote.MR_SIGNER_SEAM);
        bytes16 low = bytes16(Bytecraft.wordAt(evidence, body + TdxQuote.MR_SIGNER_SEAM + 32));
        if (!TcbRecord.isModuleSigner(subject.tcbInfo, module, high, low)) {
            revert DcapQuoteVerifierTdxModuleSignerMismatch(
                subject.pck.fmspc, subject.evaluationNumber
            );
        }
        bytes8 actual = bytes8(Bytecraft.wordAt(evidence, body + TdxQuote.SEAM_ATTRIBUTES));
        (bytes8 expected, bytes8 mask) = TcbRecord.moduleAttributes(subject.tcbInfo, module);
        if ((actual ^ expected) & mask != 0) {
            revert DcapQuoteVerifierTdxModuleAttributesMismatch(actual, expected);
        }
    }

    /// @dev From module 1.5 on the first two TDX components are the module's version and are judged by
    /// the module's identity instead: the highest SVN in their place meets every level.
    function _platformStatus(
        Case memory subject,
        bytes16 teeTcbSvn,
        uint256 version
    ) private pure returns (uint8 status) {
        if (version != 0) teeTcbSvn |= bytes16(bytes2(0xffff));
        bytes32 svns = bytes32(subject.pck.componentSvns) | bytes32(teeTcbSvn) >> 128;
        bool isFound;
        (isFound, status) =
            TcbRecord.platformStatus(subject.tcbInfo, svns, subject.pck.pceSvn);
        if (!isFound) {
            revert DcapQuoteVerifierTcbLevelNotFound(
                subject.pck.fmspc, subject.evaluationNumber, svns, subject.pck.pceSvn
            );
        }
    }

    function _requireNoServiceTd(bytes calldata evidence, uint256 body) private pure {
        bytes32 high = Bytecraft.wordAt(evidence, body + TdxQuote.MR_SERVICE_TD);
        bytes16 low = bytes16(Bytecraft.wordAt(evidence, body + TdxQuote.MR_SERVICE_TD + 32));
        if (high != 0 || low != 0) revert DcapQuoteVerifierServiceTdNotAllowed();
    }

    function _imageId(bytes calldata evidence, uint256 body) private pure returns (bytes32) {
        uint256 rtmr0 = body + TdxQuote.RTMR0;
        uint256 attributes = body + TdxQuote.TD_ATTRIBUTES;
        return keccak256(bytes.concat(
            evidence[body + TdxQuote.MR_TD:body + TdxQuote.MR_CONFIG_ID],
            // RTMR0 to RTMR2 stand side by side, as do attributes and XFAM.
            evidence[rtmr0:rtmr0 + 144],
            evidence[body + TdxQuote.MR_CONFIG_ID:body + TdxQuote.MR_CONFIG_ID + 48],
            evidence[attributes:attributes + 16]
        ));
    }

    /// @dev The authority's key belongs to it: facts verified under a key that was replaced are forgotten.
    function _keyOf(bytes memory authority, bytes memory packed) private pure returns (bytes32) {
        return keccak256(bytes.concat(
            Bytecraft.wordIn(authority, 0), Bytecraft.wordIn(authority, 32), packed
        ));
    }

    function _pack(PckFacts memory facts) private pure returns (bytes memory) {
        return bytes.concat(
            abi.encodePacked(
                facts.x, facts.y, facts.issuer, facts.serial, facts.notBefore, facts.notAfter
            ),
            abi.encodePacked(
                facts.ppid, facts.componentSvns, facts.pceSvn, facts.pceId, facts.fmspc
            )
        );
    }

    function _unpack(bytes calldata packed) private pure returns (PckFacts memory facts) {
        facts.x = Bytecraft.wordAt(packed, 0);
        facts.y = Bytecraft.wordAt(packed, 32);
        facts.issuer = Bytecraft.wordAt(packed, 64);
        facts.serial = uint160(bytes20(Bytecraft.wordAt(packed, 96)));
        facts.notBefore = uint40(bytes5(Bytecraft.wordAt(packed, 116)));
        facts.notAfter = uint40(bytes5(Bytecraft.wordAt(packed, 121)));
        facts.ppid = bytes16(Bytecraft.wordAt(packed, 126));
        facts.componentSvns = bytes16(Bytecraft.wordAt(packed, 142));
        facts.pceSvn = uint16(bytes2(Bytecraft.wordAt(packed, 158)));
        facts.pceId = bytes2(Bytecraft.wordAt(packed, 160));
        facts.fmspc = bytes6(Bytecraft.wordAt(packed, 162));
    }

    function _earliest(uint40 left, uint40 right) private pure returns (uint40) {
        return left < right ? left : right;
    }
}
