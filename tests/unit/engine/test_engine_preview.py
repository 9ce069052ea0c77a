"""Due times to come, with clock changes between them and what exclusions leave out."""

from typing import Any

import pytest

from carillon.engine.model import Definition
from carillon.engine.outlook import common_zone, outlooks
from carillon.engine.preview import ChangeRow, DueRow, Preview, preview
from tests.unit.engine.builders import a_definition, at

NIGHTLY = {"name": "nightly", "cron": "30 2 * * *", "timeZone": "Europe/Paris"}


def of(after: str, count: int, *definitions: Definition, excluded: bool = False) -> Preview:
    jobs = [(definition.key, outlooks(definition, at("12:00"))) for definition in definitions]
    return preview(jobs, at(after), count, excluded=excluded)


def lines(found: Preview) -> list[str]:
    return [_line(row) for row in found.rows]


def _line(row: DueRow | ChangeRow) -> str:
    if isinstance(row, ChangeRow):
        return " ".join((f"{row.change.at:%m-%d %H:%M} change", *row.notes))
    return " ".join(filter(None, (f"{row.instant:%m-%d %H:%M}", row.names, row.excluded, *row.notes)))


CHANGES = [
    (
        "gap, RunOnce",
        {},
        "2026-03-28 00:00",
        ["03-28 01:30 nightly", "03-29 01:00 change", "03-29 01:00 nightly in the gap: 02:30 does not exist"],
    ),
    (
        "gap, WallClock",
        {"daylightSaving": "WallClock"},
        "2026-03-28 00:00",
        ["03-28 01:30 nightly", "03-29 01:00 change 02:30 does not exist: left out", "03-30 00:30 nightly"],
    ),
    (
        "repeated, RunOnce",
        {},
        "2026-10-25 00:00",
        ["10-25 00:30 nightly second 02:30 left out", "10-25 01:00 change", "10-26 01:30 nightly"],
    ),
    (
        "repeated, WallClock",
        {"daylightSaving": "WallClock"},
        "2026-10-25 00:00",
        ["10-25 00:30 nightly first 02:30 of two", "10-25 01:00 change", "10-25 01:30 nightly second 02:30 of two"],
    ),
    (
        "several in the gap",
        {"cron": "*/10 2 * * *"},
        "2026-03-29 00:30",
        ["03-29 01:00 change", "03-29 01:00 nightly in the gap: 02:00, 02:10, 02:20 and 3 more do not exist"],
    ),
    (
        "every hour: nothing is left out",
        {"cron": "30 * * * *"},
        "2026-03-29 00:00",
        ["03-29 00:30 nightly", "03-29 01:00 change", "03-29 01:30 nightly"],
    ),
]


@pytest.mark.parametrize(("change", "after", "expected"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_clock_changes(change: dict[str, Any], after: str, expected: list[str]) -> None:
    definition = a_definition(triggers=[{**NIGHTLY, **change}])
    due = sum("change" not in line for line in expected)
    assert lines(of(after, due, definition)) == expected


def test_between_due_times_that_are_years_apart_changes_are_not_told() -> None:
    definition = a_definition(triggers=[{**NIGHTLY, "cron": "0 12 1 1 *"}])
    assert lines(of("2026-02-01 00:00", 2, definition)) == ["01-01 11:00 nightly", "01-01 11:00 nightly"]


def test_two_triggers_of_a_definition_at_one_instant_are_one_row() -> None:
    found = of("12:00", 3, a_definition("*/30 * * * *", "0 * * * *"))
    assert lines(found) == ["03-10 12:30 t0", "03-10 13:00 t0, t1", "03-10 13:30 t0"]


def test_definitions_are_merged_and_stay_apart() -> None:
    found = of("12:00", 3, a_definition("0 * * * *", name="b"), a_definition("0 * * * *", name="a"))
    assert [(row.key.name, row.instant) for row in found.due] == [
        ("a", at("13:00")),
        ("b", at("13:00")),
        ("a", at("14:00")),
    ]


CLOSED = {"windows": [{"cron": "0 13 * * *", "durationSeconds": 3600}]}


def test_what_another_trigger_leaves_open_is_not_listed_as_excluded() -> None:
    """A date is read in each trigger's own zone: half past eleven in London is the next day in Paris."""
    paris = {"name": "paris", "cron": "30 0 * * *", "timeZone": "Europe/Paris"}
    london = {"name": "london", "cron": "30 23 * * *", "timeZone": "Europe/London"}
    definition = a_definition(triggers=[paris, london], exclude={"dates": ["2026-03-11"]})
    found = of("12:00", 2, definition, excluded=True)
    assert lines(found) == ["03-10 23:30 london", "03-11 23:30 paris"]
    assert found.excluded == 0


def test_one_instant_that_two_triggers_exclude_is_told_once() -> None:
    definition = a_definition("0 * * * *", "*/30 * * * *", exclude=CLOSED)
    found = of("12:00", 2, definition, excluded=True)
    assert lines(found) == [
        "03-10 12:30 t1",
        "03-10 13:00 t0, t1 window 0 13 * * *",
        "03-10 13:30 t1 window 0 13 * * *",
        "03-10 14:00 t0, t1",
    ]
    assert found.excluded == 2


def test_excluded_due_times_are_counted_and_listed_when_asked_for() -> None:
    definition = a_definition("*/30 * * * *", exclude=CLOSED)
    found = of("12:00", 2, definition)
    assert (lines(found), found.excluded) == (["03-10 12:30 t0", "03-10 14:00 t0"], 2)
    listed = of("12:00", 2, definition, excluded=True)
    assert lines(listed) == [
        "03-10 12:30 t0",
        "03-10 13:00 t0 window 0 13 * * *",
        "03-10 13:30 t0 window 0 13 * * *",
        "03-10 14:00 t0",
    ]
    assert len(listed.due) == 2


def test_a_schedule_that_ends() -> None:
    found = of("12:00", 5, a_definition("2026-03-10T13:00:00Z"))
    assert lines(found) == ["03-10 13:00 t0"]


def test_nothing_is_due_any_more() -> None:
    assert of("12:00", 5, a_definition("2026-03-10T11:00:00Z")).rows == ()


@pytest.mark.parametrize(
    ("zones", "common"),
    [((), "UTC"), (("Europe/Paris",), "Europe/Paris"), (("Europe/Paris", "Asia/Tokyo"), None)],
)
def test_the_zone_of_a_time_without_an_offset(zones: tuple[str, ...], common: str | None) -> None:
    triggers = [{"name": f"t{n}", "cron": "0 3 * * *", "timeZone": zone} for n, zone in enumerate(zones)]
    found = common_zone(outlooks(a_definition(triggers=triggers), at("12:00")))
    assert (None if found is None else found.key) == common
