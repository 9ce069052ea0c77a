"""Runs that are being stopped, for whatever reason: the record says why, the Job is deleted, its pods end with grace.

The record comes first: once the Job is gone, it alone says why. The run ends when no pod is left. What happened before
the Job was deleted is what happened: a Job that has ended by then is not stopped any more.
"""

from dataclasses import dataclass

from carillon.api.jobrun import JobRunStatus, Phase
from carillon.engine.model import Job, Run
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


def begun(status: JobRunStatus) -> Stop | None:
    """The stop of which the record speaks; it is not taken back."""
    return _BY_REASON.get(status.reason) if status.phase in (Phase.RUNNING, Phase.PAUSED) else None


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
    """The record while the run is being stopped."""
    return status.model_copy(update={"reason": stop.reason, "message": stop.doing})


def deletion(run: Run, job: Job, stop: Stop) -> DeleteJob | None:
    """What ends the Job, once the record says why; None when nothing is to be done now."""
    ready = begun(run.status) is stop and not job.deleting
    return DeleteJob(job.name, job.uid) if ready else None
