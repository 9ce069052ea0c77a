"""startAt and endAt: due times in between only, both ends included."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.schedule import DaylightSaving, Schedule, ScheduleError, bounded, parse_at, parse_cron, parse_interval
from tests.unit.schedule import crons

SECOND = timedelta(seconds=1)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


HOURLY = parse_cron("0 * * * *")
NINE, NOON = moment("2026-03-01T09:00Z"), moment("2026-03-01T12:00Z")


def test_both_ends_are_due() -> None:
    schedule = bounded(HOURLY, start_at=NINE, end_at=NOON)
    everything = [NINE + timedelta(hours=hour) for hour in range(4)]
    assert schedule.upcoming(moment("2020-01-01T00:00Z"), 9) == everything
    assert schedule.newest(moment("2020-01-01T00:00Z"), moment("2030-01-01T00:00Z"), 9) == everything
    assert schedule.count(NINE - SECOND, NOON) == 4
    assert schedule.count(NINE, NOON - SECOND) == 2
    assert schedule.latest_through(moment("2030-01-01T00:00Z"), after=NINE) == NOON
    assert schedule.next_after(NOON) is None


def test_a_fraction_of_a_second_is_not_stretched() -> None:
    half = timedelta(seconds=0.5)
    schedule = bounded(HOURLY, start_at=NINE + half, end_at=NOON + half)
    assert schedule.upcoming(moment("2020-01-01T00:00Z"), 9) == [NINE + timedelta(hours=hour) for hour in (1, 2, 3)]


@pytest.mark.parametrize(
    ("schedule", "start", "end", "endless"),
    [
        (HOURLY, NINE, None, True),
        (HOURLY, None, NOON, False),
        (HOURLY, NINE, NOON, False),
        (parse_at("2026-03-01T10:00:00Z"), NINE, None, False),
        (parse_interval("R3/2026-03-01T10:00:00Z/PT1H"), NINE, None, False),
    ],
)
def test_it_is_endless_without_an_end(
    schedule: Schedule, start: datetime | None, end: datetime | None, endless: bool
) -> None:
    assert bounded(schedule, start_at=start, end_at=end).endless is endless


def test_without_bounds_it_is_the_schedule() -> None:
    assert bounded(HOURLY, start_at=None, end_at=None) is HOURLY


def test_equal_ones_are_equal_and_hash_alike() -> None:
    first, second = (bounded(HOURLY, start_at=NINE, end_at=NOON) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)


def test_every_counts_from_the_start_or_from_what_it_is_anchored_to_if_later() -> None:
    schedule = bounded(parse_cron("@every 7m"), start_at=NINE, end_at=NOON)
    seven = timedelta(minutes=7)
    early = schedule.anchored(NINE - timedelta(days=1))
    assert early.upcoming(NINE - timedelta(days=2), 2) == [NINE + seven, NINE + 2 * seven]
    assert schedule.upcoming(NINE - timedelta(days=2), 2) == [NINE + seven, NINE + 2 * seven]
    late = schedule.anchored(NINE + timedelta(minutes=5))
    assert late.next_after(NINE) == NINE + timedelta(minutes=12)
    assert late.anchored(NOON) == late
    assert late.count(NINE, NOON + timedelta(days=1)) == 25


def test_an_end_before_the_start_is_refused_by_both_names() -> None:
    with pytest.raises(ScheduleError, match=r"endAt 2026-03-01T09:00:00\+00:00 before startAt 2026-03-01T12:00:00"):
        bounded(HOURLY, start_at=NOON, end_at=NINE)
    assert bounded(HOURLY, start_at=NOON, end_at=NOON).upcoming(NINE, 5) == [NOON]


@given(seed=st.integers(0, 2**48))
@settings(max_examples=150, deadline=None)
def test_it_is_what_a_walk_finds_in_between(seed: int) -> None:
    rng = random.Random(seed)
    zone = rng.choice([zone for zone in crons.ZONES if zone not in crons.SKIPPING])
    expression = f"{crons.cron_field(rng, 0, 59, 0)} {rng.choice(['*', '0-3', '2', '*/5'])} * * *"
    schedule = parse_cron(expression, time_zone=zone, daylight_saving=rng.choice(list(DaylightSaving)))
    start = datetime.fromtimestamp(crons.instant(rng, zone), UTC)
    end = start + timedelta(hours=rng.randint(0, 50))
    cut = bounded(schedule, start_at=start, end_at=end)
    asked = start + timedelta(hours=rng.randint(-50, 50))
    expected = []
    due = schedule.next_after(max(asked, start - SECOND))
    while due is not None and due <= end:
        expected.append(due)
        due = schedule.next_after(due)
    assert cut.upcoming(asked, len(expected) + 1) == expected
    assert cut.count(asked, end + timedelta(days=9)) == len(expected)
    assert cut.newest(asked, end + timedelta(days=9), 5) == expected[-5:]
