"""Runs that have no Job yet: start, wait, or refuse, each with its reason (design 3.3, 3.5)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from carillon.api.jobrun import JobRunStatus, Phase, StepStatus, TriggerType
from carillon.api.scheduledjob import ConcurrencyPolicy
from carillon.engine import build, names
from carillon.engine.model import Definition, Observations, Run
from carillon.engine.plan import CreateJob

STEP = "main"
"""Name of the only step of a run that has one Job."""


@dataclass(frozen=True, slots=True)
class Start:
    """What is to be done about a run without a Job; at most one of `create` and `status` is set."""

    create: CreateJob | None = None
    status: JobRunStatus | None = None
    """The status that the run should have."""
    replace: tuple[str, ...] = ()
    """UIDs of the runs that have to go first."""
    wake_at: datetime | None = None


@dataclass(slots=True)
class Slots:
    """Who holds the definition's slots, while one decision hands them out."""

    policy: ConcurrencyPolicy
    holders: dict[str, str] = field(default_factory=dict)
    """UID of the run (or of a Job whose run is gone), and its name for people."""

    def others(self, run: Run) -> dict[str, str]:
        """The holders but the run itself."""
        return {uid: name for uid, name in self.holders.items() if uid != run.uid}


def in_order(runs: Sequence[Run]) -> list[Run]:
    """First come, first served; due times before the moment of creation, so that a late intent keeps its place."""
    return sorted(runs, key=lambda run: (run.spec.scheduled_time or run.created, run.created, run.name))


def start(definition: Definition, run: Run, slots: Slots, observations: Observations, now: datetime) -> Start:
    """Decide about one run that has no Job; hands out a slot when it starts."""
    assert definition.spec is not None
    refusal = _refusal(definition, run, now)
    if refusal is not None:
        return Start(status=skipped(run, *refusal, now=now))
    others = slots.others(run)
    replace: tuple[str, ...] = ()
    if others and slots.policy is not ConcurrencyPolicy.ALLOW:
        listed = ", ".join(sorted(others.values())[:3])
        if slots.policy is ConcurrencyPolicy.FORBID:
            if run.spec.trigger.name != AUTO_START:
                message = f"{listed} is active and spec.concurrency.policy is Forbid"
                return Start(status=skipped(run, "ConcurrencyForbid", message, now=now))
            return Start(status=queued(run, "WaitingForSlot", f"waits until {listed} has ended"))
        replace = tuple(others)
        return Start(status=queued(run, "Replacing", f"starts when {listed} is gone"), replace=replace)
    refused = observations.refusals.get(run.uid)
    if refused is not None:
        if refused.permanent:
            status = run.status.model_copy(
                update={
                    "phase": Phase.FAILED.value,
                    "reason": "JobRefused",
                    "message": refused.message,
                    "completion_time": now,
                }
            )
            return Start(status=status)
        if now < refused.retry_at:
            slots.holders[run.uid] = run.name  # its turn: the next ones do not overtake it
            return Start(status=queued(run, "JobRefused", refused.message), wake_at=refused.retry_at)
    slots.holders[run.uid] = run.name
    name = _job_name(run, observations)
    create = CreateJob(
        run_uid=run.uid,
        name=name,
        body=build.job_body(definition, run, name),
        scheduled_time=run.spec.scheduled_time,
        trigger=run.spec.trigger.type.value,
    )
    return Start(create=create)


AUTO_START = "autoStart"
"""The trigger name of the run that autoStart makes; it waits for its slot even under Forbid."""


def _refusal(definition: Definition, run: Run, now: datetime) -> tuple[str, str] | None:
    assert definition.spec is not None
    key = definition.key
    if definition.suspended and not run.spec.force:
        if run.spec.trigger.type is TriggerType.PERIODIC:
            return "Suspended", f"ScheduledJob {key} was disabled before the run had started"
        return "Disabled", (
            f"ScheduledJob {key} is disabled (spec.suspend: true); enable it, or set spec.force: true in the JobRun"
        )
    if definition.invalid:
        return "Invalid", f"ScheduledJob {key} is not valid: {definition.invalid}"
    seconds, due = definition.spec.starting_deadline_seconds, run.spec.scheduled_time
    if due is not None and seconds is not None and now > due + timedelta(seconds=seconds):
        late = int((now - due).total_seconds())
        return "DeadlineExceeded", f"{late} s late; spec.startingDeadlineSeconds is {seconds}"
    return None


def _job_name(run: Run, observations: Observations) -> str:
    plain = run.spec.trigger.type is TriggerType.PERIODIC and len(run.name) <= names.JOB_NAME_LENGTH
    if plain and run.name not in observations.taken_jobs:
        return run.name
    return names.hashed_job(run.name, run.uid)


def skipped(run: Run, reason: str, message: str, *, now: datetime) -> JobRunStatus:
    """Status of a run that exists and is not run."""
    return run.status.model_copy(
        update={"phase": Phase.SKIPPED.value, "reason": reason, "message": message, "completion_time": now}
    )


def queued(run: Run, reason: str, message: str) -> JobRunStatus:
    """Status of a run that waits."""
    return run.status.model_copy(update={"phase": Phase.QUEUED.value, "reason": reason, "message": message})


def started(run: Run, job_name: str, job_uid: str, at: datetime) -> JobRunStatus:
    """Status of a run whose Job was made."""
    step = StepStatus(name=STEP, phase=Phase.RUNNING.value, job=job_name, job_uid=job_uid, start_time=at)
    return run.status.model_copy(
        update={"phase": Phase.RUNNING.value, "reason": "", "message": "", "start_time": at, "steps": (step,)}
    )
