"""On-event triggers: what a trigger watches, what the run that it starts is told, and what led to no run."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from carillon.api.base import ApiModel, Instant, StatusModel

MOST_EVENT_TRIGGERS = 2
"""In one definition: an authorizer check costs 350,000 of the 1,000,000 that an admission expression may cost."""
MOST_OBJECTS = 50
"""Objects that a run's record names; it counts all."""


LabelValue = Annotated[str, Field(max_length=63, description="Value of a label.")]


class EventType(StrEnum):
    """What happened to an object."""

    CREATED = "Created"
    UPDATED = "Updated"
    DELETED = "Deleted"


class SelectorOperator(StrEnum):
    """How a label is compared, as in metav1.LabelSelector."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelRequirement(ApiModel):
    """One condition on a label."""

    key: str = Field(min_length=1, max_length=317, description="The label.")
    operator: SelectorOperator = Field(description="In, NotIn, Exists or DoesNotExist.")
    values: tuple[LabelValue, ...] = Field(default=(), max_length=50, description="With In and NotIn only: the values.")

    @model_validator(mode="after")
    def _values_where_they_count(self) -> Self:
        listed = self.operator in (SelectorOperator.IN, SelectorOperator.NOT_IN)
        if listed and not self.values:
            raise ValueError(f"found no values; {self.operator} needs at least one")
        if self.values and not listed:
            raise ValueError(f"found values; {self.operator} takes none, remove them")
        return self


class LabelSelector(ApiModel):
    """Which objects count, as in metav1.LabelSelector: all conditions hold."""

    match_labels: dict[str, LabelValue] = Field(
        default={}, max_length=20, description="Labels and the values that they have to have."
    )
    match_expressions: tuple[LabelRequirement, ...] = Field(
        default=(), max_length=20, description="Conditions on labels."
    )


class EventTrigger(ApiModel):
    """Run when objects of one kind are created, updated or deleted in the ScheduledJob's namespace."""

    group: str = Field(
        default="",
        max_length=253,
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$",
        description="API group of the resource; empty for the core group (ConfigMaps, pods, Events).",
    )
    version: str = Field(
        min_length=2, max_length=30, pattern=r"^v[0-9]+((alpha|beta)[0-9]+)?$", description="Its version, such as v1."
    )
    resource: str = Field(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="The resource in the plural, such as configmaps. It has to be in eventSources of the chart's "
        "values, and who writes the ScheduledJob has to be allowed to watch it in the namespace.",
    )
    types: tuple[EventType, ...] = Field(
        default=(EventType.CREATED,),
        min_length=1,
        max_length=3,
        description="What counts: Created, Updated, Deleted. Default: Created. What was there before the trigger was "
        "does not count as created.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    label_selector: LabelSelector = Field(default=LabelSelector(), description="Which objects count; all when empty.")
    filter: str = Field(
        default="",
        max_length=1024,
        description="CEL expression; only events for which it is true count. object is the object as it is now (of a "
        "deleted one, as it was last), oldObject as it was before, null for a created one. Example, only when a field "
        'changed: "object.data.version != oldObject.data.version".',
    )
    debounce_seconds: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="Wait so many seconds from the first event on and make one run for all events until then. "
        "Default: 0, each event makes a run.",
    )

    @model_validator(mode="after")
    def _types_once(self) -> Self:
        if len(set(self.types)) != len(self.types):
            raise ValueError("found a type twice in types; name each once")
        return self


class EventObject(ApiModel):
    """What happened to one object."""

    type: EventType = Field(description="Created, Updated or Deleted.")
    name: str = Field(max_length=253, description="Name of the object.")
    uid: str = Field(max_length=128, description="UID of the object.")
    resource_version: str = Field(
        default="", max_length=64, description="Its resourceVersion after the last of these changes."
    )
    regarding: str = Field(
        default="", max_length=320, description="Of a Kubernetes Event: the object that it speaks of, as kind/name."
    )


class RunEvent(ApiModel):
    """The events that made a run."""

    api_version: str = Field(max_length=320, description="apiVersion of the objects.")
    kind: str = Field(max_length=63, description="Kind of the objects.")
    namespace: str = Field(max_length=63, description="Namespace of the objects, which is the run's own.")
    count: int = Field(ge=1, description="How many events the run stands for.")
    first_time: Instant = Field(description="When the operator saw the first of them.")
    last_time: Instant = Field(description="When the operator saw the last of them.")
    objects: tuple[EventObject, ...] = Field(
        min_length=1,
        max_length=MOST_OBJECTS,
        description="The first objects that changed, at most 50 and 4,000 bytes.",
    )


class EventCount(StatusModel):
    """Events of a trigger that led to no run of their own, for one reason."""

    trigger: str = Field(max_length=40, description="Name of the trigger.")
    reason: str = Field(
        max_length=32,
        description="Filtered: the filter was not true. Debounced: it joined the run of an earlier event. Disabled, "
        "Excluded, ConcurrencyForbid, Invalid: as in skips. SelfMade: a run of this job made the change. FilterFailed, "
        "FilterTimeout, OldObjectUnknown, TooLarge: the filter could not be evaluated.",
    )
    count: int = Field(ge=1, description="How many.")
    last_time: Instant = Field(description="When the last one was seen.")
