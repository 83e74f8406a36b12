// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Base64} from "@openzeppelin/contracts/utils/Base64.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {ICarbonCredit} from "./ICarbonCredit.sol";

/// @title CarbonMetadata
/// @notice Metadata of issuances and retirements as data URIs, with whatever a registry needs to find
/// the evidence. Apart from {CarbonCredit} because both together exceed the size of one contract.
contract CarbonMetadata {
    using Strings for uint256;

    /// @notice The contract whose issuances and retirements are described.
    ICarbonCredit public immutable CREDITS = ICarbonCredit(msg.sender);

    /// @notice Metadata of an issuance.
    /// @param id Issuance.
    function issuanceUri(uint256 id) external view returns (string memory) {
        return _dataUri(string.concat("{", _facts(id, CREDITS.issuanceOf(id)), "}"));
    }

    /// @notice A retirement certificate.
    /// @param retirementId Its number.
    function retirementUri(uint256 retirementId) external view returns (string memory) {
        ICarbonCredit.Retirement memory retired = CREDITS.retirementOf(retirementId);
        ICarbonCredit.Issuance memory issued = CREDITS.issuanceOf(retired.id);
        return _dataUri(
            string.concat(
                '{"certificate":"',
                retirementId.toString(),
                '","account":"',
                Strings.toChecksumHexString(retired.account),
                '","beneficiary":"',
                Strings.escapeJSON(retired.beneficiary),
                '","reason":"',
                Strings.escapeJSON(retired.reason),
                '","retired_at":',
                uint256(retired.retiredAt).toString(),
                ',"amount":"',
                uint256(retired.amount).toString(),
                _serials(
                    CREDITS.projectOf(retired.id >> 128),
                    issued,
                    retired.serialStart,
                    retired.amount
                ),
                '","of":{',
                _facts(retired.id, issued),
                "}}"
            )
        );
    }

    function _dataUri(string memory json) private pure returns (string memory) {
        return string.concat("data:application/json;base64,", Base64.encode(bytes(json)));
    }

    function _facts(uint256 id, ICarbonCredit.Issuance memory issued)
        private
        view
        returns (string memory)
    {
        return string.concat(_project(CREDITS.projectOf(id >> 128)), ",", _issuance(id, issued));
    }

    function _project(ICarbonCredit.Project memory project) private pure returns (string memory) {
        return string.concat(
            '"name":"',
            Strings.escapeJSON(project.name),
            '","project":"',
            Strings.escapeJSON(project.registryId),
            '","methodology":"',
            Strings.escapeJSON(project.methodology),
            '","subject":"',
            uint256(project.report.subject).toHexString(32),
            '","policy":"',
            uint256(project.report.policyId).toHexString(32),
            '","decimals":8'
        );
    }

    function _issuance(uint256 id, ICarbonCredit.Issuance memory issued)
        private
        view
        returns (string memory)
    {
        return string.concat(
            '"id":"',
            id.toHexString(32),
            '","report":"',
            uint256(issued.leaf).toHexString(32),
            '","stream":"',
            uint256(issued.stream).toHexString(32),
            '","chain":',
            block.chainid.toString(),
            ',"block":',
            uint256(issued.blockNumber).toString(),
            ",",
            _period(issued)
        );
    }

    function _period(ICarbonCredit.Issuance memory issued) private pure returns (string memory) {
        return string.concat(
            '"period_start_ms":',
            uint256(issued.periodStartMs).toString(),
            ',"period_end_ms":',
            uint256(issued.periodEndMs).toString(),
            ',"vintage":',
            uint256(issued.vintage).toString(),
            ',"issued":"',
            uint256(issued.amount).toString(),
            '","serial_start":"',
            uint256(issued.serialStart).toString(),
            '","serial_end":"',
            (uint256(issued.serialStart) + issued.amount - 1).toString(),
            '","corresponding_adjustment":"',
            _adjustment(issued.adjustment),
            '","confirmed":',
            issued.isConfirmed ? "true" : "false"
        );
    }

    /// @dev `registryId-vintage-start-end`, in the manner of UNDP's serials.
    function _serials(
        ICarbonCredit.Project memory project,
        ICarbonCredit.Issuance memory issued,
        uint256 start,
        uint256 amount
    ) private pure returns (string memory) {
        return string.concat(
            '","serials":"',
            Strings.escapeJSON(project.registryId),
            "-",
            uint256(issued.vintage).toString(),
            "-",
            start.toString(),
            "-",
            (start + amount - 1).toString()
        );
    }

    function _adjustment(ICarbonCredit.Adjustment adjustment) private pure returns (string memory) {
        if (adjustment == ICarbonCredit.Adjustment.NONE) return "none";
        if (adjustment == ICarbonCredit.Adjustment.AUTHORISED) return "authorised";
        return "applied";
    }
}
