"""RunOnce against an oracle that knows only the rule, and looks at every minute.

The rule (design 3.4): due times in a gap collapse to one run at its end, the first instant after it; a repeated civil
time runs the first time only; where the hour field contains a star, and for @hourly and @every, it is WallClock.
"""

import random
from datetime import UTC, datetime, timedelta

import pytest

from carillon.schedule import DaylightSaving, parse_cron
from tests.unit.schedule import crons
from tests.unit.schedule.minutes import Rule, oracle

ZONES = [zone for zone in crons.ZONES if crons.changes(zone, 1973, 2037)]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_no_difference_from_the_oracle_around_changes_of_the_clocks() -> None:
    rng = random.Random(20_260_729)
    compared = runs = 0
    for number in range(360):
        zone = ZONES[number % len(ZONES)]
        change = rng.choice(crons.changes(zone, 1973, 2037))
        start = datetime.fromtimestamp(change - change % 60, UTC) - timedelta(minutes=rng.randint(0, 2_500))
        end = start + timedelta(minutes=rng.randint(2_600, 4_500))
        rule = Rule.draw(rng)
        schedule = parse_cron(str(rule), time_zone=zone)
        expected = oracle(rule, zone, start, end)
        where = f"{rule} in {zone} from {start}"
        assert [due for due in schedule.upcoming(start, len(expected) + 1) if due <= end] == expected, where
        assert schedule.count(start, end) == len(expected), where
        assert schedule.newest(start, end, 5) == expected[-5:], where
        for _ in range(12):
            instant = start + timedelta(seconds=rng.randint(0, int((end - start).total_seconds()) - 1))
            coming = [due for due in expected if due > instant]
            if coming:
                assert schedule.next_after(instant) == coming[0], where
            assert schedule.count(instant, end) == len(coming), where
            gone = [due for due in expected if due <= instant]
            assert schedule.latest_through(instant, after=start) == (gone[-1] if gone else None), where
        compared += 1
        runs += len(expected)
    print(f"{compared} windows over {len(ZONES)} zones, {runs} runs, no difference")
    assert runs > 2_000


@pytest.mark.parametrize(
    ("expression", "zone", "after", "due", "why"),
    [
        (
            "30 2 * * *",
            "Europe/Paris",
            "2026-03-28T12:00Z",
            ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"],
            "gap",
        ),
        (
            "*/5 2 * * *",
            "Europe/Paris",
            "2026-03-28T12:00Z",
            ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"],
            "one",
        ),
        (
            "0 2,3 * * *",
            "Europe/Paris",
            "2026-03-28T12:00Z",
            ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"],
            "same",
        ),
        (
            "30 2 * * *",
            "Europe/Paris",
            "2026-10-24T12:00Z",
            ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"],
            "twice",
        ),
        (
            "0 0 * * *",
            "Africa/Cairo",
            "2026-04-23T12:00Z",
            ["2026-04-24T01:00+03:00", "2026-04-25T00:00+03:00"],
            "midnight",
        ),
        ("@daily", "Africa/Cairo", "2026-04-23T12:00Z", ["2026-04-24T01:00+03:00", "2026-04-25T00:00+03:00"], "macro"),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00Z",
            ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"],
            "half",
        ),
        (
            "0 9 * * *",
            "Pacific/Apia",
            "2011-12-29T20:00Z",
            ["2011-12-31T00:00+14:00", "2011-12-31T09:00+14:00"],
            "no 30th",
        ),
        (
            "0 9 30 12 *",
            "Pacific/Apia",
            "2011-12-01T20:00Z",
            ["2011-12-31T00:00+14:00", "2012-12-30T09:00+14:00"],
            "only 30th",
        ),
        (
            "30 5 1 10 *",
            "America/Asuncion",
            "2017-06-01T12:00Z",
            ["2017-10-01T05:30-03:00", "2018-10-01T05:30-04:00"],
            "found",
        ),
    ],
)
def test_due_times(expression: str, zone: str, after: str, due: list[str], why: str) -> None:
    schedule = parse_cron(expression, time_zone=zone)
    assert schedule.upcoming(moment(after), 2) == [moment(text) for text in due], why


@pytest.mark.parametrize("expression", ["15 * * * *", "15 */2 * * *", "15 ? * * *", "15 5,*/3 * * *", "@hourly"])
@pytest.mark.parametrize("zone", ["Europe/Paris", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo"])
def test_a_star_in_the_hour_field_means_the_wall_clock(expression: str, zone: str) -> None:
    once = parse_cron(expression, time_zone=zone)
    assert once == parse_cron(expression, time_zone=zone, daylight_saving=DaylightSaving.WALL_CLOCK)


def test_all_hours_without_a_star_run_each_civil_hour_once() -> None:
    schedule = parse_cron("0 0-23 * * *", time_zone="Europe/Paris")
    start = moment("2026-10-25T00:00+02:00")
    assert schedule.count(start, moment("2026-10-26T00:00+01:00")) == 24
    assert parse_cron("0 * * * *", time_zone="Europe/Paris").count(start, moment("2026-10-26T00:00+01:00")) == 25
