"""What models that are kept by the thousand have in common is kept once: most say little, and the same.

Pydantic notes on each model which fields were given, in a set of its own, and makes each nested model anew that says
what is the default anyway: a third of what a definition takes. Models are frozen, so nobody notices.
"""

from functools import cache
from typing import TypeVar

from pydantic import BaseModel

MOST_SETS = 4_096
"""There are few combinations of fields that people write; who writes them all gains nothing."""

Model = TypeVar("Model", bound=BaseModel)
_sets: dict[frozenset[str], set[str]] = {}


def shared(model: Model) -> Model:
    """Have a model, just made, share what it can; returns it."""
    given = model.__pydantic_fields_set__
    names = frozenset(given)
    known = _sets.get(names)
    if known is not None:
        object.__setattr__(model, "__pydantic_fields_set__", known)
    elif len(_sets) < MOST_SETS:
        _sets[names] = given
    defaults = _defaults(type(model))
    values = model.__dict__
    for name, value in values.items():
        if isinstance(value, BaseModel):
            default = defaults.get(name)
            # By their values: a comparison of models asks for more, and takes ten times as long.
            alike = type(value) is type(default) and value.__dict__ == default.__dict__
            values[name] = default if alike else shared(value)
        elif type(value) is tuple and value and isinstance(value[0], BaseModel):
            for each in value:
                shared(each)
    return model


@cache
def _defaults(kind: type[BaseModel]) -> dict[str, BaseModel]:
    """The fields whose default is a model."""
    found = {name: field.get_default(call_default_factory=False) for name, field in kind.model_fields.items()}
    return {name: default for name, default in found.items() if isinstance(default, BaseModel)}
