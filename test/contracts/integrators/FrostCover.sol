// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IProofRegistry} from "plumbline/contracts/proofs/IProofRegistry.sol";
import {Report, TIER_SOFTWARE, VERDICT_FAIL} from "plumbline/contracts/proofs/Types.sol";
import {ReportConsumer} from "plumbline/contracts/settlement/ReportConsumer.sol";
import {ReportTerms, ReportTermsLib} from "plumbline/contracts/settlement/ReportTerms.sol";

/// @notice Pays a fixed sum when an attested report says that a field froze in its season.
contract FrostCover is ReportConsumer {
    using SafeERC20 for IERC20;

    struct Cover {
        bytes32 key; // stream, subject, policy, unit and season in one word
        address farmer;
        uint256 payout;
        bytes32 leaf; // of the report that was paid for
    }

    error FrostCoverNotOurs(uint256 agreementId);

    IERC20 public immutable TOKEN;
    Cover[] public covers;

    constructor(IProofRegistry proofs, IERC20 token) ReportConsumer(proofs) {
        TOKEN = token;
    }

    /// Whoever writes the cover pays it in: nothing is promised that is not here.
    function write(
        ReportTerms memory terms,
        uint64 startMs,
        uint64 endMs,
        address farmer,
        uint256 payout
    ) external returns (uint256 agreementId) {
        require(startMs > block.timestamp * 1000, "season has begun");
        covers.push(Cover(ReportTermsLib.key(terms, startMs, endMs), farmer, payout, 0));
        TOKEN.safeTransferFrom(msg.sender, address(this), payout);
        return covers.length - 1;
    }

    function isSettled(uint256 agreementId, bytes32 leaf) external view returns (bool) {
        return leaf != 0 && covers[agreementId].leaf == leaf;
    }

    /// The report is proved by now: an attested enclave signed it and its batch is anchored.
    function _settle(uint256 agreementId, Report calldata report, bytes32 leaf, bytes32 stream)
        internal
        override
    {
        Cover storage cover = covers[agreementId];
        if (cover.key != ReportTermsLib.keyOf(report, stream)) {
            revert FrostCoverNotOurs(agreementId);
        }
        if (cover.leaf != 0) revert ReportConsumerAlreadySettled(agreementId, leaf);
        _checkRight(report, 0); // a fact, not somebody's right
        _checkQuality(report, leaf, TIER_SOFTWARE, 950_000);
        require(report.verdict == VERDICT_FAIL, "no frost");
        cover.leaf = leaf; // before the money moves
        emit ReportSettled(agreementId, leaf, cover.farmer, cover.payout);
        TOKEN.safeTransfer(cover.farmer, cover.payout);
    }
}
