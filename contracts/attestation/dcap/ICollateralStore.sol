// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title ICollateralStore
/// @notice Keeps what Intel signed about its platforms. Anybody uploads it, nobody can alter it: every
/// item is accepted on Intel's signature alone, and only in place of an older one.
///
/// Order of uploads on an empty store: root certificate, root revocation list, PCK CA certificate, PCK
/// revocation list; then the TCB signing certificate, TCB info and QE identity.
///
/// Errors are named after the rules of `verifier/appraisal/rules.ts`, behind the contract's name. Those
/// with an offset say at which byte of the uploaded item reading stopped.
interface ICollateralStore {
    /// @notice The root certificate, whose fingerprint was pinned, is now readable.
    event RootCertificateStored(bytes32 indexed fingerprint);
    /// @notice A root revocation list is in force.
    event RootCrlStored(uint40 thisUpdate, uint40 nextUpdate, uint256 revokedCount);
    /// @notice The certificate of a PCK authority was verified; its list is needed before it counts.
    /// @param subject Keccak-256 of the authority's DER name, which its certificates bear as issuer.
    event PckCaStored(bytes32 indexed subject, uint256 serial);
    /// @notice The revocation list of a PCK authority is in force.
    event PckCrlStored(
        bytes32 indexed subject, uint40 thisUpdate, uint40 nextUpdate, uint256 revokedCount
    );
    /// @notice The certificate that signs TCB info and QE identity was verified.
    event TcbSigningStored(uint256 serial);
    /// @notice TCB info is in force for a family of platforms.
    event TcbInfoStored(
        bytes6 indexed fmspc, uint32 evaluationNumber, uint40 issueDate, uint40 nextUpdate
    );
    /// @notice A QE identity is in force.
    event QeIdentityStored(uint32 evaluationNumber, uint40 issueDate, uint40 nextUpdate);

    // --- what is missing: upload it ---------------------------------------------------------------
    /// @notice Upload the root certificate.
    error CollateralStoreRootCertificateMissing();
    /// @notice Upload the root revocation list.
    error CollateralStoreRootCrlMissing();
    /// @notice Upload the certificate of this PCK authority.
    /// @param subject Keccak-256 of its DER name.
    error CollateralStorePckCaMissing(bytes32 subject);
    /// @notice Upload the revocation list of this PCK authority.
    error CollateralStorePckCrlMissing(bytes32 subject);
    /// @notice Upload the TCB signing certificate of this serial number.
    error CollateralStoreTcbSigningMissing(uint256 serial);
    /// @notice Upload the TCB info of this family of platforms.
    error CollateralStoreTcbInfoMissing(bytes6 fmspc);
    /// @notice Upload the QE identity.
    error CollateralStoreQeIdentityMissing();

    // --- root ---------------------------------------------------------------------------------------
    error CollateralStoreRootCertificateMismatch(bytes32 fingerprint, bytes32 pinned);
    error CollateralStoreRootCertificateUnusable(uint256 at);
    error CollateralStoreRootCertificateRevoked(uint256 serial);
    error CollateralStoreRootCertificateNotYetValid(uint40 notBefore);
    error CollateralStoreRootCertificateExpired(uint40 notAfter);
    error CollateralStoreRootCrlMalformed(uint256 at);
    error CollateralStoreRootCrlIssuerMismatch(bytes32 issuer, bytes32 expected);
    error CollateralStoreRootCrlSignatureInvalid();
    error CollateralStoreRootCrlNotYetValid(uint40 thisUpdate);
    error CollateralStoreRootCrlExpired(uint40 nextUpdate);
    /// @notice A list at least as new is in force.
    error CollateralStoreRootCrlNotNewer(uint40 thisUpdate, uint40 stored);

    // --- PCK authority ------------------------------------------------------------------------------
    error CollateralStorePckCaMalformed(uint256 at);
    /// @param commonName Keccak-256 of the common name found.
    error CollateralStorePckCaNameMismatch(bytes32 commonName);
    error CollateralStorePckCaIssuerMismatch(bytes32 issuer, bytes32 expected);
    error CollateralStorePckCaUsageInvalid(uint256 keyUsage);
    error CollateralStorePckCaSignatureInvalid();
    error CollateralStorePckCaRevoked(uint256 serial);
    error CollateralStorePckCaNotYetValid(uint40 notBefore);
    error CollateralStorePckCaExpired(uint40 notAfter);
    /// @notice A certificate at least as new is stored for this authority.
    error CollateralStorePckCaNotNewer(uint40 notBefore, uint40 stored);
    error CollateralStorePckCrlMalformed(uint256 at);
    /// @notice The list is of an authority whose certificate is not stored: a foreign one, or upload the
    /// certificate first.
    error CollateralStorePckCrlIssuerMismatch(bytes32 issuer);
    error CollateralStorePckCrlSignatureInvalid();
    error CollateralStorePckCrlNotYetValid(uint40 thisUpdate);
    error CollateralStorePckCrlExpired(uint40 nextUpdate);
    /// @notice A list at least as new is in force.
    error CollateralStorePckCrlNotNewer(uint40 thisUpdate, uint40 stored);
    /// @notice The list does not fit in one record.
    error CollateralStorePckCrlTooLong(uint256 revokedCount);

    // --- TCB signing --------------------------------------------------------------------------------
    error CollateralStoreTcbSigningMalformed(uint256 at);
    error CollateralStoreTcbSigningNameMismatch(bytes32 commonName);
    error CollateralStoreTcbSigningIssuerMismatch(bytes32 issuer, bytes32 expected);
    error CollateralStoreTcbSigningUsageInvalid(uint256 keyUsage);
    error CollateralStoreTcbSigningSignatureInvalid();
    error CollateralStoreTcbSigningRevoked(uint256 serial);
    error CollateralStoreTcbSigningNotYetValid(uint40 notBefore);
    error CollateralStoreTcbSigningExpired(uint40 notAfter);

    // --- TCB info and QE identity -------------------------------------------------------------------
    /// @notice A signature has 64 bytes, r and s.
    error CollateralStoreCollateralMalformed(uint256 signatureLength);
    error CollateralStoreTcbInfoSignatureInvalid();
    error CollateralStoreTcbInfoMalformed(uint256 at);
    error CollateralStoreTcbInfoUnsupported(uint256 at);
    error CollateralStoreTcbInfoNotYetValid(
        bytes6 fmspc, uint32 evaluationNumber, uint40 issueDate
    );
    error CollateralStoreTcbInfoExpired(bytes6 fmspc, uint32 evaluationNumber, uint40 nextUpdate);
    /// @notice What is stored has a higher evaluation number, or the same and is at least as new.
    error CollateralStoreTcbInfoNotNewer(
        bytes6 fmspc,
        uint32 evaluationNumber,
        uint40 issueDate,
        uint32 storedEvaluationNumber,
        uint40 storedIssueDate
    );
    error CollateralStoreQeIdentitySignatureInvalid();
    error CollateralStoreQeIdentityMalformed(uint256 at);
    error CollateralStoreQeIdentityUnsupported(uint256 at);
    error CollateralStoreQeIdentityNotYetValid(uint32 evaluationNumber, uint40 issueDate);
    error CollateralStoreQeIdentityExpired(uint32 evaluationNumber, uint40 nextUpdate);
    /// @notice What is stored has a higher evaluation number, or the same and is at least as new.
    error CollateralStoreQeIdentityNotNewer(
        uint32 evaluationNumber,
        uint40 issueDate,
        uint32 storedEvaluationNumber,
        uint40 storedIssueDate
    );

    /// @notice Reads the pinned root certificate. Once is enough; again does nothing.
    /// @param der Its DER, whose SHA-256 was pinned at deployment.
    function uploadRootCertificate(bytes calldata der) external;

    /// @notice Stores a newer revocation list of the root.
    function uploadRootCrl(bytes calldata der) external;

    /// @notice Stores the certificate of the PCK platform or processor authority.
    function uploadPckCa(bytes calldata der) external;

    /// @notice Stores a newer revocation list of a PCK authority whose certificate is stored.
    function uploadPckCrl(bytes calldata der) external;

    /// @notice Stores a certificate that signs TCB info and QE identity. There may be several at a time.
    function uploadTcbSigning(bytes calldata der) external;

    /// @notice Stores newer TCB info of one family of platforms.
    /// @param signer Serial number of the stored certificate whose key signed it.
    /// @param text The very text that Intel signed.
    /// @param signature r ‖ s, 64 bytes.
    function uploadTcbInfo(uint256 signer, bytes calldata text, bytes calldata signature) external;

    /// @notice Stores a newer identity of the TD quoting enclave.
    /// @param signer Serial number of the stored certificate whose key signed it.
    /// @param text The very text that Intel signed.
    /// @param signature r ‖ s, 64 bytes.
    function uploadQeIdentity(uint256 signer, bytes calldata text, bytes calldata signature)
        external;

    /// @notice SHA-256 of the DER of the root certificate that everything here leads to.
    function rootFingerprint() external view returns (bytes32);

    /// @notice A PCK authority with its revocation list.
    /// @param record Account that holds them; zero for a stranger.
    /// @param issuedAt thisUpdate of the list.
    /// @param validUntil Last second at which all of it, and all above it, is in force.
    struct AuthorityInForce {
        address record;
        uint40 issuedAt;
        uint40 validUntil;
    }

    /// @notice TCB info and QE identity for a family of platforms.
    /// @param tcbInfo Account that holds the TCB info, as `TcbRecord` reads it.
    /// @param qeIdentity Account that holds the QE identity, as `QeRecord` reads it.
    /// @param evaluationNumber `tcbEvaluationDataNumber` of the TCB info.
    /// @param qeEvaluationNumber The same of the QE identity.
    /// @param issuedAt Issue date of the older of the two.
    /// @param validUntil Last second at which all of it, and all above it, is in force.
    struct DocumentsInForce {
        address tcbInfo;
        address qeIdentity;
        uint32 evaluationNumber;
        uint32 qeEvaluationNumber;
        uint40 issuedAt;
        uint40 validUntil;
    }

    /// @notice A PCK authority, with everything that vouches for it in force now; reverts otherwise.
    /// @param subject Keccak-256 of the authority's DER name.
    function authorityInForce(bytes32 subject) external view returns (AuthorityInForce memory);

    /// @notice The documents for a family of platforms, with everything that vouches for them in force
    /// now; reverts otherwise.
    function documentsInForce(bytes6 fmspc) external view returns (DocumentsInForce memory);

    /// @notice Both of the above in one call, for callers that know both from the start.
    function collateralInForce(bytes32 subject, bytes6 fmspc)
        external
        view
        returns (AuthorityInForce memory, DocumentsInForce memory);

    /// @notice What is stored as TCB info; zeros for nothing. The last date is that of its signer if that
    /// comes first.
    function tcbInfoState(bytes6 fmspc)
        external
        view
        returns (uint32 evaluationNumber, uint40 issueDate, uint40 nextUpdate);

    /// @notice What is stored as QE identity; zeros for nothing. The last date is that of its signer if that
    /// comes first.
    function qeIdentityState()
        external
        view
        returns (uint32 evaluationNumber, uint40 issueDate, uint40 nextUpdate);

    /// @notice What is stored of the root; zeros for nothing.
    function rootState()
        external
        view
        returns (uint40 notBefore, uint40 notAfter, uint40 crlThisUpdate, uint40 crlNextUpdate);

    /// @notice What is stored of a PCK authority; zeros for nothing. The last date is that of its
    /// certificate if that comes first.
    function authorityState(bytes32 subject)
        external
        view
        returns (uint160 serial, uint40 notBefore, uint40 crlThisUpdate, uint40 crlNextUpdate);

    /// @notice What is stored of the TCB signing certificate of a serial number; zeros for nothing.
    function tcbSigningState(uint256 serial)
        external
        view
        returns (uint40 notBefore, uint40 notAfter);
}
