"""backend: CronJob: the cluster's own CronJob controller fires, and the history is one."""

import time
from collections.abc import Callable, Sequence

import pytest

from tests.e2e.api import Api, ApiError, Manifest, condition
from tests.e2e.objects import instant, now, scheduled_job
from tests.e2e.together import together

EVERY_MINUTE = [{"name": "minute", "cron": "* * * * *"}]
TELL = "echo run=$CARILLON_RUN due=${CARILLON_SCHEDULED_TIME:-none}"
A_MINUTE = 75


def native(name: str, script: str = "true", **spec: object) -> Manifest:
    return scheduled_job(name, script, **{"triggers": EVERY_MINUTE, "backend": "CronJob", **spec})


def until_in_place(api: Api, namespace: str, name: str) -> Manifest:
    return api.until(
        "scheduledjobs",
        namespace,
        name,
        lambda found: condition(found, "NativeBackend") == condition(found, "Ready") == "True",
        "NativeBackend=True",
    )


@together
def test_fires_and_is_recorded(api: Api, namespace: str) -> None:
    """A run of the CronJob controller is a JobRun, down to what its container said."""
    api.create("scheduledjobs", namespace, native("beat", TELL))
    until_in_place(api, namespace, "beat")
    [run] = api.until_all("jobruns", namespace, lambda runs: len(runs) == 1, "the first run", seconds=A_MINUTE)
    name = run["metadata"]["name"]
    done = api.until_finished(namespace, name)
    assert done["phase"] == "Succeeded"
    assert run["spec"]["trigger"] == {"type": "Periodic", "name": "minute"}
    assert instant(run["spec"]["scheduledTime"]).second == 0
    assert done["steps"][0]["job"] == name
    job = api.get("jobs", namespace, name)
    assert [owner["kind"] for owner in job["metadata"]["ownerReferences"]] == ["CronJob", "JobRun"]
    assert api.log(namespace, f"batch.kubernetes.io/job-name={name}") == f"run={name} due=none\n"
    status = api.until("scheduledjobs", namespace, "beat", lambda it: it["status"].get("history"), "a line of history")[
        "status"
    ]
    assert status["history"][0]["run"] == name
    assert instant(status["nextExecutions"][0]) > now()

    api.patch("scheduledjobs", namespace, "beat", {"spec": {"suspend": True}})
    api.until("cronjobs", namespace, "beat", lambda it: it["spec"]["suspend"], "it to be suspended, too")
    # Clear All: what is deleted is not recorded anew, and the CronJob keeps its Job.
    for each in api.select("jobruns", namespace):
        api.until_finished(namespace, each["metadata"]["name"])
        api.delete("jobruns", namespace, each["metadata"]["name"])
    api.until_gone("jobruns", namespace)
    api.until(
        "jobs",
        namespace,
        name,
        lambda it: [owner["kind"] for owner in it["metadata"]["ownerReferences"]] == ["CronJob"],
        "the CronJob to be its only owner",
    )
    assert not api.select("jobruns", namespace)


@pytest.mark.parametrize(
    "drift",
    [
        lambda api, where: api.patch("cronjobs", where, "still", {"spec": {"schedule": "1 2 3 4 *"}}),
        lambda api, where: api.patch(
            "cronjobs", where, "still", {"metadata": {"labels": {"carillon.dev/native": None}}}
        ),
        lambda api, where: api.patch(
            "cronjobs",
            where,
            "still",
            {"spec": {"startingDeadlineSeconds": 7, "jobTemplate": {"spec": {"suspend": True, "parallelism": 3}}}},
        ),
        lambda api, where: add_container(api, where, "still"),
        lambda api, where: api.delete("cronjobs", where, "still"),
    ],
    ids=["another schedule", "without the label that we watch", "added fields", "added container", "deleted"],
)
def test_drift_is_corrected(api: Api, namespace: str, drift: Callable[[Api, str], None]) -> None:
    yearly = [{"name": "year", "cron": "0 0 1 1 *"}]
    api.create("scheduledjobs", namespace, native("still", triggers=yearly))
    until_in_place(api, namespace, "still")
    before = api.get("cronjobs", namespace, "still")
    drift(api, namespace)
    after = api.until(
        "cronjobs",
        namespace,
        "still",
        lambda it: it["spec"] == before["spec"] and it["metadata"]["labels"] == before["metadata"]["labels"],
        "what it was before",
    )
    assert after["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]
    mark = api.mark("cronjobs", namespace)
    assert not api.changes_since("cronjobs", namespace, mark), "and then it is left alone"


@together
def test_enabling_fires_nothing_that_was_due_before(api: Api, namespace: str) -> None:
    """The CronJob controller would start the newest due time that it finds missed at once."""
    api.create("scheduledjobs", namespace, native("beat", suspend=True))
    until_in_place(api, namespace, "beat")
    made = instant(api.get("cronjobs", namespace, "beat")["metadata"]["creationTimestamp"])
    due = made.timestamp() // 60 * 60 + 60
    time.sleep(max(0.0, due + 1 - time.time()))  # nothing happens meanwhile that a watch could tell
    api.patch("scheduledjobs", namespace, "beat", {"spec": {"suspend": False}})
    api.until("cronjobs", namespace, "beat", lambda it: not it["spec"]["suspend"], "it to be resumed")
    resumed = now()
    [job, *_] = api.until_all("jobs", namespace, bool, "the next due time", seconds=A_MINUTE)
    due_text = job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert instant(due_text) > resumed


@together
def test_back_to_the_operator(api: Api, namespace: str) -> None:
    yearly = [{"name": "year", "cron": "0 0 1 1 *"}]
    api.create("scheduledjobs", namespace, native("back", triggers=yearly))
    until_in_place(api, namespace, "back")
    api.patch("scheduledjobs", namespace, "back", {"spec": {"backend": "Operator"}})
    api.until_none_named("cronjobs", namespace, "back")
    done = api.until(
        "scheduledjobs", namespace, "back", lambda it: condition(it, "OnTime") == "True", "the operator to fire again"
    )
    assert condition(done, "NativeBackend") == ""
    run = api.run_now(namespace, "back")
    assert api.until_finished(namespace, run)["phase"] == "Succeeded"


@together
def test_somebody_elses_cronjob_is_not_touched(api: Api, namespace: str) -> None:
    template = scheduled_job("x")["spec"]["jobTemplate"]
    spec = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": template}
    theirs = api.create("cronjobs", namespace, {"metadata": {"name": "mine"}, "spec": spec})
    api.create("scheduledjobs", namespace, native("mine"))
    found = api.until_ready(namespace, "mine", "False")
    assert condition(found, "Ready", "reason") == "NameTaken"
    assert api.get("cronjobs", namespace, "mine")["spec"] == theirs["spec"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"triggers": []}, "backend: CronJob takes exactly one trigger, a cron"),
        ({"triggers": [{"name": "l", "cron": "0 0 L * *"}]}, "a CronJob takes five fields without L, # and H"),
        ({"autoStart": True}, "a CronJob does not know autoStart; remove it, or use backend: Operator"),
        ({"exclude": {"dates": ["2026-12-24"]}}, "a CronJob does not know exclude"),
        ({"catchUp": {"policy": "Skip"}}, "a CronJob does not know catchUp"),
        (
            {"triggers": [{"name": "j", "cron": "0 0 * * *", "jitterSeconds": 30}]},
            "a CronJob does not know jitterSeconds",
        ),
    ],
)
def test_what_needs_more_is_refused_at_apply(api: Api, namespace: str, spec: Manifest, words: str) -> None:
    with pytest.raises(ApiError, match=words):
        api.create("scheduledjobs", namespace, native("more", **spec))


@together
def test_clock_changes_need_wall_clock(api: Api, namespace: str) -> None:
    paris = {"name": "night", "cron": "0 3 * * *", "timeZone": "Europe/Paris"}
    api.create("scheduledjobs", namespace, native("paris", triggers=[paris]))
    found = api.until_ready(namespace, "paris", "False")
    assert "set daylightSaving: WallClock" in condition(found, "Ready", "message")
    api.patch("scheduledjobs", namespace, "paris", {"spec": {"triggers": [{**paris, "daylightSaving": "WallClock"}]}})
    until_in_place(api, namespace, "paris")
    assert api.get("cronjobs", namespace, "paris")["spec"]["timeZone"] == "Europe/Paris"


def add_container(api: Api, namespace: str, name: str) -> None:
    """Add a container, and a command and a variable to the one that is there."""
    pods = api.get("cronjobs", namespace, name)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [main] = pods["containers"]
    changed = {**main, "args": ["more"], "env": [*main["env"], {"name": "MORE", "value": "1"}]}
    containers = [changed, {"name": "more", "image": main["image"]}]
    patch = {"jobTemplate": {"spec": {"template": {"spec": {"containers": containers}}}}}
    api.patch("cronjobs", namespace, name, {"spec": patch})


def names(found: Sequence[Manifest]) -> set[str]:
    return {each["metadata"]["name"] for each in found}
