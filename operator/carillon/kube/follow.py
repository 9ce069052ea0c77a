"""List and watch that never lies: what the callbacks were told is what the API server holds, or soon will be.

A stream that ends is resumed from the last resourceVersion, for the server closes those of slow readers in a burst. A
resourceVersion that has expired, or an ERROR line, leads to a new list and to the difference with what was told
before, deletions included (kopf synthesises none after a 410). A stream on which nothing comes, not even a bookmark,
is broken off: a half-open connection looks exactly like a quiet cluster. Must never drop an event or invent one.

An etcd that was restored from a backup goes back in time: a watch from a version that it has not reached yet is silent
until it has. So a whole stream without a line is followed by the question where the server is now, and a list that is
older than what was seen before is told in full, after `on_back`.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Protocol

import structlog

from carillon.kube.client import Client, Object
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import Resource

log = structlog.get_logger(__name__)

SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
SHORT_STREAM_SECONDS = 1.0
"""A stream that ends sooner than this without a line counts as a failure, so that its reopening backs off."""
BREATH = 50
"""Callbacks in a row before the rest of the event loop gets its turn: a list of thousands must not stop the renewing
of the lease."""


class Source(Protocol):
    """What following needs of `Client`."""

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
        """Yield what happens."""
        ...


class Follower:
    """Follows one resource in one namespace (or all), and says so by two callbacks, which must not block.

    `on_object(object)` is called for every object that is there, new or changed; `on_gone(namespace, name, uid)` for
    one that is deleted, or that no longer matches the selectors. An object that was deleted and made anew under the
    same name is told as gone, with the old UID, before the new one is told. `managedFields` is dropped.

    A callback that raises is logged with its traceback and does not end the follower; the object counts as told, and
    is told again only when it changes. Where the server has gone back in time, what it does not have is told as gone,
    then `on_back` is called, and then what it has is told. `on_listed(uids, resourceVersion)` is called when a list has
    been told, for those who know of objects from elsewhere, too. `last_contact` is `time.monotonic()` of the server's
    last sign of life. `on_failure` is told of each request that failed; by raising it ends `run`, for those who have
    something better to do than to wait.
    """

    def __init__(
        self,
        client: Source,
        resource: Resource,
        namespace: str | None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        on_object: Callable[[Object], None],
        on_gone: Callable[[str, str, str], None],
        on_back: Callable[[], None] = lambda: None,
        on_listed: Callable[[frozenset[str], int], None] = lambda _uids, _version: None,
        on_failure: Callable[[ApiError | Unreachable], None] = lambda _: None,
        metadata_only: bool = False,
        silence_seconds: float = 60,
    ) -> None:
        self.synced = asyncio.Event()
        self.last_contact = float("-inf")
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._on_object = on_object
        self._on_gone = on_gone
        self._on_back = on_back
        self._on_listed = on_listed
        self._on_failure = on_failure
        self._metadata_only = metadata_only
        self._silence_seconds = silence_seconds
        self._known: dict[tuple[str, str], tuple[str, str]] = {}  # (namespace, name) -> (uid, resourceVersion)
        self._version: str | None = None  # where to watch from; None: a list is due
        self._highest = 0  # the newest version that was seen
        self._in_doubt = False  # whether the server still has the version that we watch from
        self._relist_asked = False
        self._stream: asyncio.Task[str] | None = None
        self._failures = 0
        self._told = 0
        self._log = log.bind(resource=resource.plural, namespace=namespace or "*")

    def __len__(self) -> int:
        """How many objects there are, as far as was told."""
        return len(self._known)

    def relist(self) -> None:
        """Break off the stream, list, and tell the difference. Returns at once; `run` does it."""
        self._relist_asked = True
        self._version = None
        if self._stream is not None:
            self._stream.cancel()

    async def run(self) -> None:
        """Follow until cancelled. Failures are retried for ever with growing pauses, logged once until it works."""
        while True:
            retry_after_seconds = 0.0
            try:
                if self._version is None or await self._has_gone_back():
                    await self._list()
                failure = await self._watch_until_ended()
            except ApiError as error:
                self._on_failure(error)
                if not error.throttled:
                    self._version = None  # 410 above all; after any other ERROR line a list is the safe way on, too
                failure = str(error)
                retry_after_seconds = error.retry_after_seconds or 0.0
            except Unreachable as problem:
                self._on_failure(problem)
                failure = str(problem)
            except Exception:  # noqa: BLE001  (a loop edge)
                self._log.exception("follow.broken")
                self._version = None
                failure = "unexpected exception"
            if failure:
                await asyncio.sleep(max(self._pause_seconds(failure), retry_after_seconds))

    def _pause_seconds(self, failure: str) -> float:
        self._failures += 1
        if self._failures == 2:  # once is a closed stream or an expired version, and no news
            self._log.warning("follow.lost", problem=failure)
        longest = min(SHORTEST_PAUSE_SECONDS * 2 ** min(self._failures, 20), LONGEST_PAUSE_SECONDS)
        return random.uniform(longest / 2, longest)

    def _works(self) -> None:
        self.last_contact = time.monotonic()
        if self._failures >= 2:
            self._log.info("follow.restored", failures=self._failures)
        self._failures = 0

    async def _has_gone_back(self) -> bool:
        if not self._in_doubt:
            return False
        _, version = await self._client.list(self._resource, self._namespace, metadata_only=True, limit=1, pages=1)
        self._in_doubt = False
        return int(version) < self._highest

    async def _list(self) -> None:
        self._relist_asked = False
        seen_before = self._highest
        items, version = await self._client.list(
            self._resource,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
        )
        self.last_contact = time.monotonic()
        back = int(version) < seen_before
        if back:
            self._log.warning("follow.went_back", seen=seen_before, found=version)
        self._highest = int(version)
        found = {_key(item["metadata"]): item["metadata"]["uid"] for item in items}
        for key, (uid, _) in list(self._known.items()):
            if found.get(key) != uid:
                self._gone(key, uid)
                await self._breathe()
        if back:
            # What an older view does not have yet comes again as it catches up: so that is not to stay gone for good.
            self._tell(("", ""), self._on_back)
        for item in items:
            metadata = item["metadata"]
            # A version that is given anew may stand for something else.
            if back or self._known.get(_key(metadata)) != (metadata["uid"], metadata["resourceVersion"]):
                self._changed(item)
                await self._breathe()
        self._tell(("", ""), self._on_listed, frozenset(found.values()), int(version))
        self._version = None if self._relist_asked else version
        self.synced.set()

    async def _watch_until_ended(self) -> str:
        self._stream = stream = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({stream})
        finally:
            self._stream = None
            if not stream.done():
                stream.cancel()
                await asyncio.wait({stream})
        return "" if stream.cancelled() else stream.result()

    async def _watch(self) -> str:
        """Tell what a stream says until the server ends it; "" when it was of use, else what was wrong with it."""
        if self._version is None:
            return ""
        opened = time.monotonic()
        lines = 0
        # The server ends the stream well before we would call it silent, and says a bookmark just before.
        timeout_seconds = max(1, int(self._silence_seconds * random.uniform(0.6, 0.75)))
        stream = self._client.watch(
            self._resource,
            self._namespace,
            resource_version=self._version,
            timeout_seconds=timeout_seconds,
            silence_seconds=self._silence_seconds,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
        )
        async with aclosing(stream):
            async for kind, item in stream:
                lines += 1
                self._works()
                metadata = item["metadata"]
                if kind == "DELETED":
                    self._gone(_key(metadata), metadata["uid"])
                elif kind != "BOOKMARK":
                    self._changed(item)
                self._highest = max(self._highest, int(metadata["resourceVersion"]))
                if not self._relist_asked:  # by a callback, just now
                    self._version = metadata["resourceVersion"]
                await self._breathe()
        if lines == 0 and time.monotonic() - opened < SHORT_STREAM_SECONDS:
            return "the stream ended at once"
        self._in_doubt = lines == 0
        self._works()
        return ""

    def _changed(self, item: Object) -> None:
        metadata = item["metadata"]
        metadata.pop("managedFields", None)
        key = _key(metadata)
        before = self._known.get(key)
        if before is not None and before[0] != metadata["uid"]:
            self._gone(key, before[0])
        self._known[key] = (metadata["uid"], metadata["resourceVersion"])
        self._tell(key, self._on_object, item)

    def _gone(self, key: tuple[str, str], uid: str) -> None:
        known = self._known.get(key)
        if known is not None and known[0] == uid:
            del self._known[key]
            self._tell(key, self._on_gone, *key, uid)

    def _tell(self, key: tuple[str, str], callback: Callable[..., None], *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception:  # noqa: BLE001  (a loop edge)
            self._log.exception("follow.callback_failed", object="/".join(key))

    async def _breathe(self) -> None:
        self._told += 1
        if self._told % BREATH == 0:
            await asyncio.sleep(0)


async def present_uids(client: Client, resource: Resource, namespace: str | None) -> dict[str, tuple[str, str, str]]:
    """List the metadata of what is there: `{uid: (namespace, name, resourceVersion)}`.

    For a slow check of what another watch (kopf's, which tells no deletions after a 410) may have missed.
    """
    items, _ = await client.list(resource, namespace, metadata_only=True)
    return {
        metadata["uid"]: (*_key(metadata), metadata["resourceVersion"])
        for metadata in (item["metadata"] for item in items)
    }


def _key(metadata: dict[str, Any]) -> tuple[str, str]:
    return metadata.get("namespace", ""), metadata["name"]
