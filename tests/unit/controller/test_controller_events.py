"""Event sources over a scripted server: one watch a kind, what counts from when, and what is passed over.

The script only injects what a real API server does seldom (410, a refused right, a server that goes back in time);
what it does every day is tested on a real one (tests/e2e/test_events.py).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from carillon.controller import event_sources, event_watch
from carillon.controller.event_sources import EventSources
from carillon.controller.metrics import Metrics
from carillon.controller.old_objects import OldObjects
from carillon.controller.settings import EventSource
from carillon.controller.store import Store
from carillon.engine import plan as plans
from carillon.engine.model import Key, WorkKey
from carillon.kube.client import Served
from carillon.kube.errors import ApiError
from carillon.kube.resources import Resource
from tests.unit.engine.builders import KEY, NAMESPACE, raw_definition

Object = dict[str, Any]
Objects = list[Object]
CONFIG_MAPS = EventSource("", "v1", "configmaps")
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def config_map(name: str, version: int, namespace: str = NAMESPACE, **data: str) -> Object:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, "data": data}


_Streams = list[tuple[str, str | None, bool, str]]


class Server:
    """Tells what the test puts into its streams."""

    def __init__(self) -> None:
        self.version = 100
        self.objects: Objects = []
        self.streams: _Streams = []
        self.lines: asyncio.Queue[tuple[str, Object] | ApiError | None] = asyncio.Queue()
        self.refuse: ApiError | None = None
        self.asked = 0

    async def served(self, group: str, version: str) -> dict[str, Served]:
        return {"configmaps": Served("ConfigMap", True), "nodes": Served("Node", False)}

    async def list(self, resource: Resource, namespace: str | None, **_: Any) -> tuple[Objects, str]:
        self.asked += 1
        if self.refuse is not None:
            raise self.refuse
        return [], str(self.version)

    async def pages(
        self, resource: Resource, namespace: str | None, *, limit: int
    ) -> AsyncGenerator[tuple[Objects, str], None]:
        for item in self.objects:
            yield [item], str(self.version)
        yield [], str(self.version)

    async def watch(
        self, resource: Resource, namespace: str | None, *, resource_version: str, metadata_only: bool, **_: Any
    ) -> AsyncGenerator[tuple[str, Object], None]:
        self.streams.append((resource.plural, namespace, metadata_only, resource_version))
        while (line := await self.lines.get()) is not None:
            if isinstance(line, ApiError):
                raise line
            yield line

    async def tell(self, kind: str, item: Object) -> None:
        self.version = max(self.version, int(item["metadata"]["resourceVersion"]))
        self.lines.put_nowait((kind, item))
        await settle()


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


class Bench:
    def __init__(self, namespaces: tuple[str, ...] = ()) -> None:
        self.server = Server()
        self.decided: list[WorkKey] = []
        self.store = Store(changed=self._changed, unreadable=lambda *_: None, clock=lambda: NOW)
        self.sources = EventSources(
            client=self.server,  # type: ignore[arg-type]
            store=self.store,
            metrics=Metrics(),
            allowed=[CONFIG_MAPS, EventSource("", "v1", "nodes")],
            namespaces=namespaces,
            changed=self.decided.append,
            clock=lambda: NOW,
        )
        self.task: asyncio.Task[None] | None = None

    def _changed(self, key: WorkKey) -> None:
        if isinstance(key, Key):
            self.sources.consider(key)

    def define(self, *, version: int = 10, resource: str = "configmaps", name: str = KEY.name, **spec: Any) -> None:
        event = {"version": "v1", "resource": resource, **spec.pop("event", {})}
        raw = raw_definition(
            name=name, uid=f"uid-{name}", resource_version=version, triggers=[{"name": "t", "event": event}], **spec
        )
        self.store.put_definition(raw)

    async def start(self) -> None:
        self.task = asyncio.create_task(self.sources.run())
        await settle()

    def told(self, name: str = KEY.name) -> list[str]:
        """The objects in the windows."""
        windows = self.store.notes(Key(NAMESPACE, name)).event_windows.get("t", ())
        return [f"{told.type} {told.name}" for window in windows for told in window.objects]

    def watched(self) -> str | None:
        return self.store.notes(KEY).event_watched.get("t")


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def build(*arguments: Any) -> Bench:
        made.append(Bench(*arguments))
        return made[-1]

    yield build
    for bench in made:
        if bench.task is not None:
            bench.task.cancel()
            await asyncio.wait({bench.task})


async def test_one_stream_of_metadata_for_all_triggers_of_a_kind(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.define()
    bench.define(name="other", version=11)
    await bench.start()
    assert bench.server.streams == [("configmaps", None, True, "100")]
    assert bench.watched() == ""
    await bench.server.tell("ADDED", config_map("a", 101))
    await bench.server.tell("MODIFIED", config_map("a", 102))
    assert bench.told() == bench.told("other") == ["Created a"]
    assert bench.store.notes(KEY).event_windows["t"][0].first.kind == "ConfigMap"
    assert KEY in bench.decided


async def test_what_is_not_newer_than_the_trigger_was_there_before(make: Callable[..., Bench]) -> None:
    """A stream may be behind; a second trigger does not get what the first one still waits for."""
    bench = make()
    bench.define(event={"types": ["Created", "Updated"], "debounceSeconds": 60})
    await bench.start()
    bench.server.version = 105
    bench.define(name="other", version=11, event={"types": ["Created", "Updated"], "debounceSeconds": 60})
    await settle()
    await bench.server.tell("ADDED", config_map("late", 104))
    await bench.server.tell("ADDED", config_map("new", 106))
    assert bench.told() == ["Created late", "Created new"]
    assert bench.told("other") == ["Created new"]


async def test_nothing_is_told_by_a_relist(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.define()
    await bench.start()
    bench.server.version = 150
    bench.server.lines.put_nowait(ApiError(410, "Expired", "too old"))
    await asyncio.sleep(event_watch.SHORTEST_PAUSE_SECONDS * 3)
    assert bench.server.streams[-1] == ("configmaps", None, True, "150")
    assert bench.told() == []
    await bench.server.tell("ADDED", config_map("after", 151))
    assert bench.told() == ["Created after"]
    assert bench.watched() == ""


async def test_an_error_of_the_server_costs_no_event(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.define(event={"debounceSeconds": 60})
    await bench.start()
    await bench.server.tell("ADDED", config_map("a", 120))
    bench.server.version = 150
    bench.server.lines.put_nowait(ApiError(500, "InternalError", "etcdserver: request timed out"))
    await asyncio.sleep(event_watch.SHORTEST_PAUSE_SECONDS * 3)
    assert bench.server.streams[-1] == ("configmaps", None, True, "120")
    await bench.server.tell("ADDED", config_map("b", 121))
    assert bench.told() == ["Created a", "Created b"]


async def test_a_stream_that_ends_goes_on_where_it_was(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.define()
    await bench.start()
    await bench.server.tell("ADDED", config_map("a", 120))
    bench.server.lines.put_nowait(None)
    await settle()
    assert [stream[3] for stream in bench.server.streams] == ["100", "120"]


async def test_a_server_that_has_gone_back_is_begun_with_anew(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An etcd that was restored from a backup: a stream from a version that it has not reached is silent."""
    bench = make()
    bench.define()
    await bench.start()
    bench.server.version = 50
    bench.server.lines.put_nowait(None)
    await asyncio.sleep(event_watch.SHORTEST_PAUSE_SECONDS * 3)
    assert bench.server.streams[-1][3] == "50"
    await bench.server.tell("ADDED", config_map("a", 51))
    assert bench.told() == ["Created a"]


async def test_a_filter_asks_for_whole_objects_on_the_same_stream(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.define()
    await bench.start()
    await bench.server.tell("ADDED", config_map("a", 101))
    bench.server.objects = [config_map("a", 101, image="1"), config_map("b", 90, image="1")]
    changed = "object.data.image != oldObject.data.image"
    bench.define(name="other", version=11, event={"types": ["Updated"], "filter": changed})
    await settle()
    assert bench.server.streams[-1] == ("configmaps", None, False, "101"), "it goes on from where it was"
    await bench.server.tell("MODIFIED", config_map("a", 102, image="1"))
    await bench.server.tell("MODIFIED", config_map("b", 103, image="2"))
    async with asyncio.timeout(10):
        while not bench.told("other"):  # noqa: ASYNC110  (a process of its own answers)
            await asyncio.sleep(0.01)
    assert bench.told("other") == ["Updated b"]


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ("secrets", "added to eventSources in the values of the chart"),
        ("nodes", "nodes are in no namespace"),
    ],
)
async def test_what_cannot_be_watched_is_said(make: Callable[..., Bench], resource: str, words: str) -> None:
    bench = make()
    bench.define(resource=resource)
    await bench.start()
    watched = bench.watched() or ""
    assert watched.startswith("spec.triggers[0].event.resource: ")
    assert words in watched
    assert bench.server.streams == []


async def test_a_right_that_is_missing_is_said_until_it_is_there(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_watch, "REFUSED_PAUSE_SECONDS", 0.05)
    bench = make()
    bench.server.refuse = ApiError(403, "Forbidden", "cannot list")
    bench.define()
    await bench.start()
    assert "may not list and watch configmaps of v1" in (bench.watched() or "")
    bench.server.refuse = None
    await asyncio.sleep(0.2)
    assert bench.watched() == ""


async def test_watches_end_with_the_last_trigger(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.define()
    await bench.start()
    bench.store.drop("uid-sweep")
    await settle()
    assert bench.sources._watches == {}
    await bench.server.tell("ADDED", config_map("a", 101))
    assert bench.store.known() == []


async def test_with_namespaces_named_only_these_are_watched(make: Callable[..., Bench]) -> None:
    bench = make((NAMESPACE, "elsewhere"))
    bench.define()
    await bench.start()
    assert bench.server.streams == [("configmaps", NAMESPACE, True, "100")]


async def test_a_standby_keeps_nothing(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.define(event={"debounceSeconds": 60})
    await bench.start()
    await bench.server.tell("ADDED", config_map("a", 101))
    assert bench.told() == ["Created a"]
    assert bench.task is not None
    bench.task.cancel()
    await asyncio.wait({bench.task})
    assert bench.told() == []
    bench.define(name="other", version=11)
    assert bench.store.notes(KEY).event_watched == {}


async def test_disabled_ones_count_and_are_told_at_intervals(make: Callable[..., Bench]) -> None:
    recorded = [{"trigger": "t", "reason": "Disabled", "count": 5, "lastTime": "2026-03-09T00:00:00Z"}]
    bench = make()
    bench.define(suspend=True, status={"events": recorded})
    await bench.start()
    for number in range(100):
        await bench.server.tell("ADDED", config_map(f"o{number}", 101 + number))
    decided = len(bench.decided)
    await asyncio.sleep(1.2)
    (line,) = bench.store.notes(KEY).event_counts.values()
    assert (line.reason, line.count) == ("Disabled", 105)
    assert len(bench.decided) == decided + 1, "one decision for all of them"


async def test_a_window_that_has_its_run_or_is_given_up_is_gone(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.define(event={"debounceSeconds": 60})
    await bench.start()
    await bench.server.tell("ADDED", config_map("a", 101))
    bench.sources.pass_over(KEY, plans.PassOverEvents("t", "uid-a", "101", "ConcurrencyForbid"))
    assert bench.told() == []
    bench.sources.pass_over(KEY, plans.PassOverEvents("t", "uid-a", "101", "ConcurrencyForbid"))  # again


class TestOldObjects:
    def test_the_last_seen_is_what_it_looked_like_before(self) -> None:
        old, watch = OldObjects(), object()
        assert old.swap(watch, "a", b"1") is None
        assert old.swap(watch, "a", b"2") == b"1"
        assert old.take(watch, "a") == b"2"
        assert (len(old), old.bytes) == (0, 0)

    def test_the_bound_is_one_of_bytes_for_all_watches(self) -> None:
        old, one, other = OldObjects(10), object(), object()
        old.swap(one, "a", b"aaaa")
        old.swap(other, "a", b"bbbb")
        old.swap(one, "b", b"cccc")
        assert old.take(one, "a") is None
        assert old.bytes == 8
        old.swap(one, "large", b"x" * 11)
        assert (len(old), old.bytes) == (0, 0)

    def test_a_watch_that_ends_leaves_nothing(self) -> None:
        old, one, other = OldObjects(), object(), object()
        old.swap(one, "a", b"1")
        old.swap(other, "a", b"22")
        old.forget(one)
        assert (len(old), old.bytes) == (1, 2)


async def test_of_too_many_triggers_of_a_namespace_the_oldest_are_watched(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event is looked at for each of them; and one more is, when another one goes."""
    monkeypatch.setattr(event_sources, "MOST_TRIGGERS", 2)
    bench = make()
    for version, name in enumerate(("a", "b", "c"), start=10):
        bench.define(name=name, version=version)
    await bench.start()

    def watched(name: str) -> str | None:
        return bench.store.notes(Key(NAMESPACE, name)).event_watched.get("t")

    assert (watched("a"), watched("b")) == ("", "")
    assert "found more than 2 triggers on configmaps in this namespace" in (watched("c") or "")
    await bench.server.tell("ADDED", config_map("first", 101))
    assert bench.told("a") == bench.told("b") == ["Created first"]
    assert bench.told("c") == []
    bench.store.drop("uid-a")
    await settle()
    assert watched("c") == ""
    await bench.server.tell("ADDED", config_map("second", 102))
    assert bench.told("c") == ["Created second"]
