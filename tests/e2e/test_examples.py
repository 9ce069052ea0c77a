"""The examples: each is run now, and by its own trigger where that is soon, and does what it is there for."""

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.e2e import examples as files
from tests.e2e.api import Api, Manifest, condition
from tests.e2e.conftest import new_namespace
from tests.e2e.examples import Files, definition, finished, log_of, of
from tests.e2e.objects import instant, now, rfc3339
from tests.e2e.operators import Operators

NAMESPACE = files.NAMESPACE
RUN_NOW = files.DIRECTORY / "run-now"
FEED_ERROR = "feed.csv, line 3: found 2 fields, want 3 (sku, price, stock): B-7,7400.00"
WRITE_TO_THE_CLAIM = {
    "clear-recycle-bin",
    "compress-folder",
    "nightly-database-dump",
    "resync-data-source",
    "vacuum-database",
}

SEED = """
mkdir -p /files/recycle-bin /files/dumps /files/locked/.lock
cd /files/recycle-bin
rm -rf *; mkdir -p old-album kept
old="@$(($(date +%s) - 31 * 86400))"; young="@$(($(date +%s) - 29 * 86400))"
touch -d "$old" draft.odt old-album/photo.jpg kept/old.txt
touch -d "$young" letter.odt kept/young.txt
touch -d "$old" old-album kept
cd /files/dumps
rm -f *
for day in 01 02 03 04 05 06 07 08 09; do touch "database-202601${day}T013000Z.tar.gz"; done
"""
LOOK = """
cd /files/recycle-bin; find . -mindepth 1 | sort | sed 's/^/bin: /'
cd /files/archives; ls -A | sed 's/^/archives: /'; tar -tzf reports.tar.gz | sed 's/^/archive: /'
cd /files/dumps; ls -A | sed 's/^/dumps: /'; tar -tzf "$(ls | tail -n 1)" | sed 's/^/dump: /'
cd /files/database; ls -A | sed 's/^/database: /'
cd /files/replica; for file in *; do sed "s/^/replica of $file: /" "$file"; done
"""


@pytest.fixture(scope="module")
def seeded(shared_files: Files) -> None:
    """Files old and new."""
    shared_files.shell(SEED)


@pytest.fixture(scope="module")
def hasty_dump(api: Api, seeded: None) -> Iterator[str]:
    """A run of the nightly dump in haste, on a database whose lock is held."""
    body = definition("nightly-database-dump")
    body["metadata"] = {"name": "dump-in-haste"}
    body["spec"]["triggers"] = []
    job = body["spec"]["jobTemplate"]["spec"]
    job["backoffLimit"] = 0
    container = job["template"]["spec"]["containers"][0]
    next(variable for variable in container["env"] if variable["name"] == "LOCK_SECONDS")["value"] = "1"
    next(mount for mount in container["volumeMounts"] if mount["mountPath"] == "/database")["subPath"] = "locked"
    api.create("scheduledjobs", NAMESPACE, body)
    yield api.run_now(NAMESPACE, "dump-in-haste")
    api.delete("scheduledjobs", NAMESPACE, "dump-in-haste")


@pytest.fixture(scope="module")
def runs(api: Api, seeded: None, hasty_dump: str) -> dict[str, Manifest]:
    """A manual run of each example, all at once: `kubectl create -f examples/run-now/`; the JobRuns, finished."""
    finished_auto_start(api)
    created = api.cluster.kubectl("create", "--filename", str(RUN_NOW), "--output", "name").stdout
    return {
        run["spec"]["scheduledJob"]: run for run in (finished(api, line.partition("/")[2]) for line in created.split())
    }


@pytest.fixture(scope="module")
def seen(runs: dict[str, Manifest], shared_files: Files) -> dict[str, list[str]]:
    """What the examples have left in their files, by heading."""
    found: dict[str, list[str]] = {}
    for line in shared_files.shell(LOOK).splitlines():
        heading, _, text = line.partition(": ")
        found.setdefault(heading, []).append(text)
    return found


def finished_auto_start(api: Api) -> Manifest:
    """The run that autoStart made for compress-folder, ended."""
    runs = api.until_all(
        "jobruns",
        NAMESPACE,
        lambda runs: any(_auto_start(run) and condition(run, "Finished") for run in runs),
        "the run that autoStart makes to finish",
        selector=of("compress-folder"),
    )
    return next(run for run in runs if _auto_start(run))


def _auto_start(run: Manifest) -> bool:
    return bool(run["spec"]["trigger"].get("name") == "autoStart")


def test_every_example_can_be_run_now() -> None:
    written = {path.stem: yaml.safe_load(path.read_text()) for path in RUN_NOW.glob("*.yaml")}
    assert {name: run["spec"]["scheduledJob"] for name, run in written.items()} == {name: name for name in files.NAMES}


@pytest.mark.usefixtures("examples")
def test_applying_them_again_changes_nothing(api: Api) -> None:
    again = api.cluster.kubectl("apply", "--filename", str(files.DIRECTORY)).stdout.splitlines()
    assert [line for line in again if not line.endswith("unchanged")] == []
    assert sum(line.startswith("scheduledjob.carillon.dev/") for line in again) == len(files.NAMES)


def test_commands_in_the_headers_work_as_they_are(api: Api, runs: dict[str, Manifest]) -> None:
    for path in files.FILES:
        header = path.read_text().split("\napiVersion:", 1)[0]
        commands = re.findall(r"kubectl (-n \S+ (?:get|describe|logs) .*?)(?: --watch)?$", header, re.MULTILINE)
        assert commands, f"{path.name} says nothing of its history"
        assert f"kubectl create -f examples/run-now/{path.name}" in header
        for command in dict.fromkeys(commands):
            api.cluster.kubectl(*command.split())


def test_recycle_bin_loses_only_what_is_old(api: Api, runs: dict[str, Manifest], seen: dict[str, list[str]]) -> None:
    run = runs["clear-recycle-bin"]
    assert run["status"]["phase"] == "Succeeded"
    assert "3 files older than 30 days deleted, 2 left" in log_of(api, run)
    assert seen["bin"] == ["./kept", "./kept/young.txt", "./letter.odt"]


@pytest.mark.usefixtures("seen")  # what the other runs have left is looked at before this one takes more
def test_recycle_bin_is_told_the_days_as_its_header_says(api: Api, runs: dict[str, Manifest]) -> None:
    header = (files.DIRECTORY / "clear-recycle-bin.yaml").read_text()
    command = re.search(r"^# With 7 days: +(.* kubectl create -f -)$", header, re.MULTILINE)
    assert command is not None
    created = subprocess.run(
        f"{command[1]} --output=name",
        shell=True,
        cwd=REPOSITORY,
        env=api.cluster.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    run = finished(api, created.strip().partition("/")[2])
    assert run["status"]["phase"] == "Succeeded"
    assert "2 files older than 7 days deleted, 0 left" in log_of(api, run)


def test_vacuum_and_dump_have_shared_a_slot(api: Api, runs: dict[str, Manifest]) -> None:
    vacuum, dump = (runs[name]["status"] for name in ("vacuum-database", "nightly-database-dump"))
    assert vacuum["phase"] == dump["phase"] == "Succeeded"
    spans = sorted((instant(status["startTime"]), instant(status["completionTime"])) for status in (vacuum, dump))
    assert spans[0][1] <= spans[1][0]


def test_folder_is_compressed_without_anyone_asking(
    api: Api, runs: dict[str, Manifest], seen: dict[str, list[str]]
) -> None:
    for run in (finished_auto_start(api), runs["compress-folder"]):
        assert run["status"]["phase"] == "Succeeded"
        assert re.search(r"^65\d+ kB in, \d+ kB out: reports.tar.gz$", log_of(api, run), re.MULTILINE)
    assert seen["archives"] == ["reports.tar.gz"], "no half archive is left behind"
    assert len([name for name in seen["archive"] if name.endswith(".txt")]) == 8


def test_data_source_is_resynced(
    api: Api, runs: dict[str, Manifest], seen: dict[str, list[str]], shared_files: Files
) -> None:
    """By hand, and then by its own trigger: within 15 seconds, what has changed at the source is taken over."""
    assert runs["resync-data-source"]["status"]["phase"] == "Succeeded"
    assert seen["replica of prices.csv"] == ["sku,price", "A-1,10.00", "B-7,7400.00"]
    # The example of the header, and one file less.
    changed = {"prices.csv": "sku,price\nA-1,11.00\n", "products.csv": None}
    api.patch("configmaps", NAMESPACE, "data-source", {"data": changed})
    since = rfc3339(now())
    done = api.until_all(
        "jobruns",
        NAMESPACE,
        lambda found: any(run["spec"]["scheduledTime"] > since and condition(run, "Finished") for run in found),
        "a periodic run that is due after the change, and its end",
        seconds=45,
        selector=f"{of('resync-data-source')},carillon.dev/trigger=Periodic",
    )
    after = next(run for run in done if run["spec"]["scheduledTime"] > since)
    assert log_of(api, after).startswith(
        "prices.csv: taken over\nproducts.csv: gone at the source, removed\nin sync, as of"
    )
    assert {run["spec"]["scheduledTime"][17:19] for run in done} <= {"00", "15", "30", "45"}
    replica = shared_files.shell("cd /files/replica; ls; cat prices.csv")
    assert replica == f"prices.csv\n{changed['prices.csv']}"


def test_database_dump_is_whole_and_seven_are_kept(runs: dict[str, Manifest], seen: dict[str, list[str]]) -> None:
    assert runs["nightly-database-dump"]["status"]["phase"] == "Succeeded"
    kept = seen["dumps"]
    assert kept[:6] == [f"database-202601{day:02}T013000Z.tar.gz" for day in range(4, 10)]
    assert len(kept) == 7
    assert {"database/orders.csv", "database/customers.csv"} <= set(seen["dump"])
    assert ".lock" not in seen["database"], "the lock is given back"


def test_database_dump_gives_up_on_a_writer_that_does_not(api: Api, hasty_dump: str) -> None:
    status = api.until_finished(NAMESPACE, hasty_dump)
    assert (status["phase"], status["steps"][0]["exitCode"]) == ("Failed", 4)
    assert "a writer holds /database/.lock" in status["message"]


def test_flaky_service_answers_at_the_third_attempt(api: Api, runs: dict[str, Manifest]) -> None:
    run = runs["call-flaky-service"]
    assert (run["status"]["phase"], run["status"]["attempts"]) == ("Succeeded", 3)
    assert [step["exitCode"] for step in run["status"]["steps"]] == [22, 22, 0]
    assert run["status"]["steps"][0]["message"] == "503 service unavailable"
    assert "answered at attempt 3" in log_of(api, run)


def test_one_off_runs_when_asked_and_waits_for_its_time(api: Api, runs: dict[str, Manifest]) -> None:
    run = runs["switch-price-list"]
    assert run["status"]["phase"] == "Succeeded"
    assert "+A-1,10.50" in log_of(api, run)
    status = api.get("scheduledjobs", NAMESPACE, "switch-price-list")["status"]
    assert status["nextExecutions"] == ["2029-12-31T23:00:00Z"]
    assert status["display"]["next"] == "2029-12-31 23:00Z"


def test_system_job_finds_the_clusters_dns(api: Api, runs: dict[str, Manifest]) -> None:
    run = runs["check-dns"]
    assert run["status"]["phase"] == "Succeeded", run["status"]
    assert "kubernetes.default.svc" in log_of(api, run)
    assert run["metadata"]["labels"]["carillon.dev/class"] == "System"
    assert api.get("scheduledjobs", NAMESPACE, "check-dns")["status"]["display"]["owner"] == "system"


def test_reminders_are_sent_on_working_days_only(api: Api, runs: dict[str, Manifest]) -> None:
    run = runs["send-reminders"]
    assert run["status"]["phase"] == "Succeeded", run["status"]
    assert "to tower clock works" in log_of(api, run)
    status = api.get("scheduledjobs", NAMESPACE, "send-reminders")["status"]
    assert [instant(due).weekday() < 5 for due in status["nextExecutions"]] == [True] * 5
    calendar = api.get("calendars", NAMESPACE, "working-days")["status"]
    assert (condition({"status": calendar}, "Ready"), calendar["usedBy"]) == ("True", 1)


def test_failing_job_shows_its_error_until_it_is_mended(api: Api, runs: dict[str, Manifest]) -> None:
    status = runs["import-supplier-feed"]["status"]
    assert (status["phase"], status["steps"][0]["exitCode"], status["message"]) == ("Failed", 3, FEED_ERROR)

    header = (files.DIRECTORY / "import-supplier-feed.yaml").read_text()
    cure = re.search(r"patch configmap supplier-feed -p '(.*)'$", header, re.MULTILINE)
    assert cure is not None
    api.cluster.kubectl("--namespace", NAMESPACE, "patch", "configmap", "supplier-feed", "--patch", cure[1])
    mended = finished(api, api.run_now(NAMESPACE, "import-supplier-feed"))
    api.cluster.kubectl("apply", "--filename", str(files.DIRECTORY / "import-supplier-feed.yaml"))
    assert mended["status"]["phase"] == "Succeeded"
    assert "1 lines imported" in log_of(api, mended)


def test_imported_cronjob_is_the_cronjob_of_its_header(api: Api, runs: dict[str, Manifest]) -> None:
    lines = (files.DIRECTORY / "imported-cronjob.yaml").read_text().splitlines()
    written = "\n".join(line[4:] for line in lines if line.startswith("#   "))
    api.cluster.kubectl("create", "--dry-run=server", "--filename", "-", input=written)
    old = yaml.safe_load(written)["spec"]
    new = definition("imported-cronjob")["spec"]
    trigger = new["triggers"][0]
    assert new["jobTemplate"] == old["jobTemplate"]
    assert new["concurrency"]["policy"] == old["concurrencyPolicy"]
    assert (trigger["cron"], trigger["timeZone"]) == (old["schedule"], old["timeZone"])
    assert new["startingDeadlineSeconds"] == old["startingDeadlineSeconds"]
    assert new["suspend"] == old["suspend"]
    assert new["history"] == {"succeeded": old["successfulJobsHistoryLimit"], "failed": old["failedJobsHistoryLimit"]}

    run = runs["imported-cronjob"]
    assert run["status"]["phase"] == "Succeeded"
    assert "Hello from the Kubernetes cluster" in log_of(api, run)


@pytest.fixture(scope="module")
def restricted(api: Api, operators: Operators) -> Iterator[str]:
    """A namespace that takes none but `restricted` pods."""
    with new_namespace(api, enforce="restricted") as name:
        yield name


@pytest.mark.parametrize("name", files.NAMES)
def test_pod_security(api: Api, restricted: str, name: str) -> None:
    """Those that write into a directory of the node do not pass `restricted`; their namespace enforces `baseline`."""
    template: dict[str, Any] = definition(name)["spec"]["jobTemplate"]["spec"]["template"]
    pod = yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, **template})
    command = ("--namespace", restricted, "create", "--dry-run=server", "--filename", "-")
    tried = api.cluster.kubectl(*command, input=pod, check=False)
    assert ("violates PodSecurity" in tried.stderr) == (name in WRITE_TO_THE_CLAIM), tried.stderr
    assert tried.returncode == (name in WRITE_TO_THE_CLAIM)
