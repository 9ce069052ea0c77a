"""What the benchmarks share: a control plane of their own, the operator as a process, and its footprint from /proc."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from carillon.api import keys
from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, JOBS, NAMESPACES, PODS, SCHEDULED_JOBS

REPOSITORY = Path(__file__).parents[2]
NAMESPACE = "bench"


class ControlPlane(NamedTuple):
    """A cluster without a node."""

    kubeconfig: str
    binaries: Path
    """The directory of its commands."""


@contextmanager
def control_plane(name: str = "", *options: str, node: bool = False) -> Iterator[ControlPlane]:
    """Bring up a cluster, and end it afterwards; `options` are those of hack/cluster/up. Pods run only with a `node`.

    Without a name it is $CARILLON_BENCH_CLUSTER (default: bench). With $CARILLON_BENCH_KEEP it stays, for the next run.
    """
    name = name or os.environ.get("CARILLON_BENCH_CLUSTER", "bench")
    options = ("--name", name, *options, *([] if node else ["--no-node"]))
    up = subprocess.run([REPOSITORY / "hack/cluster/up", *options], stdout=subprocess.PIPE, text=True, check=True)
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
        yield ControlPlane(kubeconfig, Path(binaries))
    finally:
        if not os.environ.get("CARILLON_BENCH_KEEP"):
            subprocess.run([REPOSITORY / "hack/cluster/down", "--name", name], check=True, stdout=sys.stderr)


def kubectl(kubeconfig: str, *arguments: str) -> str:
    """Run kubectl and return what it prints."""
    command = subprocess.run(
        [REPOSITORY / "hack/cluster/which", "kubectl"], stdout=subprocess.PIPE, text=True, check=True
    )
    return subprocess.run(
        [command.stdout.strip(), "--kubeconfig", kubeconfig, *arguments], stdout=subprocess.PIPE, text=True, check=True
    ).stdout


@asynccontextmanager
async def client(kubeconfig: str, *namespaces: str) -> AsyncIterator[Client]:
    """Connect, with a namespace to work in, and others that are named."""
    connection = await Client.connect(kubeconfig=kubeconfig, max_in_flight=32)
    try:
        await connection.get(CUSTOM_RESOURCE_DEFINITIONS, None, "jobruns.carillon.dev")
        for name in (NAMESPACE, *namespaces):
            await make_namespace(connection, name)
        yield connection
    finally:
        await connection.close()


async def make_namespace(connection: Client, name: str) -> None:
    """Create a namespace, unless it is there."""
    try:
        await connection.create(NAMESPACES, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    except ApiError as error:
        if not error.already_exists:
            raise


@dataclass(frozen=True)
class Footprint:
    """What a process uses."""

    resident_bytes: int
    cpu_seconds: float


def footprint(pid: int) -> Footprint:
    """Read what a process uses from /proc."""
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return Footprint(
        resident_bytes=int(stat[21]) * os.sysconf("SC_PAGE_SIZE"),
        cpu_seconds=(int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"),
    )


class OperatorProcess:
    """The operator as a process of its own."""

    def __init__(self, kubeconfig: str, *arguments: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._probes = f"127.0.0.1:{free.getsockname()[1]}"
        host, port = self._probes.split(":")
        self._log = tempfile.NamedTemporaryFile(prefix="carillon-bench-", suffix=".log", delete=False)  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "carillon", "operator", "--kubeconfig", kubeconfig),
                *("--probe-address", host, "--probe-port", port, *arguments),
            ],
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def log(self) -> str:
        """Path of its log."""
        return self._log.name

    def footprint(self) -> Footprint:
        """Read /proc: resident memory now, CPU so far."""
        return footprint(self._process.pid)

    async def until_ready(self) -> None:
        """Wait until everything is listed."""
        ready = None
        while ready is None:
            await asyncio.sleep(0.1)
            ready = await asyncio.to_thread(self._probe, "readyz")

    async def metric(self, name: str) -> float:
        """Read one of its metrics, by the name with labels as they are written; not a number where it has none."""
        text = await asyncio.to_thread(self._probe, "metrics") or ""
        return next(
            (float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} ")), float("nan")
        )

    async def until_settled(self, definitions: int) -> None:
        """Wait until it leads, knows as many definitions, and has nothing left to look at for a second."""
        quiet = 0
        while quiet < 4:
            await asyncio.sleep(0.25)
            known = await self.metric('carillon_objects{resource="scheduledjobs"}')
            leads, waiting = await self.metric("carillon_leader"), await self.metric("carillon_queue_depth")
            quiet = quiet + 1 if known >= definitions and (leads, waiting) == (1, 0) else 0

    def _probe(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://{self._probes}/{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            return None

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait(timeout=30)
        self._log.close()

    def stop(self) -> None:
        """Ask it to stop, and wait."""
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()


async def finish_pods(connection: Client, namespace: str = NAMESPACE) -> None:
    """Stand in for a kubelet: report each pod as succeeded as soon as it is there."""
    while True:
        try:
            await _finish_pods(connection, namespace)
        except (ApiError, Unreachable) as error:  # of a machine that is busy
            print(f"the stand-in for a kubelet begins anew: {error}", file=sys.stderr)


async def _finish_pods(connection: Client, namespace: str) -> None:
    pods, version = await connection.list(PODS, namespace)
    for pod in pods:
        await _finish(connection, pod)
    while True:
        stream = connection.watch(PODS, namespace, resource_version=version, timeout_seconds=3600)
        async with aclosing(stream) as events:
            async for kind, pod in events:
                version = pod["metadata"]["resourceVersion"]
                if kind == "ADDED":
                    await _finish(connection, pod)


async def _finish(connection: Client, pod: dict[str, Any]) -> None:
    if pod.get("status", {}).get("phase") == "Succeeded":
        return
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    try:
        await connection.merge_patch(PODS, namespace, name, {"status": {"phase": "Succeeded"}}, subresource="status")
    except ApiError as error:
        if not error.not_found:
            raise


class Probe:
    """Definitions in a namespace of their own, of which one is due every second, and when their Jobs are seen."""

    NAMESPACE = "probe"
    DEFINITIONS = 10
    """Each is due every so many seconds: to be due every second would be slow by itself on a machine that is busy."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self.seen: list[tuple[float, float]] = []
        """Of each Job its due time and when the watch told of it, seconds since the epoch."""
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Make the definitions, and watch."""
        for number in range(self.DEFINITIONS):
            start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() // 60 * 60 - 60 + number))
            body = scheduled_job(f"probe-{number}", [{"name": "due", "interval": f"R/{start}/PT{self.DEFINITIONS}S"}])
            body["metadata"]["namespace"] = self.NAMESPACE
            await self._connection.create(SCHEDULED_JOBS, self.NAMESPACE, body)
        self._tasks = [
            asyncio.create_task(finish_pods(self._connection, self.NAMESPACE)),
            asyncio.create_task(self._watch()),
        ]

    async def end(self) -> None:
        """Delete the definitions, with all that they own, and watch no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for number in range(self.DEFINITIONS):
            name = f"probe-{number}"
            found = await self._connection.get(SCHEDULED_JOBS, self.NAMESPACE, name)
            await self._connection.delete(SCHEDULED_JOBS, self.NAMESPACE, name, uid=found["metadata"]["uid"])

    async def first_after(self, moment: float, *, due_after: float = 0.0) -> float:
        """Wait for the first Job that is seen after a moment; seconds from then."""
        while True:
            for due, at in self.seen:
                if at > moment and due >= due_after:
                    return at - moment
            await asyncio.sleep(0.02)

    def late(self, since: float) -> list[float]:
        """How late each Job was seen that was due since a moment, seconds."""
        return [at - due for due, at in self.seen if due >= since]

    async def _watch(self) -> None:
        while True:
            try:
                await self._see()
            except (ApiError, Unreachable) as error:  # of a machine that is busy
                print(f"the watcher of Jobs begins anew: {error}", file=sys.stderr)

    async def _see(self) -> None:
        _, version = await self._connection.list(JOBS, self.NAMESPACE)
        while True:
            stream = self._connection.watch(
                JOBS, self.NAMESPACE, resource_version=version, timeout_seconds=3600, label_selector=keys.RUN_UID_LABEL
            )
            async with aclosing(stream) as events:
                async for kind, job in events:
                    version = job["metadata"]["resourceVersion"]
                    due = (job["metadata"].get("annotations") or {}).get(keys.SCHEDULED_TIME_ANNOTATION)
                    if kind == "ADDED" and due is not None:
                        self.seen.append((datetime.fromisoformat(due).timestamp(), time.time()))


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
