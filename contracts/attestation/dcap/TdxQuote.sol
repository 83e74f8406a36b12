// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title TdxQuote
/// @notice Where the fields of a packed TDX quote stand.
/// @dev Intel TDX DCAP Quoting Library API, appendix A.3; Intel TDX Module ABI, TDREPORT_STRUCT. All
/// integers are little-endian. Evidence is what a contract needs of a quote, in the quote's own order:
///
/// | part                    | bytes                                           |
/// |-------------------------|-------------------------------------------------|
/// | header                  | 48                                              |
/// | body descriptor         | 6, version 5 only: type 2 ‖ size 4              |
/// | body                    | 584 (TD 1.0) or 648 (TD 1.5)                    |
/// | size                    | 4, of all that follows                          |
/// | signature               | 64, over header, descriptor and body            |
/// | attestation key         | 64                                              |
/// | QE report               | 384                                             |
/// | QE report signature     | 64                                              |
/// | QE authentication data  | 2 + its length                                  |
/// | PCK certificate         | DER, to the end                                 |
///
/// A platform that is remembered has 224 bytes of facts behind its attestation key instead:
///
/// | part                    | bytes                                                                    |
/// |-------------------------|--------------------------------------------------------------------------|
/// | PCK key                 | 64                                                                       |
/// | PCK certificate         | issuer's name, Keccak-256 32; serial 20; notBefore 5; notAfter 5         |
/// | platform                | PPID 16; component SVNs 16; PCESVN 2; PCEID 2; FMSPC 6                    |
/// | quoting enclave         | MRSIGNER 32; ATTRIBUTES 16; MISCSELECT 4; ISVPRODID 2; ISVSVN 2           |
///
/// Other length fields, PEM and padding of a quote carry nothing that is not verified otherwise; whoever
/// packs it leaves them out. Numbers of the facts are big-endian.
library TdxQuote {
    /// @dev Positions in calldata, as {Bytecraft} has them.
    struct Layout {
        uint256 header;
        uint256 body;
        uint256 signedEnd;
        uint256 signature;
        uint256 attestationKey;
        uint256 qeReport;
        uint256 qeSignature;
        uint256 qeAuth;
        uint256 pck;
        uint256 end;
        bool isTd15;
        bool hasFacts;
    }

    uint256 internal constant TEE_TCB_SVN = 0;
    uint256 internal constant MR_SIGNER_SEAM = 64;
    uint256 internal constant SEAM_ATTRIBUTES = 112;
    uint256 internal constant TD_ATTRIBUTES = 120;
    uint256 internal constant XFAM = 128;
    uint256 internal constant MR_TD = 136;
    uint256 internal constant MR_CONFIG_ID = 184;
    uint256 internal constant MR_OWNER = 232;
    uint256 internal constant RTMR0 = 328;
    uint256 internal constant RTMR1 = 376;
    uint256 internal constant RTMR2 = 424;
    uint256 internal constant RTMR3 = 472;
    uint256 internal constant REPORT_DATA = 520;
    uint256 internal constant MR_SERVICE_TD = 600;
    uint256 internal constant TD10_LENGTH = 584;
    uint256 internal constant TD15_LENGTH = 648;

    uint256 internal constant QE_MISC_SELECT = 16;
    uint256 internal constant QE_ATTRIBUTES = 48;
    uint256 internal constant QE_MR_SIGNER = 128;
    uint256 internal constant QE_ISV_PROD_ID = 256;
    uint256 internal constant QE_ISV_SVN = 258;
    uint256 internal constant QE_REPORT_DATA = 320;
    uint256 internal constant QE_REPORT_LENGTH = 384;

    /// @dev PCK key 64 + certificate 62 + platform 42 + quoting enclave 56
    uint256 internal constant FACTS_LENGTH = 224;

    /// @dev Real quotes measure 4.6 to 5.1 kB with their chains.
    uint256 internal constant MAXIMUM_BYTES = 16_384;

    /// @notice 939a7233-f79c-4ca9-940a-0db3957f0607, Intel's quoting enclaves.
    bytes16 internal constant INTEL_QE_VENDOR_ID = 0x939a7233f79c4ca9940a0db3957f0607;
}
