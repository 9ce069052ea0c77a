from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from carillon.kube.client import Client
from tests.unit.kube.faults import FaultServer


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    faults = FaultServer()
    application = web.Application(client_max_size=1 << 24)
    application.router.add_route("*", "/{path:.*}", faults.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    faults.url = f"http://{host}:{port}"
    yield faults
    faults.stopped.set()
    await runner.cleanup()


@pytest.fixture
def write_kubeconfig(tmp_path: Path) -> Callable[..., Path]:
    def write(server: str, *, token: str = "first", **cluster: str) -> Path:
        path = tmp_path / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "clusters": [{"name": "here", "cluster": {"server": server, **cluster}}],
            "users": [{"name": "me", "user": {"token": token}}],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    return write


@pytest.fixture
async def client(server: FaultServer, write_kubeconfig: Callable[..., Path]) -> AsyncIterator[Client]:
    client = await Client.connect(kubeconfig=str(write_kubeconfig(server.url)), request_timeout_seconds=5)
    yield client
    await client.close()
