// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {PayoutCurve} from "./PayoutCurve.sol";
import {ReportTerms} from "./ReportTerms.sol";

/// @title IPerformanceEscrow
/// @notice Payments that a verdict releases: a tranche for each period, in full on PASS, less a graded
/// penalty on FAIL, back to the payer when no verdict came in time. A shipment is one tranche.
interface IPerformanceEscrow {
    /// @notice Where a tranche stands.
    enum TrancheState {
        OPEN,
        SETTLED,
        REFUNDED
    }

    /// @notice One payment, for one period.
    /// @param periodStartMs Start of the period that the report must have, Unix milliseconds.
    /// @param periodEndMs End of it.
    /// @param amount What is paid on PASS.
    struct TrancheTerms {
        uint64 periodStartMs;
        uint64 periodEndMs;
        uint112 amount;
    }

    /// @notice What payer and payee agree on.
    /// @param payee Who is paid.
    /// @param token What is paid in; one that takes fees is refused.
    /// @param report Which reports count.
    /// @param minCoveragePpm Smallest part of a period that must have been observed.
    /// @param weakestTier Weakest trust tier accepted.
    /// @param isInOrder Whether tranches settle or lapse strictly one after the other.
    /// @param graceSeconds Time after a period's end in which its verdict may be brought.
    /// @param penalty Part of a tranche that goes back to the payer on FAIL.
    /// @param tranches The payments, ascending and without overlap.
    struct Terms {
        address payee;
        IERC20 token;
        ReportTerms report;
        uint32 minCoveragePpm;
        uint8 weakestTier;
        bool isInOrder;
        uint40 graceSeconds;
        PayoutCurve penalty;
        TrancheTerms[] tranches;
    }

    /// @notice What can be read of a tranche.
    struct TrancheView {
        uint64 periodStartMs;
        uint64 periodEndMs;
        uint112 amount;
        TrancheState state;
        bytes32 leaf;
    }

    /// @notice An agreement was made and its money taken into escrow.
    /// @param agreementId Its number.
    /// @param payer Who paid in.
    /// @param payee Who will be paid.
    /// @param token What is paid in.
    /// @param total Sum of the tranches.
    event EscrowCreated(
        uint256 indexed agreementId,
        address indexed payer,
        address indexed payee,
        address token,
        uint256 total
    );

    /// @notice A part of a tranche went back to the payer because of a measured violation.
    /// @param agreementId The agreement.
    /// @param periodStartMs The tranche.
    /// @param payer Who got it.
    /// @param amount How much.
    event EscrowPenalised(
        uint256 indexed agreementId, uint64 periodStartMs, address indexed payer, uint256 amount
    );

    /// @notice A tranche went back to the payer because no verdict came in time.
    /// @param agreementId The agreement.
    /// @param periodStartMs The tranche.
    /// @param payer Who got it.
    /// @param amount How much.
    event EscrowRefunded(
        uint256 indexed agreementId, uint64 periodStartMs, address indexed payer, uint256 amount
    );

    /// @notice A token refused to go to a party; the amount waits for {withdraw}.
    /// @param token What is owed.
    /// @param party To whom.
    /// @param amount How much.
    event EscrowOwed(address indexed token, address indexed party, uint256 amount);

    /// @notice A party took what was owed.
    /// @param token What was owed.
    /// @param party To whom.
    /// @param to Where it went.
    /// @param amount How much.
    event EscrowWithdrawn(
        address indexed token, address indexed party, address indexed to, uint256 amount
    );

    /// @notice Nothing is owed.
    error PerformanceEscrowNothingOwed(address token, address party);
    /// @notice An address is zero or the escrow itself.
    error PerformanceEscrowBadParty(address party);
    /// @notice An agreement has between 1 and 128 tranches.
    error PerformanceEscrowTrancheCount(uint256 count);
    /// @notice A tranche has no length or amount, or does not follow the one before it.
    error PerformanceEscrowBadTranche(uint256 position);
    /// @notice A limit lies outside its range.
    error PerformanceEscrowBadLimit(uint32 minCoveragePpm, uint8 weakestTier);
    /// @notice The terms name no stream, subject or policy.
    error PerformanceEscrowTermsMissing();
    /// @notice No agreement has this number.
    error PerformanceEscrowUnknownAgreement(uint256 agreementId);
    /// @notice The report's period is none of the agreement's.
    error PerformanceEscrowUnknownPeriod(
        uint256 agreementId, uint64 periodStartMs, uint64 periodEndMs
    );
    /// @notice The agreement has no tranche that starts then.
    error PerformanceEscrowUnknownTranche(uint64 periodStartMs);
    /// @notice An earlier tranche is still open.
    error PerformanceEscrowOutOfOrder(uint256 agreementId, uint16 expected, uint16 actual);
    /// @notice The tranche was refunded.
    error PerformanceEscrowRefunded(uint256 agreementId, uint64 periodStartMs);
    /// @notice The verdict came too late.
    error PerformanceEscrowDeadlinePassed(uint256 deadlineMs, uint256 nowMs);
    /// @notice A verdict may still come.
    error PerformanceEscrowDeadlineAhead(uint256 deadlineMs, uint256 nowMs);
    /// @notice The tranche is not open.
    error PerformanceEscrowNotOpen(uint256 agreementId, uint64 periodStartMs);

    /// @notice Makes an agreement; the caller pays the sum of its tranches in.
    /// @param terms What is agreed.
    /// @return agreementId Its number.
    function create(Terms calldata terms) external returns (uint256 agreementId);

    /// @notice Gives a tranche back to the payer once its deadline has passed. Anyone may call. At
    /// every second exactly one of this and {IReportConsumer-settle} is open.
    /// @param agreementId The agreement.
    /// @param periodStartMs The tranche.
    function refund(uint256 agreementId, uint64 periodStartMs) external;

    /// @notice Takes what could not be sent. A payer whose penalty bounces off his address must not keep
    /// the payee from being paid, so it waits here.
    /// @param token What is owed to the caller.
    /// @param to Where it goes.
    function withdraw(IERC20 token, address to) external;

    /// @notice What waits for a party.
    /// @param token Which token.
    /// @param party Whose.
    function owed(IERC20 token, address party) external view returns (uint256);

    /// @notice Parties and token of an agreement.
    /// @param agreementId The agreement.
    function agreement(uint256 agreementId)
        external
        view
        returns (
            address payer,
            address payee,
            address token,
            uint16 trancheCount,
            uint16 closedCount
        );

    /// @notice The tranches of an agreement.
    /// @param agreementId The agreement.
    function tranches(uint256 agreementId) external view returns (TrancheView[] memory);
}
