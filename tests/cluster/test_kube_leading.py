"""Two electors on a real Lease: handing over, dying, and waking up too late."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import yaml

from carillon.kube.client import Client
from carillon.kube.errors import ApiError, WritesRefused
from carillon.kube.lease import Elector
from carillon.kube.resources import CONFIG_MAPS, LEASES
from tests.conftest import REPOSITORY, Cluster

Connect = Callable[..., Awaitable[Client]]

WRITER = """
import asyncio, sys
from carillon.kube.client import Client
from carillon.kube.errors import WritesRefused
from carillon.kube.lease import Elector
from carillon.kube.resources import CONFIG_MAPS

async def main():
    client = await Client.connect()
    client.gate = elector = Elector(client, namespace=sys.argv[1], name="operator", identity="writer")
    running = asyncio.create_task(elector.run(on_started=lambda: None, on_stopped=lambda: None))
    number = 0
    while True:
        number += 1
        try:
            await client.create(CONFIG_MAPS, sys.argv[1], {"metadata": {"name": f"written-{number}"}})
            print("wrote", flush=True)
        except WritesRefused:
            print("refused", flush=True)
        await asyncio.sleep(0.02)

import structlog
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
asyncio.run(main())
"""


@pytest.fixture
async def connect(cluster: Cluster) -> AsyncIterator[Connect]:
    clients: list[Client] = []

    async def connect(kubeconfig: Path | None = None) -> Client:
        clients.append(await Client.connect(kubeconfig=str(kubeconfig or cluster.kubeconfig)))
        return clients[-1]

    yield connect
    for client in clients:
        await client.close()


def elector(client: Client, namespace: str, identity: str, monotonic: Callable[[], float] = time.monotonic) -> Elector:
    one = Elector(client, namespace=namespace, name="operator", identity=identity, monotonic=monotonic)
    client.gate = one
    return one


@contextlib.asynccontextmanager
async def running(elector: Elector) -> AsyncIterator[list[str]]:
    said: list[str] = []
    run = elector.run(on_started=lambda: said.append("started"), on_stopped=lambda: said.append("stopped"))
    task = asyncio.create_task(run)
    try:
        yield said
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def leads(elector: Elector, within_seconds: float) -> float:
    begin = time.monotonic()
    async with asyncio.timeout(within_seconds):
        while not elector.leading:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return time.monotonic() - begin


async def test_a_released_lease_is_taken_before_it_runs_out(connect: Connect, namespace: str) -> None:
    first, second = await connect(), await connect()
    a, b = elector(first, namespace, "pod-a"), elector(second, namespace, "pod-b")
    async with running(a):
        await leads(a, within_seconds=15)
        async with running(b):
            await asyncio.sleep(1.5)
            with pytest.raises(WritesRefused):
                await second.create(CONFIG_MAPS, namespace, {"metadata": {"name": "by-b"}})
            await first.create(CONFIG_MAPS, namespace, {"metadata": {"name": "by-a"}})
            await a.release()
            assert await leads(b, within_seconds=15) < 4, "sooner than the lease runs out"
            await second.create(CONFIG_MAPS, namespace, {"metadata": {"name": "by-b"}})
            with pytest.raises(WritesRefused):
                await first.create(CONFIG_MAPS, namespace, {"metadata": {"name": "by-a-again"}})
            spec = (await second.get(LEASES, namespace, "operator"))["spec"]
            assert spec["holderIdentity"] == b.identity
            assert (spec["leaseTransitions"], spec["leaseDurationSeconds"]) == (1, 4)


async def test_a_leader_whose_time_has_passed_is_refused_before_anyone_tells_it(
    connect: Connect, namespace: str
) -> None:
    asleep = 0.0
    client = await connect()
    one = elector(client, namespace, "pod-a", monotonic=lambda: time.monotonic() + asleep)
    async with running(one) as said:
        await leads(one, within_seconds=15)
        asleep = 3.1
        with pytest.raises(WritesRefused):
            await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "too-late"}})
        await asyncio.sleep(0.7)
        assert said[:2] == ["started", "stopped"]


async def test_a_stopped_process_is_succeeded_and_refused_when_it_wakes(
    connect: Connect, cluster: Cluster, namespace: str
) -> None:
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "PYTHONPATH": str(REPOSITORY / "operator")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, namespace, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        while await asyncio.wait_for(process.stdout.readline(), 10) != b"wrote\n":
            pass
        successor = elector(await connect(), namespace, "successor")
        async with running(successor):
            await asyncio.sleep(1)
            process.send_signal(signal.SIGSTOP)
            assert await leads(successor, within_seconds=30) >= 3
            before = await asyncio.wait_for(process.stdout.read(1 << 20), 5)
            assert b"wrote" in before
            process.send_signal(signal.SIGCONT)
            words = [await asyncio.wait_for(process.stdout.readline(), 5) for _ in range(20)]
            # The one request that was on the wire when it was stopped had landed already; its answer is read now.
            assert b"wrote\n" not in words[1:], words
            assert words[-1] == b"refused\n"
            successor.check()
    finally:
        process.kill()
        await process.communicate()


async def test_get_create_and_patch_on_leases_are_all_it_needs(
    connect: Connect, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    account = f"system:serviceaccount:{namespace}:elector"
    cluster.kubectl("create", "serviceaccount", "elector", "-n", namespace)
    cluster.kubectl("create", "role", "elector", "-n", namespace, "--verb=get,create,patch", "--resource=leases")
    cluster.kubectl(
        *("create", "rolebinding", "elector", "-n", namespace, "--role=elector"),
        f"--serviceaccount={namespace}:elector",
    )
    token = cluster.kubectl("create", "token", "elector", "-n", namespace).stdout
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    client = await connect(kubeconfig)
    one = elector(client, namespace, "pod-a")
    async with running(one):
        await leads(one, within_seconds=15)
        await asyncio.sleep(1.5)
        one.check()
        with pytest.raises(ApiError, match=re.escape(account)) as caught:
            await client.create(CONFIG_MAPS, namespace, {"metadata": {"name": "not-mine"}})
        assert caught.value.forbidden
        await one.release()
        assert "holderIdentity" not in (await client.get(LEASES, namespace, "operator"))["spec"]
