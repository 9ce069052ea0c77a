"""The endpoint over HTTP: every answer, and what a caller may hold."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import aiohttp
import pytest

from carillon.controller.callers import Callers, Refused
from carillon.controller.connections import BoundedServer
from carillon.controller.metrics import Metrics
from carillon.controller.progress_endpoint import ProgressEndpoint
from carillon.controller.rates import Rates
from carillon.controller.reporting import NotWritten, Reporting
from carillon.engine.model import Run
from carillon.engine.reports import Report
from tests.unit.controller.test_controller_probes import free_port
from tests.unit.engine.builders import a_run


class World:
    """An endpoint whose callers and reports are in the test's hands."""

    def __init__(self, *, rates: Rates | None = None, address_rates: Rates | None = None, **bounds: Any) -> None:
        self.rates, self.address_rates = rates, address_rates
        self.port = free_port()
        self.metrics = Metrics()
        self.awaited: str | None = None
        self.run = a_run("12:00", "Running")
        self.refused: Refused | None = None
        self.seen: list[tuple[str, str]] = []
        self.taken: list[Report] = []
        self.problem: Exception | None = None
        self.written = True
        self.bounds = bounds
        self.endpoint = ProgressEndpoint(
            callers=cast(Callers, self),
            reporting=cast(Reporting, self),
            metrics=self.metrics,
            ready=lambda: self.awaited,
            rates=self.rates,
            address_rates=self.address_rates,
            server=lambda handler: BoundedServer(handler, **self.bounds),
        )

    async def run_of(self, authorization: str, address: str) -> Run:
        self.seen.append((authorization, address))
        if self.refused is not None:
            raise self.refused
        return self.run

    def accept(self, run: Run, report: Report) -> "asyncio.Future[None]":
        self.taken.append(report)
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.problem is not None:
            first.set_exception(self.problem)
        elif self.written:
            first.set_result(None)
        return first

    async def close(self) -> None:
        pass

    async def ask(
        self,
        body: Any = b"percent=40",
        *,
        path: str = "/progress",
        method: str = "POST",
        kind: str = "",
        **headers: str,
    ) -> tuple[int, str]:
        given = {"Authorization": "Bearer t", "Content-Type": kind or "application/x-www-form-urlencoded", **headers}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, data=body, headers=given) as answer,
        ):
            self.headers = answer.headers
            return answer.status, await answer.text()

    def counted(self, code: int) -> float | None:
        return self.metrics.registry.get_sample_value("carillon_progress_reports_total", {"code": str(code)})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.endpoint.start("127.0.0.1", world.port)
    yield world
    await world.endpoint.stop()


@asynccontextmanager
async def bounded(**bounds: Any) -> AsyncIterator[World]:
    world = World(**bounds)
    await world.endpoint.start("127.0.0.1", world.port)
    try:
        yield world
    finally:
        await world.endpoint.stop()


@pytest.mark.parametrize(
    ("body", "kind", "path", "method"),
    [
        (b"percent=40&message=half", "", "/progress", "POST"),
        (b"percent=40&message=half", "", "/progress", "PUT"),
        (b'{"percent": 40, "message": "half"}', "application/json", "/progress", "POST"),
        (b"", "", "/progress?percent=40&message=half", "POST"),
    ],
)
async def test_a_report_is_taken(world: World, body: bytes, kind: str, path: str, method: str) -> None:
    assert await world.ask(body, kind=kind, path=path, method=method) == (204, "")
    assert world.taken == [Report(40, "half")]
    assert world.seen == [("Bearer t", "127.0.0.1")]
    assert world.counted(204) == 1
    assert world.headers["Connection"] == "close"


async def test_one_that_is_slow_to_be_written_is_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carillon.controller.progress_endpoint.WRITE_SECONDS", 0.05)
    world.written = False
    assert await world.ask() == (204, "")


async def test_one_that_will_never_be_written_is_not(world: World) -> None:
    world.problem = NotWritten("403 Forbidden: may not patch")
    assert await world.ask() == (503, "the report cannot be recorded: 403 Forbidden: may not patch\n")


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"path": "/"}, 404, "found '/'; reports go to /progress"),
        ({"path": "/progress/run"}, 404, "reports go to /progress"),
        ({"method": "GET", "body": b""}, 405, "found GET; use POST (wget: --post-data): send percent=40&message=half"),
        ({"method": "DELETE", "body": b""}, 405, "found DELETE"),
        ({"body": b"percent=101"}, 400, "percent: found '101'; write a number from 0 to 100"),
        ({"body": b"x" * 4097}, 413, "the body has more than 4096 bytes"),
        ({"kind": "multipart/form-data; boundary=x", "body": b"--x"}, 400, "Content-Type: found 'multipart/form-data'"),
    ],
)
async def test_what_is_wrong_is_said(world: World, asked: dict[str, Any], status: int, words: str) -> None:
    code, said = await world.ask(**asked)
    assert (code, words in said) == (status, True), said
    assert world.counted(status) == 1
    assert world.taken == []


async def test_a_body_without_a_length_has_the_same_bound(world: World) -> None:
    async def endless() -> AsyncGenerator[bytes, None]:
        for _ in range(100):
            yield b"x" * 1000

    async with aclosing(endless()) as body:
        assert (await world.ask(body))[0] == 413


async def test_a_compressed_body_is_not_unpacked(world: World) -> None:
    assert (await world.ask(b"\x1f\x8b\x08\x00", **{"Content-Encoding": "gzip"}))[0] == 400


async def test_a_finished_run_takes_none(world: World) -> None:
    world.run = a_run("12:00", "Succeeded", ended="12:05")
    code, said = await world.ask()
    assert (code, "is finished (Succeeded); its progress stays" in said) == (409, True)


@pytest.mark.parametrize(
    ("status", "header", "value"),
    [(401, "WWW-Authenticate", "Bearer"), (403, "", ""), (429, "Retry-After", "1"), (503, "Retry-After", "1")],
)
async def test_who_is_refused_is_told_why(world: World, status: int, header: str, value: str) -> None:
    world.refused = Refused(status, "because")
    assert await world.ask() == (status, "because\n")
    assert world.headers.get(header, "") == value


async def test_until_it_is_ready_nobody_is_looked_up(world: World) -> None:
    world.awaited = "JobRuns and Jobs are not listed yet"
    assert await world.ask() == (503, "not ready: JobRuns and Jobs are not listed yet; try again\n")
    assert world.seen == []


async def talk(world: World, text: bytes, *, seconds: float = 5) -> bytes:
    """What a connection gets that says this and then nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    try:
        writer.write(text)
        async with asyncio.timeout(seconds):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


HEAD = b"POST /progress HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("text", [b"", HEAD, HEAD + b"Content-Length: 100\r\n\r\npercent", b"\x16\x03\x01"])
async def test_a_connection_that_dawdles_is_broken_off(text: bytes) -> None:
    async with bounded(seconds=0.2) as world:
        await talk(world, text)
        assert await world.ask() == (204, ""), "others are served"
        assert world.taken == [Report(40, "")]


async def test_headers_are_bounded(world: World) -> None:
    assert b" 400 " in (await talk(world, HEAD + b"X: " + b"x" * 20_000 + b"\r\n\r\n")).splitlines()[0]
    many = b"".join(b"X-%d: x\r\n" % number for number in range(100))
    assert b" 400 " in (await talk(world, HEAD + many + b"\r\n")).splitlines()[0]


async def test_an_address_has_so_many_connections_and_gets_them_back() -> None:
    async with bounded(most_of_an_address=3) as world:
        held = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(3)]
        await asyncio.sleep(0.05)
        answer = await talk(world, b"")
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: 1" in answer
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.05)
        assert await world.ask() == (204, "")


async def test_there_are_so_many_connections_in_all() -> None:
    async with bounded(most=2) as world:
        held = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert (await talk(world, b"")).startswith(b"HTTP/1.1 503 ")
        for _, writer in held:
            writer.close()


async def test_bad_json_of_every_size_is_answered(world: World) -> None:
    for size in (1, 100, 4096):
        code, said = await world.ask(b"{" * size, kind="application/json")
        assert (code, len(said) < 400) == (400, True)
    assert await world.ask(json.dumps({"percent": 1}).encode(), kind="application/json") == (204, "")


async def test_a_token_may_report_so_often_and_its_neighbour_is_not_asked_to_wait() -> None:
    async with bounded(rates=Rates(per_second=0.01, burst=2)) as world:
        assert [(await world.ask())[0] for _ in range(4)] == [204, 204, 429, 429]
        assert world.headers["Retry-After"] == "1"
        assert (await world.ask(Authorization="Bearer another"))[0] == 204
        assert len(world.seen) == 3, "nobody is looked up for a call too many"


async def test_an_address_may_connect_so_often() -> None:
    async with bounded(address_rates=Rates(per_second=0.01, burst=2)) as world:
        for _ in range(2):
            assert (await talk(world, HEAD + b"\r\n")).startswith(b"HTTP/1.1 400 ")
        assert (await talk(world, b"")).startswith(b"HTTP/1.1 429 ")


FLOOD_SECONDS = 3.0
FLOOD = """
import socket, sys, time
head = b"POST /progress HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Bearer flood\\r\\nContent-Length: 10\\r\\n"
end, calls = time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < end:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2) as call:
            call.sendall(head + b"Content-Type: application/x-www-form-urlencoded\\r\\n\\r\\npercent=40")
            call.recv(4096)
    except OSError:
        pass
    calls += 1
print(calls)
"""


async def test_a_flood_takes_neither_the_loop_nor_memory_nor_the_place_of_others(world: World) -> None:
    """Four processes that do nothing but call; the neighbour has another address, as another pod has."""
    flooding = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", FLOOD, str(world.port), str(FLOOD_SECONDS), stdout=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]
    until = time.monotonic() + FLOOD_SECONDS
    cpu, answers = time.process_time(), []
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0), force_close=True)
    async with aiohttp.ClientSession(connector=connector) as neighbour:
        while time.monotonic() < until:
            form = {"percent": "7"}
            async with neighbour.post(
                f"http://127.0.0.1:{world.port}/progress", data=form, headers={"Authorization": "Bearer n"}
            ) as answer:
                answers.append(answer.status)
            await asyncio.sleep(0.2)
    share = (time.process_time() - cpu) / FLOOD_SECONDS
    calls = sum([int((await each.communicate())[0]) for each in flooding])
    assert calls > 200, "that was none"
    assert share < 0.6, f"{share:.0%} of a processor"
    assert set(answers) == {204}
    of_the_flood = world.seen.count(("Bearer flood", "127.0.0.1"))
    assert of_the_flood <= 100 + 10 * (FLOOD_SECONDS + 1), f"{of_the_flood} of {calls} were looked at"
