// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Bytecraft} from "./Bytecraft.sol";
import {Der} from "./Der.sol";
import {X509} from "./X509.sol";

/// @title Crl
/// @notice Reads complete X.509 revocation lists of version 2, as `verifier/x509/crl.ts` does.
/// @dev RFC 5280 §5.1. nextUpdate is demanded: a list that never ends could be withheld for ever.
library Crl {
    using Der for Der.Reader;

    struct RevocationList {
        bytes32 issuer;
        uint40 thisUpdate;
        uint40 nextUpdate;
        bytes32 r;
        bytes32 s;
        bytes32 digest;
        /// @dev Serial numbers as 20 big-endian bytes each, in the order of the list.
        bytes serials;
    }

    uint256 private constant MAXIMUM_BYTES = 65_535;
    /// @dev 2.5.29.20 and 2.5.29.35; other extensions would make the list partial or a delta.
    uint256 private constant CRL_NUMBER = 0x551d14;
    uint256 private constant AUTHORITY_KEY_IDENTIFIER = 0x551d23;

    function parse(bytes calldata der, bytes4 refusal)
        internal
        pure
        returns (RevocationList memory list)
    {
        Der.Reader memory reader = Der.over(der, refusal);
        if (der.length > MAXIMUM_BYTES) reader.fail();
        uint256 outer = reader.enter(Der.SEQUENCE);
        (uint256 signedStart, uint256 signedEnd) = reader.readWhole(Der.SEQUENCE);
        X509.expectAlgorithm(reader);
        (list.r, list.s) = X509.readSignature(reader);
        reader.leave(outer);
        if (!reader.isDone()) reader.fail();
        list.digest = sha256(Bytecraft.slice(signedStart, signedEnd));

        reader.at = signedStart;
        reader.end = signedEnd;
        outer = reader.enter(Der.SEQUENCE);
        if (reader.readUnsigned(Der.INTEGER, 6) != 1) reader.fail();
        X509.expectAlgorithm(reader);
        (uint256 issuerStart, uint256 issuerEnd) = reader.readWhole(Der.SEQUENCE);
        list.issuer = keccak256(Bytecraft.slice(issuerStart, issuerEnd));
        list.thisUpdate = reader.readTime();
        list.nextUpdate = reader.readTime();
        if (reader.nextIs(Der.SEQUENCE)) list.serials = _readEntries(reader);
        uint256 frame = reader.enter(0xa0);
        uint256 extensions = reader.enter(Der.SEQUENCE);
        _readExtensions(reader);
        reader.leave(extensions);
        reader.leave(frame);
        reader.leave(outer);
    }

    /// @dev Reason codes bear on nothing here: every listed serial is revoked, "on hold" included.
    function _readEntries(Der.Reader memory reader) private pure returns (bytes memory serials) {
        uint256 outer = reader.enter(Der.SEQUENCE);
        // DER leaves an empty list out altogether.
        if (reader.isDone()) reader.fail();
        // The shortest entry takes 20 bytes: tags and lengths 6, serial 1, time 13.
        // 32 more because a serial is written as a whole word.
        serials = new bytes((reader.end - reader.at) / 20 * 20 + 32);
        uint256 length;
        // Wider than any time, so that no entry has it.
        uint256 knownTime = type(uint256).max;
        while (!reader.isDone()) {
            (uint256 serial, bool isRead) = _takeUsualEntry(reader, knownTime);
            if (!isRead) (serial, knownTime) = _readEntry(reader, knownTime);
            // 96 = 256 - 8 * 20
            Bytecraft.put(serials, length, bytes32(serial << 96));
            length += 20;
        }
        Bytecraft.truncate(serials, length);
        reader.leave(outer);
    }

    /// @return serial Serial number of the entry.
    /// @return time Tag, length and characters of its time if that is a UTCTime, else what it was.
    function _readEntry(Der.Reader memory reader, uint256 knownTime)
        private
        pure
        returns (uint256 serial, uint256 time)
    {
        uint256 outer = reader.enter(Der.SEQUENCE);
        serial = X509.readSerial(reader);
        uint256 start = reader.at;
        reader.readTime();
        // 15 = tag 1 + length 1 + characters 13
        time = reader.at - start == 15 ? Bytecraft.word(start) >> 136 : knownTime;
        if (reader.nextIs(Der.SEQUENCE)) reader.read(Der.SEQUENCE);
        reader.leave(outer);
    }

    /// @dev Intel's entries have a serial of 20 octets, all the same time, and a reason in 14:
    ///
    ///     30 33 02 14 serial 20     time 15  30 0c …12
    ///     30 34 02 15 00 serial 20  time 15  30 0c …12     if the serial's first bit is set
    ///
    /// Such an entry is DER as {_readEntry} demands it, and is told by two words. Any other is read there.
    function _takeUsualEntry(Der.Reader memory reader, uint256 knownTime)
        private
        pure
        returns (uint256 serial, bool isRead)
    {
        unchecked {
            // Positions in calldata.
            uint256 at = reader.at;
            uint256 head = Bytecraft.word(at);
            uint256 end = at + 53;
            if (head >> 224 == 0x30330214) {
                serial = head << 32 >> 96;
                // A leading zero octet would be one too many, a first bit a sign.
                uint256 first = serial >> 152;
                if (first == 0 || first >= 0x80) return (0, false);
            } else if (head >> 216 == 0x3034021500) {
                serial = head << 40 >> 96;
                if (serial >> 159 == 0) return (0, false);
                end += 1;
            } else {
                return (0, false);
            }
            // 29 = time 15 + reason 14; 120 = 256 - 8 * (time 15 + tag and length 2)
            uint256 tail = Bytecraft.word(end - 29) >> 120;
            if (tail != (knownTime << 16 | 0x300c) || end > reader.end) return (0, false);
            reader.at = end;
            return (serial, true);
        }
    }

    function _readExtensions(Der.Reader memory reader) private pure {
        uint256 seen;
        X509.Extension memory extension;
        while (!reader.isDone()) {
            X509.readExtension(reader, extension);
            if (extension.isCritical || extension.oidEnd - extension.oidStart != 3) reader.fail();
            uint256 oid = Bytecraft.word(extension.oidStart) >> 232;
            uint256 bit = oid == CRL_NUMBER ? 1 : oid == AUTHORITY_KEY_IDENTIFIER ? 2 : 0;
            if (bit == 0 || seen & bit != 0) reader.fail();
            seen |= bit;
        }
    }
}
