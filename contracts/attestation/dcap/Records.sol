// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";

/// @title Records
/// @notice Keeps immutable bytes as the code of an account, addressed by their content.
/// @dev A kilobyte costs 0.24 M gas as code against 0.7 M as slots, and reading it all costs one cold
/// access instead of thirty-two. Equal bytes get the same address and are written once: Intel issues its
/// documents anew every month with other dates and mostly the same contents.
///
/// The code is OpenZeppelin's clone with immutable arguments, of an implementation that has no code: to
/// call it does nothing, and it has neither storage nor funds.
library Records {
    /// @dev Nothing is deployed there; the clone delegates to nobody.
    address private constant NOBODY = address(0);
    bytes32 private constant SALT = "plumbline/records/1";

    /// @notice Writes bytes unless they are there already.
    /// @param data At most 24,531 bytes.
    function write(bytes memory data) internal returns (address record) {
        record = Clones.predictDeterministicAddressWithImmutableArgs(NOBODY, data, SALT);
        if (record.code.length == 0) {
            Clones.cloneDeterministicWithImmutableArgs(NOBODY, data, SALT);
        }
    }

    /// @notice The 32 bytes from an offset on of a record that {write} returned.
    function readWord(address record, uint256 offset) internal view returns (bytes32 word) {
        assembly ("memory-safe") {
            // The scratch space; 45 bytes of a clone stand before its arguments.
            extcodecopy(record, 0x00, add(offset, 45), 0x20)
            word := mload(0x00)
        }
    }

    /// @notice The bytes of a record that {write} returned.
    function read(address record) internal view returns (bytes memory) {
        return Clones.fetchCloneArgs(record);
    }
}
