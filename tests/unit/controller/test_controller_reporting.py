"""Reports in their time, on a clock that jumps: when they are written, and what becomes of those that cannot be."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from carillon.api.jobrun import TaskProgress
from carillon.controller.reporting import NotWritten, Reporting
from carillon.controller.store import Store
from carillon.engine.model import Run
from carillon.engine.reports import Report
from carillon.kube.errors import ApiError, Unreachable
from tests.unit.controller.test_controller_store import raw_run
from tests.unit.kube.virtual_time import simulate

EPOCH = datetime(2026, 3, 10, 12, tzinfo=UTC)


class World:
    """One run, and an API server with one object."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.store = Store(changed=lambda _: None, unreadable=lambda *_: None, clock=self.now)
        self.raw: dict[str, Any] | None = raw_run(20, job="job", phase="Running")
        self.store.put_run(self.raw)
        self.written: list[tuple[float, int | None]] = []
        self.problems: list[Exception] = []
        self.reporting = Reporting(records=self, store=self.store, clock=self.now)

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.loop.time())

    async def run(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.raw

    async def write_progress(
        self, namespace: str, name: str, *, uid: str, resource_version: str, progress: TaskProgress
    ) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        if self.problems:
            raise self.problems.pop(0)
        if self.raw is None:
            raise ApiError(404, "NotFound", "gone")
        if resource_version != self.raw["metadata"]["resourceVersion"] or uid != self.raw["metadata"]["uid"]:
            raise ApiError(409, "Conflict", "changed")
        self.change(progress=progress.model_dump(mode="json", by_alias=True))
        self.written.append((round(self.loop.time(), 1), progress.percent))
        return self.raw

    def change(self, **status: Any) -> None:
        """Change the object, and tell nobody."""
        assert self.raw is not None
        metadata = {**self.raw["metadata"], "resourceVersion": str(int(self.raw["metadata"]["resourceVersion"]) + 1)}
        self.raw = {**self.raw, "metadata": metadata, "status": {**self.raw["status"], **status}}

    def known(self) -> Run:
        run = self.store.run("run")
        assert run is not None
        return run

    def report(self, percent: int) -> "asyncio.Future[None]":
        return self.reporting.accept(self.known(), Report(percent, ""))

    @property
    def on_record(self) -> int:
        assert self.raw is not None
        return int(self.raw["status"]["progress"]["percent"])


Tale = Callable[[World], Awaitable[None]]


def told(tale: Tale) -> Callable[[], None]:
    """Run a story on the virtual clock."""

    async def run() -> None:
        await tale(World())

    def test() -> None:
        simulate(run())

    test.__doc__ = tale.__doc__
    return test


@told
async def test_the_first_is_written_at_once(world: World) -> None:
    await world.report(40)
    assert world.written == [(0.0, 40)]


@told
async def test_of_a_chatty_task_the_newest_is_written_every_two_seconds(world: World) -> None:
    for percent in range(1, 51):
        world.report(percent)
        await asyncio.sleep(0.2)
    await asyncio.sleep(3)
    times = [at for at, _ in world.written]
    assert len(times) == 6
    assert all(2.0 <= round(after - before, 1) <= 2.1 for before, after in pairwise(times)), times
    assert world.written[-1][1] == 50
    assert len(world.reporting) == 0, "nothing is left of it"


@told
async def test_one_that_has_to_wait_keeps_nobody_waiting(world: World) -> None:
    await world.report(1)
    await asyncio.sleep(0.5)
    before = world.loop.time()
    await world.report(2)
    assert world.loop.time() == before
    assert world.on_record == 1
    await asyncio.sleep(2)
    assert world.on_record == 2


@told
async def test_another_replicas_write_counts(world: World) -> None:
    world.change(progress={"percent": 7, "updateTime": "2026-03-10T11:59:59.000000Z"})
    assert world.raw is not None
    world.store.put_run(world.raw)
    await world.report(8)
    assert world.written == []
    await asyncio.sleep(3)
    assert world.written == [(2.0, 8)]


@told
async def test_a_newer_one_on_record_stays(world: World) -> None:
    """It was written while ours waited, and the watch is behind."""
    await world.report(1)
    await asyncio.sleep(0.5)
    world.report(2)
    await asyncio.sleep(0.5)
    world.change(progress={"percent": 3, "updateTime": "2026-03-10T12:00:00.900000Z"})
    await asyncio.sleep(10)
    assert (world.on_record, world.written) == (3, [(0.0, 1)])


@told
async def test_a_write_of_the_engine_is_kept_and_the_report_tried_again(world: World) -> None:
    world.change(reason="PodsRefused")
    await world.report(5)
    assert world.raw is not None
    assert world.raw["status"]["reason"] == "PodsRefused"
    assert world.on_record == 5


@told
async def test_the_last_one_is_written_when_the_run_has_finished_meanwhile(world: World) -> None:
    await world.report(1)
    world.report(100)
    world.change(phase="Succeeded")
    await asyncio.sleep(3)
    assert world.on_record == 100
    assert world.raw is not None
    assert world.raw["status"]["phase"] == "Succeeded"


@told
async def test_what_fails_is_tried_again_and_a_newer_one_takes_its_place(world: World) -> None:
    world.problems = [Unreachable("reset"), ApiError(500, "InternalError", "etcd"), ApiError(429, "TooMany", "busy")]
    await world.report(1)
    await asyncio.sleep(2)
    world.report(2)
    await asyncio.sleep(10)
    assert [percent for _, percent in world.written] == [2]
    await asyncio.sleep(5)
    assert len(world.reporting) == 0


@told
async def test_a_lost_answer_is_not_written_again(world: World) -> None:
    write = world.write_progress

    async def lost(namespace: str, name: str, **given: Any) -> dict[str, Any]:
        await write(namespace, name, **given)
        raise Unreachable("reset")

    world.write_progress = lost  # type: ignore[method-assign]
    world.report(1)
    await asyncio.sleep(0.5)
    world.write_progress = write  # type: ignore[method-assign]
    await asyncio.sleep(10)
    assert world.written == [(0.0, 1)]


@told
async def test_what_the_api_server_will_never_take_is_told(world: World) -> None:
    world.problems = [ApiError(403, "Forbidden", "may not patch jobruns/status")]
    with pytest.raises(NotWritten, match="may not patch jobruns/status"):
        await world.report(1)
    await asyncio.sleep(0)
    assert len(world.reporting) == 0
    await world.report(2)
    assert world.on_record == 2


@told
async def test_a_run_that_is_gone_ends_it(world: World) -> None:
    run = world.known()
    world.raw = None
    with pytest.raises(NotWritten, match="JobRun files/r is gone"):
        await world.report(1)
    world.store.drop("run")
    with pytest.raises(NotWritten):
        await world.reporting.accept(run, Report(1, ""))


@told
async def test_one_of_the_same_name_is_another(world: World) -> None:
    world.raw = raw_run(99, uid="another", job="job", phase="Running")
    with pytest.raises(NotWritten, match="is gone"):
        await world.report(1)
    assert "progress" not in world.raw["status"]


@told
async def test_who_stops_writes_what_waits(world: World) -> None:
    await world.report(1)
    world.report(2)
    world.change(reason="changed")
    await world.reporting.close()
    assert world.on_record == 2
    assert world.loop.time() < 1


@told
async def test_but_not_for_ever(world: World) -> None:
    await world.report(1)
    world.report(2)
    world.problems = [Unreachable("reset")]
    await world.reporting.close()
    assert world.on_record == 1
