"""PostgreSQL away, hanging or killed, the writer killed in the middle of a batch: nothing is lost, nothing is twice."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from carillon.archive import database
from carillon.controller import archivist as module
from carillon.controller.aside import Aside, StillBusy
from tests.archive.postgres import Postgres
from tests.archive.records import NOW, many
from tests.archive.world import World, finished, names
from tests.conftest import REPOSITORY
from tests.unit.engine.builders import a_definition, a_run, history_line


@pytest.fixture
def world(postgres: Postgres) -> Iterator[World]:
    world = World(postgres.url)
    yield world
    postgres.wake()
    world.close()


def expected(count: int) -> list[str]:
    return sorted(f"run-{number}" for number in range(count))


def start_writer(url: str, runs: int) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}"}
    command = [sys.executable, "-m", "tests.archive.writer", url, str(runs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=REPOSITORY)


@pytest.mark.parametrize("after_batches", [1, 2, 5])
def test_a_writer_that_is_killed_leaves_whole_batches_and_the_next_one_leaves_each_run_once(
    postgres: Postgres, after_batches: int
) -> None:
    runs = 2_000
    with start_writer(postgres.url, runs) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(after_batches)]
        writer.kill()
        told += [int(line) for line in writer.stdout]

    found = names(postgres.url)
    assert told[-1] <= len(found) < runs, "what was said to be written is there, and it was killed on its way"
    assert len(found) % 20 == 0, "whole batches"
    with start_writer(postgres.url, runs) as again:
        again.communicate(timeout=60)
    assert again.returncode == 0
    assert names(postgres.url) == sorted(record.name for record in many(runs))


async def test_a_database_that_was_away_gets_all_of_it(
    postgres: Postgres, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE_SECONDS", 0.5)
    async with world.leading():
        for number in range(50):
            world.backlog.see_run(finished(number))
        await world.until_settled()
        postgres.down()
        for number in range(50, 700):
            world.backlog.see_run(finished(number))
        await world.until(lambda: world.sample("carillon_archive_failures_total") >= 2)
        uids = [finished(number).uid for number in range(700)]
        assert len(world.backlog.unarchived(uids)) == 650, "their pruning waits"
        postgres.up()
        await world.until_settled()
    assert names(postgres.url) == expected(700)
    assert world.backlog.unarchived(uids) == frozenset()
    assert world.lost == []


async def test_a_server_that_dies_in_the_middle_of_it(
    postgres: Postgres, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE_SECONDS", 0.5)
    monkeypatch.setattr(module, "BATCH", 10)
    async with world.leading():
        for number in range(600):
            world.backlog.see_run(finished(number))
        await world.until(lambda: world.sample("carillon_archived_runs_total") >= 50)
        postgres.down()
        assert world.backlog.length > 0
        postgres.up()
        await world.until_settled()
    assert names(postgres.url) == expected(600)


async def test_a_database_that_hangs_holds_up_neither_the_loop_nor_the_end(
    postgres: Postgres, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE_SECONDS", 0.5)
    monkeypatch.setattr(module, "CALL_SECONDS", 1.0)
    monkeypatch.setattr(database, "CONNECT_SECONDS", 2)
    late: list[float] = []

    async def clock() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            late.append(time.monotonic() - began - 0.01)

    ticking = asyncio.create_task(clock())
    async with world.leading():
        world.backlog.see_run(finished(0))
        await world.until_settled()
        postgres.hang()
        for number in range(1, 300):
            world.backlog.see_run(finished(number))
        await world.until(lambda: world.sample("carillon_archive_failures_total") >= 2)
        assert max(late) < 0.9, "due times are fired by this very loop"
        assert world.backlog.length == 299
        postgres.wake()
        await world.until_settled()
        postgres.hang()
        world.backlog.see_run(finished(300))
        await asyncio.sleep(0.5)
        began = time.monotonic()
    assert time.monotonic() - began < 0.9, "the process that stops does not wait for the database"
    ticking.cancel()
    postgres.wake()
    assert set(expected(300)) <= set(names(postgres.url))


async def test_a_call_that_hangs_is_broken_off(
    postgres: Postgres, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CONNECT_SECONDS", 2)
    world.archive.write(many(1), NOW)
    aside = Aside(world.archive.interrupt)
    postgres.hang()
    with pytest.raises(TimeoutError):
        await aside.call(lambda: world.archive.write(many(2), NOW), timeout_seconds=0.3)

    async def until_free() -> None:
        while True:
            try:
                return await aside.call(lambda: None, timeout_seconds=1)
            except StillBusy:
                await asyncio.sleep(0.05)

    # The server still hangs: it is the connection that was cut, and the new one is given up.
    await asyncio.wait_for(until_free(), 10)
    postgres.wake()
    await aside.call(lambda: world.archive.write(many(2), NOW), timeout_seconds=10)
    world.archive.close()


async def test_the_next_leader_archives_what_only_history_tells_of(postgres: Postgres, world: World) -> None:
    """A run that somebody deleted, and the operator died before it had written it down."""
    known = a_run("11:00", "Failed", ended="11:01")
    lines = [history_line("gone", "10:01", phase="Failed"), history_line(known.name, "11:01")]
    world.definitions = [a_definition("0 * * * *", status={"history": lines}, label="Sweep")]
    for definition in world.definitions:
        world.backlog.see_definition(definition)
    world.backlog.see_run(known)
    async with world.leading():
        await world.until_settled()
    assert names(postgres.url) == sorted(["gone", known.name])
    assert names(postgres.url, phases=["Failed"]) == sorted(["gone", known.name])


async def test_what_is_old_enough_is_forgotten_and_nothing_else(
    postgres: Postgres, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXPIRY_BATCH", 7)
    world.archivist._keep = timedelta(minutes=30)
    world.now = lambda: NOW  # 12:30: the records end from 12:00 on, one a second
    world.archive.write([*many(3), *many(20, begin=-20)], NOW)
    async with world.leading():
        await world.until(lambda: len(names(postgres.url)) == 3)
        await asyncio.sleep(0.3)
    assert names(postgres.url) == sorted(record.name for record in many(3))
