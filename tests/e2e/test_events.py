"""On-event triggers on a real API server, with real pods: what starts a run, and what does not.

A test that says that nothing happened changes something that counts afterwards, and looks for its run alone: events of
one kind arrive in order.
"""

import json
import time
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.e2e.api import Api, condition
from tests.e2e.objects import concurrency, instant, scheduled_job
from tests.e2e.operators import Operators
from tests.e2e.together import together

Manifest = dict[str, Any]

KEEP_ALL = {"succeeded": 100, "failed": 100}


def on_event(resource: str = "configmaps", **fields: Any) -> list[Manifest]:
    return [{"name": "seen", "event": {"version": "v1", "resource": resource, **fields}}]


def watcher(name: str, script: str = "true", **fields: Any) -> Manifest:
    """A job that runs for each event, one beside the other."""
    spec = {"concurrency": concurrency("Allow"), "history": KEEP_ALL} | fields.pop("spec", {})
    return scheduled_job(name, script, triggers=on_event(**fields), **spec)


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> Manifest:
    return {"metadata": {"name": name, "labels": labels or {}}, "data": data}


def happened(run: Manifest) -> list[tuple[str, str]]:
    """What the run was told: types and names."""
    return [(each["type"], each["name"]) for each in run["spec"]["trigger"]["event"]["objects"]]


def runs_of(api: Api, namespace: str, name: str, events: int, *, seconds: float = 30) -> list[Manifest]:
    """Wait for runs that stand for so many events; a run may stand for those that came while it was being made.

    They are in the order of their events.
    """
    found = api.until_all(
        "jobruns",
        namespace,
        lambda runs: sum(run["spec"]["trigger"]["event"]["count"] for run in runs) >= events,
        f"runs for {events} events",
        selector=f"carillon.dev/scheduled-job={name},carillon.dev/trigger=Event",
        seconds=seconds,
    )
    return sorted(found, key=lambda run: int(run["spec"]["trigger"]["event"]["objects"][0]["resourceVersion"]))


def until_counted(api: Api, namespace: str, name: str, **counts: int) -> None:
    """Wait until status.events says so; it is written every ten seconds."""

    def counted(found: Manifest) -> bool:
        lines = {line["reason"]: line["count"] for line in found.get("status", {}).get("events", [])}
        return all(lines.get(reason) == count for reason, count in counts.items())

    api.until("scheduledjobs", namespace, name, counted, f"status.events to say {counts}")


@together
def test_created_updated_and_deleted(api: Api, namespace: str) -> None:
    """And what was there before does not count as created."""
    api.create("configmaps", namespace, config_map("before"))
    api.create("scheduledjobs", namespace, watcher("all", types=["Created", "Updated", "Deleted"]))
    ready = api.until_ready(namespace, "all")
    assert ready["status"]["display"]["trigger"] == "Event"
    assert ready["status"]["display"]["schedule"] == "configmaps Created/Updated/Deleted"
    api.create("configmaps", namespace, config_map("list", version="1"))
    api.patch("configmaps", namespace, "list", {"data": {"version": "2"}})
    api.delete("configmaps", namespace, "list")
    api.patch("configmaps", namespace, "before", {"data": {"version": "2"}})
    runs = runs_of(api, namespace, "all", 4)
    assert [each for run in runs for each in happened(run)] == [
        ("Created", "list"),
        ("Updated", "list"),
        ("Deleted", "list"),
        ("Updated", "before"),
    ]
    event = runs[0]["spec"]["trigger"]["event"]
    assert (event["apiVersion"], event["kind"], event["namespace"]) == ("v1", "ConfigMap", namespace)
    assert runs[0]["spec"]["trigger"]["type"] == "Event"
    for run in runs:
        assert api.until_finished(namespace, run["metadata"]["name"])["phase"] == "Succeeded"
    history = api.get("scheduledjobs", namespace, "all")["status"]["history"]
    assert {line["trigger"] for line in history} == {"seen"}


@together
def test_labels_choose(api: Api, namespace: str) -> None:
    selector = {"matchLabels": {"app": "shop"}, "matchExpressions": [{"key": "draft", "operator": "DoesNotExist"}]}
    api.create("scheduledjobs", namespace, watcher("some", labelSelector=selector))
    api.until_ready(namespace, "some")
    for name, labels in (("none", {}), ("draft", {"app": "shop", "draft": ""}), ("right", {"app": "shop"})):
        api.create("configmaps", namespace, config_map(name, labels))
    (run,) = runs_of(api, namespace, "some", 1)
    assert happened(run) == [("Created", "right")]


@together
def test_only_when_a_field_changed(api: Api, namespace: str) -> None:
    """Also of an object that was there before the trigger."""
    api.create("configmaps", namespace, config_map("settings", version="1", comment="a"))
    api.create(
        "scheduledjobs",
        namespace,
        watcher("field", types=["Updated"], filter="object.data.version != oldObject.data.version"),
    )
    assert condition(api.until_ready(namespace, "field"), "EventFilters") == "True"
    for data in ({"comment": "b"}, {"version": "2"}, {"comment": "c"}, {"version": "3"}):
        api.patch("configmaps", namespace, "settings", {"data": data})
    runs = runs_of(api, namespace, "field", 2)
    assert sum(run["spec"]["trigger"]["event"]["count"] for run in runs) == 2
    until_counted(api, namespace, "field", Filtered=2)


@together
def test_a_batch_is_one_run_that_knows_it(api: Api, namespace: str) -> None:
    """The objects are in the record, and reach the containers as JSON: one run a window, however slow the machine."""
    script = 'printf %s "$CARILLON_EVENT" > /dev/termination-log; exit 3'
    api.create("scheduledjobs", namespace, watcher("batch", script, debounceSeconds=4))
    api.until_ready(namespace, "batch")
    for number in range(20):
        api.create("configmaps", namespace, config_map(f"part-{number}"))
    runs = runs_of(api, namespace, "batch", 20)
    events = [run["spec"]["trigger"]["event"] for run in runs]
    assert sum(event["count"] for event in events) == 20
    assert [each for run in runs for each in happened(run)] == [("Created", f"part-{number}") for number in range(20)]
    opened = [instant(event["firstTime"]) for event in events]
    assert all(later - earlier >= timedelta(seconds=3) for earlier, later in pairwise(opened)), "whole seconds"
    for run, event in zip(runs, events, strict=True):
        said = api.until_finished(namespace, run["metadata"]["name"], seconds=60)["message"]
        assert json.loads(said) == event
    until_counted(api, namespace, "batch", Debounced=20 - len(runs))
    assert len(api.select("jobruns", namespace)) == len(runs)


@together
def test_a_warning_on_a_pod(api: Api, namespace: str) -> None:
    """Kubernetes' own Events, of a pod whose image is not there."""
    api.create(
        "scheduledjobs",
        namespace,
        watcher(
            "doctor",
            resource="events",
            types=["Created", "Updated"],
            filter="object.type == 'Warning' && object.involvedObject.kind == 'Pod'",
            debounceSeconds=1,
        ),
    )
    api.until_ready(namespace, "doctor")
    pod = {
        "metadata": {"name": "patient"},
        "spec": {"containers": [{"name": "main", "image": "no-such-image:1"}], "terminationGracePeriodSeconds": 1},
    }
    api.create("pods", namespace, pod)
    run = runs_of(api, namespace, "doctor", 1)[0]
    assert run["spec"]["trigger"]["event"]["objects"][0]["regarding"] == "Pod/patient"


@together
def test_a_job_does_not_start_itself(api: Api, namespace: str) -> None:
    """Its own pods' Events, and what bears its label or belongs to its Job, do not count."""
    api.create("scheduledjobs", namespace, watcher("loop", resource="events", types=["Created", "Updated"]))
    api.create("scheduledjobs", namespace, watcher("maps"))
    api.until_ready(namespace, "loop")
    api.until_ready(namespace, "maps")
    # Its Events, the pod's and the Job's all speak of the job's own.
    assert api.until_finished(namespace, api.run_now(namespace, "loop"))["phase"] == "Succeeded"
    first = api.run_now(namespace, "maps")
    step = api.until_finished(namespace, first)["steps"][0]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": step["job"], "uid": step["jobUID"]}
    owned = config_map("by-owner")
    owned["metadata"]["ownerReferences"] = [owner]
    api.create("configmaps", namespace, owned)
    api.create("configmaps", namespace, config_map("by-label", {"carillon.dev/scheduled-job": "maps"}))
    api.create("configmaps", namespace, config_map("by-somebody"))
    (by_event,) = runs_of(api, namespace, "maps", 1)
    assert happened(by_event) == [("Created", "by-somebody")]
    until_counted(api, namespace, "maps", SelfMade=2)
    runs = api.select("jobruns", namespace, "carillon.dev/scheduled-job=loop,carillon.dev/trigger=Event")
    regarding = [each["regarding"] for run in runs for each in run["spec"]["trigger"]["event"]["objects"]]
    assert [each for each in regarding if "loop" in each] == []


@together
def test_what_happens_while_a_job_is_disabled_is_counted(api: Api, namespace: str) -> None:
    """And so is what happens while another run is active, under Forbid."""
    api.create("scheduledjobs", namespace, watcher("off", spec={"suspend": True}))
    api.create("scheduledjobs", namespace, watcher("busy", "sleep 8", spec={"concurrency": concurrency("Forbid")}))
    api.until_ready(namespace, "off")
    api.until_ready(namespace, "busy")
    api.create("configmaps", namespace, config_map("a"))
    (run,) = runs_of(api, namespace, "busy", 1)
    api.until_phase(namespace, run["metadata"]["name"], "Running")
    api.create("configmaps", namespace, config_map("b"))
    until_counted(api, namespace, "off", Disabled=2)
    until_counted(api, namespace, "busy", ConcurrencyForbid=1)
    assert api.select("jobruns", namespace, "carillon.dev/scheduled-job=off") == []
    api.patch("scheduledjobs", namespace, "off", {"spec": {"suspend": False}})
    api.until("scheduledjobs", namespace, "off", lambda it: it["status"]["display"]["status"] == "Waiting", "enabled")
    api.create("configmaps", namespace, config_map("c"))
    (run,) = runs_of(api, namespace, "off", 1)
    assert happened(run) == [("Created", "c")]


@together
def test_a_filter_that_never_ends_is_said(api: Api, namespace: str) -> None:
    """And other triggers of the same kind are served meanwhile."""
    loops = "a + b + c + d + e + f + g + h != object.metadata.name"
    for variable in "abcdefgh":
        loops = f"['0','1','2','3','4','5','6','7','8','9'].all({variable}, {loops})"
    api.create("scheduledjobs", namespace, watcher("burns", filter=loops))
    api.create("scheduledjobs", namespace, watcher("works", filter="object.metadata.name.startsWith('x')"))
    api.create("scheduledjobs", namespace, watcher("fails", filter="object.metadata.name > 1"))
    for name in ("burns", "works", "fails"):
        api.until_ready(namespace, name)
    for name in ("a", "x1", "x2"):
        api.create("configmaps", namespace, config_map(name))
    runs = runs_of(api, namespace, "works", 2)
    assert [each for run in runs for each in happened(run)] == [("Created", "x1"), ("Created", "x2")]
    for name, reason in (("burns", "FilterTimeout"), ("fails", "FilterFailed")):
        found = api.until(
            "scheduledjobs", namespace, name, lambda it: condition(it, "EventFilters") == "False", "EventFilters=False"
        )
        assert condition(found, "EventFilters", "reason") == reason
        assert "spec.triggers[0].event.filter" in condition(found, "EventFilters", "message")
        until_counted(api, namespace, name, **{reason: 3})
        assert api.select("jobruns", namespace, f"carillon.dev/scheduled-job={name}") == []


@together
def test_triggers_that_cannot_be_watched(api: Api, namespace: str) -> None:
    for name, resource, words in (
        ("secret", "secrets", ["found secrets", "add", '{group: "", version: v1, resource: secrets}', "eventSources"]),
        ("typo", "configmapz", ["found configmapz", "eventSources"]),
    ):
        api.create("scheduledjobs", namespace, watcher(name, resource=resource))
        found = api.until_ready(namespace, name, "False")
        said = condition(found, "Ready", "message")
        assert condition(found, "Ready", "reason") == "EventSourceRefused"
        assert [word for word in ["spec.triggers[0].event.resource", *words] if word not in said] == [], said
        assert found["status"]["display"]["status"] == "Invalid"
    api.create("scheduledjobs", namespace, watcher("wrong", filter="object.data."))
    found = api.until_ready(namespace, "wrong", "False")
    assert "spec.triggers[0].event.filter: found 'object.data.', which is no CEL" in condition(
        found, "Ready", "message"
    )


@together
def test_the_examples(api: Api, namespace: str) -> None:
    """In another namespace than theirs; the words in their headers are those of the documentation."""
    for name in ("import-upload", "tell-of-warnings"):
        text = (REPOSITORY / "examples" / "events" / f"{name}.yaml").read_text()
        body = yaml.safe_load(text.replace("carillon-examples", namespace))
        body["spec"]["triggers"][0]["event"]["debounceSeconds"] = 2
        api.create("scheduledjobs", namespace, body)
        api.until_ready(namespace, name)
    api.create("configmaps", namespace, config_map("prices", {"upload": "prices"}, a="1"))
    api.create("configmaps", namespace, config_map("more", {"upload": "prices"}, a="1"))
    api.create("configmaps", namespace, config_map("other", a="1"))
    pod = {"metadata": {"name": "patient"}, "spec": {"containers": [{"name": "main", "image": "no-such-image:1"}]}}
    api.create("pods", namespace, pod)
    for name, said in (
        ("import-upload", "importing prices\nimporting more\n"),
        ("tell-of-warnings", "warned of Pod/patient\n"),
    ):
        run = runs_of(api, namespace, name, 1)[0]
        assert api.until_finished(namespace, run["metadata"]["name"], seconds=60)["phase"] == "Succeeded"
        assert api.log(namespace, f"carillon.dev/run-uid={run['metadata']['uid']}") == said


@pytest.mark.parametrize("graceful", [True, False], ids=["stopped", "killed"])
def test_a_restart_fires_nothing(api: Api, operators: Operators, namespace: str, crowd: Any, graceful: bool) -> None:
    """What changed while no operator ran is not replayed; what changes afterwards counts."""
    crowd.settle()
    api.create("scheduledjobs", namespace, watcher("again", types=["Created", "Updated"]))
    api.until_ready(namespace, "again")
    api.create("configmaps", namespace, config_map("before"))
    runs_of(api, namespace, "again", 1)
    leader = operators.leader
    if graceful:
        assert leader.stop() == 0
    else:
        leader.kill()
    api.create("configmaps", namespace, config_map("meanwhile"))
    api.patch("configmaps", namespace, "before", {"data": {"a": "b"}})
    operators.start()
    # The new leader watches a moment after it has begun to lead; the first event that is told ends the waiting.
    number = 0
    while len(api.select("jobruns", namespace)) < 2:
        api.create("configmaps", namespace, config_map(f"after-{number}"))
        number += 1
        time.sleep(0.2)
        assert number < 100
    names = [each for run in runs_of(api, namespace, "again", 2) for each in happened(run)]
    assert names[0] == ("Created", "before")
    assert [name for _, name in names[1:] if not name.startswith("after-")] == []
