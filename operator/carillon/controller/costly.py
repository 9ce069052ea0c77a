"""Decisions that take long on the only thread: whose they are waits for the others, and not the others for them.

A decision takes about a millisecond, and most that is admitted a few. Thousands of members of one concurrency group
that all have a run waiting, or schedules with thousands of exclusions, take a hundred times as much: then nine
tenths of the event loop are the other namespaces'.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from carillon.controller.budgets import Budgets

COSTLY_SECONDS = 0.02
"""CPU time from which on a decision counts. Less is what everybody's take, and thousands due at once take all of the
loop for a while, as they should."""
SHARE, BURST_SECONDS = 0.1, 0.2


class CostlyDecisions:
    """Has a namespace wait whose decisions have taken long.

    Args:
        cpu: seconds of CPU time of this thread.
        monotonic: seconds that only grow.
        sleep: waits so many of them.
    """

    def __init__(
        self,
        *,
        cpu: Callable[[], float] = time.thread_time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._cpu = cpu
        self._sleep = sleep
        self._budgets = Budgets(share=SHARE, burst_seconds=BURST_SECONDS, monotonic=monotonic)

    def waits(self, namespace: str) -> bool:
        """Whether a decision of the namespace would have to wait."""
        return self._budgets.wait_seconds(namespace) > 0

    async def wait(self, namespace: str) -> None:
        """Wait until a decision of the namespace may be taken; for nothing, where its decisions are cheap."""
        # Of those that wake together the first decides before the next one looks, for nothing is awaited in between.
        while seconds := self._budgets.wait_seconds(namespace):
            await self._sleep(seconds)

    @contextmanager
    def measured(self, namespace: str) -> Iterator[None]:
        """Measure what is done without awaiting anything."""
        began = self._cpu()
        try:
            yield
        finally:
            seconds = self._cpu() - began
            if seconds > COSTLY_SECONDS:
                self._budgets.spend(namespace, seconds)
