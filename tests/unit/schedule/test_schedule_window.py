"""Windows where the clocks change at midnight, against an oracle that looks at every minute.

A window opens at each civil time of its cron, as under RunOnce, and around a change of the clocks also when WallClock
says so. WallClock's walk may lose a whole month there (`walk`): a freeze that is lost with it protects nothing.
"""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from carillon.schedule import DaylightSaving, closed, exclude_window, parse_cron
from carillon.schedule.errors import ScheduleError
from carillon.schedule.seconds import to_seconds
from tests.unit.schedule import crons
from tests.unit.schedule.minutes import MINUTE, Rule, oracle

DAY = timedelta(days=1)
ZONES = (
    "Africa/Cairo",
    "America/Asuncion",
    "America/Havana",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Europe/Paris",
    "Pacific/Apia",
)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def openings(rule: Rule, zone: str, after: datetime, through: datetime) -> set[datetime]:
    """When it opens in (after, through]."""
    found = set(oracle(rule, zone, after, through))
    walked = parse_cron(str(rule), time_zone=zone, daylight_saving=DaylightSaving.WALL_CLOCK)
    for second in crons.changes(zone, after.year - 1, through.year + 1):
        change = datetime.fromtimestamp(second, UTC)
        due = walked.next_after(change - DAY)
        while due is not None and due <= change + DAY:
            found.add(due)
            due = walked.next_after(due)
    return found


def differences(rule: Rule, zone: str, lasting: timedelta, after: datetime, through: datetime) -> list[datetime]:
    """Minutes of (after, through] at which a window is not what the oracle says."""
    shut = closed([exclude_window(str(rule), int(lasting.total_seconds()), zone, "")])
    opened = sorted(openings(rule, zone, (after - lasting - DAY).replace(second=0), through))
    found, place, until, instant = [], 0, after, after
    while instant < through:
        instant += MINUTE
        while place < len(opened) and opened[place] <= instant:
            until, place = opened[place] + lasting, place + 1
        if {instant < until} != {shut.is_closed(to_seconds(instant)), shut.at(instant) is not None}:
            found.append(instant)
    return found


def test_no_difference_from_the_oracle_where_clocks_change_at_midnight() -> None:
    rng = random.Random(20_261_123)
    compared = 0
    for number in range(130):
        zone = ZONES[number % len(ZONES)]
        change = datetime.fromtimestamp(rng.choice(crons.changes(zone, 1973, 2037)) // 60 * 60, UTC)
        rule = Rule.draw(rng)
        if rng.random() < 0.25:
            rule = replace(rule, hours=None, minutes=frozenset([min(rule.minutes)]))
        if rng.random() < 0.5:
            civil = change.month
            rule = replace(rule, months=frozenset([civil]), hours=rule.hours and frozenset([0, *rule.hours]))
        lasting = timedelta(seconds=rng.choice([60, 3_600, 86_400, 90_000, 172_800, 400_000]))
        start = change - timedelta(minutes=rng.randint(0, 6_000))
        try:
            wrong = differences(rule, zone, lasting, start, start + timedelta(days=6))
        except ScheduleError:
            continue  # it opens too often
        assert not wrong, f"{rule} {zone} for {lasting}: {wrong[0]}"
        compared += 1
    assert compared > 100


EVERY_MIDNIGHT = Rule(frozenset([0]), frozenset([0]), None, None, None)


@pytest.mark.parametrize("lasting", [timedelta(hours=1), DAY, DAY + timedelta(seconds=1), 2 * DAY, 5 * DAY])
@pytest.mark.parametrize("hours", [frozenset([0]), None])
@pytest.mark.parametrize(
    ("zone", "month", "begin"),
    [
        ("America/Asuncion", 10, "2017-09-29T00:00Z"),  # the midnight of 1 October was skipped
        ("America/Asuncion", 10, "2017-10-20T00:00Z"),
        ("America/Sao_Paulo", 10, "2017-10-14T00:00Z"),
        ("Africa/Cairo", 5, "2010-04-29T00:00Z"),
    ],
)
def test_a_month_is_not_lost_with_its_first_midnight(
    zone: str, month: int, begin: str, hours: frozenset[int] | None, lasting: timedelta
) -> None:
    rule = replace(EVERY_MIDNIGHT, hours=hours, months=frozenset([month]))
    start = moment(begin)
    assert differences(rule, zone, lasting, start, start + 8 * DAY) == []


def test_what_is_closed_is_told_alike_whenever_one_asks() -> None:
    """A walk that begins elsewhere comes elsewhere: what a window closes must not depend on it."""
    window = exclude_window("0 0 * 10 *", 172_800, "America/Asuncion", "")
    day = moment("2017-10-17T12:00Z")
    told = [closed([window]).spans(day - reach * DAY, day) for reach in (1, 3, 20)]
    assert all(told)
    assert len({spans[-1] for spans in told}) == 1
