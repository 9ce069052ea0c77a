"""Kubernetes' JSON in, frozen values out. What is wrong with a definition is said in words, and stops no other."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from carillon.api import keys
from carillon.api.base import GROUP
from carillon.api.calendar import CalendarSpec, CalendarStatus
from carillon.api.errors import describe
from carillon.api.jobrun import JobRunSpec, JobRunStatus
from carillon.api.scheduledjob import ScheduledJobSpec, ScheduledJobStatus
from carillon.engine.model import Calendar, CronJob, Definition, Job, Key, NativeJob, Run
from carillon.engine.names import JOB_NAME_LENGTH
from carillon.engine.planning import calendar_problem, plan
from carillon.engine.sharing import shared
from carillon.engine.terms import read_terms

Object = Mapping[str, Any]

NO_CALENDARS: Mapping[str, Calendar] = MappingProxyType({})
NATIVE_DUE_ANNOTATION = "batch.kubernetes.io/cronjob-scheduled-timestamp"
"""On the Jobs of the CronJob controller, since Kubernetes 1.28: the due time, in the CronJob's time zone."""
JOB_CONTROLLER = "kubernetes.io/job-controller"
"""spec.managedBy of a Job that nobody else manages, where it is not empty."""
_NATIVE_JOB = re.compile(r"([a-z0-9][a-z0-9.-]{0,62})/([A-Za-z0-9-]{1,36})")
"""Name and UID of a Job: both go into requests, and into fields of these lengths."""


def instant(text: str) -> datetime:
    """Read a Kubernetes timestamp (RFC 3339)."""
    return datetime.fromisoformat(text).astimezone(UTC)


def controller_uid(raw: Object, kind: str) -> str:
    """UID of the object's controlling owner if that is of the given kind and ours, else empty."""
    group = GROUP if kind in ("JobRun", "ScheduledJob") else "batch"
    for reference in raw["metadata"].get("ownerReferences") or ():
        of_group = str(reference.get("apiVersion", "")).startswith(f"{group}/")
        if reference.get("controller") and reference.get("kind") == kind and of_group:
            return str(reference.get("uid", ""))
    return ""


def definition_uid(raw: Object) -> str:
    """UID of the ScheduledJob that owns a JobRun, else empty."""
    references = raw["metadata"].get("ownerReferences") or ()
    return next((str(r.get("uid", "")) for r in references if _is_definition(r)), "")


def _is_definition(reference: Object) -> bool:
    return reference.get("kind") == "ScheduledJob" and str(reference.get("apiVersion", "")).startswith(f"{GROUP}/")


def read_definition(raw: Object, calendars: Mapping[str, Calendar] = NO_CALENDARS) -> Definition:
    """Read a ScheduledJob and plan it; what is wrong with it is in `invalid`.

    Args:
        raw: the object.
        calendars: the Calendars of its namespace, by name.
    """
    return plan(read_unplanned(raw), calendars)


def read_unplanned(raw: Object) -> Definition:
    """Read a ScheduledJob without what a plan adds: it has no triggers yet, and `invalid` says only what is unreadable.

    Nothing can be decided from it before `carillon.engine.planning.plan`.
    """
    metadata = raw["metadata"]
    key = Key(metadata["namespace"], metadata["name"])
    spec: ScheduledJobSpec | None = None
    invalid, unreadable_status = "", ""
    try:
        spec = shared(ScheduledJobSpec.model_validate(raw.get("spec") or {}))
    except ValidationError as error:
        invalid = describe(error)
    try:
        status = shared(ScheduledJobStatus.model_validate(raw.get("status") or {}))
    except ValidationError as error:
        status, unreadable_status = ScheduledJobStatus(), describe(error, root="status")
    return Definition(
        key=key,
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 1),
        created=instant(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        spec=spec,
        triggers=(),
        invalid=invalid,
        status=status,
        history_cleared=_history_cleared(metadata),
        unreadable_status=unreadable_status,
    )


def _history_cleared(metadata: Object) -> datetime | None:
    text = (metadata.get("annotations") or {}).get(keys.HISTORY_CLEARED_ANNOTATION, "")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else None


def read_calendar(raw: Object) -> Calendar:
    """Read a Calendar; what is wrong with it is in `invalid`."""
    metadata = raw["metadata"]
    key = Key(metadata["namespace"], metadata["name"])
    spec: CalendarSpec | None = None
    try:
        spec = CalendarSpec.model_validate(raw.get("spec") or {})
        invalid = calendar_problem(spec, key)
    except ValidationError as error:
        invalid = describe(error)
    try:
        status = CalendarStatus.model_validate(raw.get("status") or {})
    except ValidationError:
        status = CalendarStatus()  # derived, and written anew
    return Calendar(
        key=key,
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 1),
        spec=spec,
        invalid=invalid,
        status=status,
    )


def read_run(raw: Object) -> Run:
    """Read a JobRun.

    Raises:
        ValidationError: the specification is not one that this version knows.
    """
    metadata = raw["metadata"]
    try:
        status = shared(JobRunStatus.model_validate(raw.get("status") or {}))
    except ValidationError:
        status = JobRunStatus()
    return Run(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 1),
        created=instant(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        owner_uid=definition_uid(raw),
        backfill=(metadata.get("labels") or {}).get(keys.BACKFILL_LABEL, ""),
        other_owners=tuple(r for r in metadata.get("ownerReferences") or () if not _is_definition(r)),
        spec=shared(JobRunSpec.model_validate(raw["spec"])),
        status=status,
        native_job=_native_job(metadata),
        missed=(metadata.get("annotations") or {}).get(keys.CATCH_UP_ANNOTATION) == "true",
    )


def _native_job(metadata: Object) -> NativeJob | None:
    found = _NATIVE_JOB.fullmatch((metadata.get("annotations") or {}).get(keys.NATIVE_JOB_ANNOTATION, ""))
    return NativeJob(*found.groups()) if found is not None else None


def read_job(raw: Object) -> Job:
    """Read a batch/v1 Job."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    labels = metadata.get("labels") or {}
    # The CronJob controller makes no longer names; with a selector of its own, a Job of somebody else's may have one.
    native_of = labels.get(keys.NATIVE_LABEL, "") if len(metadata["name"]) <= JOB_NAME_LENGTH else ""
    annotations, spec = metadata.get("annotations") or {}, raw.get("spec") or {}
    due = annotations.get(NATIVE_DUE_ANNOTATION)
    suspension = next((c for c in status.get("conditions") or () if c["type"] == "Suspended"), None)
    said_at = instant(suspension["lastTransitionTime"]) if suspension is not None else None
    is_suspended = suspension is not None and suspension["status"] == "True"
    finished = next(
        (c for c in status.get("conditions") or () if c["type"] in ("Complete", "Failed") and c["status"] == "True"),
        None,
    )
    finished_at = None
    suspended = bool((raw.get("spec") or {}).get("suspend"))
    if finished is not None:
        text = status.get("completionTime") or finished.get("lastTransitionTime")
        finished_at = instant(text) if text else None
    return Job(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        # Its CronJob controls a native Job; the label says that its JobRun has been made.
        run_uid=labels.get(keys.RUN_UID_LABEL, "") if native_of else controller_uid(raw, "JobRun"),
        created=instant(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        active=(status.get("active") or 0) + (status.get("terminating") or 0),
        failing=any(c["type"] == "FailureTarget" and c["status"] == "True" for c in status.get("conditions") or ()),
        finished=finished is not None,
        succeeded=finished is not None and finished["type"] == "Complete",
        reason=(finished or {}).get("reason") or "",
        message=(finished or {}).get("message") or "",
        finished_at=finished_at,
        pending_since=instant(status["startTime"]) if status.get("startTime") and not suspended else None,
        started=finished is not None or any(status.get(count) for count in ("ready", "succeeded", "failed")),
        had_pods=any(status.get(count) for count in ("active", "terminating", "succeeded", "failed"))
        or any((status.get("uncountedTerminatedPods") or {}).values()),
        native_of=native_of,
        scheduled_time=_due_time(due) if native_of and due else None,
        cron_job_uid=controller_uid(raw, "CronJob"),
        terms=read_terms(annotations.get(keys.TERMS_ANNOTATION, "")),
        deadline_seconds=spec.get("activeDeadlineSeconds"),
        suspended=bool(spec.get("suspend")),
        suspended_by=annotations.get(keys.SUSPENDED_ANNOTATION, ""),
        suspended_at=said_at if is_suspended else None,
        resumed_at=None if is_suspended else said_at,
        managed_by=_managed_by(labels, spec),
    )


def _managed_by(labels: Object, spec: Object) -> str:
    if keys.KUEUE_LABEL in labels:
        return f"Kueue (label {keys.KUEUE_LABEL}: {labels[keys.KUEUE_LABEL]})"
    found = spec.get("managedBy") or JOB_CONTROLLER
    return "" if found == JOB_CONTROLLER else f"{found} (spec.jobTemplate.spec.managedBy)"


def _due_time(text: str) -> datetime | None:
    try:
        return instant(text)
    except ValueError:
        return None


def read_cron_job(raw: Object) -> CronJob:
    """Read a batch/v1 CronJob."""
    metadata, spec = raw["metadata"], raw["spec"]
    return CronJob(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        owner_uid=controller_uid(raw, "ScheduledJob"),
        label_uid=(metadata.get("labels") or {}).get(keys.NATIVE_LABEL, ""),
        applied=(metadata.get("annotations") or {}).get(keys.APPLIED_ANNOTATION, ""),
        schedule=spec.get("schedule", ""),
        time_zone=spec.get("timeZone") or "",
        suspended=bool(spec.get("suspend")),
        deleting="deletionTimestamp" in metadata,
    )
