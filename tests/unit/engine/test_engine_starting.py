"""Run Now, autoStart, and every way in which a run is refused, by its reason: design 3.3, 3.5, 3.10."""

from typing import Any

import pytest

from carillon.engine import names
from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import Refusal
from tests.unit.engine.builders import (
    DEFINITION_UID,
    HOURLY,
    NAME,
    a_definition,
    a_job,
    a_run,
    at,
    each,
    events,
    job_names,
    outcome,
    run_status,
    skipped,
    snapshot,
    stamp,
    status_after,
    triggers,
)


class TestRunNow:
    def test_a_run_that_somebody_made_is_adopted_before_it_starts(self) -> None:
        run = a_run(owner="")
        plan = decide(snapshot(a_definition(handled="00:00"), run), at("12:00:01"))
        (adopt,) = each(plan, plans.AdoptRun)
        assert adopt.patch["metadata"]["ownerReferences"][0]["uid"] == DEFINITION_UID
        assert adopt.patch["metadata"]["resourceVersion"] == run.resource_version
        assert job_names(plan) == []

    def test_once_adopted_it_starts(self) -> None:
        plan = decide(snapshot(a_definition(handled="00:00"), a_run()), at("12:00:01"))
        (create,) = each(plan, plans.CreateJob)
        assert create.trigger == "Manual"
        assert create.due_at is None

    def test_a_run_that_is_being_deleted_does_not_start(self) -> None:
        assert job_names(decide(snapshot(a_definition(handled="00:00"), a_run(deleting=True)), at("12:00:01"))) == []

    def test_it_starts_beside_no_triggers_at_all(self) -> None:
        assert len(job_names(decide(snapshot(a_definition(handled="00:00"), a_run()), at("12:00:01")))) == 1

    def test_a_periodic_run_without_a_job_starts_though_it_is_late(self) -> None:
        """The operator died between the intent and the effect."""
        definition = a_definition(HOURLY, handled="11:00")
        run = a_run("12:00")
        assert job_names(decide(snapshot(definition, run), at("12:40"))) == [run.name]

    def test_runs_start_in_the_order_of_their_due_times(self) -> None:
        definition = a_definition(HOURLY, handled="11:00", concurrency={"policy": "Allow"})
        late, early = a_run("12:00", created="12:00:05", trigger="t0"), a_run(name="manual", created="12:00:01")
        assert job_names(decide(snapshot(definition, early, late), at("12:00:06")))[0] == late.name


class TestRefused:
    def test_of_a_disabled_definition(self) -> None:
        run = a_run()
        plan = decide(snapshot(a_definition(handled="00:00", suspend=True), run), at("12:00:01.5"))
        assert outcome(plan, run) == ("Skipped", "Disabled")
        message = run_status(plan, run).message
        assert "files/sweep is disabled (spec.suspend: true)" in message
        assert "spec.force: true" in message
        assert run_status(plan, run).completion_time == at("12:00:01")

    def test_force_runs_a_disabled_definition(self) -> None:
        plan = decide(snapshot(a_definition(handled="00:00", suspend=True), a_run(force=True)), at("12:00:01"))
        assert len(job_names(plan)) == 1

    def test_disabling_withdraws_a_periodic_run_that_has_not_started(self) -> None:
        run = a_run("12:00", "Queued", reason="JobRefused")
        plan = decide(snapshot(a_definition(HOURLY, handled="12:00", suspend=True), run), at("12:00:05"))
        assert outcome(plan, run) == ("Skipped", "Suspended")

    def test_disabling_leaves_a_running_one(self) -> None:
        run = a_run("12:00", "Running")
        snap = snapshot(a_definition(HOURLY, handled="12:00", suspend=True), run, a_job(run, active=1))
        assert outcome(decide(snap, at("12:00:05")), run) == ("Running", "")

    def test_of_an_invalid_definition_with_the_words_of_the_mistake(self) -> None:
        run = a_run()
        plan = decide(snapshot(a_definition("61 * * * *"), run), at("12:00:01"))
        assert outcome(plan, run) == ("Skipped", "Invalid")
        assert "spec.triggers[0].cron" in run_status(plan, run).message

    def test_force_does_not_run_an_invalid_definition(self) -> None:
        run = a_run(force=True)
        assert outcome(decide(snapshot(a_definition("61 * * * *"), run), at("12:00:01")), run) == ("Skipped", "Invalid")

    def test_of_a_definition_that_cannot_be_read_at_all(self) -> None:
        run = a_run()
        plan = decide(snapshot(a_definition(concurrency={"policy": "Sometimes"}), run), at("12:00:01"))
        assert outcome(plan, run) == ("Skipped", "Invalid")
        assert "spec.concurrency.policy" in run_status(plan, run).message

    def test_past_its_deadline(self) -> None:
        run = a_run("12:00")
        definition = a_definition(HOURLY, handled="11:00", startingDeadlineSeconds=60)
        plan = decide(snapshot(definition, run), at("12:01:01"))
        assert outcome(plan, run) == ("Skipped", "DeadlineExceeded")
        assert run_status(plan, run).message == "61 s late; spec.startingDeadlineSeconds is 60"

    def test_a_deadline_is_nothing_to_a_manual_run(self) -> None:
        definition = a_definition(handled="00:00", startingDeadlineSeconds=60)
        assert len(job_names(decide(snapshot(definition, a_run(created="11:00")), at("12:00")))) == 1

    def test_a_refused_run_is_told_on_the_run_and_on_the_definition(self) -> None:
        run = a_run()
        plan = decide(snapshot(a_definition(handled="00:00", suspend=True), run), at("12:00:01"))
        assert events(plan, "JobRun")[0].startswith("Warning Skipped: Disabled: ScheduledJob files/sweep is disabled")
        assert events(plan)[0].startswith(f"Warning Skipped: {run.name}: Disabled")


class TestNoSuchDefinition:
    def test_the_api_server_is_asked_before_anything_is_said(self) -> None:
        plan = decide(snapshot(a_run(owner="")), at("12:00:01"))
        assert plan.actions == (plans.LookUpDefinition(),)

    def test_a_run_without_a_definition_is_refused(self) -> None:
        run = a_run(owner="")
        plan = decide(snapshot(run, definition_absent=True), at("12:00:01"))
        assert outcome(plan, run) == ("Skipped", "NotFound")
        assert "files/sweep does not exist" in run_status(plan, run).message

    def test_a_run_whose_definition_went_is_left_to_the_garbage_collector(self) -> None:
        assert decide(snapshot(a_run("12:00"), definition_absent=True), at("12:00:01")).actions == ()

    def test_a_run_that_was_orphaned_on_purpose_is_followed_to_its_end(self) -> None:
        run = a_run("12:00", "Running", owner="")
        plan = decide(snapshot(run, a_job(run, succeeded="12:05")), at("12:05:01"))
        assert outcome(plan, run) == ("Succeeded", "Completed")

    def test_refused_runs_do_not_pile_up(self) -> None:
        runs = [a_run(name=f"stray-{i}", owner="", phase="Skipped", ended=f"11:0{i}") for i in range(5)]
        plan = decide(snapshot(*runs, definition_absent=True), at("12:00"))
        assert [a.name for a in each(plan, plans.DeleteRun)] == ["stray-0", "stray-1"]


class TestJobRefused:
    """The API server refuses the Job itself."""

    def test_for_good_the_run_fails(self) -> None:
        run = a_run("12:00")
        refusals = {run.uid: Refusal("spec.jobTemplate.spec: no", permanent=True, retry_at=at("12:00"))}
        plan = decide(snapshot(a_definition(HOURLY, handled="12:00"), run, refusals=refusals), at("12:00:01"))
        assert outcome(plan, run) == ("Failed", "JobRefused")
        assert run_status(plan, run).message == "spec.jobTemplate.spec: no"
        assert run_status(plan, run).completion_time == at("12:00:01")

    def test_for_good_it_is_the_last_outcome(self) -> None:
        definition, run = a_definition(HOURLY, handled="12:00"), a_run("12:00")
        refusals = {run.uid: Refusal("no", permanent=True, retry_at=at("12:00"))}
        status = status_after(decide(snapshot(definition, run, refusals=refusals), at("12:00:01")), definition)
        assert status.display.status == "Failed"
        assert status.display.last_execution == "2026-03-10 12:00:01Z"
        assert status.counts.failed == 1

    def test_for_now_the_run_waits_and_is_tried_again(self) -> None:
        run = a_run("12:00")
        refusals = {run.uid: Refusal("exceeded quota", permanent=False, retry_at=at("12:00:06"))}
        snap = snapshot(a_definition(HOURLY, handled="12:00"), run, refusals=refusals)
        plan = decide(snap, at("12:00:01"))
        assert outcome(plan, run) == ("Queued", "JobRefused")
        assert run_status(plan, run).message == "exceeded quota"
        assert plan.wake_at == at("12:00:06")
        assert job_names(plan) == []
        assert job_names(decide(snap, at("12:00:06"))) == [run.name]

    def test_for_now_the_next_ones_do_not_overtake_it(self) -> None:
        first, second = a_run("12:00"), a_run(name="manual", created="12:00:02")
        refusals = {first.uid: Refusal("exceeded quota", permanent=False, retry_at=at("12:00:06"))}
        plan = decide(snapshot(a_definition(HOURLY, handled="12:00"), first, second, refusals=refusals), at("12:00:03"))
        assert outcome(plan, second) == ("Skipped", "ConcurrencyForbid")

    def test_for_now_it_is_overdue_after_a_minute(self) -> None:
        definition, run = a_definition(HOURLY, handled="12:00"), a_run("12:00", "Queued", reason="JobRefused")
        refusals = {run.uid: Refusal("exceeded quota", permanent=False, retry_at=at("12:01:03"))}
        snap = snapshot(definition, run, refusals=refusals)
        assert decide(snap, at("12:00:59")).wake_at == at("12:01:00")
        conditions = {c.type: c.status for c in status_after(decide(snap, at("12:01:00")), definition).conditions}
        assert conditions["OnTime"] == "False"

    @pytest.mark.parametrize("permanent", [True, False])
    def test_words_of_any_length_fit_the_record(self, permanent: bool) -> None:
        run = a_run("12:00")
        refusals = {run.uid: Refusal("x" * 9000, permanent=permanent, retry_at=at("12:00:06"))}
        plan = decide(snapshot(a_definition(HOURLY, handled="12:00"), run, refusals=refusals), at("12:00:01"))
        assert len(run_status(plan, run).message) == 4096


class TestAutoStart:
    """One run per UID; a suspended definition makes it at its first resume."""

    NAME = names.auto_start_runs(NAME, DEFINITION_UID)[0]

    @staticmethod
    def created(**definition: Any) -> list[str]:
        return [a.name for a in each(decide(snapshot(a_definition(**definition)), at("12:00")), plans.CreateRun)]

    def test_a_new_definition_starts_at_once(self) -> None:
        assert self.created(autoStart=True) == [self.NAME]

    def test_without_it_nothing_starts(self) -> None:
        assert self.created() == []

    def test_it_is_a_manual_run_without_a_due_time(self) -> None:
        (create,) = each(decide(snapshot(a_definition(autoStart=True)), at("12:00")), plans.CreateRun)
        assert create.body["spec"] == {"scheduledJob": NAME, "trigger": {"type": "Manual", "name": "autoStart"}}

    def test_a_suspended_one_waits(self) -> None:
        assert self.created(autoStart=True, suspend=True) == []

    def test_and_runs_at_its_first_resume(self) -> None:
        suspended = {"suspendedSince": stamp("11:00")}
        assert self.created(autoStart=True, handled="11:00", generation=2, status=suspended) == [self.NAME]

    def test_an_invalid_one_waits_until_it_is_mended(self) -> None:
        assert self.created(autoStart=True, triggers=triggers("61 * * * *")) == []

    def test_the_run_is_recorded_before_it_may_be_pruned(self) -> None:
        definition = a_definition(autoStart=True, handled="11:00", history={"succeeded": 0, "failed": 0})
        run = a_run(name=self.NAME, phase="Succeeded", trigger="autoStart", ended="12:01")
        plan = decide(snapshot(definition, run), at("12:01:01"))
        assert status_after(plan, definition).auto_start_run == self.NAME
        assert each(plan, plans.DeleteRun) == []

    def test_once_recorded_it_is_never_made_again(self) -> None:
        assert self.created(autoStart=True, handled="11:00", status={"autoStartRun": self.NAME}) == []

    def test_forbid_makes_it_wait_and_not_skip(self) -> None:
        definition = a_definition(HOURLY, autoStart=True, handled="11:00")
        active = a_run("11:00", "Running")
        run = a_run(name=self.NAME, trigger="autoStart")
        plan = decide(snapshot(definition, active, a_job(active, active=1), run), at("11:30"))
        assert outcome(plan, run) == ("Queued", "WaitingForSlot")

    @pytest.mark.parametrize("name", ["mine", NAME])
    def test_a_persons_run_of_that_trigger_name_is_a_manual_run(self, name: str) -> None:
        definition = a_definition(HOURLY, handled="11:00", uid=DEFINITION_UID if name == "mine" else "uid-another")
        active = a_run("11:00", "Running", owner=definition.uid)
        run = a_run(name=name, trigger="autoStart", owner=definition.uid)
        plan = decide(snapshot(definition, active, a_job(active, active=1), run), at("11:30"))
        assert outcome(plan, run) == ("Skipped", "ConcurrencyForbid")

    def test_a_due_time_behind_one_that_waits_is_skipped_under_forbid(self) -> None:
        definition = a_definition(HOURLY, autoStart=True, handled="11:00")
        active = a_run("11:00", "Running")
        run = a_run(name=self.NAME, trigger="autoStart", phase="Queued", reason="WaitingForSlot")
        plan = decide(snapshot(definition, active, a_job(active, active=1), run), at("12:00"))
        assert skipped(plan, definition) == ["t0 12:00:00 ConcurrencyForbid"]
