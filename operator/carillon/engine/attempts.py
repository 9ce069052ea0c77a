"""Between two attempts of a run: it waits for its back-off, and then the next Job is made.

That Job is a copy of the one before: Kubernetes does not let anybody change the pod template of a Job, and the Job is
there for as long as its run, so it is the definition of then (design 3.6; docs/decisions/0015). A run whose Job
somebody has deleted is not tried again. The failure is on record before the next Job is made, and that Job's name tells
which attempt it is, so that there is one of each.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.api.jobrun import JobRunStatus, Phase, TriggerType
from carillon.engine import build, names, pausing
from carillon.engine.ending import ended
from carillon.engine.excerpt import MESSAGE_BYTES, beginning
from carillon.engine.model import Job, Observations, Run
from carillon.engine.plan import CreateJob, LookUp, ReadJob
from carillon.engine.retry import TIMED_OUT, waiting
from carillon.engine.starting import JOB_REFUSED, NAME_TAKEN, gives_up
from carillon.engine.terms import time_left


@dataclass(frozen=True, slots=True)
class Attempt:
    """What becomes of a run between two attempts."""

    status: JobRunStatus
    create: CreateJob | None = None
    look_up: LookUp | None = None
    wake_at: datetime | None = None


def attempt_again(
    run: Run, job: Job, pending_timeout: timedelta | None, observations: Observations, now: datetime
) -> Attempt:
    """Wait for the next attempt of a run, and make its Job when it is time.

    Args:
        run: a run between two attempts that nobody stops.
        job: the Job of the last attempt.
        pending_timeout: how long the API server may refuse its Job; None for any time.
        observations: what was looked up.
        now: the time of the decision.
    """
    step, attempt = run.status.steps[-1], len(run.status.steps)
    if run.spec.suspend:
        return Attempt(pausing.held(run.status, now))
    if run.status.paused_since is not None:
        # That the pause is over is on record before anything else happens.
        return Attempt(waiting(pausing.ended(run.status, now), job))
    start = (step.completion_time or job.created) + job.terms.wait_after(attempt)
    if now < start:
        return Attempt(waiting(run.status, job), wake_at=start)
    left = time_left(run.status, job.terms, now)
    if left is not None and left.total_seconds() <= 0:
        words = f"{_over(job)} before attempt {attempt + 1}; the one before ended with: {step.message}"
        return Attempt(_failed(run.status, TIMED_OUT, words, now))
    refused = observations.refusals.get(run.uid)
    give_up = pending_timeout is not None and refused is not None and gives_up(refused, pending_timeout, now)
    if refused is not None and (refused.permanent or give_up):
        return Attempt(_failed(run.status, JOB_REFUSED, refused.message, now))
    if refused is not None and refused.holds(now):
        update = {"reason": JOB_REFUSED, "message": beginning(refused.message, MESSAGE_BYTES)}
        return Attempt(run.status.model_copy(update=update), wake_at=refused.retry_at)
    periodic = run.spec.trigger.type is TriggerType.PERIODIC
    candidates = names.job_names(run.name, run.uid, periodic=periodic, attempt=attempt + 1)
    name = names.free(candidates, observations.taken_jobs)
    if name is None:
        listed = ", ".join(candidates)
        words = f"somebody else has Jobs of all names that attempt {attempt + 1} may have; delete them: {listed}"
        return Attempt(_failed(run.status, NAME_TAKEN, words, now))
    made = observations.job_bodies.get(job.uid)
    if made is None:
        return Attempt(run.status, look_up=ReadJob(job.name, job.uid))
    body = build.next_attempt_body(
        made, run, name=name, attempt=attempt + 1, deadline_seconds=job.terms.deadline_seconds(left)
    )
    trigger = run.spec.trigger.type.value
    return Attempt(run.status, create=CreateJob(run.uid, name, body, due_at=None, trigger=trigger, attempt=attempt + 1))


def _over(job: Job) -> str:
    return f"took longer than spec.timeoutSeconds: {job.terms.timeout_seconds}"


def _failed(status: JobRunStatus, reason: str, message: str, now: datetime) -> JobRunStatus:
    return ended(status, Phase.FAILED, reason, message, now)
