// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IQuoteVerifier
/// @notice Answers one question: is this quote what the hardware says, and what does it say?
/// Which images and keys are welcome is not asked here; {IEnclaveRegistry} decides that.
interface IQuoteVerifier {
    /// @param reportDataHigh First half of the quote's report data: the statement's hash.
    /// @param reportDataLow Second half: the hash of a recent block.
    /// @param imageId `keccak256(MRTD ‖ RTMR0 ‖ RTMR1 ‖ RTMR2 ‖ MRCONFIGID ‖ tdAttributes ‖ xfam)`.
    /// @param ppid Platform provisioning id: which piece of hardware.
    /// @param tcbStatus Judgement of the platform's TCB; codes in `TcbStatus.sol`, smaller is better.
    /// @param evaluationNumber TCB evaluation data number that the judgement leans on.
    /// @param validUntil Unix seconds; earliest expiry of the collateral leaned on.
    struct QuoteClaims {
        bytes32 reportDataHigh;
        bytes32 reportDataLow;
        bytes32 imageId;
        bytes16 ppid;
        uint8 tcbStatus;
        uint32 evaluationNumber;
        uint64 validUntil;
    }

    /// @notice Verifies a quote; reverts with a typed error unless every check holds.
    /// @param evidence The quote as this deployment's verifier takes it.
    /// @return What the quote claims, after its signatures and its platform have been verified.
    function verifyQuote(bytes calldata evidence) external view returns (QuoteClaims memory);
}
