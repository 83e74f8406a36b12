// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProofRegistry} from "./IProofRegistry.sol";
import {ReportLib} from "./ReportLib.sol";
import {Inclusion, Report} from "./Types.sol";

/// @title WithReports
/// @notice The least that a contract needs to act on reports: inherit, write a body, done.
/// @dev The modifier says that an attested enclave signed the report and that its batch is anchored.
/// Which stream, subject, policy, period, tier and verdict count, and how often, is the body's to say.
abstract contract WithReports {
    /// @notice Registry of anchored batches.
    IProofRegistry public immutable PROOFS;

    /// @param proofs Registry of anchored batches.
    constructor(IProofRegistry proofs) {
        PROOFS = proofs;
    }

    /// @dev Proves the report before the body runs.
    modifier onlyWithReport(Report calldata report, Inclusion calldata inclusion) {
        ReportLib.verify(PROOFS, report, inclusion);
        _;
    }
}
