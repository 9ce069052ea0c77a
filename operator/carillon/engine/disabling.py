"""A job that people have disabled: since when, until when, why and by whom.

To disable a job (spec.suspend of the ScheduledJob) is not to pause a run (spec.suspend of the JobRun): nothing fires,
and what runs goes on. spec.suspendUntil is evaluated, and never rewritten: the operator does not write a spec.
"""

from datetime import datetime, timedelta

from carillon.api.base import rfc3339
from carillon.engine.model import Definition

SECOND = timedelta(seconds=1)


def disabled_until(definition: Definition, now: datetime) -> datetime | None:
    """When a disabled definition counts as enabled again; None where it is not disabled, or has no end."""
    if definition.spec is None or not definition.suspended(now):
        return None
    return definition.spec.suspend_until


def resumed_at(definition: Definition, now: datetime) -> datetime:
    """Up to when due times count as time spent suspended, of a definition that is seen to be enabled again.

    Up to now, for an edit never fires (design 3.1). Where nobody has edited it, its suspension has ended by itself, at
    a moment that was known: what is due at that moment and later counts, even if nobody was there to fire it.
    """
    spec = definition.spec
    if spec is None or not spec.suspend or spec.suspend_until is None:
        return now
    if definition.status.observed_generation != definition.generation:
        return now
    return min(now, spec.suspend_until - SECOND)


def why_disabled(definition: Definition) -> str:
    """Say who has disabled a definition, until when and why; empty where nobody has said anything."""
    spec = definition.spec
    if spec is None:
        return ""
    words = f" by {spec.suspended_by}" if spec.suspended_by else ""
    words += f" until {rfc3339(spec.suspend_until)}" if spec.suspend_until is not None else ""
    return words + (f": {spec.suspend_reason}" if spec.suspend_reason else "")
