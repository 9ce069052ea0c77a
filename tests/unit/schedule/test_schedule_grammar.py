"""What a cron may say, and what is refused with which words."""

from datetime import UTC, datetime

import pytest

from carillon.schedule import DaylightSaving, Schedule, ScheduleError, parse_cron

START = datetime(2026, 7, 28, 12, 0, 30, tzinfo=UTC)
"""A Tuesday."""


def due(schedule: Schedule, limit: int = 3) -> list[str]:
    return [f"{instant:%m-%d %H:%M:%S}".removesuffix(":00") for instant in schedule.upcoming(START, limit)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", ["07-28 12:01", "07-28 12:02", "07-28 12:03"]),
        ("? ? ? ? ?", ["07-28 12:01", "07-28 12:02", "07-28 12:03"]),
        ("  30   12 * *\t* ", ["07-28 12:30", "07-29 12:30", "07-30 12:30"]),
        ("*/20 * * * *", ["07-28 12:20", "07-28 12:40", "07-28 13:00"]),
        ("5/20 * * * *", ["07-28 12:05", "07-28 12:25", "07-28 12:45"]),
        ("10-30/10 * * * *", ["07-28 12:10", "07-28 12:20", "07-28 12:30"]),
        ("1,,2, * * * *", ["07-28 12:01", "07-28 12:02", "07-28 13:01"]),
        ("+5 05 * * *", ["07-29 05:05", "07-30 05:05", "07-31 05:05"]),
        ("0 3-3 * * *", ["07-29 03:00", "07-30 03:00", "07-31 03:00"]),
        ("0 0 1 jan,FEB *", ["01-01 00:00", "02-01 00:00", "01-01 00:00"]),
        ("0 0 * * MON-FRI", ["07-29 00:00", "07-30 00:00", "07-31 00:00"]),
        ("0 0 * * 0-6/3", ["07-29 00:00", "08-01 00:00", "08-02 00:00"]),
        ("0 0 1,15 * FRI", ["07-31 00:00", "08-01 00:00", "08-07 00:00"]),  # either day field
        ("0 0 1,15 * *", ["08-01 00:00", "08-15 00:00", "09-01 00:00"]),
        ("0 0 1,15 * */1", ["08-01 00:00", "08-15 00:00", "09-01 00:00"]),  # a star field
        ("0 0 1,15 * */3", ["07-29 00:00", "08-01 00:00", "08-02 00:00"]),  # not a star field
        ("0 0 */10 * FRI", ["07-31 00:00", "08-01 00:00", "08-07 00:00"]),
        ("0 0 *,1 * FRI", ["07-31 00:00", "08-07 00:00", "08-14 00:00"]),
        ("0 0 *-9 * FRI", ["07-31 00:00", "08-07 00:00", "08-14 00:00"]),  # robfig reads no further than the star
        ("0 0 29 2 *", ["02-29 00:00", "02-29 00:00", "02-29 00:00"]),
        ("@yearly", ["01-01 00:00", "01-01 00:00", "01-01 00:00"]),
        ("@annually", ["01-01 00:00", "01-01 00:00", "01-01 00:00"]),
        ("@monthly", ["08-01 00:00", "09-01 00:00", "10-01 00:00"]),
        ("@weekly", ["08-02 00:00", "08-09 00:00", "08-16 00:00"]),
        ("@daily", ["07-29 00:00", "07-30 00:00", "07-31 00:00"]),
        ("@midnight", ["07-29 00:00", "07-30 00:00", "07-31 00:00"]),
        ("@hourly", ["07-28 13:00", "07-28 14:00", "07-28 15:00"]),
        ("@every 1h30m", ["07-28 13:30:30", "07-28 15:00:30", "07-28 16:30:30"]),
    ],
)
def test_standard_expressions(expression: str, expected: list[str]) -> None:
    assert due(parse_cron(expression)) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 * * 7", ["08-02 00:00", "08-09 00:00", "08-16 00:00"]),
        ("0 0 * * 5-7", ["07-31 00:00", "08-01 00:00", "08-02 00:00"]),
        ("0 0 * * FRI-7", ["07-31 00:00", "08-01 00:00", "08-02 00:00"]),
        ("0 0 * * sat-sun", ["08-01 00:00", "08-02 00:00", "08-08 00:00"]),
        ("0 0 * * 7/2", ["08-02 00:00", "08-09 00:00", "08-16 00:00"]),
        ("0 0 * * 0-7", ["07-29 00:00", "07-30 00:00", "07-31 00:00"]),
        ("0 0 L * *", ["07-31 00:00", "08-31 00:00", "09-30 00:00"]),
        ("0 0 L-2 * *", ["07-29 00:00", "08-29 00:00", "09-28 00:00"]),
        ("0 0 15,l 2 *", ["02-15 00:00", "02-28 00:00", "02-15 00:00"]),
        ("0 0 L-30 * *", ["08-01 00:00", "10-01 00:00", "12-01 00:00"]),
        ("0 0 L-28 2 *", ["02-01 00:00", "02-01 00:00", "02-01 00:00"]),  # leap years only
        ("0 0 * * FRI#2", ["08-14 00:00", "09-11 00:00", "10-09 00:00"]),
        ("0 0 * * 7#1", ["08-02 00:00", "09-06 00:00", "10-04 00:00"]),
        ("0 0 * * MON#1,3#5", ["07-29 00:00", "08-03 00:00", "09-07 00:00"]),
        ("0 0 * * 5L", ["07-31 00:00", "08-28 00:00", "09-25 00:00"]),
        ("0 0 * * FRIL", ["07-31 00:00", "08-28 00:00", "09-25 00:00"]),
        ("0 0 * * 7l", ["08-30 00:00", "09-27 00:00", "10-25 00:00"]),
        ("0 0 L * FRI#1", ["07-31 00:00", "08-07 00:00", "08-31 00:00"]),  # either day field
        ("*/20 * * * * *", ["07-28 12:00:40", "07-28 12:01", "07-28 12:01:20"]),
        ("15,45 0 0 1 * *", ["08-01 00:00:15", "08-01 00:00:45", "09-01 00:00:15"]),
    ],
)
def test_more_than_standard(expression: str, expected: list[str]) -> None:
    assert due(parse_cron(expression)) == expected


@pytest.mark.parametrize(
    ("expression", "position", "message"),
    [
        (
            "",
            0,
            "found an empty cron; write five: minute hour day-of-month month day-of-week, or six with seconds first",
        ),
        ("* * * *", 7, "found 4 fields in '* * * *'; write five: minute hour day-of-month month day-of-week, or six"),
        ("0 0 0 1 1 * 2027", 12, "found 7 fields in '0 0 0 1 1 * 2027'; write five"),
        ("61 * * * *", 0, "found minute '61', at character 1 of '61 * * * *'; write 0-59, *, a list a,b, a range a-b"),
        ("0 24 * * *", 2, "found hour '24', at character 3 of '0 24 * * *'; write 0-23"),
        ("0 0 0 * *", 4, "found day-of-month '0'"),
        ("0 0 * 13 *", 6, "found month '13', at character 7 of '0 0 * 13 *'; write 1-12 or JAN-DEC"),
        ("0 0 * * 8", 8, "found day-of-week '8', at character 9 of '0 0 * * 8'; write 0-7 or SUN-SAT"),
        ("0 0 * JANUARY *", 6, "found 'JANUARY' as month"),
        ("0 MON * * *", 2, "found 'MON' as hour"),
        ("1,2,x * * * *", 4, "found 'x' as minute, at character 5"),
        ("5-60 * * * *", 2, "found minute '60', at character 3"),
        ("1.5 * * * *", 0, "found '1.5' as minute"),
        ("-5 * * * *", 0, "found no minute, at character 1"),
        ("5- * * * *", 2, "found no minute, at character 3"),
        ("1-2-3 * * * *", 0, "found two hyphens in '1-2-3'"),
        ("*/2/3 * * * *", 0, "found two steps in '*/2/3'"),
        (
            "*/0 * * * *",
            2,
            "found '0' as step of the minute, at character 3 of '*/0 * * * *'; write a whole number from 1",
        ),
        ("*/x * * * *", 2, "found 'x' as step"),
        ("*/ * * * *", 2, "found '' as step"),
        (", * * * *", 0, "found no value in ','"),
        (
            "0 22-2 * * *",
            2,
            "found the hour range '22-2', which runs backwards, at character 3 of '0 22-2 * * *'; write 22-23,0-2",
        ),
        ("0 0 * * FRI-MON", 8, "which runs backwards, at character 9 of '0 0 * * FRI-MON'; write 5-6,0-1"),
        ("0 0 * * 5-0", 8, "; write 5-7"),
        ("0 0 30 2 *", 4, "found '30 2' as day-of-month and month, a day that never comes, at character 5"),
        ("0 0 31 4,6,9,11 *", 4, "a day that never comes"),
        ("0 0 L-29 2 *", 4, "a day that never comes"),
        ("0 0 15W * *", 4, "found '15W' as day-of-month"),
        ("0 0 LW * *", 4, "write L for the last day of the month, or L-1 to L-30"),
        ("0 0 L-31 * *", 4, "write L for the last day of the month"),
        (
            "0 0 * * L",
            8,
            "found L alone as day-of-week, at character 9 of '0 0 * * L'; write 5L or FRIL for the last Friday",
        ),
        ("0 0 * * FRI#6", 12, "found '6' after #, at character 13 of '0 0 * * FRI#6'; write FRI#1 to FRI#5, or FRIL"),
        ("0 0 * * FRI#", 12, "found '' after #"),
        ("0 0 * * #2", 8, "found no day-of-week"),
        ("0 0 L L *", 6, "found 'L' as month"),
        ("H * * * *", 0, "found H, which needs a name to choose by"),
        ("@reboot", 0, "found '@reboot', at character 1 of '@reboot'; the macros are @yearly, @annually"),
        ("@Daily", 0, "the macros are @yearly"),
        ("@daily *", 0, "found '@daily *'"),
        (
            "TZ=Europe/Paris 0 3 * * *",
            0,
            "found 'TZ=Europe/Paris', at character 1 of 'TZ=Europe/Paris 0 3 * * *'; leave it out and use timeZone",
        ),
        ("CRON_TZ=UTC 0 3 * * *", 0, "leave it out and use timeZone"),
        ("@every", 6, "found no duration, at character 7 of '@every'; write a duration such as @every 90s"),
        (
            "@every 5",
            8,
            "found a number without a unit, at character 9 of '@every 5'; the units are h, m, s, ms, us and ns",
        ),
        ("@every 5 m", 8, "found the unit ' m'"),
        ("@every 1d", 8, "found the unit 'd'"),
        ("@every h", 7, "found 'h' where a number is due"),
        ("@every .s", 7, "found '.s' where a number is due"),
        ("@every 0", 7, "found '0', no time at all"),
        ("@every -5m", 7, "found '-5m', no time at all"),
        ("@every 9999999h", 7, "longer than 292 years"),
        ("* * * * *" * 200, 1000, "found 1800 characters; a cron has at most 1000"),
        ("\u0661 * * * *", 0, "found '\u0661' as minute"),  # a digit, but not ours
    ],
)
def test_refusals(expression: str, position: int, message: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse_cron(expression)
    assert message in str(refused.value)
    assert refused.value.text == expression
    assert refused.value.position == position
    assert len(str(refused.value)) < 400


def test_a_zone_that_is_none_is_refused_with_its_own_text() -> None:
    with pytest.raises(ScheduleError, match=r'unknown time zone .*; write "Europe/Paris"') as refused:
        parse_cron("0 3 * * *", time_zone="Europe/Pariss")
    assert refused.value.text == "Europe/Pariss"


def test_equal_schedules_are_one_object_and_hashable() -> None:
    first = parse_cron("0 3 * * *", time_zone="Europe/Paris")
    assert parse_cron("0 3 * * *", time_zone="Europe/Paris", hash_key="not asked for") is first
    assert first != parse_cron("0 4 * * *", time_zone="Europe/Paris")
    assert hash(first) == hash(parse_cron("0 3 * * *", time_zone="Europe/Paris"))


def test_no_zone_is_utc() -> None:
    assert parse_cron("0 3 * * *") == parse_cron(
        "0 3 * * *", time_zone="UTC", daylight_saving=DaylightSaving.WALL_CLOCK
    )


def test_any_aware_instant_is_taken_and_utc_is_given() -> None:
    schedule = parse_cron("0 3 * * *")
    asked = datetime.fromisoformat("2026-07-28T12:00:30.999999+05:30")
    assert schedule.next_after(asked) == datetime(2026, 7, 29, 3, tzinfo=UTC)
    assert schedule.upcoming(asked, 1)[0].tzinfo is UTC
    with pytest.raises(TypeError, match="naive"):
        schedule.next_after(datetime(2026, 7, 28))  # noqa: DTZ001


def test_it_is_endless_and_does_not_count_from_anywhere() -> None:
    schedule = parse_cron("0 3 * * *")
    assert schedule.endless
    assert schedule.anchored(START) is schedule
