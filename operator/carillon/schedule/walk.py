"""The native controller's way to the next due time, step by step, where the clocks change.

robfig/cron (spec.go, SpecSchedule.Next) does not look for the next civil time that matches: it walks there, month by
month, day by day, hour by hour, and every step goes through Go's time.Date. Where a step lands in a gap or in a
repeated hour, the walk goes astray in ways that depend on where it began: America/Asuncion skipped the midnight of
1 October 2017, so a walk from June finds no October that year. WallClock promises to do the same to the second, so
this module walks the same way. It is slow (tens of microseconds), and `wallclock` comes here only near a transition.
"""

from bisect import bisect_right
from datetime import date

from carillon.schedule.offsets import NEVER, Offsets
from carillon.schedule.pattern import CivilPattern
from carillon.schedule.seconds import DAY, EPOCH_ORDINAL, FIRST_DAY, LAST_DAY

HOUR = 3_600
YEARS = 5
"""robfig gives up at the end of the fifth year after the one in which it began."""


def go_date(offsets: Offsets, civil: int) -> int:
    """Tell the instant that Go's time.Date makes of a civil time (package time, func Date).

    It first takes the offset at the instant that has the same number in UTC; if that offset is not in force at the
    result, then the one at the result. What is skipped becomes a time that is right on one side of the gap.
    """
    block = offsets.block(civil)
    index = bisect_right(block.starts, civil) - 1
    offset = block.offsets[index]
    instant = civil - offset
    end = block.starts[index + 1] if index + 1 < len(block.starts) else NEVER
    if not block.starts[index] <= instant < end:
        instant = civil - offsets.at(instant)
    return instant


class _BeyondCalendar(Exception):  # noqa: N818
    """The walk left the years that datetime knows."""


def walk(pattern: CivilPattern, offsets: Offsets, start: int, *, mid_walk: bool = False) -> int | None:
    """Walk to the first due second >= start; None when there is none in the calendar.

    `mid_walk` says that the walk has come from an earlier day to `start`, which begins a day.

    Three times the native controller has no answer, and this has one:
    - robfig gives up after five years, so that 29 February is lost from 2097 on: this asks again from there, or from
      the next year that has such a day (a fifth Sunday in February is 28 years away, or 40);
    - robfig steps on the spot for ever before a day that never was: this goes on after it (see `find_day`);
    - robfig answers with the instant it was asked about, or one before it, and so again and again (America/St_Johns
      until 2011, where 00:01 became 23:01): this asks again from the next full hour.
    """
    asked = start = max(start, (FIRST_DAY + 2) * DAY)
    try:
        while True:
            walker = _Walker(pattern, offsets, start, mid_walk=mid_walk)
            last_year = walker.date.year + YEARS
            due = walker.find(last_year)
            mid_walk = False
            if due is None:
                start = go_date(offsets, _civil(_year_to_ask(pattern, last_year + 1), 1, 1))
            elif due < asked:
                start += HOUR - (start + offsets.at(start)) % HOUR
            else:
                return due
    except _BeyondCalendar:
        return None


class _Walker:
    """A position on the way: an instant, and what the clocks show there."""

    __slots__ = ("date", "day", "instant", "offsets", "pattern", "reset", "second")

    def __init__(self, pattern: CivilPattern, offsets: Offsets, start: int, *, mid_walk: bool) -> None:
        self.pattern = pattern
        self.offsets = offsets
        self.reset = mid_walk
        """Whether the smaller units were set to zero already: that happens once in a walk."""
        self.day = NEVER
        self.go(start)

    def go(self, instant: int) -> None:
        """Be at an instant."""
        self.instant = instant
        day, self.second = divmod(instant + self.offsets.at(instant), DAY)
        if day != self.day:
            if not FIRST_DAY <= day <= LAST_DAY:
                raise _BeyondCalendar
            self.day = day
            self.date = date.fromordinal(day + EPOCH_ORDINAL)

    def stride(self, step: int, times: int) -> None:
        """Make so many steps (seconds) at once, or a single one where the clocks change on the way."""
        there = self.instant + step * times
        self.go(there if self.offsets.at(there) == self.offsets.at(self.instant) else self.instant + step)

    def restart_unit(self, civil: int) -> None:
        """Go back to the beginning of a unit, the first time that one does not match."""
        if not self.reset:
            self.reset = True
            self.go(go_date(self.offsets, civil))

    def in_month(self) -> bool:
        """Whether the month matches; one that has strayed into the next is not noticed by the days and hours."""
        return bool(self.pattern.days.months >> self.date.month & 1)

    def jump(self) -> bool:
        """Go to the due second at once, where no change of the clocks lies before it or on its day.

        From where a unit does not match and all smaller ones are at zero, the walk is then civil arithmetic.
        """
        block = self.offsets.block(self.instant)
        index = bisect_right(block.starts, self.instant) - 1
        offset = block.offsets[index]
        matching = self.pattern.next(self.instant + offset - 1)
        if offset % 60 or matching is None or matching - offset >= block.calm_until[index]:
            return False
        self.go(matching - offset)
        return True

    def find(self, last_year: int) -> int | None:
        """Walk until all units match; a unit that wraps begins again with the months."""
        while self.date.year <= last_year:
            if self.find_month() and self.find_day() and self.find_hour() and self.find_minute() and self.find_second():
                return self.instant
        return None

    def find_month(self) -> bool:
        while not self.pattern.days.months >> self.date.month & 1:
            first = _civil(self.date.year, self.date.month, 1)
            self.restart_unit(first)
            if self.day * DAY == first and not self.second and self.jump():
                return True
            civil = _civil(self.date.year, self.date.month + 1, self.date.day) + self.second
            self.go(go_date(self.offsets, civil))
            if self.date.month == 1:
                return False
        return True

    def find_day(self) -> bool:
        """Find a day; one that has strayed past the first of the next month does not notice that the month is over."""
        days, tried = self.pattern.any_month, False
        while not days.matches(self.day):
            day = self.day
            self.restart_unit(day * DAY)
            if not tried and self.day == day and not self.second and self.in_month() and self.jump():
                return True
            tried = True
            before = self.instant
            self.go(go_date(self.offsets, (self.day + 1) * DAY + self.second))
            if self.instant == before:
                # The next day never was (Pacific/Apia, 30 December 2011): robfig steps on the spot for ever.
                block, index = next(self.offsets.transitions(before, before + 2 * DAY))
                self.go(block.starts[index])
            hour = self.second // HOUR
            if hour:
                # Midnight was skipped, or the walk was an hour late already: back to the beginning of a day.
                self.go(self.instant + (24 - hour if hour > 12 else -hour) * HOUR)
            if self.date.day == 1:
                return False
        return True

    def find_hour(self) -> bool:
        tried = False
        while not self.pattern.hours >> (hour := self.second // HOUR) & 1:
            self.restart_unit(self.day * DAY + hour * HOUR)
            if not tried and self.second == hour * HOUR and self.in_month() and self.jump():
                return True
            tried = True
            self.go(self.instant + HOUR)
            if self.second < HOUR:
                return False
        return True

    def find_minute(self) -> bool:
        while not self.pattern.minutes >> self.second // 60 % 60 & 1:
            if not self.reset:
                self.reset = True
                # Whole minutes of UTC, whatever the clocks show: time.Truncate.
                self.go(self.instant - self.instant % 60)
            minute = self.second // 60 % 60
            rest = self.pattern.minutes >> minute + 1
            self.stride(60, (rest & -rest).bit_length() if rest else 60 - minute)
            if self.second % HOUR < 60:
                return False
        return True

    def find_second(self) -> bool:
        while not self.pattern.seconds >> self.second % 60 & 1:
            self.reset = True
            second = self.second % 60
            rest = self.pattern.seconds >> second + 1
            self.stride(1, (rest & -rest).bit_length() if rest else 60 - second)
            if self.second % 60 == 0:
                return False
        return True


def _year_to_ask(pattern: CivilPattern, year: int) -> int:
    """Tell the first year >= this one that has a day of the pattern."""
    if year > date.max.year:
        raise _BeyondCalendar
    day = pattern.days.next_day(_civil(year, 1, 1) // DAY)
    if day is None:
        raise _BeyondCalendar
    return date.fromordinal(day + EPOCH_ORDINAL).year


def _civil(year: int, month: int, day: int) -> int:
    """Civil second at which a day begins; the month may be 13, and the day past the month's end."""
    if month > 12:
        year, month = year + 1, month - 12
    if not 1 <= year <= 9999:
        raise _BeyondCalendar
    return (date(year, month, 1).toordinal() - EPOCH_ORDINAL + day - 1) * DAY
