"""Pods that Kubernetes refuses: it says so to the Job only, and the run passes it on within five seconds."""

from collections.abc import Iterator

import pytest

from tests.e2e.api import Api
from tests.e2e.conftest import new_namespace
from tests.e2e.objects import scheduled_job
from tests.e2e.operators import Operators
from tests.e2e.together import together

SECONDS = 5.0
QUOTA = {"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}}


@pytest.fixture
def restricted(api: Api, operators: Operators) -> Iterator[str]:
    with new_namespace(api, enforce="restricted") as name:
        yield name


def refused(api: Api, namespace: str, name: str) -> str:
    """Run the job; why its pods are refused."""
    run = api.run_now(namespace, name)
    found = api.until(
        "jobruns",
        namespace,
        run,
        lambda it: it.get("status", {}).get("reason") == "PodsRefused",
        "PodsRefused",
        seconds=SECONDS,
    )
    assert found["status"]["phase"] == "Running", "the Job tries again, and so the run is not over"
    told = api.until_all(
        "events", namespace, lambda events: any(_tells(event, name) for event in events), "an event", seconds=SECONDS
    )
    assert any(_tells(event, name) for event in told)
    assert api.get("scheduledjobs", namespace, name)["status"]["conditions"][0]["status"] == "True"
    return str(found["status"]["message"])


def _tells(event: dict[str, object], name: str) -> bool:
    regarding = event["involvedObject"]
    assert isinstance(regarding, dict)
    return event["reason"] == "PodsRefused" and (regarding["kind"], regarding["name"]) == ("ScheduledJob", name)


@together
def test_unknown_service_account(api: Api, namespace: str) -> None:
    """And once it is there, the run goes on: the Job tries again by itself."""
    body = scheduled_job("nobody")
    body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] = "not-there"
    api.create("scheduledjobs", namespace, body)
    assert "not-there" in refused(api, namespace, "nobody")
    api.create("serviceaccounts", namespace, {"metadata": {"name": "not-there"}})
    run = api.select("jobruns", namespace)[0]["metadata"]["name"]
    assert api.until_finished(namespace, run, seconds=60)["phase"] == "Succeeded"


@together
def test_quota(api: Api, namespace: str) -> None:
    api.create("resourcequotas", namespace, QUOTA)
    api.until("resourcequotas", namespace, "no-pods", lambda it: it.get("status", {}).get("hard"), "the quota in force")
    api.create("scheduledjobs", namespace, scheduled_job("crowded"))
    api.until_ready(namespace, "crowded")
    assert "exceeded quota: no-pods" in refused(api, namespace, "crowded")


def test_pod_security(api: Api, restricted: str) -> None:
    body = scheduled_job("rootful")
    del body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["securityContext"]
    api.create("scheduledjobs", restricted, body)
    assert 'violates PodSecurity "restricted' in refused(api, restricted, "rootful")
