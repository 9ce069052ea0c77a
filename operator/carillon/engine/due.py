"""Which due times have come, and what becomes of each: a run, or a line in skips (design 3.1 to 3.3).

The watermark of a trigger (`handledThrough`) passes a due time only once the due time is resolved: its run exists or
its skip is recorded in the same status. Calling this again with the same inputs gives the same answer.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from carillon.api.scheduledjob import ConcurrencyPolicy, Skip, TriggerStatus
from carillon.engine.model import Definition, PlannedTrigger

MISSED_AFTER = timedelta(seconds=60)
"""A due time that has not fired this long after is missed (design 3.3)."""

SKIP_LINES = 20


class SkipReason(StrEnum):
    """Why a due time made no run."""

    CONCURRENCY_FORBID = "ConcurrencyForbid"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    CATCH_UP = "CatchUp"
    SUSPENDED = "Suspended"
    INVALID = "Invalid"


@dataclass(frozen=True, slots=True)
class Due:
    """One instant at which the definition is due, and the triggers that name it."""

    instant: datetime
    triggers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """What becomes of the due times up to now."""

    fire: tuple[Due, ...]
    """Due times that need a run that does not exist yet, oldest first."""
    watermarks: tuple[TriggerStatus, ...]
    skips: tuple[Skip, ...]
    """New lines, oldest first."""
    next_due: datetime | None
    """The first due time after now, over all triggers."""


def watermarks(definition: Definition, now: datetime) -> tuple[TriggerStatus, ...]:
    """Carry the watermarks over to the definition's triggers of today.

    A trigger counts since the creation when the definition is new, else since the change was first seen: edits never
    fire. Nobody knows when a definition was edited that was never seen before, so that edit counts as seen now.
    """
    known = {mark.name: mark for mark in definition.status.triggers}
    new = definition.status.observed_generation == 0 and definition.generation == 1
    since = definition.created if new else now.replace(microsecond=0)
    marks = []
    for trigger in definition.triggers:
        mark = known.get(trigger.name)
        if mark is None or mark.spec_hash != trigger.spec_hash:
            mark = TriggerStatus(name=trigger.name, spec_hash=trigger.spec_hash, since=since, handled_through=since)
        marks.append(mark)
    return tuple(marks)


def resolve(
    definition: Definition, marks: tuple[TriggerStatus, ...], *, ran: Collection[datetime], busy: bool, now: datetime
) -> Resolution:
    """Decide what becomes of every due time after the watermarks, up to now.

    Args:
        definition: an enabled, valid definition.
        marks: its watermarks, one a trigger, in the order of the triggers.
        ran: due times whose run exists.
        busy: concurrency forbids another run now.
        now: the time of the decision.
    """
    assert definition.spec is not None
    pairs = anchored(definition, marks)
    missed_through = now - MISSED_AFTER
    deadline_seconds = definition.spec.starting_deadline_seconds
    deadline = None
    if deadline_seconds is not None:
        deadline = now.replace(microsecond=0) - timedelta(seconds=deadline_seconds)

    fresh = _merge(
        (trigger, due)
        for trigger, mark in pairs
        for due in _walk(trigger, max(mark.handled_through, missed_through), now)
    )
    late_newest = max(
        (
            due
            for trigger, mark in pairs
            if (due := trigger.schedule.latest_through(missed_through, after=mark.handled_through)) is not None
        ),
        default=None,
    )

    fire: list[Due] = []
    chosen: set[datetime] = set()  # due times that have a run or get one
    refused: dict[datetime, SkipReason] = {}
    candidates = list(fresh)
    if late_newest is not None and not fresh:
        names = tuple(t.name for t, m in pairs if m.handled_through < late_newest and names_instant(t, late_newest))
        candidates = [Due(late_newest, names)]
    for candidate in candidates:
        if candidate.instant in ran:
            chosen.add(candidate.instant)
        elif deadline is not None and candidate.instant < deadline:
            refused[candidate.instant] = SkipReason.DEADLINE_EXCEEDED
        elif busy:
            refused[candidate.instant] = SkipReason.CONCURRENCY_FORBID
        else:
            fire.append(candidate)
            chosen.add(candidate.instant)
            busy = definition.spec.concurrency.policy is ConcurrencyPolicy.FORBID

    waiting = {due.instant for due in fire}
    skips: list[Skip] = []
    moved: list[TriggerStatus] = []
    for trigger, mark in pairs:
        # An unresolved due time holds the watermark just before itself.
        unresolved = min((i for i in waiting if i > mark.handled_through and names_instant(trigger, i)), default=None)
        through = now if unresolved is None else unresolved - timedelta(seconds=1)
        late_through = min(missed_through, through)
        accounted = sorted(i for i in {*ran, *chosen, *refused} if mark.handled_through < i <= late_through)
        skips += _late_skips(trigger, mark.handled_through, late_through, accounted, deadline)
        skips += [
            Skip(trigger=trigger.name, from_=instant, to=instant, count=1, reason=reason)
            for instant, reason in sorted(refused.items())
            if mark.handled_through < instant <= through and names_instant(trigger, instant)
        ]
        newest = trigger.schedule.latest_through(through, after=mark.handled_through)
        moved.append(mark if newest is None else mark.model_copy(update={"handled_through": newest}))
    return Resolution(
        fire=tuple(fire),
        watermarks=tuple(moved),
        skips=_oldest_first(skips),
        next_due=next_due(definition, moved, now),
    )


def pass_over(
    definition: Definition,
    marks: tuple[TriggerStatus, ...],
    *,
    ran: Collection[datetime],
    reason: SkipReason,
    now: datetime,
) -> Resolution:
    """Resolve every due time up to now as not run for one reason: the time spent suspended, or invalid."""
    skips: list[Skip] = []
    moved: list[TriggerStatus] = []
    for trigger, mark in anchored(definition, marks):
        accounted = sorted(i for i in ran if mark.handled_through < i <= now)
        skips += _lines(trigger, mark.handled_through, now, accounted, reason)
        instant = max(mark.handled_through, now.replace(microsecond=0))
        moved.append(mark.model_copy(update={"since": instant, "handled_through": instant}))
    due = next_due(definition, moved, now)
    return Resolution(fire=(), watermarks=tuple(moved), skips=_oldest_first(skips), next_due=due)


def _oldest_first(skips: Iterable[Skip]) -> tuple[Skip, ...]:
    # By their ends: what the twenty lines of the status have lost is older than the oldest of them.
    return tuple(sorted(skips, key=lambda skip: (skip.to, skip.from_)))


def anchored(
    definition: Definition, marks: Iterable[TriggerStatus]
) -> tuple[tuple[PlannedTrigger, TriggerStatus], ...]:
    """Pair triggers with their watermarks; `@every` counts from the moment since which the trigger counts."""
    return tuple((bound(trigger, mark), mark) for trigger, mark in zip(definition.triggers, marks, strict=True))


def bound(trigger: PlannedTrigger, mark: TriggerStatus) -> PlannedTrigger:
    """Give the trigger the schedule that counts from its watermark's since."""
    schedule = trigger.schedule.anchored(mark.since)
    return trigger if schedule is trigger.schedule else replace(trigger, schedule=schedule)


def next_due(definition: Definition, marks: Iterable[TriggerStatus], now: datetime) -> datetime | None:
    """First due time after now, over all triggers."""
    upcoming = (
        trigger.schedule.next_after(max(now, mark.handled_through)) for trigger, mark in anchored(definition, marks)
    )
    return min((due for due in upcoming if due is not None), default=None)


def coalesce(
    definition: Definition, marks: Iterable[TriggerStatus], recorded: tuple[Skip, ...], new: Iterable[Skip]
) -> tuple[Skip, ...]:
    """Add new skips to the recorded ones, newest first.

    Neighbours in the schedule with one reason share a line, as far as the trigger has counted since: an edit or a
    resume begins a new one.
    """
    pairs = {trigger.name: (trigger.schedule, mark.since) for trigger, mark in anchored(definition, marks)}
    lines = list(recorded)
    for skip in new:
        index = next((i for i, line in enumerate(lines) if line.trigger == skip.trigger), None)
        if index is not None and skip.trigger in pairs:
            line, (schedule, since) = lines[index], pairs[skip.trigger]
            if line.reason == skip.reason and line.from_ > since and schedule.next_after(line.to) == skip.from_:
                skip = line.model_copy(update={"to": skip.to, "count": line.count + skip.count})
                del lines[index]
        lines.insert(0, skip)
    return tuple(lines[:SKIP_LINES])


def _walk(trigger: PlannedTrigger, after: datetime, through: datetime) -> list[datetime]:
    # At most a minute is walked, so at most 60 due times.
    return trigger.schedule.newest(after, through, int(MISSED_AFTER.total_seconds()) + 1)


def _merge(named: Iterable[tuple[PlannedTrigger, datetime]]) -> list[Due]:
    merged: dict[datetime, list[str]] = {}
    for trigger, instant in named:
        merged.setdefault(instant, []).append(trigger.name)
    return [Due(instant, tuple(names)) for instant, names in sorted(merged.items())]


def names_instant(trigger: PlannedTrigger, instant: datetime) -> bool:
    """Whether the trigger is due at this very instant."""
    return trigger.schedule.next_after(instant - timedelta(seconds=1)) == instant


def _late_skips(
    trigger: PlannedTrigger, after: datetime, through: datetime, accounted: list[datetime], deadline: datetime | None
) -> list[Skip]:
    """Lines for the missed due times in (after, through] that get no run."""
    if deadline is None or deadline <= after:
        return _lines(trigger, after, through, accounted, SkipReason.CATCH_UP)
    # A due time exactly at the deadline is still in time.
    boundary = min(deadline - timedelta(seconds=1), through)
    return [
        *_lines(trigger, after, boundary, [i for i in accounted if i <= boundary], SkipReason.DEADLINE_EXCEEDED),
        *_lines(trigger, boundary, through, [i for i in accounted if i > boundary], SkipReason.CATCH_UP),
    ]


def _lines(
    trigger: PlannedTrigger, after: datetime, through: datetime, accounted: list[datetime], reason: SkipReason
) -> list[Skip]:
    """One line for each stretch of due times in (after, through] between those already accounted for."""
    lines: list[Skip] = []
    start = after
    for end in (*(instant for instant in accounted if names_instant(trigger, instant)), None):
        last = through if end is None else end - timedelta(seconds=1)
        count = trigger.schedule.count(start, last) if last > start else 0
        if count:
            first, newest = trigger.schedule.next_after(start), trigger.schedule.latest_through(last, after=start)
            assert first is not None
            assert newest is not None
            lines.append(Skip(trigger=trigger.name, from_=first, to=newest, count=count, reason=reason))
        if end is not None:
            start = end
    return lines


def nothing(definition: Definition, marks: tuple[TriggerStatus, ...]) -> Resolution:
    """Resolve nothing: a disabled definition keeps its watermarks until it is resumed."""
    return Resolution(fire=(), watermarks=marks, skips=(), next_due=None)
