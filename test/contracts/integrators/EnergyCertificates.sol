// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IProofRegistry} from "plumbline/contracts/proofs/IProofRegistry.sol";
import {ReportLib} from "plumbline/contracts/proofs/ReportLib.sol";
import {Report, TIER_HARDWARE, VERDICT_PASS} from "plumbline/contracts/proofs/Types.sol";
import {PeriodSet} from "plumbline/contracts/settlement/PeriodSet.sol";
import {ReportConsumer} from "plumbline/contracts/settlement/ReportConsumer.sol";
import {ReportTerms, ReportTermsLib} from "plumbline/contracts/settlement/ReportTerms.sol";

/// @notice A register of generated energy: one certificate for each measured watt-hour, minted once.
contract EnergyCertificates is ReportConsumer, ERC20 {
    using PeriodSet for PeriodSet.Set;

    error EnergyCertificatesNothingGenerated(uint8 verdict, int128 valueMicro);

    address public immutable REGISTRAR;
    ReportTerms[] public plants;
    mapping(uint256 plant => address) public ownerOf;
    mapping(uint256 plant => mapping(bytes32 leaf => bool)) public isSettled;
    mapping(bytes32 subject => PeriodSet.Set) private _minted;

    constructor(IProofRegistry proofs) ReportConsumer(proofs) ERC20("Energy", "WH") {
        REGISTRAR = msg.sender;
    }

    function admit(ReportTerms calldata terms, address owner) external returns (uint256 plant) {
        require(msg.sender == REGISTRAR, "registrar only");
        plants.push(terms);
        ownerOf[plants.length - 1] = owner;
        return plants.length - 1;
    }

    /// What a plant's report must carry as `exclusiveTo`: this contract, this chain, this right.
    function right() public view returns (bytes32) {
        return ReportLib.rightHere(keccak256("example/right/1/energy"));
    }

    function decimals() public pure override returns (uint8) {
        return 6; // reports speak in millionths
    }

    function _settle(uint256 plant, Report calldata report, bytes32 leaf, bytes32 stream)
        internal
        override
    {
        ReportTermsLib.check(plants[plant], report, stream);
        _checkRight(report, right());
        _checkQuality(report, leaf, TIER_HARDWARE, 1_000_000);
        if (report.verdict != VERDICT_PASS || report.valueMicro <= 0) {
            revert EnergyCertificatesNothingGenerated(report.verdict, report.valueMicro);
        }
        // No minute of a plant is minted for twice, whatever is cut out of it and in whatever order.
        _minted[report.subject].take(report.periodStartMs, report.periodEndMs);
        isSettled[plant][leaf] = true;
        uint256 amount = uint128(report.valueMicro);
        emit ReportSettled(plant, leaf, ownerOf[plant], amount);
        _mint(ownerOf[plant], amount);
    }
}
