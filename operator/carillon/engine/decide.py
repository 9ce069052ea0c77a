"""The decision: a snapshot and the time in, a plan out. The controller carries it out and asks until it is empty.

Each call decides anew from what exists, so a crash between any two writes leaves nothing half-remembered: the intent
(JobRun) is written before the effect (Job), the record (status) after it, and a record is dropped only when a later
one covers it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import takewhile

from carillon.api import keys
from carillon.api.jobrun import JobRunStatus, Phase, TriggerType
from carillon.api.scheduledjob import Concurrency, History
from carillon.engine import ahead, build, eventruns, groups, names, native, nativeruns
from carillon.engine.announce import announce_run, announce_skips, announce_state
from carillon.engine.autostart import AUTO_START, is_auto_start
from carillon.engine.concurrency import Slots, holders, in_order, jobs_of, late_jobs, overtaken_runs
from carillon.engine.disabling import disabled_until, resumed_at
from carillon.engine.due import MISSED_AFTER, Due, Resolution, nothing, pass_over, resolve, with_skips
from carillon.engine.history import Current, dated, unrecorded
from carillon.engine.model import Definition, Job, Observations, Run, Snapshot
from carillon.engine.plan import (
    Action,
    AdoptRun,
    CheckTemplate,
    CreateRun,
    DeleteJob,
    DeleteRun,
    InspectPods,
    LookUp,
    LookUpDefinition,
    Plan,
    WithdrawRun,
    WriteDefinitionStatus,
    WriteRunStatus,
)
from carillon.engine.progress import advance
from carillon.engine.retention import expired
from carillon.engine.runstatus import run_status_body, status_body
from carillon.engine.skips import SkipReason
from carillon.engine.start_time import early, is_ahead
from carillon.engine.starting import (
    disabled,
    has_place,
    is_missed,
    is_patient,
    refusal,
    skipped,
    start,
    until_mended,
)
from carillon.engine.summary import INVALID_SPEC, second, summarise, template_verdict
from carillon.engine.triggers import watermarks

LOOK_AGAIN = timedelta(seconds=2)
"""How soon pods that linger are looked at again."""
NAMES_RECHECK = timedelta(minutes=5)
"""How soon names that others have are tried again, where nothing can be made without one."""
TEMPLATE_RECHECK = timedelta(minutes=5)
"""How soon a refused Job template is tried again: what refused it may have been mended elsewhere."""


@dataclass(slots=True)
class _Draft:
    """The plan in the making; actions of each sort are carried out in this order."""

    creates: list[Action] = field(default_factory=list)
    lookups: list[LookUp] = field(default_factory=list)
    adoptions: list[Action] = field(default_factory=list)
    run_writes: list[Action] = field(default_factory=list)
    job_changes: list[Action] = field(default_factory=list)
    definition_writes: list[Action] = field(default_factory=list)
    native: list[Action] = field(default_factory=list)
    prunes: list[Action] = field(default_factory=list)
    wakes: list[datetime] = field(default_factory=list)
    next_due: datetime | None = None
    statuses: dict[str, JobRunStatus] = field(default_factory=dict)
    """What each run's record is to say, by UID."""

    def plan(self) -> Plan:
        actions = (
            *self.creates,
            *self.adoptions,
            *self.lookups,
            *self.run_writes,
            *self.job_changes,
            *self.definition_writes,
            *self.native,
            *self.prunes,
        )
        return Plan(actions=actions, wake_at=min(self.wakes, default=None), next_due=self.next_due)


def decide(snapshot: Snapshot, now: datetime) -> Plan:
    """Decide what to do about one definition, its runs and its Jobs.

    Args:
        snapshot: what is known, our own writes included.
        now: aware UTC time of the decision.
    """
    draft = _Draft()
    definition = snapshot.definition
    if definition is None:
        _without_definition(snapshot, draft, now)
    elif not (definition.deleting or definition.unreadable_status):
        _with_definition(snapshot, definition, draft, now)
    return draft.plan()


def _without_definition(snapshot: Snapshot, draft: _Draft, now: datetime) -> None:
    """Refuse people's runs for a ScheduledJob that does not exist; the owned ones go with their owner."""
    strays = nativeruns.believed(None, [run for run in snapshot.runs if not run.owner_uid and not run.deleting])
    jobs = jobs_of(strays, snapshot.jobs)
    draft.statuses = {run.uid: run.status for run in strays}
    waiting = [run for run in strays if not (run.finished or run.job_made or run.uid in jobs)]
    if waiting and not snapshot.observations.definition_absent:
        draft.lookups.append(LookUpDefinition())
        return
    for run in waiting:
        message = f"ScheduledJob {snapshot.key} does not exist; spec.scheduledJob names one in the run's own namespace"
        draft.statuses[run.uid] = skipped(run, "NotFound", message, now=second(now))
    _advance_active(None, strays, jobs, set(), snapshot.observations, draft, now)
    _write_runs(None, strays, draft)
    unarchived = snapshot.observations.unarchived
    draft.prunes += [DeleteRun(run.name, run.uid) for run in expired(strays, History(), None, None, unarchived)]


def _with_definition(snapshot: Snapshot, definition: Definition, draft: _Draft, now: datetime) -> None:
    observations = snapshot.observations
    runs = nativeruns.believed(definition, [run for run in snapshot.runs if run.owner_uid in ("", definition.uid)])
    deleted = [run for run in observations.deleted_runs if run.owner_uid == definition.uid]
    outdone = {run.uid for run in ahead.outdone(definition, deleted, now, others=[*runs, *deleted], begun=())}
    deleted = [run for run in deleted if run.uid not in outdone]
    known_jobs = nativeruns.jobs_believed(definition, snapshot, [*runs, *deleted])
    records = nativeruns.record(definition, known_jobs, runs, observations)
    runs = nativeruns.presumed(definition, runs, known_jobs)
    all_jobs = nativeruns.matched(definition, known_jobs, runs)
    jobs = jobs_of(runs, all_jobs)
    held = holders(runs, all_jobs, observations)
    unseen = native.unseen(definition, snapshot.cron_job, runs, all_jobs, held)
    backend = native.consider(snapshot, definition, unseen, now)
    draft.native += [*records, *backend.actions]
    catching_up = {run.uid for run in runs if run.uid in held and is_missed(run, definition)}
    slots = Slots(
        definition.spec.concurrency if definition.spec is not None else Concurrency(),
        groups.limit(definition, snapshot.group),
        dict(held),
        elsewhere=groups.held(snapshot.group),
        line=tuple(waiting for member in snapshot.group for waiting in groups.line(member, second(now))),
        catching_up=catching_up,
    )

    draft.statuses = {run.uid: run.status for run in runs}
    jobless = [run for run in runs if run.uid not in jobs and not run.deleting]
    withdrawn = ahead.withdrawn(definition, jobless, fires=not backend.keeps_time, now=now)
    withdrawn += ahead.outdone(definition, jobless, now, others=runs, begun=jobs)
    draft.prunes += [WithdrawRun(run.name, run.uid, run.resource_version) for run in withdrawn]
    gone = {run.uid for run in withdrawn}
    runs = [run for run in runs if run.uid not in gone]
    replaced = _start_waiting(definition, runs, jobs, slots, observations, draft, now)
    _advance_active(definition, runs, jobs, replaced, observations, draft, now)
    draft.job_changes += [DeleteJob(job.name, job.uid) for job in late_jobs(runs, all_jobs)]
    auto_start_run, stalled = _auto_start(definition, runs, observations, draft, now)
    if nameless := nativeruns.nameless(definition, known_jobs, runs, observations):
        stalled = f"no JobRun can be made for {', '.join(nameless[:3])}: others have every name that it may have"
    if stalled:
        draft.wakes.append(second(now) + NAMES_RECHECK)
    room = slots.room(len(_waiting(definition, runs, draft.statuses, now)))
    ran = _ran(definition, [*runs, *deleted])
    resolution, suspended_since = _due_times(definition, ran, room, backend, observations, now)
    draft.creates += [_create_run(definition, due, observations, now) for due in resolution.fire]
    left = max(0, room - len(resolution.fire)) if room is not None else None
    happened = eventruns.consider(definition, observations, room=left, now=now)
    draft.creates += happened.creates
    draft.lookups += happened.passed_over
    draft.wakes += happened.wakes
    if resolution.fire:
        backend = replace(backend, condition=None)  # the backend does not change before these have their runs

    verdict = None if definition.invalid else template_verdict(definition, observations)
    if not definition.invalid and verdict is None:
        draft.lookups.append(CheckTemplate(definition.generation, build.trial_job_body(definition)))
    if verdict:
        draft.wakes.append(second(now) + TEMPLATE_RECHECK)
    draft.lookups += [backend.look_up] if backend.look_up is not None else []
    draft.wakes += [backend.wake_at] if backend.wake_at is not None else []

    persisted = definition.status
    for run in runs:
        draft.statuses[run.uid] = dated(run, draft.statuses[run.uid], persisted.recorded_through)
    _write_runs(definition, runs, draft)
    currents = [Current(run, draft.statuses[run.uid]) for run in runs if not is_ahead(run, now) or run.spec.stop]
    currents += [Current(run, run.status) for run in deleted]
    status = summarise(
        definition,
        currents=currents,
        jobs=known_jobs,
        active=len(held),
        resolution=resolution,
        suspended_since=suspended_since,
        auto_start_run=auto_start_run,
        stalled=stalled,
        observations=observations,
        backend=backend,
        now=second(now),
    )
    fires = not (backend.keeps_time or backend.counts_anew or backend.condition or resolution.fire)
    if fires and status.next_executions:
        left = max(0, left - len(happened.creates)) if left is not None else None
        _write_ahead(definition, snapshot, status.next_executions[0], resolution, ran, left, draft, now)
    if unrecorded(status, currents):
        draft.wakes.append(second(now) + timedelta(seconds=1))
    if status != persisted:
        body = status_body(status)
        draft.definition_writes.append(WriteDefinitionStatus(definition.resource_version, body))
        draft.definition_writes += announce_skips(definition, resolution.skips)
        draft.definition_writes += announce_state(definition, status)
    history = definition.spec.history if definition.spec is not None else History()
    draft.prunes += [
        DeleteRun(run.name, run.uid)
        for run in expired(runs, history, persisted, definition, observations.unarchived)
        if not nativeruns.untied(run, known_jobs)
    ]
    if resolution.next_due is not None:
        draft.wakes.append(resolution.next_due)
    if (until := disabled_until(definition, now)) is not None:
        draft.wakes.append(until)


def _write_ahead(
    definition: Definition,
    snapshot: Snapshot,
    due: datetime,
    resolution: Resolution,
    ran: set[datetime],
    room: int | None,
    draft: _Draft,
    now: datetime,
) -> None:
    draft.next_due = due
    triggers = ahead.triggers_to_write(
        definition, resolution.watermarks, due, together=snapshot.together, ran=ran, room=room, now=now
    )
    intent = Due(due, tuple(triggers), starts_at=due)
    if triggers and _free_name(definition, intent, snapshot.observations) is not None:
        draft.creates.append(_create_run(definition, intent, snapshot.observations, now))


def _waiting(
    definition: Definition, runs: Sequence[Run], statuses: dict[str, JobRunStatus], now: datetime
) -> list[Run]:
    """The runs that wait to start and take their turn before any new one."""
    phases = ("", Phase.QUEUED.value, Phase.PAUSED.value)  # in pause until now, where that is asked for no more
    return [
        run
        for run in runs
        if not (run.finished or run.deleting or run.native_job is not None or run.job_made)
        and not (run.spec.stop or run.spec.suspend)
        and statuses[run.uid].phase in phases
        and not is_ahead(run, now)
        and not statuses[run.uid].steps  # what waits for admission has its Job, and its slot
        and not is_patient(run, definition)
    ]


def _start_waiting(
    definition: Definition,
    runs: Sequence[Run],
    jobs: dict[str, Job],
    slots: Slots,
    observations: Observations,
    draft: _Draft,
    now: datetime,
) -> set[str]:
    """Start, queue or refuse the runs that have no Job; returns the UIDs of the runs that a newer one replaces."""
    replaced: set[str] = set()
    waiting = [run for run in runs if not (run.finished or run.deleting or run.job_made or run.uid in jobs)]
    waiting = [run for run in waiting if run.native_job is None]
    if definition.invalid and not disabled(definition, now):
        # What waits for its time anyway waits on: what is wrong may be mended by then.
        halted = {r.uid: r for r in waiting if r.status.phase == Phase.SCHEDULED.value and not r.spec.stop}
        draft.statuses |= {uid: until_mended(definition, run) for uid, run in halted.items()}
        waiting = [run for run in waiting if run.uid not in halted]
    if definition.spec is None:
        for run in waiting:
            message = f"ScheduledJob {definition.key} is not valid: {definition.invalid}"
            draft.statuses[run.uid] = skipped(run, "Invalid", message, now=second(now))
        return replaced
    line = in_order(waiting)
    if slots.limit is not None:
        # Who came before is adopted first, and starts first.
        line = list(takewhile(lambda run: run.owner_uid or run.uid in observations.not_adoptable, line))
    owned = [run for run in line if run.owner_uid]
    draft.adoptions += [
        AdoptRun(run.name, run.uid, build.adoption_patch(definition, run)) for run in waiting if not run.owner_uid
    ]
    patient = [run for run in owned if is_patient(run, definition)]
    patient_uids = {run.uid for run in patient}
    prompt = [run for run in owned if run.uid not in patient_uids]
    able = [
        run
        for run in prompt
        if not (run.spec.stop or run.spec.suspend)
        and refusal(definition, run, second(now)) is None
        and early(definition, run, second(now)) is None
    ]
    overtaken = overtaken_runs(able, slots, second(now))
    slots.to_come = sum(has_place(run) for run in able)
    for run in (*prompt, *patient):
        if (words := overtaken.get(run.uid)) is not None:
            draft.statuses[run.uid] = skipped(run, *words, now=second(now))
            continue
        verdict = start(definition, run, slots, observations, second(now))
        if verdict.create is not None:
            draft.creates.append(verdict.create)
        if verdict.status is not None:
            draft.statuses[run.uid] = verdict.status
        if verdict.wake_at is not None:
            draft.wakes.append(verdict.wake_at)
        replaced.update(verdict.replace)
    return replaced


def _advance_active(
    definition: Definition | None,
    runs: Sequence[Run],
    jobs: dict[str, Job],
    replaced: set[str],
    observations: Observations,
    draft: _Draft,
    now: datetime,
) -> None:
    pending = definition.spec.pending_timeout if definition is not None and definition.spec is not None else None
    for run in runs:
        job = jobs.get(run.uid)
        if run.finished or run.deleting or not (run.job_made or job is not None):
            continue
        progress = advance(
            run,
            job,
            replaced=run.uid in replaced,
            pending_timeout=pending if run.native_job is None else None,
            observations=observations,
            now=second(now),
        )
        draft.statuses[run.uid] = progress.status
        if progress.look_up is not None:
            draft.lookups.append(progress.look_up)
        if progress.create is not None:
            draft.creates.append(progress.create)
        if progress.change is not None:
            draft.job_changes.append(progress.change)
        if progress.wake_at is not None:
            draft.wakes.append(progress.wake_at)
    for uid in observations.lingering_jobs:
        if uid not in observations.pods:
            draft.lookups.append(InspectPods(uid))
        draft.wakes.append(now + LOOK_AGAIN)


def _auto_start(
    definition: Definition, runs: Sequence[Run], observations: Observations, draft: _Draft, now: datetime
) -> tuple[str | None, str]:
    """Make the one run of autoStart; a suspended definition makes it at its first resume.

    Returns:
        The name of the run that there is; why there can be none, empty where that is not so.
    """
    recorded = definition.status.auto_start_run
    if recorded is not None or definition.spec is None or not definition.spec.auto_start:
        return recorded, ""
    made = next((run.name for run in runs if is_auto_start(definition, run)), None)
    if made is not None or definition.invalid or definition.suspended(now):
        return made, ""
    candidates = names.auto_start_runs(definition.key.name, definition.uid)
    name = names.free(candidates, observations.taken_runs)
    if name is None:
        return (
            None,
            f"autoStart: others have every name that its run may have; delete the JobRuns {', '.join(candidates)}",
        )
    body = build.run_body(
        definition, name=name, trigger=TriggerType.MANUAL, trigger_name=AUTO_START, scheduled_time=None
    )
    draft.creates.append(CreateRun(name, body))
    return None, ""


def _ran(definition: Definition, runs: Sequence[Run]) -> set[datetime]:
    """The due times that have a run, or had one."""
    ran = {
        run.spec.scheduled_time
        for run in runs
        if run.owner_uid == definition.uid and run.spec.trigger.type is TriggerType.PERIODIC and run.spec.scheduled_time
    }
    # A record that somebody has cleared stands for its due time all the same: another trigger may name it, too.
    return ran | {
        line.scheduled_time
        for line in definition.status.history
        if line.scheduled_time and line.trigger != TriggerType.BACKFILL
    }


def _due_times(
    definition: Definition,
    ran: set[datetime],
    room: int | None,
    backend: native.Native,
    observations: Observations,
    now: datetime,
) -> tuple[Resolution, datetime | None]:
    """Resolve the due times up to now, and say since when the definition is suspended."""
    marks = watermarks(definition, now)
    since = definition.status.suspended_since
    was_invalid = any(c.type == "Ready" and c.reason == INVALID_SPEC for c in definition.status.conditions)
    if backend.keeps_time:
        suspended_since = (since or second(now)) if definition.suspended(now) else None
        return native.resolution(definition, marks, now), suspended_since
    if backend.counts_anew:
        marks = native.counted_anew(marks, now)
    if definition.suspended(now):
        return nothing(definition, marks), since or second(now)
    if definition.invalid:
        return nothing(definition, marks), since
    if since is not None:
        resumed = resumed_at(definition, now)
        return pass_over(definition, marks, ran=ran, reason=SkipReason.SUSPENDED, now=resumed), None
    if was_invalid:
        return pass_over(definition, marks, ran=ran, reason=SkipReason.INVALID, now=now), None
    resolution, nameless = resolve(definition, marks, ran=ran, room=room, now=now), set[datetime]()
    while found := {due.instant for due in resolution.fire if _free_name(definition, due, observations) is None}:
        # No run can stand for them: a line does, and the due times after them have their turn.
        nameless |= found
        resolution = resolve(definition, marks, ran=ran | nameless, room=room, now=now)
    return with_skips(definition, marks, resolution, nameless, SkipReason.NAME_TAKEN), None


def _free_name(definition: Definition, due: Due, observations: Observations) -> str | None:
    candidates = names.periodic_runs(definition.key.name, due.instant, definition.uid)
    return names.free(candidates, observations.taken_runs)


def _create_run(definition: Definition, due: Due, observations: Observations, now: datetime) -> CreateRun:
    name = _free_name(definition, due, observations)
    assert name is not None
    body = build.run_body(
        definition,
        name=name,
        trigger=TriggerType.PERIODIC,
        trigger_name=due.triggers[0],
        scheduled_time=due.instant,
    )
    if now - due.starts_at >= MISSED_AFTER:
        body["metadata"]["annotations"] = {keys.CATCH_UP_ANNOTATION: "true"}
    return CreateRun(name, body, ahead=due.instant > now)


def _write_runs(definition: Definition | None, runs: Sequence[Run], draft: _Draft) -> None:
    for run in runs:
        status = draft.statuses[run.uid]
        if status != run.status:
            body, outcome = run_status_body(run, status)
            draft.run_writes.append(WriteRunStatus(run.name, run.uid, run.resource_version, body, outcome))
            draft.run_writes += announce_run(definition, run, status)
