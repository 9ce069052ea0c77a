"""What exclusions leave of a schedule, and what they take: `outside` and `inside` closed times. Pure.

Both are the due times that a walk along the schedule finds, sorted by whether each is closed; together they are all of
them. Where due times are a chain (`every`, and `wallclock` near a change of the clocks), it is the schedule's own
chain: a due time that is closed still leads to the next. Counting goes by closed spans, not by due times.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from carillon.schedule.exclusion import Closed
from carillon.schedule.protocol import Schedule
from carillon.schedule.seconds import DAY, LAST_SECOND, SecondsSchedule, in_seconds

PATIENCE = 5 * 366 * DAY
"""Seconds: after five years in which every due time was on the wrong side, there is no next one."""
_WEEK = 7 * DAY


@dataclass(frozen=True, slots=True)
class _Sieve(SecondsSchedule):
    inner: SecondsSchedule
    closed: Closed

    @property
    def endless(self) -> bool:
        """Whether the schedule itself is."""
        return self.inner.endless

    def anchored(self, since: datetime) -> SecondsSchedule:
        """Anchor the schedule itself."""
        inner = self.inner.anchored(since)
        return self if inner is self.inner else type(self)(inner, self.closed)

    def resumed(self, after: int, through: int) -> int:
        """Follow the schedule itself."""
        return self.inner.resumed(after, through)

    def count_seconds(self, after: int, through: int) -> int:
        """Count the due seconds of the parts."""
        return sum(self.inner.count_seconds(low, high) for low, high in self._parts(after, through))

    def newest_seconds(self, after: int, through: int, limit: int) -> list[int]:
        """List the newest: of the last week, or else of eight weeks, and so on."""
        reach = _WEEK
        while True:
            whole = through - reach <= after
            low = after if whole else self.inner.resumed(after, through - reach)
            found = self._newest(low, through, limit)
            if whole or len(found) == limit:
                return found
            reach *= 8

    def _newest(self, after: int, through: int, limit: int) -> list[int]:
        """List them, part by part from the last."""
        found: list[list[int]] = []
        for low, high in reversed(list(self._parts(after, through))):
            newest = self.inner.newest_seconds(low, high, limit)
            found.append(newest)
            limit -= len(newest)
            if not limit:
                break
        return [due for part in reversed(found) for due in part]

    @abstractmethod
    def _parts(self, after: int, through: int) -> Iterator[tuple[int, int]]:
        """Walk the parts (low, high] of (after, through] that are on the right side."""


@dataclass(frozen=True, slots=True)
class Outside(_Sieve):
    """The due seconds that are not closed."""

    def next_second(self, after: int) -> int | None:
        """Tell the first due second > after; none when only closed ones come for five years."""
        due = self.inner.next_second(after)
        while due is not None and due <= LAST_SECOND and (until := self.closed.closed_until(due)) is not None:
            if due > after + PATIENCE:
                return None
            due = self.inner.next_second(self.inner.resumed(due, until - 1))
        return due

    def _parts(self, after: int, through: int) -> Iterator[tuple[int, int]]:
        place = after
        for start, end in self.closed.joined(after, through):
            if start - 1 > place:
                yield place, start - 1
            place = self.inner.resumed(place, end - 1)
        if place < through:
            yield place, through


@dataclass(frozen=True, slots=True)
class Inside(_Sieve):
    """The due seconds that are closed."""

    def next_second(self, after: int) -> int | None:
        """Tell the first due second > after; none when only open ones come for five years."""
        due = self.inner.next_second(after)
        while due is not None and due <= LAST_SECOND and self.closed.closed_until(due) is None:
            start = self.closed.next_start(due, after + PATIENCE)
            if start is None:
                return None
            due = self.inner.next_second(self.inner.resumed(due, start - 1))
        return due

    def _parts(self, after: int, through: int) -> Iterator[tuple[int, int]]:
        place = after
        for start, end in self.closed.joined(after, through):
            place = self.inner.resumed(place, start - 1)
            yield place, end - 1


def outside(schedule: Schedule, closed: Closed) -> Schedule:
    """Leave the due times that lie in no closed time.

    Where every due time of five years is closed, `next_after` tells none.
    """
    return Outside(in_seconds(schedule), closed) if closed.pieces else schedule


def inside(schedule: Schedule, closed: Closed) -> Schedule:
    """Tell the due times that `outside` leaves out; `next_after` looks five years ahead."""
    return Inside(in_seconds(schedule), closed)
