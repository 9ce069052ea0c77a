"""`make bench-events`: 5,000 events in 10 s on one trigger with debounce, and what the others notice of it.

One trigger in one namespace is flooded, with a filter that looks at every object; in another namespace a trigger of the
same kind, and one of another kind, each see an event every second. It prints how many runs the flood made, whether they
account for every event, how late the others' runs were, and how much memory the operator took.
"""

import argparse
import asyncio
import statistics
import time
from datetime import datetime
from typing import Any

from carillon.kube.client import Client
from carillon.kube.resources import CONFIG_MAPS, JOB_RUNS, NAMESPACES, SCHEDULED_JOBS, Resource
from tests.bench.harness import NAMESPACE, OperatorProcess, client, control_plane, scheduled_job

CALM = "calm"
SERVICES = Resource("", "v1", "services", "Service")
SOURCES = "v1/configmaps,v1/services"


def on_event(resource: str, **fields: Any) -> list[dict[str, Any]]:
    """An event trigger."""
    return [{"name": "seen", "event": {"version": "v1", "resource": resource, **fields}}]


async def define(connection: Client, namespace: str, name: str, triggers: list[dict[str, Any]]) -> None:
    """Create a definition, and wait until it is watched."""
    body = scheduled_job(name, triggers)
    body["metadata"]["namespace"] = namespace
    body["spec"]["history"] = {"succeeded": 100, "failed": 100}
    await connection.create(SCHEDULED_JOBS, namespace, body)
    while True:
        found = await connection.get(SCHEDULED_JOBS, namespace, name)
        conditions = {each["type"]: each["status"] for each in found.get("status", {}).get("conditions", [])}
        if conditions.get("Ready") == "True":
            return
        await asyncio.sleep(0.1)


async def flood(connection: Client, count: int, seconds: float) -> float:
    """Create so many objects, spread evenly; how long it took."""
    began = time.monotonic()

    async def one(number: int) -> None:
        await asyncio.sleep(max(0.0, began + number * seconds / count - time.monotonic()))
        name = f"flood-{number}"
        body = {"metadata": {"name": name}, "data": {"ready": "yes", "padding": "x" * 1000}}
        await connection.create(CONFIG_MAPS, NAMESPACE, body)

    await asyncio.gather(*(one(number) for number in range(count)))
    return time.monotonic() - began


async def trickle(connection: Client, seconds: int) -> dict[str, float]:
    """An event of each kind every second, in the other namespace; when each object was made, by name."""
    made: dict[str, float] = {}
    for number in range(seconds):
        for resource, body in (
            (CONFIG_MAPS, {"data": {"ready": "yes"}}),
            (SERVICES, {"spec": {"ports": [{"port": 80}]}}),
        ):
            name = f"{resource.plural}-{number}"
            await connection.create(resource, CALM, {"metadata": {"name": name}, **body})
            made[name] = time.time()
        await asyncio.sleep(1)
    return made


async def watch_runs(connection: Client, seen: dict[str, float]) -> None:
    """Note when a watcher sees the run of each object."""
    _, version = await connection.list(JOB_RUNS, CALM)
    async for kind, run in connection.watch(JOB_RUNS, CALM, resource_version=version, timeout_seconds=600):
        if kind == "ADDED":
            for told in run["spec"]["trigger"]["event"]["objects"]:
                seen.setdefault(told["name"], time.time())


async def measure(kubeconfig: str, count: int, seconds: int, debounce: int) -> None:
    """Flood, and look."""
    operator = OperatorProcess(kubeconfig, "--event-sources", SOURCES)
    try:
        async with client(kubeconfig) as connection:
            await connection.create(NAMESPACES, None, {"metadata": {"name": CALM}})
            flooded = on_event("configmaps", filter="object.data.ready == 'yes'", debounceSeconds=debounce)
            await define(connection, NAMESPACE, "flooded", flooded)
            await define(connection, CALM, "same-kind", on_event("configmaps", filter="object.data.ready == 'yes'"))
            await define(connection, CALM, "other-kind", on_event("services"))
            seen: dict[str, float] = {}
            watching = asyncio.create_task(watch_runs(connection, seen))
            await asyncio.sleep(2)
            before = operator.footprint()
            took, made = await asyncio.gather(flood(connection, count, seconds), trickle(connection, seconds))
            await asyncio.sleep(debounce + 15)
            after = operator.footprint()
            watching.cancel()
            runs, _ = await connection.list(JOB_RUNS, NAMESPACE)
            status = (await connection.get(SCHEDULED_JOBS, NAMESPACE, "flooded"))["status"]
    finally:
        operator.stop()
    events = sorted((run["spec"]["trigger"]["event"] for run in runs), key=lambda event: str(event["firstTime"]))
    spans = [_instant(event["lastTime"]) - _instant(event["firstTime"]) for event in events]
    print(f"{count} events in {took:.1f} s on one trigger with a filter and debounceSeconds: {debounce}")
    print(f"{len(runs)} runs for {sum(event['count'] for event in events)} events, of {events[0]['count']} and so on")
    print(f"windows of {', '.join(f'{span:.0f}' for span in spans)} s; in status.events: {_counts(status)}")
    print(
        f"resident before {before.resident_bytes / 1e6:.0f} MB, after {after.resident_bytes / 1e6:.0f} MB; CPU ", end=""
    )
    print(f"{after.cpu_seconds - before.cpu_seconds:.1f} s in {took + debounce + 15:.0f} s")
    for kind in ("configmaps", "services"):
        late = [seen[name] - at for name, at in made.items() if name.startswith(kind) and name in seen]
        missing = sum(name.startswith(kind) for name in made) - len(late)
        shown = f"median {statistics.median(late):.2f} s, longest {max(late):.2f} s" if late else "none"
        print(f"meanwhile in another namespace, {kind}: event to run seen: {shown}; {missing} without a run")
    print(f"log: {operator.log}")


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _counts(status: dict[str, Any]) -> str:
    return ", ".join(f"{line['reason']} {line['count']}" for line in status.get("events", [])) or "nothing"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--debounce", type=int, default=5)
    arguments = parser.parse_args()
    with control_plane() as (kubeconfig, _):
        asyncio.run(measure(kubeconfig, arguments.count, arguments.seconds, arguments.debounce))


if __name__ == "__main__":
    main()
