// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICoverPool} from "./ICoverPool.sol";
import {PayoutCurve} from "./PayoutCurve.sol";

/// @title IParametricCover
/// @notice Cover that pays on a measured trigger, window by window, up to its sum insured. The trigger
/// is measured, the loss is not.
interface IParametricCover {
    /// @notice What can be bought: written once by the underwriter, never changed.
    /// @param stream Whose batches may speak.
    /// @param policyId Evaluation policy that judges a window.
    /// @param unit Unit of the measured value.
    /// @param peril Peril, for the exposure caps.
    /// @param region Region, for the exposure caps.
    /// @param windowMs Length of a window; reports cover exactly one.
    /// @param minCoveragePpm Smallest part of a window that must have been observed.
    /// @param weakestTier Weakest trust tier accepted.
    /// @param maxWindows Longest policy.
    /// @param waitingSeconds Time between buying and the first window.
    /// @param claimSeconds Time after the last window in which verdicts may be brought.
    /// @param basePpm Premium for each unit of sum insured and year for which the pool sets it aside,
    /// from the sale to the end of the claim time, before load.
    /// @param loadPpm Added to it in proportion to how much of the pool is promised.
    /// @param silencePpm Share that a window pays in which the device was dark; zero: none.
    /// @param silenceCoveragePpm Coverage up to which a window counts as dark.
    /// @param curve Share of the window's limit that a measured value pays.
    struct Product {
        bytes32 stream;
        bytes32 policyId;
        bytes32 unit;
        bytes32 peril;
        bytes32 region;
        uint64 windowMs;
        uint32 minCoveragePpm;
        uint8 weakestTier;
        uint16 maxWindows;
        uint32 waitingSeconds;
        uint40 claimSeconds;
        uint32 basePpm;
        uint32 loadPpm;
        uint32 silencePpm;
        uint32 silenceCoveragePpm;
        PayoutCurve curve;
    }

    /// @notice What a policy is.
    /// @param productId Product.
    /// @param subject What is covered.
    /// @param startMs Start of the first window.
    /// @param windowCount Number of windows.
    /// @param sumInsured Largest sum over all windows.
    /// @param remaining Part of it that is not paid.
    /// @param windowLimit Largest sum for one window.
    /// @param premium What was paid for it.
    /// @param isClosed Whether it has lapsed.
    struct PolicyView {
        uint256 productId;
        bytes32 subject;
        uint64 startMs;
        uint16 windowCount;
        uint128 sumInsured;
        uint128 remaining;
        uint128 windowLimit;
        uint128 premium;
        bool isClosed;
    }

    /// @notice What a buyer asks for.
    /// @param productId Product.
    /// @param subject What is covered.
    /// @param startMs Start of the first window.
    /// @param windowCount Number of windows.
    /// @param sumInsured Largest sum over all windows.
    /// @param windowLimit Largest sum for one window.
    /// @param maxPremium Most that the buyer pays.
    /// @param holder Who gets the policy.
    struct Purchase {
        uint256 productId;
        bytes32 subject;
        uint64 startMs;
        uint16 windowCount;
        uint128 sumInsured;
        uint128 windowLimit;
        uint256 maxPremium;
        address holder;
    }

    /// @notice A product can be bought.
    event ProductOffered(
        uint256 indexed productId, bytes32 indexed policyId, bytes32 indexed peril, bytes32 region
    );
    /// @notice A product can no longer be bought; policies sold go on.
    event ProductWithdrawn(uint256 indexed productId);
    /// @notice A cap on what may be promised for a peril in a region was set.
    event ExposureCapSet(bytes32 indexed peril, bytes32 indexed region, uint256 cap);
    /// @notice A policy was sold.
    event PolicySold(
        uint256 indexed policyId,
        uint256 indexed productId,
        address indexed holder,
        bytes32 subject,
        uint256 sumInsured,
        uint256 premium
    );
    /// @notice A policy lapsed; what it did not need is free again.
    event PolicyClosed(uint256 indexed policyId, uint256 released);

    /// @notice A product leaves out what it must say, or contradicts itself.
    error ParametricCoverBadProduct(bytes32 field);
    /// @notice No such product, or it is not sold any more.
    error ParametricCoverNotOffered(uint256 productId);
    /// @notice The first window begins too early: nobody buys cover after the event.
    error ParametricCoverStartTooEarly(uint64 startMs, uint256 earliestMs);
    /// @notice The number of windows is zero or above the product's limit.
    error ParametricCoverWindowCount(uint16 windowCount, uint16 maximum);
    /// @notice The limits are zero or contradict each other.
    error ParametricCoverBadLimit(uint128 windowLimit, uint128 sumInsured);
    /// @notice A subject or holder is missing.
    error ParametricCoverPartyMissing();
    /// @notice The premium is above what the buyer pays.
    error ParametricCoverPremiumTooHigh(uint256 premium, uint256 maxPremium);
    /// @notice The cap for this peril and region would be exceeded.
    error ParametricCoverExposureExceeded(
        bytes32 peril, bytes32 region, uint256 exposure, uint256 cap
    );
    /// @notice No policy has this number.
    error ParametricCoverUnknownPolicy(uint256 policyId);
    /// @notice The policy has lapsed.
    error ParametricCoverPolicyClosed(uint256 policyId);
    /// @notice The report's period is not one of the policy's windows.
    error ParametricCoverOutsideWindows(uint256 policyId, uint64 periodStartMs, uint64 periodEndMs);
    /// @notice The report triggers nothing.
    error ParametricCoverNotTriggered(uint256 policyId, uint8 verdict, int128 valueMicro);
    /// @notice The policy's sum insured is used up.
    error ParametricCoverExhausted(uint256 policyId);
    /// @notice The verdict came too late.
    error ParametricCoverDeadlinePassed(uint256 deadlineMs, uint256 nowMs);
    /// @notice Verdicts may still come.
    error ParametricCoverDeadlineAhead(uint256 deadlineMs, uint256 nowMs);

    /// @notice Puts a product on offer; underwriters only.
    /// @param product What can be bought.
    /// @return productId Its number.
    function offer(Product calldata product) external returns (uint256 productId);

    /// @notice Takes a product off offer; underwriters only. Policies sold go on.
    /// @param productId Product.
    function withdrawOffer(uint256 productId) external;

    /// @notice Sets what may be promised at once for a peril in a region; underwriters only.
    /// @param peril Peril.
    /// @param region Region.
    /// @param cap Largest sum.
    function setExposureCap(bytes32 peril, bytes32 region, uint256 cap) external;

    /// @notice Buys a policy; the caller pays the premium.
    /// @param purchase What the buyer asks for.
    /// @return policyId Number of the policy and of its token.
    function buy(Purchase calldata purchase) external returns (uint256 policyId);

    /// @notice Closes a policy after its deadline, or once it is used up. Anyone may call.
    /// @param policyId Policy.
    function close(uint256 policyId) external;

    /// @notice Premium of a purchase as of now.
    /// @param purchase What the buyer asks for.
    function quotePremium(Purchase calldata purchase) external view returns (uint256);

    /// @notice A policy.
    /// @param policyId Policy.
    function policy(uint256 policyId) external view returns (PolicyView memory);

    /// @notice A product.
    /// @param productId Product.
    function product(uint256 productId) external view returns (Product memory);

    /// @notice What is promised for a peril in a region, and how much may be.
    function exposure(bytes32 peril, bytes32 region)
        external
        view
        returns (uint256 promised, uint256 cap);

    /// @notice The capital behind the covers.
    function POOL() external view returns (ICoverPool);
}
