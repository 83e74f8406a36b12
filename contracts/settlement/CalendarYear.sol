// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title CalendarYear
/// @notice Calendar years of the proleptic Gregorian calendar in UTC, for vintages.
library CalendarYear {
    /// @notice Days from 1970-01-01 to the first of January of a year.
    /// @param year 1970 or later.
    function firstDay(uint256 year) internal pure returns (uint256) {
        uint256 past = year - 1;
        // 719,162 days lie between 0001-01-01 and 1970-01-01.
        return past * 365 + past / 4 - past / 100 + past / 400 - 719_162;
    }

    /// @notice The year in which an instant lies.
    function yearOf(uint256 unixMs) internal pure returns (uint256 year) {
        uint256 day = unixMs / 1 days / 1000;
        // A mean year has 365.2425 days, so this is right or one too large or too small.
        year = 1970 + day * 10_000 / 3_652_425;
        if (day < firstDay(year)) --year;
        else if (day >= firstDay(year + 1)) ++year;
    }

    /// @notice First millisecond of a year.
    function startMs(uint256 year) internal pure returns (uint256) {
        return firstDay(year) * 1 days * 1000;
    }
}
