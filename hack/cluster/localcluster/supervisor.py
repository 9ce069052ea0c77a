"""The first process of a cluster: it makes the box, keeps the services alive, and takes everything with it.

With a box it is process 1 of its own PID, mount and network namespaces: when it ends, the kernel ends every process
(containerd's shims and the pods too), mount and interface in them, so nothing has to be hunted down. Without one, its
children carry a parent-death signal. It must never exit by itself. SIGHUP makes it read services.json again.
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
from typing import Any, NoReturn

from . import box
from .paths import ClusterPaths
from .plan import load, write_atomically
from .processes import identify

PR_SET_PDEATHSIG = 1
BACKOFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
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
        """Start it, or notice its end; true when something changed."""
        if self.process is not None:
            code = self.process.poll()
            if code is not None:
                self._ended(now, f"ended with {code}")
            return code is not None
        if now < self.not_before or not all(_answers(need) for need in self.spec["needs"]):
            return False
        self.started_at = now
        self.starts += 1
        try:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self.spec["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent
                )
        except OSError as error:
            self._ended(now, f"cannot be started: {error}")
        else:
            _say(f"{self.name} started")
        return True

    def _ended(self, now: float, how: str) -> None:
        """Let it rest before it is started again, the longer the more often it ended soon."""
        self.failures = 0 if now - self.started_at > STEADY_SECONDS else self.failures + 1
        self.not_before = now + BACKOFF_SECONDS[min(self.failures, len(BACKOFF_SECONDS) - 1)]
        self.process = None
        _say(f"{self.name} {how}")

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
    """A path exists, a host:port accepts, an https address says 200 (to anybody, for /readyz, once RBAC is there)."""
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


def _end(keepers: dict[str, Keeper]) -> NoReturn:
    """End all services at once, so that nobody writes into the state any more, and then this process."""
    processes = [keeper.process for keeper in keepers.values() if keeper.process]
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
    sys.exit(0)


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
    keepers: dict[str, Keeper] = {}
    signal.signal(signal.SIGTERM, lambda *_: _end(keepers))
    while True:
        if reload_wanted:
            reload_wanted.clear()
            _reconcile(paths, keepers)
            _report(paths, keepers)
        now = time.monotonic()
        _reap_orphans(keepers)
        changed = [keeper.name for keeper in keepers.values() if keeper.step(now)]
        if changed:
            _report(paths, keepers)
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1])
