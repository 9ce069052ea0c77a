"""Leadership: the lease is kept in a thread, the work is done in the main loop, and never twice at a time."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from carillon.controller.leadership import Leadership
from carillon.controller.settings import Settings
from carillon.kube.client import Client
from carillon.kube.errors import WritesRefused
from tests.unit.controller.test_controller_worker import World as WorkerWorld
from tests.unit.kube.lease_store import LeaseClient, LeaseStore

LEASE_SECONDS = 2
DEADLINE_SECONDS = LEASE_SECONDS * 3 / 4


@dataclass
class ThreadClient(LeaseClient):
    """Also notes in which threads it was used; the end of it is noted, too."""

    threads: set[str] = field(default_factory=set)
    closed: bool = False
    rob: bool = False

    async def _with_faults(self, *arguments: Any) -> dict[str, Any]:
        self.threads.add(threading.current_thread().name)
        if self.rob:
            self.rob = False
            lease = self.store.get()
            self.store.patch({"metadata": lease["metadata"], "spec": {"holderIdentity": None}})
        return await super()._with_faults(*arguments)

    async def close(self) -> None:
        self.closed = True


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client = ThreadClient(LeaseStore())
        self.said: list[str] = []
        self.began = asyncio.Event()
        self.problem: Exception | None = None
        self.seconds_to_end = 0.0
        self.alive = True

        async def connect(**_: Any) -> ThreadClient:
            return self.client

        monkeypatch.setattr(Client, "connect", connect)
        settings = Settings(lease_duration_seconds=LEASE_SECONDS, lease_namespace="n", identity="pod-a")
        self.leadership = Leadership(
            settings, lead=self.lead, alive=lambda: self.alive, observer=lambda *_arguments: None
        )
        self.task: asyncio.Task[None] | None = None

    async def lead(self) -> None:
        self.said.append(f"begun in {threading.current_thread().name}")
        self.began.set()
        if self.problem is not None:
            raise self.problem
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self.seconds_to_end)
            self.said.append("ended")

    async def compete(self) -> None:
        self.task = asyncio.create_task(self.leadership.run())
        await self.until_begun()

    async def until_begun(self) -> None:
        async with asyncio.timeout(10):
            await self.began.wait()
        self.began.clear()

    @property
    def leading(self) -> bool:
        try:
            self.leadership.check()
        except WritesRefused:
            return False
        return True


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    world = World(monkeypatch)
    yield world
    await world.leadership.release()
    if world.task is not None:
        await asyncio.wait({world.task}, timeout=10)
        assert world.task.done()
        assert world.client.closed


MAIN = f"begun in {threading.main_thread().name}"


async def test_the_gate_is_closed_before_the_lease_was_asked_for(world: World) -> None:
    with pytest.raises(WritesRefused, match="the lease was not asked for yet"):
        world.leadership.check()


async def test_who_never_competed_has_nothing_to_hand_back(world: World) -> None:
    await world.leadership.release()
    assert world.client.requests == []


async def test_the_work_is_done_here_and_the_lease_kept_in_a_thread(world: World) -> None:
    await world.compete()
    assert world.leading
    assert world.said == [MAIN]
    assert world.client.threads == {"lease"}


async def test_a_main_loop_that_is_busy_does_not_lose_the_lease(world: World) -> None:
    await world.compete()
    time.sleep(DEADLINE_SECONDS + 0.5)  # noqa: ASYNC251  (a burst)
    assert world.leading
    await asyncio.sleep(0.1)
    assert world.said == [MAIN]
    assert world.client.requests.count("patch") >= 3


async def test_two_turns_never_run_side_by_side(world: World) -> None:
    world.seconds_to_end = 1.0
    await world.compete()
    world.client.rob = True
    await world.until_begun()
    assert world.said == [MAIN, "ended", MAIN]


async def test_what_the_work_of_an_earlier_term_still_writes_is_refused(world: World) -> None:
    """The lease may be taken again before the work has heard that it was lost."""
    refused: list[bool] = []
    lead = world.lead

    async def lead_on() -> None:
        try:
            await lead()
        finally:
            await asyncio.sleep(1.5)  # the lease is ours again
            assert world.leadership._elector is not None
            refused.append(world.leadership._elector.leading and not world.leading)

    world.leadership._lead = lead_on
    await world.compete()
    assert world.leading
    world.client.rob = True
    await world.until_begun()
    assert refused == [True]
    assert world.leading, "the next term's own writes are let through"


async def test_a_process_that_stops_writes_no_more_and_keeps_the_lease_until_it_hands_it_back(world: World) -> None:
    await world.compete()
    world.leadership.close()
    assert not world.leading
    assert world.client.store.spec["holderIdentity"].startswith("pod-a_")


async def test_the_lease_is_handed_back_when_asked(world: World) -> None:
    await world.compete()
    assert world.client.store.spec["holderIdentity"].startswith("pod-a_")
    await world.leadership.release()
    assert not world.leading
    assert "holderIdentity" not in world.client.store.spec
    assert world.task is not None
    async with asyncio.timeout(5):
        await world.task
    await asyncio.sleep(0.05)
    assert world.said == [MAIN, "ended"]


async def test_what_the_work_raises_is_raised(world: World) -> None:
    world.problem = LookupError("a defect")
    await world.compete()
    assert world.task is not None
    async with asyncio.timeout(5):
        with pytest.raises(LookupError, match="a defect"):
            await world.task
    assert not world.leading


async def test_the_lease_of_a_worker_that_does_not_work_lapses(world: World) -> None:
    await world.compete()
    world.alive = False
    async with asyncio.timeout(10):
        while world.leading:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        while len(world.said) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert world.said == [MAIN, "ended"]
    assert world.client.store.spec["holderIdentity"].startswith("pod-a_"), "nobody handed it back"


async def test_the_lease_of_a_main_loop_that_hangs_lapses_while_its_thread_lives(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's own pulse tells, from a thread that goes on renewing as long as it may."""
    monkeypatch.setattr("carillon.controller.worker.PULSE_LOST_SECONDS", 1.0)
    working = WorkerWorld()
    world.leadership = Leadership(
        Settings(lease_duration_seconds=LEASE_SECONDS, lease_namespace="n", identity="pod-a"),
        lead=lambda: working.worker.run(until_sure=working.sure.wait),
        alive=lambda: working.worker.alive,
        observer=lambda *_arguments: None,
    )
    world.task = asyncio.create_task(world.leadership.run())
    async with asyncio.timeout(10):
        while not world.leading:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await asyncio.sleep(LEASE_SECONDS)
    assert world.leading, "it works"
    time.sleep(1.0 + DEADLINE_SECONDS + 1.0)  # noqa: ASYNC251  (it hangs)
    assert not world.leading, "nothing that it writes now leaves"
    assert {thread.name for thread in threading.enumerate()} >= {"lease"}
