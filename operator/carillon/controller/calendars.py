"""Calendars as last seen, and the definitions that name them: what a change of a Calendar reaches.

A Calendar may be named by thousands. So nothing here goes over definitions: what a change costs is a number that is
raised, and a plan that was made before it is told by its own (`edition`). A plan can never be out of date unnoticed,
for there is nothing that would have to be marked. Must not plan, and must not know how what it holds was learnt.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from carillon.engine.model import Calendar, CalendarKey, CalendarSnapshot, Definition, Key


@dataclass(slots=True)
class _Entry:
    """A name that a Calendar bears, or that definitions give."""

    calendar: Calendar | None = None
    users: dict[Key, None] = field(default_factory=dict)
    """In the order in which they came."""
    edition: int = 0
    """When what definitions are planned with has changed for the last time."""
    told: int = 0
    """The edition of which the users were told."""
    counted_at: datetime | None = None
    """When the number of users was written on it."""


class Calendars:
    """Calendars by namespace and name, each with its users."""

    def __init__(self) -> None:
        self._entries: dict[CalendarKey, _Entry] = {}
        self._keys: dict[str, CalendarKey] = {}
        self._edition = 0

    def __contains__(self, uid: str) -> bool:
        """Whether a Calendar with this UID is known."""
        return uid in self._keys

    def known(self) -> list[CalendarKey]:
        """Every Calendar that is known."""
        return list(self._keys.values())

    def get(self, key: CalendarKey) -> Calendar | None:
        """The Calendar of that name."""
        entry = self._entries.get(key)
        return entry.calendar if entry is not None else None

    def put(self, calendar: Calendar) -> None:
        """Take in a Calendar; another one of its name has to be removed before."""
        key = CalendarKey(*calendar.key)
        entry = self._entries.setdefault(key, _Entry())
        known = entry.calendar
        if known is not None and (known.spec, known.invalid) == (calendar.spec, calendar.invalid):
            # What was worked out from the specification is kept.
            calendar = replace(calendar, spec=known.spec, closed=known.closed)
        else:
            entry.edition = self._next_edition()
        entry.calendar = calendar
        self._keys[calendar.uid] = key

    def remove(self, uid: str) -> CalendarKey:
        """Forget a Calendar that is known, and tell its name."""
        key = self._keys.pop(uid)
        entry = self._entries[key]
        entry.calendar = None
        entry.edition = self._next_edition()
        self._forget(key)
        return key

    def name(self, key: Key, before: Definition | None, now: Definition | None) -> list[CalendarKey]:
        """Note what a definition names now; the Calendars that are named by more or by fewer than before.

        Args:
            key: the definition's.
            before: as it was known; None when it was not.
            now: as it is; None when it is gone.
        """
        old, new = set(calendars_of(before)), set(calendars_of(now))
        if old == new:
            return []
        for named in new - old:
            self._entries.setdefault(named, _Entry()).users[key] = None
        for named in old - new:
            self._entries[named].users.pop(key, None)
            self._forget(named)
        return [named for named in sorted(old ^ new) if self.get(named) is not None]

    def snapshot(self, key: CalendarKey) -> CalendarSnapshot:
        """Everything that a decision about a Calendar is made from."""
        entry = self._entries.get(key)
        if entry is None:
            return CalendarSnapshot(calendar=None)
        return CalendarSnapshot(calendar=entry.calendar, used_by=len(entry.users), counted_at=entry.counted_at)

    def note_counted(self, key: CalendarKey, at: datetime) -> None:
        """Note that the number of its users was written on a Calendar."""
        if key in self._entries:
            self._entries[key].counted_at = at

    def untold(self, key: CalendarKey) -> tuple[Key, ...]:
        """The users of a Calendar that has changed since this was asked for the last time."""
        entry = self._entries.get(key)
        if entry is None or entry.told == entry.edition:
            return ()
        entry.told = entry.edition
        return tuple(entry.users)

    def edition(self, keys: Iterable[CalendarKey]) -> int:
        """A number that is raised when one of these Calendars comes, goes or closes something else than before."""
        return max((entry.edition for key in keys if (entry := self._entries.get(key)) is not None), default=0)

    def _next_edition(self) -> int:
        self._edition += 1
        return self._edition

    def _forget(self, key: CalendarKey) -> None:
        entry = self._entries[key]
        if entry.calendar is None and not entry.users:
            del self._entries[key]


def calendars_of(definition: Definition | None) -> list[CalendarKey]:
    """The Calendars that a definition names."""
    if definition is None or definition.spec is None:
        return []
    return [CalendarKey(definition.key.namespace, name) for name in definition.spec.exclude.calendars]
