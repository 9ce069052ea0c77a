"""Runs in pause: spec.suspend of the JobRun suspends its Job, whose pods end; false starts the work again.

To pause a run is not to disable its job (spec.suspend of the ScheduledJob), which leaves runs alone. That we have
suspended a Job stands on the Job itself, in the same write: so whoever comes after a crash knows that it is ours to
resume, and a Job that somebody else suspends is left to them.

When a Job is resumed, Kubernetes counts its activeDeadlineSeconds anew (Job controller: startTime is reset). So it is
resumed with what is left of the run's time, and only after Kubernetes has said that it was suspended.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.api.jobrun import JobRunStatus, Phase
from carillon.engine.model import SUSPENDED_BY_RUN, SUSPENDED_BY_TEMPLATE, Job, Run
from carillon.engine.plan import SuspendJob
from carillon.engine.terms import time_left

PAUSING, PAUSE_REQUESTED, PAUSE_REFUSED = "Pausing", "PauseRequested", "PauseRefused"
JOB_SUSPENDED = "JobSuspended"
REASONS = (PAUSING, PAUSE_REQUESTED, PAUSE_REFUSED, JOB_SUSPENDED)
NOT_STARTED = "in pause on request (spec.suspend): it does not start before it is resumed"
BETWEEN_ATTEMPTS = "in pause on request (spec.suspend), between two attempts: the next one starts when it is resumed"
_PAUSED = "in pause on request (spec.suspend): the work starts again from its beginning when it is resumed"


@dataclass(frozen=True, slots=True)
class Pause:
    """What the record says of a run whose Job is there, and what is to be done to the Job."""

    status: JobRunStatus
    change: SuspendJob | None = None


def pause(run: Run, status: JobRunStatus, job: Job, now: datetime) -> Pause:
    """Pause or resume a run whose Job is active, as it is asked for.

    Args:
        run: the run.
        status: its record, brought up to the Job.
        job: its Job, not finished.
        now: the time of the decision.
    """
    if job.suspended_at is not None and job.suspended_by == SUSPENDED_BY_RUN and status.paused_since is None:
        status = status.model_copy(update={"paused_since": job.suspended_at})
    if run.spec.suspend:
        return _paused(run, status, job)
    if job.suspended and job.suspended_by == SUSPENDED_BY_RUN:
        # The pause has to be known, and recorded, before it ends: nothing else tells how long it was.
        ready = job.suspended_at is not None and run.status.paused_since is not None
        seconds = job.terms.deadline_seconds(time_left(status, job.terms, now)) if ready else None
        return Pause(status, SuspendJob(job.name, job.uid, run.uid, False, seconds) if ready else None)
    if job.suspended:
        words = "the Job is suspended, and not by this run: whoever does that resumes it"
        return Pause(_said(status, Phase.RUNNING, JOB_SUSPENDED, words))
    if job.suspended_at is not None and status.paused_since is not None:
        return Pause(status)  # Kubernetes has not noticed yet that it is resumed
    if status.paused_since is not None:
        status = ended(status, max(job.resumed_at or now, status.paused_since))
    return Pause(_said(status, Phase.RUNNING, "", "") if status.reason in REASONS else status)


def _paused(run: Run, status: JobRunStatus, job: Job) -> Pause:
    if why := refusal(job):
        return Pause(_said(status, Phase.RUNNING, PAUSE_REFUSED, why))
    pausing = _said(status, Phase.RUNNING, PAUSING, "pausing on request (spec.suspend): its pods end with their grace")
    if not job.suspended:
        if job.suspended_at is not None:
            return Pause(pausing)  # it is being resumed, and Kubernetes has not noticed yet
        if status.paused_since is not None:  # a pause that has ended, and another one
            pausing = ended(pausing, max(job.resumed_at or status.paused_since, status.paused_since))
        return Pause(pausing, SuspendJob(job.name, job.uid, run.uid, True, None))
    if job.active or job.suspended_at is None:
        return Pause(pausing)
    return Pause(_said(status, Phase.PAUSED, PAUSE_REQUESTED, _PAUSED))


def refusal(job: Job) -> str:
    """Why a run cannot be paused; empty when it can."""
    if job.managed_by:
        return f"cannot be paused: {job.managed_by} says when its Job runs; stop the run, or pause it there"
    if job.suspended_by == SUSPENDED_BY_TEMPLATE:
        return (
            "cannot be paused: spec.jobTemplate.spec.suspend is true, so something else says when its Job runs; "
            "stop the run, or remove that field"
        )
    return ""


def held(status: JobRunStatus, now: datetime) -> JobRunStatus:
    """The record of a run that is paused between two attempts."""
    since = status.paused_since or now
    return _said(status, Phase.PAUSED, PAUSE_REQUESTED, BETWEEN_ATTEMPTS).model_copy(update={"paused_since": since})


def ended(status: JobRunStatus, at: datetime) -> JobRunStatus:
    """The record when the pause has ended: its time does not count."""
    if status.paused_since is None:
        return status
    seconds = int(max(at - status.paused_since, timedelta(0)).total_seconds())
    total = (status.paused_seconds or 0) + seconds
    return status.model_copy(update={"paused_since": None, "paused_seconds": total or None})


def _said(status: JobRunStatus, phase: Phase, reason: str, message: str) -> JobRunStatus:
    return status.model_copy(update={"phase": phase.value, "reason": reason, "message": message})
