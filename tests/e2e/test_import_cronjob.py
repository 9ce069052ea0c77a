"""CronJobs become ScheduledJobs, and back, as a person does it."""

import subprocess
import sys
from datetime import timedelta

import yaml

from tests.conftest import REPOSITORY
from tests.e2e.api import Api, Manifest
from tests.e2e.objects import instant, job_template, now
from tests.e2e.together import together

A_MINUTE = 75


def carillon_import(api: Api, namespace: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `carillon import cronjob …`."""
    command = [sys.executable, "-m", "carillon", "import", "cronjob", "-n", namespace, *arguments]
    command += ["--kubeconfig", str(api.cluster.kubeconfig)]
    environment = {**api.cluster.environment, "PYTHONPATH": str(REPOSITORY / "operator")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def cron_job(name: str, schedule: str = "0 3 * * *", **spec: object) -> Manifest:
    template = job_template("true")
    template["spec"]["ttlSecondsAfterFinished"] = 3600
    return {"metadata": {"name": name}, "spec": {"schedule": schedule, "jobTemplate": template, **spec}}


@together
def test_what_is_printed_can_be_applied(api: Api, namespace: str) -> None:
    api.create("cronjobs", namespace, cron_job("paris", timeZone="Europe/Paris", concurrencyPolicy="Forbid"))
    api.create("cronjobs", namespace, cron_job("local", "*/5 * * * *", suspend=True))
    told = carillon_import(api, namespace, "--all")
    assert told.returncode == 0, told.stderr
    assert f"CronJob {namespace}/paris:" in told.stderr
    assert "equal:   schedule: '0 3 * * *' in Europe/Paris" in told.stderr
    assert "changes: timeZone: the CronJob has none" in told.stderr
    assert "changes: jobTemplate.spec.ttlSecondsAfterFinished: 3600 is left out" in told.stderr
    api.cluster.kubectl("apply", "--filename", "-", input=told.stdout)
    for name in ("paris", "local"):
        api.until_ready(namespace, name)
    assert api.get("scheduledjobs", namespace, "local")["spec"]["suspend"] is True


@together
def test_what_cannot_be_imported_does_not_stop_the_others(api: Api, namespace: str) -> None:
    api.create("cronjobs", namespace, cron_job("a-never", "0 0 30 2 *"))
    api.create("cronjobs", namespace, cron_job("plain"))
    told = carillon_import(api, namespace, "--all")
    assert told.returncode == 1
    assert f"CronJob {namespace}/a-never: not imported: spec.triggers[0].cron: found" in told.stderr
    assert [each["metadata"]["name"] for each in yaml.safe_load_all(told.stdout)] == ["plain"]


@together
def test_one_that_is_not_there(api: Api, namespace: str) -> None:
    told = carillon_import(api, namespace, "nobody")
    assert (told.returncode, told.stdout) == (1, "")
    assert f"there is no CronJob nobody in namespace {namespace}" in told.stderr


@together
def test_take_over_and_give_back(api: Api, namespace: str) -> None:
    """Every minute is run once, by whoever has it; giving back starts nothing that Carillon has run."""
    api.create("cronjobs", namespace, cron_job("beat", "* * * * *"))
    taken = now()
    for _ in range(2):  # to repeat it changes nothing
        told = carillon_import(api, namespace, "beat", "--take-over")
        assert told.returncode == 0, told.stderr
        held = api.get("cronjobs", namespace, "beat")
        assert (held["spec"]["suspend"], held["metadata"]["annotations"]["carillon.dev/taken-over"]) == (True, "active")
    [run, *_] = api.until_all("jobruns", namespace, bool, "the ScheduledJob's run", seconds=A_MINUTE)
    api.until_finished(namespace, run["metadata"]["name"])

    given = now()
    told = carillon_import(api, namespace, "beat", "--give-back")
    assert told.returncode == 0, told.stderr
    assert api.get("scheduledjobs", namespace, "beat")["spec"]["suspend"] is True
    back = api.get("cronjobs", namespace, "beat")
    assert back["spec"]["suspend"] is False
    assert "carillon.dev/taken-over" not in back["metadata"].get("annotations", {})
    jobs = api.until_all(
        "jobs", namespace, lambda found: any(map(_native, found)), "the CronJob's next Job", seconds=A_MINUTE
    )
    ours = {job["metadata"]["annotations"]["carillon.dev/scheduled-time"] for job in jobs if not _native(job)}
    theirs = {_native(job) for job in jobs if _native(job)}
    assert not ours & theirs
    between = [
        due for due in theirs if taken + timedelta(minutes=1) < instant(due) < given.replace(second=0, microsecond=0)
    ]
    assert between == [], "the CronJob was suspended"  # its own first minute may have come before
    told = carillon_import(api, namespace, "beat", "--give-back")
    assert (told.returncode, "given back already" in told.stderr) == (0, True), "and once more changes nothing"


@together
def test_a_scheduled_job_from_before_is_compared(api: Api, namespace: str) -> None:
    """Defaults that the API server adds are no difference; an edit of the CronJob is one."""
    api.create("cronjobs", namespace, cron_job("old", timeZone="Europe/Paris"))
    for step in ("--take-over", "--give-back", "--take-over", "--give-back"):
        told = carillon_import(api, namespace, "old", step)
        assert told.returncode == 0, told.stderr
    api.patch("cronjobs", namespace, "old", {"spec": {"schedule": "0 4 * * *"}})
    told = carillon_import(api, namespace, "old", "--take-over")
    assert told.returncode == 1
    assert "ScheduledJob old is there from before, and differs in spec.triggers[0].cron." in told.stderr
    assert not api.get("cronjobs", namespace, "old")["spec"]["suspend"]


@together
def test_a_scheduled_job_of_another_origin_is_not_touched(api: Api, namespace: str) -> None:
    api.create("cronjobs", namespace, cron_job("mine"))
    body = {"metadata": {"name": "mine"}, "spec": {"jobTemplate": job_template("true")}}
    api.create("scheduledjobs", namespace, {"apiVersion": "carillon.dev/v1alpha1", "kind": "ScheduledJob", **body})
    told = carillon_import(api, namespace, "mine", "--take-over")
    assert told.returncode == 1
    assert "a ScheduledJob of this name exists, and was not made from it" in told.stderr
    assert not api.get("cronjobs", namespace, "mine")["spec"]["suspend"]


def _native(job: Manifest) -> str:
    """The due time of a Job that the CronJob controller made; empty for others."""
    annotations = job["metadata"].get("annotations", {})
    return str(annotations.get("batch.kubernetes.io/cronjob-scheduled-timestamp", ""))
