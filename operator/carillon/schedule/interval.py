"""Repeating intervals of ISO 8601 (ISO 8601-1:2019, 5.6): `R/2026-01-01T03:00:00+01:00/P1D`.

- `R/start/period` is due at start, start + period, start + 2 periods, and so on. Each is counted from the start, so the
  31st of a month becomes the 28th in February and is the 31st again in March.
- `Rn/...` is due n times in all: the standard's n is the number of recurrences of the interval, and each begins once.
  aniso8601, Chronos and the BPMN engines read it so.
- `R/period/end` ends: due at the end, and whole periods before it; the last n of them with `Rn/` (as aniso8601 does).
- `R/start/end` repeats the time in between, to the second.

Calendar arithmetic is done at the offset that is written with the instant, all year: an offset is not a time zone, and
who wants the changes of the clocks followed writes a cron.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from carillon.schedule.errors import ScheduleError, quoted, refusal
from carillon.schedule.period import Period, parse_period
from carillon.schedule.protocol import Schedule
from carillon.schedule.rfc3339 import LONGEST, parse_instant
from carillon.schedule.rhythm import Rhythm, constant_rhythm
from carillon.schedule.seconds import DAY, EPOCH_ORDINAL, FIRST_DAY, LAST_SECOND, SecondsSchedule

CURE = "write R/start/period as in R/2026-01-01T03:00:00Z/P1D, or R5/start/period for five times"
_REPEAT = re.compile(r"R([0-9]{0,9})", re.ASCII)
_AVERAGE_MONTH = 2_629_746
"""Seconds: the Gregorian calendar repeats after 4,800 months, which are 146,097 days."""
_CYCLE_MONTHS = 4_800
_CYCLE_DAYS = 146_097


@dataclass(frozen=True, slots=True)
class Interval(SecondsSchedule):
    """Due at an anchor plus k periods, for every whole k from `first` to `last`."""

    anchor: int
    """Civil seconds, at the offset."""
    offset: int
    period: Period
    first: int | None
    """None: without a beginning."""
    last: int | None
    """None: without an end."""

    @property
    def endless(self) -> bool:
        """Whether there is no last one."""
        return self.last is None

    def next_second(self, after: int) -> int | None:
        """Tell the first due second > after."""
        k = self._through(after) + 1
        if self.first is not None and k < self.first:
            k = self.first
        return None if self.last is not None and k > self.last else self._due(k)

    def count_seconds(self, after: int, through: int) -> int:
        """Count the periods in between."""
        low, high = self._between(after, through)
        return max(0, high - low)

    def newest_seconds(self, after: int, through: int, limit: int) -> list[int]:
        """List the last due seconds."""
        low, high = self._between(after, through)
        return [self._due(k) for k in range(max(low, high - limit) + 1, high + 1)]

    def rhythm(self, due: int) -> Rhythm | None:
        """Tell the same phase from the first to the last; months have none."""
        if self.period.months:
            return None
        since = FIRST_DAY * DAY if self.first is None else self._due(self.first)
        through = LAST_SECOND if self.last is None else self._due(self.last)
        return constant_rhythm(self.anchor - self.offset, self.period.seconds, since, through)

    def _between(self, after: int, through: int) -> tuple[int, int]:
        """Bound the periods whose due seconds are in (after, through]: (above, up to)."""
        low, high = self._through(after), self._through(through)
        if self.first is not None:
            low = max(low, self.first - 1)
        if self.last is not None:
            high = min(high, self.last)
        return low, high

    def _through(self, second: int) -> int:
        """Tell the greatest k whose due second is <= second, whatever `first` and `last` say."""
        # Months differ from their average by days, so the estimate is off by one or two at most.
        k = (second + self.offset - self.anchor) // (self.period.months * _AVERAGE_MONTH + self.period.seconds)
        while self._due(k) > second:
            k -= 1
        while self._due(k + 1) <= second:
            k += 1
        return k

    def _due(self, k: int) -> int:
        civil = self.anchor + k * self.period.seconds
        if self.period.months:
            civil += _months_later(self.anchor // DAY, k * self.period.months) * DAY
        return civil - self.offset


def parse_interval(text: str) -> Schedule:
    """Read a repeating interval.

    Raises:
        ScheduleError: what was found, where, and what would be right.
    """
    return _parse(text)


@lru_cache(maxsize=4_096)
def _parse(text: str) -> Schedule:
    if len(text) > LONGEST:
        raise ScheduleError(f"found {len(text)} characters, at most {LONGEST} are read; {CURE}", text, LONGEST)
    parts = text.split("/")
    times = _times(text, parts[0])
    if len(parts) == 2 and parts[1].startswith("P"):
        raise refusal(text, len(text), "found no start", f"a period alone says not when: {CURE}")
    if len(parts) != 3:
        raise refusal(text, len(parts[0]), f"found {len(parts)} parts between slashes", CURE)
    begin, middle = len(parts[0]) + 1, len(parts[0]) + len(parts[1]) + 2
    if parts[1].startswith(("P", "-P", "+P")):
        period = parse_period(text, begin, middle - 1)
        anchor, offset = parse_instant(text, middle, len(text))
        return Interval(anchor, offset, period, None if times is None else 1 - times, 0)
    anchor, offset = parse_instant(text, begin, middle - 1)
    if parts[2].startswith(("P", "-", "+")):
        period = parse_period(text, middle, len(text))
    else:
        end, end_offset = parse_instant(text, middle, len(text))
        length = (end - end_offset) - (anchor - offset)
        if length <= 0:
            raise refusal(
                text, middle, f"found the end {quoted(parts[2])}, which is not after the start", "write a later one"
            )
        period = Period(0, length)
    return Interval(anchor, offset, period, 0, None if times is None else times - 1)


def _times(text: str, repeat: str) -> int | None:
    """Read `R` or `Rn`; None is without end."""
    found = _REPEAT.fullmatch(repeat)
    if found is None:
        cure = "write R/ for without end" if repeat.startswith("R-") else CURE
        raise refusal(text, 0, f"found {quoted(repeat)}", cure)
    if not found[1]:
        return None
    if int(found[1]) == 0:
        raise refusal(
            text, 0, f"found {quoted(repeat)}, which is never due", "write R1/ for once or R/ for without end"
        )
    return int(found[1])


def _months_later(day: int, months: int) -> int:
    """Count the days from a day to the same day of a later month, or that month's last day if it is shorter."""
    start = date.fromordinal(day + EPOCH_ORDINAL)
    cycles, rest = divmod((start.year - 1) * 12 + start.month - 1 + months, _CYCLE_MONTHS)
    year, month = rest // 12 + 1, rest % 12 + 1
    then = date(year, month, min(start.day, monthrange(year, month)[1]))
    return then.toordinal() + cycles * _CYCLE_DAYS - start.toordinal()
