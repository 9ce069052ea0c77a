"""Backfill: due times of the past, run again because somebody said so (design 3.14)."""

from typing import Any

from carillon.engine import plan as plans
from carillon.engine.audit import verify
from carillon.engine.decide import decide
from carillon.engine.model import Refusal, Run
from carillon.engine.read import read_run
from tests.unit.engine.builders import (
    DEFINITION_UID,
    EVERY_MINUTE,
    HOURLY,
    NAME,
    NAMESPACE,
    a_definition,
    a_job,
    a_run,
    as_json,
    at,
    conditions_after,
    each,
    fired,
    job_names,
    outcome,
    snapshot,
    stamp,
    status_after,
)


def backfill(
    due: str, phase: str = "", *, created: str = "12:30:00", ended: str = "", id: str = "x", **spec: Any
) -> Run:
    name = f"{NAME}-backfill-{id}-{int(at(due).timestamp())}"
    steps = [{"name": "main", "job": name, "jobUID": f"uid-job-{name}"}] if phase == "Running" else []
    owner = {"apiVersion": "carillon.dev/v1alpha1", "kind": "ScheduledJob", "name": NAME, "uid": DEFINITION_UID}
    return read_run(
        {
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "uid": f"uid-{name}",
                "resourceVersion": "20",
                "creationTimestamp": stamp(created),
                "ownerReferences": [owner],
                "labels": {"carillon.dev/backfill": id},
            },
            "spec": {
                "scheduledJob": NAME,
                "scheduledTime": stamp(due),
                "trigger": {"type": "Backfill", "name": "t0"},
                **spec,
            },
            "status": {"phase": phase, "steps": steps, **({"completionTime": stamp(ended)} if ended else {})},
        }
    )


def test_one_at_a_time_oldest_first_under_forbid() -> None:
    definition = a_definition(HOURLY, handled="12:00")
    newer, older = backfill("2026-03-01 10:00"), backfill("2026-03-01 09:00")
    plan = decide(snapshot(definition, newer, older), at("12:30:01"))
    assert len(job_names(plan)) == 1
    assert outcome(plan, newer) == ("Queued", "WaitingForSlot")
    assert outcome(plan, older) == ("", "")


def test_all_at_once_under_allow() -> None:
    definition = a_definition(HOURLY, handled="12:00", concurrency={"policy": "Allow"})
    plan = decide(snapshot(definition, backfill("2026-03-01 10:00"), backfill("2026-03-01 09:00")), at("12:30:01"))
    assert len(job_names(plan)) == 2


def test_it_replaces_nobody() -> None:
    definition = a_definition(HOURLY, handled="12:00", concurrency={"policy": "Replace"})
    running = a_run("12:00", "Running")
    plan = decide(snapshot(definition, running, a_job(running, active=1), backfill("2026-03-01 10:00")), at("12:30:01"))
    assert outcome(plan, running)[0] == "Running"
    assert job_names(plan) == []


def test_it_is_free_of_the_deadline_and_leaves_the_watermark_alone() -> None:
    definition = a_definition(HOURLY, handled="12:00", startingDeadlineSeconds=60)
    plan = decide(snapshot(definition, backfill("2026-03-01 10:00")), at("12:30:01"))
    assert len(job_names(plan)) == 1
    assert status_after(plan, definition).triggers == definition.status.triggers


def test_a_backfill_is_no_run_of_its_due_time() -> None:
    definition = a_definition(EVERY_MINUTE, handled="11:59")
    assert fired(decide(snapshot(definition, backfill("12:00", created="12:00:00")), at("12:00:01"))) == []  # Forbid
    definition = a_definition(EVERY_MINUTE, handled="11:59", concurrency={"policy": "Allow"})
    assert fired(decide(snapshot(definition, backfill("12:00", created="12:00:00")), at("12:00:01"))) == ["12:00:00"]


def test_one_that_waits_makes_nothing_overdue() -> None:
    definition = a_definition(HOURLY, handled="12:00")
    first, second = backfill("2026-03-01 09:00", "Running"), backfill("2026-03-01 10:00")
    plan = decide(snapshot(definition, first, a_job(first, active=1), second), at("12:40:00"))
    assert conditions_after(plan, definition)["OnTime"][0] == "True"


def test_a_due_time_that_lies_ahead_is_refused() -> None:
    definition = a_definition(HOURLY, handled="12:00")
    run = backfill("14:00")
    assert outcome(decide(snapshot(definition, run), at("12:30:01")), run) == ("Skipped", "NotDue")


def test_a_disabled_definition_refuses_it_unless_forced() -> None:
    definition = a_definition(HOURLY, handled="12:00", suspend=True)
    run, forced = backfill("2026-03-01 10:00"), backfill("2026-03-01 11:00", force=True)
    plan = decide(snapshot(definition, run, forced), at("12:30:01"))
    assert outcome(plan, run) == ("Skipped", "Disabled")
    assert len(job_names(plan)) == 1


def test_verify_takes_it_for_no_run_of_the_schedule() -> None:
    definition = a_definition(HOURLY, handled="12:00", since="09:30", created="09:30")
    findings = verify([definition], [backfill("10:00", "Running"), a_run("11:00"), a_run("12:00")], [], at("12:30"))
    assert any("1 of 3 due times" in str(finding) for finding in findings)


class TestMemory:
    """At most once per id and due time (design 3.14), whatever history prunes."""

    def test_the_status_says_how_far_it_has_come(self) -> None:
        definition = a_definition(HOURLY, handled="12:00")
        done = [backfill(f"2026-03-01 {hour}:00", "Succeeded", ended="12:35:00") for hour in ("09", "10")]
        waiting = backfill("2026-03-01 11:00")
        marks = status_after(decide(snapshot(definition, *done, waiting), at("12:40:01")), definition).backfills
        assert [(mark.id, mark.through) for mark in marks] == [("x", at("2026-03-01 10:00"))]

    def test_it_never_goes_back(self) -> None:
        status = {"backfills": [{"id": "x", "through": "2026-03-01T10:00:00Z"}]}
        definition = a_definition(HOURLY, handled="12:00", status=status)
        older = backfill("2026-03-01 09:00", "Succeeded", ended="12:35:00")
        marks = status_after(decide(snapshot(definition, older), at("12:40:01")), definition).backfills
        assert marks[0].through == at("2026-03-01 10:00")

    def test_a_run_is_marked_by_the_write_that_records_it_and_pruned_after(self) -> None:
        run = backfill("2026-03-01 09:00", "Succeeded", ended="12:35:00")
        fresh = a_definition(HOURLY, handled="12:00", history={"succeeded": 0})
        plan = decide(snapshot(fresh, run), at("12:40:01"))
        assert each(plan, plans.DeleteRun) == []
        status = as_json(status_after(plan, fresh))
        assert [mark["id"] for mark in status["backfills"]] == ["x"]
        told = a_definition(HOURLY, history={"succeeded": 0}, status=status)
        assert len(each(decide(snapshot(told, run), at("12:40:02")), plans.DeleteRun)) == 1

    def test_what_was_refused_is_not_marked(self) -> None:
        definition = a_definition(HOURLY, handled="12:00")
        plan = decide(snapshot(definition, backfill("2026-03-31 10:00")), at("12:40:01"))
        assert status_after(plan, definition).backfills == ()

    def test_more_backfills_than_marks_come_to_rest(self) -> None:
        definition = a_definition(HOURLY, handled="12:00", history={"succeeded": 100})
        runs = [
            backfill(f"2026-03-{day:02} 10:00", "Succeeded", ended="12:35:00", id=f"b{day}") for day in range(1, 10)
        ]
        runs += [
            backfill(f"2026-02-{day:02} 10:00", "Succeeded", ended="12:35:00", id=f"c{day}") for day in range(1, 16)
        ]
        for second in range(1, 6):
            plan = decide(snapshot(definition, *runs), at(f"12:40:0{second}"))
            body = as_json(status_after(plan, definition))
            definition = a_definition(HOURLY, history={"succeeded": 100}, status=body)
        assert each(decide(snapshot(definition, *runs), at("12:40:09")), plans.WriteDefinitionStatus) == []

    def test_the_last_twenty_are_kept(self) -> None:
        status = {"backfills": [{"id": f"b{n}", "through": "2026-03-01T10:00:00Z"} for n in range(20)]}
        definition = a_definition(HOURLY, handled="12:00", status=status)
        run = backfill("2026-03-01 09:00", "Succeeded", ended="12:35:00")
        marks = status_after(decide(snapshot(definition, run), at("12:40:01")), definition).backfills
        assert (len(marks), marks[0].id) == (20, "x")


class TestRefusals:
    """A quota that is full for a while fails no run that has waited long for its turn."""

    def refused(self, *runs: Run, since: str) -> dict[str, Refusal]:
        return {run.uid: Refusal("exceeded quota", False, at("12:31:00"), 1, at(since)) for run in runs}

    def test_the_quarter_of_an_hour_counts_from_the_first_refusal(self) -> None:
        definition = a_definition(HOURLY, handled="12:00")
        run = backfill("2026-03-01 09:00", created="06:00:00")
        soon = snapshot(definition, run, refusals=self.refused(run, since="12:30:00"))
        assert outcome(decide(soon, at("12:30:01")), run) == ("Queued", "JobRefused")
        late = snapshot(definition, run, refusals=self.refused(run, since="12:00:00"))
        assert outcome(decide(late, at("12:30:01")), run) == ("Failed", "JobRefused")

    def test_a_refused_backfill_keeps_no_due_time_from_its_run(self) -> None:
        definition = a_definition("30 * * * *", handled="11:30")
        run = backfill("2026-03-01 09:00", "Queued", created="12:29:00")
        known = snapshot(definition, run, refusals=self.refused(run, since="12:29:00"))
        assert fired(decide(known, at("12:30:00"))) == ["12:30:00"]
