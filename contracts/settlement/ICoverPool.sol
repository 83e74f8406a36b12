// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";

/// @title ICoverPool
/// @notice Capital behind covers, as ERC-4626 shares. What is promised cannot be withdrawn, and shares
/// leave only after a notice period, so that nobody sees a loss coming and is gone before it arrives.
interface ICoverPool is IERC4626 {
    /// @notice Shares that their holder wants to redeem.
    /// @param shares How many; they bear losses until they are redeemed.
    /// @param maturesAt Unix seconds from which they can be redeemed, for {REDEMPTION_SECONDS}.
    struct Notice {
        uint192 shares;
        uint64 maturesAt;
    }

    /// @notice A holder gave notice; the shares moved to the pool's custody.
    event NoticeGiven(address indexed holder, uint256 shares, uint64 maturesAt);
    /// @notice A holder took notice back; the shares returned.
    event NoticeWithdrawn(address indexed holder, uint256 shares);
    /// @notice Capital was set aside for a cover.
    event CapitalLocked(uint256 amount, uint256 premium);
    /// @notice Capital set aside for a cover is free again, and its premium is earned.
    event CapitalReleased(uint256 amount, uint256 premium);
    /// @notice Capital was paid out.
    event CapitalPaid(address indexed to, uint256 amount);

    /// @notice Only the cover contract may call.
    error CoverPoolNotCover(address caller);
    /// @notice The pool has less free capital than a cover would need.
    error CoverPoolCapacityExceeded(uint256 wanted, uint256 free);
    /// @notice The holder has given no such notice.
    error CoverPoolNoNotice(address holder);

    /// @notice Gives notice for shares; they are in custody until redeemed or taken back. A second
    /// notice starts the period anew for all of them. Notice that is not used in time lapses: a standing
    /// one would let its holder leave whenever a loss is in sight.
    /// @param shares How many; zero renews notice that has lapsed.
    function giveNotice(uint256 shares) external;

    /// @notice Takes notice back; all shares return from custody.
    function withdrawNotice() external;

    /// @notice Sets capital aside and takes in a premium; the cover contract only, which has moved the
    /// premium here.
    /// @param amount Largest sum that the cover can pay.
    /// @param premium Premium, not yet earned.
    function lock(uint256 amount, uint256 premium) external;

    /// @notice Pays out of capital set aside; the cover contract only.
    /// @param to Who is paid.
    /// @param amount How much.
    function pay(address to, uint256 amount) external;

    /// @notice Frees what a cover did not need; the cover contract only.
    /// @param amount Capital no longer needed.
    /// @param premium Premium that is now earned.
    function release(uint256 amount, uint256 premium) external;

    /// @notice How long matured notice can be used.
    function REDEMPTION_SECONDS() external view returns (uint64);

    /// @notice Capital set aside for covers.
    function lockedAssets() external view returns (uint256);

    /// @notice Premiums of covers that still run; they belong to nobody's shares yet.
    function unearnedPremiums() external view returns (uint256);

    /// @notice Capital that is neither set aside nor owed.
    function freeAssets() external view returns (uint256);

    /// @notice Notice given by a holder.
    /// @param holder Whose.
    function noticeOf(address holder) external view returns (Notice memory);
}
