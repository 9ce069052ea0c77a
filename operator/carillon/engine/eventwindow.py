"""Debounce: the first event opens a window, what comes until it closes joins it, and a window becomes one run.

A window that has closed waits for its run to be made; what comes meanwhile gathers in the next one. So a trigger has
two windows at the most, each of bounded size, however many events come.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from carillon.api.event import MOST_OBJECTS, EventObject, EventType, RunEvent

OBJECT_BYTES = 4_000
"""What the objects of a record may take as JSON: a JobRun stays under 10 kB (design 3.12)."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an object, as a watch told it."""

    type: EventType
    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    regarding: str = ""
    """Of a Kubernetes Event: the object that it speaks of, as kind/name."""

    def described(self) -> EventObject:
        """The change as the run's record has it; what no sane object has is cut."""
        return EventObject(
            type=self.type,
            name=self.name[:253],
            uid=self.uid[:128],
            resource_version=self.resource_version[:64],
            regarding=self.regarding[:320],
        )


@dataclass(frozen=True, slots=True)
class Window:
    """Events of one trigger that become one run."""

    trigger: str
    first: Change
    opened: datetime
    last: datetime
    closes_at: datetime
    count: int
    objects: tuple[EventObject, ...]
    bytes: int

    def record(self) -> RunEvent:
        """What the run is told."""
        return RunEvent(
            api_version=self.first.api_version[:320],
            kind=self.first.kind[:63],
            namespace=self.first.namespace,
            count=self.count,
            first_time=self.opened,
            last_time=self.last,
            objects=self.objects,
        )


Windows = tuple[Window, ...]
"""Of one trigger: the one that is to become a run, and the one after that."""


def receive(windows: Windows, trigger: str, change: Change, debounce_seconds: int, now: datetime) -> Windows:
    """Take in an event that counts.

    Args:
        windows: those of the trigger.
        trigger: its name.
        change: the event.
        debounce_seconds: how long a window stays open.
        now: when the event was seen.
    """
    # The last of two is joined even after its time: the one before it has no run yet.
    if windows and (len(windows) > 1 or now < windows[-1].closes_at):
        return (*windows[:-1], _joined(windows[-1], change, now))
    objects = (change.described(),)
    closes_at = now + timedelta(seconds=debounce_seconds)
    return (*windows, Window(trigger, change, now, now, closes_at, 1, objects, _size(objects[0])))


def _joined(window: Window, change: Change, now: datetime) -> Window:
    told = change.described()
    objects, size = window.objects, window.bytes
    for place, known in enumerate(objects):
        if (known.uid, known.type) == (told.uid, told.type):
            objects = (*objects[:place], told, *objects[place + 1 :])
            size += _size(told) - _size(known)
            break
    else:
        if len(objects) < MOST_OBJECTS and size + _size(told) <= OBJECT_BYTES:
            objects, size = (*objects, told), size + _size(told)
    return replace(window, last=max(window.last, now), count=window.count + 1, objects=objects, bytes=size)


def _size(told: EventObject) -> int:
    return len(told.model_dump_json(by_alias=True, exclude_defaults=True).encode())
