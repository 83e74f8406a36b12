// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReportTerms} from "./ReportTerms.sol";

/// @title ICarbonCredit
/// @notice Carbon credits that exist only by an attested report which can be used here and nowhere
/// else. Follows the draft ERC-8393 (tokenized carbon credits with retirement): `id = projectId << 128
/// | creditId`, eight decimals, each id minted once, irreversible retirement.
interface ICarbonCredit {
    /// @notice Where the host country's corresponding adjustment stands (Paris Agreement, Article 6).
    enum Adjustment {
        NONE,
        AUTHORISED,
        APPLIED
    }

    /// @notice A project; written once.
    /// @param beneficiary Who gets the credits.
    /// @param report Which reports count.
    /// @param minCoveragePpm Smallest part of a period that must have been observed.
    /// @param weakestTier Weakest trust tier accepted.
    /// @param bufferPpm Part of each issuance that goes to the buffer.
    /// @param needsConfirmation Whether the registry confirms an issuance before it can move.
    /// @param creditsNumerator Smallest units of credit …
    /// @param creditsDenominator … for so many millionths of the report's unit.
    /// @param name Name, for the metadata.
    /// @param methodology Methodology, for the metadata.
    /// @param registryId Identifier in the registry, for the metadata and the serials.
    struct Project {
        address beneficiary;
        ReportTerms report;
        uint32 minCoveragePpm;
        uint8 weakestTier;
        uint32 bufferPpm;
        bool needsConfirmation;
        uint64 creditsNumerator;
        uint64 creditsDenominator;
        string name;
        string methodology;
        string registryId;
    }

    /// @notice What one id stands for: one report's credits of one calendar year.
    /// @param leaf The report's leaf.
    /// @param stream Stream of the batch that holds it.
    /// @param blockNumber Block of the minting transaction, for finding it.
    /// @param amount Units minted.
    /// @param serialStart First serial number in the project; the last is `serialStart + amount - 1`.
    /// @param retired Units retired.
    /// @param cancelled Units cancelled from the buffer.
    /// @param periodStartMs Start of the monitoring period's part that lies in the year.
    /// @param periodEndMs End of it.
    /// @param vintage Calendar year.
    /// @param adjustment Corresponding adjustment.
    /// @param isConfirmed Whether it may move.
    struct Issuance {
        bytes32 leaf;
        bytes32 stream;
        uint64 blockNumber;
        uint128 amount;
        uint128 serialStart;
        uint128 retired;
        uint128 cancelled;
        uint64 periodStartMs;
        uint64 periodEndMs;
        uint16 vintage;
        Adjustment adjustment;
        bool isConfirmed;
    }

    /// @notice A retirement certificate.
    /// @param account Who retired.
    /// @param id What was retired.
    /// @param amount How much.
    /// @param serialStart First serial retired.
    /// @param retiredAt Unix seconds.
    /// @param beneficiary On whose behalf.
    /// @param reason Why.
    struct Retirement {
        address account;
        uint256 id;
        uint128 amount;
        uint128 serialStart;
        uint64 retiredAt;
        string beneficiary;
        string reason;
    }

    /// @notice A project was admitted.
    event ProjectAdmitted(
        uint256 indexed projectId, address indexed beneficiary, bytes32 indexed subject
    );
    /// @notice Credits of one report and one year were issued.
    event CreditsIssued(
        uint256 indexed id,
        uint256 indexed projectId,
        bytes32 indexed leaf,
        uint256 amount,
        uint16 vintage,
        uint256 serialStart
    );
    /// @notice Credits were retired, for ever.
    event CreditsRetired(
        uint256 indexed retirementId,
        uint256 indexed id,
        address indexed account,
        uint256 amount,
        uint256 serialStart,
        string beneficiary,
        string reason
    );
    /// @notice The registry confirmed an issuance; it may move.
    event IssuanceConfirmed(uint256 indexed id);
    /// @notice The corresponding adjustment of an issuance moved on.
    event AdjustmentChanged(uint256 indexed id, Adjustment adjustment);
    /// @notice Buffer credits were cancelled for a reversal.
    event BufferCancelled(uint256 indexed id, uint256 amount, string reason);

    /// @notice A project leaves out what it must say, or contradicts itself.
    error CarbonCreditBadProject(bytes32 field);
    /// @notice No project has this number.
    error CarbonCreditUnknownProject(uint256 projectId);
    /// @notice No issuance has this id.
    error CarbonCreditUnknownIssuance(uint256 id);
    /// @notice Only a PASS with a value above zero issues credits.
    error CarbonCreditNothingToIssue(uint8 verdict, int128 valueMicro);
    /// @notice The value is larger than any credit could be.
    error CarbonCreditAmountTooLarge(uint256 amount);
    /// @notice The registry has not confirmed this issuance.
    error CarbonCreditNotConfirmed(uint256 id);
    /// @notice The issuance is confirmed already.
    error CarbonCreditConfirmed(uint256 id);
    /// @notice Only the holder or an approved operator may retire.
    error CarbonCreditNotHolder(address caller, address account);
    /// @notice Nothing is retired by this.
    error CarbonCreditNothingToRetire(uint256 id);
    /// @notice An adjustment only moves forward.
    error CarbonCreditAdjustmentBackwards(uint256 id, Adjustment current, Adjustment wanted);

    /// @notice Admits a project; registrars only, since its beneficiary gets what the subject earns.
    /// @param project The project.
    /// @return projectId Its number.
    function admit(Project calldata project) external returns (uint256 projectId);

    /// @notice Confirms an issuance; registrars only.
    /// @param id Issuance.
    function confirm(uint256 id) external;

    /// @notice Moves the corresponding adjustment forward; registrars only.
    /// @param id Issuance.
    /// @param adjustment Next state.
    function setAdjustment(uint256 id, Adjustment adjustment) external;

    /// @notice Cancels buffer credits for a reversal; registrars only. Holders are never touched.
    /// @param id Issuance.
    /// @param amount How much.
    /// @param reason Why.
    function cancelFromBuffer(uint256 id, uint256 amount, string calldata reason) external;

    /// @notice Retires credits, for ever.
    /// @param account Whose.
    /// @param id Which.
    /// @param amount How much.
    /// @param beneficiary On whose behalf.
    /// @param reason Why.
    /// @return retirementId Number of the certificate.
    function retire(
        address account,
        uint256 id,
        uint256 amount,
        string calldata beneficiary,
        string calldata reason
    ) external returns (uint256 retirementId);

    /// @notice What an account has retired of an id.
    function retiredBalanceOf(address account, uint256 id) external view returns (uint256);

    /// @notice What everybody has retired of an id.
    function totalRetired(uint256 id) external view returns (uint256);

    /// @notice Whether every unit of an id is retired or cancelled.
    function isRetired(uint256 id) external view returns (bool);

    /// @notice Decimals of a tonne of CO2 equivalent.
    function decimals() external pure returns (uint8);

    /// @notice A project.
    function projectOf(uint256 projectId) external view returns (Project memory);

    /// @notice Number of issuances of a project; the last has this credit id.
    function issuanceCount(uint256 projectId) external view returns (uint256);

    /// @notice An issuance.
    function issuanceOf(uint256 id) external view returns (Issuance memory);

    /// @notice A retirement certificate.
    function retirementOf(uint256 retirementId) external view returns (Retirement memory);

    /// @notice A retirement certificate as a data URI.
    function retirementUri(uint256 retirementId) external view returns (string memory);

    /// @notice What a project's credits are short of one more smallest unit, in
    /// `1 / creditsDenominator` of it.
    function remainderOf(uint256 projectId) external view returns (uint256);

    /// @notice Id of a project's issuance.
    function creditIdOf(uint256 projectId, uint256 creditId) external pure returns (uint256 id);

    /// @notice Whether a period of a subject is still free of credits.
    function isPeriodFree(bytes32 subject, uint64 periodStartMs, uint64 periodEndMs)
        external
        view
        returns (bool);

    /// @notice The right that a report must carry to be minted here.
    function carbonRight() external view returns (bytes32);
}
