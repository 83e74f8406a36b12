// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title PeriodSet
/// @notice Remembers which minutes of time are taken, and refuses to take one twice.
/// @dev Two levels of bitmaps: days that are taken whole, and for the days in which a period begins or
/// ends, their minutes. A period costs at most one bit run over its days and two over minutes, in
/// whatever order periods come: nobody can make it expensive by an order of settlement, as a sorted
/// list of intervals could be made.
library PeriodSet {
    /// @notice A part of the period is taken.
    error PeriodSetTaken(uint64 startMs, uint64 endMs);
    /// @notice A period begins and ends on whole minutes, and is not empty.
    error PeriodSetNotAligned(uint64 startMs, uint64 endMs);
    /// @notice A period is longer than {MAX_DAYS}.
    error PeriodSetTooLong(uint64 startMs, uint64 endMs);

    struct Set {
        /// Bit d % 256 of word d / 256: every minute of day d is taken.
        mapping(uint256 word => uint256) wholeDays;
        /// Bit d % 256 of word d / 256: some minutes of day d are taken.
        mapping(uint256 word => uint256) brokenDays;
        /// Bit m % 256 of word m / 256 of a day: minute m of it is taken.
        mapping(uint256 day => uint256[6]) minutesOf;
    }

    uint256 internal constant MINUTE_MS = 60_000;
    uint256 internal constant DAY_MINUTES = 1_440;
    /// @dev Ten years and a little: forty words at most.
    uint256 internal constant MAX_DAYS = 4_000;

    /// @notice Takes a period; reverts when any minute of it is taken.
    /// @param startMs Start, Unix milliseconds, inclusive, a whole minute.
    /// @param endMs End, exclusive, a whole minute.
    function take(Set storage set, uint64 startMs, uint64 endMs) internal {
        if (endMs <= startMs || startMs % MINUTE_MS != 0 || endMs % MINUTE_MS != 0) {
            revert PeriodSetNotAligned(startMs, endMs);
        }
        uint256 first = startMs / MINUTE_MS;
        uint256 end = endMs / MINUTE_MS;
        if (end - first > MAX_DAYS * DAY_MINUTES) revert PeriodSetTooLong(startMs, endMs);
        if (!_take(set, first, end)) revert PeriodSetTaken(startMs, endMs);
    }

    /// @notice Whether no minute of a period is taken.
    function isFree(Set storage set, uint64 startMs, uint64 endMs) internal view returns (bool) {
        uint256 end = (uint256(endMs) + MINUTE_MS - 1) / MINUTE_MS;
        for (uint256 minute = startMs / MINUTE_MS; minute < end;) {
            uint256 day = minute / DAY_MINUTES;
            uint256 bit = uint256(1) << (day % 256);
            if (set.wholeDays[day / 256] & bit != 0) return false;
            uint256 dayEnd = (day + 1) * DAY_MINUTES;
            if (set.brokenDays[day / 256] & bit != 0) {
                uint256 stop = end < dayEnd ? end : dayEnd;
                for (uint256 m = minute % DAY_MINUTES; m < stop - day * DAY_MINUTES; ++m) {
                    if (set.minutesOf[day][m / 256] >> (m % 256) & 1 != 0) return false;
                }
            }
            minute = dayEnd;
        }
        return true;
    }

    function _take(Set storage set, uint256 first, uint256 end) private returns (bool) {
        uint256 firstDay = first / DAY_MINUTES;
        uint256 endDay = end / DAY_MINUTES;
        uint256 headMinutes = first % DAY_MINUTES;
        uint256 tailMinutes = end % DAY_MINUTES;
        if (firstDay == endDay) return _takeMinutes(set, firstDay, headMinutes, tailMinutes);
        if (headMinutes != 0) {
            if (!_takeMinutes(set, firstDay, headMinutes, DAY_MINUTES)) return false;
            ++firstDay;
        }
        if (tailMinutes != 0 && !_takeMinutes(set, endDay, 0, tailMinutes)) return false;
        return _takeDays(set, firstDay, endDay);
    }

    /// @dev Days `from` to `to`, the latter not included.
    function _takeDays(Set storage set, uint256 from, uint256 to) private returns (bool) {
        while (from < to) {
            uint256 word = from / 256;
            uint256 stop = (word + 1) * 256;
            if (stop > to) stop = to;
            uint256 mask = _run(from % 256, stop - word * 256);
            uint256 whole = set.wholeDays[word];
            if ((whole | set.brokenDays[word]) & mask != 0) return false;
            set.wholeDays[word] = whole | mask;
            from = stop;
        }
        return true;
    }

    /// @dev Minutes `from` to `to` of one day, the latter not included.
    function _takeMinutes(Set storage set, uint256 day, uint256 from, uint256 to)
        private
        returns (bool)
    {
        uint256 bit = uint256(1) << (day % 256);
        if (set.wholeDays[day / 256] & bit != 0) return false;
        set.brokenDays[day / 256] |= bit;
        uint256[6] storage minutes_ = set.minutesOf[day];
        while (from < to) {
            uint256 word = from / 256;
            uint256 stop = (word + 1) * 256;
            if (stop > to) stop = to;
            uint256 mask = _run(from % 256, stop - word * 256);
            uint256 taken = minutes_[word];
            if (taken & mask != 0) return false;
            minutes_[word] = taken | mask;
            from = stop;
        }
        return true;
    }

    /// @dev Bits `from` to `to`, the latter, at most 256, not included.
    function _run(uint256 from, uint256 to) private pure returns (uint256) {
        uint256 below = to == 256 ? type(uint256).max : (uint256(1) << to) - 1;
        return below & ~((uint256(1) << from) - 1);
    }
}
