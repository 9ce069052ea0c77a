"""Exclusions (`spec.exclude`) as spans of time: holidays, dates and windows, and what they close together.

Pure. Spans are looked up by blocks of time: a block is worked out when first asked for, and kept. What a closed time
does to a schedule is said in `sieve`.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from carillon.schedule.civilday import parse_day, spans_of_day
from carillon.schedule.cron import parse_cron
from carillon.schedule.errors import ScheduleError, quoted
from carillon.schedule.offsets import Offsets, offsets_of
from carillon.schedule.protocol import DaylightSaving
from carillon.schedule.public_holidays import check_place, holidays_of, years_of
from carillon.schedule.runonce import RunOnce
from carillon.schedule.seconds import DAY, EPOCH, FIRST_DAY, LAST_SECOND, to_seconds
from carillon.schedule.wallclock import WallClock
from carillon.schedule.window import LONGEST, Opening, opening

BLOCK = 25
"""A block is 2**25 seconds, 388 days: longer than any span, so that one reaches into the next block at most."""
_SHOWN = 60


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A closed time [start, end), in UTC, and why it is."""

    start: datetime
    end: datetime
    reason: str
    """For people: `holiday New Year's Day (FR)`, `date 2026-12-24` or `window 0 8 * * MON-FRI`."""


Seconds = tuple[int, int, str]
"""A span in seconds since the epoch."""


class Piece(Protocol):
    """Something that closes spans; immutable, hashable."""

    def beginning_in(self, first: int, last: int) -> list[Seconds]:
        """List the spans that begin in [first, last], sorted; none is longer than a block."""
        ...


@dataclass(frozen=True, slots=True)
class Holidays:
    """The public holidays of a place."""

    country: str
    subdivision: str | None
    offsets: Offsets

    def beginning_in(self, first: int, last: int) -> list[Seconds]:
        """List the days whose beginning lies in between."""
        place = self.country if self.subdivision is None else f"{self.country}-{self.subdivision}"
        low, high = first // DAY - 2, last // DAY + 2
        found = [
            (start, end, f"holiday {name} ({place})")
            for year in years_of(low, high)
            for day, name in holidays_of(self.country, self.subdivision, year)
            if low <= day <= high
            for start, end in spans_of_day(self.offsets, day)
            if first <= start <= last
        ]
        return sorted(found)


@dataclass(frozen=True, slots=True)
class Day:
    """One civil day."""

    day: int
    text: str
    offsets: Offsets

    def beginning_in(self, first: int, last: int) -> list[Seconds]:
        """List it, if it begins in between."""
        if not first // DAY - 2 <= self.day <= last // DAY + 2:
            return []
        spans = spans_of_day(self.offsets, self.day)
        return [(start, end, f"date {self.text}") for start, end in spans if first <= start <= last]


@dataclass(frozen=True, slots=True)
class Window:
    """Spans that begin when a cron says so."""

    expression: str
    time_zone: str
    hash_key: str
    duration: int
    opening: Opening = field(compare=False, repr=False)

    def beginning_in(self, first: int, last: int) -> list[Seconds]:
        """List the spans; openings that run into each other are one."""
        shown = self.expression if len(self.expression) <= _SHOWN else self.expression[: _SHOWN - 3] + "..."
        return [(start, end, f"window {shown}") for start, end in self.opening.between(first, last)]


Joined = tuple[tuple[int, ...], tuple[int, ...]]
"""Closed times in a block: where they start and where they end, ascending, without overlap, cut to the block."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The times that some pieces close together."""

    pieces: tuple[Piece, ...]
    _begun: dict[int, list[Seconds]] = field(default_factory=dict, init=False, compare=False, repr=False)
    """By block: the spans that begin in it."""
    _joined: dict[int, Joined] = field(default_factory=dict, init=False, compare=False, repr=False)
    """By block: what is closed in it, reaching into it or not."""

    @property
    def openings_a_day(self) -> int:
        """How often a day its windows open at the most: what counting over a long time costs."""
        return sum(len(piece.opening.of_day) for piece in self.pieces if isinstance(piece, Window))

    def spans(self, after: datetime, through: datetime) -> list[Span]:
        """List the spans that have an instant in (after, through], sorted by their beginning.

        A window that is open across the border of a block (a multiple of 2**25 seconds) is told in two spans.
        """
        return [
            Span(_datetime(start), _datetime(end), reason)
            for start, end, reason in self._overlapping(to_seconds(after), to_seconds(through))
        ]

    def at(self, instant: datetime) -> Span | None:
        """Tell the span in which an instant lies; of several the one that began first; None when it is open."""
        second = to_seconds(instant)
        if self.closed_until(second) is None:
            return None
        start, end, reason = self._overlapping(second - 1, second)[0]
        return Span(_datetime(start), _datetime(end), reason)

    def closed_until(self, second: int) -> int | None:
        """Tell a second up to which (exclusive) it is closed, from `second` on; None when it is open then."""
        starts, ends = self._joined.get(second >> BLOCK) or self._join(second >> BLOCK)
        index = bisect_right(starts, second) - 1
        return ends[index] if index >= 0 and second < ends[index] else None

    def next_start(self, after: int, through: int) -> int | None:
        """Tell the first closed second in (after, through]; None when there is none."""
        for number in range((after + 1) >> BLOCK, (through >> BLOCK) + 1):
            starts, ends = self._joined.get(number) or self._join(number)
            index = bisect_right(ends, after + 1)
            if index < len(starts):
                start = max(starts[index], after + 1)
                return start if start <= through else None
        return None

    def joined(self, after: int, through: int) -> list[tuple[int, int]]:
        """List the closed seconds in (after, through] as ascending [start, end) that do not overlap."""
        found: list[tuple[int, int]] = []
        for number in range((after + 1) >> BLOCK, (through >> BLOCK) + 1):
            starts, ends = self._joined.get(number) or self._join(number)
            low, high = bisect_right(ends, after + 1), bisect_right(starts, through)
            found += zip(starts[low:high], ends[low:high], strict=True)
        if found:
            found[0] = (max(found[0][0], after + 1), found[0][1])
            found[-1] = (found[-1][0], min(found[-1][1], through + 1))
        return found

    def _overlapping(self, after: int, through: int) -> list[Seconds]:
        numbers = range((after >> BLOCK) - 1, (through >> BLOCK) + 1) if after < through else ()
        return sorted(
            span
            for number in numbers
            for span in self._beginning_in(number)
            if span[0] <= through and span[1] > after + 1
        )

    def _beginning_in(self, number: int) -> list[Seconds]:
        found = self._begun.get(number)
        if found is None:
            first, last = number << BLOCK, ((number + 1) << BLOCK) - 1
            found = sorted(span for piece in self.pieces for span in piece.beginning_in(first, last))
            self._begun[number] = found
        return found

    def _join(self, number: int) -> Joined:
        begin, end = number << BLOCK, (number + 1) << BLOCK
        found: list[tuple[int, int]] = []
        for start, until, _ in self._beginning_in(number - 1) + self._beginning_in(number):
            if until <= begin:
                continue
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], until))
            else:
                found.append((start, until))
        cut = [(max(start, begin), min(until, end)) for start, until in found]
        joined = self._joined[number] = (tuple(start for start, _ in cut), tuple(until for _, until in cut))
        return joined


def _datetime(second: int) -> datetime:
    return EPOCH + timedelta(seconds=min(max(second, FIRST_DAY * DAY), LAST_SECOND))


@lru_cache(maxsize=1_024)
def exclude_holidays(country: str, subdivision: str | None, zone: ZoneInfo) -> Piece:
    """Close the public holidays of a country (ISO 3166-1), or of a subdivision (ISO 3166-2, without the country).

    Raises:
        ScheduleError: there is no such place, or no holidays are known for it; with the nearest.
    """
    check_place(country, subdivision)
    return Holidays(country, subdivision, offsets_of(zone))


@lru_cache(maxsize=4_096)
def exclude_date(text: str, zone: ZoneInfo) -> Piece:
    """Close one day, as the clocks of `zone` show it; nothing, where they never showed it.

    Raises:
        ScheduleError: it is no date such as 2026-12-24.
    """
    return Day(parse_day(text), text, offsets_of(zone))


@lru_cache(maxsize=1_024)
def exclude_window(cron: str, duration_seconds: int, time_zone: str | None, hash_key: str) -> Piece:
    """Close `duration_seconds` from each due time of a cron on, under `WallClock` and under `RunOnce`.

    Raises:
        ScheduleError: the cron or the zone cannot be understood, the duration is not from 1 second to 366 days, or the
            window opens and closes more than 24 times a day.
    """
    if not 1 <= duration_seconds <= LONGEST:
        raise ScheduleError(
            f"found the window {quoted(cron)} of {duration_seconds} seconds; write 1 to {LONGEST}", cron
        )
    starts = parse_cron(cron, time_zone=time_zone, daylight_saving=DaylightSaving.RUN_ONCE, hash_key=hash_key)
    if not isinstance(starts, WallClock | RunOnce):
        raise ScheduleError(
            f"found the window {quoted(cron)}, which opens at no fixed times; write when, as in 0 8 * * MON-FRI", cron
        )
    once = starts if isinstance(starts, RunOnce) else None
    open_times = opening(cron, WallClock(starts.pattern, starts.offsets), once, duration_seconds)
    return Window(" ".join(cron.split()), time_zone or "UTC", hash_key, duration_seconds, open_times)


def closed(pieces: Iterable[Piece]) -> Closed:
    """Put pieces together; equal ones give the same object, which keeps what it has worked out."""
    return _closed(tuple(dict.fromkeys(pieces)))


@lru_cache(maxsize=1_024)
def _closed(pieces: tuple[Piece, ...]) -> Closed:
    return Closed(pieces)
