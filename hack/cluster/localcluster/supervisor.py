"""The first process of a cluster: it makes the box, keeps the services alive, and when it dies everything in the box dies.

With a box it is process 1 of its own PID, mount and network namespaces: the kernel ends every process (containerd's shims
and the pods too), every mount and every interface with it, so nothing has to be hunted down. Without one, its children
carry a parent-death signal. It must never exit by itself. SIGHUP makes it read services.json again.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from . import box
from .paths import ClusterPaths
from .plan import load, write_atomically
from .processes import identify

PR_SET_PDEATHSIG = 1
BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
STEADY_SECONDS = 30.0
UNVERIFIED = ssl._create_unverified_context()  # a liveness question, sent to our own box
LIBC = ctypes.CDLL(None)


def _die_with_parent() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Keeper:
    """One service and its process."""

    def __init__(self, spec: dict[str, Any], logs: Path) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.log = logs / f"{self.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.failures = 0
        self.not_before = 0.0
        self.started_at = 0.0

    def step(self, now: float) -> bool:
        """Start or notice an end; true when something changed."""
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return False
            steady = now - self.started_at > STEADY_SECONDS
            self.failures = 0 if steady else self.failures + 1
            self.not_before = now + BACKOFF_SECONDS[min(self.failures, len(BACKOFF_SECONDS)) - 1] if not steady else now
            _say(f"{self.name} ended with {code}")
            self.process = None
            return True
        if now < self.not_before or not all(_answers(need) for need in self.spec["needs"]):
            return False
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.spec["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent
            )
        self.started_at = now
        self.starts += 1
        _say(f"{self.name} started")
        return True

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        _say(f"{self.name} stopped")


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def _answers(need: str) -> bool:
    """Whether a path exists, a host:port accepts, or an https address answers 200 (anybody may ask /readyz once RBAC is there)."""
    if need.startswith("/"):
        return Path(need).exists()
    try:
        if need.startswith("https://"):
            with urllib.request.urlopen(need, timeout=1, context=UNVERIFIED):
                return True
        host, _, port = need.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def _reap_orphans(keepers: dict[str, Keeper]) -> None:
    """As process 1, collect what others left behind (shims fork twice), but leave the services to Popen.poll."""
    own = {keeper.process.pid for keeper in keepers.values() if keeper.process}
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in own:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)


def _reconcile(paths: ClusterPaths, keepers: dict[str, Keeper]) -> None:
    """Restart the services whose command line changed, stop those that are gone, add the new ones."""
    wanted = {spec["name"]: spec for spec in json.loads(paths.services.read_text())}
    for name in [name for name, keeper in keepers.items() if keeper.spec != wanted.get(name)]:
        keepers.pop(name).stop()
    for name, spec in wanted.items():
        keepers.setdefault(name, Keeper(spec, paths.logs))


def _report(paths: ClusterPaths, keepers: dict[str, Keeper]) -> None:
    running = {
        name: {"up": keeper.process is not None, "starts": keeper.starts, "argv": keeper.spec["argv"]}
        for name, keeper in keepers.items()
    }
    write_atomically(paths.running, json.dumps(running, indent=2))


def main(name: str) -> None:
    paths = ClusterPaths(name)
    plan = load(paths)
    assert plan is not None
    host_pid = int(os.readlink("/proc/self"))  # the host's view: /proc is still the host's
    me = identify(host_pid)
    write_atomically(paths.supervisor, json.dumps({"pid": me.pid, "started": me.started}))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if plan.network.boxed:
        box.enter(plan)
    reload_wanted = [True]
    signal.signal(signal.SIGHUP, lambda *_: reload_wanted.append(True))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    keepers: dict[str, Keeper] = {}
    while True:
        if reload_wanted:
            reload_wanted.clear()
            _reconcile(paths, keepers)
            _report(paths, keepers)
        now = time.monotonic()
        _reap_orphans(keepers)
        if any([keeper.step(now) for keeper in keepers.values()]):
            _report(paths, keepers)
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1])
