"""The queue of keys: each at most once, one worker a key, what is due before everything else, namespaces in turn.

After what is due comes what is written ahead of a due time, then the rest: records above all, which wait while a burst
is out.

Whose keys are thousands makes itself wait, and nobody else: namespaces take turns, and none may have so many workers
that there is none left for another. So that what is due for one does not keep the rest of the others waiting for ever,
every fifth key is one that is less urgent, where another namespace has such keys; and so for a namespace itself, where
a burst does not end.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from enum import IntEnum

from carillon.engine.model import WorkKey
from carillon.turns import Turns

DEFAULT_WORKERS = 96
MOST_OF_FREE = 2
"""A namespace gets another worker while it has fewer than so many times the free ones: alone it gets two thirds of all,
and with any number of others there is always one left for who comes next (the dynamic threshold of shared buffers,
Choudhury and Hahne 1998)."""
MOST_CALM = 12
"""So many workers may be at keys that are not urgent: more of them get little more done by an API server that is busy,
and have it answer later what is urgent (docs/performance.md, one tenant's thousands)."""
IN_A_ROW = 4
"""So many keys of an urgency go before one that is less urgent."""
LONGEST_REST_SECONDS = 30.0
"""So long the rest of a namespace has no turn while it has something urgent; then one in five, like everybody's."""


class Urgency(IntEnum):
    """What goes first; lower goes before higher."""

    DUE = 0
    """A due time has come."""
    AHEAD = 1
    """A run is to be written before its due time."""
    CALM = 2


class WorkQueue:
    """Keys, in order of arrival within a namespace. One added while it is worked on comes back when that is done.

    Args:
        workers: how many keys are worked on at a time.
        monotonic: a clock, in seconds.
        waits: whether a namespace gets no worker now, as its decisions have taken long; asked again at `nudge`.
    """

    def __init__(
        self,
        workers: int = DEFAULT_WORKERS,
        monotonic: Callable[[], float] = time.monotonic,
        waits: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._workers = workers
        self._waits = waits
        self._monotonic = monotonic
        self._lines = {urgency: Turns[WorkKey](_namespace_of) for urgency in Urgency}
        """Of a namespace that has something urgent, what is less urgent rests."""
        self._in_a_row: Counter[Urgency] = Counter()
        self._pressed_since: dict[str, float] = {}
        """By namespace: since when it has had something urgent without a break."""
        self._working: dict[WorkKey, Urgency] = {}
        """And how urgent they were when they were taken."""
        self._busy: Counter[str] = Counter()
        """Workers of a namespace."""
        self._calm = 0
        """Workers at keys that are not urgent."""
        self._again: dict[WorkKey, Urgency] = {}
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values())) + len(self._again)

    @property
    def ready(self) -> bool:
        """Whether there is a key that nobody works on."""
        return any(self._lines.values())

    def gives_way(self, key: WorkKey) -> bool:
        """Whether the records of a key that is worked on have to wait, as there is something urgent.

        What is urgent in its own namespace goes first, unless the key had its turn in spite of that; what is urgent in
        another one only where the key was urgent itself.
        """
        if self._working.get(key, Urgency.CALM) is not Urgency.CALM:
            return self._urgent_waits()
        return self._urgent_waits(key.namespace) and not self._pressed_for_long(key.namespace)

    def add(self, key: WorkKey, urgency: Urgency = Urgency.CALM) -> None:
        """Ask for the key to be looked at."""
        if key in self._working:
            self._again[key] = min(self._again.get(key, urgency), urgency)
        elif not any(key in self._lines[other] for other in Urgency if other <= urgency):
            for other in Urgency:
                if other > urgency:
                    self._lines[other].discard(key)
            self._lines[urgency].add(key)
            self._order(key.namespace)
        self._arrival.set()

    async def get(self) -> WorkKey:
        """Take the next key; `done` has to follow."""
        while (key := self._take()) is None:
            self._arrival.clear()
            await self._arrival.wait()
        return key

    def nudge(self) -> None:
        """Have those that `get` look again: a namespace may have waited long enough."""
        self._arrival.set()

    def answered(self, key: WorkKey) -> None:
        """Forget what was asked of a key that is worked on, as all of it is looked at from here on.

        Else each of our own writes, which changes what is known, would have its key looked at once more.
        """
        self._again.pop(key, None)

    def done(self, key: WorkKey) -> None:
        """End the work on a key that `get` returned."""
        urgency = self._working.pop(key, None)
        if urgency is not None:
            self._calm -= urgency is Urgency.CALM
            self._busy[key.namespace] -= 1
            if not self._busy[key.namespace]:
                del self._busy[key.namespace]
        if key in self._again:
            self.add(key, self._again.pop(key))
        self._arrival.set()

    def clear(self) -> None:
        """Forget what waits; work under way ends by itself."""
        for line in self._lines.values():
            line.clear()
        self._again.clear()
        self._pressed_since.clear()

    def _take(self) -> WorkKey | None:
        if len(self._working) >= self._workers:
            return None
        found = self._take_from(Urgency.DUE)
        if found is None:
            return None
        key, urgency = found
        self._working[key] = urgency
        self._calm += urgency is Urgency.CALM
        self._busy[key.namespace] += 1
        self._order(key.namespace)
        return key

    def _take_from(self, urgency: Urgency) -> tuple[WorkKey, Urgency] | None:
        """Take the next key of this urgency, or one in five that is less urgent; any, where that is all there is."""
        line = self._lines[urgency]
        if urgency is Urgency.CALM:
            return self._taken(line.take(self._may_calmly), urgency)
        found = self._taken(line.take(self._may), urgency) if self._in_a_row[urgency] < IN_A_ROW else None
        if found is not None:
            self._in_a_row[urgency] += 1
            return found
        found = self._take_from(Urgency(urgency + 1))
        if found is not None:
            self._in_a_row[urgency] = 0
            return found
        return self._taken(line.take(self._may), urgency)

    @staticmethod
    def _taken(key: WorkKey | None, urgency: Urgency) -> tuple[WorkKey, Urgency] | None:
        return None if key is None else (key, urgency)

    def _order(self, namespace: str) -> None:
        """Have those lines of a namespace rest that are less urgent than its most urgent one."""
        pressed = self._urgent_waits(namespace)
        if not pressed:
            self._pressed_since.pop(namespace, None)
        else:
            self._pressed_since.setdefault(namespace, self._monotonic())
        resting = False
        for line in self._lines.values():
            if resting:
                line.rest(namespace)
            else:
                line.resume(namespace)
            resting = resting or (line.waits(namespace) and not self._pressed_for_long(namespace))

    def _urgent_waits(self, namespace: str | None = None) -> bool:
        urgent = (line for urgency, line in self._lines.items() if urgency is not Urgency.CALM)
        return any(line.waits(namespace) if namespace is not None else len(line) > 0 for line in urgent)

    def _pressed_for_long(self, namespace: str) -> bool:
        since = self._pressed_since.get(namespace)
        return since is not None and self._monotonic() - since > LONGEST_REST_SECONDS

    def _may(self, namespace: str) -> bool:
        # Those that may not are fewer than half of the workers, so that looking past them takes no longer with more
        # namespaces.
        # Neither are those whose decisions take long, as each has had some of the loop.
        few = self._busy[namespace] < MOST_OF_FREE * (self._workers - len(self._working))
        return few and not self._waits(namespace)

    def _may_calmly(self, namespace: str) -> bool:
        return self._may(namespace) and self._busy[namespace] < MOST_OF_FREE * (MOST_CALM - self._calm)


def _namespace_of(key: WorkKey) -> str:
    return key.namespace
