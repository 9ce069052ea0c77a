"""Jobs that the CronJob controller makes, as JobRuns in the same history (design 3.13).

The record comes after the effect here, as nobody asks us first. A JobRun bears the name of its Job, as always, and is
tied to it twice: its annotation names the Job, so that no other is ever made for it; and the Job gets the run's UID as
a label, so that a run that history has dropped does not come back, and the run as an owner, so that the Job goes with
its record once the CronJob is gone.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from carillon.api import keys
from carillon.api.base import rfc3339
from carillon.api.jobrun import TriggerType
from carillon.api.scheduledjob import Backend, ConcurrencyPolicy
from carillon.engine import build, names
from carillon.engine.model import Definition, Job, Observations, Run, Snapshot
from carillon.engine.native import kept_time
from carillon.engine.plan import AdoptJob, CreateRun
from carillon.engine.starting import started
from carillon.engine.stopping import REPLACED
from carillon.engine.terms import terms_of


def believed(definition: Definition | None, runs: Sequence[Run]) -> list[Run]:
    """Take a run for the record of a native Job only where it is the definition's: anybody can annotate a run.

    A person's run loses the annotation when it is adopted (`build.adoption_patch`).
    """
    return [
        run
        if run.native_job is None or (definition is not None and run.owner_uid == definition.uid)
        else replace(run, native_job=None)
        for run in runs
    ]


def jobs_believed(definition: Definition, snapshot: Snapshot, runs: Sequence[Run]) -> tuple[Job, ...]:
    """The Jobs of a definition, without those that only say that its CronJob has made them.

    Labels and annotations are anybody's to write who may create Jobs, and a Job that is believed stands for a due time
    and holds a slot. So its controller has to be the very CronJob that the definition controls, in a definition that
    has one; or a run of the operator's own making names it.

    Args:
        definition: whose Jobs they are.
        snapshot: what is known.
        runs: its runs, those that somebody has deleted included.
    """
    ours = snapshot.cron_job
    has_one = kept_time(definition) or (definition.spec is not None and definition.spec.backend is Backend.CRON_JOB)
    makes = ours.uid if has_one and ours is not None and ours.owner_uid == definition.uid else None
    recorded = {run.native_job.uid for run in runs if run.native_job is not None}
    return tuple(
        job
        for job in snapshot.jobs
        if not job.native_of
        or job.uid in recorded
        or (job.native_of == definition.uid and makes is not None and job.cron_job_uid == makes)
    )


def matched(definition: Definition, jobs: Sequence[Job], runs: Sequence[Run]) -> tuple[Job, ...]:
    """Give each native Job the run that is its record; one that has none yet stands for itself.

    The Job of another definition is nobody's here, whatever a run says.
    """
    by_job = {run.native_job.uid: run.uid for run in runs if run.native_job is not None}
    return tuple(
        replace(
            job,
            run_uid=(job.native_of == definition.uid and by_job.get(job.uid)) or job.run_uid or job.uid,
            terms=terms_of(definition.spec) if definition.spec is not None else job.terms,
        )
        if job.native_of
        else job
        for job in jobs
    )


def presumed(definition: Definition, runs: Sequence[Run], jobs: Sequence[Job]) -> list[Run]:
    """Say of the runs of native Jobs what nobody may have written down: that the Job was made, and if it was replaced.

    A Job that is gone before its run's record says that there was one is not made a second time. With the policy
    Replace the CronJob controller deletes the active Job before it makes the next one.
    """
    present = {job.uid: job for job in jobs if job.native_of == definition.uid}
    newest = max((job.created for job in jobs if job.native_of == definition.uid), default=None)
    replacing = definition.spec is not None and definition.spec.concurrency.policy is ConcurrencyPolicy.REPLACE
    found = []
    for run in runs:
        if run.native_job is None or run.finished:
            found.append(run)
            continue
        job, status = present.get(run.native_job.uid), run.status
        if job is None and not run.job_made:
            status = started(run, run.native_job.name, run.native_job.uid, run.created)
        if replacing and (job is None or job.deleting) and newest is not None and newest > run.created:
            status = status.model_copy(update={"reason": REPLACED.reason})
        found.append(replace(run, status=status))
    return found


def record(definition: Definition, jobs: Sequence[Job], runs: Sequence[Run], observations: Observations) -> list[Any]:
    """Make the JobRuns of native Jobs that have none, and tie the Jobs to theirs.

    Args:
        definition: whose CronJob made them.
        jobs: Jobs as they were read, not as `matched` gives them.
        runs: its runs.
        observations: what was looked up.
    """
    by_job = {run.native_job.uid: run for run in runs if run.native_job is not None}
    actions: list[CreateRun | AdoptJob] = []
    for job in sorted(jobs, key=lambda job: (job.scheduled_time or job.created, job.name)):
        if job.native_of != definition.uid:
            continue
        run = by_job.get(job.uid)
        if run is None and not job.run_uid and definition.spec is not None:
            if (name := _free_name(job, observations)) is not None:
                actions.append(_create(definition, job, name))
        elif run is not None and job.run_uid != run.uid and not run.deleting:
            actions.append(AdoptJob(job.name, job.uid, _adoption(job, run)))
    return actions


def untied(run: Run, jobs: Sequence[Job]) -> bool:
    """Whether a run has to be kept, as its Job is not tied to it yet and would be recorded anew."""
    return run.native_job is not None and any(job.uid == run.native_job.uid and not job.run_uid for job in jobs)


def nameless(definition: Definition, jobs: Sequence[Job], runs: Sequence[Run], observations: Observations) -> list[str]:
    """Name the native Jobs that have no record, and get none: others have every name that it may have."""
    recorded = {run.native_job.uid for run in runs if run.native_job is not None}
    unrecorded = (
        job for job in jobs if job.native_of == definition.uid and not job.run_uid and job.uid not in recorded
    )
    return sorted(job.name for job in unrecorded if _free_name(job, observations) is None)


def _free_name(job: Job, observations: Observations) -> str | None:
    return names.free(names.native_runs(job.name, job.uid), observations.taken_runs)


def _create(definition: Definition, job: Job, name: str) -> CreateRun:
    periodic = job.scheduled_time is not None and len(definition.triggers) > 0
    # One that `kubectl create job --from` has made has no due time.
    body = build.run_body(
        definition,
        name=name,
        trigger=TriggerType.PERIODIC if periodic else TriggerType.MANUAL,
        trigger_name=definition.triggers[0].name if periodic else "",
        scheduled_time=job.scheduled_time if periodic else None,
    )
    body["metadata"]["annotations"] = {keys.NATIVE_JOB_ANNOTATION: f"{job.name}/{job.uid}"}
    return CreateRun(name, body)


def _adoption(job: Job, run: Run) -> dict[str, Any]:
    """Server-side apply merges owners, and is refused for any other Job of this name. The CronJob stays in control."""
    reference = build.owner_reference("JobRun", run.name, run.uid)
    del reference["controller"]
    annotations = {keys.RUN_ANNOTATION: run.name}
    if run.spec.scheduled_time is not None:
        annotations[keys.SCHEDULED_TIME_ANNOTATION] = rfc3339(run.spec.scheduled_time)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job.name,
            "namespace": job.namespace,
            "uid": job.uid,
            "labels": {keys.RUN_UID_LABEL: run.uid},
            "annotations": annotations,
            "ownerReferences": [reference],
        },
    }
