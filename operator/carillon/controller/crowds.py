"""Who is due at the same instant, and when their runs have to be written ahead of it. Pure: the time is handed in."""

import heapq
from datetime import datetime

from carillon.engine.ahead import LONGEST, lead
from carillon.engine.model import Key


class Crowds:
    """The next due time of each definition, and by due time the definitions that have it."""

    def __init__(self) -> None:
        self._next: dict[Key, datetime] = {}
        self._members: dict[datetime, dict[Key, None]] = {}
        self._heap: list[datetime] = []
        self._called: set[datetime] = set()

    def expect(self, key: Key, due: datetime | None) -> None:
        """Note when a definition is due next; None: never, as far as is known."""
        known = self._next.get(key)
        if known == due:
            return
        if known is not None:
            members = self._members[known]
            del members[key]
            if not members:
                del self._members[known]
                self._called.discard(known)
        if due is None:
            self._next.pop(key, None)
            return
        self._next[key] = due
        if due not in self._members:
            self._members[due] = {}
            heapq.heappush(self._heap, due)
        self._members[due][key] = None

    def together(self, key: Key) -> int:
        """How many definitions are due when this one is, itself too."""
        due = self._next.get(key)
        return self.count(due) if due is not None else 1

    def count(self, due: datetime) -> int:
        """How many definitions are due at an instant."""
        return len(self._members.get(due, ()))

    def ripe(self, now: datetime) -> list[Key]:
        """The definitions whose runs are to be written now, each once; who joins them later has to see to it itself."""
        found: list[Key] = []
        later: list[datetime] = []
        while self._heap and (due := self._heap[0]) <= now + LONGEST:
            heapq.heappop(self._heap)
            if due not in self._members or due in self._called or due <= now:
                continue
            if due - lead(self.count(due)) > now:
                later.append(due)
                continue
            self._called.add(due)
            found += self._members[due]
        for due in later:
            heapq.heappush(self._heap, due)
        return found

    def clear(self) -> None:
        """Forget every one."""
        for each in (self._next, self._members, self._heap, self._called):
            each.clear()
