"""The queue of keys: each at most once, one worker a key, due times before everything else."""

import asyncio
from collections import OrderedDict

from carillon.engine.model import WorkKey


class WorkQueue:
    """Keys in order of arrival. A key added while it is worked on comes back when that work is done."""

    def __init__(self) -> None:
        self._urgent: OrderedDict[WorkKey, None] = OrderedDict()
        self._calm: OrderedDict[WorkKey, None] = OrderedDict()
        self._working: set[WorkKey] = set()
        self._again: dict[WorkKey, bool] = {}
        self._arrival = asyncio.Event()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._calm) + len(self._again)

    @property
    def ready(self) -> bool:
        """Whether there is a key that nobody works on."""
        return bool(self._urgent or self._calm)

    @property
    def urgent_waiting(self) -> bool:
        """Whether a due time waits for a worker."""
        return bool(self._urgent)

    def add(self, key: WorkKey, *, urgent: bool = False) -> None:
        """Ask for the key to be looked at; urgent when a due time has come."""
        if key in self._working:
            self._again[key] = self._again.get(key, False) or urgent
        elif urgent:
            self._calm.pop(key, None)
            self._urgent.setdefault(key)
        elif key not in self._urgent:
            self._calm.setdefault(key)
        self._arrival.set()

    async def get(self) -> WorkKey:
        """Take the next key; `done` has to follow."""
        while not self.ready:
            self._arrival.clear()
            await self._arrival.wait()
        key, _ = (self._urgent or self._calm).popitem(last=False)
        self._working.add(key)
        return key

    def done(self, key: WorkKey) -> None:
        """End the work on a key that `get` returned."""
        self._working.discard(key)
        if key in self._again:
            self.add(key, urgent=self._again.pop(key))

    def clear(self) -> None:
        """Forget what waits; work under way ends by itself."""
        self._urgent.clear()
        self._calm.clear()
        self._again.clear()
