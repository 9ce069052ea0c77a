"""What comes next: due times of one definition or of many, with the clock changes between them."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from zoneinfo import ZoneInfo

from carillon.engine.instants import count_excluded, merged
from carillon.engine.model import Key
from carillon.engine.outlook import Outlook
from carillon.engine.triggers import names
from carillon.schedule.changes import ClockChange, clock_changes

EXCLUDED_LISTED = 1_000
"""Excluded due times that are listed at the most; a window may cover a month of minutes."""


@dataclass(frozen=True, slots=True)
class DueRow:
    """One due time of one definition; triggers that are due at one instant make one run."""

    key: Key
    instant: datetime
    triggers: tuple[Outlook, ...]
    excluded: str
    """Why it is left out; empty when it is not."""
    notes: tuple[str, ...]

    @property
    def names(self) -> str:
        """The triggers' names."""
        return ", ".join(trigger.name for trigger in self.triggers)

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which the time is shown."""
        return self.triggers[0].zone


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """The clocks of a zone change between, or at, due times."""

    change: ClockChange
    zone: ZoneInfo
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """Rows in order, and what they do not show."""

    rows: tuple[DueRow | ChangeRow, ...]
    excluded: int
    """How many excluded due times lie before the last row, shown or not."""

    @property
    def due(self) -> tuple[DueRow, ...]:
        """The due times that are to run."""
        return tuple(row for row in self.rows if isinstance(row, DueRow) and not row.excluded)


Jobs = Sequence[tuple[Key, Sequence[Outlook]]]


def preview(jobs: Jobs, after: datetime, count: int, *, excluded: bool = False) -> Preview:
    """Tell the first `count` due times after an instant, over all the given definitions.

    Args:
        jobs: definitions, each with its triggers.
        after: the instant.
        count: how many due times.
        excluded: whether excluded due times are listed, too; they do not count.
    """
    runs = heapq.merge(*(_runs(key, triggers, after) for key, triggers in jobs), key=lambda run: run[:2])
    rows = [_due_row(key, instant, triggers) for instant, key, triggers in islice(runs, count)]
    end = rows[-1].instant if len(rows) == count else None
    left_out = 0
    for key, triggers in jobs:
        # One run for one instant: what one trigger's exclusions leave out may run for another.
        through = end or max(filter(None, (_last(trigger, after) for trigger in triggers)), default=None)
        told = triggers if end else [trigger for trigger in triggers if not trigger.schedule.endless]
        if through is None:
            continue
        here = count_excluded([trigger.planned for trigger in told], after, through)
        left_out += here
        if excluded and here:
            rows += islice(_excluded(key, told, after, through), EXCLUDED_LISTED)
    rows.sort(key=lambda row: (row.instant, row.key, bool(row.excluded)))
    return Preview(tuple(_with_changes(rows, after)), left_out)


def _last(trigger: Outlook, after: datetime) -> datetime | None:
    """The last due time of a trigger that ends; it bounds what was left out before it."""
    if trigger.schedule.endless:
        return None
    last = trigger.schedule.newest(after, datetime.max.replace(tzinfo=after.tzinfo), 1)
    return last[0] if last else None


def _runs(
    key: Key, triggers: Sequence[Outlook], after: datetime
) -> Iterator[tuple[datetime, Key, tuple[Outlook, ...]]]:
    """Due times of one definition, in order and without end."""
    named = heapq.merge(*(_walk(order, trigger, after) for order, trigger in enumerate(triggers)))
    for instant, same in groupby(named, key=lambda pair: pair[0]):
        yield instant, key, tuple(triggers[order] for _, order in same)


def _walk(order: int, trigger: Outlook, after: datetime) -> Iterator[tuple[datetime, int]]:
    moment: datetime | None = after
    while moment is not None and (moment := trigger.open.next_after(moment)) is not None:
        yield moment, order


def _due_row(key: Key, instant: datetime, triggers: tuple[Outlook, ...]) -> DueRow:
    notes = dict.fromkeys(note for trigger in triggers for note in trigger.clock_notes(instant))
    return DueRow(key, instant, triggers, "", tuple(notes))


def _excluded(key: Key, triggers: Sequence[Outlook], after: datetime, through: datetime) -> Iterator[DueRow]:
    taken = [t for t in triggers if t.planned.excluded is not None]
    for moment, places in merged([t.planned.excluded for t in taken if t.planned.excluded], after, through):
        if not any(names(trigger.open, moment) for trigger in triggers):
            naming = tuple(taken[place] for place in places)
            yield DueRow(key, moment, naming, naming[0].closed(moment), ())


def _with_changes(rows: Sequence[DueRow], after: datetime) -> Iterator[DueRow | ChangeRow]:
    """Put the clock changes between the due times: where there is one between two, or where it leaves something out."""
    zones = {trigger.zone.key: trigger.zone for row in rows for trigger in row.triggers}
    triggers = list(dict.fromkeys(trigger for row in rows for trigger in row.triggers))
    previous = after
    for row in rows:
        if row.instant > previous:
            found = [
                ChangeRow(change, zone, _left_out(triggers, zone, change))
                for zone in zones.values()
                for change in clock_changes(zone, previous, row.instant)
            ]
            # Between due times that are years apart the clocks change often; the offsets beside the times say enough.
            few = len(found) <= len(zones)
            yield from sorted((c for c in found if few or c.notes), key=lambda c: c.change.at)
            previous = row.instant
        yield row


def _left_out(triggers: Sequence[Outlook], zone: ZoneInfo, change: ClockChange) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for t in triggers if t.zone.key == zone.key for note in t.left_out(change)))
