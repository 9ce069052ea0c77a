"""Creates that take effect after they were given up: the record of what became of their due time stands."""

from dataclasses import replace
from typing import Any

import pytest

from carillon.api.jobrun import TriggerType
from carillon.engine import names
from carillon.engine import plan as plans
from carillon.engine.autostart import AUTO_START
from carillon.engine.decide import decide
from carillon.engine.model import Definition, Job, Run
from carillon.engine.plan import Plan
from tests.unit.engine.builders import (
    DEFINITION_UID,
    HOURLY,
    NAME,
    a_definition,
    a_job,
    a_run,
    at,
    each,
    history_line,
    job_names,
    snapshot,
)


def hourly(*history: dict[str, Any], **rest: Any) -> Definition:
    status = {**rest.pop("status", {}), "history": list(history)}
    return a_definition(HOURLY, handled="12:00", status=status, **rest)


def decided(*things: Definition | Run | Job, now: str = "12:00:20") -> Plan:
    return decide(snapshot(*things), at(now))


def taken_back(plan: Plan) -> list[str]:
    return [action.name for action in each(plan, plans.WithdrawRun)]


LATE = a_run("12:00", name="late", created="12:00:10")


def test_a_run_whose_due_time_has_run_and_been_cleared_does_not_run_again() -> None:
    plan = decided(hourly(history_line("earlier", "12:00:05", due="12:00")), LATE)
    assert (taken_back(plan), job_names(plan)) == (["late"], [])


@pytest.mark.parametrize(
    "other", [history_line("earlier", "11:00:05", due="11:00"), history_line("late", "12:00:05", due="12:00")]
)
def test_lines_of_other_due_times_and_its_own_say_nothing(other: dict[str, Any]) -> None:
    plan = decided(hourly(other), LATE)
    assert (taken_back(plan), len(job_names(plan))) == ([], 1)


@pytest.mark.parametrize("phase", ["Running", "Succeeded", "Queued", "Skipped"])
def test_of_two_runs_for_one_due_time_the_one_stands_of_which_something_has_become(phase: str) -> None:
    ended = "12:00:15" if phase in ("Succeeded", "Skipped") else None
    plan = decided(hourly(), a_run("12:00", phase, name="first", ended=ended), LATE)
    assert taken_back(plan) == ["late"]


def test_a_job_that_is_not_recorded_yet_is_something_too() -> None:
    first = a_run("12:00", name="first", created="12:00:11")
    plan = decided(hourly(), first, a_job(first, active=1), LATE)
    assert taken_back(plan) == ["late"]


def test_of_two_of_which_nothing_has_become_the_first_stands_whoever_decides() -> None:
    first = a_run("12:00", name="first", created="12:00:00")
    for things in ((first, LATE), (LATE, first)):
        plan = decided(hourly(), *things)
        assert (taken_back(plan), len(job_names(plan))) == (["late"], 1)


def test_a_run_that_people_ask_for_is_no_twin() -> None:
    backfill = a_run("12:00", "Running", name="backfill")
    trigger = backfill.spec.trigger.model_copy(update={"type": TriggerType.BACKFILL})
    backfill = replace(backfill, spec=backfill.spec.model_copy(update={"trigger": trigger}))
    plan = decided(hourly(concurrency={"policy": "Allow"}), backfill, LATE)
    assert (taken_back(plan), len(job_names(plan))) == ([], 1)


def test_the_run_of_auto_start_runs_once() -> None:
    name = names.auto_start_runs(NAME, DEFINITION_UID)[0]
    late = a_run(name=name, trigger=AUTO_START, created="12:00:10")
    earlier = {**history_line(name, "12:00:05"), "uid": "another"}
    definition = hourly(earlier, autoStart=True, status={"autoStartRun": name})
    assert taken_back(decided(definition, late)) == [name]
    first = hourly(autoStart=True, status={"autoStartRun": name})
    assert (taken_back(decided(first, late)), len(job_names(decided(first, late)))) == ([], 1)


class TestJobs:
    def test_the_job_of_a_run_that_was_skipped_is_stopped(self) -> None:
        run = a_run("12:00", "Skipped", ended="12:00:10", reason="DeadlineExceeded")
        job = a_job(run, active=1)
        assert each(decided(hourly(), run, job), plans.DeleteJob) == [plans.DeleteJob(job.name, job.uid)]

    def test_nor_does_another_attempt_begin_once_the_run_has_ended(self) -> None:
        run = a_run("12:00", "Stopped", job="first", started="12:00", ended="12:00:10")
        job = a_job(run, name=names.job_names(run.name, run.uid, periodic=True, attempt=2)[0], active=1)
        assert [action.name for action in each(decided(hourly(), run, job), plans.DeleteJob)] == [job.name]

    @pytest.mark.parametrize("rest", [{"succeeded": "12:00:15"}, {"deleting": True}])
    def test_what_has_ended_or_ends_is_left(self, rest: dict[str, Any]) -> None:
        run = a_run("12:00", "Skipped", ended="12:00:10")
        assert each(decided(hourly(), run, a_job(run, **rest)), plans.DeleteJob) == []

    def test_a_job_of_another_name_is_somebody_elses(self) -> None:
        run = a_run("12:00", "Skipped", ended="12:00:10")
        assert each(decided(hourly(), run, a_job(run, name="theirs", active=1)), plans.DeleteJob) == []

    def test_the_job_of_the_record_stays(self) -> None:
        run = a_run("12:00", "Succeeded", job="job", started="12:00", ended="12:00:10")
        assert each(decided(hourly(), run, a_job(run, name="job", active=1)), plans.DeleteJob) == []
