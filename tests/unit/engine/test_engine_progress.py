"""From a Job to the record of its run: how it ended, with what words, and what has to be looked up first."""

from typing import Any

import pytest

from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import Definition, PodReport, Run
from carillon.engine.plan import Plan
from carillon.engine.terms import Terms
from tests.unit.engine.builders import (
    HOURLY,
    a_definition,
    a_job,
    a_run,
    at,
    each,
    events,
    job_names,
    outcome,
    run_status,
    snapshot,
)

RUN = a_run("12:00", "Running")
JOB_UID = RUN.status.steps[0].job_uid


def hourly(**spec: Any) -> Definition:
    return a_definition(HOURLY, handled="12:00", **spec)


def after(
    run: Run = RUN, *, now: str = "12:10", definition: Definition | None = None, job: Any = None, **seen: Any
) -> Plan:
    """The plan when the run's Job is so; `job` holds the arguments of `a_job`, None when it has vanished."""
    jobs = [a_job(run, **job)] if job is not None else []
    return decide(snapshot(definition or hourly(), run, *jobs, **seen), at(now))


def failed(reason: str = "BackoffLimitExceeded", message: str = "") -> dict[str, Any]:
    return {"failed": "12:05", "reason": reason, "message": message}


def pods(remaining: int = 0, **report: Any) -> dict[str, PodReport]:
    return {JOB_UID: PodReport(remaining, **report)}


class TestStarted:
    def test_the_record_tells_of_the_job_and_when_it_was_made(self) -> None:
        run = a_run("12:00")
        status = run_status(after(run, job={"created": "12:00:01"}), run)
        assert (status.phase, status.start_time) == ("Running", at("12:00:01"))
        assert (status.steps[0].job, status.steps[0].phase) == (run.name, "Running")

    def test_a_run_that_waited_loses_its_reason(self) -> None:
        run = a_run("12:00", "Queued", reason="JobRefused", message="exceeded quota")
        plan = after(run, job={})
        assert outcome(plan, run) == ("Running", "")
        assert run_status(plan, run).message == ""

    def test_nothing_is_written_while_it_goes_on(self) -> None:
        assert each(after(job={"active": 1}), plans.WriteRunStatus) == []

    def test_the_write_names_the_version_that_was_read(self) -> None:
        run = a_run("12:00", resource_version=77)
        (write,) = each(after(run, job={}), plans.WriteRunStatus)
        assert (write.uid, write.resource_version, write.outcome) == (run.uid, "77", None)


class TestSucceeded:
    def test_the_record_tells_when(self) -> None:
        plan = after(job={"succeeded": "12:05"})
        status = run_status(plan, RUN)
        assert outcome(plan, RUN) == ("Succeeded", "Completed")
        assert status.completion_time == status.steps[0].completion_time == at("12:05")
        assert (status.steps[0].phase, status.steps[0].exit_code) == ("Succeeded", 0)

    def test_one_that_came_and_went_unseen_is_recorded_from_start_to_end(self) -> None:
        run = a_run("12:00")
        status = run_status(after(run, job={"succeeded": "12:05"}), run)
        assert (status.phase, status.start_time, status.completion_time) == ("Succeeded", at("12:00"), at("12:05"))

    def test_kubectl_wait_ends_on_the_conditions(self) -> None:
        conditions = {c.type: c.status for c in run_status(after(job={"succeeded": "12:05"}), RUN).conditions}
        assert conditions == {"Finished": "True", "Succeeded": "True"}

    def test_a_job_that_is_deleted_right_after_its_success_succeeded(self) -> None:
        """ttlSecondsAfterFinished: 0 in the template."""
        assert outcome(after(job={"succeeded": "12:05", "deleting": True}), RUN) == ("Succeeded", "Completed")

    def test_it_runs_on_while_a_pod_terminates(self) -> None:
        assert outcome(after(job={"succeeded": "12:05", "terminating": 1}), RUN) == ("Running", "")

    def test_metrics_hear_of_the_outcome_once(self) -> None:
        (write,) = each(after(job={"succeeded": "12:05"}), plans.WriteRunStatus)
        assert write.outcome == ("Succeeded", "Periodic")


class TestFailed:
    def test_the_pods_are_looked_at_before_anything_is_recorded(self) -> None:
        plan = after(job=failed())
        assert plan.look_ups == (plans.InspectPods(JOB_UID),)
        assert outcome(plan, RUN) == ("Running", "")

    def test_the_record_holds_the_exit_code_and_the_last_words(self) -> None:
        plan = after(job=failed(), pods=pods(exit_code=3, message="disk full"))
        status = run_status(plan, RUN)
        assert outcome(plan, RUN) == ("Failed", "BackoffLimitExceeded")
        assert (status.message, status.steps[0].message, status.steps[0].exit_code) == ("disk full", "disk full", 3)
        assert status.completion_time == at("12:05")
        assert {c.type: c.status for c in status.conditions} == {"Finished": "True", "Succeeded": "False"}

    def test_the_container_knows_better_why(self) -> None:
        report = pods(exit_code=137, reason="OOMKilled")
        assert outcome(after(job=failed(), pods=report), RUN) == ("Failed", "OOMKilled")

    def test_the_jobs_own_words_stand_in_for_a_silent_container(self) -> None:
        plan = after(job=failed(message="Job has reached the specified backoff limit"), pods=pods(exit_code=1))
        assert run_status(plan, RUN).message == "Job has reached the specified backoff limit"

    def test_another_reason_of_the_job_is_kept(self) -> None:
        plan = after(job=failed("PodFailurePolicy"), pods=pods(exit_code=42, reason="OOMKilled"))
        assert outcome(plan, RUN) == ("Failed", "PodFailurePolicy")

    def test_the_end_of_what_the_container_said_is_kept(self) -> None:
        plan = after(job=failed(), pods=pods(exit_code=1, message="x" * 5000 + "the end"))
        message = run_status(plan, RUN).message
        assert len(message) == 4096
        assert message.endswith("the end")

    def test_a_job_that_is_deleted_right_after_its_failure_failed(self) -> None:
        plan = after(job=failed() | {"deleting": True}, pods=pods(exit_code=3))
        assert outcome(plan, RUN) == ("Failed", "BackoffLimitExceeded")


class TestTimedOut:
    """By the limit that was in force at the run's first Job."""

    OURS = failed("DeadlineExceeded") | {"terms": Terms(timeout_seconds=300), "deadline": 300}

    def test_our_limit_is_named(self) -> None:
        plan = after(job=self.OURS, pods=pods(), definition=hourly(timeoutSeconds=999))
        assert outcome(plan, RUN) == ("Failed", "TimedOut")
        assert run_status(plan, RUN).message == "took longer than spec.timeoutSeconds: 300"

    def test_the_last_words_are_added(self) -> None:
        plan = after(job=self.OURS, pods=pods(exit_code=143, message="at 80 %"))
        assert run_status(plan, RUN).message == "took longer than spec.timeoutSeconds: 300; last words: at 80 %"

    @pytest.mark.parametrize("timeout", [None, 600])
    def test_the_templates_own_limit_is_not_ours(self, timeout: int | None) -> None:
        terms = Terms(timeout_seconds=timeout, active_deadline_seconds=300)
        job = failed("DeadlineExceeded", "Job was active longer") | {"terms": terms, "deadline": 300}
        assert outcome(after(job=job, pods=pods()), RUN) == ("Failed", "DeadlineExceeded")


class TestJobDeleted:
    """Once a run's status says that its Job was made, a vanished Job is never made again: design 3.2."""

    def test_the_api_server_is_asked_first(self) -> None:
        plan = after(job=None)
        assert plan.look_ups == (plans.LookUpJob(RUN.name, JOB_UID, RUN.uid),)
        assert outcome(plan, RUN) == ("Running", "")

    def test_then_its_pods_are_looked_for(self) -> None:
        plan = after(job=None, absent_jobs=frozenset({JOB_UID}))
        assert plan.look_ups == (plans.InspectPods(JOB_UID),)

    def test_the_run_goes_on_while_they_linger(self) -> None:
        gone = frozenset({JOB_UID})
        plan = after(job=None, absent_jobs=gone, lingering_jobs=gone, pods=pods(1))
        assert outcome(plan, RUN) == ("Running", "")
        assert plan.wake_at == at("12:10:02")

    def test_when_they_are_gone_it_has_failed(self) -> None:
        plan = after(job=None, absent_jobs=frozenset({JOB_UID}), pods=pods())
        assert outcome(plan, RUN) == ("Failed", "JobDeleted")
        assert run_status(plan, RUN).message == f"Job {RUN.name} was deleted while the run was active"
        assert run_status(plan, RUN).completion_time == at("12:10")

    def test_it_is_never_made_again(self) -> None:
        gone = frozenset({JOB_UID})
        for plan in (
            after(job=None),
            after(job=None, absent_jobs=gone),
            after(job=None, absent_jobs=gone, pods=pods()),
        ):
            assert job_names(plan) == []

    def test_a_run_that_was_stopped_to_make_place_is_stopped(self) -> None:
        run = a_run("12:00", "Running", reason="Replaced")
        plan = after(run, job=None, absent_jobs=frozenset({JOB_UID}), pods=pods())
        assert outcome(plan, run) == ("Stopped", "Replaced")


class TestPodsRefused:
    """Kubernetes refuses the pods, not the Job: design 3.10."""

    WHY = 'pods "x" is forbidden: exceeded quota'

    def test_the_run_says_why(self) -> None:
        plan = after(job={}, pods_refused={JOB_UID: self.WHY})
        assert outcome(plan, RUN) == ("Running", "PodsRefused")
        assert run_status(plan, RUN).message == self.WHY

    def test_people_are_told_once(self) -> None:
        plan = after(job={}, pods_refused={JOB_UID: self.WHY})
        assert events(plan, "JobRun") == [f"Warning PodsRefused: PodsRefused: {self.WHY}"]
        told = a_run("12:00", "Running", reason="PodsRefused", message=self.WHY)
        assert events(after(told, job={}, pods_refused={JOB_UID: self.WHY}), "JobRun") == []

    def test_it_passes_when_a_pod_is_let_in(self) -> None:
        run = a_run("12:00", "Running", reason="PodsRefused", message=self.WHY)
        plan = after(run, job={"active": 1})
        assert outcome(plan, run) == ("Running", "")
        assert run_status(plan, run).message == ""

    def test_it_stays_until_then(self) -> None:
        run = a_run("12:00", "Running", reason="PodsRefused", message=self.WHY)
        assert outcome(after(run, job={}), run) == ("Running", "PodsRefused")

    def test_words_of_any_length_fit_the_record(self) -> None:
        plan = after(job={}, pods_refused={JOB_UID: "x" * 9000})
        assert len(run_status(plan, RUN).message) == 4096
