"""Brings finished runs into the archive, in batches and off the firing path; only the leader does.

A database that is away, slow or hanging delays nothing but pruning: the calls are made in a thread of their own, and
the event loop never waits for one without a limit.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from carillon.archive.errors import ArchiveError, RecordsRefused
from carillon.archive.record import Record
from carillon.controller.aside import Answer, Aside, StillBusy
from carillon.controller.backlog import Backlog, Entry
from carillon.controller.metrics import Metrics
from carillon.engine.model import Definition, Key
from carillon.kube.errors import WritesRefused

BATCH = 250
CALL_SECONDS = 30.0
LINGER_SECONDS = 0.25
"""What finishes within that goes into one transaction."""
BOUND_SECONDS = 5.0
"""How often the bound is looked at."""
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
NOT_LEADING_SECONDS = 1.0
EXPIRY_SECONDS = 3600.0
EXPIRY_BATCH = 1000
EXPIRY_LINGER_SECONDS = 0.1

log = structlog.get_logger(__name__)


class Database(Protocol):
    """What the archivist needs of `archive.database.Archive`: the driver is loaded only where there is an archive."""

    def write(self, records: Sequence[Record], now: datetime) -> None:
        """Take in records."""
        ...

    def expire(self, before: datetime, limit: int) -> int:
        """Forget old ones."""
        ...

    def interrupt(self) -> None:
        """Break off a call."""
        ...


class Archivist:
    """Writes the backlog into the archive, and forgets there what is older than asked.

    Args:
        archive: where to.
        backlog: what.
        metrics: told of all of it.
        changed: told of each definition that may prune now.
        definitions: what is known when this process begins to lead.
        check_leading: raises unless this process leads.
        clock: aware UTC time.
        keep: how long the archive keeps a run; None: for ever.
    """

    def __init__(
        self,
        *,
        archive: Database,
        backlog: Backlog,
        metrics: Metrics,
        changed: Callable[[Key], None],
        definitions: Callable[[], list[Definition]],
        check_leading: Callable[[], None],
        clock: Callable[[], datetime],
        keep: timedelta | None,
    ) -> None:
        self._archive = archive
        self._backlog = backlog
        self._metrics = metrics
        self._changed = changed
        self._definitions = definitions
        self._check_leading = check_leading
        self._clock = clock
        self._keep = keep
        self._aside = Aside(archive.interrupt)
        self._turn = asyncio.Lock()
        self._told = ""
        self._failures = 0

    async def run(self) -> None:
        """Archive until cancelled. Nothing that goes wrong here ends it."""
        self._backlog.begin(self._definitions())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._repeat(self._write))
                group.create_task(self._repeat(self._mind_the_bound))
                if self._keep is not None:
                    group.create_task(self._repeat(self._expire))
        finally:
            self._backlog.end()

    async def _repeat(self, once: Callable[[], Awaitable[float]]) -> None:
        while True:
            try:
                pause = await once()
            except WritesRefused:
                pause = NOT_LEADING_SECONDS  # perhaps for a moment only, in which a renewal was late
            except Exception:
                # The archive is beside the work: a defect in it must stop neither the work nor the archive for good.
                log.exception("the archive failed")
                self._metrics.archive_failures.inc()
                pause = LONGEST_PAUSE_SECONDS
            await asyncio.sleep(pause)

    async def _write(self) -> float:
        """Write one batch; returns how long to wait for the next, in seconds."""
        entries = self._backlog.batch(BATCH)
        if not entries:
            return LINGER_SECONDS
        try:
            await self._write_batch(entries)
        except (ArchiveError, TimeoutError, StillBusy) as error:
            return self._failed(error)
        self._recovered()
        return 0.0 if len(entries) == BATCH else LINGER_SECONDS

    async def _write_batch(self, entries: Sequence[Entry]) -> None:
        """Write these; a record that the database does not take is found by halves, and put off alone."""
        self._check_leading()
        try:
            await self._call(lambda: self._archive.write([entry.make() for entry in entries], self._now()))
        except RecordsRefused as error:
            if len(entries) > 1:
                middle = len(entries) // 2
                await self._write_batch(entries[:middle])
                await self._write_batch(entries[middle:])
                return
            (entry,) = entries
            self._metrics.archive_failures.inc()
            log.warning("the archive does not take a run", key=str(entry.key), uid=entry.uid, why=str(error))
            self._backlog.refuse(entry)
            return
        self._metrics.archived.inc(len(entries))
        for key in self._backlog.archived(entries):
            self._changed(key)

    async def _call(self, work: Callable[[], Answer]) -> Answer:
        async with self._turn:
            return await self._aside.call(work, timeout_seconds=CALL_SECONDS)

    async def _mind_the_bound(self) -> float:
        before = self._backlog.given_up
        for key in self._backlog.give_up():
            self._changed(key)
        if self._backlog.given_up and not before:
            log.error("too much waits for the archive; the oldest records go without it", waiting=self._backlog.length)
        self._metrics.archive_waiting.set(self._backlog.length)
        self._metrics.archive_oldest.set(self._backlog.oldest_seconds())
        return BOUND_SECONDS

    async def _expire(self) -> float:
        """Forget a batch of what is older than asked."""
        assert self._keep is not None
        before = self._now() - self._keep
        try:
            self._check_leading()
            gone = await self._call(lambda: self._archive.expire(before, EXPIRY_BATCH))
        except (ArchiveError, TimeoutError, StillBusy):
            return LONGEST_PAUSE_SECONDS  # told by the writing
        if gone:
            log.info("forgotten by the archive", runs=gone, ended_before=before.isoformat())
        return EXPIRY_LINGER_SECONDS if gone == EXPIRY_BATCH else EXPIRY_SECONDS

    def _failed(self, error: Exception) -> float:
        self._failures += 1
        self._metrics.archive_failures.inc()
        why = str(error) or f"no answer within {CALL_SECONDS:.0f} s"
        if why != self._told:
            log.warning("the archive is not there; pruning waits for it", why=why, waiting=self._backlog.length)
            self._told = why
        pause = min(LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 16))
        return pause * random.uniform(0.75, 1.25)

    def _recovered(self) -> None:
        if self._failures:
            log.info("the archive is there again", failures=self._failures, waiting=self._backlog.length)
        self._failures, self._told = 0, ""

    def _now(self) -> datetime:
        return self._clock().replace(microsecond=0)
