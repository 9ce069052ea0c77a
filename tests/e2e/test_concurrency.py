"""When runs of one definition would overlap: Forbid, Allow and Replace, for due times and for people's runs."""

from itertools import pairwise

from tests.e2e.api import Api, Manifest, phase_of
from tests.e2e.objects import concurrency, every, instant, job_template, scheduled_job
from tests.e2e.together import together


@together
def test_forbid_skips_what_is_due_meanwhile(api: Api, namespace: str) -> None:
    """Due every 2 s, and each run takes longer: the due times between are skipped, and each is on record."""
    job = scheduled_job("busy", "sleep 2", triggers=every(2), concurrency=concurrency("Forbid"))
    api.create("scheduledjobs", namespace, {**job, "spec": {**job["spec"], "history": {"succeeded": 50}}})
    done = api.until(
        "scheduledjobs",
        namespace,
        "busy",
        lambda it: it.get("status", {}).get("counts", {}).get("succeeded", 0) >= 2,
        "two runs that succeeded",
    )
    skips = done["status"]["skips"]
    assert {line["reason"] for line in skips} == {"ConcurrencyForbid"}
    assert done["status"]["counts"]["skipped"] == sum(line["count"] for line in skips) >= 1

    jobs = sorted(api.select("jobs", namespace), key=lambda it: str(it["metadata"]["creationTimestamp"]))
    for earlier, later in pairwise(jobs):
        ended, began = earlier["status"]["completionTime"], later["metadata"]["creationTimestamp"]
        assert instant(ended) <= instant(began), "never two at a time"


@together
def test_forbid_refuses_people_too(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("busy", "sleep 600"))
    first = api.run_now(namespace, "busy")
    api.until_phase(namespace, first, "Running")
    status = api.until_finished(namespace, api.run_now(namespace, "busy"))
    assert (status["phase"], status["reason"]) == ("Skipped", "ConcurrencyForbid")
    assert first in status["message"], "says what is in its way"
    assert phase_of(api.get("jobruns", namespace, first)) == "Running"


@together
def test_allow_lets_them_overlap(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("many", "sleep 600", concurrency=concurrency("Allow")))
    runs = {api.run_now(namespace, "many") for _ in range(3)}
    api.until_all(
        "pods",
        namespace,
        lambda pods: sum(pod["status"].get("phase") == "Running" for pod in pods) == 3,
        "three pods that run side by side",
    )
    active = api.get("scheduledjobs", namespace, "many")["status"]
    assert {run["name"] for run in active["active"]} == runs
    assert active["counts"]["active"] == 3
    assert active["display"]["status"] == "Running"


@together
def test_replace_starts_only_when_the_old_pod_is_gone(api: Api, namespace: str) -> None:
    """The first run takes two seconds to end when it is told to."""
    body = scheduled_job("newest", concurrency=concurrency("Replace"))
    script = 'trap "sleep 2; exit 0" TERM; sleep 600 & wait'
    body["spec"]["jobTemplate"] = job_template(script, terminationGracePeriodSeconds=20)
    api.create("scheduledjobs", namespace, body)
    mark = api.mark("pods", namespace)
    first = api.run_now(namespace, "newest")
    api.until_all("pods", namespace, lambda pods: any(_runs(pod, first) for pod in pods), "the first pod to run")
    second = api.run_now(namespace, "newest")

    status = api.until_finished(namespace, first)
    assert (status["phase"], status["reason"]) == ("Stopped", "Replaced")
    api.until_all("pods", namespace, lambda pods: any(_runs(pod, second) for pod in pods), "the second pod to run")
    told = [(change, _run_of(pod)) for change, pod in api.changes_since("pods", namespace, mark)]
    assert told.index(("ADDED", second)) > told.index(("DELETED", first))
    assert phase_of(api.get("jobruns", namespace, second)) == "Running"


def _run_of(pod: Manifest) -> str:
    return str(pod["metadata"]["annotations"]["carillon.dev/run"])


def _runs(pod: Manifest, run: str) -> bool:
    return _run_of(pod) == run and pod["status"].get("phase") == "Running"


@together
def test_two_jobs_of_a_group_take_turns_in_the_order_in_which_they_came(api: Api, namespace: str) -> None:
    shared = {"policy": "Queue", "group": "database"}
    for name in ("dump", "vacuum"):
        api.create("scheduledjobs", namespace, scheduled_job(name, "sleep 1", concurrency=shared))
    first = api.run_now(namespace, "dump")
    api.until_phase(namespace, first, "Running")
    asked = [first, *(api.run_now(namespace, name) for name in ("vacuum", "vacuum", "dump", "vacuum"))]
    for run in asked:
        assert api.until_finished(namespace, run, seconds=90)["phase"] == "Succeeded"
    check_turns(api, namespace, asked)


@together
def test_a_full_queue_skips_and_says_so(api: Api, namespace: str) -> None:
    limits = {"policy": "Queue", "queueLimit": 1}
    api.create("scheduledjobs", namespace, scheduled_job("busy", "sleep 600", concurrency=limits))
    first = api.run_now(namespace, "busy")
    api.until_phase(namespace, first, "Running")
    second = api.run_now(namespace, "busy")
    waiting = api.until_phase(namespace, second, "Queued")
    assert (waiting["reason"], waiting["message"].split(" at ")[0]) == ("WaitingForSlot", "number 1 in the queue")
    refused = api.until_finished(namespace, api.run_now(namespace, "busy"))
    assert (refused["phase"], refused["reason"]) == ("Skipped", "QueueFull")
    counts = api.until(
        "scheduledjobs", namespace, "busy", lambda it: it["status"]["counts"].get("skipped") == 1, "the skip to count"
    )["status"]["counts"]
    assert (counts["active"], counts["queued"]) == (1, 1)

    api.patch("scheduledjobs", namespace, "busy", {"spec": {"suspend": True}})
    withdrawn = api.until_finished(namespace, second)
    assert (withdrawn["phase"], withdrawn["reason"]) == ("Skipped", "Disabled")
    assert phase_of(api.get("jobruns", namespace, first)) == "Running"


@together
def test_an_image_that_cannot_be_pulled_does_not_keep_the_slot(api: Api, namespace: str) -> None:
    shared = {"policy": "Queue", "group": "database"}
    stuck = scheduled_job("stuck", concurrency=shared, pendingTimeoutSeconds=10)
    container = stuck["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["image"] = "registry.invalid/no/such:image"
    api.create("scheduledjobs", namespace, stuck)
    api.create("scheduledjobs", namespace, scheduled_job("sweep", concurrency=shared))
    first = api.run_now(namespace, "stuck")
    api.until_phase(namespace, first, "Running")
    second = api.run_now(namespace, "sweep")
    api.until_phase(namespace, second, "Queued")

    status = api.until_finished(namespace, first, seconds=60)
    assert status["phase"] == "Failed"
    assert status["reason"] in ("ImagePullBackOff", "ErrImagePull")
    assert "spec.pendingTimeoutSeconds: 10" in status["message"]
    assert "registry.invalid" in status["message"], "the kubelet's own words"
    assert api.until_finished(namespace, second, seconds=60)["phase"] == "Succeeded"


@together
def test_a_pod_that_no_node_takes_ends_with_the_words_of_the_scheduler(api: Api, namespace: str) -> None:
    body = scheduled_job("huge", pendingTimeoutSeconds=3)
    body["spec"]["jobTemplate"] = job_template("true", nodeSelector={"no": "such-node"})
    api.create("scheduledjobs", namespace, body)
    status = api.until_finished(namespace, api.run_now(namespace, "huge"), seconds=60)
    assert (status["phase"], status["reason"]) == ("Failed", "Unschedulable")
    assert "didn't match Pod's node affinity/selector" in status["message"]
    api.until_gone("jobs", namespace)


@together
def test_a_volume_that_is_missing_ends_with_the_words_of_the_kubelet(api: Api, namespace: str) -> None:
    body = scheduled_job("unmounted", pendingTimeoutSeconds=5)
    volumes = [{"name": "settings", "configMap": {"name": "not-there"}}]
    body["spec"]["jobTemplate"] = job_template("true", volumes=volumes)
    container = body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["volumeMounts"] = [{"name": "settings", "mountPath": "/settings"}]
    api.create("scheduledjobs", namespace, body)
    status = api.until_finished(namespace, api.run_now(namespace, "unmounted"), seconds=60)
    assert (status["phase"], status["reason"]) == ("Failed", "FailedMount")
    assert "not-there" in status["message"]


def check_turns(api: Api, namespace: str, asked: list[str]) -> None:
    """The runs have had their Jobs one at a time, in the order in which they came; within a second, by their names.

    The first found a free slot: it may have started in the second in which the others came.
    """
    runs = {run["metadata"]["name"]: run for run in api.select("jobruns", namespace)}
    others = sorted(asked[1:], key=lambda name: (runs[name]["metadata"]["creationTimestamp"], name))
    came = [asked[0], *others]
    jobs = {run: api.get("jobs", namespace, runs[run]["status"]["steps"][0]["job"]) for run in came}
    for earlier, later in pairwise(came):
        ended = jobs[earlier]["status"]["completionTime"]
        assert instant(ended) <= instant(jobs[later]["metadata"]["creationTimestamp"]), f"{later} came after {earlier}"
