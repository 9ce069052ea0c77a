"""Bring a cluster up, take it down, bring it back: the order of things, and nothing of how each is done."""

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from . import box, build, images, machine, node_config, pki
from .locks import locked
from .paths import ClusterError, ClusterPaths, all_clusters, binaries, cache
from .plan import Network, Plan, load, save, write_atomically
from .services import services

FIRST_NUMBER, LAST_NUMBER = 101, 250
READY_SECONDS = 90.0


def up(paths: ClusterPaths, version: str | None, default: str, node: bool, extra: dict[str, list[str]]) -> Plan:
    """Make the cluster answer, whatever state it is in: absent, stopped, half dead or running."""
    paths.root.mkdir(parents=True, exist_ok=True)
    with locked(cache() / "clusters" / f"{paths.name}.lock", f"cluster {paths.name} is being changed; waiting"):
        plan = load(paths)
        if plan is None:
            plan = _new(paths, version or default, node, extra)
        elif version and version != plan.version:
            raise ClusterError(f"cluster {paths.name} is {plan.version}, not {version}: hack/cluster/down --name {paths.name} first")
        else:
            plan = plan.with_extra_args(extra)
        build.ensure(plan.version)
        save(plan, paths)
        _write_services(plan, paths)
        process = box.supervisor(paths)
        if process:
            process.signal(signal.SIGHUP)
            print(f"cluster {plan.name} is running", flush=True)
        else:
            _boot(plan, paths)
        if not _wait_ready(plan, paths, READY_SECONDS) and process:
            print(f"cluster {plan.name} does not answer: restarting it", flush=True)
            box.destroy(plan, paths)
            _boot(plan, paths)
            process = None
            _wait_ready(plan, paths, READY_SECONDS)
        _require_ready(plan, paths)
        return plan


def down(paths: ClusterPaths, keep: bool) -> bool:
    """End the cluster; its state goes too unless kept. False when there was none."""
    with locked(cache() / "clusters" / f"{paths.name}.lock", f"cluster {paths.name} is being changed; waiting"):
        plan = load(paths)
        if plan is not None:
            box.destroy(plan, paths)
        existed = paths.root.exists()
        if not keep:
            shutil.rmtree(paths.root, ignore_errors=False) if existed else None
        return existed


def _new(paths: ClusterPaths, version: str, node: bool, extra: dict[str, list[str]]) -> Plan:
    found = machine.survey(node)
    if found.lacking and node:
        print(f"control plane only, no pods will run: {found.lacking}", flush=True)
    with locked(cache() / "clusters" / ".numbers.lock", "another cluster is choosing its addresses; waiting"):
        network = _free_network() if found.boxed else Network(0, *_free_ports(3))
        plan = Plan(paths.name, version, network, not found.lacking, found.lacking, extra)
        save(plan, paths)
    return plan


def _free_network() -> Network:
    """The first 10.NUMBER.0.0/16 that neither a cluster nor the host's routing table uses."""
    routes = subprocess.run(["ip", "-4", "route", "show", "table", "all"], capture_output=True, text=True, check=True).stdout
    taken = {plan.network.number for plan in map(load, all_clusters()) if plan}
    for number in range(FIRST_NUMBER, LAST_NUMBER + 1):
        if number not in taken and f"10.{number}." not in routes:
            return Network(number)
    raise ClusterError("every network from 10.101.0.0/16 to 10.250.0.0/16 is taken: hack/cluster/down some clusters")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _write_services(plan: Plan, paths: ClusterPaths) -> None:
    write_atomically(paths.services, json.dumps([service.as_json() for service in services(plan, paths)], indent=2))


def _boot(plan: Plan, paths: ClusterPaths) -> None:
    """Write what the components read, start the box, and fill containerd's image store."""
    for directory in (paths.logs, paths.config, paths.config / "cni"):
        directory.mkdir(parents=True, exist_ok=True)
    pki.make(plan, paths)
    if plan.node:
        _write_node_config(plan, paths)
    process = box.launch(plan, paths)
    if plan.network.boxed:
        box.link(plan.network, process)
    if plan.node:
        _until(30, lambda: _containerd_answers(paths), f"containerd does not answer; see {paths.logs / 'containerd.log'}")
        if node_config.PAUSE_IMAGE not in images.present(paths):
            images.load(paths, images.base_images())


def _write_node_config(plan: Plan, paths: ClusterPaths) -> None:
    (paths.root / "kubelet").mkdir(exist_ok=True)
    paths.containerd_socket.unlink(missing_ok=True)
    texts = {
        "containerd.toml": node_config.containerd(plan, paths, machine.snapshotter(paths.root)),
        "cni/10-pods.conflist": node_config.cni(plan),
        "kubelet.yaml": node_config.kubelet(plan, paths),
        "kube-proxy.yaml": node_config.kube_proxy(plan, paths),
        "Corefile": node_config.corefile(plan, paths),
        "resolv.conf": "",
    }
    for name, text in texts.items():
        (paths.config / name).write_text(text)


def kubectl(plan: Plan, paths: ClusterPaths, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(binaries(plan.version) / "kubectl"), f"--kubeconfig={paths.kubeconfig}", "--request-timeout=5s", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def api_ready(plan: Plan, paths: ClusterPaths) -> bool:
    return kubectl(plan, paths, "get", "--raw", "/readyz").stdout == "ok"


def pods_can_run(plan: Plan, paths: ClusterPaths) -> bool:
    """The node is Ready and the default namespace has the service account that every pod needs."""
    ready = "{.status.conditions[?(@.type=='Ready')].status}"
    if plan.node and kubectl(plan, paths, "get", "node", plan.name, "-o", f"jsonpath={ready}").stdout != "True":
        return False
    return kubectl(plan, paths, "get", "serviceaccount", "default").returncode == 0


def _wait_ready(plan: Plan, paths: ClusterPaths, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (api_ready(plan, paths) and pods_can_run(plan, paths)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _require_ready(plan: Plan, paths: ClusterPaths) -> None:
    if not api_ready(plan, paths):
        raise ClusterError(f"the API server of {plan.name} does not answer; see {paths.logs / 'kube-apiserver.log'}")
    if not pods_can_run(plan, paths):
        raise ClusterError(f"the node of {plan.name} is not Ready; see {paths.logs / 'kubelet.log'}")


def _containerd_answers(paths: ClusterPaths) -> bool:
    command = ["ctr", "--address", str(paths.containerd_socket), "version"]
    return paths.containerd_socket.exists() and subprocess.run(command, capture_output=True).returncode == 0


def _until(seconds: float, condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(otherwise)
        time.sleep(0.1)
