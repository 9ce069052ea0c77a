"""A process by id and start time, so that an id the kernel has given to somebody else is never signalled."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process as the host sees it; `started` is in clock ticks since boot (proc(5), field 22)."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        state = _stat(self.pid)
        return state is not None and state[1] == self.started and state[0] not in "ZX"

    def signal(self, number: int) -> None:
        """Send a signal, if it is still the same process."""
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(self.pid)
            try:
                if self.alive:
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)

    def wait_gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.alive


def identify(pid: int) -> Process:
    """The process that has this id now."""
    state = _stat(pid)
    return Process(pid, state[1] if state else 0)


def _stat(pid: int) -> tuple[str, int] | None:
    """State letter and start time. The command's name is in parentheses and may itself hold spaces and parentheses."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[19])
