"""Who holds a definition's slots, and who is next (design 3.5). A slot hangs on Jobs and pods, not on our records."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from carillon.api.jobrun import TriggerType
from carillon.api.scheduledjob import DEFAULT_QUEUE_LIMIT, Concurrency, ConcurrencyPolicy
from carillon.engine.due import MISSED_AFTER
from carillon.engine.model import Job, Observations, Refusal, Run
from carillon.engine.names import job_names
from carillon.engine.retry import goes_on, is_between


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a run stands in the line of those that wait: first come, first served.

    Due times count before the moment of creation, so that a late intent keeps its place.
    """

    patient: bool
    """Those that wait under any policy (caught up on, backfilled, autoStart) let every other run go first."""
    came: datetime
    created: datetime
    name: str

    @classmethod
    def of(cls, run: Run, *, patient: bool = False) -> Self:
        """The place of a run."""
        return cls(patient, run.spec.scheduled_time or run.created, run.created, run.name)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run of another member of the group, that waits and could start."""

    uid: str
    name: str
    place: Place


@dataclass(slots=True)
class Slots:
    """Who holds the slots that a definition may have, while one decision hands them out."""

    concurrency: Concurrency
    limit: int | None
    """How many may be held at a time, over the whole group; None: any number."""
    holders: dict[str, str] = field(default_factory=dict)
    """UID of the run (or of a Job whose run is gone), and its name for people: the definition's own, oldest first."""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """The same, of the other members of its group."""
    line: tuple[Waiting, ...] = ()
    """The runs of the other members that wait and could start."""
    catching_up: set[str] = field(default_factory=set)
    """UIDs of the holders that catch up on missed due times: one at a time, whatever the policy."""
    waiting: int = 0
    """How many of the definition's own runs were told to wait, so far."""
    to_come: int = 0
    """How many of its own runs have a place in the queue, and were not looked at yet."""
    refused: Refusal | None = None
    """Why the API server refuses the definition's Jobs at the moment, if it does."""

    @property
    def queue_limit(self) -> int:
        """How many of the definition's own runs may wait."""
        return self.concurrency.queue_limit or DEFAULT_QUEUE_LIMIT

    def in_the_way(self, run: Run, place: Place, *, missed: bool) -> dict[str, str]:
        """Who keeps the run from starting: none where a slot is free for it.

        Args:
            run: a run without a Job.
            place: where it stands in the line.
            missed: it catches up on a due time that was missed.
        """
        before = {waiting.uid: waiting.name for waiting in self.line if waiting.place < place}
        taken = {uid: name for uid, name in {**self.holders, **self.elsewhere, **before}.items() if uid != run.uid}
        if self.limit is not None and len(taken) >= self.limit:
            return taken
        # Of what was missed, one at a time, so that a downtime is not followed by a flood.
        return {uid: name for uid, name in taken.items() if uid in self.catching_up} if missed else {}

    def to_go(self, run: Run) -> tuple[str, ...]:
        """UIDs of the oldest holders, that have to go for the run and for those that wait before it (Replace)."""
        others = [uid for uid in self.holders if uid != run.uid]
        assert self.limit is not None
        return tuple(others[: max(0, len(others) + self.waiting + 1 - self.limit)])

    def number(self, place: Place) -> int:
        """Which number a run has in the line, from 1."""
        return 1 + self.waiting + sum(waiting.place < place for waiting in self.line)

    def room(self, waiting: int) -> int | None:
        """How many more due times may have a run now; None: any number.

        Args:
            waiting: how many of the definition's own runs wait, that go before a new one.
        """
        if self.limit is None or self.concurrency.policy is ConcurrencyPolicy.REPLACE:
            return None
        before = [place for place in self.line if not place.place.patient]
        free = max(0, self.limit - len(self.holders) - len(self.elsewhere) - len(before))
        if self.concurrency.policy is ConcurrencyPolicy.QUEUE:
            return max(0, free + self.queue_limit - waiting)
        return max(0, free - waiting)


def holders(runs: Sequence[Run], jobs: Sequence[Job], observations: Observations) -> dict[str, str]:
    """Who holds a slot: from the first Job's creation until no active or terminating pod is left.

    Returns:
        By UID of the run (or of a Job whose run is gone), oldest first: its name for people.
    """
    known = {run.uid: run for run in runs}
    active = [job for job in jobs if job.holds_slot and is_of(known.get(job.run_uid), job)]
    since = {job.run_uid: job.created for job in active}
    held = {job.run_uid: known[job.run_uid].name if job.run_uid in known else job.name for job in active}
    present, current = {job.uid for job in jobs}, jobs_of(runs, jobs)
    for run in runs:
        vanished = run.job_made and not run.finished and run.status.steps[-1].job_uid not in present
        lingers = vanished and not pods_are_gone(run.status.steps[-1].job_uid, observations)
        if lingers or goes_on(run, current.get(run.uid)):
            held[run.uid] = run.name
        if run.uid in held:
            since[run.uid] = run.status.start_time or since.get(run.uid, run.created)
    told = {step.job_uid for run in runs if run.uid in held for step in run.status.steps}
    lingering: dict[str, str] = {}
    for uid in observations.lingering_jobs - told:
        if (report := observations.pods.get(uid)) is None or report.remaining:
            lingering[uid] = "a Job that was deleted and whose pods have not ended"
    return lingering | {uid: held[uid] for uid in sorted(held, key=lambda uid: (since[uid], held[uid]))}


def is_of(run: Run | None, job: Job) -> bool:
    """Whether a Job is that of the run which it names as its owner: anybody who may make Jobs may say so.

    One whose run is gone goes with it: Kubernetes' garbage collector sees to that, whoever made it.
    """
    if run is None or (run.native_job is not None and run.native_job.uid == job.uid):
        return True
    recorded = [step.job_uid for step in run.status.steps]
    return job.uid in recorded or (not run.finished and job.name in _next_names(run))


def late_jobs(runs: Sequence[Run], jobs: Sequence[Job]) -> list[Job]:
    """Jobs that came only when their run had ended without them: their create was given up, and took effect later.

    The record stands, which says that the run did not start, or not again.
    """
    ended = {run.uid: run for run in runs if run.finished and not run.deleting and run.native_job is None}
    found = []
    for job in jobs:
        run = ended.get(job.run_uid)
        if run is None or job.finished or job.deleting or job.uid in {step.job_uid for step in run.status.steps}:
            continue
        if any(job.name in _names(run, attempt) for attempt in range(1, len(run.status.steps) + 2)):
            found.append(job)
    return found


def _next_names(run: Run) -> tuple[str, ...]:
    """The names that the Job of a run's next attempt may have."""
    return _names(run, len(run.status.steps) + 1)


def _names(run: Run, attempt: int) -> tuple[str, ...]:
    periodic = run.spec.trigger.type is TriggerType.PERIODIC
    return job_names(run.name, run.uid, periodic=periodic, attempt=attempt)


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
        for job in by_run.get(run.uid, ()):
            if (
                (recorded and job.uid == recorded[-1] and run.uid not in found)
                or (run.native_job is not None and run.native_job.uid == job.uid)
                or ((not recorded or is_between(run)) and job.uid not in recorded and job.name in _next_names(run))
            ):
                found[run.uid] = job
    return found


def overtaken_runs(waiting: Sequence[Run], slots: Slots, now: datetime) -> dict[str, tuple[str, str]]:
    """Runs that a newer one has overtaken before they had started, with reason and message; no backlog grows.

    Args:
        waiting: the runs without a Job, in order.
        slots: with Replace, the newest take the places of those that still wait.
        now: of runs whose Jobs are refused, the newest due time stays, as after a downtime; not with Queue, which
            bounds its backlog itself.
    """
    policy = slots.concurrency.policy
    if policy is ConcurrencyPolicy.REPLACE:
        assert slots.limit is not None
        return {run.uid: ("Replaced", f"{waiting[-1].name} takes its place") for run in waiting[: -slots.limit]}
    if policy is ConcurrencyPolicy.QUEUE:
        return {}
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
    """First come, first served."""
    return sorted(runs, key=Place.of)
