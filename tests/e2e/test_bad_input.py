"""Bad input: the field, what was found, and what would be right; at apply where that is possible, else within a second.

And the other jobs go on.
"""

import json
from typing import Any

import pytest
import yaml

from tests.e2e.api import Api, condition
from tests.e2e.objects import every, scheduled_job
from tests.e2e.together import together

GOOD = [{"name": "daily", "cron": "0 3 * * *"}]


def triggers(**fields: str) -> dict[str, Any]:
    return {"triggers": [{"name": "bad", **fields}]}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (triggers(cron="61 * * * *"), ["spec.triggers[0].cron", "61"]),
        (triggers(cron="0 3 31 2 *"), ["spec.triggers[0].cron", "0 3 31 2 *"]),
        (triggers(cron="0 3 * * *", timeZone="Europe/Pariss"), ["spec.triggers[0].timeZone", "Europe/Pariss"]),
        (triggers(interval="R/2026-02-30T00:00:00Z/P1D"), ["spec.triggers[0].interval", "2026-02-30"]),
        (triggers(interval="R/2026-01-01T00:00:00Z/P0D"), ["spec.triggers[0].interval", "P0D"]),
        (triggers(at="2026-13-01T00:00:00Z"), ["spec.triggers[0].at", "2026-13-01"]),
        ({"triggers": [*GOOD, {"name": "bad", "cron": "* * * * 8"}]}, ["spec.triggers[1].cron", "8"]),
    ],
)
def test_what_only_the_operator_can_tell(api: Api, namespace: str, spec: dict[str, Any], words: list[str]) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("bad", **spec))
    bad = api.until_ready(namespace, "bad", "False")
    said = condition(bad, "Ready", "message")
    assert [word for word in words if word not in said] == [], said
    assert condition(bad, "Stalled") == "True"
    assert bad["status"]["display"]["status"] == "Invalid"
    described = api.cluster.kubectl("--namespace", namespace, "describe", "scheduledjob", "bad").stdout
    assert words[0] in described


@together
def test_others_go_on_and_a_mended_job_does_too(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("bad", **triggers(cron="61 * * * *")))
    api.create("scheduledjobs", namespace, scheduled_job("good", triggers=every(2)))
    api.until_ready(namespace, "bad", "False")
    api.until("scheduledjobs", namespace, "good", lambda it: condition(it, "LastRunSucceeded"), "a run that succeeds")

    refused = api.until_finished(namespace, api.run_now(namespace, "bad"))
    assert (refused["phase"], refused["reason"]) == ("Skipped", "Invalid")
    assert "spec.triggers[0].cron" in refused["message"]

    api.patch("scheduledjobs", namespace, "bad", {"spec": {"triggers": GOOD}})
    api.until_ready(namespace, "bad")
    assert api.until_finished(namespace, api.run_now(namespace, "bad"))["phase"] == "Succeeded"


@together
def test_template_that_the_api_server_refuses(api: Api, namespace: str) -> None:
    """What no schema tells, a dry run does."""
    body = scheduled_job("greedy")
    container = body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}
    api.create("scheduledjobs", namespace, body)
    bad = api.until_ready(namespace, "greedy", "False")
    said = condition(bad, "Ready", "message")
    assert "spec.jobTemplate.spec.template.spec.containers[0].resources.requests" in said
    assert "must be less than or equal to cpu limit of 1" in said
    refused = api.until_finished(namespace, api.run_now(namespace, "greedy"))
    assert (refused["phase"], refused["reason"]) == ("Failed", "JobRefused")
    assert "must be less than or equal to cpu limit of 1" in refused["message"]


def manifest(**changes: Any) -> dict[str, Any]:
    body = scheduled_job(changes.pop("name", "bad"))
    body["spec"] |= changes
    return body


def typo() -> dict[str, Any]:
    body = scheduled_job("bad")
    pod = body["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["restartPolcy"] = pod.pop("restartPolicy")
    return body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (manifest(**triggers(cron="every morning")), ["spec.triggers[0].cron", "five fields"]),
        (manifest(**triggers(cron="@daily", at="2030-01-01T00:00:00Z")), ["spec.triggers[0]", "cron and at"]),
        (typo(), ["spec.jobTemplate.spec.template.spec.restartPolcy"]),
        (manifest(name="n" * 53), ["metadata.name", "52"]),
        (manifest(history={"succeeded": -1}), ["spec.history.succeeded", "-1"]),
        (manifest(concurrency={"policy": "Sometimes"}), ["spec.concurrency.policy", '"Allow", "Forbid", "Replace"']),
    ],
    ids=["cron", "two kinds", "typo", "name", "limit", "policy"],
)
def test_what_apply_refuses(api: Api, namespace: str, body: dict[str, Any], words: list[str]) -> None:
    command = ("--namespace", namespace, "apply", "--filename", "-")
    refused = api.cluster.kubectl(*command, input=yaml.safe_dump(body), check=False)
    assert refused.returncode != 0
    assert [word for word in words if word not in refused.stderr] == [], refused.stderr


HOSTILE = ["../../../api/v1/secrets", "a,carillon.dev/class=System", "a b", "a\nb", "'; drop", "%2e%2e%2f", "{{ .x }}"]
"""Names that are none: a path, a selector, lines, quotes, escapes."""


@together
def test_names_that_try_to_be_more_name_nothing(api: Api, namespace: str) -> None:
    """A run may say any of them; it is answered in its own record, and touches no other object."""
    api.create("scheduledjobs", namespace, scheduled_job("good"))
    runs = []
    for number, name in enumerate(HOSTILE):
        body = {
            "apiVersion": "carillon.dev/v1alpha1",
            "kind": "JobRun",
            "metadata": {"name": f"hostile-{number}"},
            "spec": {"scheduledJob": name},
        }
        runs.append(api.create("jobruns", namespace, body)["metadata"]["name"])
    for run in runs:
        status = api.until_finished(namespace, run)
        assert (status["phase"], status["reason"]) == ("Skipped", "NotFound")
    assert api.select("jobs", namespace) == []
    assert api.until_finished(namespace, api.run_now(namespace, "good"))["phase"] == "Succeeded"


@together
def test_a_definition_of_a_mebibyte_runs_and_delays_nobody(api: Api, namespace: str) -> None:
    """As large as the API server takes; what is recorded of its runs is as small as ever."""
    api.create("scheduledjobs", namespace, scheduled_job("small", triggers=every(2)))
    body = scheduled_job("huge")
    (container,) = body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": f"BIG_{number}", "value": "x" * 65_000} for number in range(16)]
    assert len(json.dumps(body)) > 1_000_000
    api.create("scheduledjobs", namespace, body)
    api.until_ready(namespace, "huge")
    run = api.run_now(namespace, "huge")
    assert api.until_finished(namespace, run, seconds=60)["phase"] == "Succeeded"
    assert len(json.dumps(api.get("jobruns", namespace, run))) < 10_000
    found = api.until("scheduledjobs", namespace, "small", lambda it: it["status"].get("lastSuccessfulTime"), "a run")
    assert condition(found, "OnTime") != "False"
