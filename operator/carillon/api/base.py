"""What every model of the API shares: camelCase names on the wire, no unknown fields, values that do not change."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

GROUP = "carillon.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
USER_LENGTH = 256
"""Of a user's name, in characters."""


class ApiModel(BaseModel):
    """A piece of a custom resource; frozen, so that decisions can share it without copying."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class StatusModel(ApiModel):
    """A piece of a status; unknown fields are let through, for a newer operator may have written them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


def keyed_by(*keys: str) -> JsonDict:
    """Schema of a list whose items are told apart by `keys`: no two alike, and server-side apply merges by them."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def rfc3339(instant: datetime) -> str:
    """Write an aware datetime as Kubernetes does: UTC, whole seconds, `Z`."""
    # Not strftime: its years before 1000 have three digits, and no API server takes them.
    return instant.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def rfc3339_micro(instant: datetime) -> str:
    """Write an aware datetime as Kubernetes' MicroTime: UTC, with microseconds, `Z`."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _to_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError(
            f"found {instant.isoformat()}, which UTC has no year for; write a year from 2 to 9998"
        ) from None


Instant = Annotated[
    AwareDatetime,
    AfterValidator(_to_utc),
    PlainSerializer(rfc3339, return_type=str),
    Field(description="An instant in UTC, RFC 3339, whole seconds.", json_schema_extra={"maxLength": 40}),
]

PreciseInstant = Annotated[
    AwareDatetime,
    AfterValidator(_to_utc),
    PlainSerializer(rfc3339_micro, return_type=str),
    Field(description="An instant in UTC, RFC 3339, with microseconds.", json_schema_extra={"maxLength": 40}),
]
