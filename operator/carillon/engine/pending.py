"""Runs whose Job was made and never starts: they end, with Kubernetes' own reason, and their slot is free (design 2).

An image that cannot be pulled, a node that nobody has, a volume that is missing: the Job waits for ever, and with it
whatever waits for its slot. How the pods do is looked up only when the time is over; there is no watch on pods.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.engine.model import Job, Observations, Pending
from carillon.engine.plan import InspectPods

PODS_REFUSED = "PodsRefused"
PENDING_TIMEOUT = "PendingTimeout"
"""The reason where Kubernetes does not say why the pod does not start."""
LOOK_AGAIN = timedelta(seconds=60)
"""How soon a Job is looked at again whose first pod had begun when its time was over, and does not count as ready."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done about a Job that may not have started; nothing of it where it has."""

    over: Pending | None = None
    """Its time is over, and why it has not started."""
    look_up: InspectPods | None = None
    wake_at: datetime | None = None


def consider(job: Job, timeout: timedelta | None, observations: Observations, now: datetime) -> Verdict:
    """Decide whether a Job has waited too long for its first pod to start.

    Args:
        job: one that is not finished. One that is suspended does not count as waiting, and counts anew afterwards.
        timeout: how long it may wait; None for any time.
        observations: what was looked up.
        now: the time of the decision.
    """
    if timeout is None or job.started or job.deleting or job.pending_since is None:
        return Verdict()
    deadline = job.pending_since + timeout
    if now < deadline:
        return Verdict(wake_at=deadline)
    report = observations.pods.get(job.uid)
    if report is None:
        return Verdict(look_up=InspectPods(job.uid))
    if report.pending is None:
        return Verdict(wake_at=now + LOOK_AGAIN)
    seconds, refused = int(timeout.total_seconds()), observations.pods_refused.get(job.uid)
    why = Pending(PODS_REFUSED, refused) if refused is not None and not job.active else report.pending
    words = f"not started within spec.pendingTimeoutSeconds: {seconds}"
    return Verdict(over=Pending(why.reason or PENDING_TIMEOUT, f"{words}; {why.message}" if why.message else words))
