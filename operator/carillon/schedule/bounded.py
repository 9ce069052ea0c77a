"""`startAt` and `endAt`: a schedule that has due times between two instants only. Pure; both ends belong to it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.schedule.errors import ScheduleError
from carillon.schedule.protocol import Schedule
from carillon.schedule.rhythm import Rhythm
from carillon.schedule.seconds import EPOCH, SecondsSchedule, in_seconds, to_seconds


@dataclass(frozen=True, slots=True)
class Bounded(SecondsSchedule):
    """The due seconds of `inner` in [start, end]; None is without that end."""

    inner: SecondsSchedule
    start: int | None
    end: int | None
    relative: bool
    """Whether `inner` counts from where one asks (`@every`): then the start itself is not due, it is the anchor."""

    @property
    def endless(self) -> bool:
        """Whether there is no end."""
        return self.end is None and self.inner.endless

    def anchored(self, since: datetime) -> SecondsSchedule:
        """Count from `since`, or from the start if that is later."""
        if not self.relative:
            return self
        begin = to_seconds(since) if self.start is None else max(to_seconds(since), self.start)
        return Bounded(self.inner.anchored(EPOCH + timedelta(seconds=begin)), self.start, self.end, relative=False)

    def resumed(self, after: int, through: int) -> int:
        """Ask `inner`, which begins at the start."""
        begin = self._begin(after)
        return through if through <= begin else self.inner.resumed(begin, through)

    def rhythm(self, due: int) -> Rhythm | None:
        """Tell that of `inner`, in the bounds."""
        found = self.inner.rhythm(due)
        if found is None:
            return None
        start = found.since if self.start is None else max(found.since, self.start)
        end = found.through if self.end is None else min(found.through, self.end)
        return Rhythm(start, end, found.of_day)

    def next_second(self, after: int) -> int | None:
        """Tell the first due second > after."""
        due = self.inner.next_second(self._begin(after))
        return None if due is None or (self.end is not None and due > self.end) else due

    def count_seconds(self, after: int, through: int) -> int:
        """Count what is in the bounds."""
        after, through = self._begin(after), self._finish(through)
        return self.inner.count_seconds(after, through) if after < through else 0

    def newest_seconds(self, after: int, through: int, limit: int) -> list[int]:
        """List the newest that are in the bounds."""
        after, through = self._begin(after), self._finish(through)
        return self.inner.newest_seconds(after, through, limit) if after < through else []

    def _begin(self, after: int) -> int:
        return after if self.start is None else max(after, self.start if self.relative else self.start - 1)

    def _finish(self, through: int) -> int:
        return through if self.end is None else min(through, self.end)


def bounded(schedule: Schedule, *, start_at: datetime | None, end_at: datetime | None) -> Schedule:
    """Cut a schedule to its due times in [start_at, end_at]; both are aware, and None is without that bound.

    `@every` counts from start_at, where that is later than what it is anchored to.

    Raises:
        ScheduleError: end_at lies before start_at.
    """
    if start_at is None and end_at is None:
        return schedule
    if start_at is not None and end_at is not None and end_at < start_at:
        raise ScheduleError(
            f"found endAt {end_at.isoformat()} before startAt {start_at.isoformat()}; write an endAt that is later"
        )
    inner = in_seconds(schedule)
    # A fraction of a second moves the start up to the next whole one: due times are whole.
    start = None if start_at is None else to_seconds(start_at) + (start_at.microsecond > 0)
    end = None if end_at is None else to_seconds(end_at)
    return Bounded(inner, start, end, relative=inner.anchored(EPOCH) != inner)
