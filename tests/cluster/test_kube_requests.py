"""The client against a real API server: what Kubernetes answers is what the client's errors say it answers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from carillon.kube.client import Client
from carillon.kube.errors import ApiError
from carillon.kube.events import Recorder
from carillon.kube.resources import CONFIG_MAPS, EVENTS, JOB_RUNS, JOBS, LEASES, PODS, Resource
from tests.conftest import Cluster

SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    client = await Client.connect(kubeconfig=str(cluster.kubeconfig))
    yield client
    await client.close()


def job(name: str, **template: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "command": ["true"]}
    pod = {"restartPolicy": "Never", "containers": [container], **template}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"suspend": True, "template": {"spec": pod}},
    }


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def test_the_server_says_its_version(client: Client) -> None:
    assert (await client.version())["gitVersion"].startswith("v1.")


async def test_what_a_group_serves(client: Client) -> None:
    assert (await client.served("", "v1"))["configmaps"] == ("ConfigMap", True)
    assert (await client.served("", "v1"))["nodes"] == ("Node", False)
    assert (await client.served("batch", "v1"))["jobs"] == ("Job", True)
    assert await client.served("nothing.example.com", "v1") == {}


async def test_pages_come_one_by_one_and_are_of_one_moment(client: Client, namespace: str) -> None:
    for number in range(5):
        await client.create(CONFIG_MAPS, namespace, config_map(f"part-{number}"))
    seen: list[str] = []
    versions: set[str] = set()
    async for items, version in client.pages(CONFIG_MAPS, namespace, limit=2):
        if not seen:
            await client.create(CONFIG_MAPS, namespace, config_map("part-9"))
        assert all(item["kind"] == "ConfigMap" for item in items)
        seen += [item["metadata"]["name"] for item in items if item["metadata"]["name"].startswith("part-")]
        versions.add(version)
        assert len(items) <= 2
    assert seen == [f"part-{number}" for number in range(5)]
    assert len(versions) == 1


async def test_a_second_create_already_exists_and_the_first_is_found(client: Client, namespace: str) -> None:
    made = await client.create(JOBS, namespace, job("dump-1"))
    with pytest.raises(ApiError) as caught:
        await client.create(JOBS, namespace, job("dump-1"))
    assert caught.value.already_exists
    assert not caught.value.conflict
    assert (await client.get(JOBS, namespace, "dump-1"))["metadata"]["uid"] == made["metadata"]["uid"]


async def test_a_delete_spares_a_namesake_with_another_uid(client: Client, namespace: str) -> None:
    first = await client.create(CONFIG_MAPS, namespace, config_map("calendar"))
    await client.delete(CONFIG_MAPS, namespace, "calendar", uid=first["metadata"]["uid"])
    await client.delete(CONFIG_MAPS, namespace, "calendar", uid=first["metadata"]["uid"])  # gone already
    second = await client.create(CONFIG_MAPS, namespace, config_map("calendar"))
    await client.delete(CONFIG_MAPS, namespace, "calendar", uid=first["metadata"]["uid"])
    found = await client.get(CONFIG_MAPS, namespace, "calendar")
    assert found["metadata"]["uid"] == second["metadata"]["uid"]


async def test_a_status_patch_is_conditional_on_what_was_read(client: Client, crds: Cluster, namespace: str) -> None:
    body = {
        "apiVersion": JOB_RUNS.api_version,
        "kind": JOB_RUNS.kind,
        "metadata": {"name": "dump-1"},
        "spec": {"scheduledJob": "dump"},
    }
    made = await client.create(JOB_RUNS, namespace, body)
    version = made["metadata"]["resourceVersion"]

    def patch(phase: str, message: str) -> Any:
        status = {"metadata": {"resourceVersion": version}, "status": {"phase": phase, "message": message}}
        return client.merge_patch(JOB_RUNS, namespace, "dump-1", status, subresource="status")

    after = await patch("Running", "one")
    assert after["status"]["phase"] == "Running"
    with pytest.raises(ApiError) as caught:
        await patch("Failed", "two")
    assert caught.value.conflict
    unconditional = {"status": {"message": None}}
    last = await client.merge_patch(JOB_RUNS, namespace, "dump-1", unconditional, subresource="status")
    assert "message" not in last["status"]


async def test_a_strict_create_refuses_a_typo_and_a_dry_run_makes_nothing(client: Client, namespace: str) -> None:
    typo = job("dump-1", restartPolcy="Never")
    with pytest.raises(ApiError, match=r'unknown field "spec\.template\.spec\.restartPolcy"'):
        await client.create(JOBS, namespace, typo, dry_run=True, strict=True)
    await client.create(JOBS, namespace, job("dump-1"), dry_run=True, strict=True)
    with pytest.raises(ApiError) as caught:
        await client.get(JOBS, namespace, "dump-1")
    assert caught.value.not_found


async def test_an_invalid_object_names_its_fields(client: Client, namespace: str) -> None:
    with pytest.raises(ApiError) as caught:
        await client.create(JOBS, namespace, job("dump-1", restartPolicy="Sometimes"))
    assert caught.value.invalid
    assert "spec.template.spec.restartPolicy" in [field for field, _ in caught.value.causes]


async def test_pages_add_up_and_metadata_is_only_metadata(client: Client, namespace: str) -> None:
    for number in range(5):
        await client.create(CONFIG_MAPS, namespace, config_map(f"c{number}", labels={"odd": str(number % 2)}, key="x"))
    items, version = await client.list(CONFIG_MAPS, namespace, label_selector="odd", limit=2)
    assert [item["metadata"]["name"] for item in items] == [f"c{number}" for number in range(5)]
    assert {item["kind"] for item in items} == {"ConfigMap"}
    assert int(version) > 0
    odd, _ = await client.list(CONFIG_MAPS, None, label_selector="odd=1", metadata_only=True)
    assert [item["metadata"]["name"] for item in odd if item["metadata"]["namespace"] == namespace] == ["c1", "c3"]
    assert all("data" not in item for item in odd)


async def test_a_log_is_empty_before_the_start_and_unknown_for_a_stranger(client: Client, namespace: str) -> None:
    spec = {
        "containers": [{"name": "main", "image": "busybox"}],
        "nodeSelector": {"no": "such-node"},
        "serviceAccountName": "task",
    }
    await client.create(SERVICE_ACCOUNTS, namespace, {"metadata": {"name": "task"}})
    await client.create(PODS, namespace, {"metadata": {"name": "p"}, "spec": spec})
    assert await client.pod_log(namespace, "p", container="main", tail_lines=5, limit_bytes=2048) == ""
    with pytest.raises(ApiError) as caught:
        await client.pod_log(namespace, "p", container="stranger", tail_lines=5, limit_bytes=2048)
    assert caught.value.status == 400
    with pytest.raises(ApiError) as caught:
        await client.pod_log(namespace, "nobody", container="main", tail_lines=5, limit_bytes=2048)
    assert caught.value.not_found


async def test_events_are_written_and_counted(client: Client, namespace: str) -> None:
    about = await client.create(LEASES, namespace, {"metadata": {"name": "about"}, "spec": {}})
    recorder = Recorder(client, identity="pod-a")
    task = asyncio.create_task(recorder.run())
    for _ in range(2):
        recorder.emit(regarding=about, type="Warning", reason="PodsRefused", message="quota exceeded: pods")
        await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait({task})
    selector = f"involvedObject.uid={about['metadata']['uid']}"
    [event], _ = await client.list(EVENTS, namespace, field_selector=selector)
    assert (event["reason"], event["count"], event["type"]) == ("PodsRefused", 2, "Warning")
    assert (event["reportingComponent"], recorder.dropped) == ("carillon", 0)


async def test_a_namespace_that_ends_is_told_apart(client: Client, cluster: Cluster, namespace: str) -> None:
    """The words are the API server's own, and we read them."""
    held = {"metadata": {"name": "held", "finalizers": ["carillon.dev/test"]}}
    lease = await client.create(LEASES, namespace, {**held, "spec": {}})
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    await asyncio.sleep(1)  # the API server itself learns of it by a watch
    event = {"metadata": {"name": "e"}, "involvedObject": {"namespace": namespace}, "reason": "x", "type": "Normal"}
    with pytest.raises(ApiError) as caught:
        await client.create(EVENTS, namespace, event)
    assert caught.value.namespace_ends, caught.value
    await client.merge_patch(LEASES, namespace, lease["metadata"]["name"], {"metadata": {"finalizers": None}})
    cluster.kubectl("wait", "--for=delete", "--timeout=60s", f"namespace/{namespace}")
    with pytest.raises(ApiError) as caught:
        await client.create(EVENTS, namespace, event)
    assert caught.value.namespace_ends, caught.value
