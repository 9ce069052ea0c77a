"""jitterSeconds: the same on every machine, spread evenly, and never past the next due time."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.schedule import closed, exclude_dates, offset_seconds, outside, parse_at, parse_cron, start_of

DUE = datetime(2026, 3, 1, 3, tzinfo=UTC)
CASES = [("files/clear", 300, 187), ("files/clear/monthly", 300, 267), ("", 86_400, 1_463)]


@pytest.mark.parametrize(("seed", "limit", "expected"), CASES)
def test_it_never_changes(seed: str, limit: int, expected: int) -> None:
    """Were this to change, an upgrade would move every start."""
    assert offset_seconds(seed, DUE, limit) == expected
    assert offset_seconds(seed, DUE.astimezone(ZoneInfo("Asia/Tokyo")), limit) == expected


def test_other_processes_draw_the_same() -> None:
    program = (
        "from datetime import UTC, datetime\nfrom carillon.schedule import offset_seconds\n"
        "print([offset_seconds('files/clear', datetime(2026, 3, day, tzinfo=UTC), 999) for day in range(1, 30)])"
    )
    drawn = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert drawn == {
        str([offset_seconds("files/clear", datetime(2026, 3, day, tzinfo=UTC), 999) for day in range(1, 30)]) + "\n"
    }


@pytest.mark.parametrize("limit", [0, -1])
def test_without_a_limit_there_is_none(limit: int) -> None:
    assert offset_seconds("files/clear", DUE, limit) == 0
    assert start_of(parse_cron("@daily"), "files/clear", DUE, limit) == DUE


def test_it_is_spread_over_jobs_and_over_due_times() -> None:
    """10,000 draws of 0 to 9: each about 1,000 times, give or take five standard deviations of 30."""
    over_jobs = [offset_seconds(f"files/job-{number}", DUE, 9) for number in range(10_000)]
    over_time = [offset_seconds("files/clear", DUE + timedelta(days=number), 9) for number in range(10_000)]
    for drawn in (over_jobs, over_time):
        assert set(drawn) == set(range(10))
        assert all(850 < drawn.count(number) < 1_150 for number in range(10))


@given(seed=st.text(max_size=20), limit=st.integers(0, 100_000), minutes=st.integers(1, 59))
def test_starts_keep_the_order_of_due_times(seed: str, limit: int, minutes: int) -> None:
    schedule = parse_cron(f"*/{minutes} * * * *", time_zone="Europe/Paris")
    due = schedule.upcoming(DUE, 30)
    starts = [start_of(schedule, seed, moment, limit) for moment in due]
    assert all(0 <= (start - moment).total_seconds() <= limit for moment, start in zip(due, starts, strict=True))
    assert all(start < following for start, following in zip(starts, due[1:], strict=False))


def test_starts_do_not_pile_up_before_the_next_due_time() -> None:
    schedule = parse_cron("* * * * *")
    starts = {start_of(schedule, f"files/job-{number}", DUE, 3_600) for number in range(2_000)}
    assert starts == {DUE + timedelta(seconds=second) for second in range(60)}


def test_the_last_due_time_has_the_whole_limit_and_what_is_excluded_is_not_next() -> None:
    assert start_of(parse_at("2026-03-01T03:00:00Z"), "x", DUE, 5_000) == DUE + timedelta(
        seconds=offset_seconds("x", DUE, 5_000)
    )
    hourly = outside(parse_cron("@hourly"), closed([exclude_dates(["2026-03-02"], ZoneInfo("UTC"))]))
    last = datetime(2026, 3, 1, 23, tzinfo=UTC)
    starts = [start_of(hourly, str(number), last, 80_000) for number in range(99)]
    assert max(starts) > last + timedelta(hours=1)
