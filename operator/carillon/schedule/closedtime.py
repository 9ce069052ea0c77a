"""What exclusions close together, day by day. Pure; what a closed time does to a schedule is said in `sieve`.

Days of UTC are worked out some months at a time, when first asked for, and kept: at most so many spans in all,
whatever the number of definitions. What was kept longest goes first, and is worked out again when it is asked for.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from carillon.schedule.civilday import spans_of_day
from carillon.schedule.closedday import OPEN, ClosedDay, closed_day, cut_by_day
from carillon.schedule.exclusion import Piece, Window, overlapping
from carillon.schedule.offsets import Offsets
from carillon.schedule.seconds import DAY, EPOCH, FIRST_DAY, LAST_SECOND, to_seconds

BLOCK = 7
"""Days are worked out 2**7 at a time."""
_DAYS = 1 << BLOCK
MOST_KEPT = 500_000
"""Spans that are kept in all, at some 80 bytes: 40 MB."""
_AHEAD = 40
"""Days that a closed time is followed on."""
_HOPS = 100
"""How often it is followed on so to tell when it is open again."""
Days = tuple[ClosedDay, ...]


class _Kept:
    """Which blocks of days are kept, of whichever exclusions."""

    def __init__(self) -> None:
        self.blocks: OrderedDict[tuple[int, int], tuple[dict[int, Days], int]] = OrderedDict()
        self.spans = 0

    def add(self, owner: dict[int, Days], block: int, days: Days) -> None:
        """Keep a block with its owner, and let go of those that have been kept longest."""
        weight = _DAYS // 8 + sum(len(day.starts) for day in set(days))  # a day itself is a reference
        owner[block] = days
        self.blocks[id(owner), block] = (owner, weight)
        self.spans += weight
        while self.spans > MOST_KEPT:
            (_, oldest), (former, freed) = self.blocks.popitem(last=False)
            former.pop(oldest, None)
            self.spans -= freed


KEPT = _Kept()


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A closed time [start, end), in UTC, and why it is."""

    start: datetime
    end: datetime
    reason: str
    """For people: `holiday New Year's Day (FR)`, `date 2026-12-24` or `window 0 8 * * MON-FRI`."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The times that some pieces close together."""

    pieces: tuple[Piece, ...]
    _days: dict[int, Days] = field(default_factory=dict, init=False, compare=False, repr=False)
    """By number of the block of days."""
    _told: list[tuple[int, int, Span]] = field(default_factory=list, init=False, compare=False, repr=False)
    """The last answer of `at`, and from when to when it holds."""
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Hash once what may be thousands of dates."""
        object.__setattr__(self, "_hash", hash(self.pieces))

    def __hash__(self) -> int:
        """Tell the hash of the pieces."""
        return self._hash

    @property
    def openings_a_day(self) -> int:
        """How often a day its windows open at the most: what counting over a long time costs."""
        return sum(len(piece.opening.of_day) for piece in self.pieces if isinstance(piece, Window))

    def spans(self, after: datetime, through: datetime) -> list[Span]:
        """List the spans that have an instant in (after, through], sorted by their beginning.

        A window that lasts for days and is open across the border of a block (a multiple of 2**25 seconds) is told in
        two spans.
        """
        low, high = to_seconds(after), to_seconds(through)
        if low >= high:
            return []
        return [
            Span(_datetime(start), _datetime(end), reason)
            for start, end, reason in sorted(span for piece in self.pieces for span in overlapping(piece, low, high))
        ]

    def at(self, instant: datetime) -> Span | None:
        """Tell the span in which an instant lies; of several the one that began first; None when it is open."""
        second = to_seconds(instant)
        if not self.is_closed(second):
            return None
        for since, until, span in self._told:
            if since <= second < until:
                return span
        found = (span for piece in self.pieces for span in overlapping(piece, second - 1, second))
        # In the first days of the year 1, walks to an opening do not go back as far as days repeat.
        start, end, reason = min(found, default=(second, second + 1, "the first day of the calendar"))
        span = Span(_datetime(start), _datetime(end), reason)
        self._told[:] = [(second, end, span)]
        return span

    def is_closed(self, second: int) -> bool:
        """Tell whether a second is closed."""
        number, rest = divmod(second, DAY)
        return _end(self.day(number), rest) is not None

    def closed_until(self, second: int) -> int | None:
        """Tell a second up to which (exclusive) it is closed, from `second` on; None when it is open then."""
        number, rest = divmod(second, DAY)
        end = _end(self.day(number), rest)
        if end is None:
            return None
        for _ in range(_AHEAD):
            if end < DAY:
                break
            following = self.day(number + 1)
            if not following.starts or following.starts[0]:
                break
            number, end = number + 1, following.ends[0]
        return number * DAY + end

    def opens_after(self, instant: datetime) -> datetime | None:
        """Tell when it is open again, whatever exclusions follow on each other; None when an instant is not closed.

        Of what is closed for more than a decade, an instant in the course of it is told.
        """
        end = self.closed_until(to_seconds(instant))
        for _ in range(_HOPS):
            if end is None or (further := self.closed_until(end)) is None:
                break
            end = further
        return _datetime(end) if end is not None else None

    def next_start(self, after: int, through: int) -> int | None:
        """Tell the first closed second in (after, through]; None when there is none."""
        day, rest = divmod(after + 1, DAY)
        while day * DAY <= through:
            found = self.day(day)
            index = bisect_right(found.ends, rest)
            if index < len(found.starts):
                start = day * DAY + max(found.starts[index], rest)
                return start if start <= through else None
            day, rest = day + 1, 0
        return None

    def joined(self, after: int, through: int) -> list[tuple[int, int]]:
        """List the closed seconds in (after, through] as ascending [start, end) that do not overlap."""
        found: list[tuple[int, int]] = []
        for number in range((after + 1) // DAY, through // DAY + 1):
            midnight = number * DAY
            for start, end in self.day(number).spans():
                start, end = max(midnight + start, after + 1), min(midnight + end, through + 1)
                if found and found[-1][1] == start:
                    found[-1] = (found[-1][0], end)
                elif start < end:
                    found.append((start, end))
        return found

    def day(self, number: int) -> ClosedDay:
        """Tell what is closed of a day of UTC, counted from the epoch."""
        days = self._days.get(number >> BLOCK) or self._work_out(number >> BLOCK)
        return days[number & _DAYS - 1]

    def _work_out(self, block: int) -> Days:
        windows = tuple(piece for piece in self.pieces if isinstance(piece, Window))
        days = _windows(windows, block) if windows else (OPEN,) * _DAYS
        first = block << BLOCK
        cut = cut_by_day(self._civil_days(first, first + _DAYS - 1), first, first + _DAYS - 1)
        if cut:
            days = tuple(
                closed_day([*day.spans(), *cut[first + index]]) if first + index in cut else day
                for index, day in enumerate(days)
            )
        KEPT.add(self._days, block, days)
        return days

    def _civil_days(self, first: int, last: int) -> Iterable[tuple[int, int]]:
        """Walk the spans of the dates and holidays around some days of UTC, each civil day of a zone once."""
        by_zone: dict[Offsets, set[int]] = {}
        for piece in self.pieces:
            if not isinstance(piece, Window):
                by_zone.setdefault(piece.offsets, set()).update(day for day, _ in piece.days(first - 2, last + 2))
        return (span for offsets, days in by_zone.items() for day in days for span in spans_of_day(offsets, day))


def _end(day: ClosedDay, second: int) -> int | None:
    index = bisect_right(day.starts, second) - 1
    return day.ends[index] if index >= 0 and second < day.ends[index] else None


@lru_cache(maxsize=64)
def _windows(windows: tuple[Window, ...], block: int) -> Days:
    """Tell what windows close together: alike for the triggers of a definition, whatever their time zones."""
    first = block << BLOCK
    layers = [window.opening.by_day(first, first + _DAYS - 1) for window in windows]
    known: dict[tuple[int, ...], ClosedDay] = {}
    days = []
    for layer in zip(*layers, strict=True):
        key = tuple(map(id, layer))  # equal days of a window are one object, held by `layers`
        day = known.get(key)
        if day is None:
            day = known[key] = closed_day(span for spans in layer for span in spans)
        days.append(day)
    return tuple(days)


def _datetime(second: int) -> datetime:
    return EPOCH + timedelta(seconds=min(max(second, FIRST_DAY * DAY), LAST_SECOND))


def closed(pieces: Iterable[Piece]) -> Closed:
    """Put pieces together; equal ones give the same object, which keeps what it has worked out."""
    return _closed(tuple(dict.fromkeys(pieces)))


@lru_cache(maxsize=1_024)
def _closed(pieces: tuple[Piece, ...]) -> Closed:
    return Closed(pieces)
