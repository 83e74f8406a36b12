// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title TestToken
/// @notice A dollar with six decimals that anybody may print. For local chains only.
contract TestToken is ERC20, ERC20Permit {
    constructor() ERC20("Localnet Dollar", "LUSD") ERC20Permit("Localnet Dollar") {}

    /// @notice Prints tokens.
    /// @param to Who gets them.
    /// @param amount How many, in millionths.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @inheritdoc ERC20
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
