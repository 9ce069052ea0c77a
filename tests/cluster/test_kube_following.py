"""Watches of a real API server: bookmarks, expired versions, selectors, a reader who falls behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from carillon.kube.client import Client
from carillon.kube.errors import ApiError
from carillon.kube.follow import Follower, present_uids
from carillon.kube.resources import CONFIG_MAPS
from tests.conftest import Cluster

SELECTED = {"carillon.dev/test": "yes"}


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    client = await Client.connect(kubeconfig=str(cluster.kubeconfig))
    yield client
    await client.close()


def config_map(name: str, labels: dict[str, str] = SELECTED, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": data}


class Believed:
    """What a follower has told: name to UID."""

    def __init__(self) -> None:
        self.uids: dict[str, str] = {}
        self.words: list[str] = []
        self.sizes: dict[str, int] = {}

    def on_object(self, item: dict[str, Any]) -> None:
        metadata = item["metadata"]
        self.uids[metadata["name"]] = metadata["uid"]
        self.words.append(metadata["name"])
        self.sizes[metadata["name"]] = sum(map(len, (item.get("data") or {}).values()))

    def on_gone(self, _: str, name: str, uid: str) -> None:
        assert self.uids.pop(name) == uid
        self.words.append(f"-{name}")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def following(client: Client, namespace: str, **options: Any) -> AsyncIterator[tuple[Follower, Believed]]:
    believed = Believed()
    selector = ",".join(f"{key}={value}" for key, value in SELECTED.items())
    follower = Follower(
        client,
        CONFIG_MAPS,
        namespace,
        label_selector=selector,
        on_object=believed.on_object,
        on_gone=believed.on_gone,
        **options,
    )
    task = asyncio.create_task(follower.run())
    try:
        await asyncio.wait_for(follower.synced.wait(), 10)
        yield follower, believed
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_creations_changes_deletions_and_leaving_the_selector(client: Client, namespace: str) -> None:
    first = await client.create(CONFIG_MAPS, namespace, config_map("first"))
    async with following(client, namespace) as (follower, believed):
        assert believed.words == ["first"]
        await client.create(CONFIG_MAPS, namespace, config_map("second"))
        await client.create(CONFIG_MAPS, namespace, config_map("unselected", labels={}))
        await client.merge_patch(CONFIG_MAPS, namespace, "second", {"data": {"key": "value"}})
        await client.delete(CONFIG_MAPS, namespace, "first", uid=first["metadata"]["uid"])
        again = await client.create(CONFIG_MAPS, namespace, config_map("first"))
        leaves = {"metadata": {"labels": dict.fromkeys(SELECTED)}}
        await client.merge_patch(CONFIG_MAPS, namespace, "second", leaves)
        await until(lambda: believed.words[-1] == "-second")
        assert believed.words == ["first", "second", "second", "-first", "first", "-second"]
        assert believed.uids == {"first": again["metadata"]["uid"]}
        assert len(follower) == 1


async def test_a_relist_finds_nothing_new_and_loses_nothing(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAPS, namespace, config_map("first"))
    async with following(client, namespace) as (follower, believed):
        for number in range(20):
            await client.create(CONFIG_MAPS, namespace, config_map(f"c{number}"))
            follower.relist()
        await until(lambda: len(believed.uids) == 21)
        assert len(believed.words) == 21
        present = await present_uids(client, CONFIG_MAPS, namespace)
        assert set(believed.uids.values()) <= set(present)


async def test_an_object_of_nearly_a_megabyte_comes_through(client: Client, namespace: str) -> None:
    async with following(client, namespace) as (_, believed):
        await client.create(CONFIG_MAPS, namespace, config_map("huge", key="x" * 1_000_000))
        await until(lambda: "huge" in believed.sizes)
        assert believed.sizes["huge"] == 1_000_000


async def test_metadata_is_enough_for_a_follower(client: Client, namespace: str) -> None:
    async with following(client, namespace, metadata_only=True) as (_, believed):
        await client.create(CONFIG_MAPS, namespace, config_map("first", key="value"))
        await until(lambda: "first" in believed.sizes)
        assert believed.sizes["first"] == 0


async def test_a_burst_is_told_whole(client: Client, namespace: str) -> None:
    async with following(client, namespace) as (_, believed):
        names = [f"burst-{number}" for number in range(300)]
        await asyncio.gather(*(client.create(CONFIG_MAPS, namespace, config_map(name)) for name in names))
        await until(lambda: len(believed.uids) == 300)
        assert len(believed.words) == 300


async def test_the_server_ends_a_stream_in_time_with_a_bookmark(client: Client, namespace: str) -> None:
    _, version = await client.list(CONFIG_MAPS, namespace)
    seen = [
        kind
        async for kind, item in client.watch(
            CONFIG_MAPS, namespace, resource_version=version, timeout_seconds=10, label_selector="no=such"
        )
    ]
    assert set(seen) == {"BOOKMARK"}


async def test_a_watch_that_is_refused_says_why(client: Client, namespace: str) -> None:
    # A version that has expired (410) takes a compaction, minutes away in a new cluster: see the unit tests.
    with pytest.raises(ApiError, match='Invalid value: "yesterday"'):
        async for _ in client.watch(CONFIG_MAPS, namespace, resource_version="yesterday", timeout_seconds=4):
            pass
