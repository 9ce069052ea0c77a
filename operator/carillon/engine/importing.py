"""A native CronJob as a ScheduledJob: the manifest, and in words what stays equal and what changes. Pure.

The defaults of the two differ, so everything that CronJob leaves to its own is written out.
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carillon.api import keys
from carillon.api.base import API_VERSION
from carillon.engine.read import NATIVE_DUE_ANNOTATION, read_definition
from carillon.schedule import ScheduleError, load_zone

Object = Mapping[str, Any]
Body = dict[str, Any]

ACTIVE, SUSPENDED = "active", "suspended"
HISTORY_LIMIT = 100
_ZONE_PREFIX = re.compile(r"^\s*(?:CRON_)?TZ=(\S+)\s+(.*)$", re.DOTALL)
_OTHERS_LABELS = ("app.kubernetes.io/managed-by", "argocd.argoproj.io/", "helm.sh/", "kustomize.toolkit.fluxcd.io/")
"""Labels by which a tool knows its objects: a copy that has them would be pruned by it."""

_BOOKKEEPING = {keys.TAKEN_OVER_ANNOTATION, "kubectl.kubernetes.io/last-applied-configuration"}
_A_MINUTE = 29923045
"""Of an example, in minutes since 1970."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What a CronJob becomes."""

    manifest: Body
    equal: tuple[str, ...]
    changes: tuple[str, ...]
    problem: str
    """Why it cannot become a ScheduledJob, with the field and the cure; empty when it can."""


def import_cron_job(raw: Object) -> Imported:
    """Make the ScheduledJob that does what a CronJob does, under the same name.

    A CronJob that has been taken over is imported as it was before.
    """
    metadata, spec = raw["metadata"], raw["spec"]
    equal: list[str] = []
    changes: list[str] = []
    wanted: Body = {
        "triggers": [_trigger(spec, equal, changes)],
        # CronJob's default is Allow, ours Forbid.
        "concurrency": {"policy": spec.get("concurrencyPolicy") or "Allow"},
        "history": _history(spec, equal, changes),
        "jobTemplate": _job_template(spec, equal, changes),
    }
    equal.append(f"concurrency: {wanted['concurrency']['policy']}; with Carillon it holds for manual runs, too")
    _deadline(spec, wanted, equal, changes)
    if suspended_before(raw):
        wanted["suspend"] = True
        equal.append("suspend: it stays disabled")
    changes += [
        "enabling it, or changing its schedule, starts nothing that was due before; a CronJob starts the newest",
        "containers find CARILLON_RUN and CARILLON_SCHEDULED_TIME in their environment",
        f"Jobs are named by the second of their due time, not the minute: {metadata['name']}-{60 * _A_MINUTE} "
        f"instead of {metadata['name']}-{_A_MINUTE}",
        f"Jobs belong to JobRuns, not to the CronJob, and have the annotation {keys.SCHEDULED_TIME_ANNOTATION} "
        f"instead of {NATIVE_DUE_ANNOTATION}",
    ]
    changes += _left_out(metadata)
    for owner in metadata.get("ownerReferences") or ():
        changes.append(
            f"{owner.get('kind')} {owner.get('name')} owns the CronJob and may put it back: change it there as well"
        )
    if manager := (metadata.get("labels") or {}).get("app.kubernetes.io/managed-by"):
        changes.append(f"{manager} manages the CronJob and may put it back: change it there as well")
    manifest: Body = {
        "apiVersion": API_VERSION,
        "kind": "ScheduledJob",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": _labels(metadata),
            "annotations": {keys.IMPORTED_FROM_ANNOTATION: metadata["uid"]},
        },
        "spec": wanted,
    }
    if not manifest["metadata"]["labels"]:
        del manifest["metadata"]["labels"]
    return Imported(manifest, tuple(equal), tuple(changes), _problem(raw, manifest))


def suspended_before(raw: Object) -> bool:
    """Whether people have suspended a CronJob; that we did so when it was taken over does not count."""
    before = (raw["metadata"].get("annotations") or {}).get(keys.TAKEN_OVER_ANNOTATION)
    return bool(raw["spec"].get("suspend")) if before is None else before == SUSPENDED


def taken_over(raw: Object) -> bool:
    """Whether a CronJob is suspended because a ScheduledJob does its work."""
    return keys.TAKEN_OVER_ANNOTATION in (raw["metadata"].get("annotations") or {})


def kept_by_us(raw: Object) -> bool:
    """Whether a CronJob is that of a ScheduledJob with backend: CronJob; it is no one's to import."""
    return keys.NATIVE_LABEL in (raw["metadata"].get("labels") or {})


def imported_from(scheduled_job: Object, cron_job: Object) -> bool:
    """Whether a ScheduledJob was made from this very CronJob."""
    annotations = scheduled_job["metadata"].get("annotations") or {}
    return bool(annotations.get(keys.IMPORTED_FROM_ANNOTATION) == cron_job["metadata"]["uid"])


def differences(one: Any, other: Any, path: str = "spec") -> list[str]:
    """Name the fields in which two values differ, as they are written in messages."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        names = [*one, *(name for name in other if name not in one)]
        return [found for n in names for found in differences(one.get(n), other.get(n), f"{path}.{n}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            found for i, pair in enumerate(zip(one, other, strict=True)) for found in differences(*pair, f"{path}[{i}]")
        ]
    return [] if one == other else [path]


def give_up_patch(scheduled_job: Object, cron_job: Object) -> Body:
    """Build the patch that disables a ScheduledJob whose CronJob is given its work back.

    One that a person has disabled is told apart: it is not enabled when the CronJob is taken over again.
    """
    ours = not scheduled_job["spec"].get("suspend") or suspended_before(cron_job)
    annotations = {keys.GIVEN_BACK_ANNOTATION: "true"} if ours else {}
    return {
        "metadata": {"uid": scheduled_job["metadata"]["uid"], "annotations": annotations},
        "spec": {"suspend": True},
    }


def given_back(scheduled_job: Object) -> bool:
    """Whether a ScheduledJob is disabled because its CronJob was given its work back."""
    return keys.GIVEN_BACK_ANNOTATION in (scheduled_job["metadata"].get("annotations") or {})


def resume_patch(scheduled_job: Object, cron_job: Object) -> Body:
    """Build the patch that has a ScheduledJob do the CronJob's work again after it was given back."""
    metadata = {"uid": scheduled_job["metadata"]["uid"], "annotations": {keys.GIVEN_BACK_ANNOTATION: None}}
    return {"metadata": metadata, "spec": {"suspend": suspended_before(cron_job)}}


def take_over_patch(raw: Object) -> Body:
    """Build the patch that suspends a CronJob and remembers whether it was suspended before."""
    before = SUSPENDED if suspended_before(raw) else ACTIVE
    metadata = {"uid": raw["metadata"]["uid"], "annotations": {keys.TAKEN_OVER_ANNOTATION: before}}
    return {"metadata": metadata, "spec": {"suspend": True}}


def give_back_patch(raw: Object) -> Body:
    """Build the patch that makes a CronJob as it was before it was taken over."""
    metadata = {"uid": raw["metadata"]["uid"], "annotations": {keys.TAKEN_OVER_ANNOTATION: None}}
    return {"metadata": metadata, "spec": {"suspend": suspended_before(raw)}}


def _trigger(spec: Object, equal: list[str], changes: list[str]) -> Body:
    schedule, zone = spec["schedule"].strip(), spec.get("timeZone") or ""
    prefixed = _ZONE_PREFIX.match(schedule)
    if prefixed is not None:
        zone, schedule = zone or prefixed[1], prefixed[2].strip()
        changes.append(f"schedule: the prefix becomes timeZone: {zone}")
    trigger: Body = {"name": "schedule", "cron": schedule}
    if schedule.startswith("@every"):
        changes.append("schedule: @every counts from the creation of the ScheduledJob, not of the CronJob")
        return trigger
    if not zone:
        changes.append(
            "timeZone: the CronJob has none, and follows the clock of wherever kube-controller-manager runs; "
            "Carillon takes UTC: set timeZone if that machine's is another"
        )
        return trigger
    trigger["timeZone"] = zone
    if not _same_as_utc(zone):
        trigger["daylightSaving"] = "WallClock"
        equal.append(f"schedule: {schedule!r} in {zone}, clock changes included (daylightSaving: WallClock)")
    else:
        equal.append(f"schedule: {schedule!r} in {zone}")
    return trigger


def _same_as_utc(zone: str) -> bool:
    try:
        return load_zone(zone).key in ("UTC", "Etc/UTC")
    except ScheduleError:
        return False


def _history(spec: Object, equal: list[str], changes: list[str]) -> Body:
    limits = {"succeeded": spec.get("successfulJobsHistoryLimit", 3), "failed": spec.get("failedJobsHistoryLimit", 1)}
    kept = {name: min(limit, HISTORY_LIMIT) for name, limit in limits.items()}
    if kept == limits:
        equal.append(f"history: {kept['succeeded']} succeeded and {kept['failed']} failed are kept")
    else:
        changes.append(f"history: at most {HISTORY_LIMIT} of an outcome are kept, not {max(limits.values())}")
    return kept


def _deadline(spec: Object, wanted: Body, equal: list[str], changes: list[str]) -> None:
    seconds = spec.get("startingDeadlineSeconds")
    if seconds is None:
        equal.append("startingDeadlineSeconds: none; after a downtime the newest due time is run")
        return
    wanted["startingDeadlineSeconds"] = max(1, seconds)
    if seconds < 10:
        changes.append(
            f"startingDeadlineSeconds: {wanted['startingDeadlineSeconds']} is kept to the second; a CronJob looks "
            f"every 10 s, and starts little with {seconds}"
        )
    else:
        equal.append(f"startingDeadlineSeconds: {seconds}")


def _job_template(spec: Object, equal: list[str], changes: list[str]) -> Body:
    template: Body = copy.deepcopy(dict(spec["jobTemplate"]))
    job_spec = template.setdefault("spec", {})
    for part in (template, job_spec.get("template") or {}):
        # Go writes `creationTimestamp: null` and `{}` into templates that say nothing of the kind.
        (part.get("metadata") or {}).pop("creationTimestamp", None)
        if not part.get("metadata", True):
            del part["metadata"]
    given = template.get("metadata") or {}
    if unused := [name for name, value in given.items() if value and name not in ("labels", "annotations")]:
        changes.append(
            f"jobTemplate.metadata: {', '.join(unused)} left out; of it, a CronJob uses labels and annotations alone"
        )
    if used := {name: given[name] for name in ("labels", "annotations") if given.get(name)}:
        template["metadata"] = used
    else:
        template.pop("metadata", None)
    equal.append("jobTemplate: as it is" if not unused else "jobTemplate: as it is but for its metadata")
    if "ttlSecondsAfterFinished" in job_spec:
        seconds = job_spec.pop("ttlSecondsAfterFinished")
        changes.append(
            f"jobTemplate.spec.ttlSecondsAfterFinished: {seconds} is left out; finished Jobs go with their JobRuns, by "
            "spec.history"
        )
    return template


def _left_out(metadata: Object) -> list[str]:
    """Tell what a ScheduledJob does not get of the CronJob's metadata; bookkeeping of kubectl and ours goes untold."""
    labels = sorted((metadata.get("labels") or {}).keys() - _labels(metadata).keys())
    annotations = sorted((metadata.get("annotations") or {}).keys() - _BOOKKEEPING)
    found = (("labels", labels), ("annotations", annotations))
    return [f"{kind}: left out: {', '.join(names)}" for kind, names in found if names]


def _labels(metadata: Object) -> dict[str, str]:
    return {k: v for k, v in (metadata.get("labels") or {}).items() if not k.startswith(_OTHERS_LABELS)}


def _problem(raw: Object, manifest: Body) -> str:
    if kept_by_us(raw):
        return "it is kept by a ScheduledJob with backend: CronJob already"
    looks = {"uid": "", "resourceVersion": "0", "creationTimestamp": raw["metadata"]["creationTimestamp"]}
    return read_definition({**manifest, "metadata": {**manifest["metadata"], **looks}}).invalid
