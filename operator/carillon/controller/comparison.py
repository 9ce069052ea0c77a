"""The store's ScheduledJobs compared with a list, which is complete where a watch may not be.

kopf lists anew after a 410, and tells of no deletion that it missed; and who begins to lead must know what the last
leader has written. Other kinds need none of this: their followers tell every difference themselves.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import NamedTuple

import structlog

from carillon.api import keys
from carillon.controller.store import Object, Store
from carillon.engine.model import Key
from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import JOBS, PODS, SCHEDULED_JOBS

PAUSE_SECONDS = 2.0
"""Before a list that failed is asked for again; and a list of kopf's arrives in many pieces."""
PAGE, PAGE_OF_METADATA = 200, 1_000
"""Objects in a page: what is parsed at a time is what is in memory at a time."""
MOST_ASKED_FOR = 100
"""As many that have changed are asked for one by one; of more, all are listed. As many that are due while a new leader
compares are asked for at once; more wait for the comparison."""
BREATH = 20
"""Definitions in a row before the rest of the event loop gets its turn."""

log = structlog.get_logger(__name__)


class _At(NamedTuple):
    """Where an object is, and as of when."""

    namespace: str
    name: str
    resource_version: str

    @classmethod
    def read(cls, raw: Object) -> "_At":
        metadata = raw["metadata"]
        return cls(metadata["namespace"], metadata["name"], metadata["resourceVersion"])


class Comparison:
    """Compares at once, after each list of kopf's, and slowly; `listed` says whether it has since the watch began.

    `trusted`: whether it has since `distrust`, too.
    """

    def __init__(self, *, client: Client, store: Store, namespaces: Sequence[str | None], every_seconds: float) -> None:
        """`namespaces`: where; None is the whole cluster."""
        self.listed = asyncio.Event()
        self._client = client
        self._store = store
        self._namespaces = namespaces
        self._every_seconds = every_seconds
        self._soon = asyncio.Event()
        self._compared_at: dict[str | None, int] = {}
        self.trusted = asyncio.Event()
        self.trusted.set()
        self._read: set[Key] = set()
        """Those that were asked for since `distrust`."""

    def soon(self) -> None:
        """Ask for a comparison, for something may have been missed."""
        self._soon.set()

    def begin_anew(self) -> None:
        """Forget the versions: with those of before, everything that comes now would be taken for old."""
        log.warning("the API server has gone back in time, as after a restored backup; everything is taken in anew")
        self._store.begin_anew()
        self.soon()

    async def run(self) -> None:
        """Compare until cancelled."""
        while True:
            self._soon.clear()
            await self.complete()
            self.listed.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_seconds):
                    await self._soon.wait()
                    while self._soon.is_set():  # the pieces of one list
                        self._soon.clear()
                        await asyncio.sleep(PAUSE_SECONDS)

    async def complete(self) -> None:
        """Compare, and return only once it was done."""
        await self._until_done(self.compare)

    def distrust(self) -> None:
        """Take nothing for what it is now: another process may have led until this moment, and written."""
        self.trusted.clear()
        self._read.clear()

    async def restore_trust(self) -> None:
        """Compare, after `distrust`; from then on the watches tell what changes, and `make_sure` asks no more."""
        await self.complete()
        await self.find_pods()  # once more, for those of definitions that were not known
        self.trusted.set()

    async def make_sure(self, key: Key) -> None:
        """Have this definition as it is now, also while the rest is still compared.

        What is due first does not wait for thousands that are not; where much is due, one comparison is less than
        asking for each.

        Raises:
            ApiError, Unreachable: it cannot be asked for.
        """
        if self.trusted.is_set() or key in self._read:
            return
        if len(self._read) >= MOST_ASKED_FOR:
            await self.trusted.wait()
            return
        self._read.add(key)
        known = self._store.definition(key)
        try:
            self._put(await self._client.get(SCHEDULED_JOBS, key.namespace, key.name))
        except ApiError as error:
            if not error.not_found:
                self._read.discard(key)
                raise
            if known is not None:
                self._store.drop(known.uid)
        except BaseException:
            self._read.discard(key)
            raise

    async def find_pods(self) -> None:
        """Learn of pods that have outlived their Job; that they hold a slot was known to the last leader alone."""
        await self._until_done(self._find_pods)

    @staticmethod
    async def _until_done(ask: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await ask()
            except (ApiError, Unreachable) as error:
                log.warning("what there is could not be listed", why=str(error))
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def compare(self) -> None:
        """Make the store's ScheduledJobs those that the API server has.

        Their metadata say what has changed, and only that is read; where it is much, all of them, page by page.

        Raises:
            ApiError, Unreachable: it cannot be asked.
        """
        for namespace in self._namespaces:
            known = {d.uid: d for d in self._store.definitions() if namespace in (None, d.key.namespace)}
            # From before the list, for another may overtake this one.
            seen_before = max((int(d.resource_version) for d in known.values()), default=0)
            seen_before = max(seen_before, self._compared_at.get(namespace, 0))
            found, version = await self._find(namespace) if known else ({}, seen_before)
            versions = {uid: definition.resource_version for uid, definition in known.items()}
            changed = [at for uid, at in found.items() if versions.get(uid) != at.resource_version]
            if not known or version < seen_before or len(changed) > MOST_ASKED_FOR:
                found, version = await self._take_in_all(namespace, seen_before)
            else:
                await self._take_in(changed)
            self._compared_at[namespace] = version
            for uid in known.keys() - found.keys():
                log.info("a deletion that nobody told of", uid=uid)
                self._store.drop(uid)
            if version < seen_before:
                # What an older view does not have yet comes again as it catches up: it is not gone for good.
                self._store.begin_anew()

    async def _find(self, namespace: str | None) -> tuple[dict[str, "_At"], int]:
        """Where each of them is, by UID, and as of which version."""
        found: dict[str, _At] = {}
        version = ""
        pages = self._client.pages(SCHEDULED_JOBS, namespace, limit=PAGE_OF_METADATA, metadata_only=True)
        async with aclosing(pages):
            async for items, as_of in pages:
                version = as_of
                found |= {item["metadata"]["uid"]: _At.read(item) for item in items}
                items.clear()
        return found, int(version)

    async def _take_in_all(self, namespace: str | None, seen_before: int) -> tuple[dict[str, "_At"], int]:
        found: dict[str, _At] = {}
        version = ""
        async with aclosing(self._client.pages(SCHEDULED_JOBS, namespace, limit=PAGE)) as pages:
            async for items, as_of in pages:
                if not version and int(as_of) < seen_before:
                    self.begin_anew()
                version = as_of
                for number, raw in enumerate(items, start=1):
                    found[raw["metadata"]["uid"]] = _At.read(raw)
                    self._put(raw)
                    if number % BREATH == 0:
                        await asyncio.sleep(0)
                items.clear()
        return found, int(version)

    async def _take_in(self, changed: Iterable["_At"]) -> None:
        for at in changed:
            try:
                self._put(await self._client.get(SCHEDULED_JOBS, at.namespace, at.name))
            except ApiError as error:
                if not error.not_found:  # deleted since
                    raise

    def _put(self, raw: Object) -> None:
        try:
            self._store.put_definition(raw)
        except Exception:
            # One object never stops the others.
            log.exception("a ScheduledJob could not be taken in", uid=raw["metadata"]["uid"])

    async def _find_pods(self) -> None:
        for namespace in self._namespaces:
            pods, _ = await self._client.list(
                PODS,
                namespace,
                label_selector=keys.RUN_UID_LABEL,
                field_selector="status.phase!=Succeeded,status.phase!=Failed",
                metadata_only=True,
            )
            self._store.put_pods([pod for pod in self._store.without_job(pods) if await self._is_job_gone(pod)])

    async def _is_job_gone(self, pod: Object) -> bool:
        """Whether the pod's Job is no more; one that is there and not known is somebody else's, with our labels."""
        owner = next(each for each in pod["metadata"]["ownerReferences"] if each.get("controller"))
        try:
            job = await self._client.get(JOBS, pod["metadata"]["namespace"], owner["name"])
        except ApiError as error:
            if not error.not_found:
                raise
            return True
        return bool(job["metadata"]["uid"] != owner["uid"])
