"""The queue of keys: each at most once, one worker a key, due times before everything else, namespaces in turn.

Whose keys are thousands makes itself wait, and nobody else: namespaces take turns, and none may have so many workers
that there is none left for another. So that the due times of one do not keep the rest of the others waiting for ever,
every fifth key is one that is not due, where another namespace has such keys.
"""

import asyncio
from collections import Counter

from carillon.engine.model import WorkKey
from carillon.turns import Turns

DEFAULT_WORKERS = 96
MOST_OF_FREE = 2
"""A namespace gets another worker while it has fewer than so many times the free ones: alone it gets two thirds of all,
and with any number of others there is always one left for who comes next (the dynamic threshold of shared buffers,
Choudhury and Hahne 1998)."""
URGENT_IN_A_ROW = 4


class WorkQueue:
    """Keys, in order of arrival within a namespace. One added while it is worked on comes back when that is done.

    Args:
        workers: how many keys are worked on at a time.
    """

    def __init__(self, workers: int = DEFAULT_WORKERS) -> None:
        self._workers = workers
        self._urgent = Turns[WorkKey](_namespace_of)
        self._calm = Turns[WorkKey](_namespace_of)
        """Of a namespace that has something due, the rest has no turn."""
        self._urgent_in_a_row = 0
        self._working: dict[WorkKey, bool] = {}
        """And whether they were taken as urgent."""
        self._busy: Counter[str] = Counter()
        """Workers of a namespace."""
        self._again: dict[WorkKey, bool] = {}
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._calm) + len(self._again)

    @property
    def ready(self) -> bool:
        """Whether there is a key that nobody works on."""
        return bool(self._urgent or self._calm)

    def gives_way(self, key: WorkKey) -> bool:
        """Whether the records of a key that is worked on have to wait, as something else is due.

        What is due in its own namespace always goes first; what is due in another one only where the key has had its
        turn as one that was due itself.
        """
        return self._urgent.waits(key.namespace) or (self._working.get(key, False) and len(self._urgent) > 0)

    def add(self, key: WorkKey, *, urgent: bool = False) -> None:
        """Ask for the key to be looked at; urgent when a due time has come."""
        if key in self._working:
            self._again[key] = self._again.get(key, False) or urgent
        elif urgent:
            self._calm.discard(key)
            self._calm.rest(key.namespace)
            self._urgent.add(key)
        elif key not in self._urgent:
            self._calm.add(key)
        self._arrival.set()

    async def get(self) -> WorkKey:
        """Take the next key; `done` has to follow."""
        while (key := self._take()) is None:
            self._arrival.clear()
            await self._arrival.wait()
        return key

    def done(self, key: WorkKey) -> None:
        """End the work on a key that `get` returned."""
        if self._working.pop(key, None) is not None:
            self._busy[key.namespace] -= 1
            if not self._busy[key.namespace]:
                del self._busy[key.namespace]
        if key in self._again:
            self.add(key, urgent=self._again.pop(key))
        self._arrival.set()

    def clear(self) -> None:
        """Forget what waits; work under way ends by itself."""
        self._urgent.clear()
        self._calm.clear()
        self._again.clear()

    def _take(self) -> WorkKey | None:
        if len(self._working) >= self._workers:
            return None
        first = self._take_urgent, self._take_calm
        for take in first if self._urgent_in_a_row < URGENT_IN_A_ROW else reversed(first):
            if (key := take()) is not None:
                self._busy[key.namespace] += 1
                return key
        return None

    def _take_urgent(self) -> WorkKey | None:
        key = self._urgent.take(self._may)
        if key is not None:
            self._working[key] = True
            self._urgent_in_a_row += 1
            if not self._urgent.waits(key.namespace):
                self._calm.resume(key.namespace)
        return key

    def _take_calm(self) -> WorkKey | None:
        key = self._calm.take(self._may)
        if key is not None:
            self._working[key] = False
            self._urgent_in_a_row = 0
        return key

    def _may(self, namespace: str) -> bool:
        # Those that may not are fewer than half of the workers, so that looking past them takes no longer with more
        # namespaces.
        return self._busy[namespace] < MOST_OF_FREE * (self._workers - len(self._working))


def _namespace_of(key: WorkKey) -> str:
    return key.namespace
