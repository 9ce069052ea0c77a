"""Which due times have come, and what becomes of each: a run, or a line in skips (design 3.1 to 3.3).

The watermark of a trigger (`handledThrough`) passes a due time only once the due time is resolved: its run exists or
its skip is recorded in the same status. Calling this again with the same inputs gives the same answer.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from carillon.api.scheduledjob import CatchUp, CatchUpPolicy, ConcurrencyPolicy, Skip, TriggerStatus
from carillon.engine.model import Definition, PlannedTrigger
from carillon.engine.skips import SkipReason, late_lines, lines, oldest_first
from carillon.engine.triggers import SECOND, anchored, names, names_instant, opens_again, starts_at

MISSED_AFTER = timedelta(seconds=60)
"""A due time that has not fired this long after is missed (design 3.3)."""


@dataclass(frozen=True, slots=True)
class Due:
    """One instant at which the definition is due, and the triggers that name it."""

    instant: datetime
    triggers: tuple[str, ...]
    starts_at: datetime
    """When the run is to start: the earliest that one of the triggers says, which comes first."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What becomes of the due times up to now."""

    fire: tuple[Due, ...]
    """Due times that need a run that does not exist yet, oldest first."""
    watermarks: tuple[TriggerStatus, ...]
    skips: tuple[Skip, ...]
    """New lines, oldest first."""
    next_due: datetime | None
    """When the next due time comes."""


@dataclass(frozen=True, slots=True)
class _View:
    """One trigger at one moment: what of it is fresh, and what is late."""

    trigger: PlannedTrigger
    mark: TriggerStatus
    fresh: tuple[datetime, ...]
    """Due times whose start is at most MISSED_AFTER ago, or to come, oldest first."""
    late_through: datetime
    """Open due times up to here are missed, unless they have a run."""


def _view(trigger: PlannedTrigger, mark: TriggerStatus, now: datetime) -> _View:
    earliest = now - MISSED_AFTER
    after = max(mark.handled_through, earliest - timedelta(seconds=trigger.jitter_seconds))
    recent = trigger.open.newest(after, now, int(MISSED_AFTER.total_seconds()) + 2)
    fresh = tuple(due for due in recent if starts_at(trigger, due) > earliest)
    return _View(trigger, mark, fresh, fresh[0] - SECOND if fresh else now)


def resolve(
    definition: Definition,
    marks: tuple[TriggerStatus, ...],
    *,
    ran: Collection[datetime],
    room: int | None,
    now: datetime,
) -> Resolution:
    """Decide what becomes of every due time after the watermarks, up to now.

    Args:
        definition: an enabled, valid definition.
        marks: its watermarks, one a trigger, in the order of the triggers.
        ran: due times whose run exists.
        room: how many of the due times may have a run that starts or waits for a slot; None: any number.
        now: the time of the decision.
    """
    assert definition.spec is not None
    views = [_view(trigger, mark, now) for trigger, mark in anchored(definition, marks)]
    deadline_seconds = definition.spec.starting_deadline_seconds
    deadline = None
    if deadline_seconds is not None:
        deadline = now.replace(microsecond=0) - timedelta(seconds=deadline_seconds)

    fresh = _merge((view.trigger, due) for view in views for due in view.fresh)
    catching_up = missed(definition.spec.catch_up, views, deadline, superseded=bool(fresh))
    catch_up_waits = definition.spec.catch_up.policy is CatchUpPolicy.ALL

    fire: list[Due] = []
    chosen: set[datetime] = set()  # due times that have a run or get one
    refused: dict[datetime, SkipReason] = {}
    # What is due now comes first: what was missed waits for its turn anyway.
    for late, candidate in (*((False, due) for due in fresh), *((True, due) for due in catching_up)):
        # Its run is not to start now: concurrency is decided when it is (carillon.engine.start_time).
        waits = candidate.starts_at > now or (late and (catch_up_waits or _closed(candidate, views, now)))
        if candidate.instant in chosen or candidate.instant in refused:
            continue
        if candidate.instant in ran:
            chosen.add(candidate.instant)
        elif deadline is not None and candidate.starts_at < deadline:
            refused[candidate.instant] = SkipReason.DEADLINE_EXCEEDED
        elif room == 0 and not waits:
            queues = definition.spec.concurrency.policy is ConcurrencyPolicy.QUEUE
            refused[candidate.instant] = SkipReason.QUEUE_FULL if queues else SkipReason.CONCURRENCY_FORBID
        else:
            fire.append(candidate)
            chosen.add(candidate.instant)
            if room is not None and not waits:
                room -= 1

    waiting = {due.instant for due in fire}
    skips: list[Skip] = []
    moved: list[TriggerStatus] = []
    for view in views:
        trigger, after = view.trigger, view.mark.handled_through
        # An unresolved due time holds the watermark just before itself.
        unresolved = min((i for i in waiting if i > after and names_instant(trigger, i)), default=None)
        through = now if unresolved is None else unresolved - SECOND
        late_through = min(view.late_through, through)
        accounted = sorted(i for i in {*ran, *chosen, *refused} if after < i <= through)
        skips += late_lines(trigger, after, late_through, [i for i in accounted if i <= late_through], deadline)
        if trigger.excluded is not None:
            skips += lines(trigger, trigger.excluded, after, through, accounted, SkipReason.EXCLUDED)
        skips += [
            Skip(trigger=trigger.name, from_=instant, to=instant, count=1, reason=reason)
            for instant, reason in sorted(refused.items())
            if after < instant <= through and names(trigger.open, instant)
        ]
        newest = trigger.schedule.latest_through(through, after=after)
        moved.append(view.mark if newest is None else view.mark.model_copy(update={"handled_through": newest}))
    return Resolution(
        fire=tuple(fire),
        watermarks=tuple(moved),
        skips=oldest_first(skips),
        next_due=next_due(definition, moved, now),
    )


def _closed(candidate: Due, views: Sequence[_View], now: datetime) -> bool:
    """Whether an exclusion of all the triggers that name the due time has begun, so that its run is put off."""
    triggers = (view.trigger for view in views if view.trigger.name in candidate.triggers)
    return all(opens_again(trigger, now) is not None for trigger in triggers)


def missed(policy: CatchUp, views: Sequence[_View], deadline: datetime | None, *, superseded: bool) -> list[Due]:
    """The missed due times that get a run, oldest first (design 3.3).

    Args:
        policy: spec.catchUp.
        views: the triggers at this moment.
        deadline: due times before it are too late; None where there is no deadline.
        superseded: a newer due time has come that runs anyway.
    """
    if policy.policy is CatchUpPolicy.SKIP or (policy.policy is CatchUpPolicy.LATEST and superseded):
        return []
    limit = policy.limit if policy.policy is CatchUpPolicy.ALL else 1
    named: list[tuple[PlannedTrigger, datetime]] = []
    for view in views:
        after = view.mark.handled_through
        if policy.policy is CatchUpPolicy.ALL and deadline is not None:
            # The deadline counts from the start, which jitter puts off.
            after = max(after, deadline - SECOND - timedelta(seconds=view.trigger.jitter_seconds))
        if after < view.late_through:
            named += ((view.trigger, due) for due in view.trigger.open.newest(after, view.late_through, limit))
    return _merge(named)[-limit:]


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
        skips += lines(trigger, trigger.schedule, mark.handled_through, now, accounted, reason)
        instant = max(mark.handled_through, now.replace(microsecond=0))
        # A resume counts anew; what was invalid through no edit of the trigger's own goes on as it counted.
        since = instant if reason is SkipReason.SUSPENDED else mark.since
        moved.append(mark.model_copy(update={"since": since, "handled_through": instant}))
    due = next_due(definition, moved, now)
    return Resolution(fire=(), watermarks=tuple(moved), skips=oldest_first(skips), next_due=due)


def with_skips(
    definition: Definition,
    before: Sequence[TriggerStatus],
    resolution: Resolution,
    instants: Collection[datetime],
    reason: SkipReason,
) -> Resolution:
    """Add a line for each of the instants that the watermarks have passed since `before`."""
    found = [
        Skip(trigger=trigger.name, from_=instant, to=instant, count=1, reason=reason)
        for (trigger, mark), old in zip(anchored(definition, resolution.watermarks), before, strict=True)
        for instant in instants
        if old.handled_through < instant <= mark.handled_through and names(trigger.open, instant)
    ]
    return replace(resolution, skips=oldest_first([*resolution.skips, *found])) if found else resolution


def next_due(definition: Definition, marks: Iterable[TriggerStatus], now: datetime) -> datetime | None:
    """First due time after now, over all triggers."""
    upcoming = (
        trigger.schedule.next_after(max(now, mark.handled_through)) for trigger, mark in anchored(definition, marks)
    )
    return min((due for due in upcoming if due is not None), default=None)


def _merge(named: Iterable[tuple[PlannedTrigger, datetime]]) -> list[Due]:
    merged: dict[datetime, list[tuple[datetime, str]]] = {}
    for trigger, instant in named:
        merged.setdefault(instant, []).append((starts_at(trigger, instant), trigger.name))
    found = []
    for instant, starts in sorted(merged.items()):
        starts.sort(key=lambda start: start[0])  # stable: of equals, the first in the definition
        found.append(Due(instant, tuple(name for _, name in starts), starts[0][0]))
    return found


def nothing(definition: Definition, marks: tuple[TriggerStatus, ...]) -> Resolution:
    """Resolve nothing: a disabled definition keeps its watermarks until it is resumed."""
    return Resolution(fire=(), watermarks=marks, skips=(), next_due=None)
