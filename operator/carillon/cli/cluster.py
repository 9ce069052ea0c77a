"""The cluster as commands see it: definitions and runs read, runs made, and every refusal in words.

Nothing is imported from `kube` but errors and names until a command connects: help and completion must be quick.
"""

import logging
import random
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import typer
from pydantic import ValidationError

from carillon.cli.problems import explained, usage
from carillon.engine.model import Calendar, Definition, Key, Run
from carillon.engine.read import read_calendar, read_definition, read_run
from carillon.kube.errors import ApiError, NotConfigured, Unreachable
from carillon.kube.kubeconfig import default_namespace
from carillon.kube.resources import CALENDARS, JOB_RUNS, SCHEDULED_JOBS, SELF_SUBJECT_REVIEWS, Resource

Object = dict[str, Any]
Objects = list[Object]
Definitions = list[Definition]
Runs = list[Run]
Calendars = dict[str, dict[str, Calendar]]
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Those of generateName: none of which words are made."""


class Api(Protocol):
    """What commands need of `kube.client.Client`."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        """Read one object."""
        ...

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
    ) -> tuple[Objects, str]:
        """Read a collection."""
        ...

    def watch(
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
        """Yield what happens in a collection."""
        ...

    async def create(
        self, resource: Resource, namespace: str | None, body: Object, *, dry_run: bool = False, strict: bool = False
    ) -> Object:
        """Create an object, or only ask whether it would be."""
        ...

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
        """Change an object, or only ask whether it would be."""
        ...

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str, resource_version: str | None = None
    ) -> None:
        """Delete this very object."""
        ...

    def log_lines(
        self,
        namespace: str,
        pod: str,
        *,
        container: str,
        follow: bool = True,
        since: str = "",
        tail_lines: int | None = None,
    ) -> AsyncGenerator[str, None]:
        """Yield the lines of a container's log, each with its time before it."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


async def _connect(place: "Place") -> Api:
    import structlog

    from carillon.kube.client import Client
    from carillon.kube.transport import Impersonation

    if not structlog.is_configured():
        # What happens commands tell in their own words, and stdout is theirs.
        errors_only = structlog.make_filtering_bound_logger(logging.ERROR)
        structlog.configure(wrapper_class=errors_only, logger_factory=structlog.PrintLoggerFactory(sys.stderr))

    somebody = Impersonation(place.user, place.groups) if place.user else None
    return await Client.connect(kubeconfig=place.kubeconfig, context=place.context, impersonation=somebody)


def _now() -> datetime:
    return datetime.now(UTC)


def _random_name(base: str) -> str:
    # As generateName does. Chosen here, so that a create whose answer was lost can be repeated.
    return f"{base}-{''.join(random.choices(_LETTERS, k=5))}"


@dataclass(frozen=True, slots=True)
class Place:
    """Which cluster, and where in it; as the shared options say."""

    kubeconfig: str | None
    context: str | None
    namespace: str | None
    """None: the whole cluster."""
    user: str = ""
    """Whom to act as; empty: as oneself."""
    groups: tuple[str, ...] = ()
    """The groups of the one to act as."""

    @classmethod
    def of(
        cls,
        kubeconfig: str | None,
        context: str | None,
        namespace: str | None,
        everywhere: bool,
        user: str = "",
        groups: tuple[str, ...] = (),
    ) -> "Place":
        """Read the shared options. Raises Problem where they contradict each other."""
        if everywhere and namespace is not None:
            raise usage(f"--all-namespaces and --namespace {namespace}: leave one of them out")
        if groups and not user:
            raise usage("--as-group goes with --as: name the user, too")
        if everywhere:
            return cls(kubeconfig, context, None, user, groups)
        return cls(kubeconfig, context, namespace or default_namespace(kubeconfig, context), user, groups)

    def where(self) -> str:
        """Say it: `namespace files`, `the cluster`."""
        return f"namespace {self.namespace}" if self.namespace else "the cluster"


Connect = Callable[[Place], Awaitable[Api]]


@dataclass(frozen=True, slots=True)
class World:
    """What commands take from outside; tests bring their own."""

    connect: Connect = _connect
    now: Callable[[], datetime] = _now
    random_name: Callable[[str], str] = _random_name


def world_of(context: typer.Context) -> World:
    """Tell the world that the command runs in."""
    world = context.find_root().obj
    return world if isinstance(world, World) else World()


class Cluster:
    """A connection, with Carillon's own objects."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read one object. Raises Problem."""
        try:
            return await self.api.get(resource, namespace, name)
        except (ApiError, Unreachable) as error:
            raise explained(error, "get", resource, namespace, name) from error

    async def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Read one object, if it is there. Raises Problem."""
        try:
            return await self.api.get(resource, namespace, name)
        except (ApiError, Unreachable) as error:
            if isinstance(error, ApiError) and error.not_found and f'"{name}"' in error.message:
                return None
            raise explained(error, "get", resource, namespace, name) from error

    async def list(
        self, resource: Resource, namespace: str | None, *, label_selector: str = "", field_selector: str = ""
    ) -> Objects:
        """Read a collection. Raises Problem."""
        try:
            items, _ = await self.api.list(
                resource, namespace, label_selector=label_selector, field_selector=field_selector
            )
        except (ApiError, Unreachable) as error:
            raise explained(error, "list", resource, namespace) from error
        return items

    async def patch(
        self, resource: Resource, raw: Object, patch: Object, *, strict: bool = False, dry_run: bool = False
    ) -> Object:
        """Change the very object that was read, whatever else has changed in it meanwhile. Raises Problem."""
        metadata = raw["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        own = {"uid": metadata["uid"], **patch.get("metadata", {})}
        try:
            return await self.api.merge_patch(
                resource, namespace, name, {**patch, "metadata": own}, strict=strict, dry_run=dry_run
            )
        except (ApiError, Unreachable) as error:
            raise explained(error, "patch", resource, namespace, name) from error

    async def myself(self) -> str:
        """Ask the API server who we are; empty when it does not say."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            found = await self.api.create(SELF_SUBJECT_REVIEWS, None, review)
        except (ApiError, Unreachable):
            return ""
        return str(((found.get("status") or {}).get("userInfo") or {}).get("username") or "")

    async def definition(self, key: Key) -> Definition:
        """Read a ScheduledJob. Raises Problem."""
        raw = await self.get(SCHEDULED_JOBS, key.namespace, key.name)
        calendars = await self.calendars(key.namespace) if names_calendars(raw) else {}
        return read_definition(raw, calendars.get(key.namespace, {}))

    async def definitions(self, namespace: str | None) -> Definitions:
        """Read all ScheduledJobs of a namespace, or of the cluster, by name. Raises Problem."""
        items = await self.list(SCHEDULED_JOBS, namespace)
        calendars = await self.calendars(namespace) if any(names_calendars(raw) for raw in items) else {}
        found = (read_definition(raw, calendars.get(raw["metadata"]["namespace"], {})) for raw in items)
        return sorted(found, key=lambda definition: definition.key)

    async def calendars(self, namespace: str | None) -> Calendars:
        """Read the Calendars, by namespace and name. Raises Problem."""
        found: Calendars = {}
        for raw in await self.list(CALENDARS, namespace):
            calendar = read_calendar(raw)
            found.setdefault(calendar.key.namespace, {})[calendar.key.name] = calendar
        return found

    async def runs(self, key: Key) -> Runs:
        """Read the JobRuns of a ScheduledJob. Raises Problem."""
        # By what they name, not by label: a run that was just made by hand bears none yet.
        found = []
        for raw in await self.list(JOB_RUNS, key.namespace):
            if (raw.get("spec") or {}).get("scheduledJob") == key.name:
                try:
                    found.append(read_run(raw))
                except (ValidationError, KeyError):
                    continue  # written by a newer version
        return found


def names_calendars(raw: Object) -> bool:
    """Whether a ScheduledJob names Calendars."""
    spec = raw.get("spec")
    exclude = spec.get("exclude") if isinstance(spec, dict) else None
    return isinstance(exclude, dict) and bool(exclude.get("calendars"))


@asynccontextmanager
async def connected(world: World, place: Place) -> AsyncIterator[Cluster]:
    """Open the cluster for the length of a command. Raises Problem."""
    try:
        api = await world.connect(place)
    except NotConfigured as error:
        raise explained(error, "connect", SCHEDULED_JOBS, None) from error
    try:
        yield Cluster(api)
    finally:
        await api.close()
