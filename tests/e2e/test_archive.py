"""The archive, with a PostgreSQL that goes away and an operator that is killed: every finished run is in it, once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from carillon.archive.database import Archive
from carillon.archive.query import Query
from carillon.archive.record import Record
from tests.archive import postgres as module
from tests.archive.postgres import Postgres
from tests.conftest import REPOSITORY
from tests.e2e.api import Api
from tests.e2e.objects import every, scheduled_job
from tests.e2e.operators import Operators

SECONDS = 60.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with module.running() as server:
        yield server


@pytest.fixture(scope="module")
def archiving(
    operators: Operators, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operators]:
    """The operator, with an archive for the length of these tests."""
    file = tmp_path_factory.mktemp("archive") / "url"
    file.write_text(postgres.url)
    operators.stop()
    operators.arguments = ["--archive-url-file", str(file)]
    try:
        operators.start()
        yield operators
    finally:
        if postgres.process is None:
            postgres.up()
        operators.stop()
        operators.arguments = []
        operators.start()


def archived(postgres: Postgres, namespace: str) -> list[Record]:
    archive = Archive(lambda: postgres.url, read_only=True)
    try:
        return archive.find(Query(namespace=namespace))
    finally:
        archive.close()


def until_archived(postgres: Postgres, namespace: str, uids: set[str]) -> list[Record]:
    deadline = time.monotonic() + SECONDS
    while True:
        found = archived(postgres, namespace)
        missing = uids - {record.uid for record in found}
        if not missing:
            return found
        assert time.monotonic() < deadline, f"{len(missing)} of {len(uids)} are missing"
        time.sleep(0.2)


def until_pruned(api: Api, namespace: str, left: int) -> None:
    deadline = time.monotonic() + SECONDS
    while len(runs := api.select("jobruns", namespace)) != left:
        assert time.monotonic() < deadline, [run["metadata"]["name"] for run in runs]
        time.sleep(0.2)


def test_every_finished_run_is_in_the_archive_once(
    api: Api, namespace: str, archiving: Operators, postgres: Postgres
) -> None:
    """History keeps one; the database goes away; the operator is killed while it writes; a person deletes a run."""
    mark = api.mark("jobruns", namespace)
    limits = {"succeeded": 1, "failed": 1}
    for name in ("often", "also"):
        api.create("scheduledjobs", namespace, scheduled_job(name, history=limits, triggers=every(2)))
    api.create(
        "scheduledjobs",
        namespace,
        scheduled_job("fails", "echo no space left >&2; exit 3", history=limits, owner="alice"),
    )
    failing = api.run_now(namespace, "fails")
    api.until_finished(namespace, failing)
    time.sleep(6)

    postgres.down()
    away = api.run_now(namespace, "fails")
    api.until_finished(namespace, away)
    waiting = api.until_all("jobruns", namespace, lambda runs: len(runs) > 6, "pruning waits", seconds=SECONDS)
    kept = {run["metadata"]["name"] for run in waiting}
    assert "ok" in archiving.leader.probe("/readyz"), "the database has no say in that"
    archiving.leader.kill()
    archiving.start()
    time.sleep(4)
    assert kept <= {run["metadata"]["name"] for run in api.select("jobruns", namespace)}
    deleted = api.run_now(namespace, "fails")
    api.until_finished(namespace, deleted)
    api.delete("jobruns", namespace, deleted)
    api.until("scheduledjobs", namespace, "fails", lambda it: deleted in str(it["status"]["history"]), "its last trace")

    postgres.up()
    time.sleep(0.5)
    archiving.leader.kill()  # perhaps in the middle of a batch
    archiving.start()
    time.sleep(3)
    for name in ("often", "also"):
        api.patch("scheduledjobs", namespace, name, {"spec": {"suspend": True}})
    until_pruned(api, namespace, 3)

    seen: dict[str, str] = {}
    for _, run in api.changes_since("jobruns", namespace, mark):
        if (run.get("status") or {}).get("phase") in ("Succeeded", "Failed", "Stopped", "Skipped"):
            seen[run["metadata"]["uid"]] = run["metadata"]["name"]
    assert len(seen) >= 12
    assert {failing, away, deleted} <= set(seen.values())
    found = until_archived(postgres, namespace, set(seen))
    assert sorted(record.uid for record in found) == sorted(seen), "each once, and no other"
    (record,) = [record for record in found if record.name == failing]
    assert (record.phase, record.exit_code, record.message, record.owner) == ("Failed", 3, "no space left", "alice")


def test_it_is_asked_on_the_command_line(
    api: Api, namespace: str, archiving: Operators, postgres: Postgres, tmp_path: Path
) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("asked", owner="alice"))
    run = api.run_now(namespace, "asked")
    api.until_finished(namespace, run)
    until_archived(postgres, namespace, {api.get("jobruns", namespace, run)["metadata"]["uid"]})
    environment = {
        **os.environ,
        "CARILLON_ARCHIVE_URL": postgres.url,
        "PYTHONPATH": str(REPOSITORY / "operator"),
        "KUBECONFIG": str(api.cluster.kubeconfig),
    }
    command = [sys.executable, "-m", "carillon", "archive", "list", "-n", namespace, "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert [(line["run"], line["phase"], line["owner"]) for line in json.loads(done.stdout)] == [
        (run, "Succeeded", "alice")
    ]
