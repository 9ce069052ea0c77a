"""Attempts of a run with real pods: seen one by one, under one time limit, and none made twice by a killed operator."""

from functools import partial
from typing import Any

import pytest

from tests.e2e.api import Api, Manifest, condition, phase_of
from tests.e2e.objects import instant, job_template, now, scheduled_job
from tests.e2e.operators import Operators
from tests.e2e.together import Crowd, together

THIRD_TIME = 'echo "attempt $CARILLON_ATTEMPT"; test "$CARILLON_ATTEMPT" = 3'


def flaky(script: str, limit: int, wait: int, **spec: Any) -> Manifest:
    body = scheduled_job("flaky", retry={"limit": limit, "backoff": {"initialSeconds": wait, "factor": 1}}, **spec)
    body["spec"]["jobTemplate"] = job_template(script)
    del body["spec"]["jobTemplate"]["spec"]["backoffLimit"]
    return body


def reason(run: Manifest) -> str:
    return str(run.get("status", {}).get("reason", ""))


def backs_off(run: Manifest, attempt: int) -> bool:
    return reason(run) == "RetryBackoff" and run["status"]["attempts"] == attempt


@together
def test_a_run_that_succeeds_at_its_third_attempt(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, flaky(THIRD_TIME, limit=2, wait=2))
    run = api.run_now(namespace, "flaky")
    waiting = api.until("jobruns", namespace, run, lambda it: reason(it) == "RetryBackoff", "a back-off")["status"]
    assert waiting["phase"] == "Running"
    assert waiting["message"].startswith("attempt 1 of 3 failed with exit code 1; the next starts at 20")
    assert waiting["message"].endswith("attempt 1")
    held = api.until_finished(namespace, api.run_now(namespace, "flaky"))
    assert (held["phase"], held["reason"]) == ("Skipped", "ConcurrencyForbid"), "the slot is held through back-off"

    done = api.until_finished(namespace, run)
    assert (done["phase"], done["attempts"]) == ("Succeeded", 3)
    assert [(step["attempt"], step["phase"], step["exitCode"]) for step in done["steps"]] == [
        (1, "Failed", 1),
        (2, "Failed", 1),
        (3, "Succeeded", 0),
    ]
    jobs = api.select("jobs", namespace)
    assert {job["metadata"]["labels"]["carillon.dev/attempt"] for job in jobs} == {"1", "2", "3"}
    assert {job["metadata"]["name"] for job in jobs} == {step["job"] for step in done["steps"]}
    assert {job["spec"]["backoffLimit"] for job in jobs} == {0}, "one pod an attempt"
    assert api.log(namespace, "carillon.dev/attempt=2") == "attempt 2\n"


@together
def test_a_run_that_uses_up_its_attempts(api: Api, namespace: str) -> None:
    """An edit in the back-off is not for this run: it fails as it began."""
    api.create("scheduledjobs", namespace, flaky("echo no luck >&2; exit 4", limit=1, wait=2))
    run = api.run_now(namespace, "flaky")
    api.until("jobruns", namespace, run, lambda it: reason(it) == "RetryBackoff", "a back-off")
    changed = {"retry": None, "jobTemplate": job_template("exit 0")}
    api.patch("scheduledjobs", namespace, "flaky", {"spec": changed})
    done = api.until_finished(namespace, run)
    assert (done["phase"], done["reason"], done["message"]) == (
        "Failed",
        "BackoffLimitExceeded",
        "attempt 2 of 2: no luck",
    )


@together
def test_a_job_that_is_deleted_between_two_attempts_ends_the_run(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, flaky("exit 4", limit=1, wait=3))
    run = api.run_now(namespace, "flaky")
    status = api.until("jobruns", namespace, run, lambda it: reason(it) == "RetryBackoff", "a back-off")["status"]
    api.delete("jobs", namespace, status["steps"][0]["job"])
    done = api.until_finished(namespace, run)
    assert (done["phase"], done["reason"], len(done["steps"])) == ("Failed", "JobDeleted", 1)


@together
def test_one_time_limit_for_all_attempts_and_no_pause(api: Api, namespace: str) -> None:
    """20 s: the first attempt takes 2 and fails, the second gets what is left, and a pause of 6 s does not count."""
    script = 'test "$CARILLON_ATTEMPT" = 1 && { sleep 2; exit 3; }; sleep 600'
    api.create("scheduledjobs", namespace, flaky(script, limit=3, wait=1, timeoutSeconds=20))
    run = api.run_now(namespace, "flaky")
    began = api.until("jobruns", namespace, run, lambda it: it.get("status", {}).get("attempts") == 2, "a second one")
    job = began["status"]["steps"][1]["job"]
    first_limit = api.get("jobs", namespace, job)["spec"]["activeDeadlineSeconds"]
    assert 1 < first_limit <= 17
    api.patch("jobruns", namespace, run, {"spec": {"suspend": True}})
    paused_at = now()
    api.until_phase(namespace, run, "Paused")
    api.until_gone("pods", namespace, "carillon.dev/attempt=2")
    assert api.find("jobs", namespace, job) is not None
    while (now() - paused_at).total_seconds() < 6:
        api.until_gone("pods", namespace, "carillon.dev/attempt=2")
    api.patch("jobruns", namespace, run, {"spec": {"suspend": False}})
    api.until_phase(namespace, run, "Running")
    assert 1 <= api.get("jobs", namespace, job)["spec"]["activeDeadlineSeconds"] <= first_limit
    done = api.until_finished(namespace, run, seconds=60)
    assert (done["phase"], done["reason"], done["attempts"]) == ("Failed", "TimedOut", 2)
    assert "spec.timeoutSeconds: 20" in done["message"]
    assert done["pausedSeconds"] >= 5
    took = (instant(done["completionTime"]) - instant(done["startTime"])).total_seconds()
    assert 19 <= took - done["pausedSeconds"] < 120, "its time, and what the machine takes to end the pods"


class TestKilled:
    @pytest.fixture(autouse=True)
    def _alone(self, crowd: Crowd) -> None:
        crowd.settle()

    def test_an_operator_that_is_killed_between_attempts(self, api: Api, operators: Operators, namespace: str) -> None:
        """Three attempts, and a kill in each back-off: one Job for each, and the run ends as it should."""
        api.create("scheduledjobs", namespace, flaky(THIRD_TIME, limit=2, wait=3))
        run = api.run_now(namespace, "flaky")
        for attempt in (1, 2):
            api.until(
                "jobruns",
                namespace,
                run,
                partial(backs_off, attempt=attempt),
                f"the back-off after attempt {attempt}",
            )
            operators.leader.kill()
            operators.start()
        done = api.until_finished(namespace, run)
        assert (done["phase"], done["attempts"]) == ("Succeeded", 3)
        assert len(api.select("jobs", namespace)) == 3
        assert condition(api.get("scheduledjobs", namespace, "flaky"), "Ready") == "True"

    def test_an_operator_that_is_killed_while_a_run_stops(self, api: Api, operators: Operators, namespace: str) -> None:
        body = scheduled_job("slow")
        script = 'trap "sleep 3; exit 1" TERM; sleep 600 & wait'
        body["spec"]["jobTemplate"] = job_template(script, terminationGracePeriodSeconds=20)
        api.create("scheduledjobs", namespace, body)
        run = api.run_now(namespace, "slow")
        api.until_all("pods", namespace, lambda pods: any(p["status"].get("phase") == "Running" for p in pods), "a pod")
        api.patch("jobruns", namespace, run, {"spec": {"stop": True}})
        api.until("jobruns", namespace, run, lambda it: reason(it) == "StopRequested", "the stop to begin")
        operators.leader.kill()
        operators.start()
        done = api.until_finished(namespace, run)
        assert (done["phase"], done["reason"]) == ("Stopped", "StopRequested")
        assert api.select("pods", namespace) == []
        assert phase_of(api.get("jobruns", namespace, run)) == "Stopped"
