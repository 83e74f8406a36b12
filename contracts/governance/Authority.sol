// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

/// @title Authority
/// @notice Who may call which restricted function, after which delay. Removal is given to a role
/// without delay, addition to one with; `contracts/deploy/roles.ts` holds the table.
contract Authority is AccessManager {
    /// @param initialAdmin Who sets the roles up; hands over or renounces afterwards.
    constructor(address initialAdmin) AccessManager(initialAdmin) {}
}
