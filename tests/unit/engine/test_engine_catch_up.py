"""What becomes of due times that nobody was there to fire: design 3.3, catchUp Skip, Latest and All."""

import time
from typing import Any

import pytest

from carillon.api import keys
from carillon.engine.decide import decide
from carillon.engine.model import Run
from carillon.engine.plan import CreateRun
from tests.unit.engine.builders import (
    EVERY_MINUTE,
    HOURLY,
    a_definition,
    a_job,
    a_run,
    at,
    each,
    fired,
    handled,
    job_names,
    outcome,
    skipped,
    snapshot,
)

ALL: dict[str, Any] = {"policy": "All", "limit": 3}


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ({"policy": "Skip"}, ([], ["t0 09:00:00-11:00:00 x3 CatchUp"])),
        ({"policy": "Latest"}, (["11:00:00"], ["t0 09:00:00-10:00:00 x2 CatchUp"])),
        ({}, (["11:00:00"], ["t0 09:00:00-10:00:00 x2 CatchUp"])),
        ({"policy": "All", "limit": 2}, (["10:00:00", "11:00:00"], ["t0 09:00:00 CatchUp"])),
        ({"policy": "All", "limit": 10}, (["09:00:00", "10:00:00", "11:00:00"], [])),
    ],
    ids=lambda value: value.get("policy", "default") if isinstance(value, dict) else "",
)
def test_after_a_downtime(catch_up: dict[str, Any], expected: tuple[list[str], list[str]]) -> None:
    definition = a_definition(HOURLY, handled="08:00", catchUp=catch_up, concurrency={"policy": "Allow"})
    plan = decide(snapshot(definition), at("11:30"))
    assert (fired(plan), skipped(plan, definition)) == expected


def test_all_runs_what_is_missed_even_while_forbid_holds() -> None:
    definition = a_definition(HOURLY, handled="08:00", catchUp=ALL)
    running = a_run("08:00", "Running")
    plan = decide(snapshot(definition, running, a_job(running, active=1)), at("11:30"))
    assert fired(plan) == ["09:00:00", "10:00:00", "11:00:00"]


@pytest.mark.parametrize(("now", "noted"), [("12:00:00", False), ("12:00:59", False), ("12:01:00", True)])
def test_what_was_missed_is_noted_on_the_run_by_the_clock_that_decided_it(now: str, noted: bool) -> None:
    definition = a_definition(HOURLY, handled="11:00", catchUp=ALL)
    (create,) = each(decide(snapshot(definition), at(now)), CreateRun)
    assert (keys.CATCH_UP_ANNOTATION in create.body["metadata"].get("annotations", {})) is noted


@pytest.mark.parametrize("created", ["11:55", "12:00", "12:05"])
@pytest.mark.parametrize(("missed", "expected"), [(False, "Skipped"), (True, "Queued")])
def test_a_skew_between_the_clocks_does_not_make_a_run_missed_or_prompt(
    created: str, missed: bool, expected: str
) -> None:
    definition = a_definition(HOURLY, handled="12:00", catchUp=ALL)
    active, run = a_run("11:00", "Running"), a_run("12:00", created=created, missed=missed)
    plan = decide(snapshot(definition, active, a_job(active, active=1), run), at("12:00:30"))
    assert outcome(plan, run)[0] == expected


def test_a_persons_run_is_not_missed_whatever_is_noted_on_it() -> None:
    definition = a_definition(HOURLY, handled="12:00", catchUp=ALL)
    active, run = a_run("11:00", "Running"), a_run(missed=True)
    plan = decide(snapshot(definition, active, a_job(active, active=1), run), at("12:00:30"))
    assert outcome(plan, run) == ("Skipped", "ConcurrencyForbid")


def test_all_stays_within_the_deadline() -> None:
    definition = a_definition(HOURLY, handled="08:00", catchUp=ALL, startingDeadlineSeconds=2 * 3600)
    plan = decide(snapshot(definition), at("11:30"))
    assert fired(plan) == ["10:00:00", "11:00:00"]
    assert skipped(plan, definition) == ["t0 09:00:00 DeadlineExceeded"]


def test_what_is_due_now_goes_before_what_was_missed() -> None:
    definition = a_definition(HOURLY, handled="08:00", catchUp=ALL)
    plan = decide(snapshot(definition), at("12:00:05"))
    assert fired(plan) == ["12:00:00", "09:00:00", "10:00:00", "11:00:00"]
    assert skipped(plan, definition) == []


def late(due: str, phase: str = "", **rest: Any) -> Run:
    return a_run(due, phase, created="11:30:00", trigger="t0", **rest)


@pytest.mark.parametrize("policy", ["Forbid", "Allow", "Replace"])
def test_one_at_a_time_oldest_first_whatever_the_policy(policy: str) -> None:
    definition = a_definition(HOURLY, handled="11:00", catchUp=ALL, concurrency={"policy": policy})
    runs = [late("11:00"), late("09:00"), late("10:00")]
    plan = decide(snapshot(definition, *runs), at("11:30:01"))
    assert job_names(plan) == ["sweep-" + str(int(at("09:00").timestamp()))]
    assert outcome(plan, runs[2]) == ("Queued", "WaitingForSlot")


@pytest.mark.parametrize("policy", ["Forbid", "Allow", "Replace"])
def test_the_next_one_waits_until_the_pods_of_the_first_are_gone(policy: str) -> None:
    definition = a_definition(HOURLY, handled="11:00", catchUp=ALL, concurrency={"policy": policy})
    first, second = late("09:00", "Running"), late("10:00")
    plan = decide(snapshot(definition, first, second, a_job(first, active=1)), at("11:30:01"))
    assert job_names(plan) == []
    assert outcome(plan, second) == ("Queued", "WaitingForSlot")


def test_a_run_that_has_waited_past_the_deadline_is_skipped() -> None:
    definition = a_definition(HOURLY, handled="11:00", catchUp=ALL, startingDeadlineSeconds=3 * 3600)
    first, second = late("09:00", "Running"), late("10:00", "Queued", reason="WaitingForSlot")
    plan = decide(snapshot(definition, first, second, a_job(first, active=1)), at("13:00:01"))
    assert outcome(plan, second) == ("Skipped", "DeadlineExceeded")


def test_waiting_runs_do_not_keep_a_new_due_time_from_firing() -> None:
    definition = a_definition(HOURLY, handled="11:00", catchUp=ALL)
    runs = [late("09:00"), late("10:00")]
    plan = decide(snapshot(definition, *runs), at("11:30:01"))
    assert job_names(plan)  # one of them starts, and holds the slot
    definition = a_definition(HOURLY, handled="11:00", catchUp=ALL, concurrency={"policy": "Allow"})
    assert fired(decide(snapshot(definition, *runs), at("12:00:00"))) == ["12:00:00"]


def test_the_watermark_passes_when_all_the_runs_exist() -> None:
    definition = a_definition(HOURLY, handled="08:00", catchUp={"policy": "All", "limit": 2})
    plan = decide(snapshot(definition, late("10:00"), late("11:00")), at("11:30:01"))
    assert fired(plan) == []
    assert handled(plan, definition) == {"t0": "11:00:00"}
    assert skipped(plan, definition) == ["t0 09:00:00 CatchUp"]


@pytest.mark.parametrize("catch_up", [{"policy": "Skip"}, {"policy": "Latest"}, {"policy": "All", "limit": 100}])
def test_a_year_of_every_minute_is_decided_by_arithmetic(catch_up: dict[str, Any]) -> None:
    definition = a_definition(EVERY_MINUTE, created="2025-03-01 00:00", handled="2025-03-01 00:00", catchUp=catch_up)
    decide(snapshot(definition), at("11:30"))
    began = time.process_time()
    plan = decide(snapshot(definition), at("11:30:30"))
    assert time.process_time() - began < 0.5  # walking takes seconds
    assert len(fired(plan)) <= 101


class TestClockSteps:
    """A clock that is set neither repeats a run nor loses one."""

    def test_back_by_an_hour(self) -> None:
        definition = a_definition("*/10 * * * *", handled="12:00")
        plan = decide(snapshot(definition), at("11:05"))
        assert fired(plan) == []
        assert plan.wake_at == at("12:10")

    def test_forward_by_two_days_and_back(self) -> None:
        definition = a_definition(HOURLY, handled="2026-03-12 12:00")
        plan = decide(snapshot(definition), at("12:30"))
        assert fired(plan) == []
        assert handled(plan, definition) == {"t0": "2026-03-12 12:00:00"}

    def test_forward_by_an_hour_is_a_downtime(self) -> None:
        definition = a_definition("*/10 * * * *", handled="12:00")
        plan = decide(snapshot(definition), at("13:05"))
        assert fired(plan) == ["13:00:00"]
        assert skipped(plan, definition) == ["t0 12:10:00-12:50:00 x5 CatchUp"]
