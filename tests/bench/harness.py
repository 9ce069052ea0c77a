"""What the benchmarks share: a control plane of their own, the operator as a process, and its footprint from /proc."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carillon.kube.client import Client
from carillon.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES

REPOSITORY = Path(__file__).parents[2]
NAMESPACE = "bench"


@contextmanager
def control_plane() -> Iterator[str]:
    """Bring up a cluster without a node, and end it afterwards; yields the path of its kubeconfig.

    $CARILLON_BENCH_CLUSTER names it (default: bench).
    """
    name = os.environ.get("CARILLON_BENCH_CLUSTER", "bench")
    up = subprocess.run(
        [REPOSITORY / "hack/cluster/up", "--name", name, "--no-node"], stdout=subprocess.PIPE, text=True, check=True
    )
    found = re.search(r"^export KUBECONFIG=(\S+) PATH=([^:\s]+)", up.stdout, re.MULTILINE)
    if found is None:
        raise SystemExit(f"hack/cluster/up did not say where the cluster is:\n{up.stdout}")
    kubeconfig, binaries = found.groups()
    try:
        environment = {**os.environ, "KUBECONFIG": kubeconfig}
        kubectl = [f"{binaries}/kubectl"]
        subprocess.run([*kubectl, "apply", "-f", REPOSITORY / "crds"], env=environment, check=True, stdout=sys.stderr)
        subprocess.run(
            [*kubectl, "wait", "--for=condition=Established", "--timeout=30s", "-f", REPOSITORY / "crds"],
            env=environment,
            check=True,
            stdout=sys.stderr,
        )
        yield kubeconfig
    finally:
        subprocess.run([REPOSITORY / "hack/cluster/down", "--name", name], check=True, stdout=sys.stderr)


@asynccontextmanager
async def client(kubeconfig: str) -> AsyncIterator[Client]:
    """Connect, with a namespace to work in."""
    connection = await Client.connect(kubeconfig=kubeconfig, max_in_flight=32)
    try:
        await connection.get(CUSTOM_RESOURCE_DEFINITIONS, None, "jobruns.carillon.dev")
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        await connection.create(NAMESPACES, None, body)
        yield connection
    finally:
        await connection.close()


@dataclass(frozen=True)
class Footprint:
    """What a process uses."""

    resident_bytes: int
    cpu_seconds: float


class OperatorProcess:
    """The operator as a process of its own."""

    def __init__(self, kubeconfig: str, *arguments: str) -> None:
        self._log = tempfile.NamedTemporaryFile(prefix="carillon-bench-", suffix=".log", delete=False)  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "carillon", "operator", "--kubeconfig", kubeconfig, "--probe-port", "0", *arguments],
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def log(self) -> str:
        """Path of its log."""
        return self._log.name

    def footprint(self) -> Footprint:
        """Read /proc: resident memory now, CPU so far."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks = os.sysconf("SC_CLK_TCK")
        return Footprint(
            resident_bytes=int(stat[21]) * os.sysconf("SC_PAGE_SIZE"),
            cpu_seconds=(int(stat[11]) + int(stat[12])) / ticks,
        )

    def stop(self) -> None:
        """Ask it to stop, and wait."""
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()


def scheduled_job(name: str, triggers: list[dict[str, Any]], policy: str = "Allow") -> dict[str, Any]:
    """Build a small definition."""
    container = {"name": "main", "image": "busybox:1.36", "command": ["true"]}
    return {
        "apiVersion": "carillon.dev/v1alpha1",
        "kind": "ScheduledJob",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "triggers": triggers,
            "concurrency": {"policy": policy},
            "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}},
        },
    }


async def each(work: list[Any], *, at_a_time: int = 16) -> None:
    """Await all, so many at a time."""
    gate = asyncio.Semaphore(at_a_time)

    async def one(item: Any) -> None:
        async with gate:
            await item

    await asyncio.gather(*(one(item) for item in work))


def percentile(values: list[float], share: float) -> float:
    """Nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]
