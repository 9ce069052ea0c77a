"""The edge between datetimes and whole seconds since the epoch, in which all of this package computes.

Integers are exact, and several times faster than datetimes. A fraction of a second is cut downwards on the way in: due
times are whole seconds, so neither "after" nor "through" changes its meaning by it.
"""

from abc import ABC, abstractmethod
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from carillon.schedule.protocol import Schedule

if TYPE_CHECKING:
    from carillon.schedule.rhythm import Rhythm

DAY = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_ORDINAL = EPOCH.toordinal()
FIRST_DAY = date.min.toordinal() - EPOCH_ORDINAL
LAST_DAY = date.max.toordinal() - EPOCH_ORDINAL
LAST_SECOND = LAST_DAY * DAY + DAY - 1


def to_seconds(instant: datetime) -> int:
    """Count the whole seconds from the epoch to an aware instant; a naive one is a TypeError."""
    delta = instant - EPOCH
    return delta.days * DAY + delta.seconds


class SecondsSchedule(ABC):
    """A Schedule that needs to be written for whole seconds only; instances are frozen."""

    __slots__ = ()

    @abstractmethod
    def next_second(self, after: int) -> int | None:
        """Tell the first due second > after."""

    @abstractmethod
    def count_seconds(self, after: int, through: int) -> int:
        """Count the due seconds in (after, through]; after < through."""

    @abstractmethod
    def newest_seconds(self, after: int, through: int, limit: int) -> list[int]:
        """List the newest `limit` due seconds in (after, through], oldest first; after < through, limit > 0."""

    @property
    def endless(self) -> bool:
        """Whether there always is a next due time."""
        return True

    def anchored(self, since: datetime) -> "SecondsSchedule":
        """Nothing here is relative to a beginning; see `every`."""
        return self

    def resumed(self, after: int, through: int) -> int:
        """Tell where to ask on, so that after `through` come the due seconds that follow from `after` <= `through`.

        Due seconds are one set here, so it is `through` itself. Where they are a chain, each found from the one before
        (`every`, `wallclock`), it is the newest of them, or `after` when none has come yet.
        """
        return through

    def rhythm(self, due: int) -> "Rhythm | None":
        """Tell where the days around a due second repeat; None when nothing is known of that."""
        return None

    def next_after(self, instant: datetime) -> datetime | None:
        """Tell the first due time strictly after `instant`."""
        delta = instant - EPOCH
        due = self.next_second(delta.days * DAY + delta.seconds)
        if due is None or due > LAST_SECOND:
            return None
        return EPOCH + timedelta(0, due)

    def latest_through(self, instant: datetime, *, after: datetime) -> datetime | None:
        """Tell the newest due time in (after, instant]."""
        found = self.newest(after, instant, 1)
        return found[0] if found else None

    def count(self, after: datetime, through: datetime) -> int:
        """Count the due times in (after, through]."""
        low, high = to_seconds(after), to_seconds(through)
        return self.count_seconds(low, high) if low < high else 0

    def upcoming(self, instant: datetime, limit: int) -> list[datetime]:
        """List the first `limit` due times strictly after `instant`."""
        found: list[datetime] = []
        moment: int | None = to_seconds(instant)
        while len(found) < limit and moment is not None:
            moment = self.next_second(moment)
            if moment is None or moment > LAST_SECOND:
                break
            found.append(EPOCH + timedelta(0, moment))
        return found

    def newest(self, after: datetime, through: datetime, limit: int) -> list[datetime]:
        """List the newest `limit` due times in (after, through], oldest first."""
        low, high = to_seconds(after), to_seconds(through)
        if low >= high or limit <= 0:
            return []
        return [EPOCH + timedelta(0, due) for due in self.newest_seconds(low, high, limit)]


def in_seconds(schedule: Schedule) -> SecondsSchedule:
    """Tell that a schedule is one of this package, which are all written in seconds.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(schedule, SecondsSchedule):
        raise TypeError(f"found {type(schedule).__name__}; only the schedules of this package can be cut")
    return schedule
