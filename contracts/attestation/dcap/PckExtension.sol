// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytecraft} from "./Bytecraft.sol";
import {Der} from "./Der.sol";

/// @title PckExtension
/// @notice Reads what a PCK certificate says of its platform: extension 1.2.840.113741.1.13.1.
/// @dev Intel SGX PCK Certificate and CRL Profile Specification 1.5, §1.3.5. Same rules as
/// `verifier/x509/sgxExtension.ts`: entries 1 to 5 once each, 6 and 7 at most once, nothing else.
library PckExtension {
    using Der for Der.Reader;

    struct Platform {
        bytes16 ppid;
        /// @dev SVNs of the 16 TCB components, one byte each.
        bytes16 componentSvns;
        uint16 pceSvn;
        bytes2 pceId;
        bytes6 fmspc;
    }

    /// @dev 06 0a ‖ 1.2.840.113741.1.13.1, to be followed by one arc.
    uint256 private constant ENTRY_OID = 0x060a2a864886f84d010d01;
    /// @dev 06 0b ‖ 1.2.840.113741.1.13.1.2, to be followed by one arc.
    uint256 private constant TCB_OID = 0x060b2a864886f84d010d0102;
    /// @dev Entries that must be there, as bits of their arcs.
    uint256 private constant REQUIRED = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5;

    /// @param start Offset of the contents of the extension's OCTET STRING in `der`.
    /// @param refusal Selector of the error for an extension that is not as specified.
    function parse(
        bytes calldata der,
        uint256 start,
        uint256 end,
        bytes4 refusal
    ) internal pure returns (Platform memory platform) {
        Der.Reader memory reader = Der.Reader({at: start, end: end, refusal: refusal});
        uint256 outer = reader.enter(der, Der.SEQUENCE);
        uint256 seen;
        while (!reader.isDone()) {
            uint256 afterEntry = reader.enter(der, Der.SEQUENCE);
            uint256 arc = _entryArc(reader, der);
            if (arc == 0 || arc > 7 || seen & (1 << arc) != 0) reader.fail();
            seen |= 1 << arc;
            if (arc == 1) {
                platform.ppid = bytes16(_octets(reader, der, 16));
            } else if (arc == 2) {
                _readTcb(reader, der, platform);
            } else if (arc == 3) {
                platform.pceId = bytes2(_octets(reader, der, 2));
            } else if (arc == 4) {
                platform.fmspc = bytes6(_octets(reader, der, 6));
            } else if (arc == 5) {
                reader.readUnsigned(der, Der.ENUMERATED, 6);
            } else if (arc == 6) {
                _octets(reader, der, 16);
            } else {
                reader.read(der, Der.SEQUENCE);
            }
            reader.leave(afterEntry);
        }
        reader.leave(outer);
        if (!reader.isDone() || seen & REQUIRED != REQUIRED) reader.fail();
    }

    /// @dev The OID is compared with its tag and length, 11 bytes, and its last arc returned.
    function _entryArc(
        Der.Reader memory reader,
        bytes calldata der
    ) private pure returns (uint256 arc) {
        uint256 head = uint256(Bytecraft.wordAt(der, reader.at));
        if (reader.at + 12 > reader.end || head >> 168 != ENTRY_OID) reader.fail();
        reader.at += 12;
        return (head >> 160) & 0xff;
    }

    function _octets(
        Der.Reader memory reader,
        bytes calldata der,
        uint256 length
    ) private pure returns (bytes32) {
        (uint256 start, uint256 end) = reader.read(der, Der.OCTET_STRING);
        if (end - start != length) reader.fail();
        return Bytecraft.wordAt(der, start);
    }

    /// @dev Arcs 1 to 16 are component SVNs, 17 the PCESVN, 18 the CPUSVN: these, in this order.
    ///
    /// An SVN of one byte has two encodings only, 30 10 ‖ OID ‖ 02 01 v for v below 128 and
    /// 30 11 ‖ OID ‖ 02 02 00 v above, so both are compared as one word instead of walked.
    function _readTcb(
        Der.Reader memory reader,
        bytes calldata der,
        Platform memory platform
    ) private pure {
        uint256 outer = reader.enter(der, Der.SEQUENCE);
        uint256 svns;
        for (uint256 arc = 1; arc <= 16; ++arc) {
            uint256 at = reader.at;
            uint256 head = uint256(Bytecraft.wordAt(der, at));
            // 136 = 256 - 8 * (2 tag and length + 13 OID); 15 bytes of head are fixed
            uint256 oid = (head >> 136) & ((1 << 104) - 1);
            if (oid != (TCB_OID << 8 | arc)) reader.fail();
            uint256 svn;
            if (head >> 240 == 0x3010) {
                svn = (head >> 112) & 0xff;
                if ((head >> 120) & 0xffff != 0x0201 || svn >= 0x80) reader.fail();
                reader.at = at + 18;
            } else {
                svn = (head >> 104) & 0xff;
                bool isWide = head >> 240 == 0x3011 && (head >> 112) & 0xffffff == 0x020200;
                if (!isWide || svn < 0x80) reader.fail();
                reader.at = at + 19;
            }
            if (reader.at > reader.end) reader.fail();
            svns = svns << 8 | svn;
        }
        platform.componentSvns = bytes16(uint128(svns));

        uint256 afterItem = reader.enter(der, Der.SEQUENCE);
        _expectTcbArc(reader, der, 17);
        (uint256 pceSvn,) = reader.readUnsigned(der, Der.INTEGER, 2);
        platform.pceSvn = uint16(pceSvn);
        reader.leave(afterItem);
        afterItem = reader.enter(der, Der.SEQUENCE);
        _expectTcbArc(reader, der, 18);
        _octets(reader, der, 16);
        reader.leave(afterItem);
        reader.leave(outer);
    }

    function _expectTcbArc(
        Der.Reader memory reader,
        bytes calldata der,
        uint256 arc
    ) private pure {
        uint256 head = uint256(Bytecraft.wordAt(der, reader.at));
        if (reader.at + 13 > reader.end || head >> 152 != (TCB_OID << 8 | arc)) reader.fail();
        reader.at += 13;
    }
}
