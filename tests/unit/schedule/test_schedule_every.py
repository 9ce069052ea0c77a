"""@every: a delay, counted from where one asks, or from where it was anchored."""

from datetime import UTC, datetime, timedelta

import pytest

from carillon.schedule import DaylightSaving, parse_cron

START = datetime(2026, 7, 28, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("90s", 90),
        ("1h30m", 5_400),
        ("+5m", 300),
        ("1.5h", 5_400),
        ("1.9s", 1),
        (".5m", 30),
        ("5.m", 300),
        ("10ms", 1),
        ("1500ms", 1),
        ("2500000us", 2),
        ("2500000µs", 2),
        ("3000000000ns", 3),
        ("1h1h", 7_200),
        ("0h1s", 1),
        ("2562047h", 2_562_047 * 3_600),
    ],
)
def test_durations(duration: str, seconds: int) -> None:
    assert parse_cron(f"@every {duration}").next_after(START) == START + timedelta(seconds=seconds)


def test_it_counts_from_after() -> None:
    schedule = parse_cron("@every 1h")
    end = START + timedelta(hours=5, minutes=59)
    assert schedule.next_after(START + timedelta(minutes=7)) == START + timedelta(hours=1, minutes=7)
    assert schedule.count(START, end) == 5
    assert schedule.latest_through(end, after=START) == START + timedelta(hours=5)
    assert schedule.newest(START, end, 2) == [START + timedelta(hours=4), START + timedelta(hours=5)]
    assert schedule.upcoming(START, 2) == [START + timedelta(hours=1), START + timedelta(hours=2)]
    assert schedule.count(START, START) == 0
    assert schedule.count(end, START) == 0
    assert schedule.latest_through(START + timedelta(minutes=59), after=START) is None


def test_anchored_it_has_due_times_of_its_own() -> None:
    schedule = parse_cron("@every 1h").anchored(START)
    assert schedule.next_after(START - timedelta(days=3)) == START + timedelta(hours=1)
    assert schedule.next_after(START) == START + timedelta(hours=1)
    assert schedule.next_after(START + timedelta(minutes=90)) == START + timedelta(hours=2)
    assert schedule.count(START - timedelta(days=3), START + timedelta(hours=3)) == 3
    assert schedule.count(START + timedelta(minutes=30), START + timedelta(hours=3)) == 3
    assert schedule.newest(START + timedelta(minutes=90), START + timedelta(hours=9), 2) == [
        START + timedelta(hours=8),
        START + timedelta(hours=9),
    ]
    assert schedule.latest_through(START, after=START - timedelta(days=1)) is None
    assert schedule.endless
    assert schedule.anchored(START + timedelta(days=9)) is schedule


def test_clocks_do_not_matter() -> None:
    plain = parse_cron("@every 7h")
    for rule in DaylightSaving:
        assert parse_cron("@every 7h", time_zone="Europe/Paris", daylight_saving=rule) == plain
