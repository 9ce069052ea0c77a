"""The logs of a run's pods, as they come: each line once, whatever becomes of the connection."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import aclosing

from carillon.cli.cluster import Cluster, Object
from carillon.kube.errors import ApiError, Unreachable

RECONNECTS = 5
RECONNECT_SECONDS = 1.0
_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.(\d+))?")
GONE = "unable to retrieve container logs"
"""What a kubelet answers, with 200, when the container is gone already."""


def write_line(line: str) -> None:
    """Print a line of a log on stdout, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Tail:
    """Prints the logs of the pods that it is shown; each container is read by a task of its own."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        say: Callable[[str], None],
        write: Callable[[str], None] = write_line,
        container: str = "",
        tail_lines: int | None = None,
        prefix: bool = False,
        follow: bool = True,
    ) -> None:
        self.lines = 0
        """How many have been printed."""
        self._cluster = cluster
        self._say = say
        self._write = write
        self._container = container
        self._tail_lines = tail_lines
        self._prefix = prefix
        self._wait_for_more = follow
        self._tasks: dict[tuple[str, str, int], asyncio.Task[None]] = {}

    def show(self, pods: Iterable[Object]) -> None:
        """Begin with what has started of these pods, and was not read yet."""
        for pod in pods:
            for name, restarts in started(pod):
                key = (pod["metadata"]["uid"], name, restarts)
                if key not in self._tasks and self._container in ("", name):
                    self._tasks[key] = asyncio.create_task(self._follow(pod["metadata"], name))

    async def drain(self, seconds: float | None) -> None:
        """Wait until all of it is printed, but no longer than that; what is left is given up."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _follow(self, metadata: Object, container: str) -> None:
        """Print a container's log until it ends; a connection that breaks is opened again where it broke."""
        last: tuple[str, str] | None = None
        for attempt in range(RECONNECTS + 1):
            try:
                lines = self._cluster.api.log_lines(
                    metadata["namespace"],
                    metadata["name"],
                    container=container,
                    follow=self._wait_for_more,
                    since=f"{last[0]}Z" if last else "",
                    tail_lines=None if last else self._tail_lines,
                )
                resumed = last
                async with aclosing(lines):
                    async for line in lines:
                        stamp, text = _apart(line)
                        if stamp is None:
                            if not text.startswith(GONE):
                                self._print(metadata["name"], container, text)
                            continue
                        if resumed is not None and stamp <= resumed:
                            continue
                        last = stamp
                        self._print(metadata["name"], container, text)
                return
            except ApiError as error:
                if not error.not_found and error.status != 400:  # it is gone, or its node does not know it
                    self._say(f"the log of pod {metadata['name']} cannot be read: {error.message}")
                return
            except Unreachable as error:
                if attempt == RECONNECTS:
                    self._say(f"the log of pod {metadata['name']} broke off: {error}")
                    return
                await asyncio.sleep(RECONNECT_SECONDS)

    def _print(self, pod: str, container: str, text: str) -> None:
        self.lines += 1
        self._write(f"[{pod} {container}] {text}" if self._prefix else text)


def _apart(line: str) -> tuple[tuple[str, str] | None, str]:
    """Take the time from a line; as something to compare: fractions come with as few digits as they need."""
    stamp, _, text = line.partition(" ")
    found = _STAMP.match(stamp)
    if found is None:
        return None, line
    return (stamp[:19], (found[1] or "").ljust(9, "0")), text


def started(pod: Object) -> list[tuple[str, int]]:
    """The containers of a pod that have begun to run, in the order in which they do, with how often they restarted."""
    status = pod.get("status") or {}
    found = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return [
        (each["name"], each.get("restartCount") or 0)
        for each in found
        if {"running", "terminated"} & (each.get("state") or {}).keys()
    ]


def why_not_started(pod: Object) -> str:
    """What a pod waits for, in Kubernetes' words; empty when it does not."""
    status = pod.get("status") or {}
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            words = " ".join((waiting.get("message") or "").split())
            return f"{waiting['reason']}{f': {words}' if words else ''}"
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return ""
