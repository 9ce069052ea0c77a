"""What exclusions leave of a schedule, against an oracle that walks all due times and asks each exclusion by itself."""

import random
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.schedule import (
    DaylightSaving,
    Piece,
    Schedule,
    bounded,
    closed,
    closedtime,
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
from tests.unit.schedule import crons

ZONES = (
    "UTC",
    "Africa/Cairo",
    "America/New_York",
    "America/Santiago",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/London",
    "Europe/Paris",
    "Pacific/Chatham",
)
SOUND = ("UTC", "America/New_York", "Europe/London", "Europe/Paris", "Pacific/Chatham")
"""Zones that changed their clocks by an hour, and not at midnight: elsewhere openings depend on where a walk began."""
Test = Callable[[datetime], bool]


@lru_cache
def national(country: str) -> holidays.HolidayBase:
    return holidays.country_holidays(country, years=range(1969, 2040))


def shown(instant: datetime, zone: str) -> date:
    return instant.astimezone(load_zone(zone)).date()


def holiday_test(country: str, zone: str) -> Test:
    return lambda instant: shown(instant, zone) in national(country)


def date_test(day: date, zone: str) -> Test:
    return lambda instant: shown(instant, zone) == day


def window_test(cron: str, duration: int, zone: str) -> Test:
    """Walk the openings of the last while."""
    both = [parse_cron(cron, time_zone=zone, daylight_saving=saving) for saving in DaylightSaving]
    lasting = timedelta(seconds=duration)

    def test(instant: datetime) -> bool:
        openings = [starts.next_after(instant - lasting) for starts in both]
        return any(opening is not None and opening <= instant for opening in openings)

    return test


def draw_pieces(rng: random.Random, near: datetime) -> tuple[list[Piece], list[Test]]:
    """Draw exclusions, each with a test of its own."""
    pieces: list[Piece] = []
    tests: list[Test] = []
    for _ in range(rng.randint(1, 4)):
        zone, kind = rng.choice(ZONES), rng.random()
        if kind < 0.3:
            country = rng.choice(["FR", "US", "CN", "SA"])
            pieces.append(exclude_holidays(country, None, ZoneInfo(zone)))
            tests.append(holiday_test(country, zone))
        elif kind < 0.6:
            day = (near + timedelta(days=rng.randint(-2, 9))).date()
            pieces.append(exclude_dates([day.isoformat()], ZoneInfo(zone)))
            tests.append(date_test(day, zone))
        else:
            zone = rng.choice(SOUND)
            cron = rng.choice(["0 8 * * MON-FRI", "30 * * * *", "0 22 * * *", "0 0 * * *", "*/7 3 * * *", "0 0 1 * *"])
            duration = rng.choice([60, 1_200, 1_800, 3_600, 5_400, 36_000, 86_400, 100_000, 3_000_000])
            if cron.startswith("*/7") and duration < 1_200:
                duration = 420
            pieces.append(exclude_window(cron, duration, zone, ""))
            tests.append(window_test(cron, duration, zone))
    return pieces, tests


def draw_schedule(rng: random.Random, near: datetime) -> Schedule:
    kind, zone = rng.random(), rng.choice(ZONES)
    if kind < 0.15:
        return parse_cron(f"@every {rng.choice(['7m', '36h', '50s', '1h'])}")
    if kind < 0.25:
        start = (near - timedelta(hours=rng.randint(0, 99))).isoformat(timespec="seconds")
        return parse_interval(f"{rng.choice(['R', 'R20'])}/{start}/{rng.choice(['PT1H', 'P1D', 'PT13M'])}")
    if kind < 0.3:
        return parse_at((near + timedelta(hours=rng.randint(0, 30))).isoformat(timespec="seconds"))
    fields = f"{crons.cron_field(rng, 0, 59, 0.2)} {crons.cron_field(rng, 0, 23, 0.4)} * * *"
    return parse_cron(fields, time_zone=zone, daylight_saving=rng.choice(list(DaylightSaving)))


@given(seed=st.integers(0, 2**48))
@settings(max_examples=200, deadline=None)
def test_due_times_are_sorted_as_each_exclusion_says(seed: int) -> None:
    rng = random.Random(seed)
    start = datetime.fromtimestamp(crons.instant(rng, rng.choice(ZONES)), UTC)
    if rng.random() < 0.2:
        # Near the border of a block, in which exclusions are worked out.
        border = (int(start.timestamp()) >> 25) << 25
        start = datetime.fromtimestamp(border + rng.randint(-200_000, 10_000), UTC)
    schedule = draw_schedule(rng, start)
    pieces, tests = draw_pieces(rng, start)
    if rng.random() < 0.3:
        bounds = start + timedelta(hours=rng.randint(0, 20)), start + timedelta(days=rng.randint(1, 9))
        schedule = bounded(schedule, start_at=bounds[0], end_at=bounds[1])
    walked = schedule.upcoming(start, 150)
    if not walked:
        return
    shut = closed(pieces)
    taken = [due for due in walked if any(test(due) for test in tests)]
    left = [due for due in walked if due not in set(taken)]
    end = walked[-1]
    assert [due for due in walked if shut.at(due)] == taken
    for sieve, expected in ((outside(schedule, shut), left), (inside(schedule, shut), taken)):
        assert sieve.count(start, end) == len(expected)
        assert sieve.newest(start, end, 9_999) == expected
        assert sieve.newest(start, end, 3) == expected[-3:]
        assert sieve.latest_through(end, after=start) == (expected[-1] if expected else None)
        assert sieve.upcoming(start, len(expected)) == expected
        assert sieve.next_after(start) == expected[0] if expected else True
    place = rng.choice(walked)
    later = [due for due in left if due > place]
    if schedule.anchored(place) == schedule:
        assert outside(schedule, shut).upcoming(place, len(later)) == later


@given(seed=st.integers(0, 2**48))
@settings(max_examples=200, deadline=None)
def test_spans_are_sorted_and_hold_exactly_what_is_closed(seed: int) -> None:
    rng = random.Random(seed)
    start = datetime.fromtimestamp(crons.instant(rng, rng.choice(ZONES)), UTC)
    pieces, tests = draw_pieces(rng, start)
    shut = closed(pieces)
    end = start + timedelta(days=rng.randint(0, 9), seconds=1)
    spans = shut.spans(start, end)
    assert spans == sorted(spans)
    assert all(
        span.start < span.end and span.start <= end and span.end > start + timedelta(seconds=1) for span in spans
    )
    moments = [start + timedelta(seconds=1), end, *(start + (end - start) * rng.random() for _ in range(20))]
    for span in spans:
        moments += [span.start - timedelta(seconds=1), span.start, span.end - timedelta(seconds=1), span.end]
    for instant in (instant.replace(microsecond=0) for instant in moments):
        shut_by = [span for span in spans if span.start <= instant < span.end]
        expected = any(test(instant) for test in tests)
        assert (shut.at(instant) is not None) == expected
        if start < instant <= end:
            assert bool(shut_by) == expected
            assert shut.at(instant) in shut_by or not expected


def test_every_goes_on_counting_through_closed_times() -> None:
    start = datetime(2026, 12, 23, 20, tzinfo=UTC)
    left = outside(parse_cron("@every 7h"), closed([exclude_dates(["2026-12-24"], ZoneInfo("UTC"))]))
    expected = [start + timedelta(hours=hours) for hours in (28, 35)]
    assert left.upcoming(start, 2) == expected
    assert left.anchored(start).upcoming(start + timedelta(hours=1), 2) == expected


def test_what_is_remembered_holds_for_each_anchor_of_its_own() -> None:
    rng, begin = random.Random(1), datetime(2026, 3, 10, tzinfo=UTC)
    shut = closed([exclude_window("0 * * * *", 1300, None, "k")])
    every = parse_cron("@every 50m")
    shared = outside(every, shut)
    for _ in range(100):
        anchor = begin + timedelta(minutes=rng.randrange(120))
        after = begin + timedelta(hours=rng.randrange(3, 6))
        through = after + timedelta(hours=rng.randrange(1, 60))
        due = every.anchored(anchor).newest(after, through, 1_000)
        assert shared.anchored(anchor).count(after, through) == sum(shut.at(moment) is None for moment in due)


def test_a_schedule_that_is_always_closed_is_given_up_in_bounded_time() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for cron, zone in (("* * * * *", "Europe/Paris"), ("0 0 * * *", None)):
        always = closed([exclude_window(cron, 90_000, zone, "")])
        for schedule in ("* * * * *", "@every 1s", "0 0 29 2 *"):
            left = outside(parse_cron(schedule, time_zone=zone), always)
            assert left.next_after(start) is None
            assert left.upcoming(start, 5) == []
            assert seconds_of(partial(left.next_after, start)) < 0.005
    never = inside(parse_cron("0 20 * * *"), closed([exclude_window("0 8 * * *", 3_600, None, "")]))
    assert never.next_after(start) is None
    assert seconds_of(lambda: never.next_after(start)) < 0.05


HALF_HOURS = [exclude_window(f"0,30 {hours} * * *", 1, None, "") for hours in ("0-7", "8-15", "16-23")]
"""48 openings a day, of a second each: all due times of every half hour are closed, and nearly all the day is open."""


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("0,30 * * * *", None),
        ("0,30 1-22 * * *", "Asia/Kolkata"),
        ("30 0 0-23 * * *", "Asia/Tokyo"),
        ("30 * * * *", "Europe/Paris"),
        ("@every 30m", None),
        ("R/2020-01-01T00:00:00Z/PT90M", None),
    ],
)
def test_due_times_that_fall_into_moments_are_searched_by_the_day(text: str, zone: str | None) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    schedule = parse_interval(text) if text.startswith("R") else parse_cron(text, time_zone=zone)
    schedule, shut = schedule.anchored(start), closed(HALF_HOURS)
    left, taken = outside(schedule, shut), inside(schedule, shut)
    end = start + timedelta(days=365)
    offset = text.startswith("30 0")  # half a minute after the moments: never closed
    empty, full = (taken, left) if offset else (left, taken)
    assert empty.next_after(start) is None
    assert full.next_after(start) == schedule.next_after(start)
    assert empty.count(start, end) == 0
    assert full.count(start, end) == schedule.count(start, end) > 5_000
    assert empty.newest(start, end, 3) == []
    assert seconds_of(partial(empty.next_after, start + timedelta(days=3))) < 0.002
    assert seconds_of(partial(full.count, start, end)) < 0.005


def test_a_gap_years_ahead_is_found_to_the_second() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    others = [exclude_window(f"0,30 {hours} * 1-11 *", 1, None, "") for hours in ("0-7", "8-15", "16-23")]
    rest = [exclude_window("0 0 1 12 *", 31 * 86_400 - 1_800, None, "")]
    left = outside(parse_cron("0,30 * * * *"), closed([*others, *rest]))
    assert left.upcoming(start, 2) == [datetime(year, 12, 31, 23, 30, tzinfo=UTC) for year in (2026, 2027)]
    far = outside(parse_cron("30 23 31 12 *"), closed([*others, *rest]))
    assert far.next_after(start) == datetime(2026, 12, 31, 23, 30, tzinfo=UTC)


def test_what_is_kept_is_bounded_and_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closedtime, "MOST_KEPT", 1_000)
    first = closed([*HALF_HOURS, exclude_dates(["2026-02-03"], ZoneInfo("UTC"))])
    span = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
    before = first.joined(*span)
    for second in range(10):
        windows = [exclude_window(f"{second} 0,{minute} 0-11 */3 * *", 5, None, "") for minute in (20, 40)]
        closed(windows).joined(*span)
        assert closedtime.KEPT.spans <= 1_000
    assert not first._days
    assert first.joined(*span) == before
    assert first._days


def test_what_lies_years_ahead_and_open_is_found() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    far = parse_at("2060-01-01T00:00:00Z")
    shut = closed([exclude_dates(["2026-12-24"], ZoneInfo("UTC"))])
    assert outside(far, shut).next_after(start) == datetime(2060, 1, 1, tzinfo=UTC)
    assert inside(far, shut).next_after(start) is None
    assert outside(far, closed([exclude_dates(["2060-01-01"], ZoneInfo("UTC"))])).next_after(start) is None


def seconds_of(action: Callable[[], object], turns: int = 5) -> float:
    """CPU time of the quickest of a few turns."""
    quickest = float("inf")
    for _ in range(turns):
        begin = time.process_time()
        action()
        quickest = min(quickest, time.process_time() - begin)
    return quickest


@pytest.mark.parametrize("rule", list(DaylightSaving))
@pytest.mark.parametrize("expression", ["* * * * *", "* 0-23 * * *", "*/5 2 * * MON-FRI"])
def test_a_year_with_exclusions_is_counted_within_5_ms(rule: DaylightSaving, expression: str) -> None:
    schedule = parse_cron(expression, time_zone="Europe/Paris", daylight_saving=rule)
    pieces = [exclude_holidays("FR", None, load_zone("Europe/Paris"))]
    pieces.append(exclude_window("0 8 * * MON-FRI", 36_000, "Europe/Paris", ""))
    start = datetime(2026, 7, 1, tzinfo=UTC)
    end = start + timedelta(days=365)
    for sieve in (outside(schedule, closed(pieces)), inside(schedule, closed(pieces))):
        assert seconds_of(partial(sieve.count, start, end)) < 0.005
        assert seconds_of(partial(sieve.latest_through, end, after=start)) < 0.005
