"""Concurrency is decided at the due time, for manual runs too; a slot is held till the pods are gone: design 3.5."""

from typing import Any

import pytest

from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import Definition, Job, PodReport, Run, Snapshot
from tests.unit.engine.builders import (
    HOURLY,
    a_definition,
    a_job,
    a_run,
    at,
    each,
    fired,
    job_names,
    outcome,
    run_status,
    skipped,
    snapshot,
    status_after,
)


def hourly(policy: str, **spec: Any) -> Definition:
    return a_definition(HOURLY, handled="11:00", concurrency={"policy": policy}, **spec)


def running(due: str = "11:00", **job: Any) -> tuple[Run, Job]:
    """A run and its Job, which has a pod unless something else is said."""
    run = a_run(due, "Running")
    return run, a_job(run, **(job or {"active": 1}))


class TestDueWhileActive:
    def test_allow_starts_beside_it(self) -> None:
        assert fired(decide(snapshot(hourly("Allow"), *running()), at("12:00"))) == ["12:00:00"]

    def test_forbid_skips_and_says_so(self) -> None:
        definition = hourly("Forbid")
        plan = decide(snapshot(definition, *running()), at("12:00"))
        assert fired(plan) == []
        assert skipped(plan, definition) == ["t0 12:00:00 ConcurrencyForbid"]

    def test_a_skip_makes_no_object(self) -> None:
        plan = decide(snapshot(hourly("Forbid"), *running()), at("12:00"))
        assert plan.first == ()

    def test_forbid_is_the_default(self) -> None:
        definition = a_definition(HOURLY, handled="11:00")
        assert fired(decide(snapshot(definition, *running()), at("12:00"))) == []

    def test_replace_writes_the_intent_at_once(self) -> None:
        assert fired(decide(snapshot(hourly("Replace"), *running()), at("12:00"))) == ["12:00:00"]

    def test_of_two_due_at_once_forbid_runs_the_first(self) -> None:
        definition = a_definition("*/30 * * * * *", handled="12:00:00")
        assert fired(decide(snapshot(definition), at("12:01:00"))) == ["12:00:30"]


class TestWhoHoldsASlot:
    @pytest.mark.parametrize(
        ("what", "job"),
        [
            ("a Job that was just made", {"active": 0}),
            ("a Job with a pod", {"active": 1}),
            ("a Job whose pod is terminating", {"terminating": 1}),
            ("a finished Job with a terminating pod", {"failed": "11:30", "terminating": 1}),
            ("a Job that is being deleted", {"deleting": True, "terminating": 1}),
        ],
    )
    def test_held(self, what: str, job: dict[str, Any]) -> None:
        assert fired(decide(snapshot(hourly("Forbid"), *running(**job)), at("12:00"))) == [], what

    @pytest.mark.parametrize(
        ("what", "job"),
        [
            ("a Job that succeeded", {"succeeded": "11:30"}),
            ("a Job that failed", {"failed": "11:30"}),
            ("a Job that failed and is being deleted", {"failed": "11:30", "deleting": True}),
        ],
    )
    def test_free_though_the_record_still_says_running(self, what: str, job: dict[str, Any]) -> None:
        """After a restart the records are old; what decides is the Job."""
        assert fired(decide(snapshot(hourly("Forbid"), *running(**job)), at("12:00"))) == ["12:00:00"], what

    def test_a_vanished_job_holds_its_slot_until_it_was_looked_up(self) -> None:
        run = a_run("11:00", "Running")
        definition = hourly("Forbid")
        assert fired(decide(snapshot(definition, run), at("12:00"))) == []

    @pytest.mark.parametrize(("remaining", "fires"), [(1, []), (0, ["12:00:00"])])
    def test_a_vanished_job_holds_its_slot_while_its_pods_linger(self, remaining: int, fires: list[str]) -> None:
        run = a_run("11:00", "Running")
        uid = run.status.steps[0].job_uid
        looked_up = {"absent_jobs": frozenset({uid}), "pods": {uid: PodReport(remaining)}}
        plan = decide(snapshot(hourly("Forbid"), run, **looked_up), at("12:00"))
        assert fired(plan) == fires

    @pytest.mark.parametrize(
        ("pods", "fires"), [({}, []), ({"j": PodReport(1)}, []), ({"j": PodReport(0)}, ["12:00:00"])]
    )
    def test_a_job_that_went_with_its_run_holds_its_slot_while_its_pods_linger(
        self, pods: dict[str, PodReport], fires: list[str]
    ) -> None:
        snap = snapshot(hourly("Forbid"), lingering_jobs=frozenset({"j"}), pods=pods)
        assert fired(decide(snap, at("12:00"))) == fires

    def test_lingering_pods_are_looked_at_again(self) -> None:
        snap = snapshot(hourly("Forbid"), lingering_jobs=frozenset({"j"}), pods={"j": PodReport(1)})
        wake = decide(snap, at("11:30:00")).wake_at
        assert wake is not None
        assert wake <= at("11:30:05")

    def test_a_job_whose_run_is_gone_holds_its_slot(self) -> None:
        _, job = running()
        assert fired(decide(snapshot(hourly("Forbid"), job), at("12:00"))) == []

    def test_a_run_that_has_no_job_yet_keeps_its_place(self) -> None:
        run = a_run("11:59:30", "Queued", name="other")
        assert fired(decide(snapshot(hourly("Forbid"), run), at("12:00"))) == []

    def test_a_vanished_job_is_one_holder_and_not_two(self) -> None:
        definition = hourly("Forbid")
        run = a_run("11:00", "Running")
        uid = run.status.steps[0].job_uid
        looked_up = {"absent_jobs": frozenset({uid}), "lingering_jobs": frozenset({uid}), "pods": {uid: PodReport(1)}}
        plan = decide(snapshot(definition, run, **looked_up), at("11:30"))
        assert status_after(plan, definition).counts.active == 1


class TestManual:
    def test_it_starts_where_nothing_is_active(self) -> None:
        assert len(job_names(decide(snapshot(hourly("Forbid"), a_run()), at("11:30")))) == 1

    def test_forbid_skips_it_and_names_who_is_active(self) -> None:
        definition, (run, job), manual = hourly("Forbid"), running(), a_run()
        plan = decide(snapshot(definition, run, job, manual), at("11:30"))
        assert outcome(plan, manual) == ("Skipped", "ConcurrencyForbid")
        assert run.name in run_status(plan, manual).message
        assert run_status(plan, manual).completion_time == at("11:30")

    def test_force_does_not_override_forbid(self) -> None:
        manual = a_run(force=True)
        plan = decide(snapshot(hourly("Forbid"), *running(), manual), at("11:30"))
        assert outcome(plan, manual) == ("Skipped", "ConcurrencyForbid")

    def test_allow_starts_it_beside_the_other(self) -> None:
        assert len(job_names(decide(snapshot(hourly("Allow"), *running(), a_run()), at("11:30")))) == 1

    def test_of_two_at_once_forbid_runs_the_first(self) -> None:
        first, second = a_run(name="a", created="11:30:01"), a_run(name="b", created="11:30:00")
        plan = decide(snapshot(hourly("Forbid"), first, second), at("11:30:02"))
        assert job_names(plan)[0].startswith("b-")
        assert outcome(plan, first) == ("Skipped", "ConcurrencyForbid")

    def test_at_a_due_time_it_holds_the_slot(self) -> None:
        definition, manual = hourly("Forbid"), a_run(created="11:59:59")
        plan = decide(snapshot(definition, manual), at("12:00:00"))
        assert fired(plan) == []
        assert skipped(plan, definition) == ["t0 12:00:00 ConcurrencyForbid"]


class TestReplace:
    """Replace stops the oldest and starts when it is gone."""

    def snapshot(self, *more: Run, record: str = "", **job: Any) -> tuple[Snapshot, Run, Run]:
        old = a_run("11:00", "Running", reason=record)
        new = a_run("12:00")
        return snapshot(hourly("Replace"), old, a_job(old, **(job or {"active": 1})), new, *more), old, new

    def test_the_new_one_waits(self) -> None:
        snap, _, new = self.snapshot()
        plan = decide(snap, at("12:00"))
        assert outcome(plan, new) == ("Queued", "Replacing")
        assert job_names(plan) == []

    def test_the_record_of_the_old_one_says_why_before_its_job_is_deleted(self) -> None:
        snap, old, _ = self.snapshot()
        plan = decide(snap, at("12:00"))
        assert outcome(plan, old) == ("Running", "Replaced")
        assert each(plan, plans.DeleteJob) == []

    def test_then_its_job_is_deleted(self) -> None:
        snap, old, _ = self.snapshot(record="Replaced")
        (stop,) = each(decide(snap, at("12:00")), plans.DeleteJob)
        assert (stop.name, stop.uid) == (old.name, old.status.steps[0].job_uid)

    def test_it_is_deleted_once(self) -> None:
        snap, _, _ = self.snapshot(record="Replaced", deleting=True, terminating=1)
        assert each(decide(snap, at("12:00")), plans.DeleteJob) == []

    def test_the_new_one_waits_while_pods_terminate(self) -> None:
        snap, _, new = self.snapshot(record="Replaced", deleting=True, terminating=1)
        plan = decide(snap, at("12:00:10"))
        assert job_names(plan) == []
        assert outcome(plan, new) == ("Queued", "Replacing")

    def test_when_they_are_gone_the_old_one_is_stopped_and_the_new_one_starts(self) -> None:
        old, new = a_run("11:00", "Running", reason="Replaced"), a_run("12:00", "Queued", reason="Replacing")
        uid = old.status.steps[0].job_uid
        looked_up = {"absent_jobs": frozenset({uid}), "pods": {uid: PodReport(0)}}
        plan = decide(snapshot(hourly("Replace"), old, new, **looked_up), at("12:00:10"))
        assert outcome(plan, old) == ("Stopped", "Replaced")
        assert job_names(plan) == [new.name]

    def test_an_old_one_that_ended_by_itself_keeps_its_outcome(self) -> None:
        snap, old, new = self.snapshot(record="Replaced", succeeded="12:00:01")
        plan = decide(snap, at("12:00:02"))
        assert outcome(plan, old) == ("Succeeded", "Completed")
        assert job_names(plan) == [new.name]

    def test_it_holds_for_a_manual_run(self) -> None:
        old, job = running()
        manual = a_run()
        plan = decide(snapshot(hourly("Replace"), old, job, manual), at("11:30"))
        assert outcome(plan, manual) == ("Queued", "Replacing")
        assert outcome(plan, old) == ("Running", "Replaced")

    def test_one_that_waits_too_long_is_overdue_and_the_operator_wakes_to_say_so(self) -> None:
        definition = hourly("Replace")
        old, new = a_run("11:00", "Running", reason="Replaced"), a_run("12:00", "Queued", reason="Replacing")
        job = a_job(old, deleting=True, terminating=1)
        snap = snapshot(definition, old, job, new)
        assert decide(snap, at("12:00:05")).wake_at == at("12:01:00")
        on_time = {c.type: c.status for c in status_after(decide(snap, at("12:01:00")), definition).conditions}
        assert on_time["OnTime"] == "False"

    def test_one_that_waits_past_its_deadline_is_skipped_and_the_operator_wakes_for_it(self) -> None:
        definition = hourly("Replace", startingDeadlineSeconds=30)
        old, new = a_run("11:00", "Running", reason="Replaced"), a_run("12:00", "Queued", reason="Replacing")
        snap = snapshot(definition, old, a_job(old, deleting=True, terminating=1), new)
        assert decide(snap, at("12:00:05")).wake_at == at("12:00:31")
        assert outcome(decide(snap, at("12:00:31")), new) == ("Skipped", "DeadlineExceeded")
