"""`make bench-size`: what so many definitions cost, none of which is due: memory and CPU at rest, start, failover.

For each count: a cold start, a take-over from a leader that is killed and from one that stops, each until a definition
that is due every second has its next Job, as a separate watcher sees it; then the rest. At the end, how many writes an
execution costs, counted by the API server: one at a time, and many at once.
"""

import argparse
import asyncio
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from carillon.api.base import rfc3339
from carillon.engine.ahead import LONGEST
from carillon.kube.client import Client
from carillon.kube.resources import JOB_RUNS, SCHEDULED_JOBS
from tests.bench.harness import (
    NAMESPACE,
    OperatorProcess,
    Probe,
    client,
    control_plane,
    each,
    finish_pods,
    kubectl,
    scheduled_job,
)

_COUNTED = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)


async def populate(connection: Client, kubeconfig: str, count: int) -> int:
    """Create definitions until there are so many, and have the operator take note of them; how many there were."""
    items, _ = await connection.list(SCHEDULED_JOBS, NAMESPACE, metadata_only=True)
    before, daily = len(items), time.gmtime(time.time() + 43_200).tm_hour
    if before >= count:
        return before
    operator = OperatorProcess(kubeconfig)
    try:
        began = time.monotonic()
        await each(
            [
                connection.create(
                    SCHEDULED_JOBS,
                    NAMESPACE,
                    scheduled_job(f"job-{n}", [{"name": "daily", "cron": f"{n % 60} {daily} * * *"}]),
                )
                for n in range(before, count)
            ]
        )
        created = time.monotonic() - began
        await operator.until_settled(count)
        noted = time.monotonic() - began
        print(f"{count - before} more created in {created:.0f} s, taken note of after {noted:.0f} s", flush=True)
    finally:
        operator.stop()
    return before


async def measure(connection: Client, kubeconfig: str, count: int, seconds: int, *arguments: str) -> None:
    """Start with so many definitions, take over twice, and rest."""
    probe = Probe(connection)
    await probe.begin()
    began, at = time.monotonic(), time.time()
    first = OperatorProcess(kubeconfig, *arguments)
    cold = await probe.first_after(at)
    print(f"{count} definitions: from start to the first Job {cold:.1f} s", flush=True)
    await first.until_settled(count + Probe.DEFINITIONS)
    settled, spent = time.monotonic() - began - 1, first.footprint().cpu_seconds
    print(f"  all looked at after {settled:.1f} s, with {spent:.1f} s of CPU", flush=True)
    second = OperatorProcess(kubeconfig, *arguments)
    await second.until_ready()
    await asyncio.sleep(5)
    standby = second.footprint()
    at = time.time()
    first.kill()
    killed = await probe.first_after(at, due_after=at)
    await second.until_settled(count + Probe.DEFINITIONS)
    third = OperatorProcess(kubeconfig, *arguments)
    await third.until_ready()
    await asyncio.sleep(5)
    at = time.time()
    second.stop()
    stopped = await probe.first_after(at, due_after=at)
    print(f"  take-over: {killed:.1f} s after a kill, {stopped:.1f} s after a stop", flush=True)
    await probe.end()
    try:
        await third.until_settled(count)
        await asyncio.sleep(10)
        before = third.footprint()
        await asyncio.sleep(seconds)
        after = third.footprint()
    finally:
        third.stop()
    cpu = (after.cpu_seconds - before.cpu_seconds) / seconds
    print(
        f"  at rest: leader {after.resident_bytes / 1e6:.0f} MB (as a standby {standby.resident_bytes / 1e6:.0f} MB),"
        f" {cpu:.2%} of a core over {seconds} s",
        flush=True,
    )


def requests(kubeconfig: str) -> Counter[str]:
    """Ask the API server how many requests it has answered: ours, by verb and resource."""
    counted: Counter[str] = Counter()
    for labels, value in _COUNTED.findall(kubectl(kubeconfig, "get", "--raw", "/metrics")):
        found = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        what = f"{found['resource']}/{found['subresource']}".strip("/")
        # The Job controller writes jobs/status, and the stand-in for the kubelet pods/status.
        ours = what in ("jobs", "jobruns", "jobruns/status", "scheduledjobs", "scheduledjobs/status", "events")
        if ours and found["verb"] in ("POST", "PUT", "PATCH", "APPLY", "DELETE") and not found["dry_run"]:
            counted[f"{found['verb']} {what}"] += int(float(value))
    return counted


async def executions(connection: Client, kubeconfig: str, there: int, count: int, apart: timedelta) -> None:
    """Have so many definitions due, so far apart, beside those that are there, and count the writes until their runs
    are over.
    """
    kubelet = asyncio.create_task(finish_pods(connection))
    operator = OperatorProcess(kubeconfig)
    try:
        await operator.until_settled(there)
        # Their creation and their first status are no part of an execution.
        ahead = timedelta(seconds=LONGEST.total_seconds() + 1 if not apart and count > 1 else 2)
        first = datetime.now(UTC) + ahead + timedelta(seconds=20 + count / 50)
        name = f"due-{count}-{int(apart.total_seconds())}"
        triggers = ([{"name": "once", "at": rfc3339(first + apart * n)}] for n in range(count))
        bodies = [scheduled_job(f"{name}-{n}", trigger) for n, trigger in enumerate(triggers)]
        await each([connection.create(SCHEDULED_JOBS, NAMESPACE, body) for body in bodies])
        # Runs that are due together are written ahead.
        await asyncio.sleep((first - ahead - datetime.now(UTC)).total_seconds())
        before = requests(kubeconfig)
        while True:
            await asyncio.sleep(2)
            runs, _ = await connection.list(JOB_RUNS, NAMESPACE)
            ended = [run for run in runs if run["spec"]["scheduledJob"].startswith(f"{name}-")]
            if sum("completionTime" in run.get("status", {}) for run in ended) == count:
                break
        await asyncio.sleep(5)
        made = requests(kubeconfig) - before
    finally:
        operator.stop()
        kubelet.cancel()
    apart_from = {what: number for what, number in made.items() if what.startswith("DELETE") or what.endswith("events")}
    writes = {what: number for what, number in made.items() if what not in apart_from}
    listed = ", ".join(f"{what} {number / count:.2f}" for what, number in sorted(writes.items()))
    print(f"{count} executions, {apart.total_seconds():.0f} s apart: {sum(writes.values()) / count:.2f} writes each")
    print(f"  {listed}; apart from these: {', '.join(f'{w} {n / count:.2f}' for w, n in sorted(apart_from.items()))}")


async def run(kubeconfig: str, counts: list[int], seconds: int, lease: int) -> None:
    """Measure each count, from the smallest on."""
    async with client(kubeconfig, Probe.NAMESPACE) as connection:
        there = 0
        for count in sorted(counts):
            there = max(count, await populate(connection, kubeconfig, count))
            await measure(connection, kubeconfig, there, seconds, "--lease-duration-seconds", str(lease))
        await executions(connection, kubeconfig, there, 30, timedelta(seconds=1))
        await executions(connection, kubeconfig, there, 500, timedelta(0))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000], help="50000 takes half an hour")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument(
        "--lease-duration-seconds", type=int, default=4, help="for a machine that is busy with other things"
    )
    arguments = parser.parse_args()
    with control_plane() as (kubeconfig, _):
        asyncio.run(run(kubeconfig, arguments.counts, arguments.seconds, arguments.lease_duration_seconds))


if __name__ == "__main__":
    main()
