"""Repeating intervals against stepping by hand, and their grammar."""

import random
from calendar import monthrange
from datetime import UTC, datetime, timedelta

import pytest

from carillon.schedule import ScheduleError, parse_interval


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


EARLY = moment("2000-01-01T00:00Z")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("R/2026-01-01T03:00:00+01:00/P1D", ["2026-01-01T02:00Z", "2026-01-02T02:00Z", "2026-01-03T02:00Z"]),
        ("R/2026-01-31T00:00:00Z/P1M", ["2026-01-31T00:00Z", "2026-02-28T00:00Z", "2026-03-31T00:00Z"]),
        ("R/2024-02-29T00:00:00Z/P1Y", ["2024-02-29T00:00Z", "2025-02-28T00:00Z", "2026-02-28T00:00Z"]),
        # The month is that of the offset: at +14:00 it is already the first.
        ("R/2026-02-01T00:00:00+14:00/P1M", ["2026-01-31T10:00Z", "2026-02-28T10:00Z", "2026-03-31T10:00Z"]),
        ("R/2026-01-30T22:00:00Z/P1M2DT3H", ["2026-01-30T22:00Z", "2026-03-03T01:00Z", "2026-04-04T04:00Z"]),
        ("R/2026-01-01T00:00:00Z/P2W", ["2026-01-01T00:00Z", "2026-01-15T00:00Z", "2026-01-29T00:00Z"]),
        ("R/2026-01-01T00:00:00Z/PT0.5H", ["2026-01-01T00:00Z", "2026-01-01T00:30Z", "2026-01-01T01:00Z"]),
        ("R/2026-01-01T00:00:00Z/P1DT0,25M", ["2026-01-01T00:00Z", "2026-01-02T00:00:15Z", "2026-01-03T00:00:30Z"]),
        ("R/2026-01-01T00:00:00Z/PT36H", ["2026-01-01T00:00Z", "2026-01-02T12:00Z", "2026-01-04T00:00Z"]),
        ("R/2026-01-01T00:00Z/PT90S", ["2026-01-01T00:00Z", "2026-01-01T00:01:30Z", "2026-01-01T00:03Z"]),
        ("R/2026-01-01T00:00Z/2026-01-01T01:00Z", ["2026-01-01T00:00Z", "2026-01-01T01:00Z", "2026-01-01T02:00Z"]),
        ("R/2026-01-01T05:00Z/2026-01-01T19:00-05:00", ["2026-01-01T05:00Z", "2026-01-02T00:00Z", "2026-01-02T19:00Z"]),
        ("R2/2026-01-01T00:00:00Z/P1D", ["2026-01-01T00:00Z", "2026-01-02T00:00Z"]),
        ("R1/2026-01-01T00:00:00Z/P1D", ["2026-01-01T00:00Z"]),
        ("R3/P1M/2026-03-31T12:00:00Z", ["2026-01-31T12:00Z", "2026-02-28T12:00Z", "2026-03-31T12:00Z"]),
        ("R1/P1M/2026-03-31T12:00:00Z", ["2026-03-31T12:00Z"]),
    ],
)  # fmt: skip
def test_due_times(text: str, expected: list[str]) -> None:
    assert parse_interval(text).upcoming(EARLY, 3) == [moment(due) for due in expected]


@pytest.mark.parametrize(
    ("text", "endless"),
    [
        ("R/2026-01-01T00:00:00Z/P1D", True),
        ("R/2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", True),
        ("R9/2026-01-01T00:00:00Z/P1D", False),
        ("R/P1D/2026-01-01T00:00:00Z", False),
        ("R9/P1D/2026-01-01T00:00:00Z", False),
    ],
)
def test_what_ends(text: str, endless: bool) -> None:
    schedule = parse_interval(text)
    assert schedule.endless is endless
    assert (schedule.next_after(moment("2126-01-01T00:00Z")) is not None) is endless
    assert schedule.anchored(EARLY) is schedule


def test_before_an_end_it_has_always_been() -> None:
    schedule = parse_interval("R/P1D/2026-01-03T12:00:00Z")
    assert schedule.next_after(EARLY) == moment("2000-01-01T12:00Z")
    assert schedule.count(moment("2025-12-30T12:00Z"), moment("2030-01-01T00:00Z")) == 4


def later(start: datetime, months: int, seconds: int, times: int) -> datetime:
    """Add periods by hand: months from the start and clipped, then seconds."""
    index = start.year * 12 + start.month - 1 + months * times
    year, month = divmod(index, 12)
    day = min(start.day, monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day) + timedelta(seconds=seconds * times)


def test_counting_agrees_with_stepping() -> None:
    rng = random.Random(7)
    for _ in range(250):
        offset = rng.choice(["Z", "+01:00", "-03:30", "+14:00"])
        start = moment(f"2024-{rng.randint(1, 12):02}-{rng.choice([1, 15, 28, 29]):02}T22:30:00{offset}")
        months, days, hours = rng.choice([(1, 0, 0), (0, 1, 0), (2, 3, 5), (12, 0, 1), (0, 0, 7), (0, 11, 1)])
        period = "P" + (f"{months}M" if months else "") + (f"{days}D" if days else "") + (f"T{hours}H" if hours else "")
        times = rng.choice([None, 5, 40])
        schedule = parse_interval(f"R{times or ''}/{start.isoformat()}/{period}")
        end = start + timedelta(days=rng.randint(1, 700))
        walked: list[datetime] = []
        while (due := later(start, months, days * 86_400 + hours * 3_600, len(walked))) <= end and len(walked) != times:
            walked.append(due)
        before = start - timedelta(days=1)
        assert schedule.count(before, end) == len(walked)
        assert schedule.newest(before, end, 3) == walked[-3:]
        assert schedule.upcoming(before, len(walked)) == walked
        after = before + (end - before) * rng.random()
        assert schedule.count(after, end) == sum(due > after for due in walked)
        gone = [due for due in walked if due <= after]
        assert schedule.latest_through(after, after=before) == (gone[-1] if gone else None)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "found '', at character 1 of ''; write R/start/period as in R/2026-01-01T03:00:00Z/P1D"),
        ("P1D", 0, "found 'P1D'"),
        ("R/P1D", 5, "found no start, at character 6 of 'R/P1D'; a period alone says not when: write R/start/period"),
        ("R/2026-01-01T00:00:00Z", 1, "found 2 parts between slashes"),
        ("R/a/b/c", 1, "found 4 parts between slashes"),
        ("R-1/2026-01-01T00:00:00Z/P1D", 0, "found 'R-1', at character 1 of 'R-1/2026"),
        ("R0/2026-01-01T00:00:00Z/P1D", 0, "found 'R0', which is never due"),
        ("Rx/2026-01-01T00:00:00Z/P1D", 0, "found 'Rx'"),
        ("r/2026-01-01T00:00:00Z/P1D", 0, "found 'r'"),
        ("R/2026-01-01/P1D", 2, "found '2026-01-01', at character 3 of 'R/2026-01-01/P1D'; write an instant as in"),
        ("R/2026-01-01T00:00:00/P1D", 21, "found no offset after '2026-01-01T00:00:00'"),
        ("R/20260101T000000Z/P1D", 2, "found '20260101T000000Z'"),
        ("R/2026-01-01T00:00:00Z/P0D", 23, "found 'P0D', no time at all"),
        ("R/2026-01-01T00:00:00Z/-P1D", 23, "found a sign before 'P1D'"),
        ("R/2026-01-01T00:00:00Z/P-1D", 24, "found '-1D'"),
        ("R/2026-01-01T00:00:00Z/P", 23, "found 'P'"),
        ("R/2026-01-01T00:00:00Z/P1DT", 26, "found T with no time after it"),
        ("R/2026-01-01T00:00:00Z/P1H", 24, "hours, minutes and seconds come after a T"),
        ("R/2026-01-01T00:00:00Z/P1D1M", 26, "each unit comes once, in the order Y M W D T H M S"),
        ("R/2026-01-01T00:00:00Z/PT1.5S", 23, "no whole number of seconds"),
        ("R/2026-01-01T00:00:00Z/P0.5M", 24, "found '0.5M', part of a calendar unit"),
        ("R/2026-01-01T00:00:00Z/PT0.5H1M", 29, "only the last unit may have a fraction"),
        ("R/2026-01-01T00:00:00Z/P0001-00-01", 24, "found '0001-00-01'"),
        ("R/2026-01-02T00:00:00Z/2026-01-01T00:00:00Z", 23, "which is not after the start"),
        ("R/2026-01-01T00:00:00.5Z/P1D", 21, "found the fraction '.5' of a second"),
        ("R/" + "1" * 300 + "/P1D", 200, "found 306 characters, at most 200 are read"),
    ],
)  # fmt: skip
def test_refusals(text: str, position: int, message: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse_interval(text)
    assert message in str(refused.value)
    assert refused.value.text == text
    assert refused.value.position == position


def test_a_period_beyond_the_calendar_is_due_once() -> None:
    schedule = parse_interval("R/2026-01-01T00:00:00Z/P999999999Y")
    assert schedule.upcoming(EARLY, 5) == [datetime(2026, 1, 1, tzinfo=UTC)]
    assert schedule.count(EARLY, moment("9999-12-31T00:00Z")) == 1
