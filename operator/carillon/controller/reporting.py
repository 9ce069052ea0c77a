"""Writes what tasks report: one line of work for each run that reports, the newest report always in the end.

A report that comes within two seconds of the last write waits, and the next one takes its place. What cannot be written
now is tried again until a newer report takes its place or the run is gone. Nothing else of the run is touched, and a
write that finds the run changed looks at the newer report first: see `engine.throttle`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog

from carillon.api.jobrun import TaskProgress
from carillon.controller.store import Store
from carillon.engine.model import Run
from carillon.engine.reports import Report
from carillon.engine.throttle import INTERVAL, next_write
from carillon.kube.errors import ApiError, Unreachable

SHORTEST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
CHANGED_PAUSE_SECONDS = 0.05
"""Before a write that found the run changed is tried again: whoever changes it may do so several times."""
LAST_ATTEMPTS = 3
LAST_CHANCE_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Records(Protocol):
    """Where progress is recorded."""

    async def run(self, namespace: str, name: str) -> dict[str, Any] | None: ...  # noqa: D102

    async def write_progress(  # noqa: D102
        self, namespace: str, name: str, *, uid: str, resource_version: str, progress: TaskProgress
    ) -> dict[str, Any]: ...


class NotWritten(Exception):  # noqa: N818
    """The API server refuses to record the report, in its own words; it is not tried again."""


class _Gone(Exception):  # noqa: N818
    """There is no such run any more."""


@dataclass(slots=True)
class _Line:
    """What is known of one run that reports."""

    first: "asyncio.Future[None]"
    """Done when the first report is written, or has to wait."""
    pending: TaskProgress | None = None
    ours: datetime | None = None
    """When the report came that was written last."""
    task: "asyncio.Task[None] | None" = None


class Reporting:
    """Takes reports, and writes them in their time.

    Args:
        records: the API server.
        store: what is known of runs.
        clock: the wall clock.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        *,
        records: Records,
        store: Store,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._records = records
        self._store = store
        self._clock = clock
        self._sleep = sleep
        self._lines: dict[str, _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def accept(self, run: Run, report: Report) -> "asyncio.Future[None]":
        """Take a report; never waits.

        Returns:
            Done at once where the report waits for its time; else when it is written. NotWritten: it will not be.
        """
        progress = TaskProgress(percent=report.percent, message=report.message, update_time=self._clock())
        loop = asyncio.get_running_loop()
        line = self._lines.get(run.uid)
        if line is None:
            line = self._lines[run.uid] = _Line(first=loop.create_future(), pending=progress)
            # Perhaps nobody waits for it; what it says is logged anyway.
            line.first.add_done_callback(lambda first: first.cancelled() or first.exception())
            line.task = asyncio.create_task(self._follow(run, line), name="progress")
            return line.first
        line.pending = progress
        waits: asyncio.Future[None] = loop.create_future()
        waits.set_result(None)
        return waits

    async def close(self) -> None:
        """Write at once what still waits, as this replica goes; give up after two seconds."""
        lines, self._lines = self._lines, {}
        for line in lines.values():
            if line.task is not None:
                line.task.cancel()
        await asyncio.gather(*(line.task for line in lines.values() if line.task), return_exceptions=True)
        last = [self._last_chance(uid, line, line.pending) for uid, line in lines.items() if line.pending is not None]
        if last:
            try:
                async with asyncio.timeout(LAST_CHANCE_SECONDS):
                    await asyncio.gather(*last)
            except TimeoutError:
                log.warning("the last reports of some tasks were not written")

    async def _last_chance(self, uid: str, line: _Line, progress: TaskProgress) -> None:
        for _ in range(LAST_ATTEMPTS):
            run = self._store.run(uid)
            if run is None or self._next(run, progress, line) is None:
                return
            try:
                if await self._write(run, progress):
                    return
            except (ApiError, Unreachable, _Gone) as error:
                log.warning("a report was not written", run=f"{run.namespace}/{run.name}", why=str(error))
                return

    async def _follow(self, run: Run, line: _Line) -> None:
        failures = 0
        try:
            while line.pending is not None:
                progress = line.pending
                known = self._store.run(run.uid)
                if known is None:
                    raise _Gone
                at = self._next(known, progress, line)
                now = self._clock()
                if at is None:
                    self._settle(line, progress)
                    continue
                if at > now:
                    _tell(line)
                    await self._sleep((at - now).total_seconds())
                    continue
                try:
                    written = await self._write(known, progress)
                except Unreachable as error:
                    why: ApiError | Unreachable = error
                except ApiError as error:
                    if not (error.throttled or error.server_error or error.conflict):
                        raise
                    why = error
                else:
                    if written:
                        failures = 0
                        line.ours = progress.update_time
                        self._settle(line, progress)
                        if line.pending is None:
                            # A clock that is set back makes the next report no older than what we wrote ourselves.
                            await self._sleep(INTERVAL.total_seconds())
                    else:
                        await self._sleep(CHANGED_PAUSE_SECONDS)
                    continue
                failures += 1
                _tell(line)
                log.warning("a report is not written yet", run=f"{run.namespace}/{run.name}", why=str(why))
                pause = SHORTEST_PAUSE_SECONDS * 2 ** min(failures - 1, 10)
                await self._sleep(min(pause, LONGEST_PAUSE_SECONDS))
        except _Gone:
            _tell(line, NotWritten(f"JobRun {run.namespace}/{run.name} is gone"))
        except ApiError as error:
            log.warning("a report cannot be written", run=f"{run.namespace}/{run.name}", why=str(error))
            _tell(line, NotWritten(str(error)))
        finally:
            if self._lines.get(run.uid) is line:
                del self._lines[run.uid]

    def _next(self, known: Run, progress: TaskProgress, line: _Line) -> datetime | None:
        recorded = known.status.progress.update_time if known.status.progress is not None else None
        return next_write(
            progress.update_time,
            recorded=recorded,
            ours=line.ours,
            changed=self._store.progress_changed(known.uid),
            now=self._clock(),
        )

    @staticmethod
    def _settle(line: _Line, progress: TaskProgress) -> None:
        if line.pending is progress:
            line.pending = None
        _tell(line)

    async def _write(self, run: Run, progress: TaskProgress) -> bool:
        """Write; False when the run has changed since, and is known anew."""
        try:
            raw = await self._records.write_progress(
                run.namespace, run.name, uid=run.uid, resource_version=run.resource_version, progress=progress
            )
        except ApiError as error:
            if not (error.conflict or error.not_found):
                raise
            found = await self._records.run(run.namespace, run.name)
            if found is None or found["metadata"]["uid"] != run.uid:
                raise _Gone from error
            self._store.put_run(found)
            return False
        self._store.put_run(raw)
        return True


def _tell(line: _Line, problem: Exception | None = None) -> None:
    if line.first.done():
        return
    if problem is None:
        line.first.set_result(None)
    else:
        line.first.set_exception(problem)
