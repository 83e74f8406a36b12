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
    /// @dev 30 10 ‖ {TCB_OID} ‖ arc ‖ 02 01, to be followed by an SVN below 128.
    uint256 private constant NARROW_SVN = 0x3010 << 120 | TCB_OID << 24 | 0x0201;
    /// @dev 30 11 ‖ {TCB_OID} ‖ arc ‖ 02 02, to be followed by 00 and an SVN from 128 on.
    uint256 private constant WIDE_SVN = 0x3011 << 120 | TCB_OID << 24 | 0x0202;
    /// @dev Entries that must be there, as bits of their arcs.
    uint256 private constant REQUIRED = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5;

    /// @param certificate The DER around it, from which offsets in errors count.
    /// @param start Position of the contents of the extension's OCTET STRING.
    /// @param end Position behind them; both zero for an extension that is absent.
    /// @param refusal Selector of the error for an extension that is not as specified.
    function parse(
        bytes calldata certificate,
        uint256 start,
        uint256 end,
        bytes4 refusal
    ) internal pure returns (Platform memory platform) {
        Der.Reader memory reader = Der.over(certificate, refusal);
        if (end == 0) reader.fail();
        reader.at = start;
        reader.end = end;
        uint256 outer = reader.enter(Der.SEQUENCE);
        uint256 seen;
        while (!reader.isDone()) {
            uint256 afterEntry = reader.enter(Der.SEQUENCE);
            uint256 arc = _entryArc(reader);
            if (arc == 0 || arc > 7 || seen & (1 << arc) != 0) reader.fail();
            seen |= 1 << arc;
            if (arc == 1) {
                platform.ppid = bytes16(_octets(reader, 16));
            } else if (arc == 2) {
                _readTcb(reader, platform);
            } else if (arc == 3) {
                platform.pceId = bytes2(_octets(reader, 2));
            } else if (arc == 4) {
                platform.fmspc = bytes6(_octets(reader, 6));
            } else if (arc == 5) {
                reader.readUnsigned(Der.ENUMERATED, 6);
            } else if (arc == 6) {
                _octets(reader, 16);
            } else {
                reader.read(Der.SEQUENCE);
            }
            reader.leave(afterEntry);
        }
        reader.leave(outer);
        if (!reader.isDone() || seen & REQUIRED != REQUIRED) reader.fail();
    }

    /// @dev The OID is compared with its tag and length, 11 bytes, and its last arc returned.
    function _entryArc(Der.Reader memory reader) private pure returns (uint256 arc) {
        uint256 head = Bytecraft.word(reader.at);
        if (reader.at + 12 > reader.end || head >> 168 != ENTRY_OID) reader.fail();
        reader.at += 12;
        return (head >> 160) & 0xff;
    }

    function _octets(
        Der.Reader memory reader,
        uint256 length
    ) private pure returns (bytes32) {
        (uint256 start, uint256 end) = reader.read(Der.OCTET_STRING);
        if (end - start != length) reader.fail();
        return bytes32(Bytecraft.word(start));
    }

    /// @dev Arcs 1 to 16 are component SVNs, 17 the PCESVN, 18 the CPUSVN: these, in this order.
    ///
    /// An SVN of one byte has two encodings only, 30 10 ‖ OID ‖ 02 01 v for v below 128 and
    /// 30 11 ‖ OID ‖ 02 02 00 v above, so both are compared as one word instead of walked.
    function _readTcb(
        Der.Reader memory reader,
        Platform memory platform
    ) private pure {
        uint256 outer = reader.enter(Der.SEQUENCE);
        uint256 at = reader.at;
        uint256 svns;
        unchecked {
            // Positions in calldata.
            for (uint256 arc = 1; arc <= 16; ++arc) {
                // 32 - 14 = 18: tag, length, OID 13, tag, length, SVN, the last byte of the shorter form.
                uint256 entry = Bytecraft.word(at) >> 104;
                uint256 svn = entry >> 8 & 0xff;
                uint256 fixed_ = entry >> 16;
                if (fixed_ == (NARROW_SVN | arc << 16)) {
                    if (svn >= 0x80) reader.fail();
                    at += 18;
                } else {
                    if (fixed_ != (WIDE_SVN | arc << 16) || svn != 0) reader.fail();
                    svn = entry & 0xff;
                    if (svn < 0x80) reader.fail();
                    at += 19;
                }
                svns = svns << 8 | svn;
            }
        }
        if (at > reader.end) reader.fail();
        reader.at = at;
        platform.componentSvns = bytes16(uint128(svns));

        uint256 afterItem = reader.enter(Der.SEQUENCE);
        _expectTcbArc(reader, 17);
        platform.pceSvn = uint16(reader.readUnsigned(Der.INTEGER, 2));
        reader.leave(afterItem);
        afterItem = reader.enter(Der.SEQUENCE);
        _expectTcbArc(reader, 18);
        _octets(reader, 16);
        reader.leave(afterItem);
        reader.leave(outer);
    }

    function _expectTcbArc(
        Der.Reader memory reader,
        uint256 arc
    ) private pure {
        uint256 head = Bytecraft.word(reader.at);
        if (reader.at + 13 > reader.end || head >> 152 != (TCB_OID << 8 | arc)) reader.fail();
        reader.at += 13;
    }
}
