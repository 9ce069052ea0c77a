"""`make bench-calendars`: what a Calendar costs that many definitions name, when they are applied and when it changes.

The operator's own store, queue, agenda and worker run on the wall clock; requests are answered after a pause, by what
stands in for the API server. All the while another definition is due every few milliseconds: how late it is taken up is
what a change of the Calendar costs everybody else.
"""

import argparse
import asyncio
import gc
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import structlog

from carillon.api.base import API_VERSION, rfc3339
from carillon.controller.agenda import Agenda
from carillon.controller.costly import CostlyDecisions
from carillon.controller.execute import Executor
from carillon.controller.metrics import Metrics
from carillon.controller.reconcile import Reconciler
from carillon.controller.store import Object, Store
from carillon.controller.worker import Worker
from carillon.controller.workqueue import WorkQueue
from carillon.engine import plan as plans
from carillon.engine.model import Calendar, CalendarKey, Key, TemplateCheck, WorkKey
from carillon.engine.read import read_calendar, read_definition
from tests.bench.harness import NAMESPACE, percentile, scheduled_job

ANSWER_SECONDS = 0.002
PROBE_SECONDS = 0.005
PROBES = 60_000
OFFICE = CalendarKey(NAMESPACE, "office")
ZONES = [
    *("Europe/Paris", "Europe/Berlin", "Europe/London", "Africa/Cairo", "Africa/Lagos", "Asia/Dubai"),
    *("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Sao_Paulo"),
    *("Asia/Tokyo", "Asia/Kolkata", "Asia/Shanghai", "Australia/Sydney", "Pacific/Auckland"),
]


def utc_now() -> datetime:
    return datetime.now(UTC)


def definition(number: int) -> Object:
    """Build a definition that names the Calendar and is not due for long."""
    body = scheduled_job(f"job-{number}", [{"name": "yearly", "cron": f"{number % 60} 3 1 1 *", "timeZone": ZONES[0]}])
    body["metadata"] |= {"uid": f"uid-{number}", "generation": 1, "creationTimestamp": rfc3339(utc_now())}
    body["spec"]["exclude"] = {"calendars": [OFFICE.name]}
    return body


def calendar(generation: int, name: str = OFFICE.name) -> Object:
    """Build a Calendar with a date for each day of a year."""
    days = [f"{2026 + generation}-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 31) if month != 2]
    metadata = {"name": name, "namespace": NAMESPACE, "uid": name, "generation": generation}
    return {"apiVersion": API_VERSION, "kind": "Calendar", "metadata": metadata, "spec": {"dates": days}}


async def _known_for_sure(_key: Key) -> None:
    """Nobody else has led."""


async def _all_known_for_sure() -> None:
    """Nobody else has led."""


class World:
    """The operator's inner parts, with a stand-in for the API server."""

    def __init__(self) -> None:
        self.raws: dict[WorkKey, Object] = {}
        self.version = 0
        self.requests: Counter[str] = Counter()
        self.late: list[float] = []
        self.looked_at: Counter[WorkKey] = Counter()
        self._probes: dict[WorkKey, datetime] = {}
        self.queue = WorkQueue()
        self.agenda = Agenda()
        self.store = Store(
            changed=lambda key: self.worker.changed(key), unreadable=lambda raw, why: None, clock=utc_now
        )
        self.reconciler = Reconciler(
            store=self.store,
            agenda=self.agenda,
            queue=self.queue,
            executor=cast(Executor, self),
            metrics=Metrics(),
            clock=utc_now,
            make_sure=_known_for_sure,
            costly=CostlyDecisions(),
        )
        self.worker = Worker(
            store=self.store,
            agenda=self.agenda,
            queue=self.queue,
            reconciler=cast(Reconciler, self),
            clock=utc_now,
            tasks=64,
        )

    def put(self, key: WorkKey, raw: Object) -> None:
        """Have an object made or changed, and the watch tell of it."""
        self.version += 1
        raw = self.raws[key] = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(self.version)}}
        (self.store.put_calendar if isinstance(key, CalendarKey) else self.store.put_definition)(raw)

    async def reconcile(self, key: WorkKey) -> None:
        """Stand between the worker and the reconciler, to see when what was due is taken up."""
        due = self._probes.pop(key, None)
        if due is not None:
            self.late.append((utc_now() - due).total_seconds())
            return
        self.looked_at[key] += 1
        await self.reconciler.reconcile(key)

    def probe(self) -> None:
        """Have something due every few milliseconds from now on."""
        began = utc_now()
        for number in range(1, PROBES):
            key, due = Key(NAMESPACE, f"probe-{number}"), began + timedelta(seconds=number * PROBE_SECONDS)
            self._probes[key] = due
            self.agenda.set(key, due)

    async def execute(self, key: Key, action: plans.Action) -> None:
        """Answer a request."""
        self.requests[type(action).__name__] += 1
        await asyncio.sleep(ANSWER_SECONDS)
        match action:
            case plans.CheckTemplate():
                self.store.notes(key).template_check = TemplateCheck(action.generation, "")
            case plans.WriteDefinitionStatus():
                self.put(key, {**self.raws[key], "status": action.status})
            case plans.WriteCalendarStatus():
                named = CalendarKey(key.namespace, key.name)
                self.store.calendars.note_counted(named, utc_now())
                self.put(named, {**self.raws[named], "status": action.status})

    @asynccontextmanager
    async def phase(self, what: str) -> AsyncIterator[None]:
        """Measure until there is nothing left to do."""
        self.late.clear()
        self.requests.clear()
        gaps: list[float] = []
        ticking = asyncio.create_task(tick(gaps))
        collections: list[float] = [0.0]
        watch = partial(note_collection, collections)
        gc.callbacks.append(watch)
        await asyncio.sleep(0)
        began = time.perf_counter()
        yield
        called = time.perf_counter() - began
        quiet = 0
        while quiet < 3:
            await asyncio.sleep(0.02)
            quiet = quiet + 1 if not len(self.queue) and not self.queue._working else 0
        seconds = time.perf_counter() - began
        await asyncio.sleep(1.2)  # what is put off for a second
        ticking.cancel()
        gc.callbacks.remove(watch)
        print(f"{what}")
        print(f"  told of in {called * 1e3:.1f} ms, all done in {seconds:.2f} s; {dict(self.requests)}")
        held, collecting = max(gaps) * 1e3, max(collections) * 1e3
        print(
            f"  the event loop was held for {held:.1f} ms at the most, by the garbage collector for {collecting:.1f} ms"
        )
        median, most = percentile(self.late, 0.5), max(self.late)
        print(f"  what was due meanwhile was {median * 1e3:.1f} ms late (median), {most * 1e3:.1f} ms at the most")


def note_collection(seconds: list[float], phase: str, _: dict[str, int]) -> None:
    """Note how long a garbage collection took; the last entry is when it began."""
    now = time.perf_counter()
    if phase == "start":
        seconds.append(-now)
    else:
        seconds[-1] += now


async def tick(gaps: list[float]) -> None:
    """Note how long the loop took to come back."""
    before = time.perf_counter()
    while True:
        await asyncio.sleep(0)
        now = time.perf_counter()
        gaps.append(now - before)
        before = now


async def measure(count: int) -> None:
    """Apply the definitions, change the Calendar, and see."""
    world = World()
    working = asyncio.create_task(world.worker.run(until_sure=_all_known_for_sure))
    await asyncio.sleep(0)
    world.probe()
    await asyncio.sleep(1)
    async with world.phase("a Calendar, named by nobody"):
        world.put(OFFICE, calendar(1))
    async with world.phase(f"{count} definitions that name it are applied, one at a time"):
        for number in range(count):
            world.put(Key(NAMESPACE, f"job-{number}"), definition(number))
            await asyncio.sleep(0)
    async with world.phase("the Calendar changes"):
        world.put(OFFICE, calendar(2))
    async with world.phase("its status alone is written"):
        world.put(OFFICE, world.raws[OFFICE])
    working.cancel()
    await asyncio.wait({working})


def reading() -> None:
    """Time one definition with everything: 16 zones, 8 Calendars of many dates."""
    names = [f"c{number}" for number in range(8)]
    raws = [calendar(number + 1, name) for number, name in enumerate(names)]
    for raw in raws:
        raw["metadata"]["resourceVersion"] = "1"
    calendars: dict[str, Calendar] = {raw["metadata"]["name"]: read_calendar(raw) for raw in raws}
    triggers: list[dict[str, Any]] = [
        {"name": f"t{n}", "cron": f"{n} 3 * * *", "timeZone": zone} for n, zone in enumerate(ZONES)
    ]
    raw = scheduled_job("all", triggers)
    raw["metadata"] |= {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    raw["spec"]["exclude"] = {"calendars": names}
    times = []
    for _ in range(5):
        began = time.perf_counter()
        assert not read_definition(raw, calendars).invalid
        times.append(time.perf_counter() - began)
    print("a definition of 16 zones and 8 Calendars of 330 dates")
    print(f"  read in {times[0] * 1e3:.1f} ms at first, {min(times[1:]) * 1e3:.2f} ms again")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    reading()
    asyncio.run(measure(arguments.count))


if __name__ == "__main__":
    main()
