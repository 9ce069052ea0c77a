"""What a run was started with: retries and time limits as they were at its first Job (design 3.6).

They are written on each of its Jobs, which are there for as long as the run: an edit of the definition reaches the next
run, and not this one.
"""

from datetime import datetime, timedelta

from pydantic import ValidationError

from carillon.api.base import ApiModel
from carillon.api.jobrun import JobRunStatus
from carillon.api.scheduledjob import Retry, ScheduledJobSpec


class Terms(ApiModel):
    """The part of a definition that counts until its run has ended."""

    retry: Retry | None = None
    timeout_seconds: int | None = None
    """Of the run: all attempts and the waits between them, without pauses."""
    active_deadline_seconds: int | None = None
    """The Job template's own limit, of each Job by itself."""

    @property
    def attempts(self) -> int:
        """How often the run is attempted at the most."""
        return 1 + (self.retry.limit if self.retry is not None else 0)

    def wait_after(self, attempt: int) -> timedelta:
        """How long after the failure of an attempt (from 1) the next one starts."""
        if self.retry is None:
            return timedelta(0)
        rule = self.retry.backoff
        return timedelta(seconds=min(rule.initial_seconds * rule.factor ** (attempt - 1), rule.max_seconds))

    def deadline_seconds(self, left: timedelta | None) -> int | None:
        """The activeDeadlineSeconds of a Job that starts now, where so much is left of the run's time; None: no limit.

        Kubernetes itself enforces it, whether or not an operator runs (docs/decisions/0003).
        """
        limits = [self.active_deadline_seconds]
        if left is not None:
            limits.append(max(1, -int(-left.total_seconds() // 1)))
        return min((limit for limit in limits if limit is not None), default=None)

    def is_of_the_run(self, deadline_seconds: int | None) -> bool:
        """Whether a Job's limit is what was left of the run's time, and not the template's own."""
        own, timeout = self.active_deadline_seconds, self.timeout_seconds
        if timeout is None:
            return False
        return own is None or timeout <= own or (deadline_seconds is not None and deadline_seconds < own)


NO_TERMS = Terms()


def terms_of(spec: ScheduledJobSpec) -> Terms:
    """The terms of a run that starts now."""
    return Terms(
        retry=spec.retry,
        timeout_seconds=spec.timeout_seconds,
        active_deadline_seconds=(spec.job_template.get("spec") or {}).get("activeDeadlineSeconds"),
    )


def write_terms(terms: Terms) -> str:
    """The terms as they stand on a Job; empty where there is nothing to say."""
    if terms.retry is None and terms.timeout_seconds is None:
        return ""
    return terms.model_dump_json(by_alias=True, exclude_none=True)


def read_terms(text: str) -> Terms:
    """Read the terms of a Job; what is not understood says nothing: the run ends with this Job."""
    if not text:
        return NO_TERMS
    try:
        return Terms.model_validate_json(text)
    except ValidationError:
        return NO_TERMS


def time_left(status: JobRunStatus, terms: Terms, now: datetime) -> timedelta | None:
    """How much is left of the run's time, which may be negative; None where it has no limit."""
    if terms.timeout_seconds is None or status.start_time is None:
        return None
    paused = timedelta(seconds=status.paused_seconds or 0)
    if status.paused_since is not None:
        paused += max(now - status.paused_since, timedelta(0))
    return timedelta(seconds=terms.timeout_seconds) - (now - status.start_time - paused)
