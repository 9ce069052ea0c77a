"""Runs whose Job was made: how the Job goes, and what the run's record says of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.api.jobrun import JobRunStatus, Phase
from carillon.engine.concurrency import pods_are_gone
from carillon.engine.excerpt import MESSAGE_BYTES, STEP_MESSAGE_BYTES, beginning, ending
from carillon.engine.excerpt import reason as cut_reason
from carillon.engine.model import Job, Observations, Run
from carillon.engine.pending import PODS_REFUSED, consider, give_up, given_up
from carillon.engine.plan import DeleteJob, InspectPods, LookUp, LookUpJob
from carillon.engine.starting import started

REPLACED = "Replaced"
TIMED_OUT = "TimedOut"
JOB_DELETED = "JobDeleted"


@dataclass(frozen=True, slots=True)
class Progress:
    """What the run's record should say, what has to be looked up first, and what has to be stopped."""

    status: JobRunStatus
    look_up: LookUp | None = None
    stop: DeleteJob | None = None
    wake_at: datetime | None = None
    """When it has to be looked at again if nothing happens before."""


def advance(
    run: Run,
    job: Job | None,
    *,
    replaced: bool,
    timeout_seconds: int | None,
    pending_timeout: timedelta | None,
    observations: Observations,
    now: datetime,
) -> Progress:
    """Bring a run's record up to its Job.

    Args:
        run: a run that is not finished and whose Job exists, or is said by its record to have been made.
        job: its Job, None when it has vanished from the watch.
        replaced: another run takes its place (concurrency policy Replace).
        timeout_seconds: spec.timeoutSeconds, where that and not the template's own limit is in force.
        pending_timeout: how long the Job may wait for its first pod to start; None for any time.
        observations: what was looked up.
        now: the time of the decision.
    """
    if job is None:
        return _vanished(run, observations, now)
    status = run.status if run.job_made else started(run, job.name, job.uid, job.created)
    stopping = replaced or status.reason == REPLACED
    if job.failing and job.uid not in observations.pods:
        return Progress(status, look_up=InspectPods(job.uid))
    if job.finished and not job.active:
        return _finished(status, job, timeout_seconds, observations)
    if stopping:
        status = status.model_copy(update={"reason": REPLACED, "message": "stopping: a newer run takes its place"})
        # The record comes first: once the Job is gone, it alone says why.
        ready = run.status.reason == REPLACED and not job.deleting
        return Progress(status, stop=DeleteJob(job.name, job.uid) if ready else None)
    if given_up(status):
        # The record comes first, as above.
        ready = given_up(run.status) and not job.deleting
        return Progress(status, stop=DeleteJob(job.name, job.uid) if ready else None)
    pending = consider(job, pending_timeout, observations, now)
    if pending.over is not None:
        return Progress(give_up(status, pending.over))
    if pending.look_up is not None:
        return Progress(status, look_up=pending.look_up)
    refused = observations.pods_refused.get(job.uid)
    if refused is not None and not job.active:
        status = status.model_copy(update={"reason": PODS_REFUSED, "message": beginning(refused, MESSAGE_BYTES)})
    elif status.reason == PODS_REFUSED and job.active:
        status = status.model_copy(update={"reason": "", "message": ""})
    return Progress(status, wake_at=pending.wake_at)


def _finished(status: JobRunStatus, job: Job, timeout_seconds: int | None, observations: Observations) -> Progress:
    at = job.finished_at or job.created
    if job.succeeded:
        return Progress(_ended(status, Phase.SUCCEEDED, "Completed", "", at, exit_code=0))
    report = observations.pods.get(job.uid)
    if report is None:
        return Progress(status, look_up=InspectPods(job.uid))
    reason, message = job.reason or "JobFailed", report.message or job.message
    if job.reason == "DeadlineExceeded" and timeout_seconds is not None:
        reason, message = TIMED_OUT, f"took longer than spec.timeoutSeconds: {timeout_seconds}"
        message += f"; last words: {report.message}" if report.message else ""
    elif job.reason == "BackoffLimitExceeded" and report.reason:
        reason = report.reason
    return Progress(_ended(status, Phase.FAILED, reason, message, at, exit_code=report.exit_code))


def _vanished(run: Run, observations: Observations, now: datetime) -> Progress:
    step = run.status.steps[0]
    if step.job_uid not in observations.absent_jobs:
        return Progress(run.status, look_up=LookUpJob(step.job, step.job_uid, run.uid))
    if step.job_uid not in observations.pods:
        return Progress(run.status, look_up=InspectPods(step.job_uid))
    if not pods_are_gone(step.job_uid, observations):
        return Progress(run.status)
    if run.status.reason == REPLACED:
        return Progress(_ended(run.status, Phase.STOPPED, REPLACED, "stopped: a newer run took its place", now))
    if given_up(run.status):
        return Progress(_ended(run.status, Phase.FAILED, run.status.reason, run.status.message, now))
    message = f"Job {step.job} was deleted while the run was active"
    return Progress(_ended(run.status, Phase.FAILED, JOB_DELETED, message, now))


def _ended(
    status: JobRunStatus, phase: Phase, reason: str, message: str, at: datetime, *, exit_code: int | None = None
) -> JobRunStatus:
    # What the container said last tells most; the reason may be anybody's who writes conditions of Jobs or pods.
    message, reason = ending(message, MESSAGE_BYTES), cut_reason(reason)
    last_words = ending(message, STEP_MESSAGE_BYTES)
    steps = tuple(
        step.model_copy(
            update={"phase": phase.value, "exit_code": exit_code, "message": last_words, "completion_time": at}
        )
        for step in status.steps
    )
    return status.model_copy(
        update={"phase": phase.value, "reason": reason, "message": message, "completion_time": at, "steps": steps}
    )
