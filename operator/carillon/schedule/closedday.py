"""What is closed of one day of UTC: the piece from which closed times are put together, shared wherever it is equal.

Days repeat: an office that is closed from eight to six has a handful of different days in a year. So what is kept of a
year is a reference a day, and what was worked out about a day holds for all that are equal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from carillon.schedule.seconds import DAY


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ClosedDay:
    """Closed seconds of a day, as [start, end) from its beginning; ascending, apart. Equal ones are one object."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def spans(self) -> Iterable[tuple[int, int]]:
        """Walk them."""
        return zip(self.starts, self.ends, strict=True)


_SHARED: WeakValueDictionary[tuple[tuple[int, ...], tuple[int, ...]], ClosedDay] = WeakValueDictionary()


def closed_day(spans: Iterable[tuple[int, int]]) -> ClosedDay:
    """Join spans of a day; what lies outside of it is cut off."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        start, end = max(start, 0), min(end, DAY)
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif start < end:
            joined.append((start, end))
    key = tuple(start for start, _ in joined), tuple(end for _, end in joined)
    found = _SHARED.get(key)
    if found is None:
        found = _SHARED[key] = ClosedDay(*key)
    return found


OPEN = closed_day([])
SHUT = closed_day([(0, DAY)])


def cut_by_day(spans: Iterable[tuple[int, int]], first: int, last: int) -> dict[int, list[tuple[int, int]]]:
    """Cut spans of seconds since the epoch to the days from `first` to `last`, told from each day's beginning."""
    found: dict[int, list[tuple[int, int]]] = {}
    for start, end in spans:
        for day in range(max(first, start // DAY), min(last, (end - 1) // DAY) + 1):
            midnight = day * DAY
            found.setdefault(day, []).append((max(start - midnight, 0), min(end - midnight, DAY)))
    return found
