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
    """When the run is to start: the earliest that one of the triggers says."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What becomes of the due times up to now."""

    fire: tuple[Due, ...]
    """Due times that need a run that does not exist yet, oldest first."""
    watermarks: tuple[TriggerStatus, ...]
    skips: tuple[Skip, ...]
    """New lines, oldest first."""
    next_due: datetime | None
    """When the next due time comes, or one that has come is to start."""


@dataclass(frozen=True, slots=True)
class _View:
    """One trigger at one moment: what of it is fresh, late, or waits for its jitter."""

    trigger: PlannedTrigger
    mark: TriggerStatus
    through: datetime
    """Due times up to here can be resolved; a later one that has come waits for its start."""
    waits_until: datetime | None
    fresh: tuple[datetime, ...]
    """Due times whose start is at most MISSED_AFTER ago, oldest first."""
    late_through: datetime
    """Open due times up to here are missed, unless they have a run."""


def _view(trigger: PlannedTrigger, mark: TriggerStatus, now: datetime) -> _View:
    through, waits_until = now, None
    newest = trigger.open.latest_through(now, after=mark.handled_through)
    # Only the newest can wait: no due time starts after the next one (carillon.schedule.jitter).
    if newest is not None and (start := starts_at(trigger, newest)) > now:
        through, waits_until = newest - SECOND, start
    earliest = now - MISSED_AFTER
    after = max(mark.handled_through, earliest - timedelta(seconds=trigger.jitter_seconds))
    recent = trigger.open.newest(after, through, int(MISSED_AFTER.total_seconds()) + 2)
    fresh = tuple(due for due in recent if starts_at(trigger, due) > earliest)
    return _View(trigger, mark, through, waits_until, fresh, fresh[0] - SECOND if fresh else through)


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
    views = [_view(trigger, mark, now) for trigger, mark in anchored(definition, marks)]
    deadline_seconds = definition.spec.starting_deadline_seconds
    deadline = None
    if deadline_seconds is not None:
        deadline = now.replace(microsecond=0) - timedelta(seconds=deadline_seconds)

    fresh = _merge((view.trigger, due) for view in views for due in view.fresh)
    catching_up = missed(definition.spec.catch_up, views, deadline, superseded=bool(fresh))
    waits_its_turn = definition.spec.catch_up.policy is CatchUpPolicy.ALL

    # What was missed is made up for when it is open again: a closed time is no time to run.
    reopening = {view.trigger.name: opens_again(view.trigger, now) for view in views}
    held: set[datetime] = set()
    fire: list[Due] = []
    chosen: set[datetime] = set()  # due times that have a run or get one
    refused: dict[datetime, SkipReason] = {}
    # What is due now comes first: what was missed waits for its turn anyway.
    for late, candidate in (*((False, due) for due in fresh), *((True, due) for due in catching_up)):
        if candidate.instant in chosen or candidate.instant in refused:
            continue
        if candidate.instant in ran:
            chosen.add(candidate.instant)
        elif deadline is not None and candidate.starts_at < deadline:
            refused[candidate.instant] = SkipReason.DEADLINE_EXCEEDED
        elif late and all(reopening[name] is not None for name in candidate.triggers):
            held.add(candidate.instant)
        elif busy and not (late and waits_its_turn):
            refused[candidate.instant] = SkipReason.CONCURRENCY_FORBID
        else:
            fire.append(candidate)
            chosen.add(candidate.instant)
            busy = definition.spec.concurrency.policy is ConcurrencyPolicy.FORBID

    waiting = {due.instant for due in fire} | held
    skips: list[Skip] = []
    moved: list[TriggerStatus] = []
    for view in views:
        trigger, after = view.trigger, view.mark.handled_through
        # An unresolved due time holds the watermark just before itself.
        unresolved = min((i for i in waiting if i > after and names_instant(trigger, i)), default=None)
        through = view.through if unresolved is None else unresolved - SECOND
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
    wakes = [view.waits_until for view in views if view.waits_until is not None]
    wakes += [moment for moment in reopening.values() if held and moment is not None]
    if (upcoming := next_due(definition, moved, now)) is not None:
        wakes.append(upcoming)
    return Resolution(
        fire=tuple(fire), watermarks=tuple(moved), skips=oldest_first(skips), next_due=min(wakes, default=None)
    )


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
        moved.append(mark.model_copy(update={"since": instant, "handled_through": instant}))
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
    merged: dict[datetime, list[PlannedTrigger]] = {}
    for trigger, instant in named:
        merged.setdefault(instant, []).append(trigger)
    return [
        Due(instant, tuple(t.name for t in triggers), min(starts_at(t, instant) for t in triggers))
        for instant, triggers in sorted(merged.items(), key=lambda item: item[0])
    ]


def nothing(definition: Definition, marks: tuple[TriggerStatus, ...]) -> Resolution:
    """Resolve nothing: a disabled definition keeps its watermarks until it is resumed."""
    return Resolution(fire=(), watermarks=marks, skips=(), next_due=None)
