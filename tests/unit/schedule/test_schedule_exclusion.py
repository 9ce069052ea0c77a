"""Exclusions: which times are closed, and why; and what is refused."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from carillon.schedule import (
    Piece,
    ScheduleError,
    closed,
    exclude_dates,
    exclude_holidays,
    exclude_window,
    inside,
    outside,
    parse_cron,
)

PARIS = ZoneInfo("Europe/Paris")
SECOND = timedelta(seconds=1)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def told(pieces: list[Piece], after: str, through: str) -> list[tuple[str, str, str]]:
    """Spans as text."""
    return [
        (f"{span.start:%Y-%m-%dT%H:%MZ}", f"{span.end:%Y-%m-%dT%H:%MZ}", span.reason)
        for span in closed(pieces).spans(moment(after), moment(through))
    ]


@pytest.mark.parametrize(
    ("date", "zone", "spans", "why"),
    [
        ("2026-12-24", "UTC", [("2026-12-24T00:00Z", "2026-12-25T00:00Z")], "a day"),
        ("2026-12-24", "Europe/Paris", [("2026-12-23T23:00Z", "2026-12-24T23:00Z")], "as the clocks of the zone say"),
        ("2026-03-29", "Europe/Paris", [("2026-03-28T23:00Z", "2026-03-29T22:00Z")], "23 hours"),
        ("2026-10-25", "Europe/Paris", [("2026-10-24T22:00Z", "2026-10-25T23:00Z")], "25 hours"),
        ("2026-04-24", "Africa/Cairo", [("2026-04-23T22:00Z", "2026-04-24T21:00Z")], "without a midnight"),
        ("2026-04-04", "America/Santiago", [("2026-04-04T03:00Z", "2026-04-05T04:00Z")], "24:00 becomes 23:00"),
        ("2026-11-01", "America/Havana", [("2026-11-01T04:00Z", "2026-11-02T05:00Z")], "01:00 becomes 00:00"),
        ("2011-12-30", "Pacific/Apia", [], "a day that never was"),
        ("2011-12-31", "Pacific/Apia", [("2011-12-30T10:00Z", "2011-12-31T10:00Z")], "the one after it"),
        (
            "2010-11-07",
            "America/St_Johns",
            [("2010-11-07T02:30Z", "2010-11-07T02:31Z"), ("2010-11-07T03:30Z", "2010-11-08T03:30Z")],
            "00:01 became 23:01 of the day before",
        ),
        (
            "2010-11-06",
            "America/St_Johns",
            [("2010-11-06T02:30Z", "2010-11-07T02:30Z"), ("2010-11-07T02:31Z", "2010-11-07T03:30Z")],
            "which came back",
        ),
    ],
)
def test_a_date_is_a_day_of_the_zone(date: str, zone: str, spans: list[tuple[str, str]], why: str) -> None:
    around = moment(date + "T00:00Z")
    found = told([exclude_dates([date], ZoneInfo(zone))], *(str(around + timedelta(days=n)) for n in (-3, 4)))
    assert found == [(start, end, f"date {date}") for start, end in spans], why


def test_spans_are_half_open() -> None:
    day = closed([exclude_dates(["2026-12-24"], PARIS)])
    start, end = moment("2026-12-24T00:00+01:00"), moment("2026-12-25T00:00+01:00")
    (span,) = day.spans(start - SECOND, start)
    assert (span.start, span.end) == (start, end)
    assert span.start.tzinfo is UTC
    assert day.at(start) == day.at(end - SECOND) == span
    assert day.at(start - SECOND) is day.at(end) is None
    assert day.spans(end - SECOND, end) == []
    assert day.spans(end - 2 * SECOND, end - SECOND) == [span]
    assert day.spans(start - 2 * SECOND, start - SECOND) == []
    assert day.spans(end, start) == []


def test_holidays_of_a_country_and_of_its_parts() -> None:
    july = ("2026-07-01T00:00Z", "2026-08-01T00:00Z")
    assert told([exclude_holidays("FR", None, PARIS)], *july) == [
        ("2026-07-13T22:00Z", "2026-07-14T22:00Z", "holiday National Day (FR)")
    ]
    august = ("2026-08-14T00:00Z", "2026-08-20T00:00Z")
    assert told([exclude_holidays("DE", None, ZoneInfo("Europe/Berlin"))], *august) == []
    assert told([exclude_holidays("DE", "SL", ZoneInfo("Europe/Berlin"))], *august) == [
        ("2026-08-14T22:00Z", "2026-08-15T22:00Z", "holiday Assumption Day (DE-SL)")
    ]


def test_new_year_in_the_far_east_is_told_in_the_old_year() -> None:
    kiritimati = ZoneInfo("Pacific/Kiritimati")
    found = told([exclude_holidays("KI", None, kiritimati)], "2026-12-31T09:00Z", "2026-12-31T11:00Z")
    assert found == [("2026-12-31T10:00Z", "2027-01-01T10:00Z", "holiday New Year's Day (KI)")]


@pytest.mark.parametrize(
    ("country", "subdivision", "message"),
    [
        ("fr", None, "found the country 'fr'; write FR"),
        ("France", None, "found the country 'France'; write FR"),
        ("Untied States", None, "found the country 'Untied States'; write US"),
        ("ZZ", None, "found the country 'ZZ'; write an ISO 3166 code such as FR"),
        ("", None, "found the country ''; write an ISO 3166 code such as FR"),
        ("x" * 500, None, "write an ISO 3166 code such as FR"),
        ("DE", "Bavaria", "found the subdivision 'Bavaria' of DE; write one of Augsburg, BB, BE, BW, BY"),
        ("DE", "by", "found the subdivision 'by' of DE; write BY"),
        ("DE", "Bayen", "found the subdivision 'Bayen' of DE; write BY"),
        ("JP", "13", "found the subdivision '13' of JP; leave it out"),
    ],
)
def test_unknown_places_are_refused_with_the_nearest(country: str, subdivision: str | None, message: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        exclude_holidays(country, subdivision, PARIS)
    assert message in str(refused.value)


@pytest.mark.parametrize("text", ["", "24.12.2026", "2026-12-32", "2026-02-29", "20261224", "2026-W52-4", "0000-01-01"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError, match="write a day as in 2026-12-24"):
        exclude_dates([text], PARIS)


def test_a_window_opens_when_its_cron_says() -> None:
    office = exclude_window("0 8 * * MON-FRI", 36_000, "Europe/Paris", "")
    assert told([office], "2026-03-27T00:00Z", "2026-03-31T00:00Z") == [
        ("2026-03-27T07:00Z", "2026-03-27T17:00Z", "window 0 8 * * MON-FRI"),
        ("2026-03-30T06:00Z", "2026-03-30T16:00Z", "window 0 8 * * MON-FRI"),
    ]


@pytest.mark.parametrize(
    ("cron", "duration", "spans", "why"),
    [
        ("0 8,10 * * *", 3 * 3_600, [("08:00", "13:00")], "openings that overlap"),
        ("0 8,10 * * *", 2 * 3_600, [("08:00", "12:00")], "openings that touch"),
        ("0 8,10 * * *", 3_600, [("08:00", "09:00"), ("10:00", "11:00")], "openings apart"),
        ("0 9,8 * * *", 3_660, [("08:00", "10:01")], "in any order"),
        ("*/10 8 * * *", 600, [("08:00", "09:00")], "joined from many"),
        ("*/20 8 * * *", 600, [("08:00", "08:10"), ("08:20", "08:30"), ("08:40", "08:50")], "or not"),
    ],
)
def test_openings_join(cron: str, duration: int, spans: list[tuple[str, str]], why: str) -> None:
    window = exclude_window(cron, duration, None, "")
    expected = [(f"2026-05-05T{start}Z", f"2026-05-05T{end}Z", f"window {cron}") for start, end in spans]
    assert told([window], "2026-05-05T00:00Z", "2026-05-05T23:59Z") == expected, why


def test_a_window_longer_than_its_period_holds_on() -> None:
    window = closed([exclude_window("0 0 1 * *", 45 * 86_400, None, "")])
    assert window.at(moment("2026-02-20T00:00Z")) is not None
    (span,) = window.spans(moment("2026-03-01T00:00Z"), moment("2026-03-02T00:00Z"))
    assert span.start < moment("2026-02-01T00:00Z")
    long = closed([exclude_window("0 0 1 1 *", 366 * 86_400, None, "")])
    assert all(long.at(moment("2026-01-01T00:00Z") + timedelta(days=day)) for day in range(2_000))


def test_a_window_chooses_by_its_hash_key() -> None:
    first, second = (exclude_window("H H * * *", 60, None, key) for key in ("files/clear", "files/dump"))
    day = ("2026-05-05T00:00Z", "2026-05-06T00:00Z")
    assert told([first], *day) != told([second], *day)
    assert told([first], *day) == told([exclude_window("H H * * *", 60, None, "files/clear")], *day)


@pytest.mark.parametrize(
    ("cron", "duration", "zone", "message"),
    [
        ("0 8 * *", 60, None, "found 4 fields"),
        ("0 8 * * *", 60, "Europe/Pariss", 'write "Europe/Paris"'),
        ("0 8 * * *", 0, None, "of 0 seconds; write 1 to 31622400"),
        ("0 8 * * *", 31_622_401, None, "write 1 to 31622400"),
        ("@every 1h", 60, None, "opens at no fixed times"),
        ("* * * * *", 59, None, "more than 24 times a day; write fewer openings, or a longer duration"),
        ("*/2 * * * * *", 1, None, "more than 24 times a day"),
        ("H 8 * * *", 60, None, "found H"),
    ],
)
def test_windows_that_cannot_be_are_refused(cron: str, duration: int, zone: str | None, message: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        exclude_window(cron, duration, zone, "")
    assert message in str(refused.value)


def test_a_long_cron_does_not_flood_the_reason() -> None:
    window = exclude_window("0 " + ",".join(["8"] * 300) + " * * *", 60, None, "")
    ((_, _, reason),) = told([window], "2026-05-05T00:00Z", "2026-05-05T23:00Z")
    assert len(reason) < 80


def test_what_began_first_is_the_reason() -> None:
    pieces = [exclude_window("0 8 * * *", 600, "Europe/Paris", ""), exclude_dates(["2026-12-24"], PARIS)]
    span = closed(pieces).at(moment("2026-12-24T08:05+01:00"))
    assert span is not None
    assert span.reason == "date 2026-12-24"


def test_equal_pieces_make_one_closed_time_that_is_shared() -> None:
    def make() -> list[Piece]:
        exclude_window.cache_clear()
        return [exclude_dates(["2026-12-24"], PARIS), exclude_window("0 8 * * *", 60, None, "")]

    first, second = closed(make()), closed([*make(), *make()])
    assert first is second
    assert hash(first) == hash(second)
    daily = parse_cron("@daily")
    assert outside(daily, first) == outside(daily, second)
    assert hash(inside(daily, first)) == hash(inside(daily, second))
    assert outside(daily, first) != inside(daily, first)


def test_nothing_closed_leaves_the_schedule_as_it_is() -> None:
    daily = parse_cron("@daily")
    assert outside(daily, closed([])) is daily
    assert inside(daily, closed([])).next_after(moment("2026-01-01T00:00Z")) is None
    assert closed([]).spans(moment("2026-01-01T00:00Z"), moment("2027-01-01T00:00Z")) == []


@pytest.mark.parametrize("instant", [datetime.min, datetime(1, 1, 2), datetime(9999, 12, 30), datetime.max])  # noqa: DTZ001, DTZ901
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Niue", "Africa/Cairo"])
def test_the_ends_of_the_calendar_are_no_trouble_to_exclusions(instant: datetime, zone: str) -> None:
    asked = instant.replace(tzinfo=UTC)
    nearby = asked + timedelta(days=2) if asked.year == 1 else asked - timedelta(days=2)
    early, late = sorted((asked, nearby))
    pieces = [
        exclude_holidays("FR", None, ZoneInfo(zone)),
        exclude_window("0 12 * * *", 36_000, zone, ""),
        *(exclude_dates([text], ZoneInfo(zone)) for text in ("0001-01-01", "9999-12-31")),
    ]
    shut = closed(pieces)
    assert len(shut.spans(early, late)) <= 8
    shut.at(asked)
    every = parse_cron("*/5 * * * *", time_zone=zone)
    left, taken = outside(every, shut), inside(every, shut)
    assert left.count(early, late) + taken.count(early, late) == every.count(early, late)
    for schedule in (left, taken):
        due = schedule.next_after(asked)
        assert due is None or due > asked


@pytest.mark.parametrize(
    ("cron", "zone", "inside"),
    [
        ("30 2 * * *", "Europe/Paris", "2026-03-29T01:00Z"),
        ("0 0 * * *", "America/St_Johns", "2006-04-02T03:31Z"),
        ("0 22 * * *", "Australia/Lord_Howe", "2026-10-03T11:30Z"),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T22:00Z"),
    ],
)
def test_a_window_holds_on_the_day_of_a_change_of_the_clocks(cron: str, zone: str, inside: str) -> None:
    """WallClock loses these openings, as the native controller does; a freeze has to hold all the same."""
    window = closed([exclude_window(cron, 3_600, zone, "")])
    assert window.at(moment(inside)) is not None
