"""Jitter moves the start of a run, never its due time, and never past the next one."""

from datetime import timedelta
from typing import Any

import pytest

from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import Definition
from carillon.engine.triggers import starts_at
from tests.unit.engine.builders import (
    a_definition,
    a_run,
    at,
    conditions_after,
    each,
    fired,
    handled,
    history_line,
    skipped,
    snapshot,
)

HOURLY = [{"name": "t0", "cron": "0 * * * *", "jitterSeconds": 600}]


def hourly(*, handled: str = "11:00", **rest: Any) -> Definition:
    return a_definition(triggers=HOURLY, handled=handled, **rest)


def start(definition: Definition, due: str = "12:00") -> Any:
    return starts_at(definition.triggers[0], at(due))


def test_it_is_the_same_each_time_and_differs_between_due_times_and_definitions() -> None:
    assert start(hourly()) == start(hourly()) != start(hourly(name="other"))
    offsets = {start(hourly(), f"{hour:02}:00") - at(f"{hour:02}:00") for hour in range(20)}
    assert len(offsets) > 10


def test_nothing_fires_before_it_and_the_agenda_knows() -> None:
    definition = hourly()
    plan = decide(snapshot(definition), at("12:00:00"))
    assert fired(plan) == []
    assert plan.wake_at == start(definition)
    assert handled(plan, definition) == {"t0": "11:00:00"}


def test_then_the_run_carries_the_nominal_due_time() -> None:
    definition = hourly()
    plan = decide(snapshot(definition), start(definition))
    assert fired(plan) == ["12:00:00"]
    run = a_run("12:00", created=f"{start(definition):%H:%M:%S}")
    assert handled(decide(snapshot(definition, run), start(definition)), definition) == {"t0": "12:00:00"}


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
