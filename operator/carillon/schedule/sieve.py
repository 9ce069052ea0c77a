"""What exclusions leave of a schedule, and what they take: `outside` and `inside` closed times. Pure.

Both are the due times that a walk along the schedule finds, sorted by whether each is closed; together they are all of
them. Where due times are a chain (`every`, and `wallclock` near a change of the clocks), it is the schedule's own
chain: a due time that is closed still leads to the next.

Days repeat, those of a schedule (`rhythm`) and those of what is closed (`closedday`): how many due times of a day are
on one side is counted once for all days that are equal in both. So to count over years, and to look for a due time
that does not come in years, costs a look-up a day, however often windows open.
"""

from abc import abstractmethod
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from carillon.schedule.closedday import ClosedDay
from carillon.schedule.closedtime import Closed
from carillon.schedule.protocol import Schedule
from carillon.schedule.rhythm import Rhythm
from carillon.schedule.seconds import DAY, LAST_SECOND, SecondsSchedule, in_seconds

PATIENCE = 5 * 366 * DAY
"""Seconds: after five years in which every due time was on the wrong side, there is no next one."""
_SPELL = 48 * DAY
"""How far a search goes at a time; from there on it is the same search for all that come by."""
_MOST_DAYS = 1_024
"""Different days that a sieve remembers, at some 200 bytes each."""
_MOST_SPELLS = 128
_FEW = 256
"""Due seconds that are looked at one by one, rather than to follow the chain from each closed span to the next."""
_MOST_SIEVES = 512
"""Kept of each side: a definition that is read again goes on with what it remembers."""
_WEEK = 7 * DAY
Tallies = dict[tuple[Hashable, ClosedDay], int]


@dataclass(frozen=True, slots=True)
class _Sieve(SecondsSchedule):
    inner: SecondsSchedule
    closed: Closed
    _tallies: Tallies = field(default_factory=dict, compare=False, repr=False)
    """By what is due and what is closed on a day: how many due seconds of it are on the right side."""
    _spells: dict[int, int | None] = field(default_factory=dict, compare=False, repr=False)
    """By the first due second of a spell, when it is on the wrong side: where a walk from there stands at its end."""

    @property
    def endless(self) -> bool:
        """Whether the schedule itself is."""
        return self.inner.endless

    def anchored(self, since: datetime) -> SecondsSchedule:
        """Anchor the schedule itself; what is remembered of days and of due seconds does not depend on the anchor."""
        inner = self.inner.anchored(since)
        return self if inner is self.inner else type(self)(inner, self.closed, self._tallies, self._spells)

    def resumed(self, after: int, through: int) -> int:
        """Follow the schedule itself."""
        return self.inner.resumed(after, through)

    def next_second(self, after: int) -> int | None:
        """Tell the first due second > after on the right side; none when only others come for five years."""
        due, begins = self.inner.next_second(after), False
        while due is not None and due <= LAST_SECOND and not self._right(due):
            if due > after + PATIENCE:
                return None
            due, begins = self._spell(due, begins=begins), True
        return due

    def count_seconds(self, after: int, through: int) -> int:
        """Count the due seconds, by the day where days repeat."""
        return sum(
            self._followed(low, high) if tally is None else tally
            for low, high, tally in self._stretches(after, through)
        )

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
        for begin, end, tally in reversed(list(self._stretches(after, through))):
            if tally == 0 or (tally is None and not self._followed(begin, end)):
                continue
            for low, high in reversed(list(self._parts(begin, end))):
                newest = self.inner.newest_seconds(low, high, limit)
                found.append(newest)
                limit -= len(newest)
                if not limit:
                    return [due for part in reversed(found) for due in part]
        return [due for part in reversed(found) for due in part]

    def _stretches(self, after: int, through: int) -> Iterator[tuple[int, int, int | None]]:
        """Cut (after, through] to stretches that have all of its due seconds, and tell how many are on the right side.

        Whole days are told with their number, if they repeat; the number is None where it is still to be counted.
        """
        place = after
        while (first := self.inner.next_second(place)) is not None and first <= min(through, LAST_SECOND):
            day = first // DAY
            rhythm = self.inner.rhythm(first)
            midnight = (day + 1) * DAY
            # The chain has come here from elsewhere: up to the end of this day it is followed.
            yield place, min(midnight - 1, through), None
            if midnight > through:
                return
            if rhythm is not None and rhythm.since < midnight:
                for whole in range(day + 1, (min(rhythm.through, through) + 1) // DAY):
                    yield whole * DAY - 1, whole * DAY + DAY - 1, self._tally(rhythm, whole)
                    day = whole
            place = self.inner.resumed(place if day == first // DAY else first, day * DAY + DAY - 1)

    def _tally(self, rhythm: Rhythm, day: int) -> int:
        """Tell how many due seconds of a day on which the schedule repeats itself are on the right side."""
        key = rhythm.of_day(day), self.closed.day(day)
        found = self._tallies.get(key)
        if found is None:
            parts = self._parts(day * DAY - 1, day * DAY + DAY - 1)
            found = self._remember(key, sum(self.inner.count_seconds(low, high) for low, high in parts))
        return found

    def _followed(self, after: int, through: int) -> int:
        """Tell it for a stretch that is followed along the chain; all its due seconds are of its last day."""
        # From its first due second on the chain is the same, whatever it is anchored to.
        key = (self.inner.next_second(after), through), self.closed.day(through // DAY)
        found = self._tallies.get(key)
        if found is None:
            due = self.inner.newest_seconds(after, through, _FEW + 1)
            if len(due) <= _FEW:
                count = sum(map(self._right, due))
            else:
                count = sum(self.inner.count_seconds(low, high) for low, high in self._parts(after, through))
            found = self._remember(key, count)
        return found

    def _remember(self, key: tuple[Hashable, ClosedDay], count: int) -> int:
        if len(self._tallies) >= _MOST_DAYS:
            self._tallies.clear()
        self._tallies[key] = count
        return count

    def _spell(self, due: int, *, begins: bool) -> int | None:
        """Walk from a due second on the wrong side to the next on the right side, or out of its spell."""
        if begins and due in self._spells:
            return self._spells[due]
        place: int | None = due
        end = due - due % _SPELL + _SPELL
        while place is not None and place < end and not self._right(place):
            place = self._onward(place, end)
        if begins:
            if len(self._spells) >= _MOST_SPELLS:
                self._spells.clear()
            self._spells[due] = place
        return place

    def _onward(self, due: int, end: int) -> int | None:
        """Tell a later due second, from one on the wrong side, with none on the right side in between."""
        rhythm = self.inner.rhythm(due)
        passed = None
        if rhythm is not None:
            day = due // DAY
            while (
                rhythm.since < day * DAY < end
                and (day + 1) * DAY <= rhythm.through + 1
                and not self._tally(rhythm, day)
            ):
                day += 1
                passed = day * DAY - 1
        if passed is None:
            passed = self._wrong_through(due)
        following = None if passed is None else self.inner.next_second(due)
        if passed is None or following is None or following > passed:
            return following
        return self.inner.next_second(self.inner.resumed(following, passed))

    @abstractmethod
    def _right(self, due: int) -> bool:
        """Tell whether a due second is on the right side."""

    @abstractmethod
    def _wrong_through(self, due: int) -> int | None:
        """Tell a second up to which, from one on the wrong side, all are; None when it is for years."""

    @abstractmethod
    def _parts(self, after: int, through: int) -> Iterator[tuple[int, int]]:
        """Walk the parts (low, high] of (after, through] that are on the right side."""


@dataclass(frozen=True, slots=True)
class Outside(_Sieve):
    """The due seconds that are not closed."""

    def _right(self, due: int) -> bool:
        return not self.closed.is_closed(due)

    def _wrong_through(self, due: int) -> int | None:
        until = self.closed.closed_until(due)
        return due if until is None else until - 1

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

    def _right(self, due: int) -> bool:
        return self.closed.is_closed(due)

    def _wrong_through(self, due: int) -> int | None:
        start = self.closed.next_start(due, due + PATIENCE)
        return None if start is None else start - 1

    def _parts(self, after: int, through: int) -> Iterator[tuple[int, int]]:
        place = after
        for start, end in self.closed.joined(after, through):
            place = self.inner.resumed(place, start - 1)
            yield place, end - 1


def outside(schedule: Schedule, closed: Closed) -> Schedule:
    """Leave the due times that lie in no closed time.

    Where every due time of five years is closed, `next_after` tells none.
    """
    return _outside(in_seconds(schedule), closed) if closed.pieces else schedule


def inside(schedule: Schedule, closed: Closed) -> Schedule:
    """Tell the due times that `outside` leaves out; `next_after` looks five years ahead."""
    return _inside(in_seconds(schedule), closed)


@lru_cache(maxsize=_MOST_SIEVES)
def _outside(schedule: SecondsSchedule, closed: Closed) -> Schedule:
    return Outside(schedule, closed)


@lru_cache(maxsize=_MOST_SIEVES)
def _inside(schedule: SecondsSchedule, closed: Closed) -> Schedule:
    return Inside(schedule, closed)
