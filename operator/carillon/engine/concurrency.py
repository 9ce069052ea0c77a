"""Who holds a definition's slots, and who is next (design 3.5). A slot hangs on Jobs and pods, not on our records."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from carillon.api.jobrun import TriggerType
from carillon.api.scheduledjob import ConcurrencyPolicy
from carillon.engine.due import MISSED_AFTER
from carillon.engine.model import Job, Observations, Refusal, Run
from carillon.engine.names import job_names
from carillon.engine.retry import goes_on, is_between


@dataclass(slots=True)
class Slots:
    """Who holds the definition's slots, while one decision hands them out."""

    policy: ConcurrencyPolicy
    holders: dict[str, str] = field(default_factory=dict)
    """UID of the run (or of a Job whose run is gone), and its name for people."""
    catching_up: set[str] = field(default_factory=set)
    """UIDs of the holders that catch up on missed due times: one at a time, whatever the policy."""
    refused: Refusal | None = None
    """Why the API server refuses the definition's Jobs at the moment, if it does."""

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
    present, current = {job.uid for job in jobs}, jobs_of(runs, jobs)
    for run in runs:
        vanished = run.job_made and not run.finished and run.status.steps[-1].job_uid not in present
        lingers = vanished and not pods_are_gone(run.status.steps[-1].job_uid, observations)
        if lingers or goes_on(run, current.get(run.uid)):
            held[run.uid] = run.name
    told = {step.job_uid for run in runs if run.uid in held for step in run.status.steps}
    for uid in observations.lingering_jobs - told:
        if (report := observations.pods.get(uid)) is None or report.remaining:
            held[uid] = "a Job that was deleted and whose pods have not ended"
    return held


def jobs_of(runs: Sequence[Run], jobs: Sequence[Job]) -> dict[str, Job]:
    """The Job of each run, by the run's UID: the last that its record names, else one that bears a name of the run's.

    Where the record says that there is to be another attempt, its Job comes first: it may have been made already. A
    Job that only says that the run is its owner is somebody else's.
    """
    by_run: dict[str, list[Job]] = {}
    for job in jobs:
        by_run.setdefault(job.run_uid, []).append(job)
    found: dict[str, Job] = {}
    for run in runs:
        recorded = [step.job_uid for step in run.status.steps]
        periodic = run.spec.trigger.type is TriggerType.PERIODIC
        for job in by_run.get(run.uid, ()):
            if (recorded and job.uid == recorded[-1] and run.uid not in found) or (
                run.native_job is not None and run.native_job.uid == job.uid
            ):
                found[run.uid] = job
            elif (not recorded or is_between(run)) and job.uid not in recorded:
                attempt = len(recorded) + 1
                if job.name in job_names(run.name, run.uid, periodic=periodic, attempt=attempt):
                    found[run.uid] = job
    return found


def overtaken_runs(waiting: Sequence[Run], policy: ConcurrencyPolicy, now: datetime) -> dict[str, tuple[str, str]]:
    """Runs that a newer one has overtaken before they had started, with reason and message; no backlog grows.

    Args:
        waiting: the runs without a Job, in order.
        policy: with Replace, the newest takes the place of those that still wait.
        now: of runs whose Jobs are refused, the newest due time stays, as after a downtime.
    """
    if policy is ConcurrencyPolicy.REPLACE:
        return {run.uid: ("Replaced", f"{waiting[-1].name} takes its place") for run in waiting[:-1]}
    due = [run for run in waiting if run.spec.scheduled_time is not None]
    return {
        run.uid: ("CatchUp", f"{due[-1].name} is newer; the Job was refused until then: {run.status.message}"[:1024])
        for run in due[:-1]
        if run.status.reason == "JobRefused"
        and run.spec.scheduled_time
        and now - run.spec.scheduled_time > MISSED_AFTER
    }


def pods_are_gone(job_uid: str, observations: Observations) -> bool:
    """Whether it was looked up that a Job is gone, and its pods with it."""
    report = observations.pods.get(job_uid)
    return job_uid in observations.absent_jobs and report is not None and not report.remaining


def in_order(runs: Sequence[Run]) -> list[Run]:
    """First come, first served; due times before the moment of creation, so that a late intent keeps its place."""
    return sorted(runs, key=lambda run: (run.spec.scheduled_time or run.created, run.created, run.name))
