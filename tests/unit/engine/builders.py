"""Short words for what a decision is made from, so that a test shows only what it is about.

Everything goes through Kubernetes' JSON and `carillon.engine.read`, as in the operator. Times are written as
"12:00:05", on one and the same day, or as "2026-03-09 12:00:05".
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from carillon.api import keys
from carillon.api.base import API_VERSION, StatusModel, rfc3339
from carillon.api.conditions import Condition
from carillon.api.jobrun import JobRunStatus, StepStatus
from carillon.api.scheduledjob import Execution, ScheduledJobStatus, Skip, TriggerStatus
from carillon.engine import plan as plans
from carillon.engine.due import MISSED_AFTER
from carillon.engine.model import Definition, Job, Key, Observations, Run, Snapshot
from carillon.engine.plan import Plan
from carillon.engine.read import read_definition, read_job, read_run
from carillon.engine.terms import NO_TERMS, Terms, write_terms

NAMESPACE = "files"
NAME = "sweep"
KEY = Key(NAMESPACE, NAME)
DEFINITION_UID = "uid-sweep"
DAY = "2026-03-10"
HOURLY = "0 * * * *"
EVERY_MINUTE = "* * * * *"

Body = dict[str, Any]
Action = TypeVar("Action", bound=plans.Action)


def at(text: str) -> datetime:
    """The instant of a time of day, or of a date and a time, in UTC."""
    date, _, time = text.rpartition(" ")
    return datetime.fromisoformat(f"{date or DAY}T{time}").replace(tzinfo=UTC)


def stamp(text: str) -> str:
    """The instant as Kubernetes writes it."""
    return rfc3339(at(text))


def a_template(**pod: Any) -> Body:
    """A Job template with one container."""
    container = {"name": "main", "image": "busybox"}
    return {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container], **pod}}}}


def triggers(*crons: str, **named: str) -> list[Body]:
    """Cron triggers named `t0`, `t1`, …, or by keyword; `at`, `interval` and `@every` are told by their looks."""
    return [_trigger(f"t{i}", text) for i, text in enumerate(crons)] + [_trigger(n, t) for n, t in named.items()]


def _trigger(name: str, text: str) -> Body:
    if text.startswith("R/"):
        return {"name": name, "interval": text}
    if "T" in text and text.endswith("Z"):
        return {"name": name, "at": text}
    return {"name": name, "cron": text}


def raw_definition(
    *crons: str,
    name: str = NAME,
    uid: str = DEFINITION_UID,
    created: str = "00:00",
    generation: int = 1,
    resource_version: int = 10,
    status: Body | None = None,
    **spec: Any,
) -> Body:
    """A ScheduledJob as the API server has it."""
    spec = {"jobTemplate": a_template(), **spec}
    if crons:
        spec["triggers"] = triggers(*crons)
    return {
        "apiVersion": API_VERSION,
        "kind": "ScheduledJob",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid,
            "resourceVersion": str(resource_version),
            "generation": generation,
            "creationTimestamp": stamp(created),
        },
        "spec": spec,
        "status": status or {},
    }


def a_definition(
    *crons: str,
    handled: str | Mapping[str, str] | None = None,
    since: str | None = None,
    generation: int = 1,
    observed: int | None = None,
    status: Body | None = None,
    **rest: Any,
) -> Definition:
    """A ScheduledJob as it was read.

    Args:
        crons: its triggers, `t0`, `t1` and so on.
        handled: the watermark, of all triggers or by name; None when no operator has ever seen the definition.
        since: from when its triggers count; the creation when None.
        generation: metadata.generation.
        observed: the generation that the status speaks of; the present one when None.
        status: more of the status.
        rest: `created`, `name`, `uid` and fields of the spec.
    """
    fresh = read_definition(raw_definition(*crons, generation=generation, status=status, **rest))
    if handled is None:
        return fresh
    observed = generation if observed is None else observed
    marks = [
        as_json(
            TriggerStatus(
                name=trigger.name,
                spec_hash=trigger.spec_hash,
                since=at(since) if since else fresh.created,
                handled_through=at(handled if isinstance(handled, str) else handled[trigger.name]),
            )
        )
        for trigger in fresh.triggers
    ]
    recorded = {"observedGeneration": observed, "triggers": marks, "conditions": accepted(observed), **(status or {})}
    return read_definition(raw_definition(*crons, generation=generation, status=recorded, **rest))


def accepted(generation: int = 1) -> list[Body]:
    """The conditions of a definition that has just been accepted."""
    return [
        condition("Ready", "True", "Accepted", "the definition is accepted", generation),
        condition(
            "OnTime", "True", "StartedOnTime", "every run that was due has started or is accounted for", generation
        ),
    ]


def condition(kind: str, status: str, reason: str, message: str = "", generation: int = 1) -> Body:
    """One condition."""
    return as_json(
        Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            observed_generation=generation,
            last_transition_time=at("00:00"),
        )
    )


def invalid_spec(generation: int = 1) -> list[Body]:
    """The conditions of a definition that was found invalid."""
    return [
        condition(kind, status, "InvalidSpec", "spec.x", generation)
        for kind, status in (("Ready", "False"), ("Stalled", "True"))
    ]


def a_run(
    due: str | None = None,
    phase: str = "",
    *,
    name: str | None = None,
    created: str | None = None,
    owner: str = DEFINITION_UID,
    job: str | None = None,
    started: str | None = None,
    ended: str | None = None,
    reason: str = "",
    message: str = "",
    trigger: str = "",
    scheduled_job: str = NAME,
    deleting: bool = False,
    missed: bool | None = None,
    resource_version: int = 20,
    **spec: Any,
) -> Run:
    """A JobRun: periodic when it has a due time, else manual.

    Args:
        due: its due time.
        phase: empty while nothing was decided about it.
        name: its name; else the name that the operator gives.
        created: when it was made; at its due time when None.
        owner: UID of the definition; empty while it is not adopted.
        job: the Job that its record speaks of; given by itself where the phase says that there was one.
        started: when its Job was made; defaults to the creation, where there is a Job.
        ended: when it finished.
        reason: why it is in its phase.
        message: the same in words.
        trigger: name of the trigger.
        scheduled_job: the definition's name.
        deleting: whether it is being deleted.
        missed: whether the operator wrote that its due time had been missed; by its creation when None.
        resource_version: of this state of it.
        spec: more of the spec.
    """
    made = created or due or "12:00"
    if name is None:
        name = f"{scheduled_job}-{int(at(due).timestamp())}" if due else f"{scheduled_job}-now"
    uid = f"uid-{name}"
    if job is None and phase in ("Running", "Succeeded", "Failed", "Stopped"):
        job = name
    step = StepStatus(name="main", phase=phase, job=job or "", job_uid=f"uid-job-{job}")
    status = JobRunStatus(
        phase=phase,
        reason=reason,
        message=message,
        start_time=at(started or made) if job else None,
        completion_time=at(ended) if ended else None,
        steps=(step,) if job else (),
    )
    asked: Body = {"scheduledJob": scheduled_job, **spec}
    if due:
        asked |= {"scheduledTime": stamp(due), "trigger": {"type": "Periodic", "name": trigger or "t0"}}
    elif trigger:
        asked["trigger"] = {"type": "Manual", "name": trigger}
    metadata: Body = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid,
        "resourceVersion": str(resource_version),
        "creationTimestamp": stamp(made),
    }
    if owner:
        metadata["ownerReferences"] = [_owner("ScheduledJob", scheduled_job, owner)]
    if missed if missed is not None else due and at(made) - at(due) > MISSED_AFTER:
        metadata["annotations"] = {keys.CATCH_UP_ANNOTATION: "true"}
    if deleting:
        metadata["deletionTimestamp"] = stamp(made)
    return read_run({"metadata": metadata, "spec": asked, "status": as_json(status)})


def as_json(status: StatusModel) -> Body:
    """A status as the API server has it."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def a_job(
    run: Run,
    *,
    name: str | None = None,
    active: int = 0,
    terminating: int = 0,
    succeeded: str | None = None,
    failed: str | None = None,
    reason: str = "BackoffLimitExceeded",
    message: str = "",
    created: str | None = None,
    deleting: bool = False,
    terms: Terms = NO_TERMS,
    deadline: int | None = None,
    suspended: bool = False,
    suspended_by: str = "",
    said: tuple[str, bool] | None = None,
    labels: Body | None = None,
    managed_by: str = "",
) -> Job:
    """The Job of a run: with pods, or finished at a time, or neither yet.

    `said`: when Kubernetes said last whether it is suspended, and what.
    """
    status: Body = {"active": active, "terminating": terminating}
    if succeeded:
        status["completionTime"] = stamp(succeeded)
        status["conditions"] = [{"type": "Complete", "status": "True"}]
    if failed:
        ending = {"type": "Failed", "status": "True", "reason": reason, "message": message}
        status["conditions"] = [{**ending, "lastTransitionTime": stamp(failed)}]
    if said is not None:
        suspension = {"type": "Suspended", "status": str(said[1]), "lastTransitionTime": stamp(said[0])}
        status.setdefault("conditions", []).append(suspension)
    name = name or run.name
    metadata: Body = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"uid-job-{name}",
        "resourceVersion": "30",
        "creationTimestamp": stamp(created) if created else rfc3339(run.created),
        "labels": {keys.SCHEDULED_JOB_LABEL: run.spec.scheduled_job, keys.RUN_UID_LABEL: run.uid, **(labels or {})},
        "annotations": {keys.TERMS_ANNOTATION: write_terms(terms), keys.SUSPENDED_ANNOTATION: suspended_by},
        "ownerReferences": [_owner("JobRun", run.name, run.uid)],
    }
    if deleting:
        metadata["deletionTimestamp"] = metadata["creationTimestamp"]
    spec = {"suspend": suspended, "activeDeadlineSeconds": deadline, "managedBy": managed_by}
    return read_job({"metadata": metadata, "spec": spec, "status": status})


def _owner(kind: str, name: str, uid: str) -> Body:
    return {"apiVersion": API_VERSION, "kind": kind, "name": name, "uid": uid, "controller": True}


def snapshot(*things: Definition | Run | Job, **observations: Any) -> Snapshot:
    """What is known when a decision is taken; keywords are those of `Observations`."""
    return Snapshot(
        key=KEY,
        definition=next((thing for thing in things if isinstance(thing, Definition)), None),
        runs=tuple(thing for thing in things if isinstance(thing, Run)),
        jobs=tuple(thing for thing in things if isinstance(thing, Job)),
        observations=Observations(**observations),
    )


# What a plan says


def each(plan: Plan, kind: type[Action]) -> list[Action]:
    """The actions of one kind, in order."""
    return [action for action in plan.actions if isinstance(action, kind)]


def fired(plan: Plan) -> list[str]:
    """Due times of the runs that the plan makes, as "HH:MM:SS"."""
    return [_clock(action.body["spec"]["scheduledTime"]) for action in each(plan, plans.CreateRun)]


def _clock(text: str) -> str:
    date, _, time = text.removesuffix("Z").partition("T")
    return time if date == DAY else f"{date} {time}"


def job_names(plan: Plan) -> list[str]:
    """Names of the Jobs that the plan makes."""
    return [action.name for action in each(plan, plans.CreateJob)]


def run_status(plan: Plan, run: Run) -> JobRunStatus:
    """The status that the run has once the plan is carried out."""
    written = [a.status for a in each(plan, plans.WriteRunStatus) if a.uid == run.uid]
    return JobRunStatus.model_validate(written[-1]) if written else run.status


def outcome(plan: Plan, run: Run) -> tuple[str, str]:
    """Phase and reason of the run once the plan is carried out."""
    status = run_status(plan, run)
    return status.phase, status.reason


def status_after(plan: Plan, definition: Definition) -> ScheduledJobStatus:
    """The definition's status once the plan is carried out."""
    written = each(plan, plans.WriteDefinitionStatus)
    return ScheduledJobStatus.model_validate(written[-1].status) if written else definition.status


def skip_lines(skips: Iterable[Skip]) -> list[str]:
    """Lines of skips as "trigger from-to xcount reason", or "trigger from reason" for a single due time."""
    return [
        f"{s.trigger} {_clock(rfc3339(s.from_))} {s.reason}"
        if s.count == 1
        else f"{s.trigger} {_clock(rfc3339(s.from_))}-{_clock(rfc3339(s.to))} x{s.count} {s.reason}"
        for s in skips
    ]


def skipped(plan: Plan, definition: Definition) -> list[str]:
    """The lines of skips once the plan is carried out, newest first."""
    return skip_lines(status_after(plan, definition).skips)


def handled(plan: Plan, definition: Definition) -> dict[str, str]:
    """The watermarks once the plan is carried out."""
    return {m.name: _clock(rfc3339(m.handled_through)) for m in status_after(plan, definition).triggers}


def conditions_after(plan: Plan, definition: Definition) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition once the plan is carried out."""
    return {c.type: (c.status, c.reason) for c in status_after(plan, definition).conditions}


def events(plan: Plan, kind: str = "ScheduledJob") -> list[str]:
    """The events about objects of a kind, as "Type Reason: message"."""
    return [f"{e.type} {e.reason}: {e.message}" for e in each(plan, plans.Emit) if e.kind == kind]


def history_line(run: str, ended: str, phase: str = "Succeeded", *, due: str | None = None, **rest: Any) -> Body:
    """One line of status.history."""
    return as_json(
        Execution(
            run=run,
            uid=f"uid-{run}",
            phase=phase,
            start_time=at(ended),
            completion_time=at(ended),
            scheduled_time=at(due) if due else None,
            **rest,
        )
    )


def runs_of(lines: Iterable[Execution]) -> list[str]:
    """The runs of history lines."""
    return [line.run for line in lines]
