"""The book in which the simulator keeps all that ever happened, and the invariants of design 3 that it is checked by.

The records of the API are bounded; the ledger forgets nothing. It checks at every write, so that a broken promise is
found where it is broken, and once more when everything has come to rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from carillon.api import keys
from carillon.api.jobrun import Phase, TriggerType
from carillon.api.scheduledjob import ConcurrencyPolicy, Skip, TriggerStatus
from carillon.engine.ahead import LONGEST
from carillon.engine.autostart import is_auto_start
from carillon.engine.concurrency import Place
from carillon.engine.history import HISTORY_LINES, RUN_DELETED
from carillon.engine.model import Definition, PlannedTrigger, Run
from carillon.engine.native import kept_time
from carillon.engine.read import controller_uid, instant, read_definition, read_job, read_run
from carillon.engine.retry import is_between
from carillon.engine.skips import schedule_of
from carillon.engine.starting import is_patient, refusal
from carillon.engine.triggers import bound, bound_to, names, starts_at
from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource
from carillon.schedule import Schedule
from tests.unit.engine.cluster import Cluster, ended

Body = dict[str, Any]
SECOND = timedelta(seconds=1)
FINISHED = {phase.value for phase in Phase if phase.finished}


@dataclass(slots=True)
class RunRecord:
    """What became of a JobRun, from beginning to end."""

    name: str
    definition_uid: str
    due: datetime | None
    trigger: str
    is_auto_start: bool
    """Whether it is the one that a definition starts with."""
    jobs: dict[str, str] = field(default_factory=dict)
    """UIDs of its Jobs, by the number of the attempt."""
    between: bool = False
    """Whether its last attempt has failed, and another one is to come: it holds its slot."""
    phase: str = ""
    ended: datetime | None = None
    recorded: bool = False
    """Whether it has been in status.history, or so many newer ones came with it that it had no line there."""
    gone: bool = False
    withdrawn: bool = False
    """Whether it was written ahead, and was gone again before its due time: it stands for nothing."""
    outdone: bool = False
    """Whether it was withdrawn when its due time had come: something else stands for that."""
    late: bool = False
    """Whether its create reached the API server only after the next leader's work, which may have skipped it."""


@dataclass(slots=True)
class JobRecord:
    """A Job that the operator has made."""

    name: str
    run: RunRecord
    attempt: str
    late: bool
    """Whether its create reached the API server when its run had ended or was gone: it is to be stopped."""
    ran_out: bool = False
    """Whether it has come to its end by itself."""


@dataclass(slots=True)
class Line:
    """A line of skips at its longest."""

    trigger: str
    first: datetime
    last: datetime
    count: int
    reason: str
    dues: Schedule
    """What it counts, as the trigger was then."""

    def tells_of(self, trigger: PlannedTrigger, due: datetime) -> bool:
        """Whether the due time is one of those that the line stands for."""
        return self.first <= due <= self.last and names(schedule_of(trigger, self.reason), due)

    def stands_for(self, due: datetime) -> bool:
        """Whether it stood for the due time when it was written, whatever has become of its trigger."""
        return self.first <= due <= self.last and names(self.dues, due)

    def __str__(self) -> str:
        span = f"{self.first:%H:%M:%S}" + (f"-{self.last:%H:%M:%S} x{self.count}" if self.count > 1 else "")
        return f"{self.trigger} {span} {self.reason}"


def _due(run: Run) -> datetime | None:
    """The due time that a run accounts for."""
    return run.spec.scheduled_time if run.spec.trigger.type is TriggerType.PERIODIC else None


class Ledger:
    """Watches a cluster, and raises AssertionError when a promise of the design is broken."""

    def __init__(self, cluster: Cluster, *, prompt: bool = True) -> None:
        """`prompt`: nothing that people do escapes an operator's notice, so it can be held to it at once."""
        self._cluster = cluster
        self._prompt = prompt
        self._latest = cluster.now
        self.late = False
        """Whether what comes now was on the wire when its writer lost its lease."""
        self.definitions: dict[str, Definition] = {}
        self.runs: dict[str, RunRecord] = {}
        self.lines: dict[tuple[str, str], list[Line]] = {}
        self.barriers: dict[tuple[str, str], datetime] = {}
        """From when on a trigger may fire: creation, last change, last resume."""
        self.job_runs: dict[str, str] = {}
        """The runs of the Jobs that may hold a slot, by the UIDs of both."""
        self.jobs: dict[str, JobRecord] = {}
        """All Jobs that were ever made, by UID."""
        cluster.watchers.insert(0, self._observe)

    @property
    def latest(self) -> datetime:
        """The latest that the clock has shown: it may be set back."""
        self._latest = max(self._latest, self._cluster.now)
        return self._latest

    def _observe(self, resource: Resource, change: str, raw: Body) -> None:
        if resource is SCHEDULED_JOBS:
            if change != "DELETED":
                self._definition(raw)
        elif resource is JOB_RUNS:
            self._run(raw, gone=change == "DELETED")
        elif change != "DELETED":
            self._job(raw)

    # ScheduledJobs

    def _definition(self, raw: Body) -> None:
        new, uid = read_definition(raw), raw["metadata"]["uid"]
        old = self.definitions.get(uid)
        self.definitions[uid] = new
        if old is None or old.generation != new.generation:
            self._note_barriers(old, new)
        elif old.status != new.status:
            self._check_status(old, new)

    def _note_barriers(self, old: Definition | None, new: Definition) -> None:
        if old is None:
            self.barriers |= {(new.uid, trigger.name): new.created for trigger in new.triggers}
            return
        hashes = {trigger.name: trigger.spec_hash for trigger in old.triggers}
        now = self._cluster.now
        resumed = old.suspended(now) and not new.suspended(now) and old.status.suspended_since is not None
        for trigger in new.triggers:
            if resumed or hashes.get(trigger.name) != trigger.spec_hash:
                self.barriers[(new.uid, trigger.name)] = self._cluster.now

    def _check_status(self, old: Definition, new: Definition) -> None:
        for skip in reversed(new.status.skips):
            self._note_skip(old, new, skip)
        before = {mark.name: mark for mark in old.status.triggers}
        schedules = {trigger.name: trigger for trigger in new.triggers}
        for mark in new.status.triggers:
            previous, trigger = before.get(mark.name), schedules.get(mark.name)
            if trigger is None or mark.spec_hash != trigger.spec_hash:
                continue
            if previous is None or previous.spec_hash != mark.spec_hash:
                previous = mark.model_copy(update={"handled_through": mark.since})
            assert mark.since >= previous.since, f"{mark.name}: since went back"
            assert mark.handled_through >= previous.handled_through, f"{mark.name}: the watermark went back"
            assert mark.handled_through <= self.latest, f"{mark.name}: the watermark lies in the future"
            if kept_time(old) or (kept_time(new) and not old.status.observed_generation):
                continue  # the CronJob controller's, and best effort
            self._check_accounted(new.uid, bound(trigger, previous), previous.handled_through, mark.handled_through)
        known = {line.uid for line in old.status.history}
        for line in new.status.history:
            run = self.runs[line.uid]
            if run.gone and run.recorded and run.phase not in FINISHED and line.phase in FINISHED:
                run.phase = line.phase  # a native run whose record was deleted has ended
            if line.uid in known:
                continue
            if run.gone and run.phase not in FINISHED:
                run.phase = line.phase
            assert not run.recorded, f"{run.name} is in history a second time"
            # A native run whose record was deleted goes on: its Job is the CronJob's.
            goes_on = run.gone and line.reason == RUN_DELETED and kept_time(old)
            assert goes_on or run.phase in FINISHED, f"{run.name} is in history and not finished"
            run.recorded = True
        through = new.status.recorded_through
        if through is not None and len(new.status.history) == HISTORY_LINES:
            finished = (run for run in self._runs_of(new.uid) if run.phase in FINISHED)
            for run in finished:
                run.recorded = run.recorded or (run.ended is not None and run.ended <= through)

    def _note_skip(self, old: Definition, new: Definition, skip: Skip) -> None:
        lines = self.lines.setdefault((new.uid, skip.trigger), [])
        known = next((line for line in lines if line.first == skip.from_ and line.reason == skip.reason), None)
        if known is not None and (known.last, known.count) == (skip.to, skip.count):
            return
        start = known.last if known is not None else skip.from_ - SECOND
        added = skip.count - (known.count if known is not None else 0)
        assert added > 0, f"the line {known} shrank to {skip}"
        trigger = self._trigger(old, new, skip.trigger)
        schedule = schedule_of(trigger, skip.reason)
        assert schedule.count(start, skip.to) == added, f"{skip} does not count what is due"
        assert names(schedule, skip.from_), f"{skip} begins where nothing is due"
        assert names(schedule, skip.to), f"{skip} ends where nothing is due"
        for line in lines:
            apart = line is known or line.last < skip.from_ or skip.to < line.first
            other = "Excluded" in (line.reason, skip.reason) and line.reason != skip.reason
            assert apart or other, f"{skip} and {line} tell of the same due times"
        for run in self._runs_of(new.uid):
            told_twice = (
                not run.late and run.due is not None and start < run.due <= skip.to and names(schedule, run.due)
            )
            assert not told_twice, f"{run.name} exists, and {skip} says that it was skipped"
        if known is None:
            lines.append(Line(skip.trigger, skip.from_, skip.to, skip.count, skip.reason, schedule))
        else:
            known.last, known.count = skip.to, skip.count

    @staticmethod
    def _trigger(old: Definition, new: Definition, name: str) -> PlannedTrigger:
        """The trigger as it counted when its due times were skipped: before this status, unless it is new in it."""
        trigger = next(trigger for trigger in new.triggers if trigger.name == name)
        marks = {(mark.name, mark.spec_hash): mark for mark in (*new.status.triggers, *old.status.triggers)}
        return bound(trigger, marks[(name, trigger.spec_hash)])

    def _check_accounted(self, uid: str, trigger: PlannedTrigger, after: datetime, through: datetime) -> None:
        ran = {run.due for run in self._runs_of(uid)}
        lines = self.lines.get((uid, trigger.name), ())
        due = trigger.schedule.next_after(after)
        while due is not None and due <= through:
            found = due in ran or any(line.tells_of(trigger, due) for line in lines)
            assert found, f"{trigger.name} was due at {due:%H:%M:%S}, and there is neither a run nor a skip"
            due = trigger.schedule.next_after(due)

    # JobRuns and Jobs

    def _runs_of(self, definition_uid: str) -> Iterator[RunRecord]:
        mine = (run for run in self.runs.values() if run.definition_uid == definition_uid)
        return (run for run in mine if not run.withdrawn)

    def _run(self, raw: Body, *, gone: bool) -> None:
        run = read_run(raw)
        record = self.runs.get(run.uid)
        if record is None:
            record = RunRecord(
                run.name, run.owner_uid, _due(run), run.spec.trigger.name, self._is_auto_start(run), late=self.late
            )
            self.runs[run.uid] = record
            if record.due is not None:
                self._check_fired(record)
        record.definition_uid = run.owner_uid
        if record.phase in FINISHED:
            assert run.status.phase == record.phase, f"{run.name} was {record.phase} and is {run.status.phase}"
        record.phase, record.ended = run.status.phase, run.status.completion_time
        record.gone = gone
        not_begun = record.phase in ("", Phase.SCHEDULED) and not record.jobs
        ahead = record.due is not None and record.due > self._cluster.now
        record.withdrawn = gone and not_begun and (ahead or record.late or bool(self._twins(record)))
        record.outdone = record.withdrawn and not ahead
        record.between = is_between(run) and not gone
        assert len(run.status.steps) == (run.status.attempts or 0), f"{run.name} miscounts its attempts"
        if record.phase == Phase.STOPPED and not gone:
            left = [uid for uid in record.jobs.values() if self._cluster.pods[uid].active]
            assert not left, f"{run.name} is Stopped, and has pods"

    def _is_auto_start(self, run: Run) -> bool:
        definition = self.definitions.get(run.owner_uid)
        return definition is not None and is_auto_start(definition, run)

    def _check_fired(self, record: RunRecord) -> None:
        due = record.due
        assert due is not None
        if not record.late:
            # One that was on the wire may come second; it is withdrawn before it has a Job.
            twins = [run for run in self._twins(record) if run.jobs or not run.late]
            assert not twins, f"two runs for {due:%H:%M:%S}: {twins[0].name} and {record.name}"
            self._check_untold(record, due)
        if self._prompt and not record.late:
            self._check_counts_for(record, due)
        assert due <= self._cluster.now + LONGEST, f"{record.name} is made too early"

    def _check_counts_for(self, record: RunRecord, due: datetime) -> None:
        """The definition, as it is now, names the due time, and did so before it had come."""
        barrier = self.barriers[(record.definition_uid, record.trigger)]
        assert due > barrier, f"{record.name} is due before {barrier:%H:%M:%S}, when its trigger began to count"
        self._check_due(record, due)

    def _twins(self, record: RunRecord) -> list[RunRecord]:
        """Other runs for the same due time, or of autoStart."""
        if record.due is None and not record.is_auto_start:
            return []
        mine = (run for run in self._runs_of(record.definition_uid) if run.due == record.due)
        return [run for run in mine if run is not record and run.is_auto_start == record.is_auto_start]

    def _check_untold(self, record: RunRecord, due: datetime) -> None:
        trigger = self._trigger_now(record.definition_uid, record.trigger)
        for line in self.lines.get((record.definition_uid, record.trigger), ()):
            told = trigger is not None and line.tells_of(trigger, due)
            assert not told, f"{record.name} is made, and {line} says that it was skipped"

    def _check_due(self, record: RunRecord, due: datetime) -> None:
        """The definition, as it is now, names the due time."""
        definition = self.definitions[record.definition_uid]
        assert not definition.suspended(due), f"{record.name} is for a time when the definition is disabled"
        assert not definition.invalid, f"{record.name} is for a time when the definition is not valid"
        marks = {mark.name: mark for mark in definition.status.triggers}
        triggers = [bound_to(t, marks[t.name].since) if t.name in marks else t for t in definition.triggers]
        named = any(names(trigger.open, due) for trigger in triggers)
        assert named, f"{record.name} is for {due:%H:%M:%S}, which no trigger names"

    def _trigger_now(self, uid: str, name: str) -> PlannedTrigger | None:
        """The trigger as it counts by the definition's present status."""
        marks = {(mark.name, mark.spec_hash): mark for mark in self.definitions[uid].status.triggers}
        for trigger in self.definitions[uid].triggers:
            if trigger.name == name and (name, trigger.spec_hash) in marks:
                return bound(trigger, marks[(name, trigger.spec_hash)])
        return None

    def _job(self, raw: Body) -> None:
        uid, run_uid = raw["metadata"]["uid"], controller_uid(raw, "JobRun")
        if uid in self.jobs:
            self.jobs[uid].ran_out |= ended(raw) and "deletionTimestamp" not in raw["metadata"]
            return
        if not run_uid:
            return
        assert run_uid in self.runs, f"Job {raw['metadata']['name']} names a JobRun as its owner that never was"
        record = self.runs[run_uid]
        attempt = raw["metadata"].get("labels", {}).get(keys.ATTEMPT_LABEL, "1")
        late = self.late and (record.gone or record.phase in FINISHED)
        self.jobs[uid] = JobRecord(raw["metadata"]["name"], record, attempt, late)
        if late:
            return
        # Of runs that are gone, too.
        assert attempt not in record.jobs, f"a second Job for attempt {attempt} of {record.name}"
        record.jobs[attempt] = uid
        begun = [run.name for run in self._twins(record) if run.jobs]
        assert not begun, f"a Job for {record.name}, and there is one for {begun[0]}, which is for the same due time"
        if record.gone:
            return  # made in the moment in which its run was deleted: the garbage collector takes it
        self.job_runs[uid] = run_uid
        assert record.phase not in FINISHED, f"a Job for {record.name}, which is {record.phase}"
        most = read_job(raw).terms.attempts
        assert int(attempt) == len(record.jobs) <= most, f"attempt {attempt} of {most} of {record.name}"
        assert record.due is None or record.due <= self._cluster.now, f"the Job of {record.name} is made too early"
        trigger = self._trigger_now(record.definition_uid, record.trigger)
        if trigger is not None and record.due is not None:
            assert starts_at(trigger, record.due) <= self._cluster.now, f"{record.name} starts before its time"
        if self._prompt and record.late and record.due is not None and len(record.jobs) == 1:
            self._check_counts_for(record, record.due)  # the API server took the run in whatever had changed meanwhile
        self._check_slots(record)
        made_for = next(r for r in self._cluster.objects[JOB_RUNS].values() if r["metadata"]["uid"] == run_uid)
        if self._prompt and len(record.jobs) == 1:  # later attempts have their slot already
            if record.due is not None and record.due == self._cluster.now:
                self._check_due(record, record.due)  # of one that was written ahead, too
            self._check_turn(read_run(made_for))

    # Slots

    def _scope(self, definition_uid: str) -> str:
        """Whose slots a definition's runs take: its group's, or its own.

        What a deleted member has left is in the group of the one that has its name now.
        """
        definition = self.definitions[definition_uid]
        group = self._group(definition)
        if group is None:
            return definition_uid
        present = self._cluster.objects[SCHEDULED_JOBS].get(definition.key.name)
        successor = self.definitions.get(present["metadata"]["uid"]) if present is not None else None
        if successor is not None and successor.uid != definition_uid:
            group = self._group(successor)
        return f"group {group}" if group is not None else definition_uid

    @staticmethod
    def _group(definition: Definition) -> str | None:
        return definition.spec.concurrency.group if definition.spec is not None else None

    def _limit(self, scope: str) -> int | None:
        """How many may be active; a member of which no watch has told yet takes no part in that."""
        alive = {raw["metadata"]["uid"] for raw in self._cluster.objects[SCHEDULED_JOBS].values()}
        members = [d for uid, d in self.definitions.items() if uid in alive and self._scope(uid) == scope]
        specs = [d.spec for d in members if self._prompt or d.status.observed_generation]
        limits = [spec.concurrency.limit for spec in specs if spec is not None]
        return min((limit for limit in limits if limit is not None), default=None)

    def _holders(self, scope: str) -> list[str]:
        """The runs that have a Job which is not finished, or pods that have not ended, or another attempt to come."""
        unfinished = {raw["metadata"]["uid"] for raw in self._cluster.objects[JOBS].values() if not ended(raw)}
        active = [run for uid, run in self.job_runs.items() if self._cluster.pods[uid].active or uid in unfinished]
        active += [uid for uid, run in self.runs.items() if run.between]
        runs = [self.runs[uid] for uid in dict.fromkeys(active)]
        return [run.name for run in runs if self._scope(run.definition_uid) == scope]

    def _check_slots(self, record: RunRecord) -> None:
        """When a Job is made: no more are active than may be. (An edit may find more, and stops none.)"""
        scope = self._scope(record.definition_uid)
        limit, active = self._limit(scope), self._holders(scope)
        assert limit is None or len(active) <= limit, f"{limit} may be active, and these are: {', '.join(active)}"

    def _check_turn(self, started: Run) -> None:
        """When a Job is made: nobody waits that came before.

        Nor was made in the same second: it may not have been there yet when the slot was handed out.
        """
        definition = self.definitions[started.owner_uid]
        mine = Place.of(started, patient=is_patient(started, definition))
        for run, place in self._queue(self._scope(started.owner_uid)):
            waits_longer = run.uid != started.uid and place < mine and run.created < started.created
            assert not waits_longer, f"{started.name} starts, and {run.name} has come before it"

    def _queue(self, scope: str) -> Iterator[tuple[Run, Place]]:
        """The runs that were told to wait for a slot, and for which it is not too late."""
        for raw in self._cluster.objects[JOB_RUNS].values():
            run = read_run(raw)
            definition = self.definitions.get(run.owner_uid)
            waits = run.status.phase == Phase.QUEUED.value and run.status.reason == "WaitingForSlot"
            if definition is None or definition.spec is None or run.deleting or not waits:
                continue
            current = self._cluster.objects[SCHEDULED_JOBS].get(definition.key.name)
            if current is None or current["metadata"]["uid"] != definition.uid or run.uid in self.job_runs.values():
                continue
            if definition.spec.concurrency.policy is ConcurrencyPolicy.REPLACE:
                continue  # the newest goes first
            if self._scope(run.owner_uid) == scope and refusal(definition, run, self._cluster.now) is None:
                yield run, Place.of(run, patient=is_patient(run, definition))

    def told(self) -> tuple[list[str], list[str]]:
        """What became of every run and of every due time that was skipped; not of what is written ahead."""
        told = [run for run in self.runs.values() if not run.withdrawn]
        told = [run for run in told if run.phase or run.due is None or run.due <= self._cluster.now]
        runs = [f"{f'{r.due:%H:%M}' if r.due else r.trigger or r.name} {r.phase}" for r in told]
        return runs, [str(line) for lines in self.lines.values() for line in lines]

    # At rest

    def check_at_rest(self) -> None:
        """Nothing is left to do: every due time is accounted for, every run decided, every outcome counted once."""
        for name, raw in self._cluster.objects[SCHEDULED_JOBS].items():
            definition = self.definitions[raw["metadata"]["uid"]]
            status = definition.status
            assert status.observed_generation == definition.generation, f"{name}: the last edit was not seen"
            if not definition.suspended(self._cluster.now) and not definition.invalid:
                for trigger, mark in self._marked(definition):
                    if definition.generation == 1 and not (definition.spec and definition.spec.suspend):
                        assert mark.since == definition.created, f"{name}: counts since {mark.since}, not its creation"
                    late = bound(trigger, mark).schedule.next_after(mark.handled_through)
                    assert late is None or late > self._cluster.now, f"{name}: {trigger.name} is not resolved at {late}"
            self._check_counts(definition)
        alive = {raw["metadata"]["uid"] for raw in self._cluster.objects[SCHEDULED_JOBS].values()}
        for record in self.runs.values():
            if record.late and record.due is not None and not record.withdrawn:
                self._check_untold(record, record.due)
            twins = self._twins(record)
            assert record.withdrawn or not twins, f"two runs for {record.due}: {twins[0].name} and {record.name}"
            if record.outdone and record.definition_uid in alive:
                assert twins or self._told_of(record), (
                    f"{record.name} was withdrawn, and nothing stands for its due time"
                )
        self._check_jobs()
        for run in self._cluster.objects[JOB_RUNS].values():
            made = instant(run["metadata"]["creationTimestamp"])
            record = self.runs[run["metadata"]["uid"]]
            if record.due is not None and record.due > self._cluster.now and not run["status"]:
                self._check_due(record, record.due)
                continue
            assert run["status"].get("phase"), f"{record.name}, made at {made:%H:%M:%S}, was not decided"
        assert self.idle_slots() == []

    def _check_jobs(self) -> None:
        """None is left of which its run does not speak; what has run was not skipped, and has run once."""
        there = {raw["metadata"]["uid"]: raw for raw in self._cluster.objects[JOBS].values()}
        runs = {raw["metadata"]["uid"]: raw for raw in self._cluster.objects[JOB_RUNS].values()}
        left: dict[tuple[str, object, str], str] = {}
        for uid, job in self.jobs.items():
            record = job.run
            if uid in there:
                assert not record.gone, f"Job {job.name} is an orphan"
                status = runs[controller_uid(there[uid], "JobRun")]["status"]
                named = uid in {step.get("jobUID") for step in status.get("steps", ())}
                assert named or record.phase not in FINISHED, f"Job {job.name} was left, and its run says nothing of it"
            if not (job.ran_out or uid in there):
                continue
            assert not job.late, f"Job {job.name} came when its run had ended, and was left to run"
            what = (record.definition_uid, record.due or id(record), job.attempt)
            assert what not in left, f"Job {job.name} has run, and so has {left[what]} for the same"
            left[what] = job.name
            told = [run.name for run in (record, *self._twins(record)) if run.phase == Phase.SKIPPED]
            told += map(str, self._told_of(record))
            assert not told, f"Job {job.name} has run, and was skipped: {told[0]}"

    def _told_of(self, record: RunRecord) -> list[Line]:
        """The lines of skips that stand for its due time, of any trigger."""
        if record.due is None:
            return []
        lines = [line for (uid, _), of in self.lines.items() if uid == record.definition_uid for line in of]
        return [line for line in lines if line.stands_for(record.due)]

    def idle_slots(self) -> list[str]:
        """Where somebody waits for a slot that is free."""
        found = []
        for scope in {self._scope(uid) for uid in self.definitions}:
            limit, active = self._limit(scope), self._holders(scope)
            # Of what was missed, one at a time.
            waiting = [run.name for run, _ in self._queue(scope) if not (run.missed and active)]
            free = limit is None or len(active) < limit
            if free and waiting:
                found.append(f"{scope}: {limit} may be active, {active} are, and {waiting} wait")
        return found

    @staticmethod
    def _marked(definition: Definition) -> Iterator[tuple[PlannedTrigger, TriggerStatus]]:
        marks = {mark.name: mark for mark in definition.status.triggers}
        return ((trigger, marks[trigger.name]) for trigger in definition.triggers)

    def _check_counts(self, definition: Definition) -> None:
        counts = definition.status.counts
        runs = [run for run in self._runs_of(definition.uid) if run.phase in FINISHED]
        for run in runs:
            assert run.recorded, f"{run.name} is {run.phase}, and never was in history"
        ended = [run.phase for run in runs]
        skipped = sum(line.count for (uid, _), lines in self.lines.items() if uid == definition.uid for line in lines)
        counted = (counts.succeeded, counts.failed, counts.stopped, counts.skipped)
        actual = (
            ended.count("Succeeded"),
            ended.count("Failed"),
            ended.count("Stopped"),
            ended.count("Skipped") + skipped,
        )
        assert counted == actual, f"(succeeded, failed, stopped, skipped) is {actual}, and is counted as {counted}"
