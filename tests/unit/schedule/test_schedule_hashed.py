"""`H`: chosen by the name, stable for ever."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from carillon.schedule import ScheduleError, parse_cron

START = datetime(2026, 7, 1, tzinfo=UTC)


def first(expression: str, key: str) -> datetime:
    due = parse_cron(expression, hash_key=key).next_after(START)
    assert due is not None
    return due


def test_the_choice_is_the_same_in_every_version() -> None:
    """An upgrade that moves everybody's nightly job would be noticed; so is a change of these."""
    assert f"{first('H H * * *', 'files/clear-recycle-bin'):%H:%M}" == "10:11"
    assert f"{first('H H(0-5) H * *', 'files/dump'):%d %H:%M}" == "12 04:18"


def test_names_differ_and_spread() -> None:
    minutes = Counter(first("H * * * *", f"team/job-{number}").minute for number in range(1_200))
    assert len(minutes) == 60
    assert max(minutes.values()) < 45


def test_fields_differ() -> None:
    same = sum(first("H H * * *", f"n/{n}").minute % 24 == first("H H * * *", f"n/{n}").hour for n in range(240))
    assert same < 40


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("0 H(2-4) * * *", {2, 3, 4}),
        ("0 H(20-23),H(0-1) * * *", {20, 21, 22, 23, 0, 1}),
    ],
)
def test_a_range_bounds_the_choice(expression: str, allowed: set[int]) -> None:
    chosen = set()
    for number in range(200):
        chosen |= {due.hour for due in parse_cron(expression, hash_key=f"n/{number}").upcoming(START, 2)}
    assert chosen == allowed


def test_a_step_begins_where_the_name_says() -> None:
    for number in range(60):
        quarters = [due.minute for due in parse_cron("H/15 * * * *", hash_key=f"n/{number}").upcoming(START, 4)]
        assert sorted(quarters) == [min(quarters) + 15 * turn for turn in range(4)]
        ranged = [due.minute for due in parse_cron("H(30-40)/4 * * * *", hash_key=f"n/{number}").upcoming(START, 2)]
        assert 30 <= ranged[0] <= 33
        assert ranged[1] == ranged[0] + 4
        assert 30 <= first("H(30-40)/50 * * * *", f"n/{number}").minute <= 40


def test_a_day_of_the_month_comes_every_month() -> None:
    for number in range(120):
        schedule = parse_cron("0 0 H * *", hash_key=f"n/{number}")
        assert schedule.count(START, START + timedelta(days=365)) == 12


def test_days_of_the_week_and_names_in_ranges() -> None:
    for number in range(60):
        assert first("0 0 * * H(MON-FRI)", f"n/{number}").isoweekday() <= 5
        assert first("0 0 1 H(JUN-AUG) *", f"n/{number}").month in (6, 7, 8)
    assert {first("0 0 * * H", f"n/{number}").isoweekday() for number in range(120)} == set(range(1, 8))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("H(5-1) * * * *", "found 'H(5-1)', which runs backwards, at character 1 of 'H(5-1) * * * *'; write H(1-5)"),
        ("H(0-99) * * * *", "found minute '99', at character 5"),
        ("H(a-3) * * * *", "found 'a' as minute, at character 3"),
        ("H/0 * * * *", "found '0' as step of the minute, at character 3"),
        ("H() * * * *", "found 'H()' as minute"),
        ("HH * * * *", "found 'HH' as minute"),
    ],
)
def test_refusals(expression: str, message: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse_cron(expression, hash_key="n/a")
    assert message in str(refused.value)
