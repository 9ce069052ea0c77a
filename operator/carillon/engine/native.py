"""The native backend: a CronJob that is kept as the definition wants it, and the times when it begins and ends.

Best effort by nature: the CronJob controller fires on its own terms (design 3.13). What is ours to hold is that a
change of backend fires nothing twice. To the CronJob: the operator's due times are resolved and recorded first, and the
CronJob counts from its creation. Back: the CronJob goes first, and triggers count from when it is seen to be gone.
Which of the two holds is told by the persisted condition NativeBackend. A CronJob of somebody else's is never touched.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from carillon.api import keys
from carillon.api.base import GROUP
from carillon.api.conditions import Condition
from carillon.api.jobrun import TriggerType
from carillon.api.scheduledjob import Backend, ConcurrencyPolicy, TriggerStatus
from carillon.engine import build
from carillon.engine.due import Resolution, next_due
from carillon.engine.model import CronJob, Definition, Job, Run, Snapshot
from carillon.engine.names import digest
from carillon.engine.parameters import environment as parameter_environment
from carillon.engine.plan import Action, ApplyCronJob, DeleteCronJob, LookUp, LookUpCronJob, SuspendCronJob
from carillon.engine.starting import is_patient
from carillon.engine.triggers import anchored

CONDITION = "NativeBackend"
NAME_TAKEN, CRON_JOB_REFUSED = "NameTaken", "CronJobRefused"
LOOK_AGAIN = timedelta(seconds=30)
"""How soon it is looked whether somebody else's CronJob still has the name: no watch tells of those."""
JOBS_KEPT = 10
"""Finished Jobs of each outcome that the CronJob keeps at least: so many may end while no operator records them."""
BEST_EFFORT = (
    "the CronJob controller fires this definition, on its own terms: due times that it misses are not accounted for, "
    "and it does not know of manual runs"
)


@dataclass(frozen=True, slots=True)
class Native:
    """What the native backend asks of a decision; nothing for most definitions."""

    keeps_time: bool = False
    """The CronJob controller resolves the due times, and we resolve none."""
    counts_anew: bool = False
    """The CronJob is gone: triggers count from now on."""
    condition: tuple[str, str, str, str] | None = None
    refusal: tuple[str, str] | None = None
    """Why the definition is not ready: reason and message."""
    look_up: LookUp | None = None
    actions: list[Action] = field(default_factory=list)
    wake_at: datetime | None = None


def consider(snapshot: Snapshot, definition: Definition, unseen: Sequence[str], now: datetime) -> Native:
    """Say what is to be done about the definition's CronJob.

    Args:
        snapshot: what is known.
        definition: its definition.
        unseen: names of the active runs that the CronJob controller does not count.
        now: the time of the decision.
    """
    ours = snapshot.cron_job if snapshot.cron_job is not None and belongs(snapshot.cron_job, definition) else None
    was = kept_time(definition)
    wanted = definition.spec is not None and definition.spec.backend is Backend.CRON_JOB
    if definition.invalid:
        if not (was or ours):
            return Native()
        actions: list[Action] = []
        if ours is not None and not (ours.suspended or ours.deleting):
            actions.append(SuspendCronJob(ours.name, ours.uid))
        return Native(
            keeps_time=True,
            condition=_condition(False, "InvalidSpec", "the CronJob is suspended: the definition is not valid"),
            actions=actions,
        )
    if wanted and not was and definition.status.observed_generation:
        # The last time that the operator resolves: what it has fired is recorded before there is a CronJob.
        return Native(condition=_condition(False, "Starting", "the CronJob is made next"))
    if wanted:
        return _kept(snapshot, definition, ours, unseen, now)
    if not (was or ours):
        return Native()
    leaving = _condition(False, "Ending", "the CronJob is removed, and the operator fires from then on")
    if ours is not None:
        remove: list[Action] = [] if ours.deleting else [DeleteCronJob(ours.name, ours.uid)]
        return Native(keeps_time=True, condition=leaving, actions=remove)
    if snapshot.cron_job is None and not snapshot.observations.cron_job_absent:
        return Native(keeps_time=True, condition=leaving, look_up=LookUpCronJob())
    return Native(counts_anew=True)


def _kept(
    snapshot: Snapshot, definition: Definition, ours: CronJob | None, unseen: Sequence[str], now: datetime
) -> Native:
    observations = snapshot.observations
    starting = _condition(False, "Starting", "the CronJob is being made")
    refused = observations.cron_job_refused
    if snapshot.cron_job is not None and ours is None:
        message = (
            f"CronJob {definition.key} exists and is not of this ScheduledJob; delete or rename it, "
            "or use backend: Operator"
        )
        return Native(
            keeps_time=True,
            condition=_condition(False, NAME_TAKEN, message),
            refusal=(NAME_TAKEN, message),
            wake_at=now + LOOK_AGAIN,
        )
    if refused is not None and refused.holds(now):
        message = f"the API server refuses the CronJob: {refused.message}"
        return Native(
            keeps_time=True,
            condition=_condition(False, CRON_JOB_REFUSED, message),
            refusal=(CRON_JOB_REFUSED, message),
            wake_at=refused.retry_at,
        )
    waits = bool(unseen) and _exclusive(definition) and (ours is None or ours.suspended)
    body = cron_job_body(definition, waits=waits)
    if ours is None:
        if not observations.cron_job_absent:
            return Native(keeps_time=True, condition=starting, look_up=LookUpCronJob())
        return Native(keeps_time=True, condition=starting, actions=[ApplyCronJob(definition.key.name, "", body)])
    if ours.deleting:
        return Native(keeps_time=True, condition=starting)
    changes: list[Action] = []
    if drifted(ours, definition, body, observations.cron_job_applied):
        changes.append(ApplyCronJob(ours.name, ours.uid, body, count_from=_count_from(ours, body, now)))
    condition = _condition(True, "BestEffort", BEST_EFFORT)
    if waits:
        message = f"the CronJob is suspended until {', '.join(unseen)} has ended, which its controller does not count"
        condition = _condition(False, "Waiting", message)
    return Native(keeps_time=True, condition=condition, actions=changes)


def unseen(
    definition: Definition, cron_job: CronJob | None, runs: Sequence[Run], jobs: Sequence[Job], held: Mapping[str, str]
) -> list[str]:
    """Name the active runs that the CronJob controller does not count: it knows the Jobs that the CronJob controls.

    Args:
        definition: whose runs they are.
        cron_job: the one that is there now.
        runs: the runs of the definition.
        jobs: its Jobs, as `nativeruns.matched` gives them.
        held: who holds a slot, by UID of the run.
    """
    counted = {job.run_uid for job in jobs if cron_job is not None and job.cron_job_uid == cron_job.uid}
    begun = {run.uid for run in runs if run.finished or run.job_made or run.native_job is not None}
    waiting = {
        run.uid: run.name
        for run in runs
        if not (run.uid in begun or run.spec.suspend or run.spec.stop or is_patient(run, definition))
    }
    return sorted(name for uid, name in {**waiting, **held}.items() if uid not in counted)


def _exclusive(definition: Definition) -> bool:
    """Whether the CronJob is to start nothing beside an active run."""
    return definition.spec is not None and not (
        definition.spec.suspend or definition.spec.concurrency.policy is ConcurrencyPolicy.ALLOW
    )


def kept_time(definition: Definition) -> bool:
    """Whether the persisted status says that the CronJob controller has the due times."""
    return any(condition.type == CONDITION for condition in definition.status.conditions)


def refused(definition: Definition) -> Condition | None:
    """The persisted condition that says why no CronJob fires the definition as it is now; None when nothing says so."""
    if definition.spec is None or definition.spec.backend is not Backend.CRON_JOB:
        return None
    for condition in definition.status.conditions:
        if condition.type == CONDITION and condition.reason in (NAME_TAKEN, CRON_JOB_REFUSED):
            return condition if condition.observed_generation == definition.generation else None
    return None


def belongs(cron_job: CronJob, definition: Definition) -> bool:
    """Whether the CronJob is this definition's: it controls it, or nobody does and the label names it."""
    return cron_job.owner_uid == definition.uid or (not cron_job.owner_uid and cron_job.label_uid == definition.uid)


def drifted(ours: CronJob, definition: Definition, body: dict[str, Any], applied: str) -> bool:
    """Whether the CronJob is not what the definition wants.

    The hash tells of our own edits, the generation of everybody's. What was applied is not compared with what is
    there field by field: the API server writes some values its own way (a quantity of 0.5 becomes 500m).
    """
    wanted = body["metadata"]["annotations"][keys.APPLIED_ANNOTATION]
    return ours.applied != wanted or ours.state != applied or {ours.owner_uid, ours.label_uid} != {definition.uid}


def _count_from(ours: CronJob, body: dict[str, Any], now: datetime) -> datetime | None:
    """Edits never fire (design 3.1): the CronJob controller would start the newest due time since its last run."""
    spec = body["spec"]
    resumed = ours.suspended and not spec["suspend"]
    rescheduled = (ours.schedule, ours.time_zone) != (spec["schedule"], spec["timeZone"])
    return now.replace(microsecond=0) if resumed or rescheduled else None


def _condition(holds: bool, reason: str, message: str) -> tuple[str, str, str, str]:
    return CONDITION, "True" if holds else "False", reason, message


def resolution(definition: Definition, marks: Sequence[TriggerStatus], now: datetime) -> Resolution:
    """Resolve nothing: whatever was due up to now is the CronJob controller's."""
    moved = []
    for trigger, mark in anchored(definition, marks):
        newest = trigger.schedule.latest_through(now, after=mark.handled_through)
        moved.append(mark if newest is None else mark.model_copy(update={"handled_through": newest}))
    return Resolution(fire=(), watermarks=tuple(moved), skips=(), next_due=next_due(definition, moved, now))


def counted_anew(marks: Sequence[TriggerStatus], now: datetime) -> tuple[TriggerStatus, ...]:
    """Watermarks of triggers that the operator takes back: what was due before is the CronJob's, run or not.

    The CronJob is gone by now, and its controller fires no earlier than 0.1 s after the due time (nextScheduleDelta):
    a due time after now is ours alone.
    """
    since = now.replace(microsecond=0)
    return tuple(mark.model_copy(update={"since": since, "handled_through": since}) for mark in marks)


def cron_job_body(definition: Definition, *, waits: bool = False) -> dict[str, Any]:
    """Build the CronJob, as it is applied; suspended while it `waits` for runs that its controller does not count.

    Jobs have no due time in their environment: it is in an annotation of the Job, which the downward API does not
    give to pods. `CARILLON_RUN` is the Job's name, which is the JobRun's as well.
    """
    assert definition.spec is not None
    spec, [trigger] = definition.spec, definition.spec.triggers
    labels = build.run_labels(definition.key.name, spec.class_, TriggerType.PERIODIC)
    labels[keys.NATIVE_LABEL] = definition.uid
    name_of_the_job = {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}}
    job = build.from_template(
        spec,
        labels=labels,
        annotations={},
        environment=[
            *parameter_environment(spec.parameters, {}),
            {"name": keys.RUN_ENVIRONMENT, "valueFrom": name_of_the_job},
        ],
    )
    body: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": definition.key.name,
            "namespace": definition.key.namespace,
            "labels": {key: value for key, value in labels.items() if key != keys.TRIGGER_LABEL},
            "ownerReferences": [build.owner_reference("ScheduledJob", definition.key.name, definition.uid)],
        },
        "spec": {
            "schedule": " ".join((trigger.cron or "").split()),
            # Without one, CronJob's is the zone of wherever the controller manager runs; ours is UTC.
            "timeZone": trigger.time_zone or "Etc/UTC",
            "suspend": spec.suspend or waits,
            "concurrencyPolicy": spec.concurrency.policy.value,
            # Not fewer than history keeps: a Job must not be gone before its run is recorded, and read.
            "successfulJobsHistoryLimit": max(spec.history.succeeded, JOBS_KEPT),
            "failedJobsHistoryLimit": max(spec.history.failed, JOBS_KEPT),
            "jobTemplate": {"metadata": job["metadata"], "spec": job["spec"]},
        },
    }
    if spec.starting_deadline_seconds is not None:
        body["spec"]["startingDeadlineSeconds"] = spec.starting_deadline_seconds
    applied = digest(json.dumps(body, sort_keys=True), length=16)
    body["metadata"]["annotations"] = {keys.APPLIED_ANNOTATION: applied}
    return body


def in_place_of(found: Mapping[str, Any], body: dict[str, Any], *, uid: str) -> dict[str, Any]:
    """Give the whole of the CronJob that replaces what was found: others keep their metadata, and nothing else.

    Args:
        found: the CronJob as it was just read; the write is refused if it changes meanwhile.
        body: what `cron_job_body` says.
        uid: of the CronJob that was decided about; the write is refused if this is another one.
    """
    metadata, wanted = found["metadata"], body["metadata"]
    owners = {owner["uid"]: owner for owner in metadata.get("ownerReferences") or ()}
    owners |= {owner["uid"]: owner for owner in wanted["ownerReferences"]}
    theirs = {
        kind: {k: v for k, v in (metadata.get(kind) or {}).items() if not k.startswith(f"{GROUP}/")}
        for kind in ("labels", "annotations")
    }
    kept: dict[str, Any] = {
        **wanted,
        "uid": uid,
        "resourceVersion": metadata["resourceVersion"],
        "labels": {**theirs["labels"], **wanted["labels"]},
        "annotations": {**theirs["annotations"], **wanted["annotations"]},
        "ownerReferences": list(owners.values()),
    }
    if metadata.get("finalizers"):
        kept["finalizers"] = metadata["finalizers"]
    return {**body, "metadata": kept}
