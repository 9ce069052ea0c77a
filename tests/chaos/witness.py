"""Who writes down what the API server says happened: everything, from the API server itself and past the proxies.

It follows definitions, runs and Jobs by watches of its own, and forgets nothing: what was deleted stays written. It
shares the client's requests with the operator, and none of the operator's following, storing or deciding.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from carillon.api import keys
from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource
from tests.chaos.fleet import seconds

PAUSE_SECONDS = 0.1
FINAL = {"Succeeded", "Failed", "Stopped", "Skipped"}


@dataclass
class Seen:
    """An object, as it was seen last."""

    raw: dict[str, Any]
    first_seen: float
    """Wall clock, in seconds since the epoch."""
    live: bool
    """Whether its creation was seen as it happened, and not in a list."""
    gone: float | None = None

    @property
    def name(self) -> str:
        return str(self.raw["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.raw["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        return str(self.raw["metadata"]["uid"])

    @property
    def owner(self) -> str:
        """The UID of who controls it."""
        owners = self.raw["metadata"].get("ownerReferences", ())
        return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")

    @property
    def phase(self) -> str:
        return str(self.raw.get("status", {}).get("phase", ""))

    @property
    def ended(self) -> bool:
        """A run or Job that is finished."""
        conditions = self.raw.get("status", {}).get("conditions", ())
        return self.phase in FINAL or any(
            c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions
        )

    @property
    def due(self) -> int | None:
        """The due time of a periodic run, in seconds since the epoch."""
        spec = self.raw["spec"]
        if spec.get("trigger", {}).get("type") != "Periodic" or not spec.get("scheduledTime"):
            return None
        return seconds(spec["scheduledTime"])

    @property
    def label(self) -> dict[str, str]:
        return dict(self.raw["metadata"].get("labels") or {})


@dataclass
class Witness:
    """Writes down, by UID."""

    client: Client
    namespaces: Callable[[str], bool] = lambda _: True
    definitions: dict[str, Seen] = field(default_factory=dict)
    runs: dict[str, Seen] = field(default_factory=dict)
    jobs: dict[str, Seen] = field(default_factory=dict)
    skips: dict[str, dict[tuple[str, str, str], tuple[int, int, int]]] = field(default_factory=dict)
    """By UID of the definition: a line by (trigger, from, reason), as it was at its longest: from, to, count."""
    on_job: list[Callable[[Seen], None]] = field(default_factory=list)
    """Called when a Job is seen first."""
    on_change: list[Callable[[str, Seen], None]] = field(default_factory=list)
    """Called with the plural of what has changed."""

    async def follow(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            for resource, seen in ((SCHEDULED_JOBS, self.definitions), (JOB_RUNS, self.runs), (JOBS, self.jobs)):
                group.create_task(self._follow(resource, seen))

    async def _follow(self, resource: Resource, seen: dict[str, Seen]) -> None:
        version = ""
        while True:
            try:
                if not version:
                    items, version = await self.client.list(resource, None)
                    self._compare(resource, seen, items)
                stream = self.client.watch(resource, None, resource_version=version, timeout_seconds=600)
                async with aclosing(stream) as events:
                    async for kind, item in events:
                        version = item["metadata"]["resourceVersion"]
                        if kind != "BOOKMARK":
                            self._note(resource, seen, item, gone=kind == "DELETED", live=True)
            except ApiError as error:
                if error.gone:
                    version = ""
                await asyncio.sleep(PAUSE_SECONDS)
            except Unreachable:
                await asyncio.sleep(PAUSE_SECONDS)

    def _compare(self, resource: Resource, seen: dict[str, Seen], items: list[dict[str, Any]]) -> None:
        present = {item["metadata"]["uid"] for item in items}
        for uid, each in seen.items():
            if each.gone is None and uid not in present:
                each.gone = time.time()
        for item in items:
            self._note(resource, seen, item, gone=False, live=False)

    def _note(self, resource: Resource, seen: dict[str, Seen], item: dict[str, Any], *, gone: bool, live: bool) -> None:
        if not self.namespaces(item["metadata"]["namespace"]):
            return
        uid = item["metadata"]["uid"]
        item["metadata"].pop("managedFields", None)
        known = seen.get(uid)
        if known is None:
            known = seen[uid] = Seen(item, time.time(), live)
            if resource is JOBS:
                for callback in self.on_job:
                    callback(known)
        known.raw = item
        if gone and known.gone is None:
            known.gone = time.time()
        if resource is SCHEDULED_JOBS:
            self._note_skips(uid, item)
        for tell in self.on_change:
            tell(resource.plural, known)

    def _note_skips(self, uid: str, item: dict[str, Any]) -> None:
        lines = self.skips.setdefault(uid, {})
        for line in item.get("status", {}).get("skips", ()):
            key = (line["trigger"], line["from"], line["reason"])
            found = (seconds(line["from"]), seconds(line["to"]), int(line["count"]))
            lines[key] = max(lines.get(key, found), found, key=lambda each: each[1])

    def handled_through(self, definition: Seen) -> int:
        """The watermark of the definition, in seconds since the epoch."""
        marks = definition.raw.get("status", {}).get("triggers") or ()
        return min((seconds(mark["handledThrough"]) for mark in marks), default=0)

    def jobs_of(self, run: Seen) -> list[Seen]:
        """Every Job that was ever made for the run."""
        return [job for job in self.jobs.values() if job.label.get(keys.RUN_UID_LABEL) == run.uid]


async def repeated(request: Callable[[], Any], *, seconds: float = 60) -> Any:
    """Ask until there is an answer: the tests' own requests must get through, whatever is going on.

    Raises:
        ApiError: the API server has answered no.
    """
    deadline = time.monotonic() + seconds
    while True:
        with suppress(Unreachable):
            try:
                return await request()
            except ApiError as error:
                if (error.status < 500 and error.status != 429) or time.monotonic() > deadline:
                    raise
        if time.monotonic() > deadline:
            raise TimeoutError(f"the API server was not to be reached for {seconds:.0f} s")
        await asyncio.sleep(PAUSE_SECONDS)


async def until(condition: Callable[[], bool], what: str, *, seconds: float = 30) -> None:
    """Wait for something that the witness, or a proxy, sees sooner or later.

    Raises:
        TimeoutError: it was not to be seen.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(0.02)
