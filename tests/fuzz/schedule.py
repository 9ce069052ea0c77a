"""The parsers of carillon.schedule under atheris: whatever the text, only ScheduleError, and in bounded time.

    make fuzz FUZZ_SECONDS=3600

What parses is asked for due times near odd instants. A finding is written to the working directory by libFuzzer, and is
run again with `python -m tests.fuzz.schedule <file>`. Bytecode that counts its own coverage is several times slower, so
that the bound here is wider than the 5 ms that tests/unit/schedule holds to; a slow one is measured again, cold.
"""

import contextlib
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import atheris

with atheris.instrument_imports(include=["carillon.schedule"]):
    from carillon.schedule import (
        DaylightSaving,
        Schedule,
        ScheduleError,
        closed,
        cron,
        exclude_dates,
        exclude_window,
        interval,
        load_zone,
        outside,
        parse_at,
        parse_cron,
        parse_interval,
        zone,
    )

LIMIT = 0.15
"""Seconds of CPU with coverage counted, which makes loops 30 times slower: 5 ms without."""
INSTANTS = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2011, 12, 29, 9, 59, 59, tzinfo=UTC),
    datetime(2026, 3, 28, 23, tzinfo=UTC),
    datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
    datetime(2096, 3, 1, tzinfo=UTC),
    datetime(9999, 12, 31, tzinfo=UTC),
)
ZONES = (None, "Europe/Paris", "America/Santiago", "Australia/Lord_Howe", "Africa/Casablanca")


def warm() -> None:
    """Make the tables of the zones, which are not what is measured."""
    for name in ZONES:
        for rule in DaylightSaving:
            for instant in INSTANTS:
                parse_cron("0 0 29 2 *", time_zone=name, daylight_saving=rule).next_after(instant)


def ask(schedule: Schedule, instant: datetime) -> None:
    """Ask all there is to ask, and see that the answers agree."""
    due = schedule.next_after(instant)
    assert due is None or due > instant
    if due is not None:
        assert schedule.count(instant, due) == 1
        assert schedule.latest_through(due, after=instant) == due
        schedule.anchored(instant).upcoming(instant, 3)


def window(text: str, time_zone: str | None) -> Schedule:
    """Close the text's own windows in an hourly job."""
    shut = closed([exclude_window(text, 3_600, time_zone, "files/clear")])
    return outside(parse_cron("0 * * * *", time_zone=time_zone), shut)


def forget() -> None:
    """Empty the caches of what was parsed."""
    cron._parse.cache_clear()
    interval._parse.cache_clear()
    zone.nearest_names.cache_clear()
    exclude_window.cache_clear()


def seconds_of(action: Callable[[], None]) -> float:
    """CPU time of one call, cold."""
    forget()
    begin = time.process_time()
    action()
    return time.process_time() - begin


def one(data: bytes) -> None:
    """Try one input: five bytes choose what to ask, and the rest is the text."""
    if len(data) < 5:
        return
    kind, rule = data[0] % 9, list(DaylightSaving)[data[1] % 2]
    time_zone = ZONES[data[2] % len(ZONES)]
    instant = INSTANTS[data[3] % len(INSTANTS)] - timedelta(minutes=7 * data[4])
    text = data[5:].decode(errors="surrogateescape")

    def action() -> None:
        with contextlib.suppress(ScheduleError):
            if kind <= 2:
                key = "files/clear" if kind else ""
                ask(parse_cron(text, time_zone=time_zone, daylight_saving=rule, hash_key=key), instant)
            elif kind == 3:
                ask(parse_cron("@every " + text), instant)
            elif kind == 4:
                ask(parse_interval(text), instant)
            elif kind == 5:
                ask(parse_at(text), instant)
            elif kind == 6:
                load_zone(text)
            elif kind == 7:
                exclude_dates([text], load_zone("Europe/Paris"))
            else:
                window(text, time_zone)

    slow = seconds_of(action)
    if slow > LIMIT:
        slow = min(slow, *(seconds_of(action) for _ in range(3)))
        assert slow <= LIMIT, f"{slow:.3f} s of CPU for kind {kind}, {text!r} in {time_zone} at {instant}"


def main() -> None:
    """Run libFuzzer."""
    warm()
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
