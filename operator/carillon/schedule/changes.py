"""Where a zone's clocks change, for people who look at due times near it. The due times themselves do not ask here."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from carillon.schedule.offsets import offsets_of
from carillon.schedule.seconds import EPOCH, to_seconds


@dataclass(frozen=True, slots=True)
class ClockChange:
    """One change of the offset from UTC.

    Civil times are told as datetimes in UTC, as if the clock on the wall showed UTC: that is what a cron matches.
    """

    at: datetime
    """The first instant of the new offset."""
    before: timedelta
    after: timedelta

    @property
    def forward(self) -> bool:
        """Whether civil times are left out; else they are repeated."""
        return self.after > self.before

    @property
    def shift(self) -> timedelta:
        """How far the clocks go, either way."""
        return abs(self.after - self.before)

    @property
    def civil(self) -> tuple[datetime, datetime]:
        """The civil times that do not exist, or that come twice: from the first up to, not including, the second."""
        low, high = sorted((self.before, self.after))
        return self.at + low, self.at + high


def clock_changes(zone: ZoneInfo, after: datetime, through: datetime) -> list[ClockChange]:
    """List the changes in (after, through], oldest first."""
    return [
        ClockChange(
            EPOCH + timedelta(seconds=block.starts[index]),
            timedelta(seconds=block.offsets[index - 1]),
            timedelta(seconds=block.offsets[index]),
        )
        for block, index in offsets_of(zone).transitions(to_seconds(after), to_seconds(through))
    ]


def change_near(zone: ZoneInfo, instant: datetime) -> ClockChange | None:
    """Tell the change that repeats or leaves out a civil time of which `instant` is a part, or at which it lies."""
    near = clock_changes(zone, instant - timedelta(days=1, hours=1), instant + timedelta(days=1, hours=1))
    for change in near:
        begin = change.at if change.forward else change.at - change.shift
        end = change.at if change.forward else change.at + change.shift - timedelta(seconds=1)
        if begin <= instant <= end:
            return change
    return None
