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
    /// @dev 30 1f ‖ {TCB_OID} ‖ 12 ‖ 04 10, to be followed by a CPUSVN of 16 bytes.
    uint256 private constant CPU_SVN = 0x301f << 120 | TCB_OID << 24 | 0x120410;
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
    function parse(bytes calldata certificate, uint256 start, uint256 end, bytes4 refusal)
        internal
        pure
        returns (Platform memory platform)
    {
        Der.Reader memory reader = Der.over(certificate, refusal);
        if (end == 0) reader.fail();
        reader.at = start;
        reader.end = end;
        uint256 outer = reader.enter(Der.SEQUENCE);
        uint256 seen;
        while (!reader.isDone()) {
            uint256 arc = _readEntry(reader, platform);
            if (seen & (1 << arc) != 0) reader.fail();
            seen |= 1 << arc;
        }
        reader.leave(outer);
        if (!reader.isDone() || seen & REQUIRED != REQUIRED) reader.fail();
    }

    /// @return arc Last arc of the entry's OID, 1 to 7.
    function _readEntry(Der.Reader memory reader, Platform memory platform)
        private
        pure
        returns (uint256 arc)
    {
        // The four entries that are octets of fixed length have one encoding each: 30 length ‖ OID with
        // its tag and length ‖ 04 length, 16 bytes.
        uint256 at = reader.at;
        uint256 head = Bytecraft.word(at) >> 128;
        arc = (head >> 16) & 0xff;
        uint256 length = arc == 1 || arc == 6 ? 16 : arc == 3 ? 2 : arc == 4 ? 6 : 0;
        if (length != 0) {
            // 14 = OID 12 + tag and length 2
            uint256 expected =
                (0x3000 + 14 + length) << 112 | ENTRY_OID << 24 | arc << 16 | 0x0400 + length;
            if (head != expected || at + 16 + length > reader.end) reader.fail();
            reader.at = at + 16 + length;
            bytes32 value = bytes32(Bytecraft.word(at + 16));
            if (arc == 1) platform.ppid = bytes16(value);
            else if (arc == 3) platform.pceId = bytes2(value);
            else if (arc == 4) platform.fmspc = bytes6(value);
            return arc;
        }
        uint256 afterEntry = reader.enter(Der.SEQUENCE);
        arc = _entryArc(reader);
        if (arc == 2) _readTcb(reader, platform);
        else if (arc == 5) reader.readUnsigned(Der.ENUMERATED, 6);
        else if (arc == 7) reader.read(Der.SEQUENCE);
        else reader.fail();
        reader.leave(afterEntry);
    }

    /// @dev The OID is compared with its tag and length, 11 bytes, and its last arc returned.
    function _entryArc(Der.Reader memory reader) private pure returns (uint256 arc) {
        uint256 head = Bytecraft.word(reader.at);
        if (reader.at + 12 > reader.end || head >> 168 != ENTRY_OID) reader.fail();
        reader.at += 12;
        return (head >> 160) & 0xff;
    }

    /// @dev Arcs 1 to 16 are component SVNs, 17 the PCESVN, 18 the CPUSVN: these, in this order.
    ///
    /// An SVN of one byte has two encodings only, 30 10 ‖ OID ‖ 02 01 v for v below 128 and
    /// 30 11 ‖ OID ‖ 02 02 00 v above, so both are compared as one word instead of walked.
    function _readTcb(Der.Reader memory reader, Platform memory platform) private pure {
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
        reader.expect(TCB_OID << 8 | 17, 13);
        platform.pceSvn = uint16(reader.readUnsigned(Der.INTEGER, 2));
        reader.leave(afterItem);
        reader.expect(CPU_SVN, 17);
        reader.at += 16;
        reader.leave(outer);
    }
}
