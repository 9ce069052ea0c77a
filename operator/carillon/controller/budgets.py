"""What each namespace may take of something that all of them share: seconds at once, and a share of the time.

Knows nothing of what is shared: the event loop, or a process.
"""

import time
from collections.abc import Callable

NAMESPACES = 1_000
"""Of more than so many, those that have all of their seconds are forgotten: they are as new ones."""


class Budgets:
    """A token bucket of seconds for each namespace, that may go below zero: what something costs is known afterwards.

    Args:
        share: of the time, above 0 and at most 1.
        burst_seconds: what a namespace may take at once, after a rest.
        monotonic: seconds that only grow.
    """

    def __init__(self, *, share: float, burst_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.share = share
        self.burst_seconds = burst_seconds
        self._monotonic = monotonic
        self._empty_until: dict[str, float] = {}
        """A bucket that is full was empty as long ago as it takes to fill it."""

    @property
    def kept(self) -> int:
        """Of how many namespaces something is kept."""
        return len(self._empty_until)

    def wait_seconds(self, namespace: str) -> float:
        """How long a namespace has to wait until it may take something; 0 where it may now."""
        return max(0.0, self._empty_until.get(namespace, 0.0) - self._monotonic())

    def spend(self, namespace: str, seconds: float) -> None:
        """Take note of what a namespace has taken."""
        full = self._monotonic() - self.burst_seconds / self.share
        self._empty_until[namespace] = max(self._empty_until.get(namespace, full), full) + seconds / self.share
        if len(self._empty_until) > NAMESPACES:
            self._empty_until = {name: until for name, until in self._empty_until.items() if until > full}
