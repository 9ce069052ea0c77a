"""An archivist at work on a real database, without a cluster: runs are seen, lost and pruned by hand."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from carillon.archive.database import Archive
from carillon.archive.query import Query
from carillon.controller.archivist import Archivist
from carillon.controller.backlog import Backlog
from carillon.controller.metrics import Metrics
from carillon.engine.model import Definition, Key, Run
from carillon.engine.retention import Bound
from tests.unit.engine.builders import a_run

BOUND = Bound(runs=1000, patience=timedelta(hours=72))


def finished(number: int, **fields: Any) -> Run:
    return a_run(name=f"run-{number}", phase="Succeeded", ended="12:00", created="12:00", **fields)


class World:
    def __init__(self, url: str, *, bound: Bound = BOUND, keep: timedelta | None = None) -> None:
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.lost: list[str] = []
        self.changed: list[Key] = []
        self.definitions: list[Definition] = []
        self.metrics = Metrics()
        self.archive = Archive(lambda: url)
        self.backlog = Backlog(bound, clock=lambda: self.now(), on_lost=lambda run: self.lost.append(run.name))
        self.archivist = Archivist(
            archive=self.archive,
            backlog=self.backlog,
            metrics=self.metrics,
            changed=self.changed.append,
            definitions=lambda: self.definitions,
            check_leading=lambda: None,
            clock=lambda: self.now(),
            keep=keep,
        )

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.archivist.run())
        try:
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.wait({task})

    def close(self) -> None:
        """Wait for a call that is still on its way."""
        for thread in threading.enumerate():
            if thread.name == "archive":
                thread.join(30)
        self.archive.close()

    async def until(self, holds: Callable[[], bool], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110  (a thread and a database have no event)
                await asyncio.sleep(0.02)

    async def until_settled(self, seconds: float = 20) -> None:
        await self.until(lambda: self.backlog.length == 0, seconds)

    def sample(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(name)
        assert value is not None, name
        return value


def names(url: str, **query: Any) -> list[str]:
    """What another program reads there, sorted; a run that is there twice is there twice."""
    reader = Archive(lambda: url, read_only=True)
    try:
        return sorted(record.name for record in reader.find(Query(**query)))
    finally:
        reader.close()
