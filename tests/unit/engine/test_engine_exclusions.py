"""Excluded due times make no run and are told in skips; exclusions come from the definition and from Calendars."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from carillon.api.calendar import CalendarSpec
from carillon.api.exclude import Closures
from carillon.engine import plan as plans
from carillon.engine import planning
from carillon.engine.audit import verify
from carillon.engine.calendars import decide_calendar
from carillon.engine.decide import decide
from carillon.engine.explain import explain
from carillon.engine.model import Calendar, CalendarSnapshot, Definition, Key
from carillon.engine.read import read_calendar, read_definition
from carillon.schedule import Piece
from tests.unit.engine.builders import (
    NAMESPACE,
    a_definition,
    a_run,
    at,
    conditions_after,
    each,
    fired,
    handled,
    job_names,
    outcome,
    raw_definition,
    skipped,
    snapshot,
    status_after,
)

NOON_CLOSED: dict[str, Any] = {"windows": [{"cron": "0 12 * * *", "durationSeconds": 3600}]}


def a_calendar(name: str = "office", **spec: Any) -> Calendar:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "resourceVersion": "5", "generation": 2}
    return read_calendar({"metadata": metadata, "spec": spec})


def with_calendar(calendar: Calendar | None, *names: str) -> Definition:
    calendars = {calendar.key.name: calendar} if calendar is not None else {}
    return read_definition(raw_definition("*/30 * * * *", exclude={"calendars": list(names)}), calendars)


def test_an_excluded_due_time_makes_no_run_and_is_told() -> None:
    definition = a_definition("*/30 * * * *", handled="11:30", exclude=NOON_CLOSED)
    plan = decide(snapshot(definition), at("12:00:00"))
    assert fired(plan) == []
    assert skipped(plan, definition) == ["t0 12:00:00 Excluded"]
    assert handled(plan, definition) == {"t0": "12:00:00"}


def test_the_first_one_after_it_fires() -> None:
    definition = a_definition("*/30 * * * *", handled="12:30", exclude=NOON_CLOSED)
    assert fired(decide(snapshot(definition), at("13:00:00"))) == ["13:00:00"]


def test_neighbours_share_a_line() -> None:
    first = a_definition("*/30 * * * *", handled="11:30", exclude=NOON_CLOSED)
    status = status_after(decide(snapshot(first), at("12:00:00")), first)
    second = a_definition("*/30 * * * *", exclude=NOON_CLOSED, status=status.model_dump(mode="json", by_alias=True))
    assert skipped(decide(snapshot(second), at("12:30:00")), second) == ["t0 12:00:00-12:30:00 x2 Excluded"]


def test_next_executions_leave_them_out() -> None:
    definition = a_definition("*/30 * * * *", handled="11:30", exclude=NOON_CLOSED)
    status = status_after(decide(snapshot(definition), at("11:45")), definition)
    assert status.next_executions[0] == at("13:00")


def test_after_a_downtime_the_newest_that_is_left_runs() -> None:
    definition = a_definition("*/30 * * * *", handled="10:00", exclude=NOON_CLOSED)
    assert fired(decide(snapshot(definition), at("13:00:01"))) == ["13:00:00"]
    definition = a_definition("30 * * * *", handled="10:00", exclude=NOON_CLOSED)
    plan = decide(snapshot(definition), at("13:05"))
    assert fired(plan) == ["11:30:00"]
    run = a_run("11:30", created="13:05:00")
    plan = decide(snapshot(definition, run), at("13:05:01"))
    assert sorted(skipped(plan, definition)) == ["t0 10:30:00 CatchUp", "t0 12:30:00 Excluded"]


@pytest.mark.parametrize(("policy", "late"), [("Latest", ["11:30:00"]), ("All", ["10:30:00", "11:30:00"])])
def test_what_was_missed_waits_for_the_end_of_a_closed_time(policy: str, late: list[str]) -> None:
    spec: dict[str, Any] = {"exclude": NOON_CLOSED, "catchUp": {"policy": policy}}
    definition = a_definition("30 * * * *", created="10:00", handled="10:00", **spec)
    assert fired(decide(snapshot(definition), at("12:45"))) == late
    definition = a_definition("30 * * * *", created="10:00", handled="12:30", **spec)
    runs = [a_run(due, created="12:45:00", trigger="t0") for due in late]
    plan = decide(snapshot(definition, *runs), at("12:45"))
    assert [outcome(plan, run) for run in runs] == [("Scheduled", "Closed")] * len(runs)
    assert plan.wake_at == at("13:00")
    waiting = [a_run(due, "Scheduled", created="12:45:00", reason="Closed", trigger="t0") for due in late]
    assert not [found for found in verify([definition], waiting, [], at("12:58")) if "JobRun" in found.subject]
    assert conditions_after(plan, definition)["OnTime"][0] == "True"
    assert len(job_names(decide(snapshot(definition, *waiting), at("13:00")))) == 1


def test_and_gives_way_to_what_is_due_by_then() -> None:
    definition = a_definition("0,30 * * * *", created="10:00", handled="12:30", exclude=NOON_CLOSED)
    waiting = a_run("11:30", "Scheduled", created="12:45:00", reason="Closed", trigger="t0")
    plan = decide(snapshot(definition, waiting), at("13:00:00"))
    assert outcome(plan, waiting) == ("Skipped", "CatchUp")
    assert fired(plan) == ["13:00:00"]


def test_unless_it_is_too_late_by_then() -> None:
    definition = a_definition("30 11 * * *", handled="10:00", exclude=NOON_CLOSED, startingDeadlineSeconds=4000)
    assert skipped(decide(snapshot(definition), at("12:45")), definition) == ["t0 11:30:00 DeadlineExceeded"]


@pytest.mark.parametrize(
    ("exclude", "closed"),
    [
        ({"dates": ["2026-03-10"]}, True),
        ({"dates": ["2026-03-11"]}, False),
        ({"holidays": [{"country": "FR"}]}, False),
        (NOON_CLOSED, True),
        ({}, False),
    ],
)
def test_kinds(exclude: dict[str, Any], closed: bool) -> None:
    definition = a_definition("0 12 * * *", handled="11:30", exclude=exclude)
    assert fired(decide(snapshot(definition), at("12:00:00"))) == ([] if closed else ["12:00:00"])


def test_a_holiday_is_a_civil_day_of_the_triggers_zone() -> None:
    named = [{"name": "t0", "cron": "30 23 * * *", "timeZone": "America/New_York"}]
    definition = a_definition(
        triggers=named,
        created="2026-07-01 00:00",
        handled="2026-07-04 03:30",
        exclude={"holidays": [{"country": "US"}]},
    )
    plan = decide(snapshot(definition), at("2026-07-05 03:30:00"))  # the evening of the 4th over there
    assert fired(plan) == []
    assert skipped(plan, definition) == ["t0 2026-07-05 03:30:00 Excluded"]


def test_a_calendar_is_parsed_once_a_time_zone_for_all_that_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    parse = planning._pieces

    def note(closures: Closures, root: str, key: Key, zone: ZoneInfo, problems: list[str]) -> list[Piece]:
        if isinstance(closures, CalendarSpec):
            parsed.append(f"{key.name} {zone}")
        return parse(closures, root, key, zone, problems)

    monkeypatch.setattr(planning, "_pieces", note)
    calendars = {name: a_calendar(name, dates=["2026-03-11"], **NOON_CLOSED) for name in ("office", "school")}
    assert parsed == ["office UTC", "school UTC"], "to see whether they are valid"
    parsed.clear()
    triggers = [
        {"name": f"{zone.lower()}-{number}", "cron": f"{number} * * * *", "timeZone": f"Europe/{zone}"}
        for number in range(3)
        for zone in ("Paris", "Rome")
    ]
    for name in ("one", "other"):
        raw = raw_definition(name=name, triggers=triggers, exclude={"calendars": ["office", "school"]})
        assert read_definition(raw, calendars).invalid == ""
    zones = ("Europe/Paris", "Europe/Rome")
    assert parsed == [f"{name} {zone}" for zone in zones for name in ("office", "school")]


class TestCalendars:
    def test_its_exclusions_are_added(self) -> None:
        definition = with_calendar(a_calendar(**NOON_CLOSED), "office")
        assert definition.invalid == ""
        closed = definition.triggers[0].closed
        assert closed is not None
        assert closed.at(at("12:15")) is not None

    def test_people_are_told_which_one_it_was(self) -> None:
        definition = with_calendar(a_calendar(**NOON_CLOSED), "office")
        found = explain(definition, (), at("12:00"), at("12:10"))
        assert found.excluded == "window 0 12 * * *, of Calendar office"

    def test_one_that_is_missing_makes_the_definition_invalid(self) -> None:
        definition = with_calendar(None, "office")
        assert definition.invalid == (
            "spec.exclude.calendars[0]: there is no Calendar office in namespace files; create it, or remove it"
        )
        plan = decide(snapshot(definition), at("12:00:00"))
        assert fired(plan) == []
        assert conditions_after(plan, definition)["Ready"] == ("False", "InvalidSpec")

    def test_so_does_one_that_is_wrong(self) -> None:
        wrong = a_calendar(holidays=[{"country": "XX"}])
        definition = with_calendar(wrong, "office")
        assert "spec.exclude.calendars[0]: Calendar office is not valid: spec.holidays[0]: " in definition.invalid

    @pytest.mark.parametrize(
        ("spec", "status", "reason"),
        [(NOON_CLOSED, "True", "Accepted"), ({"dates": ["2026-02-30"]}, "False", "InvalidSpec")],
    )
    def test_its_status_says_so(self, spec: dict[str, Any], status: str, reason: str) -> None:
        plan = decide_calendar(CalendarSnapshot(a_calendar(**spec), used_by=3), at("12:00:00.5"))
        (write,) = each(plan, plans.WriteCalendarStatus)
        ready = write.status["conditions"][0]
        assert (ready["status"], ready["reason"], write.status["usedBy"]) == (status, reason, 3)
        assert len(each(plan, plans.Emit)) == (status == "False")

    def test_once(self) -> None:
        calendar = a_calendar(**NOON_CLOSED)
        (write,) = each(
            decide_calendar(CalendarSnapshot(calendar, used_by=3), at("12:00:00")), plans.WriteCalendarStatus
        )
        metadata = {"name": "office", "namespace": NAMESPACE, "uid": "u", "resourceVersion": "6", "generation": 2}
        written = read_calendar({"metadata": metadata, "spec": NOON_CLOSED, "status": write.status})
        assert decide_calendar(CalendarSnapshot(written, used_by=3), at("13:00:00")).actions == ()


@pytest.mark.parametrize(
    ("exclude", "words"),
    [
        ({"dates": ["2026-02-30"]}, "spec.exclude.dates[0]: "),
        ({"holidays": [{"country": "FRA", "subdivision": "nowhere"}]}, "spec.exclude.holidays[0]: "),
        (
            {"windows": [{"cron": f"{minute} * * * *", "durationSeconds": 60} for minute in (0, 20, 40)]},
            "spec.exclude: found windows that open 72 times a day together",
        ),
        ({"windows": [{"cron": "61 * * * *", "durationSeconds": 60}]}, "spec.exclude.windows[0]: "),
        ({"windows": [{"cron": "0 8 * * *", "durationSeconds": 60, "timeZone": "Europe/Pari"}]}, "Europe/Paris"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(exclude: dict[str, Any], words: str) -> None:
    assert words in a_definition("0 12 * * *", exclude=exclude).invalid
