"""What a follower tells, whatever becomes of its streams."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from carillon.kube.client import Client
from carillon.kube.follow import Follower, present_uids
from carillon.kube.resources import JOB_RUNS
from tests.unit.kube.faults import FaultServer, bookmark, page, refusal, run, status, stream


class Told:
    """What was told, in words, and waiting for more of it."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def on_object(self, item: dict[str, Any]) -> None:
        self.words.append(f"{item['metadata']['name']}@{item['metadata']['resourceVersion']}")

    def on_gone(self, namespace: str, name: str, uid: str) -> None:
        self.words.append(f"gone {namespace}/{name} {uid}")

    def on_back(self) -> None:
        self.words.append("back")

    async def until(self, *words: str) -> None:
        try:
            async with asyncio.timeout(30):
                while len(self.words) < len(words):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        finally:
            assert self.words == list(words)


@pytest.fixture
def told() -> Told:
    return Told()


@contextlib.asynccontextmanager
async def running(follower: Follower) -> AsyncIterator[None]:
    task = asyncio.create_task(follower.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def follower(client: Client, told: Told) -> Follower:
    return Follower(client, JOB_RUNS, "files", label_selector="a=b", on_object=told.on_object, on_gone=told.on_gone)


async def test_a_list_then_its_stream(follower: Follower, server: FaultServer, told: Told) -> None:
    server.then(
        page(run("a", 1), run("b", 2), version="5"),
        stream(("MODIFIED", run("a", 6)), ("ADDED", run("c", 7)), ("DELETED", run("b", 8)), end="silent"),
    )
    async with running(follower):
        await told.until("a@1", "b@2", "a@6", "c@7", "gone files/b uid-of-b")
        assert follower.synced.is_set()
        assert time.monotonic() - follower.last_contact < 5
        assert len(follower) == 2
    assert server.seen[1].query["resourceVersion"] == "5"
    assert 36 <= int(server.seen[1].query["timeoutSeconds"]) <= 45, "ended by the server before it counts as silent"


async def test_a_stream_that_ends_is_resumed_where_it_was(follower: Follower, server: FaultServer, told: Told) -> None:
    server.then(
        page(version="5"),
        stream(("ADDED", run("a", 6)), bookmark(9)),
        stream(("ADDED", run("b", 10)), end="reset"),
        stream(("ADDED", run("c", 11)), end="silent"),
    )
    async with running(follower):
        await told.until("a@6", "b@10", "c@11")
    assert [seen.query.get("resourceVersion") for seen in server.seen] == [None, "5", "9", "10"]


@pytest.mark.parametrize(
    "expired",
    [
        refusal(410, "Expired"),
        stream(("ERROR", status(410, "Expired"))),
        stream(("ERROR", status(500, "InternalError"))),
    ],
    ids=["as an answer", "in the stream", "another error in the stream"],
)
async def test_after_an_expired_version_the_difference_is_told(
    follower: Follower, server: FaultServer, told: Told, expired: Any
) -> None:
    server.then(
        page(run("same", 1), run("changed", 2), run("vanished", 3), run("remade", 4), version="5"),
        expired,
        page(run("remade", 30, uid="new"), run("same", 1), run("changed", 20), run("fresh", 21), version="50"),
        stream(end="silent"),
    )
    async with running(follower):
        await told.until(
            *("same@1", "changed@2", "vanished@3", "remade@4"),
            *("gone files/vanished uid-of-vanished", "gone files/remade uid-of-remade"),
            *("remade@30", "changed@20", "fresh@21"),
        )
        await server.until_seen(4)
    assert server.seen[3].query["resourceVersion"] == "50"


async def test_after_a_list_it_is_said_what_there_is_and_as_of_when(
    client: Client, server: FaultServer, told: Told
) -> None:
    """For those who know of objects from the answers to their writes; what was never told cannot be told as gone."""
    listed: list[tuple[set[str], int]] = []
    follower = Follower(
        client,
        JOB_RUNS,
        "files",
        on_object=told.on_object,
        on_gone=told.on_gone,
        on_listed=lambda found, version: listed.append((set(found), version)),
    )
    server.then(page(run("a", 1), run("b", 6), version="10"), refusal(410, "Expired"))
    server.then(page(run("b", 6), version="11"), stream(end="silent"))
    async with running(follower):
        await told.until("a@1", "b@6", "gone files/a uid-of-a")
    assert listed == [({"uid-of-a", "uid-of-b"}, 10), ({"uid-of-b"}, 11)]


class TestAnEtcdThatWasRestored:
    """It goes back in time."""

    @pytest.fixture
    def follower(self, client: Client, told: Told) -> Follower:
        return Follower(client, JOB_RUNS, "files", on_object=told.on_object, on_gone=told.on_gone, on_back=told.on_back)

    async def test_a_list_that_is_older_than_what_was_seen_is_told_in_full(
        self, follower: Follower, server: FaultServer, told: Told
    ) -> None:
        server.then(
            page(run("a", 1), run("b", 6), version="10"),
            stream(("MODIFIED", run("a", 12)), ("ADDED", run("c", 13))),
            refusal(410, "Expired"),
            page(run("a", 1), run("b", 6), version="11"),
            stream(("MODIFIED", run("b", 12)), end="silent"),
        )
        async with running(follower):
            await told.until("a@1", "b@6", "a@12", "c@13", "gone files/c uid-of-c", "back", "a@1", "b@6", "b@12")
        assert server.seen[4].query["resourceVersion"] == "11"

    async def test_it_is_said_once(self, follower: Follower, server: FaultServer, told: Told) -> None:
        server.then(page(version="10"), refusal(410, "Expired"), page(version="8"), refusal(410, "Expired"))
        server.then(page(run("a", 8), version="8"), stream(end="silent"))
        async with running(follower):
            await told.until("back", "a@8")

    async def test_after_a_whole_stream_without_a_word_the_server_is_asked_where_it_is(
        self, follower: Follower, server: FaultServer, told: Told, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A watch from a version that it has not reached is silent, and so is a quiet cluster."""
        monkeypatch.setattr("carillon.kube.follow.SHORT_STREAM_SECONDS", 0.0)
        server.then(
            page(run("a", 9), version="10"),
            stream(),
            page(run("a", 9), version="10", more="the rest"),
            stream(),
            page(run("a", 2), version="8"),
            page(run("a", 2), version="8"),
            stream(("MODIFIED", run("a", 9)), end="silent"),
        )
        async with running(follower):
            await told.until("a@9", "back", "a@2", "a@9")
        asked = [(seen.query.get("limit"), seen.query.get("resourceVersion")) for seen in server.seen]
        assert asked == [
            ("500", None),
            (None, "10"),
            ("1", None),
            (None, "10"),
            ("1", None),
            ("500", None),
            (None, "8"),
        ]

    async def test_a_stream_that_speaks_is_not_doubted(
        self, follower: Follower, server: FaultServer, told: Told
    ) -> None:
        server.then(page(version="5"), stream(bookmark(6)), stream(("ADDED", run("a", 7)), end="silent"))
        async with running(follower):
            await told.until("a@7")
        assert len(server.seen) == 3


async def test_a_silent_stream_is_left(client: Client, server: FaultServer, told: Told) -> None:
    follower = Follower(client, JOB_RUNS, "files", on_object=told.on_object, on_gone=told.on_gone, silence_seconds=0.2)
    server.then(page(version="5"), stream(end="silent"), stream(("ADDED", run("a", 6)), end="silent"))
    async with running(follower):
        await told.until("a@6")
    assert [seen.query.get("resourceVersion") for seen in server.seen][:3] == [None, "5", "5"]


async def test_a_line_of_a_megabyte_and_a_half(follower: Follower, server: FaultServer, told: Told) -> None:
    server.then(page(version="5"), stream(("ADDED", run("a", 6, spec={"x": "x" * 1_500_000})), end="silent"))
    async with running(follower):
        await told.until("a@6")


async def test_a_callback_that_raises_ends_nothing(client: Client, server: FaultServer, told: Told) -> None:
    def fragile(item: dict[str, Any]) -> None:
        if item["metadata"]["name"] == "bad":
            raise ValueError("no such phase")
        told.on_object(item)

    follower = Follower(client, JOB_RUNS, "files", on_object=fragile, on_gone=told.on_gone)
    server.then(page(run("bad", 1), run("good", 2), version="5"), stream(("DELETED", run("bad", 6)), end="silent"))
    with capture_logs() as logs:
        async with running(follower):
            await told.until("good@2", "gone files/bad uid-of-bad")
    assert [(entry["event"], entry["object"]) for entry in logs] == [("follow.callback_failed", "files/bad")]
    assert logs[0]["exc_info"]


async def test_failures_are_retried_with_pauses_and_said_once(
    follower: Follower, server: FaultServer, told: Told
) -> None:
    server.then(
        *[refusal(503, "ServiceUnavailable")] * 5,
        page(version="5"),
        stream(("ADDED", run("a", 6)), end="silent"),
    )
    with capture_logs() as logs:
        async with running(follower):
            await told.until("a@6")
    assert [entry["event"] for entry in logs] == ["follow.lost", "follow.restored"]
    assert "503" in logs[0]["problem"]


async def test_a_throttled_watch_waits_as_told_and_keeps_its_place(
    follower: Follower, server: FaultServer, told: Told
) -> None:
    throttled = refusal(429, "TooManyRequests", **{"Retry-After": "1"})
    server.then(page(version="5"), throttled, stream(("ADDED", run("a", 6)), end="silent"))
    started = time.monotonic()
    async with running(follower):
        await told.until("a@6")
    assert time.monotonic() - started >= 1
    assert [seen.query.get("resourceVersion") for seen in server.seen] == [None, "5", "5"]


async def test_streams_that_end_at_once_are_not_opened_in_a_loop(
    follower: Follower, server: FaultServer, told: Told
) -> None:
    server.then(page(version="5"), *[stream()] * 100)
    async with running(follower):
        await asyncio.sleep(0.5)
    assert 2 <= len(server.seen) <= 6


async def test_a_relist_can_be_asked_for(follower: Follower, server: FaultServer, told: Told) -> None:
    server.then(
        page(run("a", 1), version="5"),
        stream(end="silent"),
        page(run("b", 6), version="6"),
        stream(end="silent"),
    )
    async with running(follower):
        await server.until_seen(2)
        follower.relist()
        await told.until("a@1", "gone files/a uid-of-a", "b@6")
        await server.until_seen(4)


async def test_a_callback_may_ask_for_a_relist(client: Client, server: FaultServer, told: Told) -> None:
    def on_object(item: dict[str, Any]) -> None:
        told.on_object(item)
        if item["metadata"]["name"] == "odd":
            asking.relist()

    asking = Follower(client, JOB_RUNS, "files", on_object=on_object, on_gone=told.on_gone)
    server.then(
        page(run("a", 1), version="5"),
        stream(("ADDED", run("odd", 6)), end="silent"),
        page(run("odd", 6), version="7"),
        stream(("ADDED", run("b", 8)), end="silent"),
    )
    async with running(asking):
        await told.until("a@1", "odd@6", "gone files/a uid-of-a", "b@8")


async def test_an_object_made_anew_without_a_word_of_its_end(
    follower: Follower, server: FaultServer, told: Told
) -> None:
    server.then(page(run("a", 1), version="5"), stream(("ADDED", run("a", 6, uid="new")), end="silent"))
    async with running(follower):
        await told.until("a@1", "gone files/a uid-of-a", "a@6")


async def test_managed_fields_are_not_kept(client: Client, server: FaultServer) -> None:
    items: list[dict[str, Any]] = []
    keep: Callable[[dict[str, Any]], None] = items.append
    follower = Follower(client, JOB_RUNS, None, on_object=keep, on_gone=lambda *_: None)
    server.then(page(run("a", 1), version="5"))
    async with running(follower):
        await follower.synced.wait()
    assert "managedFields" not in items[0]["metadata"]


async def test_who_is_present(client: Client, server: FaultServer) -> None:
    server.then(page(run("a", 1), run("b", 2), version="5"))
    assert await present_uids(client, JOB_RUNS, "files") == {
        "uid-of-a": ("files", "a", "1"),
        "uid-of-b": ("files", "b", "2"),
    }
    assert "PartialObjectMetadataList" in server.seen[0].headers["Accept"]
