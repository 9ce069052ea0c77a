"""Zones by name, and the tables made of them."""

import random
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from carillon.schedule import ScheduleError, load_zone
from carillon.schedule.offsets import offsets_of
from carillon.schedule.zone import PLACES, nearest_names
from tests.unit.schedule import crons

HOUR = 3_600


def test_a_name_of_the_database_is_a_zone() -> None:
    assert load_zone("America/Argentina/Buenos_Aires") is ZoneInfo("America/Argentina/Buenos_Aires")
    assert load_zone("UTC").key == "UTC"
    assert load_zone("Etc/GMT+12").key == "Etc/GMT+12"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", 'found an empty time zone; write an IANA name such as "Europe/Paris", or leave it out for UTC'),
        ("Local", "found time zone 'Local'; write an IANA name such as"),
        ("local", "found time zone 'local'"),
        ("/etc/passwd", "found a path as time zone, '/etc/passwd'"),
        ("../Paris", "found a path as time zone"),
        ("Europe/../Europe/Paris", "found a path as time zone"),
        ("\\Europe", "found a path as time zone"),
        ("Europe/Pariss", "unknown time zone 'Europe/Pariss'; write \"Europe/Paris\""),
        ("europe/paris", 'write "Europe/Paris"'),
        ("Paris", 'write "Europe/Paris"'),
        ("New York", 'write "America/New_York"'),
        ("America/NewYork", 'write "America/New_York"'),
        ("Europe", "unknown time zone 'Europe'; write"),
        ("+01:00", "unknown time zone '+01:00'; write an IANA name"),
        ("right/Europe/Paris", "unknown time zone 'right/Europe/Paris'; write \"Europe/Paris\""),
        ("localtime", "unknown time zone 'localtime'"),
        ("Europe/Paris\0", "unknown time zone"),
        ("zone.tab", "unknown time zone"),
        ("x" * 10_000, "unknown time zone 'xxxx"),
    ],
)
def test_refusals(name: str, message: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        load_zone(name)
    assert message in str(refused.value)
    assert refused.value.text == name
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("zone", crons.ZONES)
def test_tables_say_what_zoneinfo_says(zone: str) -> None:
    rng = random.Random(zone)
    clock, offsets = load_zone(zone), offsets_of(load_zone(zone))
    asked = [rng.randint(-5_000_000_000, 9_000_000_000) for _ in range(400)]
    for change in crons.changes(zone, 1930, 2100):
        asked += [change - 1, change, change + 1]
    for instant in asked:
        offset = datetime.fromtimestamp(instant, clock).utcoffset()
        assert offset is not None
        assert offsets.at(instant) == offset.total_seconds(), (zone, instant)


def test_no_offset_comes_and_goes_between_two_samples() -> None:
    """The tables rest on that; seen by asking every hour where the database has its shortest visits."""
    for zone, begin, end in (
        ("Africa/Freetown", "1939-08-01", "1939-12-01"),
        ("America/Boa_Vista", "2000-09-01", "2000-12-01"),
        ("America/Noronha", "2000-09-01", "2000-12-01"),
        ("Asia/Gaza", "2040-09-01", "2040-12-01"),
        ("Africa/Tunis", "1943-03-01", "1943-06-01"),
        ("Europe/Vienna", "1945-03-01", "1945-06-01"),
        ("Africa/Casablanca", "2026-01-01", "2027-01-01"),
    ):
        clock, table = load_zone(zone), offsets_of(load_zone(zone))
        low, high = (int(datetime.fromisoformat(f"{day}T00:00Z").timestamp()) for day in (begin, end))
        found = [block.starts[index] for block, index in table.transitions(low, high)]
        hourly = [datetime.fromtimestamp(instant, clock).utcoffset() for instant in range(low, high + 1, HOUR)]
        seen = [low + HOUR * place for place in range(1, len(hourly)) if hourly[place] != hourly[place - 1]]
        assert [instant + -instant % HOUR for instant in found] == seen, zone


def test_transitions_are_the_same_whatever_the_stride() -> None:
    offsets = offsets_of(load_zone("Europe/Paris"))
    low, high = (int(datetime(year, 6, 1, tzinfo=UTC).timestamp()) for year in (1965, 2065))
    whole = [block.starts[index] for block, index in offsets.transitions(low, high)]
    step = int(timedelta(days=100).total_seconds())
    parts = [
        block.starts[index]
        for begin in range(low, high, step)
        for block, index in offsets.transitions(begin, min(begin + step, high))
    ]
    assert whole == parts == sorted(set(whole))
    assert len(whole) == 1 + 2 * 89
    block = offsets.block(whole[50])
    assert block.starts[bisect_right(block.starts, whole[50]) - 1] == whole[50]


def test_names_come_from_the_package() -> None:
    assert PLACES["paris"] == ["Europe/Paris"]
    assert PLACES["louisville"] == ["America/Kentucky/Louisville", "America/Louisville"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Europe/Pariss", ["Europe/Paris"]),
        ("Europe/Londn", ["Europe/London"]),
        ("America/Lousville", ["America/Louisville", "America/Kentucky/Louisville"]),
        ("asia/calcuta", ["Asia/Calcutta"]),
        ("Europe/Xyzzy", []),
        ("America/aeiou", []),
        ("xqzwv", []),
        ("Europe", []),
        ("e" * 64, []),
    ],
)
def test_only_what_is_near_is_suggested(name: str, nearest: list[str]) -> None:
    assert nearest_names(name) == nearest
