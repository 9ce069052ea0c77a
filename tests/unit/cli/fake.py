"""A cluster of plain objects for the commands, at a time that stands still."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml
from typer.testing import CliRunner, Result

from carillon.api.base import API_VERSION
from carillon.cli.cluster import Api, Place, World
from carillon.cli.main import app
from carillon.engine.read import read_definition
from carillon.kube.errors import ApiError
from carillon.kube.resources import PODS, SELF_SUBJECT_REVIEWS, Resource

Object = dict[str, Any]
Words = list[str]

NOW = datetime(2026, 11, 22, 18, 0, 20, tzinfo=UTC)
CREATED = "2026-11-01T09:00:00Z"
CONTAINER = {"name": "main", "image": "busybox"}
TEMPLATE = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}}}


@dataclass
class FakeApi:
    """Objects by plural, namespace and name; answers like the API server, as far as commands can tell."""

    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    """Verbs and plurals that RBAC does not allow."""
    created: list[Object] = field(default_factory=list)
    closed: bool = False
    before_create: Callable[[Object], None] | None = None
    before_delete: Callable[[str], None] | None = None
    now: datetime = NOW
    user: str = "carol"
    patched: list[tuple[str, str, Object, bool]] = field(default_factory=list)
    """Plural, name, patch, and whether it was strict."""
    deleted: list[str] = field(default_factory=list)
    happens: dict[str, list[Object]] = field(default_factory=dict)
    """By plural: what a watch tells, one object after the other; None: deleted."""
    logs: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """By pod and container: its lines."""
    place: Place | None = None
    """Where the last command looked."""

    def add(self, plural: str, body: Object) -> None:
        self.objects[plural, body["metadata"]["namespace"], body["metadata"]["name"]] = body

    def _allow(self, verb: str, resource: Resource, namespace: str | None) -> None:
        if (verb, resource.plural) in self.forbidden:
            where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
            raise ApiError(
                403,
                "Forbidden",
                f'{resource.plural}.{resource.group} is forbidden: User "carol" cannot {verb} resource '
                f'"{resource.plural}" in API group "{resource.group}"{where}',
            )

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        self._allow("get", resource, namespace)
        found = self.objects.get((resource.plural, namespace or "", name))
        if found is None:
            raise ApiError(404, "NotFound", f'{resource.plural}.{resource.group} "{name}" not found')
        return found

    async def list(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int = 500,
        pages: int | None = None,
    ) -> tuple[list[Object], str]:
        self._allow("list", resource, namespace)
        found = [
            o for (plural, ns, _), o in self.objects.items() if plural == resource.plural and namespace in (None, ns)
        ]
        return [o for o in found if _selected(o, label_selector, field_selector)], "1"

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int,
        silence_seconds: float | None = None,
        metadata_only: bool = False,
    ) -> AsyncGenerator[tuple[str, Object], None]:
        self._allow("watch", resource, namespace)
        for number, item in enumerate(self.happens.pop(resource.plural, ())):
            await asyncio.sleep(0.01)
            kind = "DELETED" if item["metadata"].get("deletionTimestamp") else "MODIFIED"
            yield kind, {**item, "metadata": {**item["metadata"], "resourceVersion": str(100 + number)}}
        await asyncio.sleep(3600)

    async def log_lines(
        self,
        namespace: str,
        pod: str,
        *,
        container: str,
        follow: bool = True,
        since: str = "",
        tail_lines: int | None = None,
    ) -> AsyncGenerator[str, None]:
        self._allow("get", PODS, namespace)
        if (pod, container) not in self.logs:
            raise ApiError(404, "NotFound", f'pods "{pod}" not found')
        lines = self.logs[pod, container]
        for number, line in enumerate(lines if tail_lines is None else lines[len(lines) - tail_lines :]):
            yield f"2026-11-22T17:00:{number:02}.5Z {line}"

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Object,
        *,
        subresource: str = "",
        dry_run: bool = False,
        strict: bool = False,
    ) -> Object:
        self._allow("patch", resource, namespace)
        found = await self.get(resource, namespace, name)
        if (body.get("metadata", {}).get("uid") or found["metadata"]["uid"]) != found["metadata"]["uid"]:
            raise ApiError(409, "Conflict", "the UID in the precondition does not match")
        if dry_run:
            return found
        self.patched.append((resource.plural, name, body, strict))
        self.objects[resource.plural, namespace or "", name] = _merged(found, body)
        return self.objects[resource.plural, namespace or "", name]

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str, resource_version: str | None = None
    ) -> None:
        self._allow("delete", resource, namespace)
        if self.before_delete is not None:
            self.before_delete(name)
        found = self.objects.get((resource.plural, namespace or "", name))
        if found is None or found["metadata"]["uid"] != uid:
            return
        if resource_version not in (None, found["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", "the ResourceVersion in the precondition does not match")
        del self.objects[resource.plural, namespace or "", name]
        self.deleted.append(name)

    async def create(
        self, resource: Resource, namespace: str | None, body: Object, *, dry_run: bool = False, strict: bool = False
    ) -> Object:
        self._allow("create", resource, namespace)
        if resource is SELF_SUBJECT_REVIEWS:
            return {**body, "status": {"userInfo": {"username": self.user}}}
        if dry_run:
            return body
        if self.before_create is not None:
            self.before_create(body)
        key = (resource.plural, namespace or "", body["metadata"]["name"])
        if key in self.objects:
            raise ApiError(409, "AlreadyExists", f'{resource.plural} "{key[2]}" already exists')
        made = {**body, "metadata": {**body["metadata"], "uid": f"uid-{key[2]}", "resourceVersion": "1"}}
        made["metadata"]["creationTimestamp"] = "2026-11-22T18:00:20Z"
        self.objects[key] = made
        self.created.append(body)
        return made

    async def close(self) -> None:
        self.closed = True

    def invoke(self, *arguments: str, columns: int = 80, stdin: str | None = None) -> Result:
        """Run a command against this cluster."""

        environment = {"COLUMNS": str(columns), "KUBECONFIG": "/nonexistent", "NO_COLOR": "1", "TERM": "dumb"}
        return CliRunner().invoke(app, list(arguments), obj=self._world(), env=environment, input=stdin)

    def complete(self, line: str, *, namespace: str) -> Words:
        """Press Tab at the end of a line, in bash, where the kubeconfig names a namespace."""
        words = line.split()
        context = {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": namespace}}
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"current-context": "here", "contexts": [context]}, file)
            file.flush()
            environment = {
                "_CARILLON_COMPLETE": "complete_bash",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(words) - 1),
                "KUBECONFIG": file.name,
            }
            done = CliRunner().invoke(app, [], obj=self._world(), env=environment, prog_name="carillon")
        return done.stdout.split()

    def _world(self) -> World:
        async def connect(place: Place) -> Api:
            self.place = place
            return self

        return World(connect=connect, now=lambda: self.now, random_name=lambda base: f"{base}-x7k2p")


def _selected(raw: Object, labels: str, fields: str) -> bool:
    """Whether equality selectors hold of an object."""
    metadata = raw["metadata"]
    pairs = [pair.split("=") for pair in labels.split(",") if pair]
    named = fields.removeprefix("metadata.name=")
    return all((metadata.get("labels") or {}).get(k) == v for k, v in pairs) and named in ("", metadata["name"])


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    kept = {k: v for k, v in (old if isinstance(old, dict) else {}).items() if k not in patch}
    return kept | {k: _merged((old or {}).get(k), v) for k, v in patch.items() if v is not None}


def merged(old: Object, patch: Object) -> Object:
    """Merge as RFC 7396 says."""
    new = dict(old)
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key) or {}, value) if isinstance(value, dict) else value
    return new


def definition(
    name: str,
    *triggers: Object,
    namespace: str = "default",
    created: str = CREATED,
    since: str | None = None,
    handled: str = "2026-11-22T18:00:00Z",
    status: Object | None = None,
    **spec: Any,
) -> Object:
    """A ScheduledJob that the operator has followed until now."""
    raw: Object = {
        "apiVersion": API_VERSION,
        "kind": "ScheduledJob",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "generation": 1,
            "creationTimestamp": created,
        },
        "spec": {"triggers": list(triggers), "jobTemplate": TEMPLATE, **spec},
    }
    marks = [
        {"name": t.name, "specHash": t.spec_hash, "since": since or created, "handledThrough": handled}
        for t in read_definition(raw).triggers
    ]
    raw["status"] = {"observedGeneration": 1, "triggers": marks, **(status or {})}
    return raw


def job_run(name: str, scheduled_job: str, due: str, *, namespace: str = "default", **status: Any) -> Object:
    """The periodic JobRun of a due time."""
    return {
        "apiVersion": API_VERSION,
        "kind": "JobRun",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "resourceVersion": "3",
            "creationTimestamp": due,
        },
        "spec": {
            "scheduledJob": scheduled_job,
            "scheduledTime": due,
            "trigger": {"type": "Periodic", "name": "nightly"},
        },
        "status": status,
    }


def cron(name: str, expression: str, zone: str | None = None, **more: Any) -> Object:
    """A cron trigger."""
    return {"name": name, "cron": expression, **({"timeZone": zone} if zone else {}), **more}


NIGHTLY = cron("nightly", "30 2 * * *", "Europe/Paris")


def shop() -> FakeApi:
    """A small shop's cluster, in the state that the golden files show."""
    api = FakeApi()
    skips = [
        {
            "trigger": "nightly",
            "from": "2026-11-19T01:30:00Z",
            "to": "2026-11-20T01:30:00Z",
            "count": 2,
            "reason": "ConcurrencyForbid",
        }
    ]
    history = [
        {
            "run": "dump-1794879000",
            "trigger": "nightly",
            "phase": "Failed",
            "reason": "BackoffLimitExceeded",
            "message": "pg_dump: connection refused",
            "exitCode": 3,
            "scheduledTime": "2026-11-17T01:30:00Z",
            "startTime": "2026-11-17T01:30:00Z",
            "completionTime": "2026-11-17T01:31:10Z",
        }
    ]
    api.add(
        "scheduledjobs",
        definition(
            "dump",
            NIGHTLY,
            handled="2026-11-22T01:30:00Z",
            startingDeadlineSeconds=14400,
            status={"skips": skips, "history": history, "recordedThrough": "2026-11-10T00:00:00Z"},
        ),
    )
    api.add(
        "jobruns",
        job_run(
            "dump-1795311000",
            "dump",
            "2026-11-22T01:30:00Z",
            phase="Succeeded",
            reason="Completed",
            startTime="2026-11-22T01:30:00Z",
            completionTime="2026-11-22T01:34:12Z",
        ),
    )
    api.add(
        "jobruns",
        job_run(
            "dump-1795224600",
            "dump",
            "2026-11-21T01:30:00Z",
            phase="Succeeded",
            reason="Completed",
            startTime="2026-11-21T01:42:30Z",
            completionTime="2026-11-21T01:44:00Z",
        ),
    )
    api.add(
        "scheduledjobs",
        definition("report", cron("workdays", "0 7 * * MON-FRI", "Europe/Paris"), cron("month", "0 6 1 * *")),
    )
    api.add("scheduledjobs", definition("paused", cron("often", "*/5 * * * *"), suspend=True))
    api.add("scheduledjobs", definition("by-hand"))
    api.add(
        "scheduledjobs",
        definition("feed", cron("quarter", "*/15 * * * *"), namespace="shop", concurrency={"policy": "Allow"}),
    )
    calendar = {
        "apiVersion": API_VERSION,
        "kind": "Calendar",
        "metadata": {
            "name": "fr-office",
            "namespace": "default",
            "uid": "uid-fr-office",
            "resourceVersion": "1",
            "creationTimestamp": CREATED,
        },
        "spec": {"holidays": [{"country": "FR"}]},
    }
    api.add("calendars", calendar)
    api.add(
        "scheduledjobs",
        definition(
            "invoices",
            cron("evening", "0 19 * * *", "Europe/Paris", jitterSeconds=600),
            exclude={"calendars": ["fr-office"], "dates": ["2026-12-24"]},
            status={
                "skips": [
                    {
                        "trigger": "evening",
                        "from": "2026-11-11T18:00:00Z",
                        "to": "2026-11-11T18:00:00Z",
                        "count": 1,
                        "reason": "Excluded",
                    }
                ]
            },
        ),
    )
    return api


def fleet() -> FakeApi:
    """A cluster in which everybody likes midnight."""
    api = FakeApi()
    for job in _fleet():
        api.add("scheduledjobs", job)
    return api


def _fleet() -> Iterator[Object]:
    for number in range(60):
        yield definition(f"backup-{number:02}", cron("nightly", "0 0 * * *"), namespace="backups")
    for number in range(25):
        yield definition(f"clean-{number:02}", cron("nightly", "0 2 * * *"), namespace="files")
    for number in range(12):
        yield definition(f"sync-{number:02}", cron("quarter", "*/15 * * * *"), namespace="shop")
    for number in range(3):
        yield definition(f"poll-{number}", cron("minute", "* 8-17 * * *"), namespace="shop")
    for number in range(8):
        yield definition(f"spread-{number}", cron("hourly", "H * * * *"), namespace="files")
    yield definition("off", cron("minute", "* * * * *"), namespace="files", suspend=True)
