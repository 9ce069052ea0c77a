"""Waiting for a run: its logs on stdout, how it goes on stderr, and how it ended as an exit code."""

import time
from collections.abc import Callable
from datetime import timedelta

from carillon.api.jobrun import Phase
from carillon.api.keys import RUN_UID_LABEL
from carillon.cli.cluster import Cluster
from carillon.cli.exit_codes import Exit
from carillon.cli.following import Following, Found
from carillon.cli.problems import Problem
from carillon.cli.runtable import last_lines
from carillon.cli.seen import SeenRun, seen_run
from carillon.cli.tail import Tail, why_not_started
from carillon.engine.words import span
from carillon.kube.resources import JOB_RUNS, PODS

DRAIN_SECONDS = 10.0
"""A log that has not ended so long after its run is given up."""
NOBODY_SECONDS = 10.0
"""A run that no operator has looked at by then is remarked on."""
PERCENT_STEP = 10
WORDS_LINES = 10

Say = Callable[[str], None]


async def wait_for(
    cluster: Cluster, run: SeenRun, *, tail: Tail | None, say: Say, patience: timedelta | None
) -> SeenRun:
    """Look on until a run is finished.

    Args:
        cluster: where it is.
        run: the run as it was made.
        tail: prints its logs; None where nobody wants them.
        say: told how it goes, a line at a time.
        patience: the longest to wait; the run goes on without us.

    Raises:
        Problem: it took longer, was deleted, or cannot be looked at.
    """
    begun = time.monotonic()
    deadline = begun + patience.total_seconds() if patience is not None else None
    async with Following(cluster) as following:
        runs = await following.add(JOB_RUNS, run.namespace, field_selector=f"metadata.name={run.name}")
        pods = await _pods(following, run, say) if tail is not None else {}
        telling = _Telling(say)
        try:
            while True:
                raw = runs.get((run.namespace, run.name))
                if raw is None or raw["metadata"]["uid"] != run.uid:
                    raise Problem(f"JobRun {run.name} was deleted; what became of its work is not known")
                run = seen_run(raw)
                if tail is not None:
                    tail.show(sorted(pods.values(), key=lambda pod: str(pod["metadata"]["creationTimestamp"])))
                telling.tell(run, pods)
                if run.finished:
                    if tail is not None:
                        await tail.drain(DRAIN_SECONDS)
                    return run
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    assert patience is not None
                    raise Problem(
                        f"{run.name} is {run.phase} after {span(patience)}, and goes on: carillon logs {run.name} "
                        f"--follow; carillon stop {run.name}",
                        Exit.TIMEOUT,
                    )
                nobody = None if run.raw.get("status") else max(0.1, begun + NOBODY_SECONDS - time.monotonic())
                happened = await following.changed(min((s for s in (left, nobody) if s is not None), default=None))
                if not happened and not run.raw.get("status"):
                    telling.nobody()
        finally:
            if tail is not None:
                await tail.drain(0)


async def _pods(following: Following, run: SeenRun, say: Say) -> Found:
    try:
        return await following.add(PODS, run.namespace, label_selector=f"{RUN_UID_LABEL}={run.uid}")
    except Problem as problem:
        say(f"the logs are not followed: {problem}")
        return {}


class _Telling:
    """Says on stderr how a run goes; each thing once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._phase = ""
        self._percent = -PERCENT_STEP
        self._message = ""
        self._told: set[str] = set()

    def tell(self, run: SeenRun, pods: Found) -> None:
        """Say what is new."""
        if run.phase != self._phase and not run.finished:
            self._phase = run.phase
            self._say(f"{run.name} is {run.phase}{f': {run.message}' if run.message else ''}")
        progress = run.status.get("progress") or {}
        percent, message = progress.get("percent"), progress.get("message") or ""
        further = percent is not None and percent >= self._percent + PERCENT_STEP
        if further or message != self._message:
            self._percent = percent if percent is not None else self._percent
            self._message = message
            self._say(f"{run.name}: {'' if percent is None else f'{percent} % '}{message}".rstrip())
        for pod in pods.values():
            why = why_not_started(pod)
            # Every pod is created in a moment; what is worth a line is what does not pass.
            if why and why not in ("ContainerCreating", "PodInitializing"):
                self._once(f"pod {pod['metadata']['name']} has not started: {why}")
        if run.reason == "PodsRefused":
            self._once(f"{run.name}: Kubernetes refuses its pods: {run.message}")

    def nobody(self) -> None:
        """Say that no operator has looked at the run."""
        self._once("no operator has taken it up yet: does one run, and look after this namespace?")

    def _once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(text)


def verdict(run: SeenRun, *, task_code: bool, words_shown: bool) -> Problem | None:
    """Say how a finished run ended, and with which exit code; None when it succeeded.

    Args:
        run: it.
        task_code: whether the exit code of the task is passed on.
        words_shown: whether its log was printed, which has its last words.
    """
    length = f" after {span(run.ended - run.started)}" if run.ended and run.started else ""
    reason = f" ({run.reason})" if run.reason else ""
    if run.phase == Phase.SUCCEEDED.value:
        return None
    if run.phase == Phase.SKIPPED.value:
        return Problem(f"{run.name} was not run{reason}: {run.message}", Exit.REFUSED)
    if run.phase == Phase.STOPPED.value:
        return Problem(f"{run.name} was stopped{length}{reason}: {run.message}".rstrip(": "), Exit.TASK)
    with_code = f" with exit code {run.exit_code}" if run.exit_code else ""
    words = "" if words_shown or not run.message else ":\n" + "\n".join(last_lines(run.message, WORDS_LINES))
    text = f"{run.name} failed{with_code}{length}{reason}{words}"
    return Problem(text, run.exit_code if task_code and run.exit_code else Exit.TASK)
