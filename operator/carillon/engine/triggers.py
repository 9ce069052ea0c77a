"""A definition's triggers with their watermarks: since when each counts, how far it has come, when a run starts."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from carillon.api.scheduledjob import TriggerStatus
from carillon.engine.model import Definition, PlannedTrigger
from carillon.schedule import Schedule, start_of

SECOND = timedelta(seconds=1)


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


def anchored(
    definition: Definition, marks: Iterable[TriggerStatus]
) -> tuple[tuple[PlannedTrigger, TriggerStatus], ...]:
    """Pair triggers with their watermarks; `@every` counts from the moment since which the trigger counts."""
    return tuple((bound(trigger, mark), mark) for trigger, mark in zip(definition.triggers, marks, strict=True))


def bound(trigger: PlannedTrigger, mark: TriggerStatus) -> PlannedTrigger:
    """Give the trigger the schedules that count from its watermark's since."""
    return bound_to(trigger, mark.since)


def bound_to(trigger: PlannedTrigger, since: datetime) -> PlannedTrigger:
    """Give the trigger the schedules that count from a moment."""
    schedule = trigger.schedule.anchored(since)
    if schedule is trigger.schedule:
        return trigger
    excluded = trigger.excluded.anchored(since) if trigger.excluded is not None else None
    return replace(trigger, schedule=schedule, open=trigger.open.anchored(since), excluded=excluded)


def starts_at(trigger: PlannedTrigger, due: datetime) -> datetime:
    """When the run of a due time is to start: at the due time, or after its jitter."""
    if not trigger.jitter_seconds:
        return due
    return start_of(trigger.schedule, trigger.seed, due, trigger.jitter_seconds, trigger.closed)


def opens_again(trigger: PlannedTrigger, now: datetime) -> datetime | None:
    """When the exclusion ends in which `now` lies; None where none does."""
    return trigger.closed.opens_after(now) if trigger.closed is not None else None


def names_instant(trigger: PlannedTrigger, instant: datetime) -> bool:
    """Whether the trigger is due at this very instant, excluded or not."""
    return names(trigger.schedule, instant)


def names(schedule: Schedule, instant: datetime) -> bool:
    """Whether the schedule is due at this very instant."""
    return schedule.next_after(instant - SECOND) == instant
