"""Who holds a definition's slots, and who is next (design 3.5). A slot hangs on Jobs and pods, not on our records."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from carillon.api.scheduledjob import ConcurrencyPolicy
from carillon.engine.model import Job, Observations, Run


@dataclass(slots=True)
class Slots:
    """Who holds the definition's slots, while one decision hands them out."""

    policy: ConcurrencyPolicy
    holders: dict[str, str] = field(default_factory=dict)
    """UID of the run (or of a Job whose run is gone), and its name for people."""

    def others(self, run: Run) -> dict[str, str]:
        """The holders but the run itself."""
        return {uid: name for uid, name in self.holders.items() if uid != run.uid}


def holders(runs: Sequence[Run], jobs: Sequence[Job], observations: Observations) -> dict[str, str]:
    """Who holds a slot: from the first Job's creation until no active or terminating pod is left.

    Returns:
        By UID of the run (or of a Job whose run is gone): its name for people.
    """
    names = {run.uid: run.name for run in runs}
    held = {job.run_uid: names.get(job.run_uid, job.name) for job in jobs if job.holds_slot}
    present = {job.run_uid for job in jobs}
    for run in runs:
        vanished = run.job_made and not run.finished and run.uid not in present
        if vanished and not pods_are_gone(run.status.steps[0].job_uid, observations):
            held[run.uid] = run.name
    told = {step.job_uid for run in runs if run.uid in held for step in run.status.steps}
    for uid in observations.lingering_jobs - told:
        if (report := observations.pods.get(uid)) is None or report.remaining:
            held[uid] = "a Job that was deleted and whose pods have not ended"
    return held


def pods_are_gone(job_uid: str, observations: Observations) -> bool:
    """Whether it was looked up that a Job is gone, and its pods with it."""
    report = observations.pods.get(job_uid)
    return job_uid in observations.absent_jobs and report is not None and not report.remaining


def in_order(runs: Sequence[Run]) -> list[Run]:
    """First come, first served; due times before the moment of creation, so that a late intent keeps its place."""
    return sorted(runs, key=lambda run: (run.spec.scheduled_time or run.created, run.created, run.name))
