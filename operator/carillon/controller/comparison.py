"""The store's ScheduledJobs compared with a list, which is complete where a watch may not be.

kopf lists anew after a 410, and tells of no deletion that it missed; and who begins to lead must know what the last
leader has written. Other kinds need none of this: their followers tell every difference themselves.
"""

import asyncio
import contextlib
from collections.abc import Sequence

import structlog

from carillon.api import keys
from carillon.controller.store import Store
from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import PODS, SCHEDULED_JOBS

PAUSE_SECONDS = 2.0
"""Before a list that failed is asked for again; and a list of kopf's arrives in many pieces."""

log = structlog.get_logger(__name__)


class Comparison:
    """Compares at once, after each list of kopf's, and slowly; `listed` says whether it has since the watch began."""

    def __init__(self, *, client: Client, store: Store, namespaces: Sequence[str | None], every_seconds: float) -> None:
        """`namespaces`: where; None is the whole cluster."""
        self.listed = asyncio.Event()
        self._client = client
        self._store = store
        self._namespaces = namespaces
        self._every_seconds = every_seconds
        self._soon = asyncio.Event()
        self._compared_at: dict[str | None, int] = {}

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
                await asyncio.sleep(PAUSE_SECONDS)

    async def complete(self, *, pods: bool = False) -> None:
        """Compare, and return only once it was done; with `pods`, once those are known that have outlived their Job."""
        while True:
            try:
                await self.compare()
                if pods:
                    await self._find_pods()
            except (ApiError, Unreachable) as error:
                log.warning("what there is could not be listed", pods=pods, why=str(error))
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def compare(self) -> None:
        """Make the store's ScheduledJobs those that the API server has.

        Raises:
            ApiError, Unreachable: it cannot be asked.
        """
        for namespace in self._namespaces:
            here = [d for d in self._store.definitions() if namespace in (None, d.key.namespace)]
            before = {d.uid for d in here}
            # From before the list, for another may overtake this one.
            seen_before = max((int(d.resource_version) for d in here), default=0)
            seen_before = max(seen_before, self._compared_at.get(namespace, 0))
            items, version = await self._client.list(SCHEDULED_JOBS, namespace)
            if int(version) < seen_before:
                self.begin_anew()
            self._compared_at[namespace] = int(version)
            for raw in items:
                try:
                    self._store.put_definition(raw)
                except Exception:
                    # One object never stops the others.
                    log.exception("a ScheduledJob could not be taken in", uid=raw["metadata"]["uid"])
            for uid in before - {item["metadata"]["uid"] for item in items}:
                log.info("a deletion that nobody told of", uid=uid)
                self._store.drop(uid)

    async def _find_pods(self) -> None:
        """Learn of pods that have outlived their Job; that they hold a slot was known to the last leader alone."""
        for namespace in self._namespaces:
            pods, _ = await self._client.list(
                PODS,
                namespace,
                label_selector=keys.RUN_UID_LABEL,
                field_selector="status.phase!=Succeeded,status.phase!=Failed",
                metadata_only=True,
            )
            self._store.put_pods(pods)
