"""What the pods of a Job tell about a failure: how many are left, the exit code, and the last words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carillon.engine.model import PodReport

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Culprit:
    """The container that failed; its log is read where it left no termination message."""

    pod: str
    container: str
    exit_code: int
    reason: str
    message: str


def remaining(pods: Sequence[Object]) -> int:
    """How many pods have not ended yet."""
    return sum((pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed") for pod in pods)


def culprit(pods: Sequence[Object]) -> Culprit | None:
    """Find the container that failed last, over the init containers and containers of every pod."""
    failures: list[tuple[str, Culprit]] = []
    for pod in pods:
        status = pod.get("status") or {}
        for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            states = (container.get("state") or {}, container.get("lastState") or {})
            ended = next((s["terminated"] for s in states if (s.get("terminated") or {}).get("exitCode")), None)
            if ended is not None:
                found = Culprit(
                    pod=pod["metadata"]["name"],
                    container=container["name"],
                    exit_code=ended["exitCode"],
                    reason=ended.get("reason") or "",
                    message=(ended.get("message") or "").strip(),
                )
                failures.append((ended.get("finishedAt") or "", found))
    return max(failures, key=lambda failure: failure[0])[1] if failures else None


def report(pods: Sequence[Object], found: Culprit | None, last_words: str) -> PodReport:
    """Put together what is known of a Job's pods.

    Args:
        pods: the pods, as Kubernetes' JSON.
        found: the container that failed, if one did.
        last_words: the end of its log, empty where it was not read.
    """
    left = remaining(pods)
    if found is None:
        evicted: Object = next((p["status"] for p in pods if (p.get("status") or {}).get("phase") == "Failed"), {})
        return PodReport(remaining=left, reason=evicted.get("reason") or "", message=evicted.get("message") or "")
    reason = "" if found.reason == "Error" else found.reason
    return PodReport(
        remaining=left, exit_code=found.exit_code, reason=reason, message=found.message or last_words.strip()
    )
