"""From what the watches tell to windows of events: the controller's side of event triggers, while this process leads.

Which kinds have to be watched follows from the definitions; what counts is decided by `carillon.engine.eventmatch`, and
what becomes of a window by `carillon.engine.eventruns`. Nothing here is written down: windows are lost with the
process, for events are at most once (design 3.11).
"""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from carillon.api.event import EventType
from carillon.controller.event_ledger import EventLedger
from carillon.controller.event_watch import EventWatch, Needs, Seen
from carillon.controller.filters import Filters
from carillon.controller.metrics import Metrics
from carillon.controller.old_objects import OldObjects
from carillon.controller.settings import EventSource
from carillon.controller.store import Store
from carillon.engine import plan as plans
from carillon.engine.eventmatch import PassedOver, change_of, is_own, may_be_own, selected
from carillon.engine.eventruns import is_run_of, own_of
from carillon.engine.eventwindow import Window, receive
from carillon.engine.model import Definition, Key, PlannedEvent
from carillon.kube.client import Client
from carillon.kube.resources import Resource

MOST_TRIGGERS = 200
"""Of one namespace on one kind: each event is looked at for each of them, before the next event of anybody is."""
ARRANGING_SECONDS, ARRANGING_SHARE = 0.005, 0.05
"""To go over all triggers, when some have changed, takes this share of the time where it takes longer than that."""
KUBERNETES_EVENTS = ("events",)
"""Always watched as a whole: what they speak of is not in their metadata."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Subscription:
    """One event trigger of a definition that is watched."""

    key: Key
    trigger: PlannedEvent
    since: int = 0
    """Events after this version count; 0 while that is not known."""


@dataclass(slots=True)
class _Watch:
    watch: EventWatch
    task: "asyncio.Task[None]"


_WatchKey = tuple[EventSource, str | None]


class EventSources:
    """Keeps one watch a kind for all event triggers, and gathers what it tells into windows."""

    def __init__(
        self,
        *,
        client: Client,
        store: Store,
        metrics: Metrics,
        allowed: Collection[EventSource],
        namespaces: Collection[str],
        changed: Callable[[Key], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._store = store
        self._metrics = metrics
        self._allowed = frozenset(allowed)
        self._namespaces = frozenset(namespaces)
        self._changed = changed
        self._clock = clock
        self._filters = Filters()
        self._old_objects = OldObjects()
        self._leading = False
        self._subscriptions: dict[Key, tuple[_Subscription, ...]] = {}
        self._uids: dict[Key, str] = {}
        self._watches: dict[_WatchKey, _Watch] = {}
        self._by_namespace: dict[tuple[EventSource, str], list[_Subscription]] = {}
        self._ledger = EventLedger(store=store, metrics=metrics, changed=changed)
        self._arrange_soon = asyncio.Event()
        self._new: set[tuple[EventSource, str]] = set()

    async def run(self) -> None:
        """Watch what the definitions want, until cancelled."""
        self._leading = True
        try:
            for definition in self._store.definitions():
                self.consider(definition.key)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._arrange_forever(group))
                group.create_task(self._ledger.run())
        finally:
            self._leading = False
            self._forget_all()
            await self._filters.close()

    def _forget_all(self) -> None:
        for key in self._subscriptions:
            if (notes := self._store.notes_of(key)) is not None:
                notes.forget_events()
        for record in (self._subscriptions, self._uids, self._watches, self._by_namespace):
            record.clear()
        self._ledger.clear()
        self._new.clear()

    def consider(self, key: Key) -> None:
        """Take note that a definition, or one of its runs, may have changed."""
        if not self._leading:
            return
        definition = self._store.definition(key)
        if key not in self._subscriptions and not _has_events(definition):
            return  # and need not be planned
        definition = self._store.planned(key)
        wanted = _wanted(definition)
        uid = definition.uid if definition is not None else ""
        known = self._subscriptions.get(key, ())
        if self._uids.get(key) != uid or tuple(subscription.trigger for subscription in known) != wanted:
            self._subscribe(key, uid, known, wanted)
        if definition is not None:
            self._close_windows(definition)

    def _subscribe(
        self, key: Key, uid: str, known: tuple[_Subscription, ...], wanted: tuple[PlannedEvent, ...]
    ) -> None:
        if self._uids.get(key) != uid:
            known = ()  # another definition of the same name
            self._ledger.forget(key)
            if (notes := self._store.notes_of(key)) is not None:
                notes.forget_events()
        before = {each.trigger.name: each for each in known if each.trigger in wanted}
        new = [each for each in wanted if each.name not in before]
        for subscription in known:
            if subscription.trigger.name not in before:
                self._filters.forget((key, subscription.trigger.name))
        if not wanted:
            self._subscriptions.pop(key, None)
            self._uids.pop(key, None)
        else:
            self._uids[key] = uid
            self._subscriptions[key] = tuple(before.get(each.name) or _Subscription(key, each) for each in wanted)
            noted = self._store.notes(key)
            noted.event_watched = {name: why for name, why in noted.event_watched.items() if name in before}
            noted.event_troubles = {name: why for name, why in noted.event_troubles.items() if name in before}
        for trigger in new:
            self._ledger.trouble(key, trigger.name, None)
        self._new |= {(_source(each), key.namespace) for each in new}
        self._arrange_soon.set()

    def _close_windows(self, definition: Definition) -> None:
        """Forget the windows that have their run."""
        key = definition.key
        notes = self._store.notes_of(key)
        if notes is None or not notes.event_windows:
            return
        runs = self._store.snapshot(key).runs
        for window in [window for windows in notes.event_windows.values() for window in windows]:
            if any(is_run_of(definition, window, run) for run in runs):
                self._drop(key, window)
                self._metrics.events.labels("Run").inc()
                if window.count > 1:
                    self._ledger.count(key, window.trigger, PassedOver.DEBOUNCED, window.count - 1, window.last)

    def _drop(self, key: Key, window: Window) -> None:
        notes = self._store.notes(key)
        left = tuple(each for each in notes.event_windows.get(window.trigger, ()) if each is not window)
        if left:
            notes.event_windows[window.trigger] = left
        else:
            notes.event_windows.pop(window.trigger, None)

    def pass_over(self, key: Key, action: plans.PassOverEvents) -> None:
        """Give up a window, as the decision wants it, and count its events."""
        notes = self._store.notes(key)
        for window in notes.event_windows.get(action.trigger, ()):
            if (window.first.uid, window.first.resource_version) == (action.first_uid, action.first_version):
                self._drop(key, window)
                self._ledger.count(key, action.trigger, PassedOver(action.reason), window.count, window.last)

    # The watches --------------------------------------------------------------------------------------------------

    async def _arrange_forever(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._arrange_soon.wait()
            self._arrange_soon.clear()
            began = time.thread_time()
            self._arrange(group)
            seconds = time.thread_time() - began
            if seconds > ARRANGING_SECONDS:
                await asyncio.sleep(seconds / ARRANGING_SHARE)

    def _arrange(self, group: asyncio.TaskGroup) -> None:
        """Start the watches that are needed now, and end the others."""
        self._by_namespace = {}
        for key, subscriptions in self._subscriptions.items():
            for subscription in subscriptions:
                source = _source(subscription.trigger)
                if source in self._allowed:
                    self._by_namespace.setdefault((source, key.namespace), []).append(subscription)
                else:
                    self._note_watched(subscription, _not_allowed(source))
        for (source, namespace), here in self._by_namespace.items():
            if len(here) > MOST_TRIGGERS:
                self._leave_out(source, here)
            if any(not subscription.since for subscription in here):
                self._new.add((source, namespace))
        needed: dict[_WatchKey, dict[str, Needs]] = {}
        for (source, namespace), here in self._by_namespace.items():
            scope = namespace if self._namespaces else None
            needed.setdefault((source, scope), {})[namespace] = _needs(source, here)
        for where in self._watches.keys() - needed.keys():
            self._watches.pop(where).task.cancel()
        new, self._new = self._new, set()
        for where, needs in needed.items():
            if where not in self._watches:
                self._watches[where] = self._start(group, where)
            source = where[0]
            self._watches[where].watch.need(needs, [n for s, n in new if s == source and n in needs])

    def _leave_out(self, source: EventSource, here: list[_Subscription]) -> None:
        """Have those triggers of a namespace not watched that are too many: those of the youngest definitions."""
        here.sort(key=lambda each: (self._created(each.key), each.key.name, each.trigger.name))
        for subscription in here[MOST_TRIGGERS:]:
            subscription.since = 0
            self._note_watched(subscription, _too_many(source))
        del here[MOST_TRIGGERS:]

    def _created(self, key: Key) -> float:
        definition = self._store.definition(key)
        return definition.created.timestamp() if definition is not None else float("inf")

    def _start(self, group: asyncio.TaskGroup, where: _WatchKey) -> _Watch:
        source, scope = where
        watch = EventWatch(
            self._client,
            Resource(source.group, source.version, source.resource, kind=""),
            scope,
            old_objects=self._old_objects,
            on_event=partial(self._receive, source),
            on_watched=partial(self._watched, source),
            on_problem=partial(self._refused, where),
        )
        return _Watch(watch, group.create_task(watch.run(), name=f"events {source}"))

    def _watched(self, source: EventSource, namespace: str, version: int) -> None:
        for subscription in self._by_namespace.get((source, namespace), ()):
            if not version:
                subscription.since = 0
            elif not subscription.since:
                subscription.since = version
                self._note_watched(subscription, "")

    def _refused(self, where: _WatchKey, why: str) -> None:
        source, scope = where
        for (other, namespace), subscriptions in self._by_namespace.items():
            if other == source and scope in (None, namespace):
                for subscription in subscriptions:
                    subscription.since = 0
                    self._note_watched(subscription, why)

    def _note_watched(self, subscription: _Subscription, problem: str) -> None:
        if self._store.definition(subscription.key) is None:
            return
        words = f"{subscription.trigger.path}.resource: {problem}"[:900] if problem else ""
        watched = self._store.notes(subscription.key).event_watched
        if watched.get(subscription.trigger.name) != words:
            watched[subscription.trigger.name] = words
            self._changed(subscription.key)

    # What they tell -----------------------------------------------------------------------------------------------

    async def _receive(self, source: EventSource, seen: Seen) -> None:
        for subscription in tuple(self._by_namespace.get((source, seen.namespace), ())):
            if subscription.since and seen.version > subscription.since:
                try:
                    await self._consider_event(subscription, seen)
                except Exception:
                    # One object never stops the others.
                    log.exception("an event could not be considered", key=str(subscription.key))

    async def _consider_event(self, subscription: _Subscription, seen: Seen) -> None:
        key, definition = subscription.key, self._store.planned(subscription.key)
        # The definition's own, for a Calendar that it names may have changed.
        trigger = (
            next((each for each in definition.events if each == subscription.trigger), None) if definition else None
        )
        if definition is None or trigger is None:
            return
        spec = trigger.spec
        if not selected(spec.types, spec.label_selector, seen.type, seen.raw):
            return
        passed_over = self._not_now(definition, trigger, seen)
        if passed_over is None and spec.filter:
            passed_over = await self._filtered(subscription, seen)
        if not any(each is subscription for each in self._subscriptions.get(key, ())):
            return  # it was changed while the filter was evaluated
        now = self._clock()
        if passed_over is not None:
            self._ledger.count(key, trigger.name, passed_over, 1, now)
            return
        windows = self._store.notes(key).event_windows
        before = windows.get(trigger.name, ())
        windows[trigger.name] = receive(
            before, trigger.name, change_of(seen.type, seen.raw), spec.debounce_seconds, now
        )
        if len(windows[trigger.name]) > len(before):
            self._changed(key)

    def _not_now(self, definition: Definition, trigger: PlannedEvent, seen: Seen) -> PassedOver | None:
        if may_be_own(seen.raw) and is_own(seen.raw, own_of(self._store.snapshot(definition.key), definition)):
            return PassedOver.SELF_MADE
        if definition.suspended(self._clock()):
            return PassedOver.DISABLED
        if trigger.closed is not None and trigger.closed.at(self._clock()) is not None:
            return PassedOver.EXCLUDED
        return None

    async def _filtered(self, subscription: _Subscription, seen: Seen) -> PassedOver | None:
        key, trigger = subscription.key, subscription.trigger
        old = b""
        if trigger.looks_back and seen.type is not EventType.CREATED:
            if seen.old is None:
                return PassedOver.OLD_OBJECT_UNKNOWN
            old = seen.old
        verdict = await self._filters.evaluate((key, trigger.name), key.namespace, trigger.spec.filter, seen.json, old)
        self._ledger.trouble(key, trigger.name, verdict if verdict.trouble else None)
        return verdict.passed_over


def _has_events(definition: Definition | None) -> bool:
    spec = definition.spec if definition is not None else None
    return spec is not None and any(trigger.event is not None for trigger in spec.triggers)


def _wanted(definition: Definition | None) -> tuple[PlannedEvent, ...]:
    """The triggers that are to be watched; those of a disabled definition, too: what happens meanwhile is counted."""
    if definition is None or definition.deleting or definition.invalid or definition.unreadable_status:
        return ()
    return definition.events


def _source(trigger: PlannedEvent) -> EventSource:
    return EventSource(trigger.spec.group, trigger.spec.version, trigger.spec.resource)


def _needs(source: EventSource, subscriptions: Collection[_Subscription]) -> Needs:
    filtering = any(subscription.trigger.spec.filter for subscription in subscriptions)
    return Needs(
        whole=filtering or source.resource in KUBERNETES_EVENTS,
        looks_back=any(subscription.trigger.looks_back for subscription in subscriptions),
    )


def _too_many(source: EventSource) -> str:
    return (
        f"found more than {MOST_TRIGGERS} triggers on {source.resource} in this namespace, and those of the oldest "
        "ScheduledJobs are watched; have fewer ones, or some of them in another namespace"
    )


def _not_allowed(source: EventSource) -> str:
    return (
        f"found {source.resource}, which the operator does not watch; have "
        f'{{group: "{source.group}", version: {source.version}, resource: {source.resource}}} added to eventSources in '
        "the values of the chart"
    )
