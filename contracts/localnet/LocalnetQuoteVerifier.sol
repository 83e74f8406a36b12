// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IQuoteVerifier} from "../attestation/IQuoteVerifier.sol";
import {TCB_UP_TO_DATE} from "../attestation/TcbStatus.sol";

/// @title LocalnetQuoteVerifier
/// @notice Verifies TDX v4 quotes of one platform, known by its attestation key. For local chains only.
/// @dev What Intel's certificates say about an attestation key is replaced by naming the key: that is
/// the whole difference to production. It can only be deployed where no money is, see {constructor}.
/// Offsets: Intel TDX DCAP Quoting Library API, rev 0.9, appendix A.3.
contract LocalnetQuoteVerifier is IQuoteVerifier {
    /// @notice The chain is not a local one.
    error LocalnetQuoteVerifierPublicChain(uint256 chainId);
    /// @notice The quote is shorter than its fixed parts.
    error LocalnetQuoteVerifierTooShort(uint256 length, uint256 minimum);
    /// @notice The quote has another version than 4.
    error LocalnetQuoteVerifierVersion(uint16 version);
    /// @notice The attestation key is not ECDSA P-256.
    error LocalnetQuoteVerifierKeyType(uint16 keyType);
    /// @notice The quote is not one of a TDX trust domain.
    error LocalnetQuoteVerifierTeeType(uint32 teeType);
    /// @notice The trust domain can be debugged: its memory is open to its host.
    error LocalnetQuoteVerifierDebug(bytes8 tdAttributes);
    /// @notice The quote was signed by another platform than the pinned one.
    error LocalnetQuoteVerifierUnknownPlatform(bytes32 x, bytes32 y);
    /// @notice The signature over header and body does not verify.
    error LocalnetQuoteVerifierSignature();

    uint256 private constant HEADER_BYTES = 48;
    uint256 private constant BODY_BYTES = 584;
    uint256 private constant SIGNED_BYTES = HEADER_BYTES + BODY_BYTES;
    /// @dev Length field 4, signature 64, attestation key 64.
    uint256 private constant MINIMUM_BYTES = SIGNED_BYTES + 4 + 64 + 64;
    /// @dev Local collateral lasts thirty days, as Intel's does.
    uint64 private constant COLLATERAL_SECONDS = 30 days;

    /// @dev Development chain ids: 31337 is anvil's and hardhat's own; no public chain has one of these.
    uint256 private constant FIRST_LOCAL_CHAIN = 31_337;
    uint256 private constant LAST_LOCAL_CHAIN = 31_399;

    /// @notice Attestation key of the local platform.
    bytes32 public immutable ATTESTATION_KEY_X;
    /// @notice Attestation key of the local platform.
    bytes32 public immutable ATTESTATION_KEY_Y;

    /// @param x Attestation key of the local platform.
    /// @param y Attestation key of the local platform.
    constructor(bytes32 x, bytes32 y) {
        if (block.chainid < FIRST_LOCAL_CHAIN || block.chainid > LAST_LOCAL_CHAIN) {
            revert LocalnetQuoteVerifierPublicChain(block.chainid);
        }
        ATTESTATION_KEY_X = x;
        ATTESTATION_KEY_Y = y;
    }

    /// @inheritdoc IQuoteVerifier
    /// @param quote A TDX v4 quote as the quoting enclave makes it, with or without what follows the
    /// attestation key.
    function verifyQuote(bytes calldata quote) external view returns (QuoteClaims memory) {
        if (quote.length < MINIMUM_BYTES) {
            revert LocalnetQuoteVerifierTooShort(quote.length, MINIMUM_BYTES);
        }
        _checkHeader(quote);
        bytes calldata body = quote[HEADER_BYTES:SIGNED_BYTES];
        // tdAttributes: 120 = TEE_TCB_SVN 16 + MRSEAM 48 + MRSIGNERSEAM 48 + SEAMATTRIBUTES 8;
        // bit 0 of its first byte is DEBUG.
        bytes8 tdAttributes = bytes8(body[120:128]);
        if (uint8(tdAttributes[0]) & 1 != 0) revert LocalnetQuoteVerifierDebug(tdAttributes);
        _checkSignature(quote);
        return QuoteClaims({
            reportDataHigh: bytes32(body[520:552]),
            reportDataLow: bytes32(body[552:584]),
            imageId: _imageId(body),
            // forge-lint: disable-next-line(unsafe-typecast) a name, not a commitment
            ppid: bytes16(keccak256(abi.encode(ATTESTATION_KEY_X, ATTESTATION_KEY_Y))),
            tcbStatus: TCB_UP_TO_DATE,
            evaluationNumber: 0,
            validUntil: SafeCast.toUint64(block.timestamp) + COLLATERAL_SECONDS
        });
    }

    function _checkHeader(bytes calldata quote) private pure {
        uint16 version = _littleEndian16(quote, 0);
        if (version != 4) revert LocalnetQuoteVerifierVersion(version);
        uint16 keyType = _littleEndian16(quote, 2);
        if (keyType != 2) revert LocalnetQuoteVerifierKeyType(keyType);
        uint32 teeType = uint32(_littleEndian16(quote, 4)) | uint32(_littleEndian16(quote, 6)) << 16;
        if (teeType != 0x81) revert LocalnetQuoteVerifierTeeType(teeType);
    }

    function _checkSignature(bytes calldata quote) private view {
        uint256 offset = SIGNED_BYTES + 4;
        bytes32 r = bytes32(quote[offset:offset + 32]);
        uint256 s = uint256(bytes32(quote[offset + 32:offset + 64]));
        bytes32 x = bytes32(quote[offset + 64:offset + 96]);
        bytes32 y = bytes32(quote[offset + 96:offset + 128]);
        if (x != ATTESTATION_KEY_X || y != ATTESTATION_KEY_Y) {
            revert LocalnetQuoteVerifierUnknownPlatform(x, y);
        }
        // Quoting enclaves sign with either s; the library takes only the lower one of the two.
        if (s > P256.N / 2 && s < P256.N) s = P256.N - s;
        if (!P256.verify(sha256(quote[:SIGNED_BYTES]), r, bytes32(s), x, y)) {
            revert LocalnetQuoteVerifierSignature();
        }
    }

    /// @dev MRTD 136, MRCONFIGID 184, RTMR0 to RTMR2 328 to 472, tdAttributes 120, XFAM 128.
    function _imageId(bytes calldata body) private pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                body[136:184], body[328:472], body[184:232], body[120:128], body[128:136]
            )
        );
    }

    function _littleEndian16(bytes calldata data, uint256 offset) private pure returns (uint16) {
        return uint16(uint8(data[offset])) | uint16(uint8(data[offset + 1])) << 8;
    }
}
