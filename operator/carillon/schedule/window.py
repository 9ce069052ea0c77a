"""Windows: times that open when a cron says so, and last for a number of seconds. Pure.

A window that opens again before it is over goes on; so what counts is from when to when it holds, and that is worked
out by the day, not by the opening: `* * * * *` for a minute is one span a year, not half a million.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from carillon.schedule.closedday import cut_by_day
from carillon.schedule.errors import ScheduleError, quoted
from carillon.schedule.pattern import CivilPattern
from carillon.schedule.seconds import DAY, FIRST_DAY, LAST_DAY
from carillon.schedule.wallclock import WallClock

LONGEST = 366 * DAY
MOST_A_DAY = 24
"""How often a day a window may open and close."""
_AROUND = 4
"""Days around a change of the clocks that are worked out opening by opening: no offset, gap or overlap reaches over."""
_Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """When a window is open: from each civil time of its cron on, and near a change of the clocks as WallClock says."""

    starts: WallClock
    collapses: bool
    """Whether it opens at the end of a gap that skips an opening: not where every hour has one (design 3.4)."""
    duration: int
    """Seconds."""
    of_day: tuple[tuple[int, int], ...] = field(compare=False)
    """Runs of openings within a day, none of them over before the next: civil seconds of the first and the last."""
    _repeated: dict[tuple[int, int], _Spans] = field(default_factory=dict, init=False, compare=False, repr=False)
    """By offset, and by which of four days in a row open: what is closed of the third."""

    @property
    def lasting(self) -> bool:
        """Whether it may go on for days."""
        first, last = self.of_day[0][0], self.of_day[-1][1]
        return self.duration > DAY or (len(self.of_day) == 1 and last + self.duration >= first + DAY)

    def by_day(self, first: int, last: int) -> list[_Spans]:
        """Tell what of each day of UTC from `first` to `last` it closes, from the day's beginning, ascending.

        Equal days are told by the same object.
        """
        if self.duration > DAY:
            return self._exactly(first, last)
        found: list[_Spans] = []
        day = first
        for block, index in self.starts.offsets.transitions((first - _AROUND) * DAY, (last + _AROUND + 1) * DAY):
            change = block.starts[index] // DAY
            calm, near = min(change - _AROUND - 1, last), min(change + _AROUND, last)
            if day <= calm:
                found += self._repeating(day, calm)
                day = calm + 1
            if day <= near:
                found += self._exactly(day, near)
                day = near + 1
        if day <= last:
            found += self._repeating(day, last)
        return found

    def _exactly(self, first: int, last: int) -> list[_Spans]:
        """Tell it opening by opening."""
        reach = max(DAY, self.duration) + 3 * DAY
        cut = cut_by_day(self.between(first * DAY - reach, last * DAY + DAY - 1), first, last)
        return [tuple(cut.get(day, ())) for day in range(first, last + 1)]

    def _repeating(self, first: int, last: int) -> list[_Spans]:
        """Tell it for days around which the clocks do not change: it depends on which civil days open, nothing else."""
        offset, days = self.starts.offsets.at(first * DAY), self.starts.pattern.days
        if days.every_day and first - 2 >= FIRST_DAY and last + 1 <= LAST_DAY:
            return [self._repeat(offset, 0b1111)] * (last - first + 1)
        opens = [days.matches(day) for day in range(first - 2, last + 2)]
        return [
            self._repeat(offset, opens[n] | opens[n + 1] << 1 | opens[n + 2] << 2 | opens[n + 3] << 3)
            for n in range(last - first + 1)
        ]

    def _repeat(self, offset: int, opens: int) -> _Spans:
        found = self._repeated.get((offset, opens))
        if found is None:
            spans = [
                (midnight + opening, midnight + final + self.duration)
                for place, midnight in enumerate(range(-2 * DAY - offset, 2 * DAY - offset, DAY))
                if opens >> place & 1
                for opening, final in self.of_day
            ]
            found = self._repeated[offset, opens] = tuple(cut_by_day(spans, 0, 0).get(0, ()))
        return found

    def between(self, first: int, last: int) -> list[tuple[int, int]]:
        """List the spans [start, end) that begin with an opening in [first, last], ascending, not touching; seconds."""
        found: list[tuple[int, int]] = []
        for opens, closes in sorted([*self._civil(first, last), *self._near_changes(first, last)]):
            if found and opens <= found[-1][1]:
                found[-1] = (found[-1][0], max(closes, found[-1][1]))
            else:
                found.append((opens, closes))
        return found

    def _civil(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Walk the runs of openings at each civil time, the first time that the clocks show it.

        A window that is to keep jobs from running has to hold whatever the clocks do: at 02:30, where they leave it
        out, it opens at the end of the gap; and October is October though WallClock's walk may lose it (see `walk`).
        """
        block = self.starts.offsets.block(first)
        stretches = [(block, bisect_right(block.starts, first) - 1)]
        stretches += self.starts.offsets.transitions(first, last)
        for place, (block, index) in enumerate(stretches):
            since, offset, reached = block.starts[index], block.offsets[index], block.reached[index]
            if self.collapses and since >= first and self.starts.pattern.count(reached - 1, since + offset - 1):
                yield since, since + self.duration
            until = last + 1
            if place + 1 < len(stretches):
                following, number = stretches[place + 1]
                until = following.starts[number]
            yield from self._runs(max(max(first, since) + offset, reached), until - 1 + offset, offset)

    def _near_changes(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Walk what WallClock opens around a change of the clocks, which may be a civil time that is repeated.

        The walk begins at the same instant whenever one asks, for it may come elsewhere from another.
        """
        for block, index in self.starts.offsets.transitions(first - DAY, last + DAY):
            change = block.starts[index]
            for count, begin, end, offset in self.starts.strides(change - DAY, min(last, change + DAY)):
                if count == 1:
                    runs = iter([(begin, begin + self.duration)])
                else:
                    runs = self._runs(begin + offset, end + offset, offset)
                for opens, closes in runs:
                    if closes - self.duration >= first:
                        yield max(opens, first), closes

    def _runs(self, low: int, high: int, offset: int) -> Iterator[tuple[int, int]]:
        """Walk the runs of openings in the civil seconds [low, high] of one offset."""
        pattern = self.starts.pattern
        day = pattern.days.next_day(low // DAY) if low <= high else None
        while day is not None and day * DAY <= high:
            midnight = day * DAY
            for opening, final in self.of_day:
                if midnight + final < low or midnight + opening > high:
                    continue
                latest = midnight + final
                if latest > high:
                    found = pattern.previous(high)
                    assert found is not None
                    latest = found
                opens = midnight + opening
                if opens < low:
                    following = pattern.next(low - 1)
                    assert following is not None
                    opens = following
                yield opens - offset, latest - offset + self.duration
            day = pattern.days.next_day(day + 1)


def opening(expression: str, starts: WallClock, duration: int, *, collapses: bool) -> Opening:
    """Make a window of a cron and seconds.

    Raises:
        ScheduleError: it opens and closes too often.
    """
    runs: list[tuple[int, int]] = []
    for first, last in _runs_of_day(starts.pattern, duration):
        if runs and first - runs[-1][1] <= duration:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
        if len(runs) > MOST_A_DAY:
            raise ScheduleError(
                f"found the window {quoted(expression)} of {duration} seconds, which opens and closes more than "
                f"{MOST_A_DAY} times a day; write fewer openings, or a longer duration so that they join",
                expression,
            )
    return Opening(starts, collapses, duration, tuple(runs))


def _runs_of_day(pattern: CivilPattern, duration: int) -> Iterator[tuple[int, int]]:
    """Walk the openings of a day, those of a minute joined."""
    of_minute: list[tuple[int, int]] = []
    for second in pattern.seconds_of_minute:
        if of_minute and second - of_minute[-1][1] <= duration:
            of_minute[-1] = (of_minute[-1][0], second)
        else:
            of_minute.append((second, second))
    for minute in pattern.minutes_of_day:
        for first, last in of_minute:
            yield minute * 60 + first, minute * 60 + last
