// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title ExactTransfer
/// @notice Takes tokens in and refuses those that arrive short: what is owed later is what came in.
library ExactTransfer {
    using SafeERC20 for IERC20;

    /// @notice The token took a fee, or does not do what it says.
    error ExactTransferShort(address token, uint256 expected, uint256 received);

    /// @notice Pulls an exact amount into the calling contract.
    function pull(IERC20 token, address from, uint256 amount) internal {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(from, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert ExactTransferShort(address(token), amount, received);
    }
}
