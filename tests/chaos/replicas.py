"""Operator processes, each behind a proxy of its own, and who of them leads."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.chaos.certificates import Authority, Certificate
from tests.chaos.proxy import Entry, Proxy, Taken
from tests.chaos.witness import until
from tests.e2e.operators import OperatorProcess, free_port

REPOSITORY = Path(__file__).parents[2]
LEASE_NAMESPACE, LEASE = "chaos-system", "carillon-chaos"
START_SECONDS = 60.0


@dataclass
class Replica:
    """One process and its proxy."""

    operator: OperatorProcess
    proxy: Proxy
    kubeconfig: Path

    @property
    def identity(self) -> str:
        return self.operator.identity

    @property
    def running(self) -> bool:
        return self.operator.running


class Replicas:
    """Starts operators, and knows from their proxies who leads."""

    def __init__(
        self, *, directory: Path, upstream: str, credentials: ssl.SSLContext, anonymous: ssl.SSLContext
    ) -> None:
        self.directory = directory
        self.authority = Authority(directory, "authority")
        self.log = directory / "operators.log"
        self.log.touch()
        self.all: list[Replica] = []
        self.arguments: tuple[str, ...] = ()
        """More settings, for those that are started from now on."""
        self.module = "carillon"
        """What they are started from."""
        self._upstream = upstream
        self._contexts = (credentials, anonymous)

    @property
    def running(self) -> list[Replica]:
        """Those whose process runs."""
        return [replica for replica in self.all if replica.running]

    @property
    def taken(self) -> list[Taken]:
        """Who became the leader, oldest first."""
        return sorted((taken for replica in self.all for taken in replica.proxy.taken), key=lambda each: each.at)

    @property
    def entries(self) -> list[Entry]:
        """Every request of every operator."""
        return [entry for replica in self.all for entry in replica.proxy.log]

    @property
    def leader(self) -> Replica:
        """Who took the lease last."""
        last = self.taken[-1].operator
        return next(replica for replica in self.all if replica.identity == last)

    @property
    def standby(self) -> Replica:
        """One that runs, and does not lead."""
        return next(replica for replica in self.running if replica is not self.leader)

    async def start(self, *arguments: str, lease: str = LEASE, user: Any = None) -> Replica:
        """Start one more; `user` is its entry in the kubeconfig, where the proxy's credentials are not to be used."""
        identity = f"operator-{len(self.all) + 1}"
        proxy = Proxy(identity, self._upstream, *self._contexts, seed=len(self.all))
        await proxy.start(self.authority)
        kubeconfig = self.directory / f"{identity}.kubeconfig"
        write_kubeconfig(kubeconfig, proxy.port, self.authority, user or {})
        port = free_port()
        command = [sys.executable, "-m", self.module, "operator", "--identity", identity, "--log-format", "json"]
        command += ["--kubeconfig", str(kubeconfig), "--probe-port", str(port), "--probe-address", "127.0.0.1"]
        command += ["--lease-namespace", LEASE_NAMESPACE, "--lease-name", lease, *self.arguments, *arguments]
        environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}"}
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=REPOSITORY)  # noqa: ASYNC220
        replica = Replica(OperatorProcess(identity, port, process, 0), proxy, kubeconfig)
        self.all.append(replica)
        return replica

    async def until_ready(self, replica: Replica) -> None:
        """Wait until its probe says that it has seen everything."""
        deadline = time.monotonic() + START_SECONDS
        while await asyncio.to_thread(replica.operator.probe, "/readyz") != "ok\n":
            if time.monotonic() > deadline or not replica.running:
                raise TimeoutError(f"{replica.identity} was not ready within {START_SECONDS:.0f} s; see {self.log}")
            await asyncio.sleep(0.1)

    async def next_leader(self, since: float, *, seconds: float = 30) -> Taken:
        """Wait for somebody to take the lease after `since`, of `time.monotonic`."""

        def taken() -> Taken | None:
            return next((each for each in self.taken if each.at > since), None)

        await until(lambda: taken() is not None, f"somebody to take the lease; see {self.log}", seconds=seconds)
        found = taken()
        assert found is not None
        return found

    async def stop(self, replica: Replica) -> int:
        """Stop it with grace; its exit code."""
        return await asyncio.to_thread(replica.operator.stop)

    async def end(self) -> None:
        """End all processes and their proxies."""
        for replica in self.all:
            if replica.running:
                replica.operator.kill()
            await replica.proxy.stop()

    def errors(self, since: int) -> list[str]:
        """What operators have logged as errors, from this offset of the log on."""
        with self.log.open("rb") as log:
            log.seek(since)
            lines = log.read().decode(errors="replace").splitlines()
        return [line for line in lines if _is_error(line)]


def write_kubeconfig(path: Path, port: int, authority: Authority, user: dict[str, Any]) -> None:
    """Name the proxy, and as whom to ask it."""
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(authority.certificate)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "chaos",
        "contexts": [{"name": "chaos", "context": {"cluster": "chaos", "user": "chaos"}}],
        "clusters": [{"name": "chaos", "cluster": cluster}],
        "users": [{"name": "chaos", "user": user}],
    }
    partial = path.with_suffix(".new")
    partial.write_text(yaml.safe_dump(document))
    partial.replace(path)


def as_client(certificate: Certificate) -> dict[str, Any]:
    """A kubeconfig's user that shows a certificate."""
    return {"client-certificate": str(certificate.certificate), "client-key": str(certificate.key)}


def _is_error(line: str) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return bool(line.strip())
    return entry.get("level") in ("error", "critical") or "exception" in entry
