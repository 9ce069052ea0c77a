"""The probes: 200 while all is well, 503 with the reason otherwise."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from carillon.controller.connections import MOST_OF_AN_ADDRESS
from carillon.controller.metrics import Metrics
from carillon.controller.probes import RENDER_SECONDS, Probes


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class World:
    def __init__(self) -> None:
        self.metrics = Metrics()
        self.wrong: str | None = None
        self.awaited: str | None = None
        self.depth = 0
        self.port = free_port()
        self.probes = Probes(
            metrics=self.metrics,
            alive=lambda: self.wrong,
            ready=lambda: self.awaited,
            refresh=lambda: self.metrics.queue_depth.set(self.depth),
        )

    async def ask(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            self.content_type = answer.headers["Content-Type"]
            return answer.status, await answer.text()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.probes.start("127.0.0.1", world.port)
    yield world
    await world.probes.stop()


async def test_all_is_well(world: World) -> None:
    assert await world.ask("/livez") == (200, "ok\n")
    assert await world.ask("/readyz") == (200, "ok\n")


async def test_not_alive_says_why_and_may_be_ready(world: World) -> None:
    world.wrong = "the worker does not work"
    assert await world.ask("/livez") == (503, "the worker does not work\n")
    assert await world.ask("/readyz") == (200, "ok\n")


async def test_not_ready_says_why_and_is_alive(world: World) -> None:
    world.awaited = "ScheduledJobs are not listed yet"
    assert await world.ask("/readyz") == (503, "ScheduledJobs are not listed yet\n")
    assert await world.ask("/livez") == (200, "ok\n")
    world.awaited = None
    assert await world.ask("/readyz") == (200, "ok\n"), "asked anew each time"


async def test_metrics_are_brought_up_to_date_first(world: World) -> None:
    world.metrics.finished("Succeeded", "Periodic")
    for depth in (3, 7):
        world.depth = depth
        world.probes._rendered_at -= RENDER_SECONDS
        status, text = await world.ask("/metrics")
        assert status == 200
        assert f"carillon_queue_depth {depth}.0" in text.splitlines()
    assert 'carillon_runs_total{outcome="Succeeded",trigger="Periodic"} 1.0' in text.splitlines()
    assert world.content_type == "text/plain; version=0.0.4; charset=utf-8"


async def test_metrics_are_printed_once_a_second_whoever_asks(world: World) -> None:
    """With thousands of definitions each time takes a while, of the loop that fires them."""
    world.depth = 3
    first = await world.ask("/metrics")
    world.depth = 7
    assert await world.ask("/metrics") == first
    world.probes._rendered_at -= RENDER_SECONDS
    assert await world.ask("/metrics") != first


async def test_another_path_is_not_there(world: World) -> None:
    assert (await world.ask("/"))[0] == 404


async def test_only_what_reads_is_answered(world: World) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.post(f"http://127.0.0.1:{world.port}/livez") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        async with session.head(f"http://127.0.0.1:{world.port}/livez") as answer:
            assert answer.status == 200


async def test_an_address_has_so_many_connections(world: World) -> None:
    """And who has them all keeps them for seconds only."""
    idle = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(MOST_OF_AN_ADDRESS)]
    assert (await world.ask("/livez"))[0] == 429
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()
    async with asyncio.timeout(10):
        while (await world.ask("/livez"))[0] != 200:  # noqa: ASYNC110  (the server tells nobody)
            await asyncio.sleep(0.01)


async def test_a_port_that_is_taken_is_an_error(world: World) -> None:
    other = World()
    with pytest.raises(OSError, match="address"):
        await other.probes.start("127.0.0.1", world.port)
    await other.probes.stop()


async def test_after_the_end_nobody_answers(world: World) -> None:
    await world.probes.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await world.ask("/livez")
