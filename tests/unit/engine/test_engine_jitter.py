"""Jitter moves the start of a run, never its due time, and never past the next one."""

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from carillon.api.jobrun import JobRunStatus
from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import Definition, Run
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
    run_status,
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
        ({"exclude": {"calendars": ["missing"]}}, ("Scheduled", "Invalid")),
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


def test_a_definition_that_is_first_seen_after_its_due_time_has_its_jitter_all_the_same() -> None:
    definition = a_definition(triggers=HOURLY, created="11:59:58", status={"observedGeneration": 0})
    run = a_run("12:00", created="12:00:01", trigger="t0")
    plan = decide(snapshot(definition, run), at("12:00:01"))
    assert (job_names(plan), outcome(plan, run)) == ([], WAITS)
    assert plan.wake_at == start(hourly())


@pytest.mark.parametrize(
    ("catch_up", "changed", "expected"),
    [
        ("Skip", {}, ("Skipped", "CatchUp")),
        ("Latest", {}, ("Skipped", "CatchUp")),
        ("Latest", {"triggers": []}, ("Skipped", "Withdrawn")),
    ],
)
def test_a_process_that_dies_after_the_run_was_made_changes_nothing(
    catch_up: str, changed: dict[str, Any], expected: tuple[str, str]
) -> None:
    definition = a_definition(
        **{"triggers": HOURLY, "handled": "11:00", "created": "10:00", "catchUp": {"policy": catch_up}, **changed}
    )
    run = a_run("12:00", trigger="t0")
    plan = decide(snapshot(definition, run), at("18:20:00"))
    assert (job_names(plan), outcome(plan, run)) == ([], expected)


@pytest.mark.parametrize("jitter", [None, 60, 3600])
def test_an_edit_of_the_jitter_does_not_move_a_start_that_is_planned(jitter: int | None) -> None:
    before = hourly(handled="12:00", catchUp={"policy": "Skip"}, startingDeadlineSeconds=60)
    (planned,) = each(
        decide(snapshot(before, run := a_run("12:00", trigger="t0")), at("12:00:00.1")), plans.WriteRunStatus
    )
    waiting = replace(run, status=JobRunStatus.model_validate(planned.status))
    assert waiting.status.start_after == start(before)
    edited = a_definition(triggers=[{**HOURLY[0], "jitterSeconds": jitter}], catchUp={"policy": "Skip"})
    definition = replace(edited, status=before.status, generation=2)
    assert job_names(decide(snapshot(definition, waiting), start(before) - timedelta(seconds=1))) == []
    assert len(job_names(decide(snapshot(definition, waiting), start(before)))) == 1


def test_the_due_time_of_two_triggers_stays_while_one_of_them_names_it() -> None:
    named = [HOURLY[0], {"name": "t1", "cron": "0 12 * * *", "jitterSeconds": 900}]
    before = a_definition(triggers=named, handled="11:00")
    run = a_run("12:00", "Scheduled", reason="Jitter", trigger="t0")
    left = replace(a_definition(triggers=named[1:]), status=before.status, generation=2)
    assert outcome(decide(snapshot(left, run), at("12:00:02")), run) == WAITS
    none = replace(a_definition(triggers=[]), status=before.status, generation=2)
    assert outcome(decide(snapshot(none, run), at("12:00:02")), run) == ("Skipped", "Withdrawn")


def test_an_exclusion_has_to_cover_it_for_all_of_them() -> None:
    named = [HOURLY[0], {"name": "t1", "cron": "0 1 * * *", "timeZone": "Asia/Tokyo", "jitterSeconds": 900}]
    before = a_definition(triggers=named, handled="11:00")
    run = a_run("2026-03-10 16:00", "Scheduled", reason="Jitter", trigger="t0")
    closed = a_definition(triggers=named, exclude={"dates": ["2026-03-10"]})  # in Tokyo it is the 11th already
    plan = decide(snapshot(replace(closed, status=before.status, generation=2), run), at("16:00:01"))
    assert outcome(plan, run) == WAITS


def test_a_resume_fires_nothing_that_waited_before_it() -> None:
    before = hourly(handled="12:00")
    run = a_run("12:00", "Scheduled", reason="Jitter", trigger="t0")
    bad: dict[str, Any] = {"exclude": {"calendars": ["missing"]}}
    disabled = replace(a_definition(triggers=HOURLY, suspend=True, **bad), status=before.status, generation=2)
    assert outcome(decide(snapshot(disabled, run), at("12:00:30")), run) == ("Skipped", "Suspended")
    suspended = before.status.model_copy(update={"suspended_since": at("12:00:20")})
    resumed = replace(a_definition(triggers=HOURLY), status=suspended, generation=3)
    plan = decide(snapshot(resumed, run), at("12:20:00"))
    assert (job_names(plan), outcome(plan, run)) == ([], ("Skipped", "Suspended"))


@pytest.mark.parametrize("time", ["12:00:30", "12:30"])
@pytest.mark.parametrize(
    "broken", [{"triggers": [{**HOURLY[0], "cron": "61 * * * *"}]}, {"exclude": {"calendars": ["office"]}}]
)
def test_the_run_of_a_definition_that_became_invalid_says_that_it_waits_for_a_cure(
    broken: dict[str, Any], time: str
) -> None:
    planned = hourly(handled="12:00")
    waiting = decide(snapshot(planned, a_run("12:00")), at("12:00:01"))
    run = replace(a_run("12:00"), status=run_status(waiting, a_run("12:00")))
    definition = a_definition(**{"triggers": HOURLY, "handled": "12:00", "generation": 2, **broken})
    plan = decide(snapshot(definition, run), at(time))
    assert outcome(plan, run) == ("Scheduled", "Invalid")
    halted = run_status(plan, run)
    assert halted.message.startswith("waits until ScheduledJob files/sweep is mended, which is not valid: spec.")
    assert definition.invalid in halted.message
    told = replace(run, status=halted)
    assert each(decide(snapshot(definition, told), at(time)), plans.WriteRunStatus) == []

    mended = decide(snapshot(planned, told), at("12:00:02"))
    assert outcome(mended, told) == WAITS
    assert run_status(mended, told) == run.status
    late = decide(snapshot(planned, told), start(planned))
    assert job_names(late) == [run.name]


def test_a_run_that_waits_for_a_closed_time_is_looked_at_when_it_is_too_late_for_it() -> None:
    closed = {
        "windows": [{"cron": "0 4 * * *", "durationSeconds": 14400}, {"cron": "0 7 * * *", "durationSeconds": 21600}]
    }
    definition = a_definition(
        "0 3 * * *", handled="02:00", created="01:00", exclude=closed, startingDeadlineSeconds=7200
    )
    run = a_run("03:00", created="04:30:00", trigger="t0")
    plan = decide(snapshot(definition, run), at("04:30:00"))
    assert outcome(plan, run) == ("Scheduled", "Closed")
    assert "starts at 2026-03-10T13:00:00Z" in run_status(plan, run).message
    assert plan.wake_at == at("05:00:01")


def test_deciding_does_not_grow_with_the_square_of_what_waits() -> None:
    definition = hourly(handled="12:00")
    runs = [a_run(name=f"b{number}", trigger="t0", scheduledTime=at("11:00")) for number in range(300)]
    compared: list[str] = []

    class Watched(Run):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            compared.append(self.name)
            return self is other

        __hash__ = Run.__hash__

    watched = [Watched(**{f.name: getattr(run, f.name) for f in fields(run)}) for run in runs]
    decide(snapshot(definition, *watched), at("12:30:00"))
    assert len(compared) < 10 * len(runs)
