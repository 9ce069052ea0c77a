"""Jitter moves the start of a run, never its due time, and never past the next one."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import Definition
from carillon.engine.triggers import starts_at
from tests.unit.engine.builders import (
    a_definition,
    a_job,
    a_run,
    at,
    conditions_after,
    each,
    fired,
    handled,
    history_line,
    job_names,
    outcome,
    skipped,
    snapshot,
)

HOURLY = [{"name": "t0", "cron": "0 * * * *", "jitterSeconds": 600}]
WAITS = ("Scheduled", "Jitter")


def hourly(*, handled: str = "11:00", **rest: Any) -> Definition:
    return a_definition(triggers=HOURLY, handled=handled, **rest)


def start(definition: Definition, due: str = "12:00") -> Any:
    return starts_at(definition.triggers[0], at(due))


def test_it_is_the_same_each_time_and_differs_between_due_times_and_definitions() -> None:
    assert start(hourly()) == start(hourly()) != start(hourly(name="other"))
    offsets = {start(hourly(), f"{hour:02}:00") - at(f"{hour:02}:00") for hour in range(20)}
    assert len(offsets) > 10


def test_the_run_is_made_at_the_due_time_and_waits() -> None:
    definition = hourly()
    assert fired(decide(snapshot(definition), at("12:00:00"))) == ["12:00:00"]
    run = a_run("12:00")
    plan = decide(snapshot(definition, run), at("12:00:00.1"))
    assert job_names(plan) == []
    assert outcome(plan, run) == ("Scheduled", "Jitter")
    assert plan.wake_at == start(definition)
    assert handled(plan, definition) == {"t0": "12:00:00"}


def test_then_its_job_is_made() -> None:
    definition, run = hourly(handled="12:00"), a_run("12:00", "Scheduled", reason="Jitter", trigger="t0")
    assert job_names(decide(snapshot(definition, run), start(definition) - timedelta(seconds=1))) == []
    assert len(job_names(decide(snapshot(definition, run), start(definition)))) == 1


@pytest.mark.parametrize("busy_at", ["due", "start"])
def test_concurrency_is_decided_at_the_start(busy_at: str) -> None:
    definition = hourly()
    active = a_run("11:00", "Running")
    at_due = decide(snapshot(definition, active, a_job(active, active=1)), at("12:00:00"))
    assert fired(at_due) == ["12:00:00"]
    waiting = a_run("12:00", "Scheduled", reason="Jitter", trigger="t0")
    seen = snapshot(definition, active, waiting, a_job(active, active=1)) if busy_at == "start" else None
    plan = decide(seen or snapshot(definition, waiting), start(definition))
    assert outcome(plan, waiting) == (("Skipped", "ConcurrencyForbid") if busy_at == "start" else WAITS)
    assert len(job_names(plan)) == (busy_at == "due")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, WAITS),
        ({"triggers": [{"name": "t0", "cron": "5 * * * *", "jitterSeconds": 600}]}, ("Skipped", "Withdrawn")),
        ({"triggers": [{"name": "t1", "cron": "0 * * * *", "jitterSeconds": 600}]}, ("Skipped", "Withdrawn")),
        ({"triggers": []}, ("Skipped", "Withdrawn")),
        ({"suspend": True}, ("Skipped", "Suspended")),
        ({"exclude": {"dates": ["2026-03-10"]}}, ("Skipped", "Excluded")),
        ({"exclude": {"dates": ["2026-03-11"]}}, WAITS),
        ({"exclude": {"calendars": ["missing"]}}, WAITS),
    ],
)
def test_an_edit_in_between(changed: dict[str, Any], expected: tuple[str, str]) -> None:
    before = hourly(handled="12:00")
    edited = a_definition(**{"triggers": HOURLY, **changed})
    definition = replace(edited, status=before.status, generation=2)
    run = a_run("12:00", "Scheduled", reason="Jitter", trigger="t0")
    plan = decide(snapshot(definition, run), start(before) - timedelta(seconds=5))
    assert (job_names(plan), fired(plan)) == ([], [])
    assert outcome(plan, run) == expected


def test_a_change_of_exclusions_does_not_bring_back_what_was_excluded_meanwhile() -> None:
    named = [{"name": "t0", "cron": "0/10 * * * *", "jitterSeconds": 3600}]
    closed = {"windows": [{"cron": "5 12 * * *", "durationSeconds": 3000}]}
    before = a_definition(triggers=named, handled="11:50", exclude=closed)
    run = a_run("12:00", "Scheduled", reason="Jitter", trigger="t0")
    plan = decide(snapshot(before, run), at("12:31:00"))
    assert handled(plan, before) == {"t0": "12:30:00"}
    assert skipped(plan, before) == ["t0 12:10:00-12:30:00 x3 Excluded"]


def test_it_ends_before_a_closed_time_begins() -> None:
    closed = {"windows": [{"cron": "2 * * * *", "durationSeconds": 1200}]}
    starts = {start(hourly(exclude=closed), f"{hour:02}:00") - at(f"{hour:02}:00") for hour in range(20)}
    assert len(starts) > 10
    assert max(starts) < timedelta(seconds=120)


@pytest.mark.parametrize(("policy", "runs"), [("Skip", 0), ("Latest", 1), ("All", 1)])
def test_a_run_that_waited_through_a_downtime_is_decided_like_a_missed_one(policy: str, runs: int) -> None:
    definition = hourly(handled="12:00", catchUp={"policy": policy})
    run = a_run("12:00", "Scheduled", reason="Jitter", trigger="t0")
    plan = decide(snapshot(definition, run), at("12:50"))
    assert len(job_names(plan)) == runs
    assert outcome(plan, run) == (WAITS if runs else ("Skipped", "CatchUp"))


def test_the_newest_is_what_counts_then() -> None:
    definition, run = hourly(handled="12:00"), a_run("12:00", "Scheduled", reason="Jitter", trigger="t0")
    plan = decide(snapshot(definition, run), at("13:20"))
    assert outcome(plan, run) == ("Skipped", "CatchUp")


def test_the_lateness_is_counted_from_the_start() -> None:
    definition = hourly()
    run = a_run("12:00", created=f"{start(definition):%H:%M:%S}")
    (create,) = each(decide(snapshot(definition, run), start(definition)), plans.CreateJob)
    assert create.due_at == start(definition)


def test_a_run_that_starts_with_its_jitter_is_on_time() -> None:
    definition = hourly(concurrency={"policy": "Replace"})
    run = a_run("12:00", created=f"{start(definition):%H:%M:%S}")
    assert conditions_after(decide(snapshot(definition, run), start(definition)), definition)["OnTime"][0] == "True"


def test_a_downtime_through_the_start_misses_it() -> None:
    definition = hourly(catchUp={"policy": "Skip"})
    plan = decide(snapshot(definition), at("12:59:00"))
    assert fired(plan) == []
    assert skipped(plan, definition) == ["t0 12:00:00 CatchUp"]


def test_the_deadline_counts_from_the_start() -> None:
    definition = hourly(startingDeadlineSeconds=1)
    assert fired(decide(snapshot(definition), start(definition))) == ["12:00:00"]


@pytest.mark.parametrize("other", [0, 1])
def test_an_instant_that_another_trigger_names_without_jitter_starts_at_once(other: int) -> None:
    named: list[Any] = [{"name": "t1", "cron": "0 12 * * *"}]
    named.insert(other, HOURLY[0])
    definition = a_definition(triggers=named, handled="11:30")
    assert fired(decide(snapshot(definition), at("12:00:00"))) == ["12:00:00"]
    plan = decide(snapshot(definition, a_run("12:00")), start(a_definition(triggers=HOURLY)))
    assert fired(plan) == []
    assert handled(plan, definition) == {"t0": "12:00:00", "t1": "12:00:00"}


def test_it_never_reaches_the_next_due_time() -> None:
    definition = a_definition(triggers=[{"name": "t0", "cron": "* * * * *", "jitterSeconds": 600}], handled="12:00")
    for minute in range(1, 30):
        assert start(definition, f"12:{minute:02}") < at(f"12:{minute + 1:02}")


def test_a_run_that_somebody_clears_is_not_made_again_for_the_trigger_that_waits() -> None:
    named: list[Any] = [{"name": "plain", "cron": "0 12 * * *"}, HOURLY[0]]
    line = history_line("sweep-1", "12:01:00", due="12:00", trigger="plain")
    definition = a_definition(triggers=named, handled={"plain": "12:00", "t0": "11:00"}, status={"history": [line]})
    assert fired(decide(snapshot(definition), start(a_definition(triggers=HOURLY)))) == []


def test_catch_up_all_counts_the_deadline_from_the_start() -> None:
    definition = hourly(catchUp={"policy": "All"}, startingDeadlineSeconds=200)
    begin = start(definition)
    assert begin - at("12:00") > timedelta(seconds=100)
    assert fired(decide(snapshot(definition), begin + timedelta(seconds=120))) == ["12:00:00"]
