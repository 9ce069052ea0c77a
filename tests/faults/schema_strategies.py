"""Values that a schema of ours allows, as hypothesis strategies: what the API server lets pass before CEL has its say.

What a schema cannot say of a string (that it is a cron expression, a zone, an instant) is said by its name: such a
string is drawn from words that mean something, and from others that do not.
"""

from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st

Schema = dict[str, Any]
Words = Mapping[str, tuple[str, ...]]


def values(schema: Schema, words: Words, *, name: str = "") -> st.SearchStrategy[Any]:
    """What may stand in a field of that name; raises KeyError for a kind of schema that ours do not have."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if name in words:
        return st.sampled_from(words[name])
    kinds = {"boolean": _booleans, "integer": _integers, "string": _strings}
    if schema["type"] == "array":
        return _lists(schema, words, name)
    if schema["type"] == "object":
        return _objects(schema, words)
    return kinds[schema["type"]](schema)


def _booleans(_schema: Schema) -> st.SearchStrategy[Any]:
    return st.booleans()


def _integers(schema: Schema) -> st.SearchStrategy[Any]:
    least, most = schema.get("minimum", -(2**31)), schema.get("maximum", 2**31 - 1)
    return st.sampled_from((least, most)) | st.integers(least, min(most, least + 200))


def _strings(schema: Schema) -> st.SearchStrategy[Any]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 20)
    if "pattern" in schema:
        pattern: st.SearchStrategy[Any] = st.from_regex(schema["pattern"], fullmatch=True)
        return pattern.filter(lambda text: least <= len(text) <= most and not text.endswith("\n"))
    alphabet = st.characters(codec="utf-8", exclude_characters="\x00")
    return st.text(alphabet, min_size=least, max_size=min(most, 20))


def _lists(schema: Schema, words: Words, name: str) -> st.SearchStrategy[Any]:
    most = min(schema.get("maxItems", 3), 3)
    keys = schema.get("x-kubernetes-list-map-keys")
    unique = (lambda item: tuple(item[key] for key in keys)) if keys else None
    if schema.get("x-kubernetes-list-type") == "set":
        unique = lambda item: item  # noqa: E731
    items = values(schema["items"], words, name=name)
    return st.lists(items, min_size=schema.get("minItems", 0), max_size=most, unique_by=unique)


def _objects(schema: Schema, words: Words) -> st.SearchStrategy[Any]:
    required = set(schema.get("required", ()))
    fields = {name: values(inner, words, name=name) for name, inner in schema.get("properties", {}).items()}
    needed = {name: strategy for name, strategy in fields.items() if name in required}
    return st.fixed_dictionaries(needed, optional={n: s for n, s in fields.items() if n not in required})
