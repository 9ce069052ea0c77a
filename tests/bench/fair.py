"""`make bench-fair`: 10,000 definitions of one tenant, and what another notices of them.

All of the crowd are edited as fast as the API server takes it; then all are due at one instant, at which nothing of
theirs may run (`exclude`), so that each is a decision and a record. All the while another namespace has a run each
second, a Run Now and an edit every two: how long these take, beside what they take in quiet, is what the crowd costs.
With --one-group they share one slot instead, and queue for it: each decision has thousands of waiting runs to look at.
What it costs the API server, and not the operator, is told by how long the bare creation of a JobRun takes: a run is
at least two such requests, one after the other.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from carillon.api.base import rfc3339
from carillon.kube.client import Client
from carillon.kube.resources import JOB_RUNS, SCHEDULED_JOBS, Resource
from tests.bench.harness import (
    NAMESPACE,
    OperatorProcess,
    Probe,
    client,
    control_plane,
    each,
    percentile,
    scheduled_job,
)
from tests.bench.size import populate

QUIET_SECONDS = 20
PACE_SECONDS = 2.0
GROUP_SECONDS = 90


class Neighbour:
    """Somebody in another namespace: what is due there, a Run Now, and an edit, again and again."""

    def __init__(self, connection: Client, probe: Probe) -> None:
        self._connection = connection
        self._probe = probe
        self._since = time.time()
        self._took = self._nothing()

    async def begin(self) -> None:
        """Make the definitions."""
        for name in ("manual", "edited"):
            body = scheduled_job(name, [])
            body["metadata"]["namespace"] = Probe.NAMESPACE
            await self._connection.create(SCHEDULED_JOBS, Probe.NAMESPACE, body)

    async def act(self) -> None:
        """Run and edit until cancelled."""
        number = 0
        while True:
            number += 1
            began = time.time()
            await asyncio.gather(self._run_now(f"manual-{int(began)}-{number}"), self._edit(f"edition {number}"))
            await asyncio.sleep(max(0.0, PACE_SECONDS - (time.time() - began)))

    def forget(self) -> None:
        """Leave out what was so far."""
        self._since, self._took = time.time(), self._nothing()

    def print(self, what: str, quiet: dict[str, float]) -> dict[str, float]:
        """Print how long things took since the last time; the longest of each."""
        took = {"due to Job": self._probe.late(self._since), **self._took}
        self.forget()
        print(what)
        took = {name: seconds for name, seconds in took.items() if seconds}
        for name, seconds in took.items():
            more = f", {max(seconds) - quiet[name]:+.2f} s" if name in quiet else ""
            median, most = percentile(seconds, 0.5), max(seconds)
            print(f"  {name}: {len(seconds)} times, median {median:.2f} s, longest {most:.2f} s{more}", flush=True)
        return {name: max(seconds) for name, seconds in took.items()}

    @staticmethod
    def _nothing() -> dict[str, list[float]]:
        return {"creation of a JobRun": [], "Run Now": [], "edit": []}

    async def _run_now(self, name: str) -> None:
        began = time.time()
        await self._connection.create(
            JOB_RUNS,
            Probe.NAMESPACE,
            {
                "apiVersion": "carillon.dev/v1alpha1",
                "kind": "JobRun",
                "metadata": {"name": name, "namespace": Probe.NAMESPACE},
                "spec": {"scheduledJob": "manual"},
            },
        )
        self._took["creation of a JobRun"].append(time.time() - began)
        await self._until(JOB_RUNS, name, "startTime", lambda value: value is not None)
        self._took["Run Now"].append(time.time() - began)

    async def _edit(self, description: str) -> None:
        began = time.time()
        body: dict[str, Any] = {"spec": {"description": description}}
        made = await self._connection.merge_patch(SCHEDULED_JOBS, Probe.NAMESPACE, "edited", body)
        generation = made["metadata"]["generation"]
        await self._until(SCHEDULED_JOBS, "edited", "observedGeneration", lambda value: value == generation)
        self._took["edit"].append(time.time() - began)

    async def _until(self, resource: Resource, name: str, field: str, test: Callable[[Any], bool]) -> None:
        while True:
            found = await self._connection.get(resource, Probe.NAMESPACE, name)
            if test(found.get("status", {}).get(field)):
                return
            await asyncio.sleep(0.05)


async def edit_all(connection: Client, names: list[str], due: datetime, *, one_group: bool) -> None:
    """Have all of the crowd due at one instant: one after the other, or `exclude` lets none of them run."""
    spec: dict[str, Any] = {"triggers": [{"name": "once", "at": rfc3339(due)}]}
    if one_group:
        spec["concurrency"] = {"policy": "Queue", "max": 1, "group": "crowd"}
    else:
        spec["exclude"] = {"dates": [f"{due + timedelta(days=n):%Y-%m-%d}" for n in (-1, 0, 1)]}
    await each(
        [connection.merge_patch(SCHEDULED_JOBS, NAMESPACE, name, {"spec": spec}) for name in names], at_a_time=32
    )


async def measure(kubeconfig: str, count: int, *, one_group: bool) -> None:
    """Watch the neighbour in quiet, while all are edited, and when all are due."""
    async with client(kubeconfig, Probe.NAMESPACE) as connection, client(kubeconfig) as own:
        await populate(connection, kubeconfig, count)
        items, _ = await connection.list(SCHEDULED_JOBS, NAMESPACE, metadata_only=True)
        names = [item["metadata"]["name"] for item in items]
        operator = OperatorProcess(kubeconfig)
        probe = Probe(own)
        neighbour = Neighbour(own, probe)
        acting = asyncio.create_task(asyncio.sleep(0))
        try:
            await operator.until_settled(len(names))
            await probe.begin()
            await neighbour.begin()
            acting = asyncio.create_task(neighbour.act())
            await probe.first_after(time.time(), due_after=time.time())
            await asyncio.sleep(QUIET_SECONDS)
            neighbour.forget()
            await asyncio.sleep(QUIET_SECONDS)
            quiet = neighbour.print(f"in quiet, beside {len(names)} definitions of another namespace", {})
            due = datetime.now(UTC) + timedelta(seconds=60 + len(names) / 60)
            began = time.monotonic()
            await edit_all(connection, names, due, one_group=one_group)
            edited = time.monotonic() - began
            await until_idle(operator)
            took = time.monotonic() - began
            neighbour.print(f"all of them edited within {edited:.0f} s, taken note of after {took:.0f} s", quiet)
            await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds() - 1))
            if datetime.now(UTC) > due:
                raise SystemExit(
                    "the crowd was due before its edits were over; the machine is too slow for these figures"
                )
            neighbour.print("between", quiet)
            if one_group:
                await asyncio.sleep(GROUP_SECONDS)
                neighbour.print(f"all of them due at once, one after the other: the first {GROUP_SECONDS} s", quiet)
                return
            began = time.monotonic()
            await asyncio.sleep(2)
            await until_idle(operator)
            took = time.monotonic() - began - 1
            neighbour.print(f"all of them due at once, each recorded as skipped after {took:.0f} s", quiet)
        finally:
            acting.cancel()
            operator.stop()
            print(f"log: {operator.log}")


async def until_idle(operator: OperatorProcess) -> None:
    """Wait until next to nothing waits to be looked at: the neighbour goes on."""
    quiet = 0
    while quiet < 4:
        await asyncio.sleep(0.25)
        quiet = quiet + 1 if await operator.metric("carillon_queue_depth") < 5 else 0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--one-group", action="store_true", help="the crowd shares one slot, and queues for it")
    arguments = parser.parse_args()
    with control_plane() as (kubeconfig, _):
        asyncio.run(measure(kubeconfig, arguments.count, one_group=arguments.one_group))


if __name__ == "__main__":
    main()
