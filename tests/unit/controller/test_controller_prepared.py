"""A decision that is taken ahead is carried out if it would be the same, and taken anew otherwise."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from carillon.controller.prepared import KEPT, Prepared, prepare
from carillon.engine.decide import decide
from carillon.engine.model import Definition, Run, Snapshot
from carillon.engine.plan import CreateJob
from tests.unit.engine.builders import a_definition, a_job, a_run, at, snapshot

NOON = at("12:00")
RUN = a_run("12:00", created="11:59:50")


def daily(**spec: Any) -> Definition:
    return a_definition("0 12 * * *", handled="11:00", **spec)


def seal(action: CreateJob) -> CreateJob:
    return replace(action, body={}, sealed=action.name.encode())


def prepared(known: Snapshot) -> Prepared | None:
    return prepare(known, NOON, seal)


def ready(known: Snapshot) -> Prepared:
    found = prepared(known)
    assert found is not None
    return found


def test_it_is_the_decision_of_the_due_time() -> None:
    known = snapshot(daily(), RUN)
    plan, then = ready(known).plan, decide(known, NOON)
    assert (plan.wake_at, plan.next_due) == (then.wake_at, then.next_due)
    (sealed,), (create,) = plan.first, then.first
    assert isinstance(create, CreateJob)
    assert sealed == seal(create)


@pytest.mark.parametrize(
    "things",
    [
        pytest.param((daily(),), id="no run waits"),
        pytest.param((daily(), a_run("12:00", "Stopped")), id="it was stopped"),
        pytest.param((daily(suspend=True), RUN), id="it is disabled"),
        pytest.param(
            (daily(), RUN, busy := a_run("11:00", "Running"), a_job(busy, active=1)), id="what runs is in its way"
        ),
    ],
)
def test_nothing_is_prepared_where(things: tuple[Any, ...]) -> None:
    assert prepared(snapshot(*things)) is None


@pytest.mark.parametrize(("seconds", "holds"), [(-0.1, False), (0, True), (19.9, True), (20.1, False)])
def test_it_holds_for_a_while(seconds: float, holds: bool) -> None:
    known = snapshot(daily(), RUN)
    assert timedelta(seconds=20) == KEPT
    assert ready(known).holds(known, NOON + timedelta(seconds=seconds)) == holds


def test_not_past_the_deadline() -> None:
    known = snapshot(daily(startingDeadlineSeconds=3), RUN)
    assert ready(known).holds(known, at("12:00:03"))
    assert not ready(known).holds(known, at("12:00:03.1"))


def test_not_past_the_next_due_time() -> None:
    definition = a_definition("*/10 * * * * *", handled="11:59:50", concurrency={"policy": "Allow"})
    known = snapshot(definition, RUN)
    assert ready(known).holds(known, at("12:00:08"))
    assert not ready(known).holds(known, at("12:00:10"))


DEFINITION = daily()


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(snapshot(daily(), RUN), id="the definition was read again"),
        pytest.param(snapshot(DEFINITION, replace(RUN)), id="the run was"),
        pytest.param(snapshot(DEFINITION), id="the run is gone"),
        pytest.param(snapshot(DEFINITION, RUN, a_run(name="manual", created="11:59:57")), id="another run is there"),
        pytest.param(snapshot(DEFINITION, RUN, a_job(RUN)), id="its Job is there"),
        pytest.param(snapshot(DEFINITION, RUN, taken_jobs=frozenset({"x"})), id="something was looked up"),
    ],
)
def test_it_holds_no_more_when_anything_has_changed(now: Snapshot) -> None:
    known = ready(snapshot(DEFINITION, RUN))
    assert known.holds(snapshot(DEFINITION, RUN), NOON)
    assert not known.holds(now, NOON)


def test_runs_of_a_group_are_not_prepared_for_it_is_decided_with_the_others() -> None:
    known = ready(snapshot(DEFINITION, RUN))
    run: Run = RUN
    assert not known.holds(replace(snapshot(DEFINITION, run), group=("other",)), NOON)  # type: ignore[arg-type]
