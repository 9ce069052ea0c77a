"""Which events are a trigger's: by type and labels, and none that a run of the same job has made itself.

Pure: the object is Kubernetes' JSON as a watch told it, and only its metadata is looked at; of a Kubernetes Event also
what it speaks of. What the filter says is found out elsewhere (`carillon.controller.filters`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from carillon.api import keys
from carillon.api.event import EventType, LabelSelector, SelectorOperator
from carillon.engine.eventwindow import Change

Object = Mapping[str, Any]

_GENERATED_NAME_LENGTH = 58
"""Kubernetes cuts a generated name to this before it adds five characters; so do the names of a Job's pods begin."""


class PassedOver(StrEnum):
    """Why an event led to no run of its own; a word of status.events."""

    FILTERED = "Filtered"
    FILTER_FAILED = "FilterFailed"
    FILTER_TIMEOUT = "FilterTimeout"
    OLD_OBJECT_UNKNOWN = "OldObjectUnknown"
    TOO_LARGE = "TooLarge"
    SELF_MADE = "SelfMade"
    DEBOUNCED = "Debounced"
    DISABLED = "Disabled"
    EXCLUDED = "Excluded"
    INVALID = "Invalid"
    CONCURRENCY_FORBID = "ConcurrencyForbid"
    QUEUE_FULL = "QueueFull"
    NAME_TAKEN = "NameTaken"


@dataclass(frozen=True, slots=True)
class Own:
    """How the traces of a definition's own runs are told."""

    name: str
    uids: Collection[str]
    """Of the definition, its JobRuns and their Jobs."""
    jobs: Collection[str]
    """Names that the Jobs have, or will have: an event about a Job may be told before the Job itself."""


def selected(types: Collection[EventType], selector: LabelSelector, kind: EventType, raw: Object) -> bool:
    """Whether an event is the trigger's at all."""
    return kind in types and matches(selector, raw["metadata"].get("labels") or {})


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy a selector, as metav1.LabelSelector is defined."""
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    for requirement in selector.match_expressions:
        value, values = labels.get(requirement.key), requirement.values
        match requirement.operator:
            case SelectorOperator.IN:
                holds = value is not None and value in values
            case SelectorOperator.NOT_IN:
                holds = value is None or value not in values
            case SelectorOperator.EXISTS:
                holds = value is not None
            case SelectorOperator.DOES_NOT_EXIST:
                holds = value is None
        if not holds:
            return False
    return True


def may_be_own(raw: Object) -> bool:
    """Whether it is worth to ask `is_own`: most objects have neither owner nor label, and speak of nothing."""
    metadata = raw["metadata"]
    labelled = keys.SCHEDULED_JOB_LABEL in (metadata.get("labels") or {})
    return labelled or bool(metadata.get("ownerReferences")) or _regarding(raw) is not None


def is_own(raw: Object, own: Own) -> bool:
    """Whether a run of the job itself has made the change: it does not start the job again.

    By label: the object bears `carillon.dev/scheduled-job` with the job's name, as its runs, Jobs and pods do. By
    owner: the definition, one of its JobRuns or one of their Jobs owns the object, or is it. A Kubernetes Event is the
    job's own when that holds of the object that it speaks of; of a pod, its Job tells, after which Kubernetes names the
    pod.
    """
    metadata = raw["metadata"]
    if (metadata.get("labels") or {}).get(keys.SCHEDULED_JOB_LABEL) == own.name:
        return True
    if metadata.get("uid") in own.uids:
        return True
    if any(_is_ours(reference, own) for reference in metadata.get("ownerReferences") or ()):
        return True
    regarding = _regarding(raw)
    if regarding is None:
        return False
    if _is_ours(regarding, own):
        return True
    pod = regarding.get("name") or ""
    return regarding.get("kind") == "Pod" and any(
        pod.startswith(f"{job}-"[:_GENERATED_NAME_LENGTH]) for job in own.jobs
    )


def _is_ours(reference: Object, own: Own) -> bool:
    return reference.get("uid") in own.uids or (reference.get("kind") == "Job" and reference.get("name") in own.jobs)


def change_of(kind: EventType, raw: Object) -> Change:
    """Say what happened to which object."""
    metadata, regarding = raw["metadata"], _regarding(raw)
    return Change(
        type=kind,
        api_version=raw.get("apiVersion") or "",
        kind=raw.get("kind") or "",
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata.get("resourceVersion") or "",
        regarding=f"{regarding.get('kind') or ''}/{regarding.get('name') or ''}" if regarding is not None else "",
    )


def _regarding(raw: Object) -> Object | None:
    """What a Kubernetes Event speaks of: `involvedObject` in the core group, `regarding` in events.k8s.io."""
    if raw.get("kind") != "Event":
        return None
    found = raw.get("involvedObject") or raw.get("regarding")
    return found if isinstance(found, Mapping) else None
