"""One run for one instant (design 3.2): what several triggers of a definition name together, each instant once.

Of the triggers that name the most, nothing is walked: only what the others name besides is looked at one by one.
"""

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

from carillon.engine.model import PlannedTrigger
from carillon.engine.triggers import names
from carillon.schedule import Schedule

EXACT = 20_000
"""Due times that are walked to tell a number; beyond it the sum over the triggers stands for it."""


def merged(
    schedules: Sequence[Schedule], after: datetime, through: datetime
) -> Iterator[tuple[datetime, tuple[int, ...]]]:
    """Walk the instants in (after, through] that any of the schedules names, in order, each with their places."""
    walks = (_walk(place, schedule, after, through) for place, schedule in enumerate(schedules))
    for instant, same in groupby(heapq.merge(*walks), key=lambda pair: pair[0]):
        yield instant, tuple(place for _, place in same)


def _walk(place: int, schedule: Schedule, after: datetime, through: datetime) -> Iterator[tuple[datetime, int]]:
    moment: datetime | None = after
    while moment is not None and (moment := schedule.next_after(moment)) is not None and moment <= through:
        yield moment, place


def repeats(schedules: Sequence[Schedule], after: datetime, through: datetime) -> Iterator[datetime]:
    """Walk the instants in (after, through] that are named once more: n - 1 times each where n schedules name it."""
    counted = sorted(((s.count(after, through), s) for s in schedules), key=lambda pair: -pair[0])
    for place, (count, schedule) in enumerate(counted[1:], start=1):
        busier = [other for _, other in counted[:place]]
        for instant in schedule.newest(after, through, count):
            if any(names(other, instant) for other in busier):
                yield instant


def count_named(schedules: Sequence[Schedule], after: datetime, through: datetime) -> int:
    """Count the instants in (after, through] that any of the schedules names; beyond EXACT, what the sum says."""
    total = sum(schedule.count(after, through) for schedule in schedules)
    if len(schedules) == 1 or not _few(schedules, after, through):
        return total
    return total - sum(1 for _ in repeats(schedules, after, through))


def count_excluded(triggers: Sequence[PlannedTrigger], after: datetime, through: datetime) -> int:
    """Count the instants in (after, through] that exclusions leave out, for every trigger that names them."""
    taken = sum(t.excluded.count(after, through) for t in triggers if t.excluded is not None)
    named = [trigger.schedule for trigger in triggers]
    if len(triggers) == 1 or not taken or not _few(named, after, through):
        return taken
    return count_named(named, after, through) - count_named([t.open for t in triggers], after, through)


def _few(schedules: Sequence[Schedule], after: datetime, through: datetime) -> bool:
    """Whether what is walked may be walked: all but the schedule that names the most."""
    return sum(sorted(schedule.count(after, through) for schedule in schedules)[:-1]) <= EXACT
