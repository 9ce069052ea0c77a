"""Stop, pause and resume of runs; who is left alone; and definitions that are disabled until a time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import PodReport, Run
from carillon.engine.plan import Plan
from carillon.engine.terms import Terms, time_left
from tests.unit.engine.builders import (
    EVERY_MINUTE,
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

STOPPED = a_run("12:00", "Running", stop=True)
STOPPING = a_run("12:00", "Running", reason="StopRequested", stop=True)
PAUSED = {"phase": "Paused", "reason": "PauseRequested"}


def after(run: Run, *, now: str = "12:10", job: Any = None, **seen: Any) -> Plan:
    jobs = [a_job(run, **job)] if job is not None else []
    return decide(snapshot(a_definition(HOURLY, handled="12:00"), run, *jobs, **seen), at(now))


class TestStop:
    def test_the_record_comes_first(self) -> None:
        plan = after(STOPPED, job={"active": 1})
        assert outcome(plan, STOPPED) == ("Running", "StopRequested")
        assert each(plan, plans.DeleteJob) == []

    def test_then_the_job_is_deleted_once(self) -> None:
        [deletion] = each(after(STOPPING, job={"active": 1}), plans.DeleteJob)
        assert deletion.uid == STOPPING.status.steps[0].job_uid
        assert each(after(STOPPING, job={"terminating": 1, "deleting": True}), plans.DeleteJob) == []

    def test_it_is_stopped_when_no_pod_is_left(self) -> None:
        uid = STOPPING.status.steps[0].job_uid
        seen: dict[str, Any] = {"absent_jobs": frozenset({uid})}
        assert outcome(after(STOPPING, pods={uid: PodReport(1)}, **seen), STOPPING) == ("Running", "StopRequested")
        plan = after(STOPPING, pods={uid: PodReport(0)}, **seen)
        assert outcome(plan, STOPPING) == ("Stopped", "StopRequested")
        assert run_status(plan, STOPPING).message == "stopped on request (spec.stop)"

    def test_a_failure_while_its_pods_are_told_to_end_is_the_stop(self) -> None:
        uid = STOPPING.status.steps[0].job_uid
        report = {uid: PodReport(0, 143, "", "terminated")}
        plan = after(STOPPING, job={"failed": "12:09", "deleting": True}, pods=report)
        assert outcome(plan, STOPPING) == ("Stopped", "StopRequested")

    def test_what_had_happened_by_then_happened(self) -> None:
        uid = STOPPED.status.steps[0].job_uid
        assert outcome(after(STOPPED, job={"succeeded": "12:09"}), STOPPED) == ("Succeeded", "Completed")
        assert outcome(after(STOPPING, job={"succeeded": "12:09", "deleting": True}), STOPPING)[0] == "Succeeded"
        failed = after(STOPPED, job={"failed": "12:09"}, pods={uid: PodReport(0, 3)})
        assert outcome(failed, STOPPED) == ("Failed", "BackoffLimitExceeded")

    @pytest.mark.parametrize("phase", ["", "Queued", "Scheduled", "Paused"])
    def test_one_without_a_job_is_stopped_at_once(self, phase: str) -> None:
        run = a_run("12:00", phase, stop=True, suspend=True)
        plan = after(run)
        assert outcome(plan, run) == ("Stopped", "StopRequested")
        assert job_names(plan) == []


class TestPause:
    RUN = a_run("12:00", "Running", suspend=True)

    def test_the_job_is_suspended(self) -> None:
        plan = after(self.RUN, job={"active": 1})
        assert outcome(plan, self.RUN) == ("Running", "Pausing")
        [change] = each(plan, plans.SuspendJob)
        assert (change.suspend, change.deadline_seconds) == (True, None)

    def test_it_is_paused_when_its_pods_are_gone(self) -> None:
        job: dict[str, Any] = {"suspended": True, "suspended_by": "run", "said": ("12:08", True)}
        assert outcome(after(self.RUN, job=job | {"terminating": 1}), self.RUN) == ("Running", "Pausing")
        plan = after(self.RUN, job=job)
        assert outcome(plan, self.RUN) == ("Paused", "PauseRequested")
        assert run_status(plan, self.RUN).paused_since == at("12:08")
        assert each(plan, plans.SuspendJob) == []

    @pytest.mark.parametrize(
        ("job", "words"),
        [
            ({"labels": {"kueue.x-k8s.io/queue-name": "q"}}, "Kueue"),
            ({"managed_by": "example.com/other"}, "example.com/other"),
            ({"suspended_by": "template", "suspended": True}, "spec.jobTemplate.spec.suspend"),
        ],
    )
    def test_it_is_refused_where_somebody_else_says_when_a_job_runs(self, job: dict[str, Any], words: str) -> None:
        plan = after(self.RUN, job={"active": 1} | job)
        assert outcome(plan, self.RUN) == ("Running", "PauseRefused")
        assert words in run_status(plan, self.RUN).message
        assert each(plan, plans.SuspendJob) == []

    def test_a_job_that_a_person_suspends_is_left_alone(self) -> None:
        run = a_run("12:00", "Running")
        plan = after(run, job={"suspended": True, "said": ("12:08", True)})
        assert outcome(plan, run) == ("Running", "JobSuspended")
        assert each(plan, plans.SuspendJob) == []

    def test_one_that_has_not_started_waits_and_holds_no_slot(self) -> None:
        run, other = a_run("12:00", suspend=True), a_run(name="other", created="12:09")
        plan = decide(snapshot(a_definition(HOURLY, handled="12:00"), run, other), at("12:10"))
        assert outcome(plan, run) == ("Paused", "PauseRequested")
        assert len(job_names(plan)) == 1
        assert job_names(plan)[0].startswith("other-")

    def test_its_deadline_counts(self) -> None:
        run = a_run("12:00", "Paused", reason="PauseRequested", suspend=True)
        definition = a_definition(HOURLY, handled="12:00", startingDeadlineSeconds=900)
        assert decide(snapshot(definition, run), at("12:10")).wake_at == at("12:15:01")
        assert outcome(decide(snapshot(definition, run), at("12:15:01")), run) == ("Skipped", "DeadlineExceeded")

    def test_it_does_not_make_its_job_overdue(self) -> None:
        run = a_run("12:00", "Paused", reason="PauseRequested", suspend=True)
        definition = a_definition(HOURLY, handled="12:00")
        status = status_after(decide(snapshot(definition, run), at("12:10")), definition)
        assert status.display.status == "Paused"

    def test_a_disabled_job_leaves_it_alone(self) -> None:
        job: dict[str, Any] = {"suspended": True, "suspended_by": "run", "said": ("12:08", True)}
        plan = decide(
            snapshot(a_definition(HOURLY, handled="12:00", suspend=True), self.RUN, a_job(self.RUN, **job)), at("12:10")
        )
        assert outcome(plan, self.RUN) == ("Paused", "PauseRequested")


QUEUE: dict[str, Any] = {"labels": {"kueue.x-k8s.io/queue-name": "batch"}}
ADMISSION: dict[str, Any] = {**QUEUE, "suspended": True, "suspended_by": "template"}
WAITING = {"phase": "Queued", "reason": "WaitingForAdmission"}


class TestAdmission:
    """A Job that a queueing system (Kueue) holds back: its run is Queued, and that time counts for nothing."""

    NEW = a_run("12:00")
    RUN = a_run("12:00", "Running")

    def queued(self, since: str = "12:00:00", **status: Any) -> Run:
        update = {**WAITING, "paused_since": at(since), **status}
        return replace(self.RUN, status=self.RUN.status.model_copy(update=update))

    @pytest.mark.parametrize(
        ("job", "who"),
        [
            (ADMISSION, "Kueue (label kueue.x-k8s.io/queue-name: batch) says when it runs"),
            # by Kueue's webhook, without a word in the template
            ({**QUEUE, "suspended": True}, "Kueue"),
            ({"managed_by": "kueue.x-k8s.io/multikueue", "suspended": True}, "kueue.x-k8s.io/multikueue"),
            ({"suspended": True, "suspended_by": "template"}, "spec.jobTemplate.spec.suspend"),
        ],
    )
    def test_its_run_is_queued_from_the_first_record_on(self, job: dict[str, Any], who: str) -> None:
        plan = after(self.NEW, job=job)
        status = run_status(plan, self.NEW)
        assert (status.phase, status.reason) == ("Queued", "WaitingForAdmission")
        assert who in status.message
        assert status.paused_since == self.NEW.created, "since its Job was made"

    def test_what_kubernetes_says_of_it_then_is_no_news(self) -> None:
        run = replace(self.NEW, status=run_status(after(self.NEW, job=ADMISSION), self.NEW))
        for said in (None, ("12:00:02", True)):
            assert each(after(run, job={**ADMISSION, "said": said}), plans.WriteRunStatus) == []

    def test_it_holds_its_slot_and_people_see_it_queued(self) -> None:
        run, other = self.queued(), a_run(name="other", created="12:09")
        definition = a_definition(HOURLY, handled="12:00")
        plan = decide(snapshot(definition, run, other, a_job(run, **ADMISSION)), at("12:10"))
        assert outcome(plan, other) == ("Skipped", "ConcurrencyForbid")
        status = status_after(plan, definition)
        assert (status.display.status, status.counts.active, status.counts.queued) == ("Queued", 1, 1)
        assert not any(c.type == "OnTime" and c.status == "False" for c in status.conditions)

    def test_it_takes_no_second_place_in_its_own_queue(self) -> None:
        """With room for one more: the run that waits for admission counts once, by its Job."""
        definition = a_definition(EVERY_MINUTE, handled="12:09", concurrency={"policy": "Forbid", "max": 2})
        plan = decide(snapshot(definition, self.NEW, a_job(self.NEW, **ADMISSION)), at("12:10"))
        assert len(fired(plan)) == 1

    @pytest.mark.parametrize("now", ["12:10", "12:59", "18:00"])
    def test_pending_timeout_does_not_count_while_it_waits(self, now: str) -> None:
        run = self.queued()
        definition = a_definition(HOURLY, handled="17:00", pendingTimeoutSeconds=60)
        plan = decide(snapshot(definition, run, a_job(run, **ADMISSION, said=("12:00", True))), at(now))
        assert outcome(plan, run) == ("Queued", "WaitingForAdmission")
        assert each(plan, plans.InspectPods) == []

    def test_pending_timeout_counts_from_its_admission(self) -> None:
        run = self.queued()
        definition = a_definition(HOURLY, handled="12:00", pendingTimeoutSeconds=60)
        admitted = replace(a_job(run, **QUEUE, said=("12:30", False)), pending_since=at("12:30"))
        plan = decide(snapshot(definition, run, admitted), at("12:30:59"))
        assert (outcome(plan, run), plan.wake_at) == (("Running", ""), at("12:31"))
        assert each(decide(snapshot(definition, run, admitted), at("12:31")), plans.InspectPods) != []

    def test_its_time_is_counted_from_its_admission(self) -> None:
        """Kubernetes counts the first Job's limit itself; what is left for the next attempt is ours to know."""
        run = self.queued()
        plan = after(run, job={**QUEUE, "said": ("12:07", False), "active": 1})
        status = run_status(plan, run)
        assert (status.phase, status.reason, status.paused_since, status.paused_seconds) == ("Running", "", None, 420)
        assert time_left(status, Terms(timeout_seconds=600), at("12:10")) == timedelta(seconds=600 - 180)
        [event, _] = each(plan, plans.Emit)[:2]
        assert (event.reason, event.message) == ("Started", f"admitted Job {run.name}")

    def test_it_is_queued_until_kubernetes_has_noticed_its_admission(self) -> None:
        run = self.queued()
        assert outcome(after(run, job={**QUEUE, "said": ("12:00", True)}), run) == ("Queued", "WaitingForAdmission")

    def test_one_that_is_preempted_is_queued_again_when_its_pods_are_gone(self) -> None:
        job = {**ADMISSION, "said": ("12:08", True)}
        assert outcome(after(self.RUN, job=job | {"terminating": 1}), self.RUN) == ("Running", "JobSuspended")
        plan = after(self.RUN, job=job)
        assert outcome(plan, self.RUN) == ("Queued", "WaitingForAdmission")
        assert run_status(plan, self.RUN).paused_since == at("12:08")

    def test_a_pause_is_refused_and_it_stays_queued(self) -> None:
        run = replace(self.queued(), spec=self.RUN.spec.model_copy(update={"suspend": True}))
        plan = after(run, job=ADMISSION)
        assert outcome(plan, run) == ("Queued", "PauseRefused")
        assert "Kueue" in run_status(plan, run).message

    def test_it_can_be_stopped(self) -> None:
        run = replace(self.queued(), spec=self.RUN.spec.model_copy(update={"stop": True}))
        told = run_status(after(run, job=ADMISSION), run)
        assert told.reason == "StopRequested"
        assert len(each(after(replace(run, status=told), job=ADMISSION), plans.DeleteJob)) == 1

    def test_a_disabled_job_leaves_it_alone(self) -> None:
        run = self.queued()
        definition = a_definition(HOURLY, handled="12:00", suspend=True)
        plan = decide(snapshot(definition, run, a_job(run, **ADMISSION)), at("12:10"))
        assert outcome(plan, run) == ("Queued", "WaitingForAdmission")


class TestResume:
    """With what is left of the run's time, for Kubernetes counts a Job's limit anew when it is resumed."""

    JOB: ClassVar[dict[str, Any]] = {"suspended": True, "suspended_by": "run", "terms": Terms(timeout_seconds=900)}

    def run(self, **status: Any) -> Run:
        run = a_run("12:00", "Running")
        return replace(run, status=run.status.model_copy(update=status))

    def test_with_what_is_left(self) -> None:
        run = self.run(**PAUSED, paused_since=at("12:05"), paused_seconds=60)
        [change] = each(after(run, job=self.JOB | {"said": ("12:05", True)}), plans.SuspendJob)
        assert (change.suspend, change.deadline_seconds) == (False, 900 - (5 * 60 - 60))

    def test_only_after_kubernetes_has_noticed_and_the_record_says_since_when(self) -> None:
        run = self.run(reason="Pausing")
        assert each(after(run, job=self.JOB), plans.SuspendJob) == []
        plan = after(run, job=self.JOB | {"said": ("12:05", True)})
        assert each(plan, plans.SuspendJob) == []
        assert run_status(plan, run).paused_since == at("12:05")

    def test_the_record_counts_the_pause_by_kubernetes_clock(self) -> None:
        run = self.run(**PAUSED, paused_since=at("12:05"), paused_seconds=60)
        waiting = after(run, job=self.JOB | {"suspended": False, "said": ("12:05", True)})
        assert outcome(waiting, run) == ("Paused", "PauseRequested")
        plan = after(run, job={"terms": self.JOB["terms"], "said": ("12:07", False), "active": 1})
        status = run_status(plan, run)
        assert (status.phase, status.reason, status.paused_since, status.paused_seconds) == ("Running", "", None, 180)


class TestDisabledUntil:
    def test_it_fires_from_that_moment_on(self) -> None:
        until: dict[str, Any] = {"suspend": True, "suspendUntil": "2026-03-10T12:05:00Z"}
        definition = a_definition(
            EVERY_MINUTE, handled="12:00", status={"suspendedSince": "2026-03-10T12:00:30Z"}, **until
        )
        before = decide(snapshot(definition), at("12:04:59"))
        assert (fired(before), before.wake_at) == ([], at("12:05"))
        assert status_after(before, definition).display.status == "Disabled"
        plan = decide(snapshot(definition), at("12:05:20"))
        assert skipped(plan, definition) == ["t0 12:01:00-12:04:00 x4 Suspended"]
        assert status_after(plan, definition).suspended_since is None

    def test_what_was_due_since_then_is_missed_and_not_suspended(self) -> None:
        status: dict[str, Any] = {"suspendedSince": "2026-03-10T12:00:30Z"}
        until: dict[str, Any] = {"suspend": True, "suspendUntil": "2026-03-10T12:05:00Z"}
        definition = a_definition(EVERY_MINUTE, handled="12:00", status=status, **until)
        after_downtime = status_after(decide(snapshot(definition), at("12:30:20")), definition)
        assert after_downtime.triggers[0].handled_through == at("12:04:59")

    def test_an_edit_never_fires(self) -> None:
        status: dict[str, Any] = {"suspendedSince": "2026-03-10T12:00:30Z"}
        until: dict[str, Any] = {"suspend": True, "suspendUntil": "2026-03-10T12:05:00Z"}
        edited = a_definition(EVERY_MINUTE, handled="12:00", status=status, generation=2, observed=1, **until)
        resumed = status_after(decide(snapshot(edited), at("12:30:20")), edited)
        assert resumed.triggers[0].handled_through == at("12:30:20")

    def test_people_see_what_is_due_when_it_has_ended(self) -> None:
        until: dict[str, Any] = {"suspend": True, "suspendUntil": "2026-03-10T15:00:00Z"}
        definition = a_definition(HOURLY, handled="12:00", **until)
        assert status_after(decide(snapshot(definition), at("12:10")), definition).next_executions[0] == at("15:00")
