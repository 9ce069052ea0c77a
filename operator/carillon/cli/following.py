"""Collections of the cluster, kept current while a command looks on; what will not get better ends it in words."""

import asyncio
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from carillon.cli.cluster import Cluster, Object
from carillon.cli.problems import explained
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import Resource

if TYPE_CHECKING:
    from carillon.kube.follow import Follower

OUTAGE_SECONDS = 30.0
"""An API server that is away for so long is not waited for any more."""

Found = dict[tuple[str, str], Object]
"""Objects by namespace and name."""


class Following:
    """Follows collections for the length of a `with`; after `changed` they are as the API server has them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._followers: list[Follower] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def add(
        self, resource: Resource, namespace: str | None, *, label_selector: str = "", field_selector: str = ""
    ) -> Found:
        """Follow one more collection; what is handed out changes with it. Raises Problem."""
        # Imported here: help and completion must be quick.
        from carillon.kube.follow import Follower

        found: Found = {}
        begun = time.monotonic()

        def on_object(raw: Object) -> None:
            found[raw["metadata"].get("namespace", ""), raw["metadata"]["name"]] = raw
            self._news.set()

        def on_gone(namespace: str, name: str, uid: str) -> None:
            found.pop((namespace, name), None)
            self._news.set()

        def on_failure(error: ApiError | Unreachable) -> None:
            if isinstance(error, ApiError):
                lasting = error.forbidden or error.not_found or error.status in (400, 401)
            else:
                last_contact = max(follower.last_contact, begun)
                lasting = not follower.synced.is_set() or time.monotonic() - last_contact > OUTAGE_SECONDS
            if lasting:
                raise explained(error, "list", resource, namespace)

        follower = Follower(
            self._cluster.api,
            resource,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            on_object=on_object,
            on_gone=on_gone,
            on_failure=on_failure,
        )
        task = asyncio.create_task(follower.run())
        self._tasks.append(task)
        synced = asyncio.create_task(follower.synced.wait())
        try:
            await asyncio.wait({task, synced}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            synced.cancel()
        if task.done():
            self._tasks.remove(task)
            task.result()
        return found

    async def changed(self, seconds: float | None = None) -> bool:
        """Wait for news; False when there were none for so many seconds. Raises Problem."""
        news = asyncio.create_task(self._news.wait())
        try:
            await asyncio.wait({news, *self._tasks}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        for task in self._tasks:
            if task.done():
                task.result()
        happened = self._news.is_set()
        self._news.clear()
        return happened
