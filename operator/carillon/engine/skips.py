"""Due times without a run, as lines of status.skips: counted by arithmetic, neighbours with one reason together."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from carillon.api.scheduledjob import Skip, TriggerStatus
from carillon.engine.model import Definition, PlannedTrigger
from carillon.engine.triggers import SECOND, anchored, names
from carillon.schedule import Schedule

SKIP_LINES = 20
LINE_SPAN = timedelta(days=31)
"""What a line may stand for where there are exclusions: counting among them takes its time."""


class SkipReason(StrEnum):
    """Why a due time made no run."""

    CONCURRENCY_FORBID = "ConcurrencyForbid"
    QUEUE_FULL = "QueueFull"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    CATCH_UP = "CatchUp"
    SUSPENDED = "Suspended"
    INVALID = "Invalid"
    EXCLUDED = "Excluded"
    NAME_TAKEN = "NameTaken"


def schedule_of(trigger: PlannedTrigger, reason: str) -> Schedule:
    """The due times that a line of skips with this reason counts."""
    if reason in (SkipReason.SUSPENDED, SkipReason.INVALID):
        return trigger.schedule
    if reason == SkipReason.EXCLUDED:
        return trigger.excluded or trigger.schedule
    return trigger.open


def coalesce(
    definition: Definition, marks: Iterable[TriggerStatus], recorded: tuple[Skip, ...], new: Iterable[Skip]
) -> tuple[Skip, ...]:
    """Add new skips to the recorded ones, newest first.

    Neighbours in the schedule with one reason share a line, as far as the trigger has counted since: an edit or a
    resume begins a new one.
    """
    pairs = {trigger.name: (trigger, mark.since) for trigger, mark in anchored(definition, marks)}
    known = list(recorded)
    for skip in new:
        same = (i for i, line in enumerate(known) if (line.trigger, line.reason) == (skip.trigger, skip.reason))
        index = next(same, None)
        if index is not None and skip.trigger in pairs:
            line, (trigger, since) = known[index], pairs[skip.trigger]
            if line.from_ > since and _continues(trigger, line, skip):
                skip = line.model_copy(update={"to": skip.to, "count": line.count + skip.count})
                del known[index]
        known.insert(0, skip)
    return tuple(known[:SKIP_LINES])


def _continues(trigger: PlannedTrigger, line: Skip, skip: Skip) -> bool:
    """Whether new skips are the next ones behind those of a line."""
    schedule = schedule_of(trigger, skip.reason)
    if schedule.next_after(line.to) != skip.from_ or (trigger.closed_by and skip.to - line.from_ > LINE_SPAN):
        return False
    return still_counts(trigger, line)


def still_counts(trigger: PlannedTrigger, line: Skip) -> bool:
    """Whether what a line has counted is what would be counted today: from the same end to the other, as many.

    Exclusions can be edited, and a Calendar be another one, without the trigger counting anew.
    """
    schedule = schedule_of(trigger, line.reason)
    if not (names(schedule, line.from_) and names(schedule, line.to)):
        return False
    return schedule.count(line.from_ - SECOND, line.to) == line.count


def tells_of(line: Skip, trigger: PlannedTrigger, instant: datetime) -> bool:
    """Whether a line stands for a due time of a trigger, as far as today's exclusions can tell."""
    inside = line.trigger == trigger.name and line.from_ <= instant <= line.to
    return inside and names(schedule_of(trigger, line.reason), instant) and still_counts(trigger, line)


def late_lines(
    trigger: PlannedTrigger, after: datetime, through: datetime, accounted: list[datetime], deadline: datetime | None
) -> list[Skip]:
    """Lines for the missed due times in (after, through] that get no run."""
    if deadline is None or deadline <= after:
        return lines(trigger, trigger.open, after, through, accounted, SkipReason.CATCH_UP)
    # A due time exactly at the deadline is still in time.
    boundary = min(deadline - SECOND, through)
    early, rest = [i for i in accounted if i <= boundary], [i for i in accounted if i > boundary]
    return [
        *lines(trigger, trigger.open, after, boundary, early, SkipReason.DEADLINE_EXCEEDED),
        *lines(trigger, trigger.open, boundary, through, rest, SkipReason.CATCH_UP),
    ]


def lines(
    trigger: PlannedTrigger,
    schedule: Schedule,
    after: datetime,
    through: datetime,
    accounted: list[datetime],
    reason: SkipReason,
) -> list[Skip]:
    """One line for each stretch of due times in (after, through] between those already accounted for."""
    found: list[Skip] = []
    start = after
    for end in (*(instant for instant in accounted if names(schedule, instant)), None):
        last = through if end is None else end - SECOND
        count = schedule.count(start, last) if last > start else 0
        if count:
            first, newest = schedule.next_after(start), schedule.latest_through(last, after=start)
            assert first is not None
            assert newest is not None
            found.append(Skip(trigger=trigger.name, from_=first, to=newest, count=count, reason=reason))
        if end is not None:
            start = end
    return found


def oldest_first(skips: Iterable[Skip]) -> tuple[Skip, ...]:
    """Put lines in the order in which they are recorded."""
    # By their ends: what the twenty lines of the status have lost is older than the oldest of them.
    return tuple(sorted(skips, key=lambda skip: (skip.to, skip.from_)))
