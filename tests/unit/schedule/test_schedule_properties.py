"""What holds of every schedule, whatever it is made of; and what holds of the parsers, whatever they are given."""

import contextlib
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.schedule import (
    DaylightSaving,
    Schedule,
    ScheduleError,
    cron,
    exclude_dates,
    exclude_holidays,
    exclude_window,
    load_zone,
    parse_at,
    parse_cron,
    parse_interval,
)
from carillon.schedule.zone import nearest_names
from tests.unit.schedule import crons

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
instants = st.datetimes(datetime(1969, 1, 1), datetime(2110, 1, 1)).map(lambda naive: naive.replace(tzinfo=UTC))  # noqa: DTZ001


def draw(seed: int) -> tuple[Schedule, datetime]:
    """Draw a schedule of any kind, and an instant that matters to it."""
    rng = random.Random(seed)
    zone = rng.choice(crons.ZONES)
    instant = datetime.fromtimestamp(crons.instant(rng, zone), UTC) + timedelta(
        microseconds=rng.choice([0, 0, 999_999])
    )
    kind = rng.random()
    if kind < 0.06:
        start = (instant + timedelta(seconds=rng.randint(-99_999, 99_999))).isoformat(timespec="seconds")
        period = rng.choice(["P1D", "P1M", "PT7M", "P1Y", "PT1S", "P1M1DT1S"])
        return parse_interval(f"{rng.choice(['R', 'R7'])}/{start}/{period}"), instant
    if kind < 0.12:
        return parse_cron(f"@every {rng.choice(['1s', '7m', '36h'])}").anchored(instant - timedelta(hours=5)), instant
    expression = crons.expression(rng)
    if kind < 0.3:
        days = rng.choice(["L * *", "* * FRIL", "L-3 * MON#1", "* 2 3#5", "1 * 7L", "* * 5-7"])
        expression = f"{crons.cron_field(rng, 0, 59, 0.2)} {rng.choice(['2', '0-3', '*', '23'])} {days}"
    rule = rng.choice(list(DaylightSaving))
    try:
        return parse_cron(expression, time_zone=zone, daylight_saving=rule, hash_key="n/a"), instant
    except ScheduleError:
        return parse_cron("0 2 29 2 *", time_zone=zone, daylight_saving=rule), instant


@given(seed=st.integers(0, 2**48))
@settings(max_examples=800, deadline=None)
def test_counting_and_listing_agree_with_walking(seed: int) -> None:
    schedule, start = draw(seed)
    walked, instant = [], start
    for _ in range(60):
        due = schedule.next_after(instant)
        if due is None:
            assert not schedule.endless
            break
        assert due > instant
        assert due.tzinfo is UTC
        assert due.microsecond == 0
        walked.append(due)
        instant = due
    assert schedule.upcoming(start, 60) == walked
    assert schedule.upcoming(start, 0) == []
    rng = random.Random(seed)
    if not walked:
        return
    for place in {0, len(walked) - 1, rng.randrange(len(walked))}:
        through = walked[place]
        assert schedule.count(start, through) == place + 1
        assert schedule.count(start, through - timedelta(microseconds=1)) == place
        assert schedule.latest_through(through, after=start) == through
        assert schedule.newest(start, through, 4) == walked[: place + 1][-4:]
        before = walked[place - 1] if place else None
        assert schedule.latest_through(through - timedelta(microseconds=1), after=start) == before
    assert schedule.count(instant, start) == 0
    assert schedule.newest(instant, start, 3) == []
    assert schedule.newest(start, instant, 0) == []


@given(seed=st.integers(0, 2**48), years=st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_counting_is_additive_over_years(seed: int, years: int) -> None:
    """Split at a due time: from elsewhere, a walk of WallClock may find another way."""
    schedule, start = draw(seed)
    end = start + timedelta(days=366 * years)
    middle = schedule.latest_through(start + (end - start) / 2, after=start)
    if middle is not None:
        rest = schedule.count(middle, end)
        assert schedule.count(start, end) == schedule.count(start, middle) + rest
        assert schedule.newest(middle, end, 9) == schedule.newest(start, end, min(rest, 9))


@pytest.mark.parametrize("instant", [datetime.min, datetime(1, 1, 3, 5), datetime(9999, 12, 29), datetime.max])  # noqa: DTZ001, DTZ901
@pytest.mark.parametrize("zone", ["UTC", "Africa/Cairo", "America/Santiago", "Pacific/Kiritimati", "Pacific/Niue"])
def test_the_ends_of_the_calendar_are_no_trouble(instant: datetime, zone: str) -> None:
    asked = instant.replace(tzinfo=UTC)
    for rule in DaylightSaving:
        for expression in ("* * * * *", "0 3 * * *", "5 5 * * *", "30 2 29 2 *", "0 0 * * FRIL"):
            schedule = parse_cron(expression, time_zone=zone, daylight_saving=rule)
            due = schedule.next_after(asked)
            assert due is None or due > asked
            assert due is None or (schedule.count(asked, due), schedule.newest(asked, due, 3)) == (1, [due])
            assert len(schedule.upcoming(asked, 3)) <= 3
            nearby = asked + timedelta(days=2) if asked.year == 1 else asked - timedelta(days=2)
            early, late = sorted((asked, nearby))
            assert schedule.count(early, late) >= 0
            assert len(schedule.newest(early, late, 3)) <= 3


ALPHABET = "0123456789*/-,?LHW#@.+() TZPRYMWDSMONTUEFRIJANevery:=xé\0\n"
PARSERS: list[Callable[[str], object]] = [
    parse_cron,
    lambda text: parse_cron(text, hash_key="n/a", time_zone="Europe/Paris"),
    lambda text: parse_cron("@every " + text),
    lambda text: parse_cron("* * * * *", time_zone=text),
    parse_interval,
    lambda text: parse_interval("R/2026-01-01T00:00:00Z/" + text),
    lambda text: parse_interval("R3/" + text + "/2026-01-01T00:00:00Z"),
    parse_at,
    load_zone,
    lambda text: exclude_dates([text], ZoneInfo("Europe/Paris")),
    lambda text: exclude_window(text, 3_600, "Europe/Paris", "n/a"),
    lambda text: exclude_window("0 8 * * *", 3_600, text, "n/a"),
    lambda text: exclude_holidays(text, None, ZoneInfo("Europe/Paris")),
    lambda text: exclude_holidays("DE", text, ZoneInfo("Europe/Paris")),
]


@given(text=st.text(ALPHABET, max_size=40) | st.text(max_size=40) | st.text(ALPHABET, min_size=900, max_size=1_200))
@settings(max_examples=500, deadline=None)
def test_parsers_raise_nothing_but_schedule_error(text: str) -> None:
    for parse in PARSERS:
        message = ""
        try:
            parsed = parse(text)
        except ScheduleError as refused:
            message = str(refused)
            parsed = None
        assert len(message) < 500
        assert message or parsed is not None
        if hasattr(parsed, "next_after"):
            parsed.next_after(EPOCH + timedelta(days=20_000))


def seconds_of(action: Callable[[], object], turns: int = 5) -> float:
    """CPU time of the quickest of a few turns: what others do on this machine is not measured."""
    quickest = float("inf")
    for _ in range(turns):
        begin = time.process_time()
        action()
        quickest = min(quickest, time.process_time() - begin)
    return quickest


@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris", "America/Santiago", "Africa/Casablanca"])
@pytest.mark.parametrize("expression", ["* * * * *", "* 0-23 * * *", "* * * * * *", "*/5 2 * * MON-FRI", "0 0 29 2 *"])
@pytest.mark.parametrize("rule", list(DaylightSaving))
def test_a_year_is_counted_within_5_ms(expression: str, zone: str, rule: DaylightSaving) -> None:
    schedule = parse_cron(expression, time_zone=zone, daylight_saving=rule)
    start = datetime(2026, 7, 1, tzinfo=UTC)
    assert seconds_of(lambda: schedule.count(start, start + timedelta(days=365))) < 0.005


@pytest.mark.parametrize(
    "text",
    [
        "1," * 490 + "1 * * * *",
        "*/1," * 200 + "1 * * * *",
        "0-59/" + "9" * 900 + " * * * *",
        "9" * 900 + " * * * *",
        "* * * * " + "FRI#5," * 160,
        "@every " + "1h" * 490,
        "@every " + "1" * 900,
        "0 0 31 2,4,6,9,11 *",
        "* " * 499,
        "x" * 100_000,
    ],
)
def test_no_cron_takes_5_ms_to_refuse_or_answer(text: str) -> None:
    def refuse_or_answer() -> None:
        cron._parse.cache_clear()
        with contextlib.suppress(ScheduleError):
            parse_cron(text).next_after(EPOCH)

    assert seconds_of(refuse_or_answer) < 0.005


RARE = ["0 0 * 2 MON#5", "* * * * 2 0#5", "59 59 23 29 2 ?", "* * L-28 2 *", "30 2 29 2 *"]


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/Santiago", "Africa/Cairo", "Australia/Lord_Howe"])
@pytest.mark.parametrize("expression", RARE)
def test_no_day_is_so_rare_that_it_takes_5_ms_to_find(expression: str, zone: str) -> None:
    """A fifth Sunday in February comes every 28 years, or 40. The tables of the zone are there already."""

    def find() -> None:
        cron._parse.cache_clear()
        for rule in DaylightSaving:
            schedule = parse_cron(expression, time_zone=zone, daylight_saving=rule)
            assert schedule.next_after(datetime(2096, 2, 29, 23, 59, 59, tzinfo=UTC)) is not None

    assert seconds_of(find) < 0.01


@given(text=st.text(ALPHABET, max_size=64) | st.text("aeiourstnl/_EAP", max_size=64))
@settings(max_examples=100, deadline=None)
def test_no_time_zone_takes_5_ms_to_refuse(text: str) -> None:
    def refuse() -> None:
        nearest_names.cache_clear()
        with contextlib.suppress(ScheduleError):
            load_zone(text)

    assert seconds_of(refuse, turns=3) < 0.005
