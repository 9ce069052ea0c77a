"""Which days a cron names. Pure calendar: no clock times, no zone.

The Gregorian calendar knows fourteen years only: leap or not, beginning on one of seven weekdays. What a rule names in
each is worked out once, when first asked for; after that a day is found by a look-up. Days are counted from the epoch.
"""

import calendar
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from carillon.schedule.seconds import EPOCH_ORDINAL, FIRST_DAY, LAST_DAY

ALL_MONTHS = 0b1_1111_1111_1110
ALL_DAYS = 0xFFFF_FFFE
ALL_WEEKDAYS = 0b111_1111

_LENGTHS = ((31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31))
_MONTH_STARTS = tuple(tuple(accumulate(lengths, initial=0)) for lengths in _LENGTHS)
_YEARS = range(1, 10_000)
_YEAR_START = (0, *(date(year, 1, 1).toordinal() - EPOCH_ORDINAL for year in _YEARS), LAST_DAY + 1)
# Sunday is 0: the epoch was a Thursday.
_YEAR_KIND = (0, *(7 * calendar.isleap(year) + (_YEAR_START[year] + 4) % 7 for year in _YEARS))
_INDEX = tuple(range(-1, 366))
"""The integers of the tables below, so that thousands of rules share them."""


class YearTable(NamedTuple):
    """What a rule names in one of the fourteen years; days of the year count from 0."""

    following: tuple[int, ...]
    """For each day of the year, the first named day that is not before it; -1: none any more in this year."""
    named: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DayRule:
    """The day fields of a cron, as bit masks: bit n stands for the number n.

    As in robfig/cron (SpecSchedule), a day matches when either of the two fields names it, but a field that holds a
    star takes no part.
    """

    months: int
    days: int
    """Days of the month, 1 to 31."""
    weekdays: int
    """0 (Sunday) to 6."""
    days_free: bool
    """The day-of-month field holds a star."""
    weekdays_free: bool
    """The day-of-week field holds a star."""
    from_end: int = 0
    """`L-n`: bit n stands for the n-th day before the last."""
    nth: tuple[int, ...] = (0, 0, 0, 0, 0)
    """`n#k`: a mask of weekdays for each k."""
    last: int = 0
    """`nL`: weekdays whose last of the month is meant."""
    _tables: list[YearTable | None] = field(default_factory=lambda: [None] * 14, init=False, compare=False, repr=False)

    @property
    def every_day(self) -> bool:
        """Whether every day there is matches."""
        return self.months == ALL_MONTHS and (
            (self.days_free and self.weekdays_free)
            or (not self.days_free and self.days == ALL_DAYS)
            or (not self.weekdays_free and self.weekdays == ALL_WEEKDAYS)
        )

    @property
    def possible(self) -> bool:
        """Whether any day of any year matches: 30 February never comes."""
        by_weekday = not self.weekdays_free and bool(self.weekdays or self.last or any(self.nth))
        if (self.days_free and self.weekdays_free) or by_weekday:
            return self.months != 0
        lengths = [length for month, length in enumerate(_LENGTHS[1], 1) if self.months >> month & 1]
        return any(self._month_days(length, 0, by_weekday=False) for length in lengths)

    def matches(self, day: int) -> bool:
        """Whether a day is named; none outside the calendar is."""
        if not FIRST_DAY <= day <= LAST_DAY:
            return False
        year = date.fromordinal(day + EPOCH_ORDINAL).year
        index = day - _YEAR_START[year]
        return self.table(_YEAR_KIND[year]).following[index] == index

    def next_day(self, day: int) -> int | None:
        """Tell the first named day >= day."""
        if day < FIRST_DAY:
            day = FIRST_DAY
        elif day > LAST_DAY:
            return None
        year = date.fromordinal(day + EPOCH_ORDINAL).year
        start = _YEAR_START[year]
        index = (self._tables[_YEAR_KIND[year]] or self.table(_YEAR_KIND[year])).following[day - start]
        while index < 0:
            year += 1
            if year > _YEARS[-1]:
                return None
            start = _YEAR_START[year]
            index = self.table(_YEAR_KIND[year]).following[0]
        return start + index

    def previous_day(self, day: int) -> int | None:
        """Tell the last named day <= day."""
        if day > LAST_DAY:
            day = LAST_DAY
        elif day < FIRST_DAY:
            return None
        for year in range(date.fromordinal(day + EPOCH_ORDINAL).year, 0, -1):
            start = _YEAR_START[year]
            named = self.table(_YEAR_KIND[year]).named
            place = bisect_right(named, day - start)
            if place:
                return start + named[place - 1]
        return None

    def count(self, first: int, last: int) -> int:
        """Count the named days in [first, last]."""
        first, last = max(first, FIRST_DAY), min(last, LAST_DAY)
        if first > last:
            return 0
        if self.every_day:
            return last - first + 1
        low = date.fromordinal(first + EPOCH_ORDINAL).year
        high = date.fromordinal(last + EPOCH_ORDINAL).year
        total = sum(len(self.table(_YEAR_KIND[year]).named) for year in range(low, high))
        total -= bisect_left(self.table(_YEAR_KIND[low]).named, first - _YEAR_START[low])
        return total + bisect_right(self.table(_YEAR_KIND[high]).named, last - _YEAR_START[high])

    def table(self, kind: int) -> YearTable:
        """Tell what the rule names in a year of this kind: 7 when leap, plus the weekday of 1 January."""
        found = self._tables[kind]
        if found is None:
            found = self._tables[kind] = self._work_out(*divmod(kind, 7))
        return found

    def _work_out(self, leap: int, weekday_of_first: int) -> YearTable:
        bits = 0
        for month, (length, start) in enumerate(zip(_LENGTHS[leap], _MONTH_STARTS[leap], strict=False), 1):
            if self.months >> month & 1:
                bits |= (self._month_days(length, (weekday_of_first + start) % 7, by_weekday=True) >> 1) << start
        following = [-1] * 366
        named: list[int] = []
        coming = -1
        for index in range(_MONTH_STARTS[leap][12] - 1, -1, -1):
            if bits >> index & 1:
                coming = _INDEX[index + 1]
                named.append(coming)
            following[index] = coming
        return YearTable(tuple(following), tuple(reversed(named)))

    def _month_days(self, length: int, weekday_of_first: int, *, by_weekday: bool) -> int:
        """Days of a month as a mask, bit 1 for the first."""
        whole = (1 << (length + 1)) - 2
        if self.days_free and self.weekdays_free:
            return whole
        found = 0
        if not self.days_free:
            found = self.days & whole
            found |= sum(1 << (length - back) for back in range(length) if self.from_end >> back & 1)
        if not self.weekdays_free and by_weekday:
            found |= _weekdays_of_month(self.weekdays, weekday_of_first) & whole
            for k, mask in enumerate(self.nth):
                week = 0b1111_1110 << (7 * k)
                found |= _weekdays_of_month(mask, weekday_of_first) & week & whole
            last_week = 0b1111_1110 << (length - 7)
            found |= _weekdays_of_month(self.last, weekday_of_first) & last_week & whole
        return found


@lru_cache(maxsize=7 * 128)
def _weekdays_of_month(weekdays: int, weekday_of_first: int) -> int:
    return sum(1 << day for day in range(1, 32) if weekdays >> (weekday_of_first + day - 1) % 7 & 1)
