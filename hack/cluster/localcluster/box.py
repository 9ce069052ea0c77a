"""The box: namespaces around a whole cluster, and the one link between it and the host.

The box has no route to anywhere but the host, so an unknown image fails at once and nothing in it reaches the network.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from . import cgroups
from .paths import ClusterError, ClusterPaths
from .plan import Network, Plan
from .processes import Process

UNSHARE = ("unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork")
LINK_SECONDS = 20.0
KUBELET_SYSCTLS = (  # the kubelet sets these for the whole machine; in a box it writes to copies
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")


def possible() -> bool:
    """Whether this machine lets us make the namespaces."""
    return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


def direct_environment() -> dict[str, str]:
    """This process's environment without proxies: no proxy knows the addresses of a box."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def launch(plan: Plan, paths: ClusterPaths) -> Process:
    """Start the supervisor, in a box when the plan has one, and wait until it has told its process id (10 s)."""
    paths.supervisor.unlink(missing_ok=True)
    paths.running.unlink(missing_ok=True)
    command = [sys.executable, "-m", "localcluster.supervisor", plan.name]
    if plan.network.boxed:
        command = [*UNSHARE, "--kill-child", "--propagation", "slave", "--", *command]
    environment = direct_environment() | {
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    log = paths.logs / "supervisor.log"
    with log.open("ab") as output:
        null = subprocess.DEVNULL
        started = subprocess.Popen(
            command, stdin=null, stdout=output, stderr=output, env=environment, start_new_session=True, cwd="/"
        )
    for _ in _ticks(10.0):
        process = supervisor(paths)
        if process:
            return process
    started.kill()
    raise ClusterError(f"the cluster's first process did not start; see {log}")


def supervisor(paths: ClusterPaths) -> Process | None:
    """The recorded first process, if it is alive."""
    try:
        recorded = json.loads(paths.supervisor.read_text())
    except FileNotFoundError:
        return None
    process = Process(recorded["pid"], recorded["started"])
    return process if process.alive else None


def link(network: Network, process: Process) -> None:
    """Join host and box with a veth pair; the host gets routes to Services and pods, which go with the pair."""
    host = network.host_link
    subprocess.run(["ip", "link", "delete", host], capture_output=True)
    _run("ip", "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", str(process.pid))
    _run("ip", "address", "add", f"{network.host_ip}/30", "dev", host)
    _run("ip", "link", "set", host, "up")
    for target in (network.services, network.pods):
        _run("ip", "route", "add", target, "via", network.node_ip)


def enter(plan: Plan) -> None:
    """Inside the new namespaces: mounts of our own, an empty /run, this PID namespace's /proc, the link's other end."""
    _run("mount", "--make-rshared", "/")  # among the pods, for mount propagation; towards the host it stays a slave
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    _run("mount", "-t", "proc", "proc", "/proc")
    Path("/run/netns").mkdir()
    Path("/run/lock").mkdir()
    for name in KUBELET_SYSCTLS:
        real, copy = Path("/proc/sys") / name, Path("/run/sysctl") / name
        if real.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(real.read_text())
            _run("mount", "--bind", str(copy), str(real))
    socket.sethostname(plan.name)
    _run("ip", "link", "set", "lo", "up")
    for _ in _ticks(LINK_SECONDS):
        if any(name == "eth0" for _, name in socket.if_nameindex()):
            break
    _run("ip", "address", "add", f"{plan.network.node_ip}/30", "dev", "eth0")
    _run("ip", "link", "set", "eth0", "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def destroy(name: str, network: Network | None) -> None:
    """End the first process, with which everything in the box ends, and wait for the kernel to have cleaned up."""
    paths = ClusterPaths(name)
    process = supervisor(paths)
    if process:
        process.signal(signal.SIGTERM)
        if not process.wait_gone(5):
            process.signal(signal.SIGKILL)
        if not process.wait_gone(30):
            raise ClusterError(f"process {process.pid} of cluster {name} does not end; see /proc/{process.pid}/stack")
    paths.supervisor.unlink(missing_ok=True)
    if network and network.boxed:  # the kernel would remove it a little later, with the namespace
        subprocess.run(["ip", "link", "delete", network.host_link], capture_output=True)
    for _ in _ticks(10.0):
        if cgroups.remove(name):
            return
    raise ClusterError(f"processes stay in the cgroup {cgroups.group(name)}")


def _ticks(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.05)
