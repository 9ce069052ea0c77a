"""Runs in pause: spec.suspend of the JobRun suspends its Job, whose pods end; false starts the work again.

To pause a run is not to disable its job (spec.suspend of the ScheduledJob), which leaves runs alone. That we have
suspended a Job stands on the Job itself, in the same write: so whoever comes after a crash knows that it is ours to
resume, and a Job that somebody else suspends is left to them. Where that is their office (Kueue's, or of whoever is
behind a template with suspend), the run waits for their admission, and is Queued.

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
JOB_SUSPENDED, WAITING_FOR_ADMISSION = "JobSuspended", "WaitingForAdmission"
REASONS = (PAUSING, PAUSE_REQUESTED, PAUSE_REFUSED, JOB_SUSPENDED, WAITING_FOR_ADMISSION)
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
        return Pause(_by_others(status, job))
    if job.suspended_at is not None and status.paused_since is not None:
        return Pause(status)  # Kubernetes has not noticed yet that it is resumed
    if status.paused_since is not None:
        status = ended(status, max(job.resumed_at or now, status.paused_since))
    return Pause(_said(status, Phase.RUNNING, "", "") if status.reason in REASONS else status)


def _by_others(status: JobRunStatus, job: Job) -> JobRunStatus:
    """The record of a run whose Job others have suspended; that time does not count, either."""
    if status.paused_since is None:
        made_so = not job.had_pods and job.resumed_at is None
        status = status.model_copy(update={"paused_since": job.suspended_at or (job.created if made_so else None)})
    whose = _admitted_by(job)
    if whose and not job.active:
        words = f"its Job is suspended and waits for admission: {whose} says when it runs"
        return _said(status, Phase.QUEUED, WAITING_FOR_ADMISSION, words)
    words = "the Job is suspended, and not by this run: whoever does that resumes it"
    return _said(status, Phase.RUNNING, JOB_SUSPENDED, words)


def _paused(run: Run, status: JobRunStatus, job: Job) -> Pause:
    if why := refusal(job):
        record = _by_others(status, job) if job.suspended else _said(status, Phase.RUNNING, "", "")
        return Pause(_said(record, Phase(record.phase), PAUSE_REFUSED, why))
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
    whose = _admitted_by(job)
    return f"cannot be paused: {whose} says when its Job runs; stop the run, or pause it there" if whose else ""


def _admitted_by(job: Job) -> str:
    """Who says when the Job runs, as their office; empty where nobody but us does."""
    if job.managed_by or job.suspended_by != SUSPENDED_BY_TEMPLATE:
        return job.managed_by
    return "whoever resumes Jobs of a template with suspend (spec.jobTemplate.spec.suspend)"


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
