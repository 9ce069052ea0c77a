"""When the run of a due time is to start, and what becomes of one whose time has not come (design 3.1, 3.3).

The intent is written at the due time, whatever puts the start off: jitter, or an exclusion that has begun. So nothing
is forgotten by an edit in between, and people see the run while it waits: its phase is Scheduled, and it holds no slot.
The start that jitter gives is written down with it, so that no edit moves it. Where many are due together the intent is
written even earlier (carillon.engine.ahead), and waits for its due time.
"""

from dataclasses import dataclass
from datetime import datetime

from carillon.api.base import rfc3339
from carillon.api.jobrun import Phase, TriggerType
from carillon.api.scheduledjob import CatchUpPolicy
from carillon.engine.due import MISSED_AFTER
from carillon.engine.model import Definition, PlannedTrigger, Run
from carillon.engine.triggers import anchored, names_instant, opens_again, starts_at, watermarks

AHEAD = "Ahead"
JITTER = "Jitter"
CLOSED = "Closed"
_NOT_BEGUN = ("", Phase.SCHEDULED.value)


@dataclass(frozen=True, slots=True)
class Early:
    """Why a run does not start yet."""

    reason: str
    message: str
    until: datetime


def is_ahead(run: Run, now: datetime) -> bool:
    """Whether nothing has become of the run yet and its due time is to come: it is no record, and may be withdrawn.

    Also where the clock was set back.
    """
    due = run.spec.scheduled_time
    return (
        due is not None
        and due > now
        and run.spec.trigger.type is TriggerType.PERIODIC
        and run.status.phase in _NOT_BEGUN
        and not run.job_made
        and run.native_job is None
    )


def expected_start(definition: Definition, run: Run, now: datetime) -> datetime | None:
    """When a periodic run was to start; None for a run that no due time calls for."""
    due = run.spec.scheduled_time
    if due is None or run.spec.trigger.type is not TriggerType.PERIODIC:
        return None
    if run.status.start_after is not None:
        return run.status.start_after
    if not any(trigger.jitter_seconds for trigger in definition.triggers):
        return due
    naming = _naming(definition, due, now)
    return min((starts_at(t, due) for t in naming if not _covers(t, due)), default=due)


def early(definition: Definition, run: Run, now: datetime) -> Early | None:
    """Why the run is not to start now; None when its time has come."""
    start, due = expected_start(definition, run, now), run.spec.scheduled_time
    if start is None or due is None:
        return None
    if start > now and start == due:
        return Early(AHEAD, f"starts at {rfc3339(due)}, when it is due", start)
    if start > now:
        return Early(JITTER, f"starts at {rfc3339(start)}: due at {rfc3339(due)}, and put off by its jitter", start)
    if start == due and now - due <= MISSED_AFTER:
        return None
    # What is late is made up for when it is open again: a closed time is no time to run.
    ends = [opens_again(trigger, now) for trigger in _naming(definition, due, now)]
    closed = [end for end in ends if end is not None]
    if not closed or len(closed) < len(ends):
        return None
    return Early(CLOSED, f"starts at {rfc3339(min(closed))}, when spec.exclude ends that covers this time", min(closed))


def given_up(definition: Definition, run: Run, now: datetime) -> tuple[str, str] | None:
    """Why a run that has not begun is not to start any more: reason and message; None when it still is.

    An edit of all triggers that name its due time withdraws it; if it is late, catchUp decides as it does for a due
    time that was missed.
    """
    due, start = run.spec.scheduled_time, expected_start(definition, run, now)
    if run.status.phase not in _NOT_BEGUN or due is None or start is None or definition.spec is None:
        return None
    naming = _naming(definition, due, now)
    if not naming:
        return "Withdrawn", f"trigger {run.spec.trigger.name} was changed or removed before the run had started"
    if all(_covers(trigger, due) for trigger in naming):
        return "Excluded", "spec.exclude has come to cover the due time"
    policy, limit = definition.spec.catch_up.policy, definition.spec.catch_up.limit
    if now - start <= MISSED_AFTER:
        return None
    if policy is CatchUpPolicy.SKIP:
        return "CatchUp", "it was late, and spec.catchUp.policy is Skip"
    if policy is CatchUpPolicy.ALL:
        through = now - MISSED_AFTER
        missed = {instant for t in _counting(definition, now) for instant in t.open.newest(due, through, limit)}
        words = f"it was late, and {limit} newer due times were missed as well (spec.catchUp.limit)"
        return ("CatchUp", words) if len(missed) >= limit and not run.missed else None
    later = (trigger.open.latest_through(now, after=due) for trigger in _counting(definition, now))
    newer = max(filter(None, later), default=None)
    return ("CatchUp", f"it was late, and {rfc3339(newer)} is due since") if newer is not None else None


def _counting(definition: Definition, now: datetime) -> list[PlannedTrigger]:
    """The triggers as they count since their watermarks, as `due` sees them."""
    return [trigger for trigger, _ in anchored(definition, watermarks(definition, now))]


def _naming(definition: Definition, due: datetime, now: datetime) -> list[PlannedTrigger]:
    """The triggers that name a due time, and have counted before it."""
    pairs = anchored(definition, watermarks(definition, now))
    return [trigger for trigger, mark in pairs if mark.since < due and names_instant(trigger, due)]


def _covers(trigger: PlannedTrigger, due: datetime) -> bool:
    return trigger.closed is not None and trigger.closed.at(due) is not None
