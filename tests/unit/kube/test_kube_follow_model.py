"""A follower against a model of the API server: whatever happens to its streams, it ends up knowing what is there."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.follow import Follower
from carillon.kube.resources import JOB_RUNS
from tests.unit.kube.faults import run
from tests.unit.kube.virtual_time import simulate

NAMES = ("a", "b", "c")


class Cluster:
    """Objects with a history that can be compacted, and streams that can be cut; every fault is scripted."""

    def __init__(self) -> None:
        self.version = 0
        self.compacted = 0
        self.there: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[int, str, dict[str, Any]]] = []
        self.news = asyncio.Event()
        self.cut: Exception | None = None
        self.refuse: Exception | None = None

    def _happens(self, kind: str, item: dict[str, Any]) -> None:
        self.history.append((self.version, kind, item))
        self.news.set()

    def write(self, name: str) -> None:
        self.version += 1
        kind = "MODIFIED" if name in self.there else "ADDED"
        uid = self.there[name]["metadata"]["uid"] if name in self.there else f"uid-{self.version}"
        self.there[name] = run(name, self.version, uid=uid)
        self._happens(kind, self.there[name])

    def delete(self, name: str) -> None:
        if name in self.there:
            self.version += 1
            uid = self.there.pop(name)["metadata"]["uid"]
            self._happens("DELETED", run(name, self.version, uid=uid))

    def break_streams(self, problem: Exception) -> None:
        self.cut = problem
        self.news.set()

    async def list(self, *_: Any, **__: Any) -> tuple[list[dict[str, Any]], str]:
        await asyncio.sleep(0.01)
        self._maybe_refuse()
        found = [run(name, 0) | {"metadata": dict(item["metadata"])} for name, item in self.there.items()]
        version = str(self.version)
        await asyncio.sleep(0.01)
        return found, version

    async def watch(
        self, *_: Any, resource_version: str, **__: Any
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        at = int(resource_version)
        await asyncio.sleep(0.01)
        self._maybe_refuse()
        self.cut = None
        while True:
            self.news.clear()
            if at < self.compacted:
                raise ApiError(410, "Expired", "too old")
            for version, kind, item in [entry for entry in self.history if entry[0] > at]:
                await asyncio.sleep(0.001)
                if self.cut is not None:
                    raise self.cut
                at = version
                yield kind, {**item, "metadata": dict(item["metadata"])}
            await self.news.wait()
            if self.cut is not None:
                raise self.cut

    def _maybe_refuse(self) -> None:
        if self.refuse is not None:
            problem, self.refuse = self.refuse, None
            raise problem


steps = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES)),
    st.tuples(st.just("remake"), st.sampled_from(NAMES)),
    st.tuples(st.sampled_from(("reset", "compact", "refuse", "relist", "error")), st.just("")),
    st.tuples(st.just("wait"), st.sampled_from(("0.001", "0.015", "0.1", "3"))),
)


@settings(max_examples=300, deadline=None)
@given(script=st.lists(steps, max_size=40))
def test_what_was_told_is_what_is_there(script: list[tuple[str, str]]) -> None:
    async def tell() -> None:
        cluster = Cluster()
        believed: dict[str, tuple[str, str]] = {}
        lies: list[str] = []

        def on_object(item: dict[str, Any]) -> None:
            metadata = item["metadata"]
            uid, version = believed.get(metadata["name"], (metadata["uid"], "0"))
            if uid != metadata["uid"]:
                lies.append(f"{metadata} was told before the end of {uid}")
            if int(version) >= int(metadata["resourceVersion"]):
                lies.append(f"{metadata} was told twice, or after {version}")
            believed[metadata["name"]] = (metadata["uid"], metadata["resourceVersion"])

        def on_gone(_: str, name: str, uid: str) -> None:
            if believed.pop(name, ("", ""))[0] != uid:
                lies.append(f"{name} {uid} is gone, and was not there")

        follower = Follower(cast("Client", cluster), JOB_RUNS, None, on_object=on_object, on_gone=on_gone)
        task = asyncio.create_task(follower.run())
        for what, detail in script:
            match what:
                case "write":
                    cluster.write(detail)
                case "delete":
                    cluster.delete(detail)
                case "remake":
                    cluster.delete(detail)
                    cluster.write(detail)
                case "reset":
                    cluster.break_streams(Unreachable("reset"))
                case "error":
                    cluster.break_streams(ApiError(500, "InternalError", "cannot decode"))
                case "compact":
                    cluster.compacted = cluster.version
                    cluster.break_streams(Unreachable("reset"))
                case "refuse":
                    cluster.refuse = Unreachable("refused")
                    cluster.break_streams(Unreachable("reset"))
                case "relist":
                    follower.relist()
                case "wait":
                    await asyncio.sleep(float(detail))
        await asyncio.sleep(30)
        there = {
            name: (item["metadata"]["uid"], item["metadata"]["resourceVersion"]) for name, item in cluster.there.items()
        }
        task.cancel()
        await asyncio.wait({task})
        assert (believed, lies) == (there, [])

    simulate(tell())
