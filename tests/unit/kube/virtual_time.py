"""An event loop whose clock jumps to the next timer instead of waiting for it: hours of simulation in milliseconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _JumpingSelector(selectors.SelectSelector):
    """Takes the time that the loop would sleep as having passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing left to happen")
        self.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jumping.now


def simulate(story: Coroutine[Any, Any, None]) -> None:
    """Run a story to its end; `asyncio.get_running_loop().time()` is the true time in it."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story)
