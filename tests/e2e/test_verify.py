"""The last word: after all that, `carillon task verify` finds every due time accounted for, and what we planted."""

import re
import subprocess
import sys
from datetime import timedelta

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.e2e import examples as files
from tests.e2e.api import Api, condition
from tests.e2e.objects import instant, now, rfc3339, scheduled_job
from tests.e2e.operators import Operators

FINDINGS = 1


def task(api: Api, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `carillon task …` as a person does."""
    command = [sys.executable, "-m", "carillon", "task", name, "--kubeconfig", str(api.cluster.kubeconfig), *arguments]
    environment = {**api.cluster.environment, "PYTHONPATH": str(REPOSITORY / "operator")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


@pytest.mark.usefixtures("examples")
def test_examples_have_run_by_their_own_triggers(api: Api) -> None:
    """They have been there for as long as the tests took; the one that is due every minute has fired at its second."""
    fired = api.until(
        "scheduledjobs",
        files.NAMESPACE,
        "import-supplier-feed",
        lambda it: it["status"].get("lastScheduleTime") and condition(it, "LastRunSucceeded") == "False",
        "a periodic run that failed",
        seconds=75,
    )
    assert instant(fired["status"]["lastScheduleTime"]).second == 0
    line = next(line for line in fired["status"]["history"] if line["trigger"] == "every-minute")
    assert (line["phase"], line["exitCode"]) == ("Failed", 3)


@pytest.mark.usefixtures("examples")
def test_everything_is_accounted_for(api: Api) -> None:
    told = task(api, "verify")
    assert (told.returncode, told.stderr) == (0, "")
    assert "every due time is accounted for" in told.stdout


@pytest.mark.usefixtures("examples")
def test_report_of_the_day(api: Api) -> None:
    told = task(api, "report")
    assert told.returncode == 0
    assert "found 2 fields, want 3" in told.stdout
    assert "(exit code 3)" in told.stdout


def test_invalid_definition_is_its_authors_business(api: Api, namespace: str) -> None:
    """It is in the day's report, with the words of its Ready condition, and does not make verify fail."""
    api.create("scheduledjobs", namespace, scheduled_job("bad", triggers=[{"name": "bad", "cron": "61 * * * *"}]))
    api.until_ready(namespace, "bad", "False")
    assert task(api, "verify", "--namespaces", namespace).returncode == 0
    told = task(api, "report", "--namespaces", namespace)
    assert f"{namespace}/bad" in told.stdout
    assert "spec.triggers[0].cron" in told.stdout


@pytest.mark.usefixtures("examples")
def test_tampered_records_are_found(api: Api, operators: Operators) -> None:
    """With no operator there, a run's record and its line in the history vanish, and a watermark leaps ahead."""
    job = "resync-data-source"
    operators.stop()
    before = api.get("scheduledjobs", files.NAMESPACE, job)["status"]
    try:
        lost = next(line for line in before["history"] if line.get("scheduledTime"))
        ahead = rfc3339(now() + timedelta(hours=1))
        tampered = {
            "history": [line for line in before["history"] if line["run"] != lost["run"]],
            "triggers": [{**mark, "handledThrough": ahead} for mark in before["triggers"]],
        }
        api.patch("scheduledjobs", files.NAMESPACE, job, {"status": tampered}, "status")
        if api.find("jobruns", files.NAMESPACE, lost["run"]):
            api.delete("jobruns", files.NAMESPACE, lost["run"])
            api.until_none_named("jobruns", files.NAMESPACE, lost["run"])

        told = task(api, "verify", "--namespaces", files.NAMESPACE)
        assert told.returncode == FINDINGS
        assert f"trigger every-15s: the watermark {ahead} lies in the future" in told.stdout
        missing = re.search(rf"{job}: trigger every-15s: [12] of \d+ due times since", told.stdout)
        assert missing, f"lost {lost}\n{told.stdout}\n{yaml.safe_dump(before)}"
    finally:
        repaired = {"history": before["history"], "triggers": before["triggers"]}
        api.patch("scheduledjobs", files.NAMESPACE, job, {"status": repaired}, "status")
        operators.start()
