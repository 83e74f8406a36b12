// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

// How Intel's collateral judges a platform. The order is ours; the names are Intel's.
// Source: Intel TDX DCAP Quoting Library API, rev 0.9, appendix "TCB status".
uint8 constant TCB_UP_TO_DATE = 0;
uint8 constant TCB_SW_HARDENING_NEEDED = 1;
uint8 constant TCB_CONFIGURATION_NEEDED = 2;
uint8 constant TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED = 3;
uint8 constant TCB_OUT_OF_DATE = 4;
uint8 constant TCB_OUT_OF_DATE_CONFIGURATION_NEEDED = 5;
uint8 constant TCB_REVOKED = 6;
