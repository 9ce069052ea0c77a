"""The processes of the cluster under test, found by who started them, and signalled by their id alone."""

import json
import os
import signal
from pathlib import Path


class Services:
    """The services that one cluster's supervisor keeps alive: it starts again what dies."""

    def __init__(self, kubeconfig: Path) -> None:
        """`kubeconfig` is the cluster's own, which lies where the supervisor has written who it is."""
        self._supervisor = kubeconfig.parent / "supervisor.json"

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the service.

        Raises:
            ProcessLookupError: it does not run at this moment.
        """
        descriptor = os.pidfd_open(self._find(name))
        try:
            signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)

    def _find(self, name: str) -> int:
        parent = json.loads(self._supervisor.read_text())["pid"]
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
            if Path(command).name == name:
                return int(pid)
        raise ProcessLookupError(f"{name} does not run in this cluster")
