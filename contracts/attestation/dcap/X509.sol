// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytecraft} from "./Bytecraft.sol";
import {Der} from "./Der.sol";

/// @title X509
/// @notice Reads X.509 version 3 certificates over P-256 with SHA-256, the only kind in Intel's
/// hierarchy. What it takes and refuses is what `verifier/x509/certificate.ts` takes and refuses.
/// @dev RFC 5280 §4.1. No signature, name or time is judged here.
library X509 {
    using Der for Der.Reader;

    /// @dev Offsets are into the DER that was handed in.
    struct Certificate {
        /// @dev Keccak-256 of the DER names: equality of names is equality of these bytes.
        bytes32 issuer;
        bytes32 subject;
        /// @dev Keccak-256 of the one common name of the subject; of nothing when it has none.
        bytes32 commonName;
        uint256 serial;
        uint40 notBefore;
        uint40 notAfter;
        /// @dev Not yet known to lie on the curve.
        bytes32 x;
        bytes32 y;
        bytes32 r;
        bytes32 s;
        /// @dev SHA-256 of the TBSCertificate, which the signature signs.
        bytes32 digest;
        bool hasBasicConstraints;
        bool isBasicConstraintsCritical;
        bool isCa;
        bool hasPathLength;
        uint256 pathLength;
        bool hasKeyUsage;
        /// @dev First octet: digitalSignature 0x80, keyCertSign 0x04, cRLSign 0x02.
        uint256 keyUsage;
        /// @dev Contents of the SGX extension's OCTET STRING; both zero when it is absent.
        uint256 sgxStart;
        uint256 sgxEnd;
    }

    /// @dev OID and contents of the OCTET STRING, by their offsets.
    struct Extension {
        uint256 oidStart;
        uint256 oidEnd;
        uint256 start;
        uint256 end;
        bool isCritical;
    }

    uint256 internal constant DIGITAL_SIGNATURE = 0x80;
    uint256 internal constant KEY_CERT_SIGN = 0x04;
    uint256 internal constant CRL_SIGN = 0x02;

    /// @dev Two length octets cannot say more; larger than any certificate of the hierarchy.
    uint256 private constant MAXIMUM_BYTES = 65_535;
    /// @dev Extensions outside 2.5.29 that one certificate may carry; Intel's carry one.
    uint256 private constant MAXIMUM_FOREIGN_EXTENSIONS = 8;

    /// @dev 06 08 ‖ 1.2.840.10045.4.3.2, ecdsa-with-SHA256, 10 bytes, no parameters.
    bytes32 private constant ECDSA_WITH_SHA256 = hex"06082a8648ce3d040302";
    /// @dev 06 07 ‖ 1.2.840.10045.2.1 ‖ 06 08 ‖ 1.2.840.10045.3.1.7, 19 bytes.
    bytes32 private constant P256_KEY = hex"06072a8648ce3d020106082a8648ce3d030107";
    /// @dev 1.2.840.113741.1.13.1, 9 bytes.
    bytes32 private constant SGX_OID = hex"2a864886f84d010d01";
    /// @dev 2.5.4.3, 3 bytes.
    uint256 private constant COMMON_NAME_OID = 0x550403;

    uint256 private constant KEY_USAGE = 15;
    uint256 private constant SUBJECT_ALT_NAME = 17;
    uint256 private constant BASIC_CONSTRAINTS = 19;
    uint256 private constant EXTENDED_KEY_USAGE = 37;
    /// @dev Those of 2.5.29 that are understood, or bear on nothing here, and so may be critical.
    uint256 private constant MAY_BE_CRITICAL = 1 << KEY_USAGE | 1 << SUBJECT_ALT_NAME
        | 1 << BASIC_CONSTRAINTS | 1 << EXTENDED_KEY_USAGE;

    /// @notice Reads a certificate.
    /// @param refusal Selector of the error, with the offset as its argument, for what is not exact
    /// DER, not version 3, not ECDSA P-256 with SHA-256, or critical and not understood.
    function parse(
        bytes calldata der,
        bytes4 refusal
    ) internal pure returns (Certificate memory certificate) {
        Der.Reader memory reader = Der.over(der, refusal);
        if (der.length > MAXIMUM_BYTES) reader.fail();
        uint256 outer = reader.enter(der, Der.SEQUENCE);
        (uint256 signedStart, uint256 signedEnd) = reader.readWhole(der, Der.SEQUENCE);
        expectAlgorithm(reader, der);
        (certificate.r, certificate.s) = readSignature(reader, der);
        reader.leave(outer);
        if (!reader.isDone()) reader.fail();
        certificate.digest = sha256(der[signedStart:signedEnd]);

        reader.at = signedStart;
        reader.end = signedEnd;
        outer = reader.enter(der, Der.SEQUENCE);
        uint256 version = reader.enter(der, 0xa0);
        (uint256 number,) = reader.readUnsigned(der, Der.INTEGER, 6);
        if (number != 2) reader.fail();
        reader.leave(version);
        certificate.serial = readSerial(reader, der);
        expectAlgorithm(reader, der);
        certificate.issuer = _hashNext(reader, der);
        uint256 validity = reader.enter(der, Der.SEQUENCE);
        certificate.notBefore = reader.readTime(der);
        certificate.notAfter = reader.readTime(der);
        reader.leave(validity);
        uint256 subjectStart = reader.at;
        certificate.subject = _hashNext(reader, der);
        _readPublicKey(reader, der, certificate);
        uint256 frame = reader.enter(der, 0xa3);
        uint256 list = reader.enter(der, Der.SEQUENCE);
        _readExtensions(reader, der, certificate);
        reader.leave(list);
        reader.leave(frame);
        reader.leave(outer);

        certificate.commonName = _readCommonName(reader, der, subjectStart);
    }

    /// @notice Whether a certificate may sign data and nothing else: no authority, digitalSignature set,
    /// keyCertSign and cRLSign clear.
    function isDigitalSigner(Certificate memory certificate) internal pure returns (bool) {
        uint256 judged = DIGITAL_SIGNATURE | KEY_CERT_SIGN | CRL_SIGN;
        return certificate.isBasicConstraintsCritical && !certificate.isCa
            && certificate.keyUsage & judged == DIGITAL_SIGNATURE;
    }

    /// @notice The AlgorithmIdentifier must be ECDSA with SHA-256, without parameters.
    function expectAlgorithm(Der.Reader memory reader, bytes calldata der) internal pure {
        (uint256 start, uint256 end) = reader.read(der, Der.SEQUENCE);
        // 176 = 256 - 8 * 10 bytes of the constant
        bool isExpected =
            end - start == 10 && (Bytecraft.wordAt(der, start) ^ ECDSA_WITH_SHA256) >> 176 == 0;
        if (!isExpected) reader.fail();
    }

    /// @notice ECDSA-Sig-Value in a BIT STRING (RFC 3279 §2.2.3).
    function readSignature(
        Der.Reader memory reader,
        bytes calldata der
    ) internal pure returns (bytes32 r, bytes32 s) {
        uint256 outer = reader.enter(der, Der.BIT_STRING);
        if (reader.isDone() || Bytecraft.byteAt(der, reader.at) != 0) reader.fail();
        reader.at += 1;
        uint256 pair = reader.enter(der, Der.SEQUENCE);
        (uint256 first,) = reader.readUnsigned(der, Der.INTEGER, 32);
        (uint256 second,) = reader.readUnsigned(der, Der.INTEGER, 32);
        reader.leave(pair);
        reader.leave(outer);
        return (bytes32(first), bytes32(second));
    }

    /// @notice RFC 5280 §4.1.2.2: not negative, at most 20 octets.
    function readSerial(
        Der.Reader memory reader,
        bytes calldata der
    ) internal pure returns (uint256 serial) {
        (serial,) = reader.readUnsigned(der, Der.INTEGER, 20);
    }

    /// @notice The next Extension, each offset into the DER.
    function readExtension(
        Der.Reader memory reader,
        bytes calldata der
    ) internal pure returns (Extension memory extension) {
        uint256 outer = reader.enter(der, Der.SEQUENCE);
        (extension.oidStart, extension.oidEnd) = reader.read(der, Der.OBJECT_IDENTIFIER);
        if (reader.nextIs(der, Der.BOOLEAN)) {
            extension.isCritical = reader.readBoolean(der);
            // The default, spelt out, is not DER.
            if (!extension.isCritical) reader.fail();
        }
        (extension.start, extension.end) = reader.read(der, Der.OCTET_STRING);
        reader.leave(outer);
    }

    function _hashNext(
        Der.Reader memory reader,
        bytes calldata der
    ) private pure returns (bytes32) {
        (uint256 start, uint256 end) = reader.readWhole(der, Der.SEQUENCE);
        return Bytecraft.keccak(der, start, end);
    }

    function _readPublicKey(
        Der.Reader memory reader,
        bytes calldata der,
        Certificate memory certificate
    ) private pure {
        uint256 outer = reader.enter(der, Der.SEQUENCE);
        (uint256 start, uint256 end) = reader.read(der, Der.SEQUENCE);
        // 104 = 256 - 8 * 19 bytes of the constant
        if (end - start != 19 || (Bytecraft.wordAt(der, start) ^ P256_KEY) >> 104 != 0) {
            reader.fail();
        }
        (start, end) = reader.read(der, Der.BIT_STRING);
        reader.leave(outer);
        // 66 = unused bits 1 + form 1 (04, uncompressed) + x 32 + y 32
        if (end - start != 66 || Bytecraft.wordAt(der, start) >> 240 != bytes32(uint256(4))) {
            reader.fail();
        }
        certificate.x = Bytecraft.wordAt(der, start + 2);
        certificate.y = Bytecraft.wordAt(der, start + 34);
    }

    /// @dev Each OID once: those of 2.5.29 by a bitmap, others by a list of hashes.
    function _readExtensions(
        Der.Reader memory reader,
        bytes calldata der,
        Certificate memory certificate
    ) private pure {
        uint256 seen;
        bytes32[MAXIMUM_FOREIGN_EXTENSIONS] memory foreign;
        uint256 foreignCount;
        while (!reader.isDone()) {
            Extension memory extension = readExtension(reader, der);
            uint256 oidLength = extension.oidEnd - extension.oidStart;
            uint256 oid = uint256(Bytecraft.wordAt(der, extension.oidStart));
            uint256 kind = (oid >> 232) & 0xff;
            if (oidLength == 3 && oid >> 240 == 0x551d && kind < 0x80) {
                if (seen & (1 << kind) != 0) reader.fail();
                seen |= 1 << kind;
                if (extension.isCritical && MAY_BE_CRITICAL & (1 << kind) == 0) reader.fail();
                if (kind == BASIC_CONSTRAINTS) {
                    _readBasicConstraints(reader.refusal, der, extension, certificate);
                } else if (kind == KEY_USAGE) {
                    _readKeyUsage(reader.refusal, der, extension, certificate);
                }
                continue;
            }
            if (extension.isCritical || foreignCount == MAXIMUM_FOREIGN_EXTENSIONS) reader.fail();
            _expectObjectIdentifier(reader, der, extension.oidStart, extension.oidEnd);
            bytes32 hash = Bytecraft.keccak(der, extension.oidStart, extension.oidEnd);
            for (uint256 index; index < foreignCount; ++index) {
                if (foreign[index] == hash) reader.fail();
            }
            foreign[foreignCount++] = hash;
            // 184 = 256 - 8 * 9 bytes of the constant
            if (oidLength == 9 && (bytes32(oid) ^ SGX_OID) >> 184 == 0) {
                certificate.sgxStart = extension.start;
                certificate.sgxEnd = extension.end;
            }
        }
    }

    /// @dev Arcs are minimal, complete and below 2^31.
    function _expectObjectIdentifier(
        Der.Reader memory reader,
        bytes calldata der,
        uint256 start,
        uint256 end
    ) private pure {
        uint256 arc;
        bool isInside;
        for (uint256 at = start; at < end; ++at) {
            uint256 octet = Bytecraft.byteAt(der, at);
            if (!isInside && octet == 0x80) reader.fail();
            arc = arc << 7 | (octet & 0x7f);
            if (arc > 0x7fffffff) reader.fail();
            isInside = octet >= 0x80;
            if (!isInside) arc = 0;
        }
        if (isInside || start == end) reader.fail();
    }

    function _readBasicConstraints(
        bytes4 refusal,
        bytes calldata der,
        Extension memory extension,
        Certificate memory certificate
    ) private pure {
        Der.Reader memory reader =
            Der.Reader({at: extension.start, end: extension.end, refusal: refusal});
        certificate.hasBasicConstraints = true;
        certificate.isBasicConstraintsCritical = extension.isCritical;
        uint256 outer = reader.enter(der, Der.SEQUENCE);
        if (reader.nextIs(der, Der.BOOLEAN)) {
            certificate.isCa = reader.readBoolean(der);
            if (!certificate.isCa) reader.fail();
        }
        if (reader.nextIs(der, Der.INTEGER)) {
            if (!certificate.isCa) reader.fail();
            certificate.hasPathLength = true;
            (certificate.pathLength,) = reader.readUnsigned(der, Der.INTEGER, 6);
        }
        reader.leave(outer);
        if (!reader.isDone()) reader.fail();
    }

    function _readKeyUsage(
        bytes4 refusal,
        bytes calldata der,
        Extension memory extension,
        Certificate memory certificate
    ) private pure {
        Der.Reader memory reader =
            Der.Reader({at: extension.start, end: extension.end, refusal: refusal});
        (uint256 bitsStart, uint256 bitsEnd) = reader.read(der, Der.BIT_STRING);
        uint256 length = bitsEnd - bitsStart;
        // Nine bits are defined: the count of unused bits and one or two octets.
        bool isSound = reader.isDone() && length >= 2 && length <= 3
            && Bytecraft.byteAt(der, bitsStart) <= 7;
        if (!isSound) reader.fail();
        certificate.hasKeyUsage = true;
        certificate.keyUsage = Bytecraft.byteAt(der, bitsStart + 1);
    }

    /// @dev Other attributes than the common name are not interpreted.
    function _readCommonName(
        Der.Reader memory reader,
        bytes calldata der,
        uint256 subjectStart
    ) private pure returns (bytes32 commonName) {
        // The subject's bounds were checked when it was hashed; its own length leads to its end.
        reader.at = subjectStart;
        reader.end = der.length;
        bool isFound;
        commonName = keccak256("");
        reader.enter(der, Der.SEQUENCE);
        while (!reader.isDone()) {
            uint256 afterSet = reader.enter(der, Der.SET);
            uint256 afterAttribute = reader.enter(der, Der.SEQUENCE);
            uint256 attributeEnd = reader.end;
            if (attributeEnd != afterAttribute) reader.fail();
            (uint256 start, uint256 end) = reader.read(der, Der.OBJECT_IDENTIFIER);
            if (end - start == 3 && uint256(Bytecraft.wordAt(der, start)) >> 232 == COMMON_NAME_OID)
            {
                if (isFound) reader.fail();
                isFound = true;
                bool isUtf8 = reader.nextIs(der, Der.UTF8_STRING);
                (start, end) =
                    reader.read(der, isUtf8 ? Der.UTF8_STRING : Der.PRINTABLE_STRING);
                if (!reader.isDone()) reader.fail();
                _expectAscii(reader, der, start, end);
                commonName = Bytecraft.keccak(der, start, end);
            }
            reader.at = attributeEnd;
            reader.end = afterSet;
        }
    }

    /// @dev No name of the hierarchy leaves ASCII, and a stray high octet is no UTF-8 either.
    function _expectAscii(
        Der.Reader memory reader,
        bytes calldata der,
        uint256 start,
        uint256 end
    ) private pure {
        for (uint256 at = start; at < end; at += 32) {
            uint256 high = uint256(Bytecraft.wordAt(der, at));
            high &= 0x8080808080808080808080808080808080808080808080808080808080808080;
            if (end - at < 32) high >>= 256 - 8 * (end - at);
            if (high != 0) reader.fail();
        }
    }
}
