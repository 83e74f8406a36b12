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

    /// @dev What is judged of a certificate.
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
        /// @dev False as well when there are no basic constraints.
        bool isBasicConstraintsCritical;
        bool isCa;
        /// @dev First octet: digitalSignature 0x80, keyCertSign 0x04, cRLSign 0x02; zero when absent.
        uint256 keyUsage;
        /// @dev Positions of the contents of the SGX extension's OCTET STRING; zeros when it is absent.
        uint256 sgxStart;
        uint256 sgxEnd;
    }

    /// @dev Positions of OID and of the contents of the OCTET STRING.
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

    /// @dev [0] EXPLICIT INTEGER 2, version 3: 5 bytes.
    uint256 private constant VERSION_3 = 0xa003020102;
    /// @dev SEQUENCE of 1.2.840.10045.4.3.2, ecdsa-with-SHA256, without parameters: 12 bytes.
    uint256 private constant ECDSA_WITH_SHA256 = 0x300a06082a8648ce3d040302;
    /// @dev SubjectPublicKeyInfo up to the point: SEQUENCE of 89, the algorithm as a SEQUENCE of
    /// 1.2.840.10045.2.1 and 1.2.840.10045.3.1.7, a BIT STRING of 66 with no unused bits, and 04 for an
    /// uncompressed point: 27 bytes.
    uint256 private constant P256_KEY = 0x3059301306072a8648ce3d020106082a8648ce3d03010703420004;
    /// @dev 1.2.840.113741.1.13.1, 9 bytes.
    uint256 private constant SGX_OID = 0x2a864886f84d010d01;
    /// @dev 2.5.4.3, 3 bytes.
    uint256 private constant COMMON_NAME_OID = 0x550403;

    uint256 private constant KEY_USAGE = 15;
    uint256 private constant SUBJECT_ALT_NAME = 17;
    uint256 private constant BASIC_CONSTRAINTS = 19;
    uint256 private constant EXTENDED_KEY_USAGE = 37;
    /// @dev Those of 2.5.29 that are understood, or bear on nothing here, and so may be critical.
    uint256 private constant MAY_BE_CRITICAL =
        1 << KEY_USAGE | 1 << SUBJECT_ALT_NAME | 1 << BASIC_CONSTRAINTS | 1 << EXTENDED_KEY_USAGE;

    /// @notice Reads a certificate.
    /// @param refusal Selector of the error, with the offset as its argument, for what is not exact
    /// DER, not version 3, not ECDSA P-256 with SHA-256, or critical and not understood.
    function parse(bytes calldata der, bytes4 refusal)
        internal
        pure
        returns (Certificate memory certificate)
    {
        Der.Reader memory reader = Der.over(der, refusal);
        if (der.length > MAXIMUM_BYTES) reader.fail();
        uint256 outer = reader.enter(Der.SEQUENCE);
        (uint256 signedStart, uint256 signedEnd) = reader.readWhole(Der.SEQUENCE);
        expectAlgorithm(reader);
        (certificate.r, certificate.s) = readSignature(reader);
        reader.leave(outer);
        if (!reader.isDone()) reader.fail();
        certificate.digest = sha256(Bytecraft.slice(signedStart, signedEnd));

        reader.at = signedStart;
        reader.end = signedEnd;
        outer = reader.enter(Der.SEQUENCE);
        reader.expect(VERSION_3, 5);
        certificate.serial = readSerial(reader);
        expectAlgorithm(reader);
        (uint256 nameStart, uint256 nameEnd) = reader.readWhole(Der.SEQUENCE);
        certificate.issuer = keccak256(Bytecraft.slice(nameStart, nameEnd));
        uint256 validity = reader.enter(Der.SEQUENCE);
        certificate.notBefore = reader.readTime();
        certificate.notAfter = reader.readTime();
        reader.leave(validity);
        (uint256 subjectStart, uint256 subjectEnd) = reader.readWhole(Der.SEQUENCE);
        certificate.subject = keccak256(Bytecraft.slice(subjectStart, subjectEnd));
        _readPublicKey(reader, certificate);
        uint256 frame = reader.enter(0xa3);
        uint256 list = reader.enter(Der.SEQUENCE);
        _readExtensions(reader, certificate);
        reader.leave(list);
        reader.leave(frame);
        reader.leave(outer);

        certificate.commonName = _readCommonName(reader, subjectStart, subjectEnd);
    }

    /// @notice Whether a certificate may sign data and nothing else: no authority, digitalSignature set,
    /// keyCertSign and cRLSign clear.
    function isDigitalSigner(Certificate memory certificate) internal pure returns (bool) {
        uint256 judged = DIGITAL_SIGNATURE | KEY_CERT_SIGN | CRL_SIGN;
        return certificate.isBasicConstraintsCritical && !certificate.isCa
            && certificate.keyUsage & judged == DIGITAL_SIGNATURE;
    }

    /// @notice The AlgorithmIdentifier must be ECDSA with SHA-256, without parameters.
    function expectAlgorithm(Der.Reader memory reader) internal pure {
        reader.expect(ECDSA_WITH_SHA256, 12);
    }

    /// @notice ECDSA-Sig-Value in a BIT STRING (RFC 3279 §2.2.3).
    function readSignature(Der.Reader memory reader) internal pure returns (bytes32 r, bytes32 s) {
        uint256 outer = reader.enter(Der.BIT_STRING);
        if (reader.isDone() || Bytecraft.octet(reader.at) != 0) reader.fail();
        reader.at += 1;
        uint256 pair = reader.enter(Der.SEQUENCE);
        r = bytes32(reader.readUnsigned(Der.INTEGER, 32));
        s = bytes32(reader.readUnsigned(Der.INTEGER, 32));
        reader.leave(pair);
        reader.leave(outer);
    }

    /// @notice RFC 5280 §4.1.2.2: not negative, at most 20 octets.
    function readSerial(Der.Reader memory reader) internal pure returns (uint256) {
        return reader.readUnsigned(Der.INTEGER, 20);
    }

    /// @notice Reads the next Extension into `extension`.
    function readExtension(Der.Reader memory reader, Extension memory extension) internal pure {
        if (_takeShortExtension(reader, extension)) return;
        uint256 outer = reader.enter(Der.SEQUENCE);
        (extension.oidStart, extension.oidEnd) = reader.read(Der.OBJECT_IDENTIFIER);
        extension.isCritical = reader.nextIs(Der.BOOLEAN);
        // The default, spelt out, is not DER.
        if (extension.isCritical && !reader.readBoolean()) reader.fail();
        (extension.start, extension.end) = reader.read(Der.OCTET_STRING);
        reader.leave(outer);
    }

    /// @dev An extension with an OID of three octets and lengths of one, as most are, is told by one word:
    ///
    ///     30 length  06 03 oid 3            04 length
    ///     30 length  06 03 oid 3  01 01 ff  04 length     if critical
    ///
    /// Any other is read step by step, which says what is wrong with it.
    function _takeShortExtension(Der.Reader memory reader, Extension memory extension)
        private
        pure
        returns (bool)
    {
        unchecked {
            // Positions in calldata, lengths below 128.
            uint256 at = reader.at;
            uint256 head = Bytecraft.word(at);
            if ((head >> 224) & 0xff80ffff != 0x30000603) return false;
            uint256 end = at + 2 + ((head >> 240) & 0xff);
            // 168 = 256 - 8 * 11: octets 7 to 10
            bool isCritical = (head >> 168) & 0xffffffff == 0x0101ff04;
            if (!isCritical && (head >> 192) & 0xff != 0x04) return false;
            uint256 length = (isCritical ? head >> 160 : head >> 184) & 0xff;
            uint256 start = at + (isCritical ? 12 : 9);
            if (length >= 0x80 || start + length != end || end > reader.end) return false;
            reader.at = end;
            extension.oidStart = at + 4;
            extension.oidEnd = at + 7;
            extension.isCritical = isCritical;
            extension.start = start;
            extension.end = end;
            return true;
        }
    }

    function _readPublicKey(Der.Reader memory reader, Certificate memory certificate) private pure {
        reader.expect(P256_KEY, 27);
        certificate.x = bytes32(Bytecraft.word(reader.at));
        certificate.y = bytes32(Bytecraft.word(reader.at + 32));
        reader.at += 64;
        if (reader.at > reader.end) reader.fail();
    }

    /// @dev Each OID once: those of 2.5.29 by a bitmap, others by a list of hashes.
    function _readExtensions(Der.Reader memory reader, Certificate memory certificate)
        private
        pure
    {
        uint256 seen;
        bytes32[MAXIMUM_FOREIGN_EXTENSIONS] memory foreign;
        uint256 foreignCount;
        Extension memory extension;
        while (!reader.isDone()) {
            readExtension(reader, extension);
            uint256 oidLength = extension.oidEnd - extension.oidStart;
            uint256 oid = Bytecraft.word(extension.oidStart);
            uint256 kind = (oid >> 232) & 0xff;
            if (oidLength == 3 && oid >> 240 == 0x551d && kind < 0x80) {
                if (seen & (1 << kind) != 0) reader.fail();
                seen |= 1 << kind;
                if (extension.isCritical && MAY_BE_CRITICAL & (1 << kind) == 0) reader.fail();
                if (kind == BASIC_CONSTRAINTS) {
                    _readBasicConstraints(reader, extension, certificate);
                } else if (kind == KEY_USAGE) {
                    _readKeyUsage(reader, extension, certificate);
                }
                continue;
            }
            if (extension.isCritical || foreignCount == MAXIMUM_FOREIGN_EXTENSIONS) reader.fail();
            // 184 = 256 - 8 * 9 bytes of the constant
            bool isSgx = oidLength == 9 && oid >> 184 == SGX_OID;
            if (!isSgx) _expectObjectIdentifier(reader, extension.oidStart, extension.oidEnd);
            bytes32 hash = keccak256(Bytecraft.slice(extension.oidStart, extension.oidEnd));
            for (uint256 index; index < foreignCount; ++index) {
                if (foreign[index] == hash) reader.fail();
            }
            foreign[foreignCount++] = hash;
            if (isSgx) {
                certificate.sgxStart = extension.start;
                certificate.sgxEnd = extension.end;
            }
        }
    }

    /// @dev Arcs are minimal, complete and below 2^31.
    function _expectObjectIdentifier(Der.Reader memory reader, uint256 start, uint256 end)
        private
        pure
    {
        uint256 arc;
        bool isInside;
        for (uint256 at = start; at < end; ++at) {
            uint256 octet = Bytecraft.octet(at);
            if (!isInside && octet == 0x80) reader.fail();
            arc = arc << 7 | (octet & 0x7f);
            if (arc > 0x7fffffff) reader.fail();
            isInside = octet >= 0x80;
            if (!isInside) arc = 0;
        }
        if (isInside || start == end) reader.fail();
    }

    function _readBasicConstraints(
        Der.Reader memory outer,
        Extension memory extension,
        Certificate memory certificate
    ) private pure {
        Der.Reader memory reader = _inside(outer, extension);
        certificate.isBasicConstraintsCritical = extension.isCritical;
        uint256 end = reader.enter(Der.SEQUENCE);
        if (reader.nextIs(Der.BOOLEAN)) {
            certificate.isCa = reader.readBoolean();
            if (!certificate.isCa) reader.fail();
        }
        if (reader.nextIs(Der.INTEGER)) {
            // A limit to the path without being an authority. The limit itself is not judged: the
            // hierarchy has two levels and each has its own name.
            if (!certificate.isCa) reader.fail();
            reader.readUnsigned(Der.INTEGER, 6);
        }
        reader.leave(end);
        if (!reader.isDone()) reader.fail();
    }

    function _readKeyUsage(
        Der.Reader memory outer,
        Extension memory extension,
        Certificate memory certificate
    ) private pure {
        Der.Reader memory reader = _inside(outer, extension);
        (uint256 start, uint256 end) = reader.read(Der.BIT_STRING);
        // Nine bits are defined: the count of unused bits and one or two octets.
        bool isSound =
            reader.isDone() && end - start >= 2 && end - start <= 3 && Bytecraft.octet(start) <= 7;
        if (!isSound) reader.fail();
        certificate.keyUsage = Bytecraft.octet(start + 1);
    }

    function _inside(Der.Reader memory outer, Extension memory extension)
        private
        pure
        returns (Der.Reader memory)
    {
        return Der.Reader({
            at: extension.start, end: extension.end, origin: outer.origin, refusal: outer.refusal
        });
    }

    /// @dev Other attributes than the common name are not interpreted.
    function _readCommonName(Der.Reader memory reader, uint256 start, uint256 end)
        private
        pure
        returns (bytes32 commonName)
    {
        reader.at = start;
        reader.end = end;
        bool isFound;
        commonName = keccak256("");
        reader.enter(Der.SEQUENCE);
        while (!reader.isDone()) {
            if (_skipShortAttribute(reader)) continue;
            uint256 afterSet = reader.enter(Der.SET);
            uint256 setEnd = reader.enter(Der.SEQUENCE);
            // One attribute to a set.
            if (reader.end != setEnd) reader.fail();
            (start, end) = reader.read(Der.OBJECT_IDENTIFIER);
            if (end - start == 3 && Bytecraft.word(start) >> 232 == COMMON_NAME_OID) {
                if (isFound) reader.fail();
                isFound = true;
                (start, end) = reader.read(
                    reader.nextIs(Der.UTF8_STRING) ? Der.UTF8_STRING : Der.PRINTABLE_STRING
                );
                if (!reader.isDone()) reader.fail();
                _expectAscii(reader, start, end);
                commonName = keccak256(Bytecraft.slice(start, end));
            }
            reader.at = setEnd;
            reader.end = afterSet;
        }
    }

    /// @dev Steps over an attribute that is not the common name and has an OID of three octets and lengths
    /// of one: 31 n+2 30 n 06 03 oid 3, told by one word.
    function _skipShortAttribute(Der.Reader memory reader) private pure returns (bool) {
        unchecked {
            uint256 at = reader.at;
            uint256 head = Bytecraft.word(at);
            // 184 = 256 - 8 * 9
            if ((head >> 208) & 0xff80ff80ffff != 0x310030000603) return false;
            uint256 length = (head >> 224) & 0xff;
            uint256 end = at + 4 + length;
            bool isOther = (head >> 184) & 0xffffff != COMMON_NAME_OID;
            bool isWhole = (head >> 240) & 0xff == length + 2 && length >= 5 && end <= reader.end;
            if (!isOther || !isWhole) return false;
            reader.at = end;
            return true;
        }
    }

    /// @dev No name of the hierarchy leaves ASCII, and a stray high octet is no UTF-8 either.
    function _expectAscii(Der.Reader memory reader, uint256 start, uint256 end) private pure {
        for (uint256 at = start; at < end; at += 32) {
            // Bit 7 of every octet.
            uint256 high = Bytecraft.word(at) & (type(uint256).max / 0xff * 0x80);
            if (end - at < 32) high >>= 256 - 8 * (end - at);
            if (high != 0) reader.fail();
        }
    }
}
