"""One heap of the moments at which a definition has to be looked at again. Pure: the time is handed in.

With it, who is due together: their runs are written before.
"""

import heapq
from datetime import datetime

from carillon.controller.crowds import Crowds
from carillon.engine.model import WorkKey

SLACK = 64
"""The heap is made anew when it holds more replaced entries than live ones and these."""


class Agenda:
    """At most one live entry a key; one that was replaced stays in the heap and is passed over when it surfaces."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, WorkKey]] = []
        self._wanted: dict[WorkKey, datetime] = {}
        self.crowds = Crowds()

    def __len__(self) -> int:
        return len(self._wanted)

    def set(self, key: WorkKey, when: datetime | None) -> None:
        """Look at the key at `when`, and no longer at the moment noted before; never when None."""
        if when is None:
            self._wanted.pop(key, None)
        elif self._wanted.get(key) != when:
            self._wanted[key] = when
            heapq.heappush(self._heap, (when, key))
            if len(self._heap) > 2 * len(self._wanted) + SLACK:
                self._heap = [(moment, wanted) for wanted, moment in self._wanted.items()]
                heapq.heapify(self._heap)

    def bring_forward(self, key: WorkKey, when: datetime) -> None:
        """Look at the key at `when`, unless that is later than the moment noted before."""
        noted = self._wanted.get(key)
        self.set(key, when if noted is None else min(noted, when))

    def next(self) -> datetime | None:
        """The earliest moment."""
        while self._heap:
            when, key = self._heap[0]
            if self._wanted.get(key) == when:
                return when
            heapq.heappop(self._heap)
        return None

    def due(self, now: datetime) -> list[WorkKey]:
        """Take out the keys whose moment has come, in the order of their moments."""
        keys: list[WorkKey] = []
        while self._heap and self._heap[0][0] <= now:
            when, key = heapq.heappop(self._heap)
            if self._wanted.get(key) == when:
                del self._wanted[key]
                keys.append(key)
        return keys

    def clear(self) -> None:
        """Forget every entry."""
        self.crowds.clear()
        self._heap.clear()
        self._wanted.clear()
