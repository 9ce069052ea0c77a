"""The worker: while this process leads, due times and changes become keys, and keys become decisions.

The standby runs the same watches into the same store and decides nothing: its queue takes nothing in.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from carillon.controller.agenda import Agenda
from carillon.controller.reconcile import Reconciler
from carillon.controller.store import Store
from carillon.controller.workqueue import Urgency, WorkQueue
from carillon.engine.model import WorkKey

LONGEST_SLEEP_SECONDS = 0.5
"""The clock may be stepped while we sleep, so no sleep is longer."""
PULSE_LOST_SECONDS = 20.0
STUCK_SECONDS = 300.0
"""Every request is given up after a while, so that not all tasks are at it for so long."""
CLOCK_SET_BACK = timedelta(seconds=2)

_IDLE = float("inf")

log = structlog.get_logger(__name__)


class Worker:
    """Runs the agenda and the reconciling tasks between `start` and `stop`."""

    def __init__(
        self,
        *,
        store: Store,
        agenda: Agenda,
        queue: WorkQueue,
        reconciler: Reconciler,
        clock: Callable[[], datetime],
        tasks: int,
    ) -> None:
        self._store = store
        self._agenda = agenda
        self._queue = queue
        self._reconciler = reconciler
        self._clock = clock
        self._tasks = tasks
        self._working = False
        self._failed = False
        self._sure = True
        """Whether everything that was known when this process began to lead is in the queue, or was looked at."""
        self._pulse = time.monotonic()
        self._began = [_IDLE] * tasks
        """Since when each task is at its key."""
        self._turn = asyncio.Lock()

    def changed(self, key: WorkKey) -> None:
        """Take note that something about a key has changed."""
        if self._working:
            self._queue.add(key)

    @property
    def alive(self) -> bool:
        """Whether the tasks do their work: a leader that does not must lose its lease."""
        if self._failed or not self._working:
            return not self._failed
        now = time.monotonic()
        return now - self._pulse < PULSE_LOST_SECONDS and now - max(self._began) < STUCK_SECONDS

    @property
    def waiting(self) -> int:
        """How many keys are still to be looked at; of a new leader, everything that is known."""
        return len(self._queue) if self._sure else max(len(self._queue), len(self._store.known()))

    async def run(self, *, until_sure: Callable[[], Awaitable[object]]) -> None:
        """Work until cancelled: on what is due at once, and once `until_sure` returns, on everything that is known."""
        self._working = True
        self._failed = False
        self._sure = False
        self._pulse = time.monotonic()
        for key in self._store.known():
            # By the last leader's word, for none of them waits until all of them were looked at.
            self._agenda.bring_forward(key, self._store.next_due(key))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow_agenda())
                group.create_task(self._look_at_all(until_sure))
                for number in range(self._tasks):
                    group.create_task(self._work(number))
        except BaseExceptionGroup:
            self._failed = True
            log.exception("the worker failed")
            raise
        finally:
            self._working, self._sure = False, True
            self._queue.clear()
            self._agenda.clear()

    async def _look_at_all(self, until_sure: Callable[[], Awaitable[object]]) -> None:
        await until_sure()
        for calendar in self._store.calendars.known():
            self._queue.add(calendar)
        for _, key in sorted((self._store.next_due(key), key) for key in self._store.known()):
            self._queue.add(key)
        self._sure = True

    async def _work(self, number: int) -> None:
        while True:
            async with self._turn:
                # Many decisions in a row wait for nobody's answer: between two of them the rest of the event loop gets
                # its turn, and what has become due meanwhile goes first.
                await asyncio.sleep(0)
                self._add_due(self._clock())
                key = await self._queue.get()
            self._began[number] = time.monotonic()
            try:
                await self._reconciler.reconcile(key)
            finally:
                self._began[number] = _IDLE
                self._queue.done(key)

    async def _follow_agenda(self) -> None:
        latest = self._clock()
        while True:
            self._pulse = time.monotonic()
            now = self._clock()
            if now < latest - CLOCK_SET_BACK:
                log.warning("the clock was set back", seconds=round((latest - now).total_seconds(), 1))
                # Moments that were noted by the clock of before may be days away.
                for key in self._store.known():
                    self._queue.add(key)
            latest = now
            self._add_due(now)
            for key in self._agenda.crowds.ripe(now):
                self._queue.add(key, Urgency.AHEAD)
            self._queue.nudge()
            upcoming = self._agenda.next()
            wait = LONGEST_SLEEP_SECONDS if upcoming is None else (upcoming - now).total_seconds()
            await asyncio.sleep(min(max(wait, 0.001), LONGEST_SLEEP_SECONDS))

    def _add_due(self, now: datetime) -> None:
        for key in self._agenda.due(now):
            self._queue.add(key, Urgency.DUE)
