"""How fast runs go into the archive, how much room they take, and how long a question takes: `make bench-archive`.

The runs are what a cluster of a thousand jobs leaves: one in ten has failed and has 600 bytes of last words. They are
written as the operator writes them, in batches of 250, into a database with fsync, on this machine.
"""

import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from carillon.archive.address import url_of_file
from carillon.archive.database import Archive
from carillon.archive.query import Query
from carillon.archive.record import Facts, Record, record_of
from carillon.controller.archivist import BATCH
from tests.archive.postgres import running
from tests.unit.engine.builders import a_run, at

RUNS = 20_000
JOBS = 1_000
NOW = at("12:00")
LAST_WORDS = "pg_dump: error: connection to server at 10.0.0.7 failed\n" * 11


def _records(begin: int, count: int) -> list[Record]:
    facts = Facts("Clear the recycle bin", "alice@example.com", "User")
    fine = record_of(a_run("12:00", "Succeeded", ended="12:01", reason="Completed"), facts)
    bad = record_of(a_run("12:00", "Failed", ended="12:01", reason="BackoffLimitExceeded", message=LAST_WORDS), facts)
    return [
        replace(
            bad if number % 10 == 0 else fine,
            uid=f"5f0c1d5e-0000-4000-8000-{number:012}",
            scheduled_job=f"clear-recycle-bin-{number % JOBS}",
            name=f"clear-recycle-bin-{number % JOBS}-{1_790_000_000 + number}",
            completion_time=NOW + timedelta(seconds=number),
        )
        for number in range(begin, begin + count)
    ]


def _measure(name: str, url: str) -> None:
    archive = Archive(lambda: url)
    archive.write(_records(0, 1), NOW)
    batches = [_records(begin, BATCH) for begin in range(0, RUNS, BATCH)]
    began = time.monotonic()
    for batch in batches:
        archive.write(batch, NOW)
    seconds = time.monotonic() - began
    print(f"{name}: {RUNS:,} runs in {seconds:.1f} s, {RUNS / seconds:,.0f} a second")
    began = time.monotonic()
    for batch in batches[: len(batches) // 10]:
        archive.write(batch, NOW)
    seconds = time.monotonic() - began
    print(f"{name}: the same again, as after a restart: {RUNS / 10 / seconds:,.0f} a second")
    count, size = archive.size()
    print(f"{name}: {size / count:,.0f} bytes a run with indexes, {size / 2**20:,.0f} MiB for {count:,}")
    questions = {
        "the newest 50": Query(limit=50),
        "the newest 50 of a job": Query(namespace="files", scheduled_job="clear-recycle-bin-7", limit=50),
        "the newest 50 failures": Query(phases=("Failed",), limit=50),
        "a run by its name": Query(namespace="files", run="clear-recycle-bin-7-1790000007"),
    }
    for words, query in questions.items():
        began = time.monotonic()
        found = archive.find(query)
        print(f"{name}: {words}: {len(found)} in {(time.monotonic() - began) * 1000:.1f} ms")
    archive.close()


def main() -> None:
    with running() as server:
        _measure("PostgreSQL", server.url)
    with tempfile.TemporaryDirectory() as directory:
        _measure("SQLite", url_of_file(Path(directory) / "archive.sqlite"))


if __name__ == "__main__":
    main()
