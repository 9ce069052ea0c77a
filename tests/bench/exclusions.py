"""What exclusions cost, as `make bench-schedule` prints it: what comes once, and the worst definition that is admitted.

All at once: 16 triggers of all kinds, with jitter, in sixteen zones, and 48 window openings a day in as many; four
countries, 8 Calendars of 365 dates each. Moments: every half hour a window of one second, on which all due times fall,
so that there is no next one in five years.
"""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from carillon.engine.decide import decide
from carillon.engine.model import Calendar, Definition
from carillon.engine.read import read_calendar, read_definition
from carillon.schedule import closed, exclude_holidays, exclude_window, load_zone, outside, parse_cron
from tests.unit.engine.builders import NAMESPACE, raw_definition, snapshot, status_after

NOW = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
YEAR = timedelta(days=365)
ZONES = (
    *("Europe/Paris", "America/New_York", "Africa/Casablanca", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Tokyo"),
    *("America/Santiago", "Pacific/Chatham", "Africa/Cairo", "Europe/London", "America/St_Johns", "Asia/Tehran"),
    *("America/Sao_Paulo", "Pacific/Auckland", "America/Havana", "Europe/Berlin"),
)


def once(action: Callable[[], object]) -> float:
    """CPU seconds of one time."""
    gc.collect()
    begin = time.process_time()
    action()
    return time.process_time() - begin


def first_uses() -> Iterator[tuple[str, float]]:
    """Measure what comes once in a process, so before anything else."""
    paris = load_zone("Europe/Paris")
    schedule = parse_cron("* * * * *", time_zone="Europe/Paris")
    end = NOW + YEAR
    schedule.count(NOW - YEAR, end)
    yield "the first country, library and all", once(lambda: closed([exclude_holidays("FR", None, paris)]).at(NOW))
    yield "a further country", once(lambda: closed([exclude_holidays("DE", None, paris)]).at(NOW))
    for title, expression in (("a daily window, a year", "0 8 * * *"), ("an hourly window, a year", "0 * * * *")):
        shut = closed([exclude_window(expression, 60, "Europe/Paris", "")])
        yield title, once(lambda shut=shut: outside(schedule, shut).count(NOW, end))  # type: ignore[misc]
    office = closed([exclude_window("0 8 * * MON-FRI", 36_000, "Europe/Paris", "")])
    seconds = outside(parse_cron("* * * * * *", time_zone="Europe/Paris"), office)
    yield "a year of missed seconds, first time", once(lambda: seconds.count(NOW - YEAR, NOW))
    yield "a year of missed seconds, then", once(lambda: seconds.count(NOW - YEAR, NOW))


def _calendar(number: int) -> Calendar:
    days = [date(2026, 1, 1) + timedelta(days=(step * 7 + number * 3) % 1_800) for step in range(365)]
    metadata = {"name": f"c{number}", "namespace": NAMESPACE, "uid": f"u{number}", "resourceVersion": "5"}
    spec = {"dates": [day.isoformat() for day in days]}
    return read_calendar({"metadata": {**metadata, "generation": 1}, "spec": spec})


def _varied() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    windows = [
        {
            "cron": f"{7 * n % 60} {n},{(n + 8) % 24},{(n + 13) % 24} * * {'MON-FRI' if n % 2 else '*'}",
            "durationSeconds": 600 + n * 60,
            "timeZone": zone,
        }
        for n, zone in enumerate(ZONES)
    ]
    kinds: list[dict[str, Any]] = []
    for n, zone in enumerate(ZONES):
        of_each: tuple[dict[str, Any], ...] = (
            {"cron": f"*/{5 + n} * {n}-23 * * *", "timeZone": zone, "jitterSeconds": 3},
            {"cron": f"{n} */5 * * *", "timeZone": zone, "daylightSaving": "WallClock", "jitterSeconds": 300},
            {"cron": f"@every {601 + n}s"},
            {"interval": f"R/2025-01-01T00:00:{n:02}Z/PT{1_000 + n}S"},
        )
        kinds.append(of_each[n % 4])
    holidays = [{"country": country} for country in ("FR", "US", "DE", "GB")]
    calendars = [f"c{number}" for number in range(8)]
    return kinds, {"windows": windows, "holidays": holidays, "calendars": calendars}


def _moments(saving: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    windows = [{"cron": f"0,30 {hours} * * *", "durationSeconds": 1} for hours in ("0-7", "8-15", "16-23")]
    crons = [f"0 {'0,30' if n % 2 else '0'} {n}-23 * * *" for n in range(16)]
    return [{"cron": cron, "timeZone": "Europe/Paris", "daylightSaving": saving} for cron in crons], {
        "windows": windows
    }


def decisions() -> Iterator[tuple[str, float]]:
    """Measure a decision about each: new, after a year's downtime, at rest; once what comes once has come."""
    calendars = {f"c{number}": _calendar(number) for number in range(8)}
    for title, (triggers, exclude) in (
        ("all at once", _varied()),
        ("moments", _moments("RunOnce")),
        ("moments, WallClock", _moments("WallClock")),
    ):
        raw = raw_definition(exclude=exclude, catchUp={"policy": "All", "limit": 100})
        raw["spec"]["triggers"] = [{"name": f"t{n}", **trigger} for n, trigger in enumerate(triggers)]
        for warm in (False, True):
            definition: list[Definition] = []
            reading = once(lambda raw=raw: definition.append(read_definition(raw, calendars)))  # type: ignore[misc]  # noqa: B023
            (read,) = definition
            assert not read.invalid, read.invalid
            new = once(lambda read=read: decide(snapshot(read), NOW))  # type: ignore[misc]
            status = status_after(decide(snapshot(read), NOW), read)
            old = NOW - YEAR
            marks = tuple(m.model_copy(update={"since": old, "handled_through": old}) for m in status.triggers)
            down = replace(read, status=status.model_copy(update={"triggers": marks}))
            rest = replace(read, status=status)
            if not warm:
                yield f"{title}: first decision", new
                decide(snapshot(down), NOW)
                continue
            yield f"{title}: read", reading
            yield f"{title}: new", new
            yield f"{title}: a year missed", once(lambda down=down: decide(snapshot(down), NOW))  # type: ignore[misc]
            later = NOW + timedelta(minutes=7)
            yield f"{title}: at rest", once(lambda rest=rest, later=later: decide(snapshot(rest), later))  # type: ignore[misc]
