"""The definition's status: what happened, what is happening, what comes next, for people and for `kubectl get`."""

import heapq
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice

from carillon.api.conditions import Condition
from carillon.api.jobrun import Phase, TriggerType
from carillon.api.scheduledjob import (
    ActiveRun,
    Counts,
    Display,
    Execution,
    JobClass,
    ScheduledJobStatus,
    Skip,
    TriggerStatus,
)
from carillon.engine import eventruns
from carillon.engine.disabling import SECOND, disabled_until, why_disabled
from carillon.engine.due import MISSED_AFTER, Resolution
from carillon.engine.history import Current, backfills, caught_up, execution, let_go, record, unrecorded
from carillon.engine.model import Definition, Job, Observations
from carillon.engine.native import Native
from carillon.engine.skips import coalesce
from carillon.engine.start_time import early, expected_start
from carillon.engine.starting import NAME_TAKEN
from carillon.engine.triggers import anchored

NEXT_EXECUTIONS = 5
ACTIVE_LINES = 50
ACCEPTED, INVALID_SPEC, TEMPLATE_REFUSED, CHECKING = "Accepted", "InvalidSpec", "JobTemplateRefused", "Checking"
_OUTCOMES = (Phase.SUCCEEDED, Phase.FAILED, Phase.STOPPED)


def summarise(
    definition: Definition,
    *,
    currents: Sequence[Current],
    jobs: Sequence[Job],
    active: int,
    resolution: Resolution,
    suspended_since: datetime | None,
    auto_start_run: str | None,
    stalled: str,
    observations: Observations,
    backend: Native,
    now: datetime,
) -> ScheduledJobStatus:
    """Build the status that the definition should have; equal to the present one when nothing changed."""
    old = caught_up(definition.status, jobs)
    finished = [c for c in currents if c.phase.finished]
    counted, history, recorded_through = record(old, unrecorded(old, currents), now, definition.history_cleared)
    last = _last_execution(old, currents)
    skips = coalesce(definition, resolution.watermarks, old.skips, resolution.skips)
    unfinished = sorted((c for c in currents if not c.phase.finished), key=lambda c: (c.run.created, c.run.name))
    overdue = _overdue(definition, resolution, unfinished, now)
    conditions = _conditions(definition, last, overdue, stalled, observations, backend, now)
    until = disabled_until(definition, now)
    disabled = definition.suspended(now) and until is None
    nobody_fires = disabled or definition.invalid or backend.refusal is not None
    resumes = now if until is None else until - SECOND
    upcoming = () if nobody_fires else _next(definition, resolution.watermarks, resumes)
    return ScheduledJobStatus(
        observed_generation=definition.generation,
        display=_display(definition, conditions, unfinished, overdue, last, upcoming, now),
        next_executions=upcoming,
        last_execution=last,
        last_schedule_time=_latest(
            [old.last_schedule_time],
            (
                c.run.spec.scheduled_time
                for c in currents
                if c.status.start_time and c.run.spec.trigger.type is TriggerType.PERIODIC
            ),
        ),
        last_successful_time=_latest([old.last_successful_time], _ends(finished, Phase.SUCCEEDED)),
        last_failed_time=_latest([old.last_failed_time], _ends(finished, Phase.FAILED)),
        active=tuple(ActiveRun(name=c.run.name, phase=c.phase.value) for c in unfinished[:ACTIVE_LINES]),
        counts=_counts(
            old.counts, counted, resolution.skips, active, [c.phase for c in unfinished].count(Phase.QUEUED)
        ),
        history=history,
        recorded_through=recorded_through,
        skips=skips,
        triggers=resolution.watermarks if not _unreadable(definition) else old.triggers,
        backfills=backfills(old, counted),
        events=eventruns.counts(definition, observations),
        suspended_since=suspended_since,
        auto_start_run=auto_start_run,
        conditions=conditions,
    )


def _unreadable(definition: Definition) -> bool:
    if definition.spec is None:
        return True
    return len(definition.triggers) != sum(trigger.event is None for trigger in definition.spec.triggers)


def _last_execution(old: ScheduledJobStatus, currents: Sequence[Current]) -> Execution | None:
    # A run whose Job was refused for good never started; it is an outcome all the same.
    known = [c for c in currents if c.status.start_time is not None or c.phase in _OUTCOMES]
    newest = max(known, key=lambda c: (_began(c), c.run.created, c.run.name), default=None)
    before = old.last_execution
    if newest is None:
        return before
    earlier = before and (before.start_time or before.completion_time)
    return before if earlier and earlier > _began(newest) else execution(newest)


def _began(current: Current) -> datetime:
    return current.status.start_time or current.status.completion_time or current.run.created


def _counts(old: Counts, counted: Sequence[Current], skips: Sequence[Skip], active: int, queued: int) -> Counts:
    ended = [c.phase for c in counted if not let_go(c)]
    return Counts(
        active=active,
        queued=queued,
        succeeded=old.succeeded + ended.count(Phase.SUCCEEDED),
        failed=old.failed + ended.count(Phase.FAILED),
        stopped=old.stopped + ended.count(Phase.STOPPED),
        skipped=old.skipped + ended.count(Phase.SKIPPED) + sum(skip.count for skip in skips),
    )


def _overdue(
    definition: Definition, resolution: Resolution, unfinished: Sequence[Current], now: datetime
) -> datetime | None:
    """The oldest due time whose run should have started 60 s ago and has not."""
    starts = [(due.starts_at, due.instant) for due in resolution.fire]
    for current in unfinished:
        if current.status.start_time is not None or early(definition, current.run, now) is not None:
            continue
        if current.phase is Phase.PAUSED:
            continue  # somebody wants it to wait
        start, due = expected_start(definition, current.run, now), current.run.spec.scheduled_time
        if start is not None and due is not None:
            starts.append((start, due))
    return min((due for start, due in starts if now - start >= MISSED_AFTER), default=None)


def _next(definition: Definition, marks: tuple[TriggerStatus, ...], now: datetime) -> tuple[datetime, ...]:
    streams = (
        trigger.open.upcoming(max(now, mark.handled_through), NEXT_EXECUTIONS)
        for trigger, mark in anchored(definition, marks)
    )
    merged = dict.fromkeys(heapq.merge(*streams))
    return tuple(islice(merged, NEXT_EXECUTIONS))


def template_verdict(definition: Definition, observations: Observations) -> str | None:
    """Why the API server refuses the Job template; empty when it does not; None when that is not known yet."""
    check = observations.template_check
    if check is not None and check.generation == definition.generation:
        return check.error
    return "" if _is_accepted(definition) else None


def _is_accepted(definition: Definition) -> bool:
    """Whether the definition, as it is now, was accepted before."""
    ready = _condition(definition.status.conditions, "Ready")
    return ready is not None and ready.observed_generation == definition.generation and ready.reason == ACCEPTED


def _condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    return next((c for c in conditions if c.type == kind), None)


def _conditions(
    definition: Definition,
    last: Execution | None,
    overdue: datetime | None,
    stalled: str,
    observations: Observations,
    backend: Native,
    now: datetime,
) -> tuple[Condition, ...]:
    verdict = template_verdict(definition, observations)
    wanted: list[tuple[str, str, str, str]] = []
    if definition.invalid:
        wanted += [
            ("Ready", "False", INVALID_SPEC, definition.invalid),
            ("Stalled", "True", INVALID_SPEC, definition.invalid),
        ]
    elif backend.refusal is not None:
        wanted += [("Ready", "False", *backend.refusal), ("Stalled", "True", *backend.refusal)]
    elif (refused := eventruns.refusal(definition, observations)) is not None:
        wanted += [("Ready", "False", *refused), ("Stalled", "True", *refused)]
    elif verdict is None:
        wanted.append(("Ready", "Unknown", CHECKING, "the Job template has not been checked by the API server yet"))
    elif verdict:
        wanted += [("Ready", "False", TEMPLATE_REFUSED, verdict), ("Stalled", "True", TEMPLATE_REFUSED, verdict)]
    elif not (eventruns.watched(definition, observations) or _is_accepted(definition)):
        wanted.append(("Ready", "Unknown", CHECKING, "what the event triggers watch is not watched yet"))
    else:
        wanted.append(("Ready", "True", ACCEPTED, "the definition is accepted"))
    if stalled and not any(kind == "Stalled" for kind, *_ in wanted):
        wanted.append(("Stalled", "True", NAME_TAKEN, stalled))
    if last is not None and last.phase in _OUTCOMES:
        succeeded = last.phase == Phase.SUCCEEDED
        text = f"{last.run}: {last.message}" if last.message else last.run
        wanted.append(("LastRunSucceeded", "True" if succeeded else "False", last.reason or last.phase, text))
    elif (kept := _condition(definition.status.conditions, "LastRunSucceeded")) is not None:
        wanted.append((kept.type, kept.status, kept.reason, kept.message))
    if definition.suspended(now):
        wanted.append(("Disabled", "True", "Suspended", f"disabled{why_disabled(definition)}"))
    if backend.condition is not None:
        wanted.append(backend.condition)
    if (filters := eventruns.filters_condition(definition, observations)) is not None:
        wanted.append(filters)
    if backend.keeps_time:
        pass  # nobody can say whether the CronJob controller is late (design 3.13)
    elif overdue is not None:
        text = f"due at {overdue:%Y-%m-%d %H:%M:%SZ} and not started"
        wanted.append(("OnTime", "False", "Overdue", text))
    else:
        wanted.append(("OnTime", "True", "StartedOnTime", "every run that was due has started or is accounted for"))
    return tuple(_carry(definition, *item, now=now) for item in wanted)


def _carry(definition: Definition, kind: str, status: str, reason: str, message: str, *, now: datetime) -> Condition:
    old = _condition(definition.status.conditions, kind)
    since = old.last_transition_time if old is not None and old.status == status else now.replace(microsecond=0)
    return Condition(
        type=kind,
        status=status,
        observed_generation=definition.generation,
        last_transition_time=since,
        reason=reason,
        message=message[:1024],
    )


def _display(
    definition: Definition,
    conditions: Iterable[Condition],
    unfinished: Sequence[Current],
    overdue: datetime | None,
    last: Execution | None,
    upcoming: Sequence[datetime],
    now: datetime,
) -> Display:
    spec = definition.spec
    ready = _condition(conditions, "Ready")
    phases = {c.phase for c in unfinished}
    if ready is not None and ready.status == "False":
        state = "Invalid"
    elif Phase.RUNNING in phases:
        state = "Running"
    elif Phase.PAUSED in phases:
        state = "Paused"
    elif Phase.QUEUED in phases:
        state = "Queued"
    elif definition.suspended(now):
        state = "Disabled"
    elif overdue is not None:
        state = "Overdue"
    elif last is not None and last.phase in _OUTCOMES:
        state = last.phase
    else:
        state = "Waiting"
    system = spec is not None and spec.class_ is JobClass.SYSTEM
    return Display(
        trigger=eventruns.trigger_column(definition),
        label=(spec.label if spec is not None else "") or definition.key.name,
        owner=(spec.owner if spec is not None else "") or ("system" if system else ""),
        last_execution=_shown(last.start_time or last.completion_time) if last is not None else "",
        status=state,
        next=_shown(upcoming[0] if upcoming else None),
        schedule=", ".join([*(t.text for t in definition.triggers), *(t.text for t in definition.events)])[:300],
    )


def _shown(instant: datetime | None) -> str:
    if instant is None:
        return ""
    return f"{instant:%Y-%m-%d %H:%MZ}" if instant.second == 0 else f"{instant:%Y-%m-%d %H:%M:%SZ}"


def _ends(finished: Iterable[Current], phase: Phase) -> Iterable[datetime | None]:
    return (c.status.completion_time for c in finished if c.phase is phase)


def _latest(old: Iterable[datetime | None], new: Iterable[datetime | None]) -> datetime | None:
    return max((instant for instant in (*old, *new) if instant is not None), default=None)


def second(now: datetime) -> datetime:
    """The moment as the API keeps it: whole seconds."""
    return now - timedelta(microseconds=now.microsecond)
