"""What a Calendar's status says: whether it was understood, and how many definitions name it."""

from datetime import datetime, timedelta

from carillon.api.calendar import CalendarStatus
from carillon.api.conditions import Condition
from carillon.engine.model import CalendarSnapshot
from carillon.engine.plan import Action, Emit, Plan, WriteCalendarStatus
from carillon.engine.runstatus import status_body

INVALID, ACCEPTED = "InvalidSpec", "Accepted"
COUNTED_EVERY = timedelta(seconds=1)
"""How often the count alone is written at the most: thousands of definitions may be applied at once."""


def decide_calendar(snapshot: CalendarSnapshot, now: datetime) -> Plan:
    """Decide what to write about a Calendar.

    Args:
        snapshot: the Calendar as last seen, and how many definitions name it.
        now: aware UTC time of the decision.
    """
    calendar = snapshot.calendar
    if calendar is None:
        return Plan()
    problem = calendar.invalid
    old = next((c for c in calendar.status.conditions if c.type == "Ready"), None)
    value = "False" if problem else "True"
    ready = Condition(
        type="Ready",
        status=value,
        observed_generation=calendar.generation,
        last_transition_time=(
            old.last_transition_time if old is not None and old.status == value else now.replace(microsecond=0)
        ),
        reason=INVALID if problem else ACCEPTED,
        message=(problem or "the calendar is understood")[:1024],
    )
    status = CalendarStatus(observed_generation=calendar.generation, used_by=snapshot.used_by, conditions=(ready,))
    if status == calendar.status:
        return Plan()
    counted_at, written = snapshot.counted_at, calendar.status.model_copy(update={"used_by": status.used_by})
    # A clock that was set back must not put it off for as long.
    if status == written and counted_at is not None and counted_at <= now < counted_at + COUNTED_EVERY:
        return Plan(wake_at=counted_at + COUNTED_EVERY)
    actions: list[Action] = [WriteCalendarStatus(calendar.resource_version, status_body(status))]
    if problem and (old is None or old.message != ready.message):
        actions.append(Emit("Calendar", calendar.key.name, calendar.uid, "Warning", INVALID, ready.message))
    return Plan(actions=tuple(actions))
