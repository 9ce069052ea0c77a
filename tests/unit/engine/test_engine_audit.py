"""What `carillon task verify` finds, and what `report` tells."""

from collections.abc import Sequence
from typing import Any

import pytest

from carillon.engine.audit import report, verify
from carillon.engine.model import Definition, Job, Run
from tests.unit.engine.builders import (
    DAY,
    EVERY_MINUTE,
    HOURLY,
    Body,
    a_definition,
    a_job,
    a_run,
    at,
    condition,
    history_line,
    stamp,
)


def found(*things: Definition | Run | Job, now: str = "12:30") -> list[str]:
    definitions = [thing for thing in things if isinstance(thing, Definition)]
    runs = [thing for thing in things if isinstance(thing, Run)]
    jobs = [thing for thing in things if isinstance(thing, Job)]
    return [str(finding) for finding in verify(definitions, runs, jobs, at(now))]


def skip(first: str, last: str, count: int, trigger: str = "t0") -> Body:
    return {"trigger": trigger, "from": stamp(first), "to": stamp(last), "count": count, "reason": "CatchUp"}


def hourly(*, history: Sequence[str] = (), skips: Sequence[Body] = (), **rest: Any) -> Definition:
    """Counts since 09:30; `history` holds the due times of its lines."""
    lines = [history_line(f"r{due}", due, due=due) for due in history]
    status = {"history": lines, "skips": list(skips), **rest.pop("status", {})}
    return a_definition(HOURLY, **({"created": "09:30", "handled": "12:00", "status": status} | rest))


class TestAccounts:
    """Every due time of the last day is a run or in the records."""

    def test_a_run_a_line_of_history_and_a_line_of_skips_account_for_one_each(self) -> None:
        definition = hourly(history=["11:00"], skips=[skip("10:00", "10:00", 1)])
        assert found(definition, a_run("12:00", "Running")) == []

    def test_a_due_time_that_is_in_none_is_found(self) -> None:
        definition = hourly(history=["11:00"])
        assert found(definition, a_run("12:00", "Running")) == [
            "ScheduledJob files/sweep: trigger t0: 1 of 3 due times since 2026-03-10T09:30:00Z have neither a run "
            "nor a skip"
        ]

    def test_a_run_and_its_line_account_for_one(self) -> None:
        definition = hourly(history=["12:00", "11:00"])
        assert len(found(definition, a_run("12:00", "Succeeded", ended="12:01"))) == 1

    def test_a_line_of_skips_accounts_for_all_it_spans(self) -> None:
        assert found(hourly(skips=[skip("10:00", "12:00", 3)])) == []

    def test_the_lines_of_another_trigger_account_for_nothing(self) -> None:
        assert len(found(hourly(skips=[skip("10:00", "12:00", 3, trigger="other")]))) == 1

    def test_a_manual_run_accounts_for_nothing(self) -> None:
        assert len(found(hourly(skips=[skip("10:00", "11:00", 2)]), a_run(phase="Running"))) == 1

    def test_what_is_older_than_a_day_is_not_asked_for(self) -> None:
        definition = a_definition(
            HOURLY,
            created="2026-01-01 00:00",
            handled="12:00",
            status={"skips": [skip("2026-03-09 13:00", "12:00", 24)]},
        )
        assert found(definition) == []

    def test_a_line_that_began_before_the_day_counts_for_its_part(self) -> None:
        long = skip("2026-02-10 13:00", "11:00", 28 * 24 - 1)
        definition = a_definition(HOURLY, created="2026-01-01 00:00", handled="12:00", status={"skips": [long]})
        assert found(definition) == [
            "ScheduledJob files/sweep: trigger t0: 1 of 24 due times since 2026-03-09T12:30:00Z have neither a run "
            "nor a skip"
        ]

    def test_what_has_left_history_is_not_asked_for(self) -> None:
        assert found(hourly(history=["12:00"], status={"recordedThrough": stamp("11:05")})) == []

    def test_what_has_left_the_skips_is_not_asked_for(self) -> None:
        lines = [skip(f"12:{minute:02}", f"12:{minute:02}", 1) for minute in range(50, 30, -1)]
        definition = a_definition(EVERY_MINUTE, created="09:30", handled="12:50", status={"skips": lines})
        assert found(definition, now="12:50:30") == []

    def test_what_has_left_the_skips_hides_nothing_that_came_after(self) -> None:
        lines = [skip(f"12:{minute:02}", f"12:{minute:02}", 1) for minute in range(50, 30, -1) if minute != 45]
        lines.append(skip("12:29", "12:29", 1))
        definition = a_definition(EVERY_MINUTE, created="09:30", handled="12:50", status={"skips": lines})
        assert len(found(definition, now="12:50:30")) == 1

    def test_what_was_before_a_resume_is_not_asked_for(self) -> None:
        assert found(hourly(since="11:30"), a_run("12:00", "Running")) == []


class TestWatermarks:
    def test_a_due_time_that_nobody_resolved_is_found(self) -> None:
        definition = hourly(handled="11:00", skips=[skip("10:00", "11:00", 2)])
        assert found(definition) == [
            "ScheduledJob files/sweep: trigger t0: due at 2026-03-10T12:00:00Z, and neither run nor recorded as skipped"
        ]

    def test_not_in_its_first_minute(self) -> None:
        assert found(hourly(handled="11:00", skips=[skip("10:00", "11:00", 2)]), now="12:00:59") == []

    def test_one_in_the_future_is_found(self) -> None:
        assert "lies in the future" in found(hourly(handled="14:00", history=["12:00", "11:00", "10:00"]))[0]

    def test_a_trigger_without_one_is_found(self) -> None:
        assert found(a_definition(HOURLY, status={"observedGeneration": 1})) == [
            "ScheduledJob files/sweep: trigger t0: no watermark is recorded"
        ]


class TestDefinitions:
    def test_the_mistake_of_an_author_is_no_finding_but_in_the_report(self) -> None:
        definition = a_definition("61 * * * *", handled="12:00")
        assert found(definition) == []
        (line,) = report([definition], at("12:30")).invalid
        assert line.startswith("files/sweep  spec.triggers[0].cron: ")

    def test_one_that_nobody_looked_at_is_found(self) -> None:
        assert found(a_definition(HOURLY, created="09:30")) == [
            "ScheduledJob files/sweep: generation 1 was not looked at; is an operator running?"
        ]

    @pytest.mark.parametrize("definition", [a_definition(HOURLY, created="12:29:30"), hourly(suspend=True)])
    def test_a_new_one_and_a_disabled_one_are_left_alone(self, definition: Definition) -> None:
        assert found(definition) == []


class TestRunsAndJobs:
    def test_a_run_whose_definition_is_gone_is_found(self) -> None:
        assert found(a_run("12:00", owner="uid-gone")) == [
            "JobRun files/sweep-1773144000: its ScheduledJob is gone, and it was not deleted with it"
        ]

    def test_a_run_of_which_nothing_became_is_found(self) -> None:
        assert found(hourly(history=["11:00", "10:00"]), a_run("12:00")) == [
            "JobRun files/sweep-1773144000: made 30 min ago, and nothing became of it"
        ]

    def test_a_run_that_waits_is_found_with_its_reason(self) -> None:
        run = a_run(name="m", created="10:15", phase="Queued", reason="JobRefused", message="exceeded quota")
        definition = hourly(history=["12:00", "11:00", "10:00"])
        assert found(definition, run) == ["JobRun files/m: queued for 2 h 15 min: JobRefused: exceeded quota"]

    def test_a_job_whose_run_is_gone_is_found(self) -> None:
        job = a_job(a_run("12:00"), active=1)
        assert found(job) == ["Job files/sweep-1773144000: its JobRun is gone, and it is not finished"]

    @pytest.mark.parametrize(
        "things",
        [
            (a_run("12:28", owner="uid-gone"),),
            (a_run("12:00", owner="uid-gone", deleting=True),),
            (a_job(a_run("12:28"), active=1),),
            (a_job(a_run("12:00"), deleting=True, terminating=1),),
            (a_job(a_run("12:00"), succeeded="12:10"),),
        ],
        ids=["a new run", "a run that is going", "a new Job", "a Job that is going", "a finished Job"],
    )
    def test_what_is_still_moving_is_left_alone(self, things: tuple[Run | Job, ...]) -> None:
        assert found(*things) == []


class TestReport:
    def definition(self, **status: Any) -> Definition:
        lines = [
            history_line("c", "11:00", "Failed", reason="OOMKilled", exit_code=137, message="one\nlast words\n"),
            history_line("b", "10:00", "Succeeded"),
            history_line("a", "09:00", "Failed", reason="JobDeleted"),
            history_line("old", "2026-03-09 11:00", "Failed", reason="x"),
        ]
        return a_definition(HOURLY, handled="12:00", status={"history": lines, **status})

    def test_the_days_outcomes_are_counted(self) -> None:
        told = report([self.definition()], at("12:30"))
        assert told.since == at("2026-03-09 12:30")
        assert told.finished == {"Failed": 2, "Succeeded": 1}

    def test_failures_are_told_oldest_first_with_the_last_line_of_their_words(self) -> None:
        assert report([self.definition()], at("12:30")).failures == (
            f"{DAY}T09:00:00Z  files/a  JobDeleted",
            f"{DAY}T11:00:00Z  files/c  OOMKilled (exit code 137)  last words",
        )

    def test_what_is_overdue_is_told(self) -> None:
        late = [condition("OnTime", "False", "Overdue", "due at 12:00 and not started")]
        assert report([self.definition(conditions=late)], at("12:30")).overdue == (
            "files/sweep  due at 12:00 and not started",
        )
        assert report([self.definition()], at("12:30")).overdue == ()

    def test_crowded_minutes_are_told(self) -> None:
        crowd = [a_definition("0 15 * * *", name=f"job-{i}") for i in range(11)]
        quiet = [a_definition("0 16 * * *", name=f"other-{i}") for i in range(9)]
        assert report([*crowd, *quiet], at("12:30")).crowded == ("2026-03-10 15:00Z  11 jobs due",)

    def test_triggers_that_are_due_together_make_no_crowd(self) -> None:
        crowd = [a_definition("0 15 * * *", "0 15,16 * * *", name=f"job-{i}") for i in range(6)]
        assert report(crowd, at("12:30")).crowded == ()

    def test_what_will_not_fire_is_no_crowd(self) -> None:
        crowd = [a_definition("0 15 * * *", name=f"job-{i}", suspend=True) for i in range(11)]
        assert report(crowd, at("12:30")).crowded == ()

    def test_seconds_do_not_make_a_crowd_of_one(self) -> None:
        assert report([a_definition("*/5 * * * * *", handled="12:00")], at("12:30")).crowded == ()


def test_the_same_thing_found_again_later_is_the_same() -> None:
    definition = a_definition(HOURLY, handled="12:00", since="08:30", created="08:30")
    first, second = (verify([definition], [], [], at(time)) for time in ("12:30:00", "12:40:00"))
    later = verify([a_definition(HOURLY, handled="13:00", since="08:30", created="08:30")], [], [], at("13:30"))
    assert first
    assert [f.about for f in first] == [f.about for f in second] == [f.about for f in later]
    assert [str(f) for f in first] != [str(f) for f in later]


def test_a_run_whose_turn_has_not_come_is_not_stuck() -> None:
    definition = a_definition(HOURLY, handled="12:00", since="11:30", created="11:30")
    waiting = a_run("12:00", "Queued", reason="WaitingForSlot")
    assert verify([definition], [waiting], [], at("12:30")) == []
    assert len(verify([definition], [a_run("12:00", "Queued", reason="JobRefused")], [], at("12:30"))) == 1


@pytest.mark.parametrize(
    ("deadline", "now", "stuck"),
    [
        (None, "2026-03-11 11:59:00", False),
        (None, "2026-03-11 12:01:00", True),
        (3600, "2026-03-10 13:04:00", False),
        (3600, "2026-03-10 13:06:00", True),
        (7 * 86_400, "2026-03-11 12:01:00", True),
    ],
)
def test_a_run_that_waits_for_its_turn_too_long_is_stuck(deadline: int | None, now: str, stuck: bool) -> None:
    definition = a_definition("0 0 1 1 *", handled="12:00", startingDeadlineSeconds=deadline)
    waiting = a_run("12:00", "Queued", reason="WaitingForSlot", message="waits until other has ended")
    found = [str(finding) for finding in verify([definition], [waiting], [], at(now))]
    assert [line for line in found if "queued for" in line] == found
    assert bool(found) == stuck
    assert not stuck or "WaitingForSlot: waits until other has ended" in found[0]


def test_a_backfill_waits_a_day_though_its_due_time_is_long_past() -> None:
    definition = a_definition("0 0 1 1 *", handled="12:00", startingDeadlineSeconds=60)
    waiting = a_run(name="b", created="12:00", phase="Queued", reason="WaitingForSlot")
    assert verify([definition], [waiting], [], at("2026-03-11 11:59:00")) == []
    assert len(verify([definition], [waiting], [], at("2026-03-11 12:01:00"))) == 1
