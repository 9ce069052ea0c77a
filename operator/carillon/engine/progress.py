"""Runs whose Job was made: how the Job goes, and what the run's record says of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.api.jobrun import JobRunStatus, Phase
from carillon.engine import pausing, stopping
from carillon.engine.attempts import attempt_again
from carillon.engine.concurrency import pods_are_gone
from carillon.engine.ending import ended, step_ended
from carillon.engine.excerpt import MESSAGE_BYTES, beginning
from carillon.engine.model import Job, Observations, PodReport, Run
from carillon.engine.pausing import pause
from carillon.engine.pending import PODS_REFUSED, consider
from carillon.engine.plan import CreateJob, DeleteJob, InspectPods, LookUp, LookUpJob, SuspendJob
from carillon.engine.retry import TIMED_OUT, is_between, last_words, next_start, timed_out, waiting
from carillon.engine.starting import started
from carillon.engine.stopping import Stop

JOB_DELETED = "JobDeleted"


@dataclass(frozen=True, slots=True)
class Progress:
    """What the run's record should say, what has to be looked up first, and what is to be done to its Jobs."""

    status: JobRunStatus
    look_up: LookUp | None = None
    create: CreateJob | None = None
    """The Job of the next attempt."""
    change: DeleteJob | SuspendJob | None = None
    wake_at: datetime | None = None
    """When it has to be looked at again if nothing happens before."""


def advance(
    run: Run,
    job: Job | None,
    *,
    replaced: bool,
    pending_timeout: timedelta | None,
    observations: Observations,
    now: datetime,
) -> Progress:
    """Bring a run's record up to its Job.

    Args:
        run: a run that is not finished and whose Job exists, or is said by its record to have been made.
        job: the Job of its last attempt, None when it has vanished from the watch.
        replaced: another run takes its place (concurrency policy Replace).
        pending_timeout: how long the Job may wait for its first pod to start; None for any time.
        observations: what was looked up.
        now: the time of the decision.
    """
    stop = stopping.wanted(run, replaced=replaced)
    recorded = job is not None and any(step.job_uid == job.uid for step in run.status.steps)
    if is_between(run) and (job is None or recorded):
        return _between(run, job, stop, pending_timeout, observations, now)
    if job is None:
        return _vanished(run, observations, now)
    status = run.status if recorded else started(run, job.name, job.uid, job.created)
    if job.failing and job.uid not in observations.pods:
        return Progress(status, look_up=InspectPods(job.uid))
    if job.finished and not job.active:
        return _finished(run, status, job, stop, observations)
    if stop is not None:
        return Progress(stopping.told(status, stop), change=stopping.deletion(run, job, stop))
    paused = pause(run, status, job, now)
    if paused.change is not None or paused.status.reason in pausing.REASONS:
        return Progress(paused.status, change=paused.change)
    status, pending = paused.status, consider(job, pending_timeout, observations, now)
    if pending.over is not None:
        return Progress(stopping.told(status, stopping.cannot_start(pending.over)))
    if pending.look_up is not None:
        return Progress(status, look_up=pending.look_up)
    refused = observations.pods_refused.get(job.uid)
    if refused is not None and not job.active:
        status = status.model_copy(update={"reason": PODS_REFUSED, "message": beginning(refused, MESSAGE_BYTES)})
    elif status.reason == PODS_REFUSED and job.active:
        status = status.model_copy(update={"reason": "", "message": ""})
    return Progress(status, wake_at=pending.wake_at)


def _finished(run: Run, status: JobRunStatus, job: Job, stop: Stop | None, observations: Observations) -> Progress:
    at = job.finished_at or job.created
    if job.succeeded:
        return Progress(ended(status, Phase.SUCCEEDED, "Completed", "", at, exit_code=0))
    report = observations.pods.get(job.uid)
    if report is None:
        return Progress(status, look_up=InspectPods(job.uid))
    if stop is not None and job.deleting and stopping.begun(run.status) == stop:
        # Its pods were told to end, and Kubernetes counts that as a failure.
        return Progress(ended(status, stop.phase, stop.reason, stop.done, at, exit_code=report.exit_code))
    reason, words = _failure(job, report)
    if stop is None and next_start(status, job) is not None:
        failed = step_ended(status, Phase.FAILED, words, at, exit_code=report.exit_code)
        return Progress(waiting(failed, job))
    message = last_words(status, job, words)
    return Progress(ended(status, Phase.FAILED, reason, message, at, words=words, exit_code=report.exit_code))


def _failure(job: Job, report: PodReport) -> tuple[str, str]:
    """Why a Job has failed: reason and words."""
    reason, words = job.reason or "JobFailed", report.message or job.message
    if timed_out(job):
        words = f"took longer than spec.timeoutSeconds: {job.terms.timeout_seconds}"
        return TIMED_OUT, words + (f"; last words: {report.message}" if report.message else "")
    if job.reason == "BackoffLimitExceeded" and report.reason:
        reason = report.reason
    return reason, words


def _between(
    run: Run,
    job: Job | None,
    stop: Stop | None,
    pending_timeout: timedelta | None,
    observations: Observations,
    now: datetime,
) -> Progress:
    """The last attempt has failed, and another one is to come."""
    if stop is not None:
        return Progress(ended(run.status, stop.phase, stop.reason, stop.done, now))
    if job is None or job.uid in observations.absent_jobs:
        return _vanished(run, observations, now)
    attempt = attempt_again(run, job, pending_timeout, observations, now)
    return Progress(attempt.status, look_up=attempt.look_up, create=attempt.create, wake_at=attempt.wake_at)


def _vanished(run: Run, observations: Observations, now: datetime) -> Progress:
    step = run.status.steps[-1]
    if step.job_uid not in observations.absent_jobs:
        return Progress(run.status, look_up=LookUpJob(step.job, step.job_uid, run.uid))
    if step.job_uid not in observations.pods:
        return Progress(run.status, look_up=InspectPods(step.job_uid))
    if not pods_are_gone(step.job_uid, observations):
        return Progress(run.status)
    if (stop := stopping.begun(run.status)) is not None:
        return Progress(ended(run.status, stop.phase, stop.reason, stop.done, now))
    message = f"Job {step.job} was deleted while the run was active"
    return Progress(ended(run.status, Phase.FAILED, JOB_DELETED, message, now))
