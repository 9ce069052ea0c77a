"""`make bench-sustained`: how many definitions that are due every minute can be held, beside the native controller.

The same number of definitions on the same API server, one side after the other, for so many minutes; the process that
watches says of each Job that it has succeeded as soon as it was seen, so that runs complete, histories are kept and
what is old is deleted. Held is what has a p99 lateness under 5 s, with no Job missing. A side that does not hold a
number is not asked for a larger one.
"""

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass

from carillon.kube.client import Client
from tests.bench.burst import SIDES, WITHOUT, Side, definition, due_after, numbers, remove, seen, watching
from tests.bench.harness import ControlPlane, control_plane, each, make_namespace, percentile

DEFAULT = ("SUSTAINED", "250,500,1000,2000,4000")
EVERY_MINUTE = "* * * * *"
HELD_SECONDS = 5.0
MISSING_SECONDS = 120.0
"""How long the last Jobs are waited for; what has not come by then is missing, and counted as this late."""


@dataclass(frozen=True)
class Result:
    """How late one side's Jobs were, in seconds, and what it used meanwhile."""

    side: str
    count: int
    late: list[float]
    """Of every due time, those that are missing too."""
    missing: int
    cores: float
    resident_bytes: int

    @property
    def held(self) -> bool:
        return not self.missing and percentile(self.late, 0.99) < HELD_SECONDS


async def measure(cluster: ControlPlane, side: Side, count: int, minutes: int) -> Result:
    """Have so many definitions due every minute, for so many minutes."""
    namespace = f"sustained-{side.name.replace(', ', '-').lower()}-{count}"
    process = side.start(cluster)
    connection = await Client.connect(kubeconfig=cluster.kubeconfig, max_in_flight=32)
    try:
        await make_namespace(connection, namespace)
        with watching(cluster, namespace, "--finish") as path:
            bodies = (definition(side.resource, namespace, number, EVERY_MINUTE) for number in range(count))
            await each([connection.create(side.resource, namespace, body) for body in bodies], at_a_time=32)
            first = due_after(60).timestamp()
            dues = [first + 60 * minute for minute in range(minutes)]
            await asyncio.sleep(first - time.time())
            before = process.footprint()
            await asyncio.sleep(dues[-1] - time.time())
            moments: list[tuple[float, float]] = []
            while time.time() < dues[-1] + MISSING_SECONDS:
                await asyncio.sleep(1)
                moments = [(moment, due) for moment, due in seen(path) if first <= due <= dues[-1]]
                if len(moments) >= count * minutes:
                    break
            took, after = time.time() - first, process.footprint()
        if early := [due for moment, due in moments if moment < due]:
            raise SystemExit(f"{side.name}: {len(early)} Jobs were made before their time")
        if many := [due for due, number in Counter(due for _, due in moments).items() if number > count]:
            raise SystemExit(f"{side.name}: more Jobs than definitions at {many}")
        missing = count * minutes - len(moments)
        late = [moment - due for moment, due in moments] + [MISSING_SECONDS] * missing
        cores = (after.cpu_seconds - before.cpu_seconds) / took
        result = Result(side.name, count, late, missing, cores, after.resident_bytes)
        print(*table([result]), sep="\n", file=sys.stderr, flush=True)
        return result
    finally:
        process.stop()
        await remove(connection, side, namespace)
        await connection.close()


def table(results: list[Result]) -> list[str]:
    """One line a side and number."""
    lines = [
        f"{'a minute':>8}  {'side':18}  {'p50 s':>7} {'p90 s':>7} {'p99 s':>7} {'max s':>7}  {'missing':>7}  "
        f"{'cores':>5} {'MB':>5}  held"
    ]
    for result in results:
        figures = " ".join(f"{percentile(result.late, share):>7.2f}" for share in (0.5, 0.9, 0.99, 1.0))
        lines.append(
            f"{result.count:>8}  {result.side:18}  {figures}  {result.missing:>7}  {result.cores:>5.2f} "
            f"{result.resident_bytes / 1e6:>5.0f}  {'yes' if result.held else 'no'}"
        )
    return lines


def run(cluster: ControlPlane, counts: list[int], sides: list[str], minutes: int) -> list[Result]:
    """Measure each side with more and more definitions, for as long as it holds them."""
    results: list[Result] = []
    for name in sides:
        for count in counts:
            results.append(asyncio.run(measure(cluster, SIDES[name], count, minutes)))
            if not results[-1].held:
                break
    return results


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=numbers, default=numbers(os.environ.get(*DEFAULT)))
    parser.add_argument("--sides", default=os.environ.get("SIDES", "carillon,tuned,default"))
    parser.add_argument("--minutes", type=int, default=int(os.environ.get("MINUTES", "10")))
    parser.add_argument("--name", default="bench", help="name of the cluster that is made")
    arguments = parser.parse_args()
    with control_plane(arguments.name, WITHOUT) as cluster:
        results = run(cluster, arguments.count, arguments.sides.split(","), arguments.minutes)
    print(f"definitions due every minute, for {arguments.minutes} minutes, {os.cpu_count()} cores")
    print("\n".join(table(results)))


if __name__ == "__main__":
    main()
