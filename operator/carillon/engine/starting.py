"""Runs that have no Job yet: start, wait, or refuse, each with its reason (design 3.3, 3.5)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.api.base import rfc3339
from carillon.api.jobrun import JobRunStatus, Phase, StepStatus, TriggerType
from carillon.api.scheduledjob import CatchUpPolicy, ConcurrencyPolicy
from carillon.engine import build, names
from carillon.engine.autostart import is_auto_start
from carillon.engine.concurrency import Place, Slots
from carillon.engine.disabling import why_disabled
from carillon.engine.due import MISSED_AFTER
from carillon.engine.ending import earlier
from carillon.engine.excerpt import MESSAGE_BYTES, beginning
from carillon.engine.model import Definition, Observations, Refusal, Run
from carillon.engine.parameters import refusal as parameter_refusal
from carillon.engine.pausing import NOT_STARTED, PAUSE_REQUESTED
from carillon.engine.pausing import ended as pausing_ended
from carillon.engine.plan import CreateJob
from carillon.engine.skips import SkipReason
from carillon.engine.start_time import CLOSED, JITTER, Early, early, expected_start, given_up, is_ahead
from carillon.engine.stopping import REQUESTED

STEP = "main"
"""Name of the only step of a run that has one Job."""
WAITING = "WaitingForSlot"
"""The reason of a run whose turn has not come: its place in the queue is its record."""
REPLACING = "Replacing"
"""The reason of a run that starts when the one is gone whose place it takes."""
JOB_REFUSED = "JobRefused"
NAME_TAKEN = "NameTaken"


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be done about a run without a Job; at most one of `create` and `status` is set."""

    create: CreateJob | None = None
    status: JobRunStatus | None = None
    """The status that the run should have."""
    replace: tuple[str, ...] = ()
    """UIDs of the runs that have to go first."""
    wake_at: datetime | None = None


def start(definition: Definition, run: Run, slots: Slots, observations: Observations, now: datetime) -> Start:
    """Decide about one run that has no Job; hands out a slot when it starts."""
    assert definition.spec is not None
    if run.spec.stop:
        return Start(status=_ended(run, REQUESTED.phase, REQUESTED.reason, REQUESTED.done, now))
    if is_ahead(run, now) and run.status.phase == "":
        # Nobody has to be told: its record is as it was made, and firing costs one request.
        return Start(wake_at=run.spec.scheduled_time)
    words = None if is_ahead(run, now) else refusal(definition, run, now)
    if words is not None:
        return Start(status=skipped(run, *words, now=now))
    if run.spec.suspend and not is_ahead(run, now):
        return _wait(definition, run, PAUSE_REQUESTED, NOT_STARTED, now, phase=Phase.PAUSED)
    if (put_off := early(definition, run, now)) is not None:
        return _put_off(definition, run, put_off, now)
    missed, patient = is_missed(run, definition), is_patient(run, definition)
    placed = has_place(run)
    slots.to_come -= placed and not patient
    refused = observations.refusals.get(run.uid)
    others = slots.in_the_way(run, Place.of(run, patient=patient), missed=missed)
    if others:
        return _without_slot(
            definition, run, slots, others, patient=patient, placed=placed, again_at=_again_at(refused, now), now=now
        )
    if refused is not None and refused.permanent:
        return Start(status=_ended(run, Phase.FAILED, JOB_REFUSED, refused.message, now))
    if slots.refused is None and refused is not None and refused.holds(now):
        slots.refused = refused
    if refused is not None and gives_up(refused, definition.spec.pending_timeout, now):
        return Start(status=_ended(run, Phase.FAILED, JOB_REFUSED, refused.message, now))
    if slots.refused is not None:
        # Its turn: the next ones do not overtake it, and would be refused as well. One that waits for its turn anyway
        # keeps no due time from its run.
        if not patient:
            slots.holders[run.uid] = run.name
        return _wait(definition, run, JOB_REFUSED, slots.refused.message, now, until=slots.refused.retry_at)
    candidates = names.job_names(run.name, run.uid, periodic=run.spec.trigger.type is TriggerType.PERIODIC)
    name = names.free(candidates, observations.taken_jobs)
    if name is None:
        listed = ", ".join(candidates)
        message = f"somebody else has Jobs of all names that its Job may have; delete them and run it again: {listed}"
        return Start(status=_ended(run, Phase.FAILED, NAME_TAKEN, message, now))
    slots.holders[run.uid] = run.name
    if missed:
        slots.catching_up.add(run.uid)
    create = CreateJob(
        run_uid=run.uid,
        name=name,
        body=build.job_body(definition, run, name),
        due_at=expected_start(definition, run, now),
        trigger=run.spec.trigger.type.value,
    )
    return Start(create=create)


def _put_off(definition: Definition, run: Run, put_off: Early, now: datetime) -> Start:
    """Let a run wait for its time; it is looked at again when it is too late for it, if that is before."""
    assert definition.spec is not None
    update: dict[str, object] = {
        "phase": Phase.SCHEDULED.value,
        "reason": put_off.reason,
        "message": put_off.message,
    }
    if put_off.reason == CLOSED and has_place(run):
        return _wait(definition, run, CLOSED, put_off.message, now, until=put_off.until)
    if put_off.reason == JITTER:
        update["start_after"] = put_off.until
    start, deadline_seconds = expected_start(definition, run, now), definition.spec.starting_deadline_seconds
    moments = [put_off.until]
    if start is not None and deadline_seconds is not None:
        moments.append(start + timedelta(seconds=deadline_seconds + 1))
    return Start(status=run.status.model_copy(update=update), wake_at=min(m for m in moments if m > now))


def until_mended(definition: Definition, run: Run) -> JobRunStatus:
    """Status of a run that waited for its time when its definition became one that cannot be scheduled."""
    message = f"waits until ScheduledJob {definition.key} is mended, which is not valid: {definition.invalid}"
    update = {"reason": SkipReason.INVALID.value, "message": beginning(message, MESSAGE_BYTES)}
    return run.status.model_copy(update=update)


def _without_slot(
    definition: Definition,
    run: Run,
    slots: Slots,
    others: dict[str, str],
    *,
    patient: bool,
    placed: bool,
    again_at: datetime | None,
    now: datetime,
) -> Start:
    """What becomes of a run that finds no free slot: as its definition's policy says."""
    policy, listed = slots.concurrency.policy, ", ".join(sorted(others.values())[:3])
    if policy is ConcurrencyPolicy.REPLACE and not patient:
        to_go = slots.to_go(run)
        slots.waiting += 1
        return _wait(definition, run, REPLACING, f"starts when {listed} is gone", now, until=again_at, replace=to_go)
    if policy is ConcurrencyPolicy.QUEUE and not patient and not placed:
        if slots.waiting + slots.to_come >= slots.queue_limit:
            message = f"{slots.queue_limit} runs wait already (spec.concurrency.queueLimit); {listed} is active"
            return Start(status=skipped(run, SkipReason.QUEUE_FULL, message, now=now))
    elif not (patient or placed):
        message = f"{listed} is active and spec.concurrency.policy is Forbid"
        return Start(status=skipped(run, SkipReason.CONCURRENCY_FORBID, message, now=now))
    number = slots.number(Place.of(run, patient=patient))
    slots.waiting += 1
    # Said once: who moves up in the line is not told, or each start would be a write for every run behind it.
    message = f"number {number} in the queue at {rfc3339(now)}; active then: {listed}"
    told = run.status.message if run.status.reason == WAITING else message
    return _wait(definition, run, WAITING, told, now, until=again_at)


def has_place(run: Run) -> bool:
    """Whether a run was told to wait for its turn; it keeps its place whatever becomes of the policy."""
    return run.status.phase == Phase.QUEUED.value and run.status.reason in (WAITING, REPLACING, JOB_REFUSED, CLOSED)


def gives_up(refused: Refusal, timeout: timedelta, now: datetime) -> bool:
    """Whether a Job has been refused for too long: judged on an answer that is new, and never on an old one."""
    return refused.holds(now) and now - (refused.since or now) >= timeout


def _again_at(refused: Refusal | None, now: datetime) -> datetime | None:
    """When a run counts among those that could start again."""
    return refused.retry_at if refused is not None and refused.holds(now) else None


def refusal(definition: Definition, run: Run, now: datetime) -> tuple[str, str] | None:
    """Why a run may not start at all: reason and message; None when it may."""
    assert definition.spec is not None
    key = definition.key
    if run.spec.trigger.type is TriggerType.PERIODIC and disabled(definition, now):
        return "Suspended", f"ScheduledJob {key} was disabled before the run had started"
    if definition.suspended(now) and not run.spec.force:
        return "Disabled", (
            f"ScheduledJob {key} is disabled{why_disabled(definition)} (spec.suspend: true); enable it, or set "
            "spec.force: true in the JobRun"
        )
    if definition.invalid:
        return "Invalid", f"ScheduledJob {key} is not valid: {definition.invalid}"
    if wrong := parameter_refusal(definition.spec.parameters, run.spec.parameters):
        return "InvalidParameters", wrong
    if (words := given_up(definition, run, now)) is not None:
        return words
    if run.spec.trigger.type is TriggerType.BACKFILL and run.spec.scheduled_time and run.spec.scheduled_time > now:
        return "NotDue", f"a backfill is of the past; spec.scheduledTime is {rfc3339(run.spec.scheduled_time)}"
    seconds, due = definition.spec.starting_deadline_seconds, expected_start(definition, run, now)
    if due is not None and seconds is not None and now > due + timedelta(seconds=seconds):
        late = int((now - due).total_seconds())
        return "DeadlineExceeded", f"{late} s late; spec.startingDeadlineSeconds is {seconds}"
    return None


def disabled(definition: Definition, now: datetime) -> bool:
    """Whether what is due does not start: the definition is disabled, or its resume has not been seen to the end."""
    return definition.suspended(now) or definition.status.suspended_since is not None


def is_missed(run: Run, definition: Definition) -> bool:
    """Whether the run catches up on a due time that nobody was there to fire, and takes its turn (catchUp All).

    As the operator wrote when it made the run. The run's creation would not tell: that is by the API server's clock,
    and a due time is missed by the operator's.
    """
    if definition.spec is None or definition.spec.catch_up.policy is not CatchUpPolicy.ALL:
        return False
    return run.missed and run.spec.trigger.type is TriggerType.PERIODIC


def is_patient(run: Run, definition: Definition) -> bool:
    """Whether the run waits for a slot, even under Forbid, and lets every other run go first."""
    return is_auto_start(definition, run) or run.spec.trigger.type is TriggerType.BACKFILL or is_missed(run, definition)


def _wait(
    definition: Definition,
    run: Run,
    reason: str,
    message: str,
    now: datetime,
    *,
    until: datetime | None = None,
    replace: tuple[str, ...] = (),
    phase: Phase = Phase.QUEUED,
) -> Start:
    """Let a run wait; it is looked at again when it becomes overdue, and when it is too late for it."""
    assert definition.spec is not None
    moments = [until] if until is not None else []
    due, deadline_seconds = expected_start(definition, run, now), definition.spec.starting_deadline_seconds
    if due is not None:
        moments.append(due + MISSED_AFTER)
        if deadline_seconds is not None:
            moments.append(due + timedelta(seconds=deadline_seconds + 1))
    waiting = run.status.model_copy(
        update={"phase": phase.value, "reason": reason, "message": beginning(message, MESSAGE_BYTES)}
    )
    return Start(status=waiting, replace=replace, wake_at=min((m for m in moments if m > now), default=None))


def skipped(run: Run, reason: str, message: str, *, now: datetime) -> JobRunStatus:
    """Status of a run that exists and is not run."""
    return _ended(run, Phase.SKIPPED, reason, message, now)


def _ended(run: Run, phase: Phase, reason: str, message: str, now: datetime) -> JobRunStatus:
    update = {
        "phase": phase.value,
        "reason": reason,
        "message": beginning(message, MESSAGE_BYTES),
        "completion_time": now,
    }
    return run.status.model_copy(update=update)


def started(run: Run, job_name: str, job_uid: str, at: datetime) -> JobRunStatus:
    """Status of a run whose Job was made: that of its first attempt, or of another one."""
    attempt = len(run.status.steps) + 1
    step = StepStatus(
        name=STEP, attempt=attempt, phase=Phase.RUNNING.value, job=job_name, job_uid=job_uid, start_time=at
    )
    return pausing_ended(run.status, at).model_copy(
        update={
            "phase": Phase.RUNNING.value,
            "reason": "",
            "message": "",
            "start_time": run.status.start_time or at,
            "attempts": attempt,
            "steps": (*earlier(run.status.steps), step),
        }
    )
