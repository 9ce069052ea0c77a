"""What a Calendar's status says: whether it was understood, and how many definitions name it."""

from datetime import datetime

from carillon.api.calendar import CalendarStatus
from carillon.api.conditions import Condition
from carillon.engine.model import Calendar
from carillon.engine.plan import Action, Emit, Plan, WriteCalendarStatus
from carillon.engine.runstatus import status_body

INVALID, ACCEPTED = "InvalidSpec", "Accepted"


def decide_calendar(calendar: Calendar, *, used_by: int, now: datetime) -> Plan:
    """Decide what to write about a Calendar.

    Args:
        calendar: as last seen.
        used_by: how many definitions name it.
        now: aware UTC time of the decision.
    """
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
    status = CalendarStatus(observed_generation=calendar.generation, used_by=used_by, conditions=(ready,))
    if status == calendar.status:
        return Plan()
    actions: list[Action] = [WriteCalendarStatus(calendar.resource_version, status_body(status))]
    if problem and (old is None or old.message != ready.message):
        actions.append(Emit("Calendar", calendar.key.name, calendar.uid, "Warning", INVALID, ready.message))
    return Plan(actions=tuple(actions))
