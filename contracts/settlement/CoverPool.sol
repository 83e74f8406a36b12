// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ExactTransfer} from "./ExactTransfer.sol";
import {ICoverPool} from "./ICoverPool.sol";

/// @title CoverPool
/// @notice Holds the capital of one {ParametricCover}, which alone can set it aside and pay it out.
/// @dev Assets are counted in a ledger and not read from the token, so that a donation changes no
/// share price; six virtual decimals make the first deposit worthless to attack.
contract CoverPool is ICoverPool, ERC4626, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @dev One slot, so that a payout writes one.
    struct Ledger {
        /// Everything that belongs to shares, whether or not it is set aside.
        uint128 assets;
        uint128 locked;
    }

    /// @inheritdoc ICoverPool
    uint64 public constant REDEMPTION_SECONDS = 3 days;

    /// @notice The cover contract.
    address public immutable COVER;

    /// @notice Seconds between notice and redemption.
    uint64 public immutable NOTICE_SECONDS;

    Ledger private _ledger;
    /// @inheritdoc ICoverPool
    uint256 public unearnedPremiums;
    mapping(address holder => Notice) private _notices;

    modifier onlyCover() {
        if (msg.sender != COVER) revert CoverPoolNotCover(msg.sender);
        _;
    }

    /// @param asset_ What capital is in.
    /// @param cover The cover contract.
    /// @param noticeSeconds Time between notice and redemption.
    constructor(IERC20 asset_, address cover, uint64 noticeSeconds)
        ERC20("Plumbline cover pool share", "PLCP")
        ERC4626(asset_)
    {
        COVER = cover;
        NOTICE_SECONDS = noticeSeconds;
    }

    /// @inheritdoc ICoverPool
    function giveNotice(uint256 shares) external nonReentrant {
        Notice storage notice = _notices[msg.sender];
        uint256 total = notice.shares + shares;
        notice.shares = SafeCast.toUint192(total);
        notice.maturesAt = uint64(block.timestamp) + NOTICE_SECONDS;
        emit NoticeGiven(msg.sender, shares, notice.maturesAt);
        _transfer(msg.sender, address(this), shares);
    }

    /// @inheritdoc ICoverPool
    function withdrawNotice() external nonReentrant {
        uint256 shares = _notices[msg.sender].shares;
        if (shares == 0) revert CoverPoolNoNotice(msg.sender);
        delete _notices[msg.sender];
        emit NoticeWithdrawn(msg.sender, shares);
        _transfer(address(this), msg.sender, shares);
    }

    /// @inheritdoc ICoverPool
    function lock(uint256 amount, uint256 premium) external onlyCover {
        uint256 free = freeAssets();
        if (amount > free) revert CoverPoolCapacityExceeded(amount, free);
        _ledger.locked += SafeCast.toUint128(amount);
        unearnedPremiums += premium;
        emit CapitalLocked(amount, premium);
    }

    /// @inheritdoc ICoverPool
    function pay(address to, uint256 amount) external onlyCover {
        Ledger memory ledger = _ledger;
        if (amount > ledger.locked) revert CoverPoolCapacityExceeded(amount, ledger.locked);
        uint128 paid = SafeCast.toUint128(amount);
        _ledger = Ledger(ledger.assets - paid, ledger.locked - paid);
        emit CapitalPaid(to, amount);
        IERC20(asset()).safeTransfer(to, amount);
    }

    /// @inheritdoc ICoverPool
    function release(uint256 amount, uint256 premium) external onlyCover {
        Ledger memory ledger = _ledger;
        if (amount > ledger.locked) revert CoverPoolCapacityExceeded(amount, ledger.locked);
        unearnedPremiums -= premium;
        _ledger = Ledger(
            ledger.assets + SafeCast.toUint128(premium), ledger.locked - SafeCast.toUint128(amount)
        );
        emit CapitalReleased(amount, premium);
    }

    /// @inheritdoc ICoverPool
    function lockedAssets() external view returns (uint256) {
        return _ledger.locked;
    }

    /// @inheritdoc ICoverPool
    function freeAssets() public view returns (uint256) {
        return _ledger.assets - _ledger.locked;
    }

    /// @inheritdoc ICoverPool
    function noticeOf(address holder) external view returns (Notice memory) {
        return _notices[holder];
    }

    /// @inheritdoc IERC4626
    function totalAssets() public view override(ERC4626, IERC4626) returns (uint256) {
        return _ledger.assets;
    }

    /// @inheritdoc IERC4626
    /// @dev Matured notice only, and no more than the free capital is worth.
    function maxRedeem(address owner) public view override(ERC4626, IERC4626) returns (uint256) {
        Notice memory notice = _notices[owner];
        if (
            block.timestamp < notice.maturesAt
                || block.timestamp >= uint256(notice.maturesAt) + REDEMPTION_SECONDS
        ) return 0;
        return Math.min(notice.shares, _convertToShares(freeAssets(), Math.Rounding.Floor));
    }

    /// @inheritdoc IERC4626
    function maxWithdraw(address owner) public view override(ERC4626, IERC4626) returns (uint256) {
        return _convertToAssets(maxRedeem(owner), Math.Rounding.Floor);
    }

    /// @inheritdoc IERC4626
    function maxDeposit(address) public view override(ERC4626, IERC4626) returns (uint256) {
        return type(uint128).max - _ledger.assets;
    }

    /// @inheritdoc IERC4626
    function maxMint(address) public view override(ERC4626, IERC4626) returns (uint256) {
        return _convertToShares(type(uint128).max - _ledger.assets, Math.Rounding.Floor);
    }

    function _deposit(address caller, address receiver, uint256 assets, uint256 shares)
        internal
        override
        nonReentrant
    {
        _ledger.assets += SafeCast.toUint128(assets);
        ExactTransfer.pull(IERC20(asset()), caller, assets);
        _mint(receiver, shares);
        emit Deposit(caller, receiver, assets, shares);
    }

    /// @dev Burns from custody: only shares under notice can leave.
    function _withdraw(
        address caller,
        address receiver,
        address owner,
        uint256 assets,
        uint256 shares
    ) internal override nonReentrant {
        if (caller != owner) _spendAllowance(owner, caller, shares);
        _notices[owner].shares -= SafeCast.toUint192(shares);
        _ledger.assets -= SafeCast.toUint128(assets);
        _burn(address(this), shares);
        emit Withdraw(caller, receiver, owner, assets, shares);
        IERC20(asset()).safeTransfer(receiver, assets);
    }

    function _decimalsOffset() internal pure override returns (uint8) {
        return 6;
    }
}
