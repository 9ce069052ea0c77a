"""A refused spec in words: the field by its name on the wire, what was found there, and what would be right.

The API server has refused most mistakes already, in the same words (`rules.py`); what reaches this module is what got
past an older CRD, and what only the models can tell. The operator puts the result into the Ready condition.
"""

import difflib
import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from carillon.api.base import ApiModel
from carillon.api.calendar import CalendarSpec
from carillon.api.jobrun import JobRunSpec
from carillon.api.scheduledjob import ScheduledJobSpec
from carillon.api.schema import structural

MAX_LINES = 8
"""Lines for one object: a condition's message has 1024 characters."""
_MAX_FOUND = 60

_SPECS: dict[str, type[ApiModel]] = {model.__name__: model for model in (ScheduledJobSpec, JobRunSpec, CalendarSpec)}

_CURES = {
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "datetime_from_date_parsing": "write an instant with its offset, for example 2026-12-24T18:00:00Z",
    "datetime_parsing": "write an instant with its offset, for example 2026-12-24T18:00:00Z",
    "datetime_type": "write an instant with its offset, for example 2026-12-24T18:00:00Z",
    "dict_type": "write a map of fields",
    "enum": "use {expected}",
    "greater_than_equal": "use at least {ge}",
    "int_from_float": "write a whole number",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "less_than_equal": "use at most {le}",
    "model_type": "write a map of fields",
    "string_pattern_mismatch": "it has to match {pattern}",
    "string_too_long": "use at most {max_length} characters",
    "string_too_short": "use at least {min_length} characters, or leave the field out",
    "string_type": "write a string, in quotes",
    "timezone_aware": "add the offset, for example Z or +01:00",
    "too_long": "use at most {max_length} items",
    "tuple_type": "write a list",
}


def describe(error: ValidationError, *, root: str = "spec") -> str:
    """One line for each mistake, as `spec.triggers[0].cron: found ...; <what would be right>`.

    At most MAX_LINES; the last then says how many more there are.
    """
    details = error.errors(include_url=False)
    model = _SPECS.get(error.title)
    lines = [f"{_path(root, detail['loc'])}: {_said(detail, model)}" for detail in details[:MAX_LINES]]
    if len(details) > MAX_LINES:
        lines.append(f"and {len(details) - MAX_LINES} more")
    return "\n".join(lines)


def _path(root: str, location: Iterable[int | str]) -> str:
    return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _said(detail: ErrorDetails, model: type[BaseModel] | None) -> str:
    match detail["type"]:
        case "missing":
            return "required; add it"
        case "extra_forbidden":
            return f"unknown field; {_nearest(detail['loc'], model)}"
        case "value_error":
            return str(detail["ctx"]["error"])
    if detail["type"] == "string_too_short" and detail["input"] == "":
        return "found nothing; write a value, or leave the field out"
    found = _found(detail["input"])
    if detail["type"] not in _CURES:
        return f"found {found}; {detail['msg'][:1].lower()}{detail['msg'][1:]}"
    if detail["type"] == "too_long":
        found = f"{detail['ctx']['actual_length']} items"
    return f"found {found}; {_CURES[detail['type']].format(**detail.get('ctx', {}))}"


def _found(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _MAX_FOUND else f"{text[:_MAX_FOUND]}..."


def _nearest(location: tuple[int | str, ...], model: type[BaseModel] | None) -> str:
    """What an unknown field was meant to be: its sibling with the nearest spelling."""
    siblings = sorted(_fields(location[:-1], model))
    near = difflib.get_close_matches(str(location[-1]), siblings, n=1)
    return f"did you mean {near[0]}?" if near else "remove it, or correct its spelling"


def _fields(location: tuple[int | str, ...], model: type[BaseModel] | None) -> set[str]:
    """Names on the wire of the fields at a location; empty where the model does not tell."""
    if model is None:
        return set()
    node = structural(model, defaults=False)
    for part in location:
        node = node["items"] if isinstance(part, int) else node["properties"][part]
    return set(node["properties"])
