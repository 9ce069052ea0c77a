"""The proxy does what the weather says, and knows who wrote without leading."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from tests.chaos.certificates import Authority
from tests.chaos.proxy import Entry, Proxy, Taken, Weather, strays

JOBS = "/apis/batch/v1/namespaces/chaos/jobs"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/chaos/leases/one"


class Upstream:
    """Stands where the API server does, and counts what reaches it."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.lines: asyncio.Queue[dict[str, object]] = asyncio.Queue()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.reached.append(f"{request.method} {request.path}")
        if "watch" not in request.query:
            return web.json_response({"answer": "whole", "padding": "x" * 1000})
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(json.dumps(await self.lines.get()).encode() + b"\n")


class Operator:
    """Stands where the operator does."""

    def __init__(self, proxy: Proxy, authority: Authority) -> None:
        context = ssl.create_default_context(cafile=str(authority.certificate))
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
        self.url = f"https://127.0.0.1:{proxy.port}"

    async def ask(self, method: str, path: str, body: object = None) -> int:
        async with self.session.request(method, self.url + path, json=body) as answer:
            await answer.read()
            return answer.status


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, str]]:
    serving = Upstream()
    runner = web.ServerRunner(web.Server(serving.handle, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield serving, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture
async def proxy(upstream: tuple[Upstream, str], authority: Authority) -> AsyncIterator[Proxy]:
    context = ssl.create_default_context()
    made = Proxy("operator-1", upstream[1], context, context)
    await made.start(authority)
    yield made
    await made.stop()


@pytest.fixture
async def operator(proxy: Proxy, authority: Authority) -> AsyncIterator[Operator]:
    made = Operator(proxy, authority)
    yield made
    await made.session.close()


async def test_fine_weather_changes_nothing(operator: Operator, upstream: tuple[Upstream, str]) -> None:
    assert await operator.ask("POST", JOBS, {}) == 200
    assert upstream[0].reached == [f"POST {JOBS}"]


async def test_what_is_refused_reaches_nobody(proxy: Proxy, operator: Operator, upstream: tuple[Upstream, str]) -> None:
    proxy.weather = Weather(refused=1.0, refusals=(429,), retry_after_seconds=7)
    async with operator.session.get(operator.url + JOBS) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert upstream[0].reached == []


async def test_a_lost_answer_is_one_of_a_write_that_happened(
    proxy: Proxy, operator: Operator, upstream: tuple[Upstream, str]
) -> None:
    proxy.weather = Weather(lost=1.0)
    with pytest.raises(aiohttp.ClientError):
        await operator.ask("POST", JOBS, {})
    assert upstream[0].reached == [f"POST {JOBS}"]
    assert await operator.ask("GET", JOBS) == 200


async def test_a_cut_answer_has_begun(proxy: Proxy, operator: Operator) -> None:
    proxy.weather = Weather(cut=1.0)
    async with operator.session.get(operator.url + JOBS) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


async def test_a_silent_watch_stays_open_and_an_expired_one_ends(
    proxy: Proxy, operator: Operator, upstream: tuple[Upstream, str]
) -> None:
    async with operator.session.get(f"{operator.url}{JOBS}?watch=1") as answer:
        await upstream[0].lines.put({"number": 1})
        assert json.loads(await answer.content.readline()) == {"number": 1}
        proxy.silence_watches()
        await upstream[0].lines.put({"number": 2})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await answer.content.readline()
        await proxy.expire_watches()
        assert json.loads(await answer.content.readline())["object"]["code"] == 410


async def test_bookmarks_come_late(proxy: Proxy, operator: Operator, upstream: tuple[Upstream, str]) -> None:
    proxy.weather = Weather(late_bookmarks=True)
    async with operator.session.get(f"{operator.url}{JOBS}?watch=1&resourceVersion=5") as answer:
        item = {"kind": "Job", "apiVersion": "batch/v1", "metadata": {"resourceVersion": "9"}}
        await upstream[0].lines.put({"type": "ADDED", "object": item})
        assert json.loads(await answer.content.readline())["type"] == "ADDED"
        bookmark = json.loads(await answer.content.readline())
        assert (bookmark["type"], bookmark["object"]["metadata"]["resourceVersion"]) == ("BOOKMARK", "5")


async def test_who_takes_the_lease_is_noted(proxy: Proxy, operator: Operator) -> None:
    await operator.ask("PATCH", LEASES, {"spec": {"renewTime": "now"}})
    assert proxy.taken == []
    await operator.ask("PATCH", LEASES, {"spec": {"holderIdentity": "operator-1_abc"}})
    assert [taken.operator for taken in proxy.taken] == ["operator-1"]


@pytest.mark.parametrize(
    ("method", "path", "query", "writes"),
    [
        ("POST", JOBS, "", True),
        ("POST", JOBS, "dryRun=All", False),
        ("GET", JOBS, "", False),
        ("PATCH", LEASES, "", False),
        ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "", False),
    ],
)
def test_what_is_a_write(method: str, path: str, query: str, writes: bool) -> None:
    assert Entry(1.0, "operator-1", method, path, query).writes is writes


def test_a_write_of_who_does_not_lead_any_more_is_a_stray() -> None:
    taken = [Taken(1.0, "operator-1"), Taken(5.0, "operator-2")]
    entries = [Entry(at, who, "POST", JOBS, "") for at, who in ((0.5, "operator-1"), (4.9, "operator-1"))]
    entries += [Entry(at, who, "POST", JOBS, "") for at, who in ((5.1, "operator-1"), (5.2, "operator-2"))]
    assert [entry.arrived for entry in strays(entries, taken)] == [0.5, 5.1]
