// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Inclusion, MultiInclusion, Report} from "../proofs/Types.sol";

/// @title IReportConsumer
/// @notice What every settlement contract speaks, so that a relayer needs no special case.
/// @dev Anyone may settle: the report decides who is paid, not the caller.
interface IReportConsumer {
    /// @notice A report was settled.
    /// @param agreementId Agreement of this contract.
    /// @param leaf The report's leaf.
    /// @param beneficiary Who was paid or credited.
    /// @param amount How much, in the units of what was paid or credited.
    event ReportSettled(
        uint256 indexed agreementId,
        bytes32 indexed leaf,
        address indexed beneficiary,
        uint256 amount
    );

    /// @notice One of several reports could not be settled; the others were.
    /// @param agreementId Agreement of this contract.
    /// @param leaf The report's leaf.
    /// @param reason What its settlement reverted with, cut after 512 bytes.
    event ReportNotSettled(uint256 indexed agreementId, bytes32 indexed leaf, bytes reason);

    /// @notice Settles an agreement on a report of an anchored batch.
    /// @param agreementId Agreement of this contract.
    /// @param report The report.
    /// @param inclusion Where it stands.
    function settle(uint256 agreementId, Report calldata report, Inclusion calldata inclusion)
        external;

    /// @notice Settles many agreements on the reports of one anchored batch. A poisoned entry does
    /// not stop the others: it is reported by {ReportNotSettled}.
    /// @param agreementIds One agreement for each report.
    /// @param reports The reports in the order of their positions.
    /// @param inclusion Where they stand.
    /// @return settledCount How many were settled.
    function settleMany(
        uint256[] calldata agreementIds,
        Report[] calldata reports,
        MultiInclusion calldata inclusion
    ) external returns (uint256 settledCount);

    /// @notice Whether an agreement was settled on a report.
    /// @param agreementId Agreement of this contract.
    /// @param leaf The report's leaf.
    function isSettled(uint256 agreementId, bytes32 leaf) external view returns (bool);
}
