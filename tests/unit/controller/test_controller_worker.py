"""The worker: a leader looks at everything it knows and at every change; a standby at nothing."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from carillon.controller.agenda import Agenda
from carillon.controller.reconcile import Reconciler
from carillon.controller.store import Store
from carillon.controller.worker import PULSE_LOST_SECONDS, STUCK_SECONDS, Worker
from carillon.controller.workqueue import WorkQueue
from carillon.engine.model import Key
from tests.unit.controller.test_controller_store import raw_run
from tests.unit.engine.builders import HOURLY, NAMESPACE, at, raw_definition

ONE, OTHER = Key(NAMESPACE, "one"), Key(NAMESPACE, "other")


class FakeReconciler:
    """Notes what it is asked to look at; fails when told to."""

    def __init__(self) -> None:
        self.looked_at: list[Key] = []
        self.problem: Exception | None = None
        self.looked = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def reconcile(self, key: Key) -> None:
        self.looked_at.append(key)
        self.looked.set()
        if self.problem is not None:
            raise self.problem
        await self.free.wait()


class World:
    def __init__(self) -> None:
        self.now = at("12:00")
        self.queue = WorkQueue()
        self.agenda = Agenda()
        self.reconciler = FakeReconciler()
        self.sure = asyncio.Event()
        self.sure.set()
        self.store = Store(
            changed=lambda key: self.worker.changed(key), unreadable=lambda raw, why: None, clock=lambda: self.now
        )
        self.worker = Worker(
            store=self.store,
            agenda=self.agenda,
            queue=self.queue,
            reconciler=cast(Reconciler, self.reconciler),
            clock=self.clock,
            tasks=2,
        )

    def clock(self) -> datetime:
        return self.now

    def add(self, key: Key) -> None:
        self.store.put_definition(raw_definition(HOURLY, name=key.name, uid=f"uid-{key.name}"))

    @contextlib.asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.worker.run(until_sure=self.sure.wait))
        await asyncio.sleep(0.01)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def until_so_many_looked_at(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.reconciler.looked_at) < count:
                self.reconciler.looked.clear()
                await self.reconciler.looked.wait()

    async def until_looked_at(self, *keys: Key) -> None:
        await self.until_so_many_looked_at(len(keys))
        assert self.reconciler.looked_at == list(keys)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_new_leader_looks_at_everything_it_knows(world: World) -> None:
    world.add(ONE)
    world.add(OTHER)
    async with world.leading():
        await world.until_looked_at(ONE, OTHER)


async def test_what_is_due_does_not_wait_until_all_are_known_for_sure(world: World) -> None:
    """By the status that the last leader wrote: what is overdue at once, and the rest when it is due."""
    for key, due in ((ONE, at("11:59")), (OTHER, at("12:01"))):
        status = {"nextExecutions": [due.strftime("%Y-%m-%dT%H:%M:%SZ")]}
        world.store.put_definition(raw_definition(HOURLY, name=key.name, uid=f"uid-{key.name}", status=status))
    calm = Key(NAMESPACE, "calm")
    world.add(calm)
    world.sure.clear()
    async with world.leading():
        await world.until_looked_at(ONE)
        world.now = at("12:01")
        await world.until_looked_at(ONE, OTHER)
        world.sure.set()
        await world.until_so_many_looked_at(5)
        assert calm in world.reconciler.looked_at[2:]


async def test_a_leader_looks_at_what_changes(world: World) -> None:
    async with world.leading():
        world.add(OTHER)
        await world.until_looked_at(OTHER)


async def test_a_leader_looks_at_what_is_due(world: World) -> None:
    world_due = world.now + timedelta(hours=1)
    async with world.leading():
        world.agenda.set(ONE, world_due)
        await asyncio.sleep(0.01)
        assert world.reconciler.looked_at == []
        world.now = world_due
        await world.until_looked_at(ONE)


async def test_thousands_to_be_looked_at_do_not_hold_the_event_loop(world: World) -> None:
    """Decisions that ask nobody anything follow each other without a pause of their own."""
    for number in range(200):
        world.add(Key(NAMESPACE, f"d{number}"))
    looked_at: list[int] = []

    async def look_now_and_then() -> None:
        while True:
            looked_at.append(len(world.reconciler.looked_at))
            await asyncio.sleep(0)

    tasks = [
        asyncio.create_task(look_now_and_then()),
        asyncio.create_task(world.worker.run(until_sure=world.sure.wait)),
    ]
    await world.until_so_many_looked_at(200)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert max(after - before for before, after in itertools.pairwise(looked_at)) <= 1


async def test_what_becomes_due_meanwhile_goes_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def step() -> datetime:
        world.now += timedelta(seconds=1)
        return world.now

    for number in range(50):
        world.add(Key(NAMESPACE, f"d{number}"))
    due = world.now + timedelta(seconds=10)
    monkeypatch.setattr(world.worker, "_clock", step)
    world.agenda.set(ONE, due)
    task = asyncio.create_task(world.worker.run(until_sure=world.sure.wait))
    await world.until_so_many_looked_at(51)
    task.cancel()
    await asyncio.wait({task})
    assert ONE in world.reconciler.looked_at[1:12]


async def test_a_standby_takes_nothing_in(world: World) -> None:
    world.add(ONE)
    assert len(world.queue) == 0


async def test_a_standby_that_is_told_everything_enqueues_nothing(world: World) -> None:
    """Definitions, runs, Jobs, calendars, changes and deletions of them: known to it, and decided by nobody."""
    world.add(ONE)
    run = raw_run(phase="Running", job="job")
    world.store.put_run(run)
    metadata = {"name": "holidays", "namespace": NAMESPACE, "uid": "uid-calendar", "resourceVersion": "1"}
    world.store.put_calendar({"metadata": {**metadata, "generation": 1}, "spec": {"dates": ["2030-01-01"]}})
    world.store.drop(run["metadata"]["uid"])
    world.store.drop("uid-one")
    world.now += timedelta(days=2)
    await asyncio.sleep(0.05)
    assert (len(world.queue), len(world.agenda)) == (0, 0)
    assert world.reconciler.looked_at == []


async def test_who_leads_no_more_forgets_its_queue_and_its_agenda(world: World) -> None:
    world.reconciler.free.clear()
    async with world.leading():
        world.agenda.set(ONE, world.now + timedelta(hours=1))
        for number in range(5):
            world.queue.add(Key(NAMESPACE, f"waits-{number}"))
        await asyncio.sleep(0.01)
        assert len(world.queue) == 3, "two are worked on"
    assert (len(world.queue), len(world.agenda)) == (0, 0)
    world.add(ONE)
    assert len(world.queue) == 0, "and takes nothing in"


async def test_a_failure_ends_the_work_and_says_so(world: World) -> None:
    """Reconciling never raises; if it does, the lease must lapse."""
    world.reconciler.problem = LookupError("a defect")
    world.add(ONE)
    assert world.worker.alive
    with pytest.raises(ExceptionGroup) as told:
        await world.worker.run(until_sure=world.sure.wait)
    assert told.group_contains(LookupError)
    assert not world.worker.alive


async def test_another_turn_begins_afresh_after_a_failure(world: World) -> None:
    world.reconciler.problem = LookupError("a defect")
    world.add(ONE)
    with pytest.raises(ExceptionGroup):
        await world.worker.run(until_sure=world.sure.wait)
    world.reconciler.problem = None
    async with world.leading():
        assert world.worker.alive
        await world.until_looked_at(ONE, ONE)


async def test_a_leader_without_a_pulse_is_not_alive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    monkeypatch.setattr("carillon.controller.worker.time", SimpleNamespace(monotonic=lambda: clock))
    async with world.leading():
        clock += PULSE_LOST_SECONDS - 0.1
        assert world.worker.alive
        clock += 0.2
        assert not world.worker.alive, "the agenda has not had its turn for so long"
        world.queue.add(ONE)
        await asyncio.sleep(0.6)
        assert world.worker.alive, "it had"
    clock += 1000
    assert world.worker.alive, "a standby has nothing to do"


async def test_a_leader_whose_tasks_all_hang_is_not_alive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    monkeypatch.setattr("carillon.controller.worker.time", SimpleNamespace(monotonic=lambda: clock))
    monkeypatch.setattr("carillon.controller.worker.PULSE_LOST_SECONDS", float("inf"))
    world.reconciler.free.clear()
    world.add(ONE)
    async with world.leading():
        await world.until_looked_at(ONE)
        clock += STUCK_SECONDS + 1
        assert world.worker.alive, "the other task may work"
        world.add(OTHER)
        await world.until_looked_at(ONE, OTHER)
        assert world.worker.alive, "it has just begun"
        clock += STUCK_SECONDS + 1
        assert not world.worker.alive
        world.reconciler.free.set()
        await asyncio.sleep(0.01)
        assert world.worker.alive


async def test_a_clock_that_is_set_back_has_everything_looked_at(world: World) -> None:
    """A moment that was noted by the clock of before may be days away."""
    world.add(ONE)
    async with world.leading():
        await world.until_looked_at(ONE)
        world.agenda.set(ONE, world.now + timedelta(days=2))
        world.now -= timedelta(days=2)
        await world.until_looked_at(ONE, ONE)
        world.now -= timedelta(seconds=1)
        await asyncio.sleep(0.6)
        assert world.reconciler.looked_at == [ONE, ONE], "clocks are slewed by so much"


async def test_until_all_are_known_for_sure_all_of_them_wait(world: World) -> None:
    """The metric would say that nothing waits, just when everything does."""
    world.add(ONE)
    world.add(OTHER)
    assert world.worker.waiting == 0, "a standby has nothing to look at"
    world.sure.clear()
    async with world.leading():
        assert world.worker.waiting == 2
        world.sure.set()
        await world.until_looked_at(ONE, OTHER)
        assert world.worker.waiting == 0
    assert world.worker.waiting == 0
