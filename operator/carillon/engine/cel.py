"""CEL, as far as it is safe here: an expression is compiled and looked at, never evaluated.

Evaluation holds the interpreter's lock for as long as it takes, and no CEL library for Python limits what it may cost:
it belongs into a process that can be killed (`carillon.controller.filters`). Compiling is bounded by the parser: at
the most 1,024 characters take milliseconds, and nesting has a limit.
"""

from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

OLD_OBJECT = "oldObject"


class FilterError(ValueError):
    """An expression that is no CEL."""


@cache
def library() -> Any:
    """The compiled part of common-expression-language, without its command line: 4 MB instead of 30, and no delay."""
    package = find_spec("cel")
    found = PathFinder.find_spec("cel.cel", package.submodule_search_locations) if package is not None else None
    if found is None or found.loader is None:
        raise ImportError("common-expression-language is not installed")
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module


@lru_cache(maxsize=1024)
def looks_back(expression: str) -> bool:
    """Whether an expression speaks of `oldObject`.

    Raises:
        FilterError: it is no CEL; in words with the place.
    """
    try:
        names = library().compile(expression).references()["variables"]
    except ValueError as error:
        _, _, words = str(error).partition("ERROR: <input>:")
        first = (words or str(error)).splitlines()[0]
        raise FilterError(
            f"found {expression!r}, which is no CEL: {first}; write an expression over object and oldObject, "
            "for example object.data.ready == 'yes'"
        ) from None
    return OLD_OBJECT in names
