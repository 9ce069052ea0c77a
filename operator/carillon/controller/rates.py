"""How often somebody may come: so many a second, some more at once, for each of those that are told apart.

Of a key nothing is kept once it could come as often as a new one; of the others, so many at most: a flood of keys
takes no memory.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

KEYS = 10_000


class Rates:
    """A token bucket for each key.

    Args:
        per_second: how often a key may come in the long run.
        burst: how often at once, after a rest.
        keys: how many are told apart at a time; beyond these, those that did not come for longest are forgotten.
        monotonic: seconds that only grow.
    """

    def __init__(
        self, *, per_second: float, burst: int, keys: int = KEYS, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = 1 / per_second
        self._ahead = burst * self._seconds
        self._keys = keys
        self._monotonic = monotonic
        self._paid_until: OrderedDict[Hashable, float] = OrderedDict()

    @property
    def kept(self) -> int:
        """How many keys something is kept of."""
        return len(self._paid_until)

    def allows(self, key: Hashable) -> bool:
        """Whether the key may come now; coming too often does not lengthen the wait."""
        now = self._monotonic()
        paid_until = max(self._paid_until.get(key, now), now) + self._seconds
        if paid_until > now + self._ahead + self._seconds / 2:
            return False
        self._paid_until[key] = paid_until
        self._paid_until.move_to_end(key)
        while self._paid_until and (len(self._paid_until) > self._keys or self._first() <= now):
            self._paid_until.popitem(last=False)
        return True

    def _first(self) -> float:
        return next(iter(self._paid_until.values()))
