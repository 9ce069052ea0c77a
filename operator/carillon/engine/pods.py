"""What the pods of a Job tell about a failure: how many are left, the exit code, and the last words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carillon.engine.model import Pending, PodReport

Object = Mapping[str, Any]


_SAYS_NOTHING = ("", "ContainerCreating", "PodInitializing")
"""Reasons of a waiting container that do not tell what it waits for: Events do."""
NO_POD = "NoPod"


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


def started(pods: Sequence[Object]) -> bool:
    """Whether a container of one of the pods has ever run; an init container counts while it runs or is run again."""
    for pod in pods:
        status = pod.get("status") or {}
        if any(_ran(container) for container in status.get("containerStatuses") or ()):
            return True
        if any(_goes_on(container) for container in status.get("initContainerStatuses") or ()):
            return True
    return False


def _ran(container: Object) -> bool:
    state, last = container.get("state") or {}, container.get("lastState") or {}
    return bool(container.get("restartCount") or state.keys() & {"running", "terminated"} or last.get("terminated"))


def _goes_on(container: Object) -> bool:
    # One that has ended well is no reason why the pod does not start.
    return bool(container.get("restartCount") or "running" in (container.get("state") or {}))


def pending(pods: Sequence[Object], events: Sequence[Object] = ()) -> Pending | None:
    """Why no pod has started; None where one has, or where all have ended.

    Args:
        pods: the pods of a Job.
        events: those of the pod that `silent` names.
    """
    if not pods:
        return Pending(NO_POD, "Kubernetes has made no pod for the Job")
    if started(pods) or not remaining(pods):
        return None
    told = next((found for pod in pods if (found := _told_by_status(pod))), None)
    return told or _told_by_events(events)


def silent(pods: Sequence[Object]) -> str:
    """UID of the pod whose Events have to tell why it does not start, as its status does not; empty for none."""
    if started(pods) or any(_told_by_status(pod) for pod in pods):
        return ""
    return next((pod["metadata"].get("uid", "") for pod in pods if remaining([pod])), "")


def _told_by_status(pod: Object) -> Pending | None:
    status = pod.get("status") or {}
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason", "") not in _SAYS_NOTHING:
            return Pending(waiting["reason"], waiting.get("message") or f"container {container['name']}")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return Pending(condition.get("reason") or "", condition.get("message") or "")
    return None


def _told_by_events(events: Sequence[Object]) -> Pending:
    warnings = [event for event in events if event.get("type") == "Warning"]
    newest = max(warnings, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "", default=None)
    return Pending() if newest is None else Pending(newest.get("reason") or "", newest.get("message") or "")


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


def report(pods: Sequence[Object], found: Culprit | None, last_words: str, events: Sequence[Object] = ()) -> PodReport:
    """Put together what is known of a Job's pods.

    Args:
        pods: the pods, as Kubernetes' JSON.
        found: the container that failed, if one did.
        last_words: the end of its log, empty where it was not read.
        events: those of the pod that `silent` names.
    """
    left = remaining(pods)
    if found is None:
        evicted: Object = next((p["status"] for p in pods if (p.get("status") or {}).get("phase") == "Failed"), {})
        reason, message = evicted.get("reason") or "", evicted.get("message") or ""
        return PodReport(remaining=left, reason=reason, message=message, pending=pending(pods, events))
    reason = "" if found.reason == "Error" else found.reason
    return PodReport(
        remaining=left, exit_code=found.exit_code, reason=reason, message=found.message or last_words.strip()
    )
