// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IProofRegistry} from "../proofs/IProofRegistry.sol";
import {PPM, Report, TIER_REPLAY, VERDICT_FAIL, VERDICT_INCONCLUSIVE} from "../proofs/Types.sol";
import {CoverPool} from "./CoverPool.sol";
import {ExactTransfer} from "./ExactTransfer.sol";
import {ICoverPool} from "./ICoverPool.sol";
import {IParametricCover} from "./IParametricCover.sol";
import {IReportConsumer} from "./IReportConsumer.sol";
import {PayoutCurve, PayoutCurveLib} from "./PayoutCurve.sol";
import {ReportConsumer} from "./ReportConsumer.sol";
import {ReportTerms, ReportTermsLib} from "./ReportTerms.sol";

/// @title ParametricCover
/// @notice Sells cover against a pool's capital and pays it on attested verdicts.
/// @dev Underwriters choose what is sold, and a pause stops sales. Neither touches a policy that was
/// sold: what it pays follows from the report and from terms that cannot change.
contract ParametricCover is IParametricCover, ReportConsumer, ERC721, AccessManaged, Pausable {
    using SafeERC20 for IERC20;
    using PayoutCurveLib for PayoutCurve;

    struct Policy {
        bytes32 termsHash;
        uint64 startMs;
        uint64 windowMs;
        uint40 claimSeconds;
        uint16 windowCount;
        uint32 productId;
        bool isClosed;
        uint128 remaining;
        uint128 windowLimit;
        uint128 sumInsured;
        uint128 premium;
        bytes32 subject;
    }

    struct Exposure {
        uint128 promised;
        uint128 cap;
    }

    uint256 private constant _YEAR_MS = 365 days * 1000;

    /// @inheritdoc IParametricCover
    ICoverPool public immutable POOL;
    /// @notice What premiums and payouts are in.
    IERC20 public immutable ASSET;

    uint32 private _productCount;
    uint256 private _policyCount;
    mapping(uint256 productId => Product) private _products;
    mapping(uint256 productId => bool) public isOffered;
    mapping(uint256 policyId => Policy) private _policies;
    /// @dev The leaf that settled a window: nullifier and record in one.
    mapping(uint256 policyId => mapping(uint256 window => bytes32 leaf)) private _leaves;
    mapping(bytes32 peril => mapping(bytes32 region => Exposure)) private _exposures;

    /// @param proofs Registry of anchored batches.
    /// @param asset What premiums and payouts are in.
    /// @param manager AccessManager that holds the roles.
    /// @param noticeSeconds Time between notice and redemption of pool shares.
    constructor(IProofRegistry proofs, IERC20 asset, address manager, uint64 noticeSeconds)
        ReportConsumer(proofs)
        ERC721("Plumbline parametric cover", "PLCV")
        AccessManaged(manager)
    {
        ASSET = asset;
        POOL = new CoverPool(asset, address(this), noticeSeconds);
    }

    /// @inheritdoc IParametricCover
    function offer(Product calldata wanted) external restricted returns (uint256 productId) {
        _checkProduct(wanted);
        productId = ++_productCount;
        Product storage made = _products[productId];
        made.stream = wanted.stream;
        made.policyId = wanted.policyId;
        made.unit = wanted.unit;
        made.peril = wanted.peril;
        made.region = wanted.region;
        made.windowMs = wanted.windowMs;
        made.minCoveragePpm = wanted.minCoveragePpm;
        made.weakestTier = wanted.weakestTier;
        made.maxWindows = wanted.maxWindows;
        made.waitingSeconds = wanted.waitingSeconds;
        made.claimSeconds = wanted.claimSeconds;
        made.basePpm = wanted.basePpm;
        made.loadPpm = wanted.loadPpm;
        made.silencePpm = wanted.silencePpm;
        made.silenceCoveragePpm = wanted.silenceCoveragePpm;
        made.curve.store(wanted.curve);
        isOffered[productId] = true;
        emit ProductOffered(productId, wanted.policyId, wanted.peril, wanted.region);
    }

    /// @inheritdoc IParametricCover
    function withdrawOffer(uint256 productId) external restricted {
        if (!isOffered[productId]) revert ParametricCoverNotOffered(productId);
        isOffered[productId] = false;
        emit ProductWithdrawn(productId);
    }

    /// @inheritdoc IParametricCover
    function setExposureCap(bytes32 peril, bytes32 region, uint256 cap) external restricted {
        _exposures[peril][region].cap = SafeCast.toUint128(cap);
        emit ExposureCapSet(peril, region, cap);
    }

    /// @notice Stops sales. Policies sold are settled and closed as ever.
    function pause() external restricted {
        _pause();
    }

    /// @notice Resumes sales.
    function unpause() external restricted {
        _unpause();
    }

    /// @inheritdoc IParametricCover
    function buy(Purchase calldata purchase)
        external
        nonReentrant
        whenNotPaused
        returns (uint256 policyId)
    {
        Product storage sold = _checkPurchase(purchase);
        uint256 premium = _premium(sold, purchase);
        if (premium > purchase.maxPremium) {
            revert ParametricCoverPremiumTooHigh(premium, purchase.maxPremium);
        }
        _expose(sold.peril, sold.region, purchase.sumInsured);
        policyId = ++_policyCount;
        _policies[policyId] = Policy({
            termsHash: ReportTermsLib.hash(
                ReportTerms(sold.stream, purchase.subject, sold.policyId, sold.unit)
            ),
            startMs: purchase.startMs,
            windowMs: sold.windowMs,
            claimSeconds: sold.claimSeconds,
            windowCount: purchase.windowCount,
            productId: SafeCast.toUint32(purchase.productId),
            isClosed: false,
            remaining: purchase.sumInsured,
            windowLimit: purchase.windowLimit,
            sumInsured: purchase.sumInsured,
            premium: SafeCast.toUint128(premium),
            subject: purchase.subject
        });
        emit PolicySold(
            policyId,
            purchase.productId,
            purchase.holder,
            purchase.subject,
            purchase.sumInsured,
            premium
        );
        // Not the safe form: it would call the holder in the middle of a sale, for nothing.
        _mint(purchase.holder, policyId);
        ExactTransfer.pull(ASSET, msg.sender, premium);
        ASSET.safeTransfer(address(POOL), premium);
        POOL.lock(purchase.sumInsured, premium);
    }

    /// @inheritdoc IParametricCover
    function close(uint256 policyId) external nonReentrant {
        Policy storage held = _open(policyId);
        uint256 deadlineMs = _deadlineMs(held);
        uint256 nowMs = block.timestamp * 1000;
        if (nowMs < deadlineMs && held.remaining != 0) {
            revert ParametricCoverDeadlineAhead(deadlineMs, nowMs);
        }
        uint128 released = held.remaining;
        held.isClosed = true;
        held.remaining = 0;
        Product storage sold = _products[held.productId];
        _exposures[sold.peril][sold.region].promised -= released;
        emit PolicyClosed(policyId, released);
        POOL.release(released, held.premium);
    }

    /// @inheritdoc IParametricCover
    function quotePremium(Purchase calldata purchase) external view returns (uint256) {
        return _premium(_checkPurchase(purchase), purchase);
    }

    /// @inheritdoc IParametricCover
    function policy(uint256 policyId) external view returns (PolicyView memory) {
        Policy storage held = _policies[policyId];
        if (held.sumInsured == 0) revert ParametricCoverUnknownPolicy(policyId);
        return PolicyView({
            productId: held.productId,
            subject: held.subject,
            startMs: held.startMs,
            windowCount: held.windowCount,
            sumInsured: held.sumInsured,
            remaining: held.remaining,
            windowLimit: held.windowLimit,
            premium: held.premium,
            isClosed: held.isClosed
        });
    }

    /// @inheritdoc IParametricCover
    function product(uint256 productId) external view returns (Product memory) {
        return _products[productId];
    }

    /// @inheritdoc IParametricCover
    function exposure(bytes32 peril, bytes32 region)
        external
        view
        returns (uint256 promised, uint256 cap)
    {
        Exposure storage exposed = _exposures[peril][region];
        return (exposed.promised, exposed.cap);
    }

    /// @inheritdoc IReportConsumer
    function isSettled(uint256 agreementId, bytes32 leaf) external view returns (bool) {
        if (leaf == 0) return false;
        uint256 count = _policies[agreementId].windowCount;
        for (uint256 window = 0; window < count; ++window) {
            if (_leaves[agreementId][window] == leaf) return true;
        }
        return false;
    }

    /// @inheritdoc ReportConsumer
    function supportsInterface(bytes4 interfaceId)
        public
        view
        override(ReportConsumer, ERC721)
        returns (bool)
    {
        return ReportConsumer.supportsInterface(interfaceId)
            || ERC721.supportsInterface(interfaceId);
    }

    /// @inheritdoc ReportConsumer
    function _settle(uint256 agreementId, Report calldata report, bytes32 leaf, bytes32 stream)
        internal
        override
    {
        Policy storage held = _open(agreementId);
        Product storage sold = _products[held.productId];
        if (ReportTermsLib.hashOf(report, stream) != held.termsHash) {
            _explainMismatch(held, sold, report, stream);
        }
        _checkRight(report, 0);
        uint256 window = _window(agreementId, held, report);
        if (_leaves[agreementId][window] != 0) {
            revert ReportConsumerAlreadySettled(agreementId, leaf);
        }
        uint256 nowMs = block.timestamp * 1000;
        if (nowMs >= _deadlineMs(held)) {
            revert ParametricCoverDeadlinePassed(_deadlineMs(held), nowMs);
        }
        uint256 share = _share(agreementId, sold, report, leaf);
        uint128 remaining = held.remaining;
        uint256 payout = Math.min(uint256(held.windowLimit) * share / PPM, remaining);
        if (payout == 0) {
            if (remaining == 0) revert ParametricCoverExhausted(agreementId);
            revert ParametricCoverNotTriggered(agreementId, report.verdict, report.valueMicro);
        }
        address holder = ownerOf(agreementId);
        _leaves[agreementId][window] = leaf;
        held.remaining = remaining - SafeCast.toUint128(payout);
        _exposures[sold.peril][sold.region].promised -= SafeCast.toUint128(payout);
        emit ReportSettled(agreementId, leaf, holder, payout);
        POOL.pay(holder, payout);
    }

    /// @dev A measured FAIL pays by the curve. A dark window pays what the silence clause says, on the
    /// enclave's own statement that it did not see enough; anything else inconclusive pays nothing.
    function _share(uint256 policyId, Product storage sold, Report calldata report, bytes32 leaf)
        private
        view
        returns (uint256)
    {
        if (
            report.verdict == VERDICT_INCONCLUSIVE && sold.silencePpm != 0
                && report.coveragePpm <= sold.silenceCoveragePpm
        ) {
            // A dark window leans on no reading, so its tier says nothing.
            return sold.silencePpm;
        }
        _checkQuality(report, leaf, sold.weakestTier, sold.minCoveragePpm);
        if (report.verdict != VERDICT_FAIL) {
            revert ParametricCoverNotTriggered(policyId, report.verdict, report.valueMicro);
        }
        return sold.curve.sharePpm(report.valueMicro);
    }

    /// @dev Exactly one of the policy's windows: no overlap, no part of a window, none twice.
    function _window(uint256 policyId, Policy storage held, Report calldata report)
        private
        view
        returns (uint256 window)
    {
        uint64 startMs = held.startMs;
        uint64 windowMs = held.windowMs;
        if (report.periodStartMs >= startMs) {
            uint256 offset = report.periodStartMs - startMs;
            window = offset / windowMs;
            if (
                offset % windowMs == 0 && window < held.windowCount
                    && report.periodEndMs == uint256(report.periodStartMs) + windowMs
            ) return window;
        }
        revert ParametricCoverOutsideWindows(policyId, report.periodStartMs, report.periodEndMs);
    }

    function _premium(Product storage sold, Purchase calldata purchase)
        private
        view
        returns (uint256)
    {
        uint256 capital = POOL.totalAssets();
        uint256 promised = POOL.lockedAssets() + purchase.sumInsured;
        if (promised > capital) {
            revert ICoverPool.CoverPoolCapacityExceeded(purchase.sumInsured, POOL.freeAssets());
        }
        uint256 ratePpm = sold.basePpm + uint256(sold.loadPpm) * promised / capital;
        // All the time for which capital is set aside: a cover that starts late costs the wait too, or
        // a day of cover in fifty years would hold the pool for next to nothing.
        uint256 heldMs = uint256(purchase.startMs) + uint256(sold.windowMs) * purchase.windowCount
            + uint256(sold.claimSeconds) * 1000 - block.timestamp * 1000;
        // Rounded up: the smallest cover costs something.
        return Math.mulDiv(
            uint256(purchase.sumInsured) * ratePpm, heldMs, PPM * _YEAR_MS, Math.Rounding.Ceil
        );
    }

    function _checkPurchase(Purchase calldata purchase)
        private
        view
        returns (Product storage sold)
    {
        if (!isOffered[purchase.productId]) {
            revert ParametricCoverNotOffered(purchase.productId);
        }
        sold = _products[purchase.productId];
        if (purchase.windowCount == 0 || purchase.windowCount > sold.maxWindows) {
            revert ParametricCoverWindowCount(purchase.windowCount, sold.maxWindows);
        }
        if (purchase.windowLimit == 0 || purchase.windowLimit > purchase.sumInsured) {
            revert ParametricCoverBadLimit(purchase.windowLimit, purchase.sumInsured);
        }
        if (purchase.subject == 0 || purchase.holder == address(0)) {
            revert ParametricCoverPartyMissing();
        }
        uint256 earliestMs = (block.timestamp + sold.waitingSeconds) * 1000;
        if (purchase.startMs < earliestMs) {
            revert ParametricCoverStartTooEarly(purchase.startMs, earliestMs);
        }
    }

    function _checkProduct(Product calldata wanted) private pure {
        if (wanted.stream == 0) revert ParametricCoverBadProduct("stream");
        if (wanted.policyId == 0) revert ParametricCoverBadProduct("policyId");
        if (wanted.windowMs == 0) revert ParametricCoverBadProduct("windowMs");
        if (wanted.maxWindows == 0) revert ParametricCoverBadProduct("maxWindows");
        if (wanted.minCoveragePpm > PPM) revert ParametricCoverBadProduct("minCoveragePpm");
        // Nothing settles on a replay.
        if (wanted.weakestTier == 0 || wanted.weakestTier >= TIER_REPLAY) {
            revert ParametricCoverBadProduct("weakestTier");
        }
        if (wanted.basePpm == 0) revert ParametricCoverBadProduct("basePpm");
        if (wanted.silencePpm > PPM) revert ParametricCoverBadProduct("silencePpm");
        if (wanted.silenceCoveragePpm > PPM) {
            revert ParametricCoverBadProduct("silenceCoveragePpm");
        }
        PayoutCurveLib.check(wanted.curve);
    }

    function _expose(bytes32 peril, bytes32 region, uint128 amount) private {
        Exposure storage exposed = _exposures[peril][region];
        uint256 promised = uint256(exposed.promised) + amount;
        if (promised > exposed.cap) {
            revert ParametricCoverExposureExceeded(peril, region, promised, exposed.cap);
        }
        exposed.promised = SafeCast.toUint128(promised);
    }

    function _open(uint256 policyId) private view returns (Policy storage held) {
        held = _policies[policyId];
        if (held.termsHash == 0) revert ParametricCoverUnknownPolicy(policyId);
        if (held.isClosed) revert ParametricCoverPolicyClosed(policyId);
    }

    function _deadlineMs(Policy storage held) private view returns (uint256) {
        return uint256(held.startMs) + uint256(held.windowMs) * held.windowCount
            + uint256(held.claimSeconds) * 1000;
    }

    function _explainMismatch(
        Policy storage held,
        Product storage sold,
        Report calldata report,
        bytes32 stream
    ) private view {
        ReportTermsLib.check(
            ReportTerms(sold.stream, held.subject, sold.policyId, sold.unit), report, stream
        );
    }
}
