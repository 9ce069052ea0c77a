"""A definition's triggers as those see them who look ahead or back: due times, zone, exclusions, clock changes.

Nothing is decided from this; `due` decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from carillon.api.scheduledjob import DaylightSavingPolicy, Trigger
from carillon.engine.model import Definition, PlannedTrigger
from carillon.engine.triggers import SECOND, anchored, names, starts_at, watermarks
from carillon.engine.words import civil, listed
from carillon.schedule import DaylightSaving, Schedule, load_zone, parse_cron
from carillon.schedule.changes import ClockChange, change_near

_SHOWN = 3
"""Civil times that are named one by one."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """One trigger."""

    planned: PlannedTrigger
    """As it counts since its watermark."""
    saving: DaylightSaving | None
    """What it does when the clocks change; None when it is no cron, or a cron to which that makes no difference."""
    wall: Schedule | None
    """The civil times that a cron names, as if the clock on the wall showed UTC."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.planned.name

    @property
    def schedule(self) -> Schedule:
        """Every due time that it names, excluded ones too."""
        return self.planned.schedule

    @property
    def open(self) -> Schedule:
        """The due times that no exclusion covers."""
        return self.planned.open

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which its times are read; UTC where it has none."""
        return self.planned.zone

    def start(self, due: datetime) -> datetime:
        """When the run of a due time is to start: later than it where the trigger has jitter."""
        return starts_at(self.planned, due)

    def closed(self, instant: datetime) -> str:
        """Why an instant is excluded; empty when it is not."""
        for calendar, closed in self.planned.closed_by:
            if (span := closed.at(instant)) is not None:
                return f"{span.reason}, of Calendar {calendar}" if calendar else span.reason
        return ""

    def clock_notes(self, instant: datetime) -> tuple[str, ...]:
        """Say what a change of the clocks has to do with a due time."""
        change = None if self.wall is None or self.saving is None else change_near(self.zone, instant)
        if change is None or self.wall is None:
            return ()
        if change.forward:
            missing = _civil_times(self.wall, change)
            if not missing or self.saving is not DaylightSaving.RUN_ONCE:
                return ()
            return (f"in the gap: {listed(missing)} {'does' if len(missing) == 1 else 'do'} not exist",)
        earlier = instant < change.at
        other = instant + change.shift if earlier else instant - change.shift
        time = civil(instant + (change.before if earlier else change.after))
        if not self.names(other):
            return (f"second {time} left out",) if earlier else ()
        return (f"{'first' if earlier else 'second'} {time} of two",)

    def left_out(self, change: ClockChange) -> tuple[str, ...]:
        """Say which civil times a change of the clocks leaves out without a due time in their place."""
        if self.wall is None or self.saving is not DaylightSaving.WALL_CLOCK or not change.forward:
            return ()
        missing = _civil_times(self.wall, change)
        if not missing or self.schedule.count(change.at - SECOND, change.at + change.shift - SECOND):
            return ()
        return (f"{listed(missing)} {'does' if len(missing) == 1 else 'do'} not exist: left out",)

    def names(self, instant: datetime) -> bool:
        """Whether the trigger is due at this very instant, excluded or not."""
        return names(self.schedule, instant)


def outlooks(definition: Definition, now: datetime) -> tuple[Outlook, ...]:
    """Tell the triggers of a definition that was understood, in its order."""
    assert definition.spec is not None
    specs = {trigger.name: trigger for trigger in definition.spec.triggers}
    pairs = anchored(definition, watermarks(definition, now))
    return tuple(Outlook(trigger, *_civil(specs[trigger.name], str(definition.key))) for trigger, _ in pairs)


def _civil(spec: Trigger, hash_key: str) -> tuple[DaylightSaving | None, Schedule | None]:
    if spec.cron is None or spec.cron.startswith("@every"):
        return None, None
    both = [
        parse_cron(spec.cron, time_zone=spec.time_zone, daylight_saving=saving, hash_key=hash_key)
        for saving in DaylightSaving
    ]
    if both[0] == both[1]:
        return None, None
    wall_clock = spec.daylight_saving is DaylightSavingPolicy.WALL_CLOCK
    saving = DaylightSaving.WALL_CLOCK if wall_clock else DaylightSaving.RUN_ONCE
    return saving, parse_cron(spec.cron, hash_key=hash_key)


def _civil_times(wall: Schedule, change: ClockChange) -> list[str]:
    low, high = change.civil
    count = wall.count(low - SECOND, high - SECOND)
    times = [civil(moment) for moment in wall.upcoming(low - SECOND, min(count, _SHOWN))]
    return times if count <= _SHOWN else [*times, f"{count - _SHOWN} more"]


def common_zone(triggers: Sequence[Outlook]) -> ZoneInfo | None:
    """Tell the zone in which a time without an offset is meant; None when the triggers are of several."""
    zones = {trigger.zone.key: trigger.zone for trigger in triggers if trigger.wall is not None} or {
        trigger.zone.key: trigger.zone for trigger in triggers
    }
    if len(zones) > 1:
        return None
    return next(iter(zones.values()), load_zone("UTC"))
