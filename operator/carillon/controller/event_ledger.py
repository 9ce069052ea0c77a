"""Counts the events that led to no run of their own, and notes which filters cannot be evaluated.

Counts are totals, which begin with what the definition's status says, so that a status write whose answer was lost
counts nothing twice. They are handed to the decision at intervals: a flood of filtered events is one write in ten
seconds.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from carillon.api.event import EventCount
from carillon.controller.filters import Verdict
from carillon.controller.metrics import Metrics
from carillon.controller.store import Store
from carillon.engine.eventmatch import PassedOver
from carillon.engine.model import Key

LOOK_SECONDS = 1.0
"""How often what was counted is looked at."""
INTERVAL_SECONDS = 10.0
"""How often it is written for one definition, at the most."""


@dataclass(slots=True)
class _Page:
    """Of one definition."""

    totals: dict[tuple[str, str], EventCount] = field(default_factory=dict)
    """By trigger and reason, as last handed on."""
    fresh: dict[tuple[str, str], tuple[int, datetime]] = field(default_factory=dict)
    """How many since, and when the last."""
    troubles: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By trigger: reason and words."""
    told_at: float = float("-inf")


class EventLedger:
    """What did not lead to a run, by definition."""

    def __init__(self, *, store: Store, metrics: Metrics, changed: Callable[[Key], None]) -> None:
        self._store = store
        self._metrics = metrics
        self._changed = changed
        self._pages: dict[Key, _Page] = {}

    def count(self, key: Key, trigger: str, reason: PassedOver, number: int, at: datetime) -> None:
        """Count events of a trigger, the last of which was seen at that time."""
        self._metrics.events.labels(reason.value).inc(number)
        page, what = self._page(key), (trigger, reason.value)
        before, _ = page.fresh.get(what, (0, at))
        page.fresh[what] = (before + number, at)

    def trouble(self, key: Key, trigger: str, verdict: Verdict | None) -> None:
        """Note that a trigger's filter could not be evaluated, or (None) that nothing is known against it."""
        if verdict is not None and verdict.passed_over is not None:
            self._page(key).troubles[trigger] = (verdict.passed_over.value, verdict.trouble)
        elif key in self._pages:
            self._pages[key].troubles.pop(trigger, None)

    def forget(self, key: Key) -> None:
        """Forget a definition that is gone, or another one now."""
        self._pages.pop(key, None)

    def clear(self) -> None:
        """Forget all: this process leads no more."""
        self._pages.clear()

    async def run(self) -> None:
        """Hand on what was counted, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for key, page in list(self._pages.items()):
                if self._store.definition(key) is None:
                    self.forget(key)
                elif self._has_news(key, page) and time.monotonic() - page.told_at >= INTERVAL_SECONDS:
                    self._tell(key, page)

    def _page(self, key: Key) -> _Page:
        page = self._pages.get(key)
        if page is None:
            definition = self._store.definition(key)
            recorded = definition.status.events if definition is not None else ()
            page = self._pages[key] = _Page({(line.trigger, line.reason): line for line in recorded})
        return page

    def _has_news(self, key: Key, page: _Page) -> bool:
        notes = self._store.notes_of(key)
        told = notes.event_troubles if notes is not None else {}
        return bool(page.fresh) or told != page.troubles

    def _tell(self, key: Key, page: _Page) -> None:
        for what, (number, last) in page.fresh.items():
            before = page.totals.get(what)
            page.totals[what] = EventCount(
                trigger=what[0],
                reason=what[1],
                count=number + (before.count if before is not None else 0),
                last_time=last.replace(microsecond=0),
            )
        page.fresh.clear()
        page.told_at = time.monotonic()
        notes = self._store.notes(key)
        notes.event_counts = dict(page.totals)
        notes.event_troubles = dict(page.troubles)
        self._changed(key)
