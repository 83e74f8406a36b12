// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IProofRegistry} from "plumbline/contracts/proofs/IProofRegistry.sol";
import {
    Inclusion,
    PPM,
    Report,
    TIER_HARDWARE,
    VERDICT_PASS
} from "plumbline/contracts/proofs/Types.sol";
import {WithReports} from "plumbline/contracts/proofs/WithReports.sol";
import {ReportTerms, ReportTermsLib} from "plumbline/contracts/settlement/ReportTerms.sol";

contract Bonus is WithReports {
    bytes32 private immutable OURS; // stream, subject, policy and unit in one word
    address payable private immutable WINNER;

    constructor(IProofRegistry proofs, ReportTerms memory terms, address payable winner)
        payable
        WithReports(proofs)
    {
        (OURS, WINNER) = (ReportTermsLib.hash(terms), winner);
    }

    function pay(Report calldata r, Inclusion calldata at) external onlyWithReport(r, at) {
        require(ReportTermsLib.hashOf(r, at.stream) == OURS && r.verdict == VERDICT_PASS);
        require(r.tier == TIER_HARDWARE && r.coveragePpm == PPM && r.exclusiveTo == 0);
        (bool isPaid,) = WINNER.call{value: address(this).balance}(""); // all at once, so once
        require(isPaid);
    }
}
