"""The command line against a real API server, as a person types it."""

import json
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import REPOSITORY
from tests.e2e.api import Api, Manifest
from tests.e2e.objects import at, concurrency, every, in_seconds, instant, now, rfc3339, scheduled_job
from tests.e2e.together import together

HOURLY = [{"name": "hourly", "cron": "0 * * * *"}]
REFUSED = 4


def carillon(api: Api, *arguments: str, kubeconfig: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    environment = {**api.cluster.environment, "PYTHONPATH": str(REPOSITORY / "operator"), "COLUMNS": "100"}
    if kubeconfig is not None:
        environment["KUBECONFIG"] = str(kubeconfig)
    command = [sys.executable, "-m", "carillon", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=60, stdin=subprocess.DEVNULL
    )


def answer(api: Api, *arguments: str) -> Any:
    """What a command says as JSON."""
    done = carillon(api, *arguments, "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@together
def test_next_says_what_the_status_says(api: Api, namespace: str) -> None:
    closed = {"spec": {"holidays": [{"country": "FR"}]}, "kind": "Calendar", "apiVersion": "carillon.dev/v1alpha1"}
    calendar = yaml.safe_dump({**closed, "metadata": {"name": "fr", "namespace": namespace}})
    api.cluster.kubectl("create", "--filename", "-", input=calendar)
    daily = [{"name": "daily", "cron": "0 12 * * *", "timeZone": "Europe/Paris"}]
    job = scheduled_job("planned", triggers=daily, exclude={"calendars": ["fr"]})
    api.create("scheduledjobs", namespace, job)
    api.until_ready(namespace, "planned")
    seen = api.get("scheduledjobs", namespace, "planned")
    found = answer(api, "next", "planned", "--namespace", namespace, "--count", "5")
    assert found == seen["status"]["nextExecutions"]
    table = carillon(api, "next", "--namespace", namespace, "--count", "1").stdout
    assert "planned" in table
    assert "12:00 C" in table


@together
def test_explain_a_run_and_a_skip(api: Api, namespace: str) -> None:
    due = in_seconds(3)
    api.create("scheduledjobs", namespace, scheduled_job("once", triggers=at(due)))
    api.create(
        "scheduledjobs",
        namespace,
        scheduled_job("slow", "sleep 20", triggers=every(5), concurrency=concurrency("Forbid")),
    )
    ran = api.until_all("jobruns", namespace, _finished("once"), "the run of once to finish", seconds=60)
    assert ran
    told = answer(api, "explain", "once", "--namespace", namespace, "--at", rfc3339(due))
    (story,) = told["due"]
    assert story["verdict"] == "Ran"
    assert "succeeded" in story["message"]
    skipped = api.until("scheduledjobs", namespace, "slow", _has_skips, "a line of skips", seconds=60)
    line = next(line for line in skipped["status"]["skips"] if line["reason"] == "ConcurrencyForbid")
    text = carillon(api, "explain", "slow", "--namespace", namespace, "--at", line["from"]).stdout
    assert "another run of the job was still active" in text
    assert "concurrency.policy: Forbid" in text


@together
def test_a_backfill_runs_in_order_and_once(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("hours", "sleep 1", triggers=HOURLY))
    api.until_ready(namespace, "hours")
    end = now().replace(minute=0, second=0, microsecond=0)
    times = ("--from", rfc3339(end - timedelta(hours=2)), "--to", rfc3339(end))
    dry = carillon(api, "backfill", "hours", "--namespace", namespace, *times)
    assert dry.returncode == 0, dry.stderr
    assert "--yes makes 3 runs" in dry.stderr
    assert not api.select("jobruns", namespace)
    made = answer(api, "backfill", "hours", "--namespace", namespace, *times, "--yes")
    assert [run["result"] for run in made["runs"]] == ["created"] * 3
    runs = api.until_all("jobruns", namespace, _finished("hours", 3), "three runs to finish", seconds=90)
    assert [run["status"]["phase"] for run in runs] == ["Succeeded"] * 3
    by_due = sorted(runs, key=lambda run: str(run["spec"]["scheduledTime"]))
    starts = [instant(run["status"]["startTime"]) for run in by_due]
    ends = [instant(run["status"]["completionTime"]) for run in by_due]
    assert starts == sorted(starts)
    assert all(ended <= began for ended, began in zip(ends, starts[1:], strict=False))
    again = answer(api, "backfill", "hours", "--namespace", namespace, *times, "--yes")
    assert [run["result"] for run in again["runs"]] == ["present"] * 3
    story = answer(api, "explain", "hours", "--namespace", namespace, "--at", rfc3339(end - timedelta(hours=1)))
    assert story["due"][0]["verdict"] == "Backfilled"


@together
def test_load_counts_the_cluster(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("hours", triggers=HOURLY))
    found = answer(api, "load", "--namespace", namespace)
    assert found["total"] == 24
    everywhere = carillon(api, "load", "--days", "7")
    assert everywhere.returncode == 0, everywhere.stderr
    assert "Peak: " in everywhere.stdout


@together
def test_who_may_not_look_is_told_whom_to_ask(api: Api, namespace: str) -> None:
    api.until("serviceaccounts", namespace, "default", lambda _: True, "the service account")
    token = api.cluster.kubectl("create", "token", "default", "--namespace", namespace).stdout.strip()
    config = yaml.safe_load(api.cluster.kubectl("config", "view", "--raw", "--minify", "--flatten").stdout)
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    config["contexts"][0]["context"]["namespace"] = namespace
    done = _with_config(api, config, "next")
    assert done.returncode == REFUSED, done.stdout + done.stderr
    user = f"system:serviceaccount:{namespace}:default"
    assert f"you may not list scheduledjobs in namespace {namespace}: ask for the role carillon-view" in done.stderr
    assert user in done.stderr


def _with_config(api: Api, config: Manifest, *arguments: str) -> "subprocess.CompletedProcess[str]":
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(config, file)
        file.flush()
        return carillon(api, *arguments, kubeconfig=Path(file.name))


def _finished(job: str, count: int = 1) -> Any:
    def holds(runs: Any) -> bool:
        ours = [run for run in runs if run["spec"]["scheduledJob"] == job]
        return sum(run.get("status", {}).get("phase") in ("Succeeded", "Failed") for run in ours) >= count

    return holds


def _has_skips(job: Manifest) -> bool:
    return any(line["reason"] == "ConcurrencyForbid" for line in job.get("status", {}).get("skips", ()))
