"""Exclusions (`spec.exclude`) piece by piece: holidays, dates, windows. Pure; that together is `closedtime`."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from zoneinfo import ZoneInfo

from carillon.schedule.civilday import parse_day, spans_of_day
from carillon.schedule.cron import parse_cron
from carillon.schedule.errors import ScheduleError, quoted
from carillon.schedule.offsets import Offsets, offsets_of
from carillon.schedule.protocol import DaylightSaving
from carillon.schedule.public_holidays import check_place, holidays_of, years_of
from carillon.schedule.runonce import RunOnce
from carillon.schedule.seconds import DAY, EPOCH_ORDINAL
from carillon.schedule.wallclock import WallClock
from carillon.schedule.window import LONGEST, Opening, opening

BLOCK = 25
"""A block is 2**25 seconds, 388 days: longer than any span, so that one reaches into the next block at most."""
_REACH = 4 * DAY
"""Longer than any civil day, and than a window that is over before it would open for the third time."""
_SHOWN = 60
Seconds = tuple[int, int, str]
"""A closed time [start, end), in seconds since the epoch, and why it is."""


@dataclass(frozen=True, slots=True)
class Holidays:
    """The public holidays of a place, as days of a zone; immutable, hashable."""

    country: str
    subdivision: str | None
    offsets: Offsets

    def days(self, first: int, last: int) -> Iterator[tuple[int, str]]:
        """Walk the civil days from `first` to `last`, counted from the epoch, and why they are closed."""
        place = self.country if self.subdivision is None else f"{self.country}-{self.subdivision}"
        for year in years_of(first, last):
            for day, name in holidays_of(self.country, self.subdivision, year):
                if first <= day <= last:
                    yield day, f"holiday {name} ({place})"


@dataclass(frozen=True, slots=True)
class Dates:
    """Single days of a zone, however many; immutable, hashable."""

    of_zone: tuple[int, ...]
    """Counted from the epoch, ascending, each once."""
    offsets: Offsets

    def days(self, first: int, last: int) -> Iterator[tuple[int, str]]:
        """Walk those from `first` to `last`, and why they are closed."""
        for day in self.of_zone[bisect_left(self.of_zone, first) : bisect_right(self.of_zone, last)]:
            yield day, f"date {date.fromordinal(day + EPOCH_ORDINAL).isoformat()}"


@dataclass(frozen=True, slots=True)
class Window:
    """Spans that begin when a cron says so; immutable, hashable."""

    expression: str
    time_zone: str
    hash_key: str
    duration: int
    opening: Opening = field(compare=False, repr=False)


Piece = Holidays | Dates | Window
"""Something that closes times."""


def overlapping(piece: Piece, after: int, through: int) -> Iterator[Seconds]:
    """Walk the spans of one piece that have a second in (after, through]."""
    if isinstance(piece, Window):
        shown = piece.expression if len(piece.expression) <= _SHOWN else piece.expression[: _SHOWN - 3] + "..."
        found = ((start, end, f"window {shown}") for start, end in _open(piece.opening, after, through))
    else:
        days = piece.days(after // DAY - 3, through // DAY + 2)
        found = ((*span, reason) for day, reason in days for span in spans_of_day(piece.offsets, day))
    return (span for span in found if span[0] <= through and span[1] > after + 1)


def _open(opening: Opening, after: int, through: int) -> Iterator[tuple[int, int]]:
    if not opening.lasting:
        yield from opening.between(after - _REACH, through + _REACH)
        return
    # It may be open for years: told from the border of a block on, so that it is told alike whenever one asks.
    for number in range((after >> BLOCK) - 1, (through >> BLOCK) + 1):
        yield from opening.between(number << BLOCK, ((number + 1) << BLOCK) - 1)


@lru_cache(maxsize=1_024)
def exclude_holidays(country: str, subdivision: str | None, zone: ZoneInfo) -> Piece:
    """Close the public holidays of a country (ISO 3166-1), or of a subdivision (ISO 3166-2, without the country).

    Raises:
        ScheduleError: there is no such place, or no holidays are known for it; with the nearest.
    """
    check_place(country, subdivision)
    return Holidays(country, subdivision, offsets_of(zone))


def exclude_dates(texts: Sequence[str], zone: ZoneInfo) -> Piece:
    """Close days, as the clocks of `zone` show them; nothing, where they never showed one.

    Raises:
        ScheduleError: one is no date such as 2026-12-24; its `text` is that one.
    """
    return Dates(_days(tuple(texts)), offsets_of(zone))


@lru_cache(maxsize=256)
def _days(texts: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(sorted({parse_day(text) for text in texts}))


@lru_cache(maxsize=1_024)
def exclude_window(cron: str, duration_seconds: int, time_zone: str | None, hash_key: str) -> Piece:
    """Close `duration_seconds` from each civil time of a cron on, and from what `WallClock` makes of it near a change.

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
    walked = WallClock(starts.pattern, starts.offsets)
    open_times = opening(cron, walked, duration_seconds, collapses=isinstance(starts, RunOnce))
    return Window(" ".join(cron.split()), time_zone or "UTC", hash_key, duration_seconds, open_times)
