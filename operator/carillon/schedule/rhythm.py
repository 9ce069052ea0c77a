"""Where the due times of days repeat: a time in which equal days can be told by a key. Pure.

What was found out about one day, such as how many of its due times are closed, holds for every day with its key.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from carillon.schedule.pattern import CivilPattern
from carillon.schedule.seconds import DAY


@dataclass(frozen=True, slots=True)
class Rhythm:
    """From second `since` to second `through`, a day of UTC has the due times that its key says."""

    since: int
    through: int
    of_day: Callable[[int], Hashable]
    """The key of a day, counted from the epoch."""


def civil_rhythm(pattern: CivilPattern, offset: int, since: int, through: int) -> Rhythm:
    """Tell the rhythm of a cron in a time of one offset: a day of UTC has parts of two civil days."""
    if pattern.every_day:
        return Rhythm(since, through, lambda day: offset)
    matches = pattern.days.matches
    earlier, later = offset // DAY, (offset + DAY - 1) // DAY
    return Rhythm(since, through, lambda day: (offset, matches(day + earlier), matches(day + later)))


def constant_rhythm(anchor: int, delay: int, since: int, through: int) -> Rhythm | None:
    """Tell the rhythm of due times `delay` seconds apart, one of which is `anchor`; None when days have none."""
    if delay > DAY:
        return None
    return Rhythm(since, through, lambda day: (anchor - day * DAY) % delay)
