"""Operator processes, as a person starts them: several one after the other, or side by side, on one log."""

import json
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.conftest import REPOSITORY, Cluster
from tests.e2e.api import Api

LEASE_NAMESPACE, LEASE = "carillon-e2e", "carillon-e2e"
EVENT_SOURCES = "v1/configmaps,v1/events,v1/services"
START_SECONDS = 30.0
STOP_SECONDS = 15.0


@dataclass
class OperatorProcess:
    """One process of `carillon operator`."""

    identity: str
    port: int
    process: "subprocess.Popen[bytes]"
    progress_port: int

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def freeze(self) -> None:
        """Have it do nothing, as a machine that is paused does."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Ask it to end, and wait for that; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def probe(self, path: str) -> str:
        """What the probe says; empty when nobody answers, or not ready."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except (URLError, OSError):
            return ""

    @property
    def running(self) -> bool:
        return self.process.poll() is None


@dataclass
class Operators:
    """Starts operators that compete for one lease, and reads what they log.

    HTTP has no watch, so that probes are asked again and again; all else is waited for by a watch.
    """

    cluster: Cluster
    api: Api
    log: Path
    progress_url: str = ""
    """Where tasks are told to report."""
    started: list[OperatorProcess] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    """More settings, for those that are started from now on."""

    @property
    def leader(self) -> OperatorProcess:
        """The one that was started last."""
        return self.started[-1]

    def start(self, *, wait: bool = True) -> OperatorProcess:
        """Start one more; with `wait`, until it leads."""
        identity, port, progress_port = f"operator-{len(self.started) + 1}", free_port(), free_port()
        command = [sys.executable, "-m", "carillon", "operator", "--identity", identity, "--log-format", "json"]
        command += ["--kubeconfig", str(self.cluster.kubeconfig), "--probe-port", str(port)]
        command += ["--lease-namespace", LEASE_NAMESPACE, "--lease-name", LEASE, *self.arguments]
        command += ["--progress-port", str(progress_port), "--progress-url", self.progress_url]
        command += ["--event-sources", EVENT_SOURCES]
        environment = {**self.cluster.environment, "PYTHONPATH": str(REPOSITORY / "operator")}
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=REPOSITORY)
        self.started.append(OperatorProcess(identity, port, process, progress_port))
        if wait:
            self.until_leading(self.leader)
        return self.leader

    def until_leading(self, operator: OperatorProcess) -> None:
        """Wait until the operator holds the lease."""
        deadline = time.monotonic() + START_SECONDS
        while operator.running and time.monotonic() < deadline:
            for leases in self.api.follow("leases", LEASE_NAMESPACE, seconds=1):
                holder = leases[LEASE]["spec"].get("holderIdentity") if LEASE in leases else None
                if (holder or "").startswith(f"{operator.identity}_"):
                    return
        pytest.fail(f"{operator.identity} did not get to lead within {START_SECONDS:.0f} s\n{self.tail()}")

    def until_ready(self, operator: OperatorProcess) -> None:
        """Wait until /readyz says so."""
        deadline = time.monotonic() + START_SECONDS
        while operator.probe("/readyz") != "ok\n":
            if time.monotonic() > deadline or not operator.running:
                pytest.fail(f"{operator.identity} was not ready within {START_SECONDS:.0f} s\n{self.tail()}")
            time.sleep(0.05)

    def until_following(self, operator: OperatorProcess) -> None:
        """Wait until its metrics say that it does not lead."""
        self.until_counted(operator, "carillon_leader 0.0")

    def until_counted(self, operator: OperatorProcess, *lines: str) -> None:
        """Wait until its metrics have the lines: they are printed anew once in a second, and a write is counted when it
        is answered, which may be after a watch has told of it.
        """
        deadline = time.monotonic() + STOP_SECONDS
        while missing := [line for line in lines if line not in (metrics := operator.probe("/metrics"))]:
            if time.monotonic() > deadline or not operator.running:
                pytest.fail(f"{operator.identity}'s metrics lack {missing}; they are\n{metrics}\n{self.tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop those that run; each has to end in order."""
        codes = {each.identity: each.stop() for each in self.started if each.running}
        assert not any(codes.values()), f"exit codes {codes}"

    def end(self) -> None:
        """End those that still run, at the end of the tests."""
        for each in self.started:
            if each.running:
                each.process.kill()
                each.process.wait(STOP_SECONDS)

    def size(self) -> int:
        """How long the log is now, in bytes."""
        return self.log.stat().st_size

    def tail(self, since: int = 0, lines: int = 60) -> str:
        """The last lines of what was logged since."""
        return "\n".join(self._read(since)[-lines:])

    def complaints(self, since: int = 0) -> list[str]:
        """The lines that no operator may log: errors, tracebacks, and what is not JSON."""
        return [line for line in self._read(since) if _complains(line)]

    def _read(self, since: int) -> list[str]:
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace").splitlines()


def _complains(line: str) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return True
    return entry.get("level") in ("error", "critical") or "exception" in entry or "Traceback" in line


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
