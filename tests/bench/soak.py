"""`make soak`: 200,000 watch events through the operator, and what its memory does meanwhile.

In process: the operator's own store, queue, agenda, reconciler and executor, on the small API server in memory of the
unit tests and a clock that jumps from minute to minute; a real API server would take an hour. Definitions are due, run,
fail, are edited, deleted and made anew under other names; runs are made by hand, pruned and deleted.
"""

import argparse
import gc
import itertools
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource
from tests.unit.engine.builders import NAMESPACE, at, raw_definition
from tests.unit.engine.cluster import Body, Cluster
from tests.unit.engine.simulator import Process, Simulation, Writes, interleave

DEFINITIONS = 50
MARKS = 10
BOUNDED = 20_000
"""The store remembers as many that are gone; it begins with that many here, so that this is no growth."""
MOST_GROWTH_BYTES = 2_000_000


class _Forgets(list[Any]):
    """A log of the simulation that keeps nothing."""

    def append(self, _: object) -> None:
        pass


class Soak:
    """A cluster whose people and controllers never rest, and an operator."""

    def __init__(self, seed: int) -> None:
        self.told: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._numbers: Iterator[int] = itertools.count()
        self._cluster = Cluster(at("12:00:30"))
        self._process = Process(self._cluster, Writes(log=_Forgets(), at=_Forgets()), _Forgets())
        # What the watches have told is the simulation's to keep, for views of a while ago, and not the operator's.
        self._process.watches.past = {kind: _Forgets() for kind in self._cluster.objects}
        self._cluster.watchers.append(self._count)
        for number in range(BOUNDED):
            self._process.store.drop(f"{number:036}")
        for _ in range(DEFINITIONS):
            self._define()

    @property
    def events(self) -> int:
        """How many the watches have told."""
        return sum(self.told.values())

    def minute(self) -> None:
        """Let a minute pass: everything is due, Jobs run and end, and some people do something."""
        cluster = self._cluster
        cluster.now += timedelta(seconds=60)
        self._process.wake()
        self._work()
        for name in list(cluster.objects[JOBS]):
            cluster.control(name)
        self._work()
        for name in list(cluster.objects[JOBS]):
            cluster.finish(name, exit_code=self._random.random() < 0.3, words="no space left on device")
        self._work()
        for job in list(cluster.pods):
            cluster.end_pods(job)
        self._people()
        while cluster.collect_garbage():
            self._work()
        alive = {raw["metadata"]["uid"] for raw in cluster.objects[JOBS].values()}
        for job in cluster.pods.keys() - alive:
            del cluster.pods[job]

    def _people(self) -> None:
        cluster, chosen = self._cluster, self._random.sample(sorted(self._cluster.objects[SCHEDULED_JOBS]), 6)
        for name in chosen[:2]:
            cluster.edit(name, description=f"edition {next(self._numbers)}")
        cluster.edit(chosen[2], suspend=not cluster.get(SCHEDULED_JOBS, chosen[2])["spec"].get("suspend", False))
        cluster.create(JOB_RUNS, Simulation.manual_run(f"by-hand-{next(self._numbers)}", name=chosen[3]))
        cluster.create(JOB_RUNS, Simulation.manual_run(f"stray-{next(self._numbers)}", name="nobody"))
        runs = sorted(cluster.objects[JOB_RUNS])
        for name in self._random.sample(runs, min(2, len(runs))):
            cluster.delete(JOB_RUNS, name)
        self._work()
        cluster.delete(SCHEDULED_JOBS, chosen[4])
        self._define()
        self._work()

    def _define(self) -> None:
        name = f"job-{next(self._numbers)}"
        raw = raw_definition("* * * * *", name=name, history={"succeeded": 1, "failed": 1})
        self._cluster.create(SCHEDULED_JOBS, {**raw, "metadata": {"name": name, "namespace": NAMESPACE}})
        self._work()

    def _work(self) -> None:
        interleave([self._process.work()], itertools.repeat(0))

    def _count(self, resource: Resource, change: str, _: Body) -> None:
        self.told[f"{resource.plural} {change}"] += 1


def resident_bytes() -> int:
    """What this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak(events: int, seed: int) -> int:
    """Run, print, and return the growth in bytes."""
    world = Soak(seed)
    while world.events < events // MARKS:  # what is kept within a bound fills up
        world.minute()
    gc.collect()
    world.told.clear()
    began, first = time.monotonic(), resident_bytes()
    print(f"before: {first / 1e6:.1f} MB resident, {len(gc.get_objects())} objects", flush=True)
    for mark in range(1, MARKS + 1):
        while world.events < events * mark // MARKS:
            world.minute()
        gc.collect()
        seconds, resident = time.monotonic() - began, resident_bytes()
        objects = len(gc.get_objects())
        print(f"{world.events:>8} events, {seconds:4.0f} s: {resident / 1e6:.1f} MB, {objects} objects", flush=True)
    print(", ".join(f"{number} {what}" for what, number in sorted(world.told.items())))
    return resident - first


def main() -> None:
    """Run the soak; exit code 1 when memory has grown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    growth = soak(arguments.events, arguments.seed)
    print(
        f"growth: {growth / 1e6:+.1f} MB over {arguments.events} events (at most {MOST_GROWTH_BYTES / 1e6:.0f} allowed)"
    )
    sys.exit(growth > MOST_GROWTH_BYTES)


if __name__ == "__main__":
    main()
