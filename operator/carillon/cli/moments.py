"""Times as people type them: RFC 3339, or a time on the wall of the trigger's zone."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from carillon.cli.problems import usage
from carillon.engine.words import civil, clock
from carillon.schedule import ScheduleError, parse_at
from carillon.schedule.changes import change_near, clock_changes

RFC3339_CURE = "write an instant as in 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00"
FIRST_YEAR, LAST_YEAR = 1970, 8999
"""Years that are read. Around an instant there is more to tell: other zones, the next due times, the clocks."""
LONGEST_SECONDS = 100 * 365 * 86_400
"""Durations that are read."""
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+[wdhms])+")
_WALL = re.compile(r"(?:(?P<date>\d{4}-\d{2}-\d{2})[ T])?(?P<time>\d{1,2}:\d{2}(?::\d{2})?)")


def rfc3339_of(text: str, option: str) -> datetime:
    """Read an instant with its offset. Raises Problem."""
    try:
        at = parse_at(text.strip())
    except ScheduleError as error:
        raise usage(f"{option}: {error}") from None
    _check_year(text, option)
    found = at.next_after(datetime.min.replace(tzinfo=UTC))
    assert found is not None
    return found


def duration_of(text: str, option: str) -> timedelta:
    """Read how long something takes, as kubectl does, and in days and weeks: `90s`, `1h30m`, `7d`. Raises Problem."""
    written = text.strip()
    if not _DURATION.fullmatch(written):
        raise usage(f"{option}: found {text!r}; write a duration such as 90s, 30m, 1h30m or 7d")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([wdhms])", written))
    if seconds > LONGEST_SECONDS:
        raise usage(f"{option} {text}: that is more than a hundred years; write less")
    return timedelta(seconds=seconds)


def _check_year(text: str, option: str) -> None:
    year = text.strip()[:4]
    if not FIRST_YEAR <= int(year) <= LAST_YEAR:
        raise usage(f"{option} {text}: found the year {year}; write one from {FIRST_YEAR} to {LAST_YEAR}")


@dataclass(frozen=True, slots=True)
class Moment:
    """The instant that was meant, and what had to be decided to find it."""

    instant: datetime
    notes: tuple[str, ...] = ()


def moment_of(text: str, zone: ZoneInfo | None, now: datetime, option: str) -> Moment:
    """Read RFC 3339, `HH:MM` (of today) or `YYYY-MM-DD HH:MM` in the zone.

    Args:
        text: what was typed.
        zone: the triggers' zone; None when they have several, and an offset must be written.
        now: says which day is today.
        option: where it was typed.

    Raises:
        Problem: it is none of these.
    """
    found = _WALL.fullmatch(text.strip())
    if found is None:
        return Moment(rfc3339_of(text, option))
    if zone is None:
        raise usage(f"{option} {text}: the triggers are of several time zones; {RFC3339_CURE}")
    day = found["date"] or now.astimezone(zone).date().isoformat()
    try:
        wall = datetime.fromisoformat(f"{day}T{found['time']:0>5}")
    except ValueError:
        raise usage(f"{option}: found {text!r}; write HH:MM, YYYY-MM-DD HH:MM, or {RFC3339_CURE[6:]}") from None
    _check_year(day, option)
    return _on_the_wall(wall.replace(tzinfo=zone), zone)


def _on_the_wall(wall: datetime, zone: ZoneInfo) -> Moment:
    instant = wall.astimezone(UTC)
    time = civil(wall)
    if instant.astimezone(zone).replace(tzinfo=None) != wall.replace(tzinfo=None):
        # PEP 495: a civil time of a gap is read with the offset before it, so the instant lies after the change.
        change = clock_changes(zone, instant - timedelta(days=1, hours=1), instant)[-1]
        begin, end = change.civil
        return Moment(
            change.at,
            (f"{time} does not exist that day: the clocks go from {civil(begin)} to {civil(end)}.",),
        )
    change_here = change_near(zone, instant)
    if change_here is not None and not change_here.forward:
        second = instant + change_here.shift
        return Moment(instant, (f"{time} comes twice that day: this is the first; the second is {clock(second)}.",))
    return Moment(instant)
