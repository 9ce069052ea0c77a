"""What the rest of the operator knows of a schedule. Everything else in this package is behind it."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol


class DaylightSaving(StrEnum):
    """What a cron does when the clocks change (design 3.4)."""

    WALL_CLOCK = "WallClock"
    """To the second what the native CronJob controller does."""
    RUN_ONCE = "RunOnce"
    """A skipped civil time runs at the end of the gap, a repeated one the first time only."""


class Schedule(Protocol):
    """Due times, as a pure function of time: immutable, hashable, safe to share.

    Every aware datetime is taken; what is given back is UTC, with whole seconds. Due times after the year 9999 are
    not told.
    """

    def next_after(self, instant: datetime) -> datetime | None:
        """Tell the first due time strictly after `instant`; None when there is none."""
        ...

    def latest_through(self, instant: datetime, *, after: datetime) -> datetime | None:
        """Tell the newest due time in (after, instant]; None when there is none."""
        ...

    def count(self, after: datetime, through: datetime) -> int:
        """Count the due times in (after, through], by arithmetic."""
        ...

    def upcoming(self, instant: datetime, limit: int) -> list[datetime]:
        """List the first `limit` due times strictly after `instant`."""
        ...

    def newest(self, after: datetime, through: datetime, limit: int) -> list[datetime]:
        """List the newest `limit` due times in (after, through], oldest first."""
        ...

    def anchored(self, since: datetime) -> "Schedule":
        """Fix what is relative: `@every` then counts from `since`; all others are themselves."""
        ...

    @property
    def endless(self) -> bool:
        """False when it certainly ends, as `at` and `Rn/...` do."""
        ...
