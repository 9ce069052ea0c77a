"""A small API server in memory, with the parts of Kubernetes that an operator of ours can feel.

Objects have UIDs and resourceVersions; names are unique; stale writes get 409; statuses are checked against the models'
limits, as the CRDs do it. Owners that go take their dependents along when `collect_garbage` is called, and pods outlive
their Job until `end_pods`. CronJobs fire when `fire_native` is called. Stored objects are never changed in place, so
they are handed out as they are.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from carillon.api.base import StatusModel, rfc3339
from carillon.api.jobrun import JobRunStatus
from carillon.api.scheduledjob import ScheduledJobStatus
from carillon.kube.errors import ApiError
from carillon.kube.resources import CRON_JOBS, JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource

Body = dict[str, Any]
Watcher = Callable[[Resource, str, Body], None]

_STATUSES: dict[Resource, type[StatusModel]] = {SCHEDULED_JOBS: ScheduledJobStatus, JOB_RUNS: JobRunStatus}


@dataclass(slots=True)
class Pods:
    """The pods of one Job."""

    namespace: str
    labels: dict[str, str]
    active: int = 0
    stuck: bool = False
    """Its image cannot be pulled."""
    ends_at: datetime | None = None
    """When their grace has run out; None while nobody has stopped them."""
    exit_code: int | None = None
    words: str = ""


@dataclass
class Cluster:
    """The API server, and as much of the other controllers as somebody asks for."""

    now: datetime
    watchers: list[Watcher] = field(default_factory=list)
    refuse: Callable[[Resource, Body], ApiError | None] = lambda _resource, _body: None
    """Says why a create is refused (quota, a policy); None when it is not."""
    grace: timedelta = timedelta(seconds=5)
    """How long pods take to end."""

    def __post_init__(self) -> None:
        self.objects: dict[Resource, dict[str, Body]] = {
            SCHEDULED_JOBS: {},
            JOB_RUNS: {},
            CRON_JOBS: {},
            JOBS: {},
        }
        self.pods: dict[str, Pods] = {}
        self._versions = itertools.count(100)
        self.version = 0
        """The newest resourceVersion."""
        self._uids = itertools.count(1)

    # What every client may ask for

    def get(self, resource: Resource, name: str) -> Body:
        try:
            return self.objects[resource][name]
        except KeyError:
            raise ApiError(404, "NotFound", f"{resource.plural} {name!r} not found") from None

    def create(self, resource: Resource, body: Body) -> Body:
        metadata = body["metadata"]
        if (refusal := self.refuse(resource, body)) is not None:
            raise refusal
        if metadata["name"] in self.objects[resource]:
            raise ApiError(409, "AlreadyExists", f"{resource.plural} {metadata['name']!r} already exists")
        assert len(metadata["name"]) <= (63 if resource is JOBS else 253), metadata["name"]
        raw = {
            **body,
            "metadata": {
                **metadata,
                "uid": f"{resource.kind.lower()}-{next(self._uids)}",
                "creationTimestamp": rfc3339(self.now),
                "generation": 1,
            },
            "status": {},
        }
        if resource is JOBS:
            uid, labels = raw["metadata"]["uid"], metadata.get("labels", {})
            self.pods[uid] = Pods(metadata["namespace"], labels)
        return self._store(resource, raw)

    def replace_status(self, resource: Resource, name: str, body: Body) -> Body:
        raw = self.get(resource, name)
        if body["metadata"]["resourceVersion"] != raw["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", f"{resource.plural} {name!r}: the object has been modified")
        self._check_status(resource, body["status"])
        return self._store(resource, {**raw, "status": body["status"]})

    @staticmethod
    def _check_status(resource: Resource, status: Body) -> None:
        if (model := _STATUSES.get(resource)) is not None:
            try:
                model.model_validate(status)
            except ValidationError as error:
                raise ApiError(422, "Invalid", str(error)) from error

    def merge_patch(self, resource: Resource, name: str, patch: Body, *, subresource: str = "") -> Body:
        """JSON merge patch (RFC 7396): of the status alone, or of all but the status. One that changes nothing is no
        write."""
        raw = self.get(resource, name)
        for field_name in ("uid", "resourceVersion"):
            given = patch.get("metadata", {}).get(field_name, raw["metadata"][field_name])
            if given != raw["metadata"][field_name]:
                raise ApiError(409, "Conflict", f"{resource.plural} {name!r}: {field_name} differs")
        merged = merge_patched(raw, patch)
        if subresource:
            merged = {**raw, subresource: merged.get(subresource, {})}
            self._check_status(resource, merged["status"])
        else:
            merged["status"] = raw["status"]
            if (refusal := self.refuse(resource, merged)) is not None:
                raise refusal
        if merged == raw:
            return raw
        changed = merged.get("spec") != raw.get("spec")
        merged["metadata"] = {**merged["metadata"], "generation": raw["metadata"]["generation"] + changed}
        return self._store(resource, merged)

    def apply(self, resource: Resource, name: str, body: Body, *, force: bool) -> Body:
        """Server-side apply, as far as ours goes: maps are merged, and lists replaced, but for owners."""
        raw, metadata = self.objects[resource].get(name), body["metadata"]
        if raw is None:
            if "uid" in metadata:
                raise ApiError(409, "Conflict", f"{resource.plural} {name!r}: no existing object was found")
            return self.create(resource, body)
        if metadata.get("uid", raw["metadata"]["uid"]) != raw["metadata"]["uid"]:
            raise ApiError(409, "Conflict", f"{resource.plural} {name!r}: uid mismatch")
        if not force:
            raise ApiError(409, "Conflict", f"{resource.plural} {name!r}: Apply failed with 1 conflict")
        merged = merge_patched(raw, body)
        owners = {o["uid"]: o for o in (raw["metadata"].get("ownerReferences") or [])}
        owners |= {o["uid"]: o for o in metadata.get("ownerReferences", [])}
        merged["metadata"]["ownerReferences"] = list(owners.values())
        if merged == raw:
            return raw
        merged["metadata"]["generation"] += merged.get("spec") != raw.get("spec")
        return self._store(resource, merged)

    def replace(self, resource: Resource, name: str, body: Body) -> Body:
        """Put a spec and metadata in the place of what is there."""
        raw, metadata = self.get(resource, name), body["metadata"]
        if (refusal := self.refuse(resource, body)) is not None:
            raise refusal
        for field_name in ("uid", "resourceVersion"):
            if metadata[field_name] != raw["metadata"][field_name]:
                raise ApiError(409, "Conflict", f"{resource.plural} {name!r}: {field_name} differs")
        given = {k: raw["metadata"][k] for k in ("creationTimestamp", "generation")}
        new = {**body, "metadata": {**metadata, **given}, "status": raw["status"]}
        if new == raw:
            return raw
        new["metadata"]["generation"] += new["spec"] != raw["spec"]
        return self._store(resource, new)

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        foreground: bool = False,
        orphan: bool = False,
    ) -> None:
        raw = self.objects[resource].get(name)
        if raw is None or uid not in (None, raw["metadata"]["uid"]):
            return
        if resource_version not in (None, raw["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", f"{resource.plural} {name!r}: the object has been modified")
        if orphan:
            for child in list(self.objects[JOBS].values()):
                owners = child["metadata"].get("ownerReferences") or []
                left = [owner for owner in owners if owner["uid"] != raw["metadata"]["uid"]]
                if left != owners:
                    self._store(JOBS, {**child, "metadata": {**child["metadata"], "ownerReferences": left}})
        if foreground and resource is JOBS and self.pods[raw["metadata"]["uid"]].active:
            if "deletionTimestamp" not in raw["metadata"]:
                status = {**raw["status"], "active": 0, "terminating": self.pods[raw["metadata"]["uid"]].active}
                metadata = {**raw["metadata"], "deletionTimestamp": rfc3339(self.now)}
                self.pods[raw["metadata"]["uid"]].ends_at = self.now + self.grace
                self._store(resource, {**raw, "metadata": metadata, "status": status})
            return
        self._remove(resource, name)

    # What people do

    def edit(self, name: str, *, resource: Resource = SCHEDULED_JOBS, **spec: Any) -> Body:
        """Change fields of a ScheduledJob's spec, or of a JobRun's."""
        raw = self.get(resource, name)
        changed = {**raw["spec"], **spec}
        if changed == raw["spec"]:
            return raw
        metadata = {**raw["metadata"], "generation": raw["metadata"]["generation"] + 1}
        return self._store(resource, {**raw, "metadata": metadata, "spec": changed})

    # What the other controllers do

    def control(self, name: str) -> None:
        """The Job controller: makes the pod of a Job that is not finished, or ends it where the Job is suspended."""
        raw = self.get(JOBS, name)
        if "deletionTimestamp" in raw["metadata"]:
            return
        pods, was = self.pods[raw["metadata"]["uid"]], suspension(raw)
        suspended = bool(raw["spec"].get("suspend"))
        status = {**raw["status"], "active": pods.active, "terminating": 0}
        if suspended and pods.active:
            pods.ends_at = pods.ends_at or self.now + self.grace
            status |= {"active": 0, "terminating": pods.active}
        if suspended != was and (suspended or raw["status"].get("conditions")):
            said = {"type": "Suspended", "status": str(suspended), "lastTransitionTime": rfc3339(self.now)}
            status["conditions"] = [said]
        if not suspended:
            if pods.ends_at is None and not pods.active:
                pods.active, pods.stuck = 1, any("missing" in container["image"] for container in _containers(raw))
                status |= {"active": 1, "ready": 0 if pods.stuck else 1}
            status.setdefault("startTime", raw["metadata"]["creationTimestamp"])
            if was:
                status["startTime"] = rfc3339(self.now)  # a Job that is resumed counts its deadline anew
        if status != {"active": 0, "terminating": 0, **raw["status"]}:
            self._store(JOBS, {**raw, "status": status})

    def past_deadline(self, name: str) -> datetime | None:
        """When Kubernetes ends a Job for its activeDeadlineSeconds; None where it does not."""
        raw = self.get(JOBS, name)
        seconds, start = raw["spec"].get("activeDeadlineSeconds"), raw["status"].get("startTime")
        if seconds is None or start is None or raw["spec"].get("suspend") or suspension(raw):
            return None
        return datetime.fromisoformat(start) + timedelta(seconds=seconds)

    def finish(self, name: str, *, exit_code: int = 0, words: str = "", reason: str = "BackoffLimitExceeded") -> None:
        """The pod ends, and the Job with it."""
        raw = self.get(JOBS, name)
        pods = self.pods[raw["metadata"]["uid"]]
        pods.active, pods.ends_at, pods.exit_code, pods.words = 0, None, exit_code, words
        ended = rfc3339(self.now)
        status: Body = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": ended}]}
        if exit_code:
            status["conditions"][0] |= {"type": "Failed", "reason": reason, "message": "the Job has failed"}
        else:
            status["completionTime"] = ended
        self._store(JOBS, {**raw, "status": status})
        if "deletionTimestamp" in raw["metadata"]:
            self._remove(JOBS, name)

    def end_pods(self, job_uid: str) -> None:
        """Terminating pods have ended; a Job that was waiting for them goes."""
        self.pods[job_uid].active, self.pods[job_uid].ends_at = 0, None
        for name, raw in list(self.objects[JOBS].items()):
            if raw["metadata"]["uid"] != job_uid:
                continue
            if "deletionTimestamp" in raw["metadata"]:
                self._remove(JOBS, name)
            elif raw["status"].get("terminating"):
                self._store(JOBS, {**raw, "status": {**raw["status"], "terminating": 0}})

    def fire_native(self, name: str, due: datetime) -> str:
        """The CronJob controller makes the Job of a due time; its name."""
        raw = self.get(CRON_JOBS, name)
        template, job = raw["spec"]["jobTemplate"], f"{name}-{int(due.timestamp()) // 60}"
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": raw["metadata"]["uid"]}
        metadata = {
            **template["metadata"],
            "name": job,
            "namespace": raw["metadata"]["namespace"],
            "annotations": {
                **template["metadata"].get("annotations", {}),
                "batch.kubernetes.io/cronjob-scheduled-timestamp": rfc3339(due),
            },
            "ownerReferences": [{**owner, "controller": True}],
        }
        self.create(JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})
        return job

    def collect_garbage(self) -> bool:
        """Remove what belongs to owners that are gone; whether there was anything."""
        alive = {raw["metadata"]["uid"] for kind in self.objects.values() for raw in kind.values()}
        orphans = [
            (resource, name)
            for resource, kind in self.objects.items()
            for name, raw in kind.items()
            if (owners := raw["metadata"].get("ownerReferences")) and not any(owner["uid"] in alive for owner in owners)
        ]
        for resource, name in orphans:
            self._remove(resource, name)
        return bool(orphans)

    def pod_list(self, job_uid: str) -> list[Body]:
        """The pods of a Job, as Kubernetes' JSON."""
        pods = self.pods.get(job_uid)
        if pods is None:
            return []
        metadata: Body = {"name": f"pod-{job_uid}", "namespace": pods.namespace, "labels": pods.labels}
        metadata["ownerReferences"] = [{"apiVersion": "batch/v1", "kind": "Job", "uid": job_uid, "controller": True}]
        if pods.active:
            state = {"waiting": {"reason": "ImagePullBackOff", "message": "no"}} if pods.stuck else {"running": {}}
            containers = [{"name": "main", "state": state}]
            phase = "Pending" if pods.stuck else "Running"
            return [{"metadata": metadata, "status": {"phase": phase, "containerStatuses": containers}}]
        if not pods.exit_code:
            return []
        terminated = {"exitCode": pods.exit_code, "reason": "Error", "message": pods.words}
        containers = [{"name": "main", "state": {"terminated": terminated}}]
        return [{"metadata": metadata, "status": {"phase": "Failed", "containerStatuses": containers}}]

    def _store(self, resource: Resource, raw: Body) -> Body:
        self.version = next(self._versions)
        raw = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}
        self.objects[resource][raw["metadata"]["name"]] = raw
        for watcher in list(self.watchers):
            watcher(resource, "MODIFIED", raw)
        return raw

    def _remove(self, resource: Resource, name: str) -> None:
        raw = self.objects[resource].pop(name)
        if resource is JOBS and (pods := self.pods[raw["metadata"]["uid"]]).active and pods.ends_at is None:
            pods.ends_at = self.now + self.grace
        for watcher in list(self.watchers):
            watcher(resource, "DELETED", raw)


def ended(job: Body) -> bool:
    """Whether a Job is finished."""
    return any(c["type"] in ("Complete", "Failed") for c in job["status"].get("conditions", ()))


def suspension(job: Body) -> bool:
    """Whether Kubernetes says of a Job that it is suspended."""
    return any(c["type"] == "Suspended" and c["status"] == "True" for c in job["status"].get("conditions", ()))


def _containers(job: Body) -> list[Body]:
    template = job["spec"].get("template") or {}  # somebody else's Job may have none here
    return list((template.get("spec") or {}).get("containers") or ())


def merge_patched(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch: maps are merged, null takes a key away, and all else takes the place of what is there.

    Source: RFC 7396, section 2.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patched(merged.get(key), value)
    return merged
