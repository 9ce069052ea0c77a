"""Clock changes, and which civil times they leave out or repeat."""

from datetime import UTC, datetime, timedelta

import pytest

from carillon.schedule import load_zone
from carillon.schedule.changes import change_near, clock_changes


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "changes"),
    [
        ("Europe/Paris", [("2027-03-28 01:00", True, 60), ("2027-10-31 01:00", False, 60)]),
        ("Australia/Lord_Howe", [("2027-04-03 15:00", False, 30), ("2027-10-02 15:30", True, 30)]),
        ("UTC", []),
        ("Asia/Tokyo", []),
    ],
)
def test_the_changes_of_a_year(zone: str, changes: list[tuple[str, bool, int]]) -> None:
    found = clock_changes(load_zone(zone), at("2027-01-01"), at("2028-01-01"))
    assert [(c.at, c.forward, c.shift) for c in found] == [
        (at(moment), forward, timedelta(minutes=minutes)) for moment, forward, minutes in changes
    ]


def test_the_bounds_are_after_and_through() -> None:
    zone, change = load_zone("Europe/Paris"), at("2027-03-28 01:00")
    assert clock_changes(zone, change, change + timedelta(days=1)) == []
    assert len(clock_changes(zone, change - timedelta(seconds=1), change)) == 1


def test_civil_times_of_a_gap_and_of_a_repeated_hour() -> None:
    gap, repeated = clock_changes(load_zone("Europe/Paris"), at("2027-01-01"), at("2028-01-01"))
    assert gap.civil == (at("2027-03-28 02:00"), at("2027-03-28 03:00"))
    assert repeated.civil == (at("2027-10-31 02:00"), at("2027-10-31 03:00"))


@pytest.mark.parametrize(
    ("instant", "near"),
    [
        ("2027-03-28 00:59:59", False),
        ("2027-03-28 01:00:00", True),
        ("2027-03-28 01:00:01", False),
        ("2027-10-30 23:59:59", False),
        ("2027-10-31 00:00:00", True),
        ("2027-10-31 01:59:59", True),
        ("2027-10-31 02:00:00", False),
    ],
)
def test_what_is_near_a_change(instant: str, near: bool) -> None:
    assert (change_near(load_zone("Europe/Paris"), at(instant)) is not None) is near
