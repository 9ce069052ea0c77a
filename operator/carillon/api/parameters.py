"""Parameters: what a run may be told when it is created, and what a ScheduledJob lets it be told.

All values are strings, as the containers get them. The shapes below are read alike by the API server (RE2) and by us,
so that admission and operator agree on what a whole number is.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from carillon.api.base import ApiModel

MAX_PARAMETERS = 32
NAME_LENGTH = 40
VALUE_LENGTH = 1024
"""Of one value, in characters."""
VALUES_BYTES = 2048
"""Of a run's names and values together, so that the JobRun stays under 10 kB (design 3.12)."""
BOUND_LENGTH = 32
PATTERN_LENGTH = 256

VALUE_SHAPE = r"^[^\x00]*$"
"""An environment variable ends at a NUL, so that no value has one."""
INTEGER_SHAPE = r"^-?(0|[1-9][0-9]{0,17})$"
"""Fits 64 bits. Neither plus nor leading zeros: a shell takes 010 for eight, and refuses 08."""
NUMBER_SHAPE = r"^-?(0|[1-9][0-9]{0,14})([.][0-9]{1,15})?([eE][-+]?[0-9]{1,2})?$"
"""JSON's numbers, in bounds that no float leaves."""


class ParameterType(StrEnum):
    """What a value has to look like."""

    STRING = "String"
    INTEGER = "Integer"
    NUMBER = "Number"
    BOOLEAN = "Boolean"
    ENUM = "Enum"


_VALUE = Field(
    max_length=VALUE_LENGTH, pattern=VALUE_SHAPE, description="A value, always a string: write numbers in quotes."
)
ParameterValue = Annotated[str, _VALUE]
_Choice = Annotated[str, Field(min_length=1, max_length=128, pattern=VALUE_SHAPE, description="A value to choose.")]


class Parameter(ApiModel):
    """One thing that a run may be told; its containers find it as PARAM_<NAME>."""

    name: str = Field(
        min_length=1,
        max_length=NAME_LENGTH,
        # No capitals and no underscores: two names never give one variable.
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="Name of the parameter: lower-case letters, digits and dashes. Containers find its value in "
        "PARAM_<NAME>, in capitals and with _ for -: dry-run is PARAM_DRY_RUN.",
    )
    type: ParameterType = Field(
        default=ParameterType.STRING,
        description="String (default), Integer (at most 18 digits), Number (as in JSON), Boolean (true or false) or "
        "Enum (one of enum).",
    )
    description: str = Field(default="", max_length=256, description="What it does, for people.")
    default: ParameterValue | None = Field(
        default=None,
        description="The value of runs that say nothing: all those of triggers and autoStart. An empty string when "
        "there is no default.",
    )
    required: bool = Field(
        default=False,
        description="A run is refused unless it gives a value, or there is a default. Default: false.",
    )
    minimum: str | None = Field(
        default=None,
        min_length=1,
        max_length=BOUND_LENGTH,
        description="The smallest value, in quotes. Only with Integer and Number.",
    )
    maximum: str | None = Field(
        default=None,
        min_length=1,
        max_length=BOUND_LENGTH,
        description="The largest value, in quotes. Only with Integer and Number.",
    )
    enum: tuple[_Choice, ...] = Field(
        default=(),
        max_length=32,
        description="The values to choose from. Only with Enum.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    pattern: str | None = Field(
        default=None,
        min_length=1,
        max_length=PATTERN_LENGTH,
        description="A regular expression that the value has to match, with ^ and $ as a whole; only with String. The "
        r"part of RE2 that is written everywhere alike: . [a-z] [^a-z] \d \w \s (…) (?:…) | ? * + {2,5} ^ $, and \ "
        "before anything else that is not a letter, a digit or a space.",
    )
