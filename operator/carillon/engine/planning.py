"""From what a definition says to schedules: triggers, their bounds, and what exclusions leave of them.

What is wrong is said in words with the field and the cure, and stops no other definition. A Calendar that is missing or
wrong makes the definitions that name it invalid: to run in a maintenance window is worse than not to run.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from zoneinfo import ZoneInfo

from carillon.api import keys
from carillon.api.base import GROUP, rfc3339
from carillon.api.calendar import CalendarSpec
from carillon.api.exclude import Closures
from carillon.api.scheduledjob import DaylightSavingPolicy, ScheduledJobSpec, Trigger
from carillon.engine.backend import backend_problem
from carillon.engine.cel import FilterError, looks_back
from carillon.engine.model import UTC_ZONE, Calendar, Definition, Key, PlannedEvent, PlannedTrigger
from carillon.engine.names import digest
from carillon.engine.parameters import problems as parameter_problems
from carillon.schedule import (
    Closed,
    DaylightSaving,
    Piece,
    Schedule,
    ScheduleError,
    bounded,
    closed,
    exclude_dates,
    exclude_holidays,
    exclude_window,
    inside,
    load_zone,
    outside,
    parse_at,
    parse_cron,
    parse_interval,
)

_DAYLIGHT_SAVING = {
    None: DaylightSaving.RUN_ONCE,
    DaylightSavingPolicy.RUN_ONCE: DaylightSaving.RUN_ONCE,
    DaylightSavingPolicy.WALL_CLOCK: DaylightSaving.WALL_CLOCK,
}


MOST_OPENINGS = 48
"""Windows of a definition and its Calendars together, a day: a year is counted in milliseconds then."""


def plan(definition: Definition, calendars: Mapping[str, Calendar]) -> Definition:
    """Plan the triggers of a definition anew: when it was read, and when a Calendar that it names has changed.

    Args:
        definition: as read; nothing is done where its specification could not be read at all.
        calendars: the Calendars of its namespace, by name.
    """
    if definition.spec is None:
        return definition
    problems: list[str] = []
    closures = _Closures(definition.spec, definition.key, calendars, problems)
    timed = [index for index in _indices(definition) if definition.spec.triggers[index].event is None]
    planned = [_trigger(definition.spec, index, definition.key, closures, problems) for index in timed]
    events = _events(definition.spec, closures, problems)
    if not definition.spec.triggers:  # an exclusion without a trigger is of no use, and may be wrong all the same
        closures.within(UTC_ZONE)
    name = definition.key.name
    if len(name) > keys.SCHEDULED_JOB_NAME_LENGTH:
        limit = keys.SCHEDULED_JOB_NAME_LENGTH
        problems.append(f"metadata.name: {name!r} has {len(name)} characters; use at most {limit}")
    problems += parameter_problems(definition.spec)
    triggers = tuple(trigger for trigger in planned if trigger is not None)
    if not problems and (problem := backend_problem(definition.spec, triggers)):
        problems.append(problem)
    return replace(definition, triggers=triggers, events=events, invalid="; ".join(dict.fromkeys(problems)))


def _indices(definition: Definition) -> range:
    return range(len(definition.spec.triggers) if definition.spec is not None else 0)


def calendar_problem(spec: CalendarSpec, key: Key) -> str:
    """What is wrong with a Calendar, in words; empty when it is understood."""
    problems: list[str] = []
    _pieces(spec, "spec", key, UTC_ZONE, problems)
    return "; ".join(problems)


def _trigger(
    spec: ScheduledJobSpec, index: int, key: Key, closures: "_Closures", problems: list[str]
) -> PlannedTrigger | None:
    trigger = spec.triggers[index]
    try:
        schedule, text, identity = _schedule(trigger, key)
        zone = load_zone(trigger.time_zone) if trigger.time_zone is not None else UTC_ZONE
    except ScheduleError as error:
        problems.append(f"spec.triggers[{index}].{_field(trigger, error)}: {error}")
        return None
    schedule = bounded(schedule, start_at=trigger.start_at, end_at=trigger.end_at)
    if trigger.start_at is not None or trigger.end_at is not None:
        identity += tuple(rfc3339(t) if t is not None else "" for t in (trigger.start_at, trigger.end_at))
    sources, shut = closures.within(zone)
    return PlannedTrigger(
        name=trigger.name,
        spec_hash=digest(*identity, length=12),
        schedule=schedule,
        text=text,
        open=outside(schedule, shut) if shut is not None else schedule,
        excluded=inside(schedule, shut) if shut is not None else None,
        closed=shut,
        closed_by=sources,
        zone=zone,
        jitter_seconds=trigger.jitter_seconds or 0,
        seed=f"{key}/{trigger.name}",
    )


def _events(spec: ScheduledJobSpec, closures: "_Closures", problems: list[str]) -> tuple[PlannedEvent, ...]:
    planned: list[PlannedEvent] = []
    for index, trigger in enumerate(spec.triggers):
        if trigger.event is None:
            continue
        field = f"spec.triggers[{index}].event"
        if trigger.event.group == GROUP:
            problems.append(f"{field}.group: found {GROUP}, whose objects change with every run; watch something else")
            continue
        try:
            compares = bool(trigger.event.filter) and looks_back(trigger.event.filter)
        except FilterError as error:
            problems.append(f"{field}.filter: {error}")
            continue
        # An event has no time zone; the days of holidays and dates are those of UTC.
        _, shut = closures.within(UTC_ZONE)
        planned.append(PlannedEvent(trigger.name, field, trigger.event, compares, shut))
    return tuple(planned)


def _schedule(trigger: Trigger, key: Key) -> tuple[Schedule, str, tuple[str, ...]]:
    if trigger.cron is not None:
        saving = _DAYLIGHT_SAVING[trigger.daylight_saving]
        schedule = parse_cron(trigger.cron, time_zone=trigger.time_zone, daylight_saving=saving, hash_key=str(key))
        text = trigger.cron if trigger.time_zone is None else f"{trigger.cron} {trigger.time_zone}"
        return schedule, text, ("cron", trigger.cron, trigger.time_zone or "", saving.value)
    if trigger.interval is not None:
        return parse_interval(trigger.interval), trigger.interval, ("interval", trigger.interval, "", "")
    at = trigger.at or ""
    return parse_at(at), at, ("at", at, "", "")


def _field(trigger: Trigger, error: ScheduleError) -> str:
    if trigger.cron is None:
        return "interval" if trigger.interval is not None else "at"
    return "timeZone" if trigger.time_zone is not None and error.text == trigger.time_zone else "cron"


_Sources = tuple[tuple[str, Closed], ...]
"""What is closed, by where it is written."""


class _Closures:
    """What is closed for the triggers of a definition: those of one time zone share it."""

    def __init__(
        self, spec: ScheduledJobSpec, key: Key, calendars: Mapping[str, Calendar], problems: list[str]
    ) -> None:
        self._spec = spec
        self._key = key
        self._calendars = calendars
        self._problems = problems
        self._by_zone: dict[ZoneInfo, tuple[_Sources, Closed | None]] = {}

    def within(self, zone: ZoneInfo) -> tuple[_Sources, Closed | None]:
        """What closes in this time zone, without what never does, and all of it together; None where nothing does."""
        found = self._by_zone.get(zone)
        if found is None:
            sources = self._sources(zone)
            found = self._by_zone[zone] = (sources, _together(sources))
        return found

    def _sources(self, zone: ZoneInfo) -> _Sources:
        problems = self._problems
        found = [("", closed(_pieces(self._spec.exclude, "spec.exclude", self._key, zone, problems)))]
        for index, name in enumerate(self._spec.exclude.calendars):
            field = f"spec.exclude.calendars[{index}]"
            calendar = self._calendars.get(name)
            if calendar is None:
                namespace = self._key.namespace
                problems.append(
                    f"{field}: there is no Calendar {name} in namespace {namespace}; create it, or remove it"
                )
            elif calendar.invalid or calendar.spec is None:
                problems.append(f"{field}: Calendar {name} is not valid: {calendar.invalid}")
            else:
                found.append((name, _closed_by(calendar, calendar.spec, zone)))
        sources = tuple((source, shut) for source, shut in found if shut.pieces)
        openings = sum(shut.openings_a_day for _, shut in sources)
        if openings > MOST_OPENINGS:
            problems.append(
                f"spec.exclude: found windows that open {openings} times a day together, Calendars included; at most "
                f"{MOST_OPENINGS} can be counted in time: write fewer or longer windows"
            )
            return ()
        return sources


def _together(sources: _Sources) -> Closed | None:
    if len(sources) > 1:
        return closed(piece for _, shut in sources for piece in shut.pieces)
    return sources[0][1] if sources else None


def _closed_by(calendar: Calendar, spec: CalendarSpec, zone: ZoneInfo) -> Closed:
    """What a valid Calendar closes in this time zone: the same for every definition that names it."""
    found = calendar.closed.get(zone)
    if found is None:
        # What could be wrong with it does not depend on the zone, and was found when it was read.
        found = calendar.closed[zone] = closed(_pieces(spec, "spec", calendar.key, zone, []))
    return found


def _pieces(closures: Closures, root: str, key: Key, zone: ZoneInfo, problems: list[str]) -> list[Piece]:
    pieces: list[Piece] = []
    for index, holidays in enumerate(closures.holidays):
        with _told(f"{root}.holidays[{index}]", problems):
            pieces.append(exclude_holidays(holidays.country, holidays.subdivision, zone))
    try:
        pieces += [exclude_dates(closures.dates, zone)] if closures.dates else []
    except ScheduleError:
        for index, date in enumerate(closures.dates):
            with _told(f"{root}.dates[{index}]", problems):
                exclude_dates([date], zone)
    for index, window in enumerate(closures.windows):
        with _told(f"{root}.windows[{index}]", problems):
            pieces.append(exclude_window(window.cron, window.duration_seconds, window.time_zone, str(key)))
    return pieces


@contextmanager
def _told(field: str, problems: list[str]) -> Iterator[None]:
    """Note what a field's parser refuses."""
    try:
        yield
    except ScheduleError as error:
        problems.append(f"{field}: {error}")
