"""Attempts: which failures are tried again, when, from what, and when it is over."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from carillon.api import keys
from carillon.api.jobrun import JobRunStatus, StepStatus
from carillon.api.scheduledjob import Backoff, Retry, ScheduledJobSpec
from carillon.engine import build
from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import Job, PodReport, Refusal, Run
from carillon.engine.plan import Plan
from carillon.engine.read import read_run
from carillon.engine.terms import NO_TERMS, Terms, read_terms, time_left, write_terms
from tests.unit.engine.builders import (
    HOURLY,
    a_definition,
    a_job,
    a_run,
    a_template,
    as_json,
    at,
    each,
    job_names,
    outcome,
    run_status,
    snapshot,
)

TERMS = Terms(retry=Retry(limit=2, backoff=Backoff(initial_seconds=10)))
WITH_LIMIT = TERMS.model_copy(update={"timeout_seconds": 300})


def between(attempts: int = 1, *, ended: str = "12:05", **rest: Any) -> tuple[Run, list[Job]]:
    """A run whose last attempt has failed, and the Jobs of all of them."""
    terms = rest.pop("terms", TERMS)
    names = [f"job-{number}" for number in range(1, attempts + 1)]
    steps = tuple(
        StepStatus(
            name="main",
            attempt=number,
            phase="Failed",
            job=name,
            job_uid=f"uid-job-{name}",
            exit_code=3,
            message="broken",
            start_time=at("12:00"),
            completion_time=at(ended),
        )
        for number, name in enumerate(names, start=1)
    )
    status = JobRunStatus(
        phase="Running", reason="RetryBackoff", start_time=at("12:00"), attempts=attempts, steps=steps, **rest
    )
    plain = a_run("12:00")
    spec = {"scheduledJob": "sweep", "scheduledTime": "2026-03-10T12:00:00Z"}
    spec["trigger"] = {"type": "Periodic", "name": "t0"}  # type: ignore[assignment]
    owner = {"apiVersion": "carillon.dev/v1alpha1", "kind": "ScheduledJob", "name": "sweep", "uid": "uid-sweep"}
    metadata = {"name": plain.name, "namespace": "files", "uid": plain.uid, "resourceVersion": "20"}
    metadata |= {"creationTimestamp": "2026-03-10T12:00:00Z", "ownerReferences": [owner]}  # type: ignore[dict-item]
    run = read_run({"metadata": metadata, "spec": spec, "status": as_json(status)})
    return run, [a_job(run, name=name, failed=ended, terms=terms) for name in names]


def after(run: Run, *jobs: Job, now: str, **seen: Any) -> Plan:
    return decide(snapshot(a_definition(HOURLY, handled="12:00"), run, *jobs, **seen), at(now))


def first_failure(terms: Terms = TERMS, reason: str = "BackoffLimitExceeded", **job: Any) -> tuple[str, str]:
    run = a_run("12:00", "Running")
    failed = a_job(run, failed="12:05", reason=reason, terms=terms, **job)
    return outcome(after(run, failed, now="12:05:01", pods={failed.uid: PodReport(0, 3, "", "broken")}), run)


class TestWhichFailures:
    @pytest.mark.parametrize(
        ("reason", "told"),
        [
            ("BackoffLimitExceeded", ("Running", "RetryBackoff")),
            ("MaxFailedIndexesExceeded", ("Running", "RetryBackoff")),
            ("", ("Running", "RetryBackoff")),
            ("PodFailurePolicy", ("Failed", "PodFailurePolicy")),
        ],
    )
    def test_by_the_jobs_own_reason(self, reason: str, told: tuple[str, str]) -> None:
        assert first_failure(reason=reason) == told

    def test_no_retries(self) -> None:
        assert first_failure(NO_TERMS) == ("Failed", "BackoffLimitExceeded")

    def test_the_runs_time_is_over(self) -> None:
        assert first_failure(WITH_LIMIT, "DeadlineExceeded", deadline=300) == ("Failed", "TimedOut")

    def test_the_templates_own_limit_is_of_one_attempt(self) -> None:
        terms = WITH_LIMIT.model_copy(update={"timeout_seconds": 900, "active_deadline_seconds": 300})
        assert first_failure(terms, "DeadlineExceeded", deadline=300) == ("Running", "RetryBackoff")

    def test_there_is_no_time_for_another(self) -> None:
        terms = TERMS.model_copy(update={"timeout_seconds": 305})
        run = a_run("12:00", "Running")
        failed = a_job(run, failed="12:05", terms=terms)
        plan = after(run, failed, now="12:05:01", pods={failed.uid: PodReport(0, 3, "", "broken")})
        assert outcome(plan, run) == ("Failed", "BackoffLimitExceeded")
        words = "attempt 1 of 3 (spec.timeoutSeconds: 305 leaves no time for another): broken"
        assert run_status(plan, run).message == words

    def test_somebody_stops_it(self) -> None:
        run = a_run("12:00", "Running", stop=True)
        failed = a_job(run, failed="12:05", terms=TERMS)
        plan = after(run, failed, now="12:05:01", pods={failed.uid: PodReport(0, 3, "", "broken")})
        assert outcome(plan, run) == ("Failed", "BackoffLimitExceeded"), "what happened is what happened"

    def test_the_last_attempt(self) -> None:
        run, jobs = between(2)
        last = a_job(run, name="job-3", failed="12:07", terms=TERMS)
        step = run.status.steps[0].model_copy(
            update={"attempt": 3, "job": "job-3", "job_uid": last.uid, "completion_time": None}
        )
        run = replace(run, status=run.status.model_copy(update={"steps": (*run.status.steps, step), "attempts": 3}))
        plan = after(run, *jobs, last, now="12:07:01", pods={last.uid: PodReport(0, 3, "", "broken")})
        assert outcome(plan, run) == ("Failed", "BackoffLimitExceeded")
        assert run_status(plan, run).message == "attempt 3 of 3: broken"


class TestBackOff:
    def test_the_record_says_when_the_next_one_starts(self) -> None:
        run = a_run("12:00", "Running")
        failed = a_job(run, failed="12:05", terms=TERMS)
        status = run_status(after(run, failed, now="12:05:01", pods={failed.uid: PodReport(0, 3, "", "broken")}), run)
        words = "attempt 1 of 3 failed with exit code 3; the next starts at 2026-03-10T12:05:10Z: broken"
        assert status.message == words
        assert (status.steps[0].phase, status.completion_time) == ("Failed", None)

    @pytest.mark.parametrize(("attempt", "seconds"), [(1, 10), (2, 20), (3, 40), (9, 600)])
    def test_each_wait_is_longer_up_to_the_most(self, attempt: int, seconds: int) -> None:
        assert TERMS.wait_after(attempt) == timedelta(seconds=seconds)

    def test_nothing_is_made_before_its_time(self) -> None:
        run, jobs = between()
        plan = after(run, *jobs, now="12:05:09")
        assert job_names(plan) == []
        assert plan.wake_at == at("12:05:10")

    def test_then_the_job_is_read_and_the_next_made_of_it(self) -> None:
        run, jobs = between()
        assert after(run, *jobs, now="12:05:10").look_ups == (plans.ReadJob("job-1", jobs[0].uid),)
        body = {"metadata": {"name": "job-1", "namespace": "files"}, "spec": a_template()["spec"]}
        [create] = each(after(run, *jobs, now="12:05:10", job_bodies={jobs[0].uid: body}), plans.CreateJob)
        assert create.body["metadata"]["labels"][keys.ATTEMPT_LABEL] == "2"
        assert create.name != "job-1"

    def test_the_slot_is_held(self) -> None:
        run, jobs = between()
        manual = a_run(name="now", created="12:05:05")
        plan = decide(snapshot(a_definition(HOURLY, handled="12:00"), run, manual, *jobs), at("12:05:05"))
        assert outcome(plan, manual) == ("Skipped", "ConcurrencyForbid")

    def test_one_that_was_made_already_is_recorded(self) -> None:
        run, jobs = between()
        body = {"metadata": {"name": "job-1", "namespace": "files"}, "spec": a_template()["spec"]}
        [create] = each(after(run, *jobs, now="12:05:10", job_bodies={jobs[0].uid: body}), plans.CreateJob)
        made = a_job(run, name=create.name, terms=TERMS, active=1)
        plan = after(run, *jobs, made, now="12:05:11")
        assert job_names(plan) == []
        status = run_status(plan, run)
        assert (status.phase, status.reason, status.attempts) == ("Running", "", 2)
        assert [step.job for step in status.steps] == ["job-1", create.name]

    def test_a_job_that_somebody_has_deleted_ends_the_run(self) -> None:
        run, jobs = between()
        gone = frozenset({jobs[0].uid})
        plan = after(run, now="12:05:10", absent_jobs=gone, pods={jobs[0].uid: PodReport(0)})
        assert outcome(plan, run) == ("Failed", "JobDeleted")

    @pytest.mark.parametrize(
        ("refusal", "told"),
        [
            (Refusal("no image", True, at("12:05:10")), ("Failed", "JobRefused")),
            (Refusal("quota", False, at("12:05:30"), since=at("12:05:10")), ("Running", "JobRefused")),
            (Refusal("quota", False, at("12:05:30"), since=at("11:45")), ("Failed", "JobRefused")),
        ],
    )
    def test_the_api_server_refuses_the_next_job(self, refusal: Refusal, told: tuple[str, str]) -> None:
        run, jobs = between()
        assert outcome(after(run, *jobs, now="12:05:20", refusals={run.uid: refusal}), run) == told

    def test_nobody_was_there_until_the_time_was_over(self) -> None:
        run, jobs = between(terms=WITH_LIMIT, ended="12:04")
        plan = after(run, *jobs, now="12:30")
        assert outcome(plan, run) == ("Failed", "TimedOut")
        assert "spec.timeoutSeconds: 300" in run_status(plan, run).message


class TestTerms:
    def test_what_is_written_is_read(self) -> None:
        assert read_terms(write_terms(WITH_LIMIT)) == WITH_LIMIT

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"retry": {"limit": 99}}', '{"more": 1}'])
    def test_what_is_not_understood_says_nothing(self, text: str) -> None:
        assert read_terms(text) == NO_TERMS

    def test_pauses_do_not_count(self) -> None:
        status = JobRunStatus(start_time=at("12:00"), paused_seconds=60, paused_since=at("12:03"))
        assert time_left(status, WITH_LIMIT, at("12:05")) == timedelta(seconds=300 - 120)

    @pytest.mark.parametrize(
        ("own", "left", "deadline"),
        [(None, None, None), (None, 12.2, 13), (None, -5.0, 1), (10, 12.0, 10), (20, 12.0, 12), (20, None, 20)],
    )
    def test_the_limit_of_a_job(self, own: int | None, left: float | None, deadline: int | None) -> None:
        terms = Terms(timeout_seconds=300, active_deadline_seconds=own)
        assert terms.deadline_seconds(timedelta(seconds=left) if left is not None else None) == deadline


class TestTheNextJob:
    MADE: ClassVar[dict[str, Any]] = {
        "metadata": {
            "name": "j1",
            "namespace": "files",
            "uid": "u",
            "resourceVersion": "7",
            "labels": {keys.RUN_UID_LABEL: "r", "batch.kubernetes.io/job-name": "j1", keys.ATTEMPT_LABEL: "1"},
            "annotations": {keys.TERMS_ANNOTATION: write_terms(TERMS), keys.SUSPENDED_ANNOTATION: "run"},
        },
        "spec": {
            "suspend": True,
            "activeDeadlineSeconds": 300,
            "backoffLimit": 0,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
            "template": {
                "metadata": {"labels": {"controller-uid": "u", "job-name": "j1", "team": "a", keys.ATTEMPT_LABEL: "1"}},
                "spec": {"containers": [{"name": "main", "image": "x", "env": [{"name": "A", "value": "b"}]}]},
            },
        },
        "status": {"failed": 1},
    }

    def body(self, **made: Any) -> dict[str, Any]:
        return build.next_attempt_body({**self.MADE, **made}, a_run("12:00"), name="j2", attempt=2, deadline_seconds=40)

    def test_it_does_the_same(self) -> None:
        body = self.body()
        assert body["spec"]["template"]["spec"] == self.MADE["spec"]["template"]["spec"]
        assert body["metadata"]["annotations"] == {keys.TERMS_ANNOTATION: write_terms(TERMS)}

    def test_it_has_what_is_left_of_the_time(self) -> None:
        assert self.body()["spec"]["activeDeadlineSeconds"] == 40

    def test_it_has_a_name_and_labels_of_its_own(self) -> None:
        body = self.body()
        assert "selector" not in body["spec"]
        assert body["metadata"]["name"] == "j2"
        assert body["spec"]["template"]["metadata"]["labels"] == {"team": "a", keys.ATTEMPT_LABEL: "2"}
        assert body["metadata"]["labels"] == {keys.RUN_UID_LABEL: "r", keys.ATTEMPT_LABEL: "2"}

    def test_our_pause_is_not_copied_and_the_templates_is(self) -> None:
        assert "suspend" not in self.body()["spec"]
        theirs = {**self.MADE["metadata"], "annotations": {keys.SUSPENDED_ANNOTATION: "template"}}
        assert self.body(metadata=theirs)["spec"]["suspend"] is True


def test_backoff_limit_is_zero_where_runs_are_retried_and_the_template_says_nothing() -> None:
    def limit(**spec: Any) -> Any:
        read = ScheduledJobSpec.model_validate({"jobTemplate": a_template(), "retry": {"limit": 1}, **spec})
        return build.from_template(read, labels={}, annotations={}, environment=[])["spec"].get("backoffLimit")

    assert (limit(), limit(retry=None)) == (0, None)
    given = a_template()
    given["spec"]["backoffLimit"] = 4
    assert limit(jobTemplate=given) == 4
