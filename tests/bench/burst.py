"""`make bench-burst`: how late the Jobs are of definitions that are all due in the same minute, beside the native
CronJob controller.

The same number of definitions with the same Job template, on the same API server, one side after the other: this
operator, the CronJob controller tuned for many, and as it comes. The cluster's own controller manager runs neither
CronJobs nor Jobs and there is no node, so that nothing but Jobs is made, on no side. A process of its own watches the
Jobs and notes when it is told of each; lateness is from the due time to that moment.
"""

import argparse
import asyncio
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from carillon.kube.client import Client
from carillon.kube.resources import CRON_JOBS, JOBS, SCHEDULED_JOBS, Resource
from tests.bench.harness import (
    ControlPlane,
    Footprint,
    OperatorProcess,
    control_plane,
    each,
    footprint,
    make_namespace,
    percentile,
    scheduled_job,
)

WITHOUT = "--controller-manager-arg=--controllers=*,-cronjob-controller,-job-controller"
TUNED = ("--kube-api-qps=10000", "--kube-api-burst=10000", "--concurrent-cron-job-syncs=50")
LONGEST_SECONDS = 240.0
"""How long after the due time Jobs are waited for; what has not come by then is counted as this late."""
AROUND_SECONDS = 35.0
"""So long before the due time, and after the last Job, processor time is counted."""
REMOVAL_SECONDS = 120.0
SETTLE_SECONDS = 5.0
SETTLE = 60
"""Seconds for the operator to take note of what is new; one more for 40 definitions."""
DEFAULT = ("BURST", "1000,5000")
SHARES = (0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Side:
    """One of those that are compared."""

    name: str
    resource: Resource
    start: Callable[[ControlPlane], "Process"]


@dataclass(frozen=True)
class Process:
    """One of those that are measured, while it runs."""

    footprint: Callable[[], Footprint]
    stop: Callable[[], None]
    log: str


@dataclass(frozen=True)
class Result:
    """How late one side's Jobs were, in seconds, and what it used from a second before the due time on."""

    side: str
    count: int
    late: list[float]
    cpu_seconds: float
    resident_bytes: int

    def at(self, share: float) -> float:
        """Percentile of the lateness; Jobs that never came count as LONGEST_SECONDS late."""
        return percentile([*self.late, *[LONGEST_SECONDS] * (self.count - len(self.late))], share)


def operator(cluster: ControlPlane) -> Process:
    """Start this operator."""
    process = OperatorProcess(cluster.kubeconfig)
    return Process(process.footprint, process.stop, process.log)


def cron_jobs(*flags: str) -> Callable[[ControlPlane], Process]:
    """How to start a controller manager that runs CronJobs and nothing else."""

    def start(cluster: ControlPlane) -> Process:
        with tempfile.NamedTemporaryFile(prefix="carillon-bench-cronjob-", suffix=".log", delete=False) as log:
            process = subprocess.Popen(
                [
                    str(cluster.binaries / "kube-controller-manager"),
                    f"--kubeconfig={cluster.kubeconfig}",
                    "--controllers=cronjob-controller",
                    "--leader-elect=false",
                    "--secure-port=0",
                    *flags,
                ],
                stdout=log,
                stderr=log,
            )

        def stop() -> None:
            process.terminate()
            process.wait(timeout=30)

        return Process(lambda: footprint(process.pid), stop, log.name)

    return start


SIDES = {
    "carillon": Side("carillon", SCHEDULED_JOBS, operator),
    "tuned": Side("CronJob, tuned", CRON_JOBS, cron_jobs(*TUNED)),
    "default": Side("CronJob, default", CRON_JOBS, cron_jobs()),
}


def definition(resource: Resource, namespace: str, number: int, cron: str) -> dict[str, Any]:
    """Build one."""
    ours = scheduled_job(f"job-{number}", [{"name": "clock", "cron": cron}])
    template = ours["spec"]["jobTemplate"]
    metadata = {"name": f"job-{number}", "namespace": namespace}
    if resource is SCHEDULED_JOBS:
        return {**ours, "metadata": metadata}
    spec = {"schedule": cron, "timeZone": "Etc/UTC", "concurrencyPolicy": "Allow", "jobTemplate": template}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


def due_after(seconds: float) -> datetime:
    """The first whole minute that is so far away."""
    return datetime.fromtimestamp(math.ceil((time.time() + seconds) / 60) * 60, UTC)


@contextmanager
def watching(cluster: ControlPlane, namespace: str, *options: str) -> Iterator[Path]:
    """Have the Jobs watched; yields the file that tells of them. `options` are those of the watcher."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "jobs"
        with path.open("wb") as file:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.bench.job_watcher"),
                    *("--kubeconfig", cluster.kubeconfig, "--namespace", namespace, *options),
                ],
                stdout=file,
            )
        try:
            while "ready" not in path.read_text():
                if process.poll() is not None:
                    raise SystemExit("the watcher of Jobs ended")
                time.sleep(0.1)
            yield path
        finally:
            process.terminate()
            process.wait(timeout=30)


def seen(path: Path) -> list[tuple[float, float]]:
    """Of each Job the moment at which the watcher was told of it, and its due time."""
    lines = [line.split() for line in path.read_text().rpartition("\n")[0].splitlines() if line != "ready"]
    return [(float(moment), float(due)) for moment, due, _ in lines]


async def ready(connection: Client, namespace: str, count: int, latest: datetime) -> None:
    """Wait until the operator has taken note of every definition; a CronJob says nothing of the kind."""
    while datetime.now(UTC) < latest:
        items, _ = await connection.list(SCHEDULED_JOBS, namespace)
        conditions = [c for item in items for c in item.get("status", {}).get("conditions", ())]
        if sum(c["type"] == "Ready" and c["status"] == "True" for c in conditions) == count:
            return
        await asyncio.sleep(1)


async def measure(cluster: ControlPlane, side: Side, count: int, settle: int) -> Result:
    """Have so many definitions due in one minute; `settle`: seconds that ours are there before, at least."""
    namespace = f"burst-{side.name.replace(', ', '-').lower()}-{count}"
    process = side.start(cluster)
    connection = await Client.connect(kubeconfig=cluster.kubeconfig, max_in_flight=32)
    try:
        await make_namespace(connection, namespace)
        due = due_after((settle if side.resource is SCHEDULED_JOBS else 30) + count / 40)
        cron = f"{due.minute} {due.hour} * * *"
        bodies = (definition(side.resource, namespace, number, cron) for number in range(count))
        await each([connection.create(side.resource, namespace, body) for body in bodies], at_a_time=32)
        if side.resource is SCHEDULED_JOBS:
            await ready(connection, namespace, count, due)
        spare = due.timestamp() - time.time()
        if spare < SETTLE_SECONDS:
            raise SystemExit(f"{side.name}: {count} definitions were not ready {SETTLE_SECONDS:.0f} s before {due}")
        with watching(cluster, namespace) as path:
            # What is done ahead, and what waits until the burst is out, counts as well.
            await asyncio.sleep(max(0.0, due.timestamp() - time.time() - AROUND_SECONDS))
            before = process.footprint()
            moments: list[float] = []
            while len(moments) < count and time.time() < due.timestamp() + LONGEST_SECONDS:
                await asyncio.sleep(0.5)
                moments = [moment for moment, _ in seen(path)]
            await asyncio.sleep(AROUND_SECONDS)
            after = process.footprint()
        if early := [moment for moment in moments if moment < due.timestamp()]:
            raise SystemExit(f"{side.name}: {len(early)} Jobs were made before {due}")
        late = [moment - due.timestamp() for moment in moments]
        result = Result(side.name, count, late, after.cpu_seconds - before.cpu_seconds, after.resident_bytes)
        print(f"{len(moments)} of {count} Jobs; log: {process.log}", *table([result]), sep="\n", file=sys.stderr)
        return result
    finally:
        process.stop()
        await remove(connection, side, namespace)
        await connection.close()


async def remove(connection: Client, side: Side, namespace: str) -> None:
    """Have nothing of it left while others are measured."""
    items, _ = await connection.list(side.resource, namespace, metadata_only=True)
    named = [(item["metadata"]["name"], item["metadata"]["uid"]) for item in items]
    await each([connection.delete(side.resource, namespace, name, uid=uid) for name, uid in named], at_a_time=32)
    for _ in range(int(REMOVAL_SECONDS / 2)):
        await asyncio.sleep(2)
        if not (await connection.list(JOBS, namespace, metadata_only=True))[0]:
            break


def shown(result: Result, seconds: float) -> str:
    """A lateness; what has not come at all is later than was waited for."""
    return f">{seconds:.0f}" if seconds >= LONGEST_SECONDS else f"{seconds:.2f}"


def table(results: list[Result]) -> list[str]:
    """One line a side, with its ratio to each native one."""
    lines = [
        f"{'due':>6}  {'side':18}  {'p50 s':>7} {'p90 s':>7} {'p99 s':>7} {'max s':>7}  {'Jobs/s':>7}  "
        f"{'CPU s':>6} {'MB':>5}  p99 / tuned, / default"
    ]
    for result in results:
        native = {other.side: other for other in results if other.count == result.count and "CronJob" in other.side}
        ratios = []
        for name in ("CronJob, tuned", "CronJob, default"):
            if name in native and result.side != name:
                bound = "<" if native[name].at(0.99) >= LONGEST_SECONDS else ""
                ratios.append(f"{bound}{result.at(0.99) / native[name].at(0.99):.3f}")
        figures = " ".join(f"{shown(result, result.at(share)):>7}" for share in (*SHARES, 1.0))
        rate = len(result.late) / max(result.late) if result.late else 0
        lines.append(
            f"{result.count:>6}  {result.side:18}  {figures}  {rate:>7.0f}  {result.cpu_seconds:>6.1f} "
            f"{result.resident_bytes / 1e6:>5.0f}  {', '.join(ratios) if result.side == 'carillon' else ''}".rstrip()
        )
    return lines


def numbers(text: str) -> list[int]:
    """Read `1000,5000`."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=numbers, default=numbers(os.environ.get(*DEFAULT)))
    parser.add_argument("--sides", default=os.environ.get("SIDES", "carillon,tuned,default"))
    parser.add_argument(
        "--settle",
        type=int,
        default=SETTLE,
        help="seconds for the operator to settle in; 1 more for 40 definitions",
    )
    parser.add_argument("--name", default="bench", help="name of the cluster that is made")
    arguments = parser.parse_args()
    results: list[Result] = []
    with control_plane(arguments.name, WITHOUT) as cluster:
        for count in arguments.count:
            for name in arguments.sides.split(","):
                results.append(asyncio.run(measure(cluster, SIDES[name], count, arguments.settle)))
    print(
        f"definitions due in one minute, {os.cpu_count()} cores; lateness of their Jobs as a separate watcher sees them"
    )
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
