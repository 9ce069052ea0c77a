"""One watch of one kind, shared by all event triggers: tells what changed since they asked, and nothing from before.

No list is told: a watch begins where the API server is now, and begins again there when its place is lost (410). For
each namespace in which a trigger is new the server is asked where it is; what is not newer than the answer was there
before. The stream is held until the answer is there, so that nothing after it is missed. Only metadata is asked for
unless somebody needs more. Each event is handed on before the next one is read, so that nothing piles up here: a flood
waits in the connection, and the server ends the stream of a reader that is too slow.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

import orjson
import structlog

from carillon.api.event import EventType
from carillon.controller.old_objects import OldObjects
from carillon.kube.client import Client, Object
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import Resource

SILENCE_SECONDS = 60.0
SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
REFUSED_PAUSE_SECONDS = 15.0
"""What is forbidden or not served may be mended elsewhere."""
PATIENCE = 3
"""Failures in a row before the place is given up, and with it what happened since; an expired one (410) is at once."""
PAGE = 50
"""Objects that are read at a time, to know what they look like before they change: each may have a megabyte."""

_TYPES = {"ADDED": EventType.CREATED, "MODIFIED": EventType.UPDATED, "DELETED": EventType.DELETED}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Needs:
    """What the triggers of one namespace need."""

    whole: bool
    """More than metadata."""
    looks_back: bool
    """What an object looked like before."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An event, as it is handed on."""

    namespace: str
    type: EventType
    version: int
    raw: Object
    json: bytes
    """The object, where somebody needs the whole of it; else empty."""
    old: bytes | None
    """The object as it was before, where somebody looks back and it is known."""


class Refused(Exception):  # noqa: N818  (a word for people, not a failure of ours)
    """The kind cannot be watched; says why and what to do, without the field."""


class EventWatch:
    """Follows one kind in one namespace, or in all."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        scope: str | None,
        *,
        old_objects: OldObjects,
        on_event: Callable[[Seen], Awaitable[None]],
        on_watched: Callable[[str, int], None],
        on_problem: Callable[[str], None],
    ) -> None:
        """Follow.

        Args:
            client: the connection.
            resource: what to watch; its kind is looked up.
            scope: the namespace; None for all.
            old_objects: where what objects looked like before is kept.
            on_event: is handed each event of the namespaces that somebody needs.
            on_watched: is told a namespace and the version after which events count for whoever is new there; version
                0: the place was lost, and will be told anew.
            on_problem: is told why the kind cannot be watched.
        """
        self._client = client
        self._resource = resource
        self._scope = scope
        self._old_objects = old_objects
        self._on_event = on_event
        self._on_watched = on_watched
        self._on_problem = on_problem
        self._needs: dict[str, Needs] = {}
        self._asked: set[str] = set()  # namespaces in which a trigger is new
        self._read: set[str] = set()  # namespaces of which is known what objects looked like before
        self._version: str | None = None
        self._in_doubt = False
        self._priming = asyncio.Lock()
        self._taking = asyncio.Lock()
        self._changed = asyncio.Event()
        self._log = log.bind(resource=resource.plural, namespace=scope or "*")

    def need(self, needs: Mapping[str, Needs], new: Collection[str]) -> None:
        """Say what is needed, by namespace, in the place of what was said before; and in which a trigger is new."""
        self._needs = dict(needs)
        self._asked = {namespace for namespace in (*self._asked, *new) if namespace in needs}
        self._read = {namespace for namespace in self._read if namespace in needs and needs[namespace].looks_back}
        self._changed.set()

    async def run(self) -> None:
        """Follow until cancelled; failures are retried for ever."""
        failures = 0
        try:
            while True:
                try:
                    await self._begin()
                    await self._prime()
                    failures = 0 if await self._follow() else failures + 1
                except Refused as why:
                    self._on_problem(str(why))
                    await asyncio.sleep(REFUSED_PAUSE_SECONDS)
                    continue
                except ApiError as error:
                    failures += 1
                    if error.status in (403, 404, 405):
                        self._version = None
                        self._on_problem(_refusal(self._resource, error))
                        await asyncio.sleep(REFUSED_PAUSE_SECONDS)
                        continue
                    self._log.info("event watch refused", why=str(error))
                    if error.gone or failures > PATIENCE:
                        self._version = None
                except Unreachable as error:
                    failures += 1
                    self._log.info("event watch lost", why=str(error))
                except Exception:  # noqa: BLE001  (a loop edge)
                    # One kind never stops the others.
                    failures += 1
                    self._log.exception("event watch broken")
                    if failures > PATIENCE:
                        self._version = None
                if failures:
                    longest = min(SHORTEST_PAUSE_SECONDS * 2 ** min(failures, 20), LONGEST_PAUSE_SECONDS)
                    await asyncio.sleep(random.uniform(longest / 2, longest))
        finally:
            self._old_objects.forget(self)

    async def _begin(self) -> None:
        """Find out where the server is, at first and when the place was lost; what happened in between is lost."""
        if not self._resource.kind:
            self._resource = await self._discover()
        if self._version is not None and not self._in_doubt:
            return
        version = await self._now(self._scope)
        if self._version is None or int(version) < int(self._version):
            self._version = version
            self._read.clear()
            self._old_objects.forget(self)
            for namespace in self._needs:
                self._on_watched(namespace, 0)
            self._asked.update(self._needs)
        self._in_doubt = False

    async def _discover(self) -> Resource:
        resource = self._resource
        found = (await self._client.served(resource.group, resource.version)).get(resource.plural)
        if found is None:
            raise Refused(
                f"the cluster does not serve {resource.plural} in {resource.api_version}; correct it, or install its "
                "CustomResourceDefinition"
            )
        if not found.namespaced:
            raise Refused(f"{resource.plural} are in no namespace, and a trigger watches its own; watch something else")
        return replace(resource, kind=found.kind)

    async def _now(self, namespace: str | None) -> str:
        _, version = await self._client.list(self._resource, namespace, metadata_only=True, limit=1, pages=1)
        return version

    async def _prime(self) -> None:
        """Have events count from now on in each namespace where a trigger is new."""
        async with self._priming:
            while self._asked:
                namespace = self._asked.pop()
                needs = self._needs.get(namespace)
                if needs is None:
                    continue
                try:
                    if needs.looks_back and namespace not in self._read:
                        version = await self._read_all(namespace)
                        self._read.add(namespace)
                    else:
                        version = await self._now(namespace)
                except BaseException:
                    self._asked.add(namespace)
                    raise
                # Whoever came while the answer was on its way is newer than the answer.
                if namespace in self._needs and namespace not in self._asked:
                    self._on_watched(namespace, int(version))

    async def _read_all(self, namespace: str) -> str:
        """Learn what the objects of a namespace look like now."""
        version = ""
        async with aclosing(self._client.pages(self._resource, namespace, limit=PAGE)) as pages:
            async for items, at in pages:
                version = at
                for item in items:
                    item["metadata"].pop("managedFields", None)
                    self._old_objects.swap(self, item["metadata"]["uid"], orjson.dumps(item))
                await asyncio.sleep(0)
        return version

    @property
    def _whole(self) -> bool:
        return any(needs.whole for needs in self._needs.values())

    async def _follow(self) -> bool:
        """Follow a stream until it ends, or until it has to be another one; whether it was of any use."""
        self._changed.clear()
        whole = self._whole
        stream = asyncio.create_task(self._watch(whole))
        try:
            while not stream.done():
                change = asyncio.create_task(self._changed.wait())
                try:
                    await asyncio.wait({stream, change}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    change.cancel()
                if self._changed.is_set() and not stream.done():
                    self._changed.clear()
                    if self._whole != whole:
                        async with self._taking:  # an event is taken in once, and by all
                            stream.cancel()
                        await asyncio.wait({stream})
                        return True  # it goes on from where it is
                    await self._prime()
            return stream.result()
        finally:
            if not stream.done():
                stream.cancel()
                await asyncio.wait({stream})

    async def _watch(self, whole: bool) -> bool:
        assert self._version is not None
        opened, lines = time.monotonic(), 0
        stream = self._client.watch(
            self._resource,
            self._scope,
            resource_version=self._version,
            timeout_seconds=max(1, int(SILENCE_SECONDS * random.uniform(0.6, 0.75))),
            silence_seconds=SILENCE_SECONDS,
            metadata_only=not whole,
        )
        async with aclosing(stream) as events:
            async for kind, item in events:
                lines += 1
                if self._whole and not whole:
                    return True  # it comes again, as a whole
                async with self._taking:
                    if kind in _TYPES:
                        await self._take(_TYPES[kind], item)
                    self._version = item["metadata"]["resourceVersion"]
        self._in_doubt = lines == 0
        return lines > 0 or time.monotonic() - opened > 1

    async def _take(self, kind: EventType, item: Object) -> None:
        metadata = item["metadata"]
        namespace = metadata.get("namespace", "")
        if namespace in self._asked or self._priming.locked():
            await self._prime()
        needs = self._needs.get(namespace)
        if needs is None:
            return
        metadata.pop("managedFields", None)
        # Metadata alone comes as a PartialObjectMetadata.
        item["apiVersion"], item["kind"] = self._resource.api_version, self._resource.kind
        json = orjson.dumps(item) if needs.whole else b""
        old: bytes | None = None
        if needs.looks_back:
            uid = metadata["uid"]
            gone = kind is EventType.DELETED
            old = self._old_objects.take(self, uid) if gone else self._old_objects.swap(self, uid, json)
        try:
            await self._on_event(Seen(namespace, kind, int(metadata["resourceVersion"]), item, json, old))
        except Exception:  # noqa: BLE001  (a loop edge)
            # One event never stops the others.
            self._log.exception("an event could not be taken in", object=f"{namespace}/{metadata['name']}")


def _refusal(resource: Resource, error: ApiError) -> str:
    if error.forbidden:
        return (
            f"the operator may not list and watch {resource.plural} of {resource.api_version}; put it under "
            f"eventSources in the chart's values, which gives it the right ({error.message})"
        )
    return f"{resource.plural} of {resource.api_version} cannot be watched: {error.message}"
