"""How much room our objects take on a real API server (design 3.12)."""

import json
from typing import Any

import pytest

from carillon.api import keys
from carillon.api.scheduledjob import MOST_RETRIES, Retry
from carillon.engine.decide import decide
from carillon.engine.excerpt import EARLIER_MESSAGE_BYTES, ending
from carillon.engine.model import Key, PodReport, Snapshot
from carillon.engine.plan import AdoptRun, WriteRunStatus
from carillon.engine.read import read_definition, read_job, read_run
from carillon.engine.terms import Terms, write_terms
from tests.unit.engine.builders import snapshot

MOST_BYTES = 10_000
LONGEST_NAME, LONGEST_RUN, LONGEST_JOB = "s" * 52, "r" * 253, "j" * 63


@pytest.mark.parametrize("attempts", [1, 2, 1 + MOST_RETRIES])
@pytest.mark.parametrize("character", ["x", "語", "🎉", "<", "\\", "\x01"])
def test_the_biggest_jobrun_stays_under_10_kb(crds: Any, namespace: str, character: str, attempts: int) -> None:
    """Made by a person, adopted by the operator, and failed with more last words than there is room for, each time."""
    name = {"namespace": namespace, "name": LONGEST_RUN}
    spec = {
        "scheduledJob": LONGEST_NAME,
        "scheduledTime": "2026-01-01T03:00:00Z",
        "trigger": {"type": "Backfill", "name": "t" * 64},
        "force": True,
    }
    labels = {keys.BACKFILL_LABEL: "b" * 63}
    run = {
        "apiVersion": "carillon.dev/v1alpha1",
        "kind": "JobRun",
        "metadata": {**name, "labels": labels},
        "spec": spec,
    }
    template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "m", "image": "m"}]}}}}
    job = {**run, "kind": "ScheduledJob", "metadata": {**name, "name": LONGEST_NAME}, "spec": {"jobTemplate": template}}
    for manifest in (job, run):
        crds.kubectl("create", "--filename=-", input=json.dumps(manifest))

    def stored() -> dict[str, Any]:
        return dict(json.loads(raw_run(crds, namespace)))

    definition = read_definition(
        json.loads(crds.kubectl("--namespace", namespace, "get", "sj", LONGEST_NAME, "--output=json").stdout)
    )
    key = Key(namespace, LONGEST_NAME)
    [adoption] = [
        action
        for action in decide(Snapshot(key, definition, (read_run(stored()),)), definition.created).actions
        if isinstance(action, AdoptRun)
    ]
    crds.kubectl(
        *("--namespace", namespace, "patch", "jr", LONGEST_RUN, "--type=merge", "--patch", json.dumps(adoption.patch)),
        "--field-manager=carillon",
    )
    ended = {
        "type": "Failed",
        "status": "True",
        "reason": character * 500,
        "lastTransitionTime": "2026-01-01T03:00:00Z",
    }
    uid = stored()["metadata"]["uid"]
    failed = read_job(
        {
            "metadata": {
                **name,
                "name": LONGEST_JOB,
                "uid": "0b7a9a34-0000-4000-8000-000000000000",
                "creationTimestamp": "2026-01-01T03:00:00Z",
                "labels": {keys.RUN_UID_LABEL: uid},
                "annotations": {keys.TERMS_ANNOTATION: write_terms(Terms(retry=Retry(limit=attempts - 1)))},
                "ownerReferences": [
                    {"apiVersion": "carillon.dev/v1alpha1", "kind": "JobRun", "controller": True, "uid": uid}
                ],
            },
            "status": {"conditions": [ended]},
        }
    )
    raw = stored()
    at = "2026-01-01T03:00:00Z"
    steps: list[dict[str, Any]] = [
        {"name": "main", "attempt": number, "job": LONGEST_JOB, "jobUID": failed.uid[:-2] + f"{number:02}"}
        | {"startTime": at, "completionTime": at, "phase": "Failed", "exitCode": -2_147_483_648}
        | {"message": ending(character * 2000, EARLIER_MESSAGE_BYTES)}
        for number in range(1, attempts)
    ]
    steps.append({"name": "main", "attempt": attempts, "job": LONGEST_JOB, "jobUID": failed.uid, "startTime": at})
    running = {"phase": "Running", "startTime": at, "attempts": attempts, "pausedSeconds": 31_536_000, "steps": steps}
    active = read_run({**raw, "status": running})
    report = PodReport(0, -2_147_483_648, "", character * 20_000)
    plan = decide(snapshot(definition, active, failed, pods={failed.uid: report}), definition.created)
    [written] = [action for action in plan.actions if isinstance(action, WriteRunStatus)]
    body = {**raw, "status": written.status}
    crds.kubectl("replace", "--subresource=status", "--filename=-", "--field-manager=carillon", input=json.dumps(body))
    text = raw_run(crds, namespace)
    status = json.loads(text)["status"]
    assert status["message"][-1] == character
    assert [step["exitCode"] for step in status["steps"]] == [-2_147_483_648] * attempts
    least = 8_000 if attempts == 1 else 5_000
    assert least < len(text.encode()) < MOST_BYTES, json.dumps(json.loads(text)["metadata"])[:200]


def raw_run(crds: Any, namespace: str) -> str:
    """The answer of the API server as it is, written as Go writes JSON, which is how custom resources are stored."""
    path = f"/apis/carillon.dev/v1alpha1/namespaces/{namespace}/jobruns/{LONGEST_RUN}"
    return str(crds.kubectl("get", "--raw", path).stdout)
