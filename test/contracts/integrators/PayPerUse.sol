// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IProofRegistry} from "plumbline/contracts/proofs/IProofRegistry.sol";
import {Report, TIER_SOFTWARE, VERDICT_PASS} from "plumbline/contracts/proofs/Types.sol";
import {ReportConsumer} from "plumbline/contracts/settlement/ReportConsumer.sol";
import {ReportTerms, ReportTermsLib} from "plumbline/contracts/settlement/ReportTerms.sol";

/// @notice A customer pays for what a machine measurably did: so much for each unit, month by month.
contract PayPerUse is ReportConsumer {
    using SafeERC20 for IERC20;

    struct Contract {
        ReportTerms terms;
        address supplier;
        address customer;
        uint64 nextStartMs; // periods follow each other, so none is paid for twice
        uint256 pricePerUnit;
        uint256 deposit;
    }

    error PayPerUseNotNext(uint64 expectedStartMs, uint64 actualStartMs);

    IERC20 public immutable TOKEN;
    Contract[] public contracts;
    mapping(uint256 id => mapping(bytes32 leaf => bool)) public isSettled;

    constructor(IProofRegistry proofs, IERC20 token) ReportConsumer(proofs) {
        TOKEN = token;
    }

    function open(
        ReportTerms calldata terms,
        address supplier,
        uint64 startMs,
        uint256 pricePerUnit,
        uint256 deposit
    ) external returns (uint256 id) {
        contracts.push(Contract(terms, supplier, msg.sender, startMs, pricePerUnit, deposit));
        TOKEN.safeTransferFrom(msg.sender, address(this), deposit);
        return contracts.length - 1;
    }

    /// The rest goes back to the customer, thirty days after the last period that was paid for.
    function close(uint256 id) external {
        Contract storage made = contracts[id];
        require(block.timestamp * 1000 > made.nextStartMs + 30 days * 1000, "reports may come");
        uint256 rest = made.deposit;
        made.deposit = 0;
        TOKEN.safeTransfer(made.customer, rest);
    }

    function _settle(uint256 id, Report calldata report, bytes32 leaf, bytes32 stream)
        internal
        override
    {
        Contract storage made = contracts[id];
        ReportTermsLib.check(made.terms, report, stream);
        _checkRight(report, 0);
        _checkQuality(report, leaf, TIER_SOFTWARE, 900_000);
        if (report.periodStartMs != made.nextStartMs) {
            revert PayPerUseNotNext(made.nextStartMs, report.periodStartMs);
        }
        require(report.verdict == VERDICT_PASS && report.valueMicro > 0, "nothing used");
        uint256 due = Math.mulDiv(uint128(report.valueMicro), made.pricePerUnit, 1_000_000);
        uint256 paid = Math.min(due, made.deposit);
        made.nextStartMs = report.periodEndMs;
        made.deposit -= paid;
        isSettled[id][leaf] = true;
        emit ReportSettled(id, leaf, made.supplier, paid);
        TOKEN.safeTransfer(made.supplier, paid);
    }
}
