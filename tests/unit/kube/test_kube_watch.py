"""Reading one stream: any length of line, and every way in which it can end."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import JOB_RUNS
from carillon.kube.stream import LineSplitter
from tests.unit.kube.faults import FaultServer, bookmark, refusal, run, status, stream


async def read(client: Client, into: list[tuple[str, Any]], **options: Any) -> None:
    options = {"resource_version": "7", "timeout_seconds": 30, **options}
    async for kind, item in client.watch(JOB_RUNS, "files", **options):
        into.append((kind, item))


async def test_a_stream_is_read_to_its_end_bookmarks_included(client: Client, server: FaultServer) -> None:
    events = [("ADDED", run("a", 8)), bookmark(9), ("DELETED", run("a", 10))]
    server.then(stream(*events))
    told: list[tuple[str, Any]] = []
    await read(client, told, label_selector="a=b", metadata_only=True)
    assert told == events
    assert server.seen[0].query == {
        "labelSelector": "a=b",
        "watch": "1",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "timeoutSeconds": "30",
    }
    assert server.seen[0].headers["Accept"] == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


async def test_a_line_may_be_of_any_size(client: Client, server: FaultServer) -> None:
    huge = run("a", 8, spec={"text": "x" * 1_500_000})
    server.then(stream(("ADDED", huge), ("ADDED", run("b", 9))))
    told: list[tuple[str, Any]] = []
    await read(client, told)
    assert told == [("ADDED", huge), ("ADDED", run("b", 9))]


async def test_an_error_line_is_raised(client: Client, server: FaultServer) -> None:
    server.then(stream(("ADDED", run("a", 8)), ("ERROR", status(410, "Expired", "too old resource version: 7 (8)"))))
    told: list[tuple[str, Any]] = []
    with pytest.raises(ApiError, match="410 Expired: too old") as caught:
        await read(client, told)
    assert caught.value.gone
    assert len(told) == 1


async def test_a_refused_watch_is_raised(client: Client, server: FaultServer) -> None:
    server.then(refusal(410, "Expired"))
    with pytest.raises(ApiError, match="410"):
        await read(client, [])


@pytest.mark.parametrize("end", ["reset", "silent"])
async def test_a_broken_stream_is_unreachable_after_what_it_said(client: Client, server: FaultServer, end: str) -> None:
    server.then(stream(("ADDED", run("a", 8)), end=end))
    told: list[tuple[str, Any]] = []
    with pytest.raises(Unreachable, match="watch jobruns"):
        await read(client, told, silence_seconds=0.2)
    assert told == [("ADDED", run("a", 8))]


async def test_a_stream_that_never_begins_is_unreachable(client: Client) -> None:
    with pytest.raises(Unreachable, match="watch jobruns"):
        await read(client, [], silence_seconds=0.1)


async def test_an_unfinished_last_line_is_dropped(client: Client, server: FaultServer) -> None:
    server.then(stream(("ADDED", run("a", 8)), tail=b'{"type":"ADDED","object":{"metad'))
    told: list[tuple[str, Any]] = []
    await read(client, told)
    assert told == [("ADDED", run("a", 8))]


async def test_a_garbled_line_is_unreachable(client: Client, server: FaultServer) -> None:
    server.then(stream(tail=b"<html>\n"))
    with pytest.raises(Unreachable):
        await read(client, [])


@given(lines=st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line)), cuts=st.lists(st.integers(0, 300)))
def test_lines_come_out_as_they_went_in_however_they_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    splitter = LineSplitter()
    out: list[bytes] = []
    for begin, end in pairwise(edges):
        out += splitter.feed(whole[begin:end])
    assert out == lines
