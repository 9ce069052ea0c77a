"""One run: what its pods are told, how it ends, and what is remembered of it."""

from collections.abc import Callable

from tests.e2e.api import Api, Manifest, condition
from tests.e2e.conftest import Early
from tests.e2e.objects import at, every, in_seconds, instant, job_template, rfc3339, scheduled_job
from tests.e2e.together import together

TELL = "echo run=$CARILLON_RUN due=${CARILLON_SCHEDULED_TIME:-none}"


@together
def test_pods_are_told_their_run_and_due_time(api: Api, namespace: str) -> None:
    """A one-off, two seconds ahead; its init container and its container are told the same."""
    due = in_seconds(2)
    body = scheduled_job("teller", TELL, triggers=at(due))
    pod = body["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["initContainers"] = [{**pod["containers"][0], "name": "before"}]
    api.create("scheduledjobs", namespace, body)

    name = f"teller-{int(due.timestamp())}"
    api.until("jobruns", namespace, name, lambda _: True, "the run of its due time")
    assert api.until_finished(namespace, name)["phase"] == "Succeeded"
    told = f"run={name} due={rfc3339(due)}\n"
    assert api.log(namespace, "carillon.dev/scheduled-job=teller") == told
    path = api.path("pods", namespace, api.select("pods", namespace)[0]["metadata"]["name"], "log")
    assert api.request("GET", path, container="before")["text"] == told

    run, job = api.get("jobruns", namespace, name), api.get("jobs", namespace, name)
    assert run["spec"]["scheduledTime"] == job["metadata"]["annotations"]["carillon.dev/scheduled-time"] == rfc3339(due)
    assert job["metadata"]["labels"]["carillon.dev/run-uid"] == run["metadata"]["uid"]
    late = (instant(job["metadata"]["creationTimestamp"]) - due).total_seconds()
    assert 0 <= late <= 2, "started when due"
    done = api.get("scheduledjobs", namespace, "teller")["status"]
    assert "nextExecutions" not in done or done["nextExecutions"] == []


@together
def test_manual_runs_have_no_due_time(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("teller", TELL))
    run = api.run_now(namespace, "teller")
    # As the documents say it.
    api.cluster.kubectl("--namespace", namespace, "wait", "--for=condition=Finished", "--timeout=30s", f"jobrun/{run}")
    assert api.log(namespace, "carillon.dev/scheduled-job=teller") == f"run={run} due=none\n"


@together
def test_error_outlives_the_pod(api: Api, namespace: str) -> None:
    """Exit code and last words are in the run, and in the definition's history, when pod and Job are gone."""
    script = "exec >&2; echo working; echo 'no space left on /data'; exit 3"
    api.create("scheduledjobs", namespace, scheduled_job("fails", script))
    run = api.run_now(namespace, "fails")
    status = api.until_finished(namespace, run)
    assert (status["phase"], status["steps"][0]["exitCode"]) == ("Failed", 3)
    assert status["message"] == "working\nno space left on /data"

    api.delete("jobs", namespace, status["steps"][0]["job"])
    api.until_gone("pods", namespace)
    assert api.get("jobruns", namespace, run)["status"] == status, "the record stays as it was"

    api.delete("jobruns", namespace, run)
    api.until_gone("jobruns", namespace)
    definition = api.until(
        "scheduledjobs", namespace, "fails", lambda it: it["status"].get("history"), "the run in its history"
    )
    line = definition["status"]["history"][0]
    assert (line["run"], line["phase"], line["exitCode"]) == (run, "Failed", 3)
    assert "no space left on /data" in line["message"]
    assert definition["status"]["lastFailedTime"] == status["completionTime"]
    assert definition["status"]["display"]["status"] == "Failed"
    assert condition(definition, "LastRunSucceeded") == "False"
    assert condition(definition, "Ready") == "True", "an outcome never makes a definition unready"


@together
def test_termination_message_comes_before_the_log(api: Api, namespace: str) -> None:
    script = "echo the log; printf 'the table is locked' > /dev/termination-log; exit 1"
    api.create("scheduledjobs", namespace, scheduled_job("fails", script))
    assert api.until_finished(namespace, api.run_now(namespace, "fails"))["message"] == "the table is locked"


@together
def test_run_that_takes_too_long_is_ended(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("slow", "echo begun; sleep 600", timeoutSeconds=3))
    status = api.until_finished(namespace, api.run_now(namespace, "slow"))
    assert (status["phase"], status["reason"]) == ("Failed", "TimedOut")
    assert "spec.timeoutSeconds: 3" in status["message"]
    took = instant(status["completionTime"]) - instant(status["startTime"])
    assert 3 <= took.total_seconds() < 120, "and not the ten minutes of its script"
    api.until_all("pods", namespace, lambda pods: not any(_active(pod) for pod in pods), "no pod that still runs")


def _active(pod: Manifest) -> bool:
    return pod["status"].get("phase") in ("Pending", "Running")


@together
def test_deleted_job_fails_its_run_and_is_not_made_again(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("long", "sleep 600"))
    run = api.run_now(namespace, "long")
    job = api.until_phase(namespace, run, "Running")["steps"][0]["job"]
    mark = api.mark("jobs", namespace)
    api.delete("jobs", namespace, job)
    status = api.until_finished(namespace, run)
    assert (status["phase"], status["reason"]) == ("Failed", "JobDeleted")
    assert job in status["message"]
    api.until_gone("pods", namespace)
    assert "ADDED" not in {change for change, _ in api.changes_since("jobs", namespace, mark)}


@together
def test_deleted_definition_takes_everything_along(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("long", "sleep 600", triggers=every(2)))
    api.until_all("pods", namespace, lambda pods: any(_active(pod) for pod in pods), "a pod")
    api.delete("scheduledjobs", namespace, "long")
    for kind in ("jobruns", "jobs", "pods"):
        api.until_gone(kind, namespace)


@together
def test_runs_beyond_the_limits_are_pruned_and_stay_in_the_history(api: Api, namespace: str) -> None:
    """Six runs at once: one record of each sort is kept, a line of each in the history, and every one is counted."""
    limits = {"history": {"succeeded": 1, "failed": 1}, "concurrency": {"policy": "Allow"}}
    for name, script in (("good", "true"), ("bad", "exit 7")):
        api.create("scheduledjobs", namespace, scheduled_job(name, script, **limits))
    runs = {name: [api.run_now(namespace, name) for _ in range(3)] for name in ("good", "bad")}
    for name, counted in (("good", "succeeded"), ("bad", "failed")):
        definition = api.until(
            "scheduledjobs",
            namespace,
            name,
            _counts(counted, 3),
            f"three {counted}",
            seconds=90,
        )
        assert sorted(line["run"] for line in definition["status"]["history"]) == sorted(runs[name])
        label = f"carillon.dev/scheduled-job={name}"
        kept = api.until_all("jobruns", namespace, lambda them: len(them) == 1, "one record", selector=label)
        ends = [line["completionTime"] for line in definition["status"]["history"]]
        assert kept[0]["status"]["completionTime"] == max(ends), "the newest"
        api.until_all("jobs", namespace, lambda them: len(them) == 1, "the other Jobs gone with them", selector=label)


def _counts(outcome: str, number: int) -> Callable[[Manifest], bool]:
    return lambda it: bool(it.get("status", {}).get("counts", {}).get(outcome) == number)


def test_failed_pods_are_tried_again_by_their_job(api: Api, early: Early) -> None:
    """backoffLimit in the template is Kubernetes' own retry; the run is one, and fails with the last of its pods."""
    status = api.until_finished(early.namespace, early.tried_twice, seconds=60)
    assert (status["phase"], status["reason"]) == ("Failed", "BackoffLimitExceeded")
    assert status["message"] == "attempt failed"
    assert len(api.select("pods", early.namespace, "carillon.dev/scheduled-job=twice")) == 2


@together
def test_container_that_is_restarted_in_place(api: Api, namespace: str) -> None:
    """restartPolicy OnFailure: there is one pod, and it goes when the Job gives up; its last words are kept."""
    body = scheduled_job("ends")
    body["spec"]["jobTemplate"] = job_template("echo hopeless >&2; exit 1", restartPolicy="OnFailure")
    api.create("scheduledjobs", namespace, body)
    status = api.until_finished(namespace, api.run_now(namespace, "ends"))
    assert (status["phase"], status["message"], status["steps"][0]["exitCode"]) == ("Failed", "hopeless", 1)
