"""When the run of a due time is to start, and what becomes of one whose time has not come (design 3.1, 3.3).

The intent is written at the due time, whatever puts the start off: jitter, or an exclusion that has begun. So nothing
is forgotten by an edit in between, and people see the run while it waits: its phase is Scheduled, and it holds no slot.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from carillon.api.base import rfc3339
from carillon.api.jobrun import Phase, TriggerType
from carillon.api.scheduledjob import CatchUpPolicy
from carillon.engine.due import MISSED_AFTER
from carillon.engine.model import Definition, PlannedTrigger, Run
from carillon.engine.triggers import bound, names_instant, opens_again, starts_at

JITTER = "Jitter"
CLOSED = "Closed"


@dataclass(frozen=True, slots=True)
class Early:
    """Why a run does not start yet."""

    reason: str
    message: str
    until: datetime


def expected_start(definition: Definition, run: Run) -> datetime | None:
    """When a periodic run was to start; None for a run that no due time calls for."""
    due = run.spec.scheduled_time
    if due is None or run.spec.trigger.type is not TriggerType.PERIODIC:
        return None
    named = (trigger for trigger in _counting(definition) if trigger.name == run.spec.trigger.name)
    return next((starts_at(trigger, due) for trigger in named), due)


def early(definition: Definition, run: Run, now: datetime) -> Early | None:
    """Why the run is not to start now; None when its time has come."""
    start, due = expected_start(definition, run), run.spec.scheduled_time
    if start is None or due is None:
        return None
    if start > now:
        return Early(JITTER, f"starts at {rfc3339(start)}: due at {rfc3339(due)}, and put off by its jitter", start)
    if now - start <= MISSED_AFTER:
        return None
    # What is late is made up for when it is open again: a closed time is no time to run.
    ends = [opens_again(trigger, now) for trigger in _counting(definition) if names_instant(trigger, due)]
    closed = [end for end in ends if end is not None]
    if not closed or len(closed) < len(ends):
        return None
    return Early(CLOSED, f"starts at {rfc3339(min(closed))}, when spec.exclude ends that covers this time", min(closed))


def given_up(definition: Definition, run: Run, now: datetime) -> tuple[str, str] | None:
    """Why a run that was put off is not to start any more: reason and message; None when it still is.

    An edit of its trigger withdraws it; if it is late, catchUp decides as it does for a due time that was missed.
    """
    due, start = run.spec.scheduled_time, expected_start(definition, run)
    if run.status.phase != Phase.SCHEDULED.value or due is None or start is None or definition.spec is None:
        return None
    name = run.spec.trigger.name
    trigger = next((trigger for trigger in _counting(definition) if trigger.name == name), None)
    mark = next((mark for mark in definition.status.triggers if mark.name == name), None)
    if trigger is None or mark is None or mark.since >= due:
        return "Withdrawn", f"trigger {name} was changed or removed before the run had started"
    if trigger.closed is not None and (span := trigger.closed.at(due)) is not None:
        return "Excluded", f"spec.exclude has come to cover the due time: {span.reason}"
    policy = definition.spec.catch_up.policy
    if now - start <= MISSED_AFTER or policy is CatchUpPolicy.ALL:
        return None
    if policy is CatchUpPolicy.SKIP:
        return "CatchUp", "it was late, and spec.catchUp.policy is Skip"
    newer = max(filter(None, (t.open.latest_through(now, after=due) for t in _counting(definition))), default=None)
    return ("CatchUp", f"it was late, and {rfc3339(newer)} is due since") if newer is not None else None


def _counting(definition: Definition) -> Iterator[PlannedTrigger]:
    """The triggers that have a watermark, as they count from it."""
    marks = {mark.name: mark for mark in definition.status.triggers}
    for trigger in definition.triggers:
        mark = marks.get(trigger.name)
        if mark is not None and mark.spec_hash == trigger.spec_hash:
            yield bound(trigger, mark)
