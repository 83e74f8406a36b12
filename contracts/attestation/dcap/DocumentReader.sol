// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {QeIdentity} from "./QeIdentity.sol";
import {TcbInfo} from "./TcbInfo.sol";

/// @title DocumentReader
/// @notice Reads Intel's JSON for {CollateralStore}, which deploys it; apart because both together
/// exceed the size of a contract. It has no state, and reverts with the errors that it is handed.
contract DocumentReader {
    /// @notice See {TcbInfo-parse}.
    function readTcbInfo(bytes calldata text, bytes4 malformed, bytes4 unsupported)
        external
        pure
        returns (TcbInfo.Document memory)
    {
        return TcbInfo.parse(text, malformed, unsupported);
    }

    /// @notice See {QeIdentity-parse}.
    function readQeIdentity(bytes calldata text, bytes4 malformed, bytes4 unsupported)
        external
        pure
        returns (QeIdentity.Document memory)
    {
        return QeIdentity.parse(text, malformed, unsupported);
    }
}
