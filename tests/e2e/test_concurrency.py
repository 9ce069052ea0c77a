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
