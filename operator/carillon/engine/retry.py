"""Which failures of a run are tried again, and when: the rules of spec.retry as they were at the run's first Job.

A slot is held through the back-off. What the API server refused, what was stopped or deleted, and a run whose time is
over are not tried again, and neither is what the Job template's own podFailurePolicy gives up.
"""

from datetime import datetime

from carillon.api.base import rfc3339
from carillon.api.jobrun import JobRunStatus, Phase
from carillon.engine.excerpt import MESSAGE_BYTES, beginning
from carillon.engine.model import Job, Run
from carillon.engine.terms import time_left

RETRY_BACKOFF = "RetryBackoff"
TIMED_OUT = "TimedOut"
FINAL_REASONS = frozenset({"PodFailurePolicy"})
"""Failures of which the Job template itself says that they are not to be tried again."""


def timed_out(job: Job) -> bool:
    """Whether a Job was ended because the run's time was over, and not by the template's own limit."""
    return job.reason == "DeadlineExceeded" and job.terms.is_of_the_run(job.deadline_seconds)


def number(status: JobRunStatus, job: Job) -> int:
    """Which attempt a Job is: the last that the record tells of, or the one after it."""
    return len(status.steps) + (not any(step.job_uid == job.uid for step in status.steps))


def next_start(status: JobRunStatus, job: Job) -> datetime | None:
    """When the attempt after a Job that has ended is to start; None when there is none.

    Args:
        status: the record of the run.
        job: the Job of its last attempt.
    """
    attempt, terms = number(status, job), job.terms
    if not job.finished or job.succeeded or attempt >= terms.attempts:
        return None
    if job.reason in FINAL_REASONS or timed_out(job):
        return None
    start = (job.finished_at or job.created) + terms.wait_after(attempt)
    first = status if status.start_time is not None else status.model_copy(update={"start_time": job.created})
    left = time_left(first, terms, start)
    return None if left is not None and left.total_seconds() <= 0 else start


def is_between(run: Run) -> bool:
    """Whether the record says that the last attempt has failed, and that there is to be another one."""
    return not run.finished and bool(run.status.steps) and run.status.steps[-1].completion_time is not None


def goes_on(run: Run, job: Job | None) -> bool:
    """Whether a run holds its slot though no Job of its is active: through back-off, and pauses in it (design 3.5)."""
    if is_between(run):
        return True
    return not run.finished and not run.spec.stop and job is not None and next_start(run.status, job) is not None


def waiting(status: JobRunStatus, job: Job) -> JobRunStatus:
    """The record of a run whose last attempt has failed, and that is tried again."""
    step, attempt = status.steps[-1], len(status.steps)
    start = (step.completion_time or job.created) + job.terms.wait_after(attempt)
    code = f" with exit code {step.exit_code}" if step.exit_code else ""
    words = f": {step.message}" if step.message else ""
    message = f"attempt {attempt} of {job.terms.attempts} failed{code}; the next starts at {rfc3339(start)}{words}"
    update = {"phase": Phase.RUNNING.value, "reason": RETRY_BACKOFF, "message": beginning(message, MESSAGE_BYTES)}
    return status.model_copy(update=update)


def last_words(status: JobRunStatus, job: Job, words: str) -> str:
    """What the record says of a run that has failed for good: with the number of the attempt if it has retries."""
    attempt, most = len(status.steps), job.terms.attempts
    if job.terms.retry is None:
        return words
    if attempt >= most or timed_out(job):
        why = ""
    elif job.reason in FINAL_REASONS:
        why = " (not tried again, by the podFailurePolicy of the Job template)"
    else:
        why = f" (spec.timeoutSeconds: {job.terms.timeout_seconds} leaves no time for another)"
    return f"attempt {attempt} of {most}{why}: {words}" if words else f"attempt {attempt} of {most}{why}"
