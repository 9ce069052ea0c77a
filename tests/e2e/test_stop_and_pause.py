"""Stop, pause and resume of runs, and jobs that are disabled for a while, with real pods."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.api import Api, ApiError, Manifest, condition
from tests.e2e.objects import concurrency, every, in_seconds, instant, job_template, rfc3339, scheduled_job
from tests.e2e.together import together

SLOW_TO_END = 'trap "sleep 2; exit 7" TERM; sleep 600 & wait'


def slow() -> Manifest:
    body = scheduled_job("slow")
    body["spec"]["jobTemplate"] = job_template(SLOW_TO_END, terminationGracePeriodSeconds=20)
    return body


def running(api: Api, namespace: str) -> None:
    api.until_all(
        "pods", namespace, lambda pods: any(pod["status"].get("phase") == "Running" for pod in pods), "a pod that runs"
    )


@together
def test_a_stop_gives_grace_and_leaves_no_pod(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, slow())
    run = api.run_now(namespace, "slow")
    running(api, namespace)
    api.patch("jobruns", namespace, run, {"spec": {"stop": True}})
    stopping = api.until(
        "jobruns", namespace, run, lambda it: it["status"].get("reason") == "StopRequested", "the stop to begin"
    )
    assert stopping["status"]["phase"] == "Running", "until its pod is gone"
    done = api.until_finished(namespace, run)
    assert (done["phase"], done["reason"]) == ("Stopped", "StopRequested")
    assert api.select("pods", namespace) == []
    began, ended = instant(done["startTime"]), instant(done["completionTime"])
    assert ended - began >= timedelta(seconds=2), "the pod took its two seconds"
    with pytest.raises(ApiError, match="a stop is not taken back"):
        api.patch("jobruns", namespace, run, {"spec": {"stop": False}})
    with pytest.raises(ApiError, match=r"spec.force.*create a new JobRun"):
        api.patch("jobruns", namespace, run, {"spec": {"force": True}})


@together
def test_a_run_that_has_not_started_is_stopped_at_once(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, slow())
    run = api.run_now(namespace, "slow", suspend=True)
    waiting = api.until_phase(namespace, run, "Paused")
    assert waiting["reason"] == "PauseRequested"
    api.patch("jobruns", namespace, run, {"spec": {"stop": True}})
    assert api.until_finished(namespace, run)["phase"] == "Stopped"
    assert api.select("jobs", namespace) == []


@together
def test_pause_and_resume(api: Api, namespace: str) -> None:
    """The pod ends and the slot is held; the work starts again when the run is resumed."""
    api.create("scheduledjobs", namespace, slow())
    run = api.run_now(namespace, "slow")
    running(api, namespace)
    api.patch("jobruns", namespace, run, {"spec": {"suspend": True}})
    paused = api.until_phase(namespace, run, "Paused")
    assert api.select("pods", namespace) == []
    assert "starts again" in paused["message"]
    status = api.until(
        "scheduledjobs", namespace, "slow", lambda it: it["status"]["display"]["status"] == "Paused", "STATUS Paused"
    )["status"]
    assert status["counts"]["active"] == 1
    other = api.until_finished(namespace, api.run_now(namespace, "slow"))
    assert (other["phase"], other["reason"]) == ("Skipped", "ConcurrencyForbid")
    api.patch("jobruns", namespace, run, {"spec": {"suspend": False}})
    resumed = api.until_phase(namespace, run, "Running")
    assert "pausedSince" not in resumed
    running(api, namespace)
    assert len(api.select("jobs", namespace)) == 1, "the same Job"
    api.patch("jobruns", namespace, run, {"spec": {"suspend": True}})
    api.until_phase(namespace, run, "Paused")
    api.patch("jobruns", namespace, run, {"spec": {"stop": True}})
    assert api.until_finished(namespace, run)["phase"] == "Stopped", "a stop in the pause"


@together
def test_a_run_that_waits_for_admission_is_queued(api: Api, namespace: str) -> None:
    """A queueing system (Kueue) suspends the Job and says when it runs; that time counts toward nothing."""
    body = scheduled_job("queued", pendingTimeoutSeconds=30, timeoutSeconds=90)
    body["spec"]["jobTemplate"]["metadata"] = {"labels": {"kueue.x-k8s.io/queue-name": "batch"}}
    body["spec"]["jobTemplate"]["spec"]["suspend"] = True
    api.create("scheduledjobs", namespace, body)
    run = api.run_now(namespace, "queued")
    waiting = api.until("jobruns", namespace, run, lambda it: it.get("status", {}).get("reason"), "a reason")["status"]
    assert (waiting["phase"], waiting["reason"]) == ("Queued", "WaitingForAdmission")
    assert "Kueue (label kueue.x-k8s.io/queue-name: batch)" in waiting["message"]
    status = api.until(
        "scheduledjobs",
        namespace,
        "queued",
        lambda it: it.get("status", {}).get("display", {}).get("status") == "Queued",
        "STATUS Queued",
    )["status"]
    assert (status["counts"]["active"], status["counts"]["queued"]) == (1, 1)
    other = api.until_finished(namespace, api.run_now(namespace, "queued"))
    assert (other["phase"], other["reason"]) == ("Skipped", "ConcurrencyForbid"), "it holds its slot"
    api.patch("jobruns", namespace, run, {"spec": {"suspend": True}})
    refused = api.until(
        "jobruns", namespace, run, lambda it: it["status"].get("reason") == "PauseRefused", "the refusal"
    )["status"]
    assert "Kueue" in refused["message"]
    assert refused["phase"] == "Queued"
    api.patch("jobruns", namespace, run, {"spec": {"suspend": False}})
    time.sleep(max(0.0, 35 - (datetime.now(UTC) - instant(waiting["startTime"])).total_seconds()))
    waits = api.get("jobruns", namespace, run)["status"]
    assert (waits["phase"], waits["reason"]) == ("Queued", "WaitingForAdmission"), "past pendingTimeoutSeconds"
    job = refused["steps"][0]["job"]
    api.patch("jobs", namespace, job, {"spec": {"suspend": False}})  # as Kueue does
    done = api.until_finished(namespace, run)
    assert (done["phase"], done["reason"]) == ("Succeeded", "Completed")
    assert done["pausedSeconds"] >= 7, "which timeoutSeconds does not count"


@together
def test_a_job_that_is_disabled_for_a_while(api: Api, namespace: str) -> None:
    """Due every second, disabled until some seconds from now: it fires from that very second on, without an edit."""
    until = in_seconds(4)
    told = {"suspendUntil": rfc3339(until), "suspendReason": "the disk is replaced", "suspendedBy": "alice"}
    body = scheduled_job("often", triggers=every(1), concurrency=concurrency("Allow"), suspend=True, **told)
    api.create("scheduledjobs", namespace, body)
    off = api.until("scheduledjobs", namespace, "often", lambda it: condition(it, "Disabled") == "True", "Disabled")
    words = f"by alice until {rfc3339(until)}: the disk is replaced"
    assert words in condition(off, "Disabled", "message")
    assert off["status"]["display"]["status"] == "Disabled"
    assert off["status"]["nextExecutions"][0] == rfc3339(until), "what is due when it has ended"
    runs = api.until_all("jobruns", namespace, bool, "a run", selector="carillon.dev/scheduled-job=often")
    assert min(instant(run["spec"]["scheduledTime"]) for run in runs) == until
    api.patch("scheduledjobs", namespace, "often", {"spec": {"suspend": True, "suspendUntil": None}})
    status = api.get("scheduledjobs", namespace, "often")["status"]
    [skip] = [line for line in status["skips"] if line["reason"] == "Suspended"]
    assert instant(skip["to"]) == until - timedelta(seconds=1)
