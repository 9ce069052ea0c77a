"""Where the cluster is, and what is read again while the process lives."""

import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from kubernetes.aio.config import incluster_config

from carillon.kube import transport
from carillon.kube.client import Client
from carillon.kube.errors import Unreachable


def certificate(folder: Path) -> tuple[Path, Path]:
    folder.mkdir()
    crt, key = folder / "tls.crt", folder / "tls.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(crt), "-keyout", str(key)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return crt, key


@pytest.fixture
async def tls_server(tmp_path: Path) -> AsyncIterator[tuple[int, Path, list[str]]]:
    """A port, its certificate, and the Authorization headers seen there."""
    seen: list[str] = []

    async def version(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return web.json_response({"gitVersion": "v1.36.3"})

    crt, key = certificate(tmp_path / "server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(crt, key)
    application = web.Application()
    application.router.add_get("/version", version)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield runner.addresses[0][1], crt, seen
    await runner.cleanup()


async def test_a_pod_reads_its_rotated_token(
    tls_server: tuple[int, Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, crt, seen = tls_server
    token = tmp_path / "token"
    token.write_text("first")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(crt))
    client = await Client.connect()
    await client.version()
    token.write_text("second")
    loader = client.configuration.refresh_api_key_hook.__closure__[0].cell_contents
    loader.token_expires_at = loader.token_expires_at.replace(year=2000)  # the library looks once a minute
    await client.version()
    await client.close()
    assert seen == ["bearer first", "bearer second"]


async def test_a_rotated_ca_file_is_read_after_a_refused_certificate(
    tls_server: tuple[int, Path, list[str]], tmp_path: Path, write_kubeconfig: Callable[..., Path]
) -> None:
    port, crt, _ = tls_server
    other, _ = certificate(tmp_path / "other")
    trusted = tmp_path / "ca.crt"
    trusted.write_bytes(other.read_bytes())
    kubeconfig = write_kubeconfig(f"https://127.0.0.1:{port}", **{"certificate-authority": str(trusted)})
    client = await Client.connect(kubeconfig=str(kubeconfig))
    trusted.write_bytes(crt.read_bytes())
    with pytest.raises(Unreachable, match="certificate"):
        await client.version()
    assert (await client.version())["gitVersion"] == "v1.36.3"
    await client.close()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("https://10.96.0.1:443", "http://proxy:3128"),
        ("https://api.example.com", None),
        ("http://10.96.0.1", None),
    ],
)
def test_a_proxy_is_taken_from_the_environment_once(
    monkeypatch: pytest.MonkeyPatch, host: str, expected: str | None
) -> None:
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "api.example.com")
    assert transport._proxy_of(host) == expected
