// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IQuoteVerifier} from "../IQuoteVerifier.sol";
import {ICollateralStore} from "./ICollateralStore.sol";

/// @title IDcapQuoteVerifier
/// @notice Verifies TDX quotes as Intel's library does, on chain and in full.
///
/// Errors are named after the rules of `verifier/appraisal/rules.ts`, behind the contract's name, and
/// raised in their order; those about collateral are {ICollateralStore}'s and pass through.
interface IDcapQuoteVerifier is IQuoteVerifier {
    /// @notice What stays the same from quote to quote of one platform, once it has been verified: its PCK
    /// certificate and the quoting enclave that the certificate's key vouches for.
    /// @param x Public key of the PCK certificate.
    /// @param y Public key of the PCK certificate.
    /// @param issuer Keccak-256 of the authority's DER name.
    /// @param serial Serial number of the PCK certificate.
    /// @param notBefore Unix second from which it is valid.
    /// @param notAfter Unix second until which it is valid.
    /// @param ppid Platform provisioning id.
    /// @param componentSvns SVNs of the 16 TCB components.
    /// @param pceSvn SVN of the provisioning certification enclave.
    /// @param pceId Id of the provisioning certification enclave.
    /// @param fmspc Family of platforms.
    /// @param qeMrSigner MRSIGNER of the quoting enclave.
    /// @param qeAttributes ATTRIBUTES of the quoting enclave.
    /// @param qeMiscSelect MISCSELECT of the quoting enclave.
    /// @param qeIsvProdId ISVPRODID of the quoting enclave.
    /// @param qeIsvSvn ISVSVN of the quoting enclave.
    struct PlatformFacts {
        bytes32 x;
        bytes32 y;
        bytes32 issuer;
        uint160 serial;
        uint40 notBefore;
        uint40 notAfter;
        bytes16 ppid;
        bytes16 componentSvns;
        uint16 pceSvn;
        bytes2 pceId;
        bytes6 fmspc;
        bytes32 qeMrSigner;
        bytes16 qeAttributes;
        bytes4 qeMiscSelect;
        uint16 qeIsvProdId;
        uint16 qeIsvSvn;
    }

    /// @notice What a verified quote shows beyond the claims that every registry asks for.
    /// @param claims The claims.
    /// @param fmspc Family of platforms.
    /// @param qeEvaluationNumber `tcbEvaluationDataNumber` of the QE identity.
    /// @param collateralIssuedAt Issue date of the oldest of TCB info, QE identity and PCK list.
    /// @param degradedSince Since when the platform is not at its best: for each part that is behind, the
    /// date of the level just above the one it reaches, or of that one if there is none; the earliest.
    /// Zero when everything is up to date.
    /// @param advisories First four bytes of Keccak-256 of the name of each advisory that applies; one
    /// that applies to several parts is there several times.
    struct Appraisal {
        QuoteClaims claims;
        bytes6 fmspc;
        uint32 qeEvaluationNumber;
        uint40 collateralIssuedAt;
        uint40 degradedSince;
        bytes4[] advisories;
    }

    /// @notice A platform was verified; evidence may carry its facts instead of their proofs.
    event PlatformRemembered(bytes32 indexed key, bytes16 indexed ppid, bytes6 indexed fmspc);

    // --- format -------------------------------------------------------------------------------------
    error DcapQuoteVerifierQuoteTooLarge(uint256 length);
    error DcapQuoteVerifierQuoteTruncated(uint256 length, uint256 needed);
    error DcapQuoteVerifierQuoteVersionUnsupported(uint256 version);
    error DcapQuoteVerifierAttestationKeyTypeUnsupported(uint256 keyType);
    error DcapQuoteVerifierTeeTypeUnsupported(uint256 teeType);
    error DcapQuoteVerifierQuoteBodyUnsupported(uint256 bodyType, uint256 size);
    /// @param at Offset of the part that reaches beyond the evidence, or of an unknown form.
    error DcapQuoteVerifierAuthDataMalformed(uint256 at);

    // --- genuineness --------------------------------------------------------------------------------
    error DcapQuoteVerifierQeVendorUnknown(bytes16 vendorId);
    error DcapQuoteVerifierPckMalformed(uint256 at);
    /// @param commonName Keccak-256 of the common name found.
    error DcapQuoteVerifierPckNameMismatch(bytes32 commonName);
    /// @notice The certificate names an authority that the collateral store does not hold: a foreign
    /// one, or upload its certificate and revocation list.
    error DcapQuoteVerifierPckIssuerMismatch(bytes32 issuer);
    error DcapQuoteVerifierPckUsageInvalid(uint256 keyUsage);
    error DcapQuoteVerifierPckSignatureInvalid(uint256 serial);
    error DcapQuoteVerifierPckNotYetValid(uint40 notBefore);
    error DcapQuoteVerifierPckExpired(uint40 notAfter);
    error DcapQuoteVerifierPckRevoked(uint256 serial);
    error DcapQuoteVerifierPckExtensionMalformed(uint256 at);
    /// @notice The facts were not verified, or under an authority that changed its key since: send the
    /// evidence with its proofs, or call {rememberPlatform} first.
    error DcapQuoteVerifierPlatformNotRemembered(bytes32 key);
    error DcapQuoteVerifierPceIdMismatch(bytes6 fmspc, bytes2 platform, bytes2 collateral);
    error DcapQuoteVerifierQeReportSignatureInvalid();
    error DcapQuoteVerifierAttestationKeyNotBound(bytes32 bound, bytes32 actual);
    error DcapQuoteVerifierAttestationKeyInvalid();
    error DcapQuoteVerifierQuoteSignatureInvalid();
    error DcapQuoteVerifierQeMrSignerMismatch(bytes32 actual, bytes32 expected);
    error DcapQuoteVerifierQeIsvProdIdMismatch(uint256 actual, uint256 expected);
    error DcapQuoteVerifierQeMiscSelectMismatch(bytes4 actual, bytes4 expected);
    error DcapQuoteVerifierQeAttributesMismatch(bytes16 actual, bytes16 expected);
    error DcapQuoteVerifierQeDebug(bytes16 attributes);

    // --- TCB ----------------------------------------------------------------------------------------
    error DcapQuoteVerifierTdDebug(bytes8 attributes);
    error DcapQuoteVerifierTdAttributesReserved(bytes8 attributes);
    error DcapQuoteVerifierTdSeptVeDisableClear(bytes8 attributes);
    /// @notice The TCB info names no such module: upload newer TCB info.
    error DcapQuoteVerifierTdxModuleUnknown(bytes6 fmspc, uint32 evaluationNumber, uint256 version);
    error DcapQuoteVerifierTdxModuleSignerMismatch(bytes6 fmspc, uint32 evaluationNumber);
    error DcapQuoteVerifierTdxModuleAttributesMismatch(bytes8 actual, bytes8 expected);
    /// @notice The platform is below every level: update it and provision it again.
    error DcapQuoteVerifierTcbLevelNotFound(
        bytes6 fmspc, uint32 evaluationNumber, bytes32 svns, uint16 pceSvn
    );
    error DcapQuoteVerifierTdxModuleTcbLevelNotFound(
        bytes6 fmspc, uint32 evaluationNumber, uint256 isvSvn
    );
    error DcapQuoteVerifierQeTcbLevelNotFound(
        bytes6 fmspc, uint32 evaluationNumber, uint256 isvSvn
    );
    error DcapQuoteVerifierTcbRevoked(bytes6 fmspc, uint32 evaluationNumber);

    // --- policy that holds for every deployment -----------------------------------------------------
    /// @notice A migration or other service TD is bound to this one.
    error DcapQuoteVerifierServiceTdNotAllowed();

    /// @notice Where collateral comes from.
    function collateralStore() external view returns (ICollateralStore);

    /// @notice Record of the authority under which facts with this key were verified; zero for never.
    function rememberedUnder(bytes32 key) external view returns (address);

    /// @notice Verifies evidence as {verifyQuote} does and tells more of it, for appraisal policies.
    function appraiseQuote(bytes calldata evidence) external view returns (Appraisal memory);

    /// @notice Verifies what stays the same from quote to quote of one platform, so that renewals carry 224
    /// bytes of facts instead of 1.8 kB of proofs and save two signatures. Dates, revocation and TCB are
    /// looked at again every time.
    /// @param evidence A quote of the platform, with its proofs.
    /// @return key Keccak-256 of the attestation key and the packed facts.
    function rememberPlatform(bytes calldata evidence) external returns (bytes32 key);
}
