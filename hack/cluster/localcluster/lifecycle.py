"""Bring a cluster up, take it down: the order of things, and nothing of how each is done."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from . import box, build, cgroups, health, images, machine, node_config, pki, services
from .locks import locked
from .paths import ClusterError, ClusterPaths, cache
from .plan import Network, Plan, every, load, save
from .terminal import say

FIRST_NUMBER, LAST_NUMBER = 101, 250
READY_SECONDS = 120.0


def up(paths: ClusterPaths, version: str | None, default: str, node: bool, extra: dict[str, list[str]]) -> Plan:
    """Make the cluster answer, whatever state it is in: absent, stopped, half dead or running."""
    with _changing(paths):
        known = load(paths)
        if known and version and version != known.version:
            down = f"hack/cluster/down --name {paths.name}"
            raise ClusterError(f"cluster {paths.name} is {known.version}, not {version}: {down} first")
        build.ensure(known.version if known else version or default)
        plan = _wanted(known, paths, version or default, node, extra)
        save(plan, paths)
        running = box.supervisor(paths)
        if running:
            say(f"cluster {plan.name} is running")
            _configure(plan, paths, fresh=False)
            running.signal(signal.SIGHUP)
            _fill(plan, paths)
            if not _wait_ready(plan, paths):
                say(f"cluster {plan.name} is running but not ready: starting it again")
                box.destroy(plan.name, plan.network)
                running = None
        if not running:
            _configure(plan, paths, fresh=True)
            process = box.launch(plan, paths)
            if plan.network.boxed:
                box.link(plan.network, process)
            _fill(plan, paths)
            _wait_ready(plan, paths)
        health.require(plan, paths)
        return plan


def down(paths: ClusterPaths, keep: bool) -> bool:
    """End the cluster; its state goes too unless kept. False when there was none."""
    with _changing(paths):
        existed = paths.root.exists()
        try:
            plan = load(paths)
        except ClusterError as damaged:
            say(str(damaged))
            plan = None
        box.destroy(paths.name, plan.network if plan else None)
        if existed and not keep:
            shutil.rmtree(paths.root)
        return existed


def _changing(paths: ClusterPaths) -> AbstractContextManager[None]:
    return locked(cache() / "locks" / f"cluster-{paths.name}", f"cluster {paths.name} is being changed; waiting")


def _wanted(known: Plan | None, paths: ClusterPaths, version: str, node: bool, extra: dict[str, list[str]]) -> Plan:
    """The plan of the cluster as it was, with new flags and a node added when asked for, or a new plan."""
    if known and (known.node or not node):
        return replace(known, extra_args=known.extra_args | extra)
    found = machine.survey(node)
    if found.lacking and node:
        say(f"control plane only, no pods will run: {found.lacking}")
    if known:
        able = found.boxed and known.network.boxed and not found.lacking
        return replace(known, node=able, lacking=found.lacking, extra_args=known.extra_args | extra)
    with locked(cache() / "locks" / "addresses", "another cluster is choosing its addresses; waiting"):
        network = _free_network() if found.boxed else Network(0, *_free_ports(3))
        plan = Plan(paths.name, version, network, not found.lacking, found.lacking, extra)
        paths.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        save(plan, paths)
    return plan


def _free_network() -> Network:
    """The first 10.NUMBER.0.0/16 that neither a cluster nor the host's routing table uses."""
    command = ["ip", "-4", "route", "show", "table", "all"]
    routed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    taken = {plan.network.number for plan, _ in every()}
    for number in range(FIRST_NUMBER, LAST_NUMBER + 1):
        if number not in taken and not any(word.startswith(f"10.{number}.") for word in routed):
            return Network(number)
    raise ClusterError("every network from 10.101.0.0/16 to 10.250.0.0/16 is taken: hack/cluster/down some clusters")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _configure(plan: Plan, paths: ClusterPaths, fresh: bool) -> None:
    """Write whatever the components read, and make what they expect to find."""
    for directory in (paths.logs, paths.config / "cni", paths.root / "kubelet"):
        directory.mkdir(parents=True, exist_ok=True)
    pki.make(plan, paths)
    if plan.node:
        cgroups.prepare(plan.name)
        node_config.write(plan, paths, machine.snapshotter(paths.root))
        if fresh:
            paths.containerd_socket.unlink(missing_ok=True)
    services.write(plan, paths)


def _fill(plan: Plan, paths: ClusterPaths) -> None:
    """Give the node the images without which no pod starts."""
    if plan.node:
        silent = f"containerd does not answer; see {paths.logs / 'containerd.log'}"
        _until(30, lambda: health.containerd_answers(paths), silent)
        if node_config.PAUSE_IMAGE not in images.present(paths):
            images.load(paths, images.base_images())


def _wait_ready(plan: Plan, paths: ClusterPaths) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while not (services.settled(paths) and health.ready(plan, paths)):
        if time.monotonic() > deadline or box.supervisor(paths) is None:
            return False
        time.sleep(0.2)
    return True


def _until(seconds: float, condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(otherwise)
        time.sleep(0.1)
