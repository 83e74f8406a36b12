// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED,
    TCB_CONFIGURATION_NEEDED,
    TCB_OUT_OF_DATE,
    TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
    TCB_REVOKED,
    TCB_UP_TO_DATE
} from "../TcbStatus.sol";

/// @title TcbConvergence
/// @notice The status of a platform after looking at a part of it.
/// @dev Intel SGX DCAP QuoteVerificationLibrary, convergence of TCB statuses. Same function as
/// `verifier/collateral/tcbStatus.ts`.
library TcbConvergence {
    /// @param part Status of the TDX module or of the QE: up to date, out of date or revoked. A part that
    /// is out of date takes the platform with it and keeps what was said of its configuration.
    function converge(uint8 platform, uint8 part) internal pure returns (uint8) {
        if (part == TCB_REVOKED || platform == TCB_REVOKED) return TCB_REVOKED;
        if (part == TCB_UP_TO_DATE) return platform;
        bool isConfigurationNeeded = platform == TCB_CONFIGURATION_NEEDED
            || platform == TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED
            || platform == TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
        return isConfigurationNeeded ? TCB_OUT_OF_DATE_CONFIGURATION_NEEDED : TCB_OUT_OF_DATE;
    }
}
