"""Events: said once and counted, paced, bounded, and never in the way."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable, WritesRefused
from carillon.kube.events import Recorder, Reference, last_seen
from tests.unit.kube.faults import run
from tests.unit.kube.virtual_time import simulate

START = datetime(2026, 1, 1, tzinfo=UTC)
RUN = run("dump-1", 1)


class Events:
    """Keeps the events that were written, with the time of each write."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.times: list[float] = []
        self.problem: Exception | None = None

    def _write(self) -> None:
        if self.problem is not None:
            raise self.problem
        self.times.append(asyncio.get_running_loop().time())

    async def create(self, _: Any, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        self._write()
        assert body["metadata"]["namespace"] == namespace
        self.kept[body["metadata"]["name"]] = body
        return body

    async def merge_patch(self, _: Any, __: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self._write()
        if name not in self.kept:
            raise ApiError(404, "NotFound", "expired")
        self.kept[name].update(body)
        return self.kept[name]


def told(story: Callable[[Events, Recorder], Any]) -> Callable[[], None]:
    """Make a story a test in virtual time, with a recorder that runs."""

    async def tell() -> None:
        events = Events()
        clock = asyncio.get_running_loop().time
        recorder = Recorder(
            cast("Client", events),
            identity="pod-a",
            now=lambda: START + timedelta(seconds=clock()),
            monotonic=clock,
        )
        task = asyncio.create_task(recorder.run())
        await story(events, recorder)
        task.cancel()
        await asyncio.wait({task})

    def test() -> None:
        simulate(tell())

    test.__name__ = story.__name__
    return test


def say(recorder: Recorder, message: str = "made Job dump-1", *, about: dict[str, Any] = RUN) -> None:
    recorder.emit(regarding=about, type="Normal", reason="Started", message=message)


@told
async def test_an_event_is_what_kubectl_describe_looks_for(events: Events, recorder: Recorder) -> None:
    say(recorder)
    await asyncio.sleep(1)
    [(name, event)] = events.kept.items()
    assert name.startswith("dump-1.")
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "files"},
        "involvedObject": {
            "apiVersion": "carillon.dev/v1alpha1",
            "kind": "JobRun",
            "namespace": "files",
            "name": "dump-1",
            "uid": "uid-of-dump-1",
        },
        "type": "Normal",
        "reason": "Started",
        "message": "made Job dump-1",
        "count": 1,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "source": {"component": "carillon"},
        "reportingComponent": "carillon",
        "reportingInstance": "pod-a",
    }


@told
async def test_a_repetition_within_ten_minutes_is_counted(events: Events, recorder: Recorder) -> None:
    for _ in range(3):
        say(recorder)
        say(recorder)
        await asyncio.sleep(500)
    [event] = events.kept.values()
    assert (event["count"], event["lastTimestamp"]) == (6, "2026-01-01T00:16:40Z")
    await asyncio.sleep(601)
    say(recorder)
    await asyncio.sleep(1)
    assert len(events.kept) == 2


@told
async def test_another_message_or_object_is_another_event(events: Events, recorder: Recorder) -> None:
    say(recorder)
    say(recorder, "made Job dump-2")
    say(recorder, about=run("dump-1", 1, uid="of its successor"))
    reference = Reference(api_version="v1", kind="Node", namespace="", name="n", uid="u")
    recorder.emit(regarding=reference, type="Warning", reason="Started", message="made Job dump-1")
    await asyncio.sleep(1)
    namespaces = [event["metadata"]["namespace"] for event in events.kept.values()]
    assert namespaces == ["files", "default", "files", "files"], "in turn"


@told
async def test_a_count_whose_event_has_expired_begins_anew(events: Events, recorder: Recorder) -> None:
    say(recorder)
    await asyncio.sleep(1)
    events.kept.clear()
    say(recorder)
    await asyncio.sleep(1)
    assert [event["count"] for event in events.kept.values()] == [1]


@told
async def test_a_burst_is_paced_and_what_does_not_fit_is_dropped_oldest_first(
    events: Events, recorder: Recorder
) -> None:
    for number in range(1500):
        say(recorder, f"made Job {number}")
    assert (len(recorder), recorder.dropped) == (1000, 500)
    await asyncio.sleep(10)
    assert 210 <= len(events.times) <= 222
    assert next(iter(events.kept.values()))["message"] == "made Job 500"
    await asyncio.sleep(60)
    assert len(events.kept) == 1000


@told
async def test_a_flood_of_one_namespace_costs_another_none_of_its_events(events: Events, recorder: Recorder) -> None:
    other = {**RUN, "metadata": {**RUN["metadata"], "namespace": "calm"}}
    say(recorder, about=other)
    for number in range(1500):
        say(recorder, f"made Job {number}")
    say(recorder, "made Job dump-2", about=other)
    await asyncio.sleep(1)
    calm = [event["message"] for event in events.kept.values() if event["metadata"]["namespace"] == "calm"]
    assert calm == ["made Job dump-1", "made Job dump-2"]
    assert recorder.dropped == 502, "of the flood alone"


@told
async def test_a_message_is_cut_to_1024_bytes_between_characters(events: Events, recorder: Recorder) -> None:
    say(recorder, "é" * 600)
    await asyncio.sleep(1)
    [event] = events.kept.values()
    assert len(event["message"].encode()) <= 1024
    assert event["message"] == "é" * 510 + "…"


@told
async def test_what_cannot_be_written_is_dropped_and_the_next_is_tried(events: Events, recorder: Recorder) -> None:
    problems = [WritesRefused("lapsed"), ApiError(403, "Forbidden", "no"), Unreachable("reset"), KeyError("a bug")]
    for number, problem in enumerate(problems):
        events.problem = problem
        say(recorder, f"event {number}")
        await asyncio.sleep(1)
    events.problem = None
    say(recorder)
    await asyncio.sleep(1)
    assert (recorder.dropped, len(events.kept)) == (4, 1)


TERMINATING = ApiError(
    403,
    "Forbidden",
    'events "e" is forbidden: unable to create new content in namespace files because it is being terminated',
    (("metadata.namespace", "namespace files is being terminated"),),
)
GONE = ApiError(404, "NotFound", 'namespaces "files" not found')


@pytest.mark.parametrize("problem", [TERMINATING, GONE], ids=["terminating", "gone"])
def test_a_namespace_that_ends_is_no_news(problem: ApiError) -> None:
    @told
    async def story(events: Events, recorder: Recorder) -> None:
        events.problem = problem
        say(recorder)
        await asyncio.sleep(1)
        assert recorder.dropped == 1
        events.problem = ApiError(403, "Forbidden", "no such right")
        say(recorder, "another")
        await asyncio.sleep(1)

    with capture_logs() as logs:
        story()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("events.namespace_ends", "debug"),
        ("events.dropped", "warning"),
    ], "what is worth a warning still gets one"


@pytest.mark.parametrize(
    ("event", "at"),
    [
        ({"firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:07:00Z"}, "00:07:00"),
        ({"eventTime": "2026-01-01T00:07:00.250000Z", "lastTimestamp": None}, "00:07:00.250000"),
        (
            {"eventTime": "2026-01-01T00:07:00.000000Z", "series": {"lastObservedTime": "2026-01-01T00:09:00.000000Z"}},
            "00:09:00",
        ),
        ({"metadata": {"creationTimestamp": "2026-01-01T00:05:00Z"}, "series": None}, "00:05:00"),
    ],
)
def test_when_an_event_was_seen_last(event: dict[str, Any], at: str) -> None:
    assert last_seen(event) == datetime.fromisoformat(f"2026-01-01T{at}+00:00")


def test_an_event_may_have_no_time_at_all() -> None:
    assert last_seen({"metadata": {}}) is None
