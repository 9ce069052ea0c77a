"""Runs that are being stopped, for whatever reason: the record says why, the Job is deleted, its pods end with grace.

The record comes first: once the Job is gone, it alone says why. The run ends when no pod is left. What happened before
the Job was deleted is what happened: a Job that has ended by then is not stopped any more.
"""

from dataclasses import dataclass
from typing import Any

from carillon.api.jobrun import JobRunStatus, Phase
from carillon.engine.excerpt import MESSAGE_BYTES, beginning
from carillon.engine.excerpt import reason as cut_reason
from carillon.engine.model import Job, Pending, Run
from carillon.engine.plan import DeleteJob


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run is stopped, and how it ends by it."""

    reason: str
    phase: Phase
    doing: str
    """The message while its pods end."""
    done: str
    """The message when none is left."""


REPLACED = Stop(
    "Replaced", Phase.STOPPED, "stopping: a newer run takes its place", "stopped: a newer run took its place"
)
REQUESTED = Stop(
    "StopRequested",
    Phase.STOPPED,
    "stopping on request (spec.stop): its pods end with their grace",
    "stopped on request (spec.stop)",
)
_BY_REASON = {stop.reason: stop for stop in (REPLACED, REQUESTED)}


def cannot_start(why: Pending) -> Stop:
    """The stop of a run whose first pod has not started in time; Kubernetes says why."""
    words = beginning(why.message, MESSAGE_BYTES)
    return Stop(cut_reason(why.reason), Phase.FAILED, words, words)


def begun(status: JobRunStatus) -> Stop | None:
    """The stop of which the record speaks; it is not taken back."""
    if status.phase not in (Phase.RUNNING, Phase.PAUSED, Phase.QUEUED):
        return None
    if status.steps and status.steps[-1].phase == Phase.FAILED and status.steps[-1].completion_time is None:
        return Stop(status.reason, Phase.FAILED, status.message, status.message)
    return _BY_REASON.get(status.reason)


def wanted(run: Run, *, replaced: bool) -> Stop | None:
    """The stop that a run with a Job is to have.

    Args:
        run: the run.
        replaced: another run takes its place (concurrency policy Replace).
    """
    if (stop := begun(run.status)) is not None:
        return stop
    if run.spec.stop:
        return REQUESTED
    return REPLACED if replaced else None


def told(status: JobRunStatus, stop: Stop) -> JobRunStatus:
    """The record while the run is being stopped.

    The reason of a failure may be any word of Kubernetes', so its attempt is the one that tells of it: it has failed,
    and has not ended.
    """
    update: dict[str, Any] = {"reason": stop.reason, "message": stop.doing}
    if stop.phase is Phase.FAILED:
        *earlier, last = status.steps
        update["steps"] = (*earlier, last.model_copy(update={"phase": Phase.FAILED.value}))
    return status.model_copy(update=update)


def deletion(run: Run, job: Job, stop: Stop) -> DeleteJob | None:
    """What ends the Job, once the record says why; None when nothing is to be done now."""
    ready = begun(run.status) == stop and not job.deleting
    return DeleteJob(job.name, job.uid) if ready else None
