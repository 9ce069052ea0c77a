"""The queue of keys: each at most once, one worker a key, due times before everything else.

Then what is written ahead of a due time, then the rest: records above all, which wait while a burst is out. They wait
no longer than a while, or a burst that never ends would leave everything unrecorded.
"""

import asyncio
import time
from collections import OrderedDict
from enum import IntEnum

from carillon.engine.model import WorkKey

LONGEST_WAIT_SECONDS = 30.0
"""What waits for so long has a turn now and then."""
URGENT_TURNS = 7
"""So many keys that are urgent go before one that has waited for too long."""


class Urgency(IntEnum):
    """What goes first."""

    CALM = 0
    AHEAD = 1
    """A run is to be written before its due time."""
    DUE = 2
    """A due time has come."""


class WorkQueue:
    """Keys in order of arrival. A key added while it is worked on comes back when that work is done."""

    def __init__(self) -> None:
        self._waiting: dict[Urgency, OrderedDict[WorkKey, float]] = {
            urgency: OrderedDict() for urgency in sorted(Urgency, reverse=True)
        }
        """By urgency, the most urgent first: each key with the moment from which it waits (monotonic, seconds)."""
        self._working: dict[WorkKey, bool] = {}
        """The keys that are worked on, and whether they have waited for too long before."""
        self._again: dict[WorkKey, Urgency] = {}
        self._arrival = asyncio.Event()
        self._urgent_turns = 0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values())) + len(self._again)

    @property
    def ready(self) -> bool:
        """Whether there is a key that nobody works on."""
        return any(self._waiting.values())

    def gives_way(self, key: WorkKey) -> bool:
        """Whether the records of a key that is worked on are to wait: there is something urgent to do."""
        urgent = any(keys for urgency, keys in self._waiting.items() if urgency > Urgency.CALM)
        return urgent and not self._working.get(key)

    def add(self, key: WorkKey, urgency: Urgency = Urgency.CALM) -> None:
        """Ask for the key to be looked at."""
        if key in self._working:
            self._again[key] = max(self._again.get(key, urgency), urgency)
        else:
            since = time.monotonic()
            for other, keys in self._waiting.items():
                if key in keys:
                    if other >= urgency:
                        return
                    since = keys.pop(key)
            self._waiting[urgency][key] = since
        self._arrival.set()

    async def get(self) -> WorkKey:
        """Take the next key; `done` has to follow."""
        while not self.ready:
            self._arrival.clear()
            await self._arrival.wait()
        calm = self._waiting[Urgency.CALM]
        starved = bool(calm) and time.monotonic() - next(iter(calm.values())) > LONGEST_WAIT_SECONDS
        its_turn = starved and self._urgent_turns >= URGENT_TURNS
        self._urgent_turns = 0 if its_turn or not starved else self._urgent_turns + 1
        keys = calm if its_turn else next(keys for keys in self._waiting.values() if keys)
        key, _ = keys.popitem(last=False)
        self._working[key] = its_turn
        return key

    def done(self, key: WorkKey) -> None:
        """End the work on a key that `get` returned."""
        self._working.pop(key, None)
        if key in self._again:
            self.add(key, self._again.pop(key))

    def clear(self) -> None:
        """Forget what waits; work under way ends by itself."""
        for keys in self._waiting.values():
            keys.clear()
        self._again.clear()
