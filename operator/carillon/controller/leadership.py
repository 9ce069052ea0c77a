"""The lease is kept in a thread of its own, with its own event loop and connection.

A burst keeps the main loop busy; a renewal that had to wait for its turn there would come too late, the lease would be
lost, and the work begun anew, over and over. The thread only renews: everything else stays in the main loop, and the
gate is a comparison of two numbers. A main loop that no longer works is told apart by `alive`, and its lease lapses.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable

from carillon.controller.settings import Settings
from carillon.kube.client import Client
from carillon.kube.errors import WritesRefused
from carillon.kube.exchange import RequestObserver
from carillon.kube.lease import Elector

HAND_BACK_SECONDS = 3.0


class Leadership:
    """Competes for the lease, and runs `lead` in the main loop for as long as it is held; the gate of every write."""

    def __init__(
        self,
        settings: Settings,
        *,
        lead: Callable[[], Awaitable[None]],
        alive: Callable[[], bool],
        observer: RequestObserver,
    ) -> None:
        self._settings = settings
        self._lead = lead
        self._alive = alive
        self._observer = observer
        self._elector: Elector | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._main_loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()
        self._ended = asyncio.Event()
        self._handing_back: asyncio.Task[None] | None = None  # of the thread's loop
        self._term = 0  # of the work under way
        self._closed = False

    def check(self) -> None:
        """Raise WritesRefused unless this process leads at this moment."""
        if self._elector is None:
            raise WritesRefused("the lease was not asked for yet")
        if self._closed:
            raise WritesRefused("the process is stopping")
        self._elector.check()
        if self._term != self._elector.term:
            # The lease was lost and taken again: what the work of before still does was decided before that.
            raise WritesRefused("the work of an earlier term")

    def close(self) -> None:
        """Close the gate for good; the lease is kept until `release`."""
        self._closed = True

    async def run(self) -> None:
        """Compete until `release`; raises what `lead` raises."""
        self._main_loop = asyncio.get_running_loop()
        outcome: asyncio.Future[None] = self._main_loop.create_future()
        thread = threading.Thread(target=self._run_thread, args=(outcome,), name="lease", daemon=True)
        thread.start()
        try:
            await asyncio.shield(outcome)
        finally:
            self._ended.set()

    async def release(self) -> None:
        """Close the gate, and hand the lease back to whoever waits for it."""
        if self._elector is None or self._own_loop is None or self._ended.is_set():
            return
        handed_back = asyncio.run_coroutine_threadsafe(self._hand_back(self._elector), self._own_loop)
        try:
            async with asyncio.timeout(HAND_BACK_SECONDS):
                await asyncio.wrap_future(handed_back)
                await self._ended.wait()
        except TimeoutError:
            return  # the lease lapses by itself

    async def _hand_back(self, elector: Elector) -> None:
        self._handing_back = asyncio.current_task()
        await elector.release()

    def _run_thread(self, outcome: "asyncio.Future[None]") -> None:
        assert self._main_loop is not None
        problem: BaseException | None = None
        try:
            asyncio.run(self._compete())
        except BaseException as error:  # noqa: BLE001  (the end of a thread: handed to the main loop)
            problem = error

        def tell() -> None:
            if outcome.done():
                return
            if problem is None:
                outcome.set_result(None)
            else:
                outcome.set_exception(problem)

        self._main_loop.call_soon_threadsafe(tell)

    async def _compete(self) -> None:
        settings = self._settings
        duration = settings.lease_duration_seconds
        client = await Client.connect(
            kubeconfig=settings.kubeconfig, context=settings.context, observer=self._observer, max_in_flight=1
        )
        self._own_loop = asyncio.get_running_loop()
        self._elector = Elector(
            client,
            namespace=settings.lease_namespace,
            name=settings.lease_name,
            identity=settings.identity,
            lease_duration_seconds=duration,
            renew_deadline_seconds=duration * 3 / 4,
            retry_period_seconds=min(2.0, duration / 8),
            worker_alive=self._alive,
        )
        try:
            await self._elector.run(on_started=self._started, on_stopped=lambda: None)
        finally:
            if self._handing_back is not None:
                await asyncio.wait({self._handing_back})
            await client.close()

    async def _started(self) -> None:
        assert self._main_loop is not None
        assert self._elector is not None
        turn = self._take_turn(self._elector.term)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(turn, self._main_loop))

    async def _take_turn(self, term: int) -> None:
        # The work of the turn before may still be ending: two of them must never run side by side.
        async with self._turn:
            self._term = term
            await self._lead()
