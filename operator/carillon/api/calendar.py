"""Calendar: exclusions with a name, so that many definitions share one list."""

from pydantic import Field

from carillon.api.base import StatusModel, keyed_by
from carillon.api.conditions import Condition
from carillon.api.exclude import Closures


class CalendarSpec(Closures):
    """What is left out; named in spec.exclude.calendars of ScheduledJobs in the same namespace."""

    description: str = Field(default="", max_length=1024, description="What the calendar is for, for people.")


class CalendarStatus(StatusModel):
    """Whether the calendar was understood."""

    observed_generation: int = Field(
        default=0, ge=0, description="The metadata.generation that this status speaks of; an older one is out of date."
    )
    used_by: int = Field(default=0, ge=0, description="ScheduledJobs that name the calendar.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=8,
        description="Ready: the calendar is understood. False: the ScheduledJobs that name it do not fire.",
        json_schema_extra=keyed_by("type"),
    )
