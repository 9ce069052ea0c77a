"""Blocking calls beside the event loop, one at a time, that can be given up.

Not `asyncio.to_thread`: its threads are waited for when the process ends, and a call that hangs would hold up that end.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Answer = TypeVar("Answer")


class StillBusy(Exception):  # noqa: N818
    """The call before has not come back; it was asked to."""


class Aside:
    """One call at a time in a daemon thread.

    Args:
        interrupt: asks a call that hangs to come back; called from another thread.
    """

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._busy = False

    async def call(self, work: Callable[[], Answer], *, timeout_seconds: float) -> Answer:
        """Run the work in its thread; raises what it raises.

        Raises:
            TimeoutError: it takes longer; nobody knows what it has done, and it is asked to come back.
            StillBusy: the one before is still at it; nothing was done.
        """
        if self._busy:
            self._interrupt()
            raise StillBusy("the last call has not come back")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()

        def tell(outcome: Callable[[], None]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(lambda: None if answer.done() else outcome())

        def run() -> None:
            try:
                value = work()
            except BaseException as error:  # noqa: BLE001  (the end of a thread: handed to the loop)
                problem = error
                self._busy = False
                tell(lambda: answer.set_exception(problem))
            else:
                self._busy = False
                tell(lambda: answer.set_result(value))

        self._busy = True
        threading.Thread(target=run, name="archive", daemon=True).start()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await answer
        except TimeoutError:
            self._interrupt()
            raise
