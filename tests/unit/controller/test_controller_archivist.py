"""The archivist with a database that misbehaves: nothing of it reaches the work, and no record stops the others."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from carillon.archive.errors import ArchiveUnavailable, RecordsRefused
from carillon.archive.record import Record
from carillon.controller import archivist as module
from carillon.controller.archivist import Archivist
from carillon.controller.aside import Aside, StillBusy
from carillon.controller.backlog import Backlog
from carillon.controller.metrics import Metrics
from carillon.controller.operator import CannotStart
from carillon.controller.settings import Settings, load
from carillon.engine.model import Key
from carillon.engine.retention import Bound
from carillon.kube.errors import WritesRefused
from tests.unit.controller.test_controller_operator import World as OperatorWorld
from tests.unit.engine.builders import HOURLY, KEY, a_run, at, raw_definition


class Database:
    """Keeps records in a dict, unless it is told to fail."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.poison: set[str] = set()
        self.failing: Exception | None = None
        self.calls: list[int] = []
        self.hanging = threading.Event()
        self.hanging.set()
        self.interrupted = 0
        self.old = 0

    def write(self, records: Sequence[Record], now: datetime) -> None:
        self.calls.append(len(records))
        self.hanging.wait(10)
        if self.failing is not None:
            raise self.failing
        if self.poison & {record.name for record in records}:
            raise RecordsRefused("invalid byte")
        self.records |= {record.name: record for record in records}

    def expire(self, before: datetime, limit: int) -> int:
        gone = min(self.old, limit)
        self.old -= gone
        return gone

    def interrupt(self) -> None:
        self.interrupted += 1


class World:
    def __init__(self, keep: timedelta | None = None) -> None:
        self.database = Database()
        self.metrics = Metrics()
        self.changed: list[Key] = []
        self.leads = True
        bound = Bound(1000, timedelta(hours=72))
        self.backlog = Backlog(bound, clock=lambda: at("12:30"), on_lost=lambda _: None)
        self.archivist = Archivist(
            archive=self.database,
            backlog=self.backlog,
            metrics=self.metrics,
            changed=self.changed.append,
            definitions=list,
            check_leading=self.check,
            clock=lambda: at("12:30"),
            keep=keep,
        )

    def check(self) -> None:
        if not self.leads:
            raise WritesRefused("not the leader")

    def finish(self, *numbers: int) -> None:
        for number in numbers:
            self.backlog.see_run(a_run(name=f"r{number}", phase="Succeeded", ended="12:00"))

    def failures(self) -> float:
        return self.metrics.registry.get_sample_value("carillon_archive_failures_total") or 0

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.archivist.run())
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait({task})


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  (a thread has no event of the loop)
            await asyncio.sleep(0.005)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    for pause in ("LINGER_SECONDS", "SHORTEST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS", "NOT_LEADING_SECONDS"):
        monkeypatch.setattr(module, pause, 0.01)
    return World()


async def test_a_batch_holds_what_finished_meanwhile(world: World) -> None:
    world.finish(*range(20))
    async with world.leading():
        await until(lambda: world.backlog.length == 0)
    assert (world.database.calls, world.changed) == ([20], [KEY])


async def test_a_record_that_is_refused_is_found_and_stops_no_other(world: World) -> None:
    world.database.poison = {"r3", "r11"}
    world.finish(*range(16))
    async with world.leading():
        await until(lambda: len(world.database.records) == 14)
        calls = len(world.database.calls)
        await asyncio.sleep(0.1)
        assert len(world.database.calls) == calls, "it is left alone for a while"
    assert world.backlog.length == 2
    assert calls <= 16


async def test_it_is_tried_until_it_is_there_and_told_once(world: World) -> None:
    world.database.failing = ArchiveUnavailable("connection refused")
    world.finish(1)
    with capture_logs() as said:
        async with world.leading():
            await until(lambda: world.failures() >= 3)
            world.database.failing = None
            await until(lambda: world.backlog.length == 0)
    assert [line["event"] for line in said] == [
        "the archive is not there; pruning waits for it",
        "the archive is there again",
    ]


async def test_a_defect_does_not_end_it(world: World) -> None:
    world.database.failing = RuntimeError("a defect")
    world.finish(1)
    async with world.leading():
        await until(lambda: world.failures() >= 2)
        world.database.failing = None
        await until(lambda: world.backlog.length == 0)


async def test_one_that_hangs_is_asked_to_come_back_and_holds_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALL_SECONDS", 0.05)
    world.database.hanging.clear()
    world.finish(1)
    async with world.leading():
        await until(lambda: world.database.interrupted >= 2)
        assert world.database.calls == [1], "one thread, whatever happens"
        began = time.monotonic()
    assert time.monotonic() - began < 0.9
    world.database.hanging.set()


async def test_who_does_not_lead_writes_nothing(world: World) -> None:
    world.leads = False
    world.finish(1)
    async with world.leading():
        await asyncio.sleep(0.1)
        assert (world.database.calls, world.failures()) == ([], 0)
        world.leads = True
        await until(lambda: world.backlog.length == 0)


async def test_what_is_old_is_forgotten_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXPIRY_LINGER_SECONDS", 0.01)
    world = World(keep=timedelta(days=90))
    world.database.old = 2 * module.EXPIRY_BATCH + 5
    async with world.leading():
        await until(lambda: world.database.old == 0)


class TestAside:
    async def test_an_answer_and_an_error_come_back(self) -> None:
        aside = Aside(lambda: None)
        assert await aside.call(lambda: 42, timeout_seconds=1) == 42
        with pytest.raises(ZeroDivisionError):
            await aside.call(lambda: 1 // 0, timeout_seconds=1)

    async def test_one_after_the_other_at_once(self) -> None:
        aside = Aside(lambda: None)
        numbers = iter(range(200))
        assert [await aside.call(numbers.__next__, timeout_seconds=1) for _ in range(200)] == list(range(200))

    async def test_while_one_hangs_there_is_no_second(self) -> None:
        free = threading.Event()
        aside = Aside(free.set)
        with pytest.raises(TimeoutError):
            await aside.call(lambda: time.sleep(0.3), timeout_seconds=0.05)
        with pytest.raises(StillBusy):
            await aside.call(lambda: None, timeout_seconds=1)
        assert free.is_set(), "it was asked to come back"
        await asyncio.sleep(0.4)
        await aside.call(lambda: None, timeout_seconds=1)


class TestTheOperator:
    def test_without_an_archive_there_is_none(self) -> None:
        assert OperatorWorld().operator._archivist is None

    def test_sqlite_by_a_flag(self, tmp_path: Path) -> None:
        operator = OperatorWorld(**load(["--archive-sqlite-file", str(tmp_path / "a")]).model_dump(include=ARCHIVE))
        assert operator.operator._archivist is not None

    @pytest.mark.parametrize("text", ["", "mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:x/d"])
    def test_a_wrong_url_ends_it_at_the_start_without_telling_the_password(self, text: str, tmp_path: Path) -> None:
        file = tmp_path / "url"
        file.write_text(text)
        with pytest.raises(CannotStart, match="archive_url_file: the archive's URL") as refused:
            OperatorWorld(archive_url_file=file)
        assert "hunter2" not in str(refused.value)

    def test_there_is_one_archive(self, tmp_path: Path) -> None:
        (tmp_path / "url").write_text("postgresql://u:p@h/d")
        with pytest.raises(CannotStart, match="leave one of them out"):
            OperatorWorld(archive_url_file=tmp_path / "url", archive_sqlite_file=tmp_path / "a")

    def test_what_is_lost_is_counted_and_told_on_its_definition(self, tmp_path: Path) -> None:
        world = OperatorWorld(archive_sqlite_file=tmp_path / "a")
        world.operator._store.put_definition(raw_definition(HOURLY))
        told: list[str] = []
        world.operator._recorder.emit = lambda **event: told.append(event["reason"])  # type: ignore[method-assign]
        world.operator._report_lost(a_run("12:00", "Failed", ended="12:01"))
        assert world.metrics.registry.get_sample_value("carillon_archive_lost_runs_total") == 1
        assert told == ["NotArchived"]


ARCHIVE = {name for name in Settings.model_fields if name.startswith("archive_")}
