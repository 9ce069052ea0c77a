"""Evaluates the filters of event triggers in a process of its own, which is killed when one takes too long.

An expression that has burned its time is left alone for a minute, and longer each time that it does so again: its
events count as filtered meanwhile, and the other triggers wait for it a fraction of a second at the most. Where the
filters of one namespace take much together, they are cut off together: a namespace has a budget of CPU time.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import carillon
from carillon.controller import filter_worker
from carillon.controller.budgets import Budgets
from carillon.controller.filter_worker import ANSWER, CPU_SECONDS, FALSE, LENGTHS, TRUE
from carillon.engine.eventmatch import PassedOver

WALL_SECONDS = 30.0
"""For one evaluation, the start of the process included, on a machine that is very busy: the kernel's limit is on CPU
time alone, and does not see a process that was stopped."""
SHARE, BURST_SECONDS = 0.1, 2.0
"""Of CPU time for the filters of one namespace: a tenth of a core, and so many seconds at once after a rest."""
SHORTEST_REST_SECONDS = 60.0
LONGEST_REST_SECONDS = 3600.0
MOST_BYTES = 512 * 1024
"""Of an object and the one before, as JSON."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a filter says of an event."""

    passed_over: PassedOver | None
    """Why the event does not count; None when it does."""
    trouble: str = ""
    """Why the filter could not be evaluated, in words."""


COUNTS, FILTERED = Verdict(None), Verdict(PassedOver.FILTERED)
TOO_LARGE = Verdict(
    PassedOver.TOO_LARGE, f"found an object of more than {MOST_BYTES // 1024} KiB; no filter reads that"
)


_SPENT = Verdict(
    PassedOver.FILTER_TIMEOUT,
    f"was not evaluated: the filters of this namespace have taken more than {SHARE * 100:.0f} % of a core; have fewer "
    "triggers with filters, narrow them with labelSelector or types, or write filters that look at fewer things",
)


@dataclass(frozen=True, slots=True)
class _Rest:
    times: int
    until: float


class Filters:
    """One worker process, started when it is needed, one evaluation at a time."""

    def __init__(self, budgets: Budgets | None = None) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._resting: dict[Hashable, _Rest] = {}
        self._budgets = budgets or Budgets(share=SHARE, burst_seconds=BURST_SECONDS)

    async def evaluate(self, who: Hashable, namespace: str, expression: str, current: bytes, old: bytes) -> Verdict:
        """Evaluate a filter.

        Args:
            who: whose filter it is; it is this one that rests after it has burned its time.
            namespace: whose budget pays for it.
            expression: CEL over `object` and `oldObject`.
            current: the object as JSON.
            old: as it was before, as JSON; empty for null.
        """
        if len(current) + len(old) > MOST_BYTES:
            return TOO_LARGE
        rest = self._resting.get(who)
        if rest is not None and time.monotonic() < rest.until:
            return _took_too_long()
        if self._budgets.wait_seconds(namespace):
            return _SPENT
        async with self._turn:
            try:
                async with asyncio.timeout(WALL_SECONDS):
                    verdict, seconds = await self._ask(expression, current, old)
            except TimeoutError:
                await self._kill()
                verdict, seconds = _took_too_long(), CPU_SECONDS
            except asyncio.CancelledError:
                await self._kill()  # an answer that nobody has read would be taken for the next one's
                raise
        self._budgets.spend(namespace, seconds)
        if verdict.passed_over is PassedOver.FILTER_TIMEOUT:
            self._rest(who)
        elif rest is not None:
            self._resting.pop(who, None)
        return verdict

    def forget(self, who: Hashable) -> None:
        """Forget that a filter has burned its time: it is another one now, or gone."""
        self._resting.pop(who, None)

    async def close(self) -> None:
        """End the process."""
        await self._kill()

    def _rest(self, who: Hashable) -> None:
        before = self._resting.get(who)
        times = before.times + 1 if before is not None else 0
        seconds = min(SHORTEST_REST_SECONDS * 2 ** min(times, 10), LONGEST_REST_SECONDS)
        self._resting[who] = _Rest(times, time.monotonic() + seconds)

    async def _ask(self, expression: str, current: bytes, old: bytes) -> tuple[Verdict, float]:
        """Have the process say; the verdict, and what it took in seconds of CPU time."""
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        text = expression.encode()
        try:
            process.stdin.writelines([LENGTHS.pack(len(text), len(current), len(old)), text, current, old])
            await process.stdin.drain()
            verdict, seconds, length = ANSWER.unpack(await process.stdout.readexactly(ANSWER.size))
            words = (await process.stdout.readexactly(length)).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await process.wait()
            self._process = None
            if code == -signal.SIGPROF:
                return _took_too_long(), CPU_SECONDS
            memory = filter_worker.MEMORY_BYTES // (1024 * 1024)
            words = f"ended with code {code}, perhaps for it needed over {memory} MiB"
            return Verdict(PassedOver.FILTER_FAILED, words), CPU_SECONDS
        if verdict == TRUE:
            return COUNTS, seconds
        return FILTERED if verdict == FALSE else Verdict(PassedOver.FILTER_FAILED, words), seconds

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            root = str(Path(carillon.__file__).parents[1])
            path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                filter_worker.__name__,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
            )
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _took_too_long() -> Verdict:
    words = f"took longer than {CPU_SECONDS} s of CPU time; write one that looks at fewer things, without nested loops"
    return Verdict(PassedOver.FILTER_TIMEOUT, words)
