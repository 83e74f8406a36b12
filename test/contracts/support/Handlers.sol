// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What forge reads to learn which functions a stateful test may call.
struct FuzzSelector {
    address addr;
    bytes4[] selectors;
}

/// @notice A stateful test calls exactly one handler, function by function, in any order.
abstract contract Invariants {
    address private _handler;
    bytes4[] private _selectors;

    function handle(address handler, bytes4[] memory selectors) internal {
        _handler = handler;
        _selectors = selectors;
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = _handler;
    }

    function targetSelectors() external view returns (FuzzSelector[] memory selectors) {
        selectors = new FuzzSelector[](1);
        selectors[0] = FuzzSelector(_handler, _selectors);
    }
}
