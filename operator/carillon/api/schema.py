"""From pydantic's JSON schema to the structural schema that apiextensions.k8s.io/v1 asks for.

The API server takes a subset of OpenAPI: no $ref, no `type` inside anyOf, a type at every node. Two things that are
left out on purpose:

- `nullable`. The API server drops `field: null` where the field is neither nullable nor has a default, and puts the
  default where it has one. So a null in a manifest is accepted, and means what leaving the field out means.
- Defaults that say nothing (empty strings and lists) and all defaults of a status: they would be written into every
  stored object.
"""

import json
from functools import cache
from importlib import resources
from typing import Any

from pydantic import BaseModel

from carillon.api.base import API_VERSION
from carillon.api.rules import Rule

Schema = dict[str, Any]

INT32_MAX = 2**31 - 1

_COPIED = (
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-int-or-string",
    "anyOf",
)


def structural(model: type[BaseModel], *, defaults: bool) -> Schema:
    """The structural schema of a model, with its own description and without references."""
    document = model.model_json_schema(by_alias=True, mode="validation", ref_template="#/definitions/{model}")
    return _node(document, document.get("$defs", {}), defaults=defaults)


@cache
def _job_template_document() -> Schema:
    content: Schema = json.loads(resources.files("carillon.api").joinpath("jobtemplate.json").read_text("utf-8"))
    return content


def job_template() -> Schema:
    """The embedded batch/v1 JobTemplateSpec, as `hack/jobtemplate/extract.py` reduced it."""
    document = _job_template_document()
    definitions = document["definitions"]
    return _node(definitions[document["root"]], definitions, defaults=False)


def root(description: str, spec: Schema, status: Schema, rules: tuple[Rule, ...]) -> Schema:
    """The schema of a whole object, with its rules in place.

    Raises KeyError when a rule's path does not exist in the schema.
    """
    text = {"type": "string"}
    whole: Schema = {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {**text, "description": f"{API_VERSION}."},
            "kind": {**text, "description": "The kind of the object."},
            # Kubernetes bounds names to 253 anyway; said here, it bounds the cost of the rules that look at the name.
            "metadata": {"type": "object", "properties": {"name": {**text, "maxLength": 253}}},
            "spec": spec,
            "status": status,
        },
    }
    for rule in rules:
        _at(whole, rule.path).setdefault("x-kubernetes-validations", []).append(rule.document())
    return whole


def _at(schema: Schema, path: str) -> Schema:
    for part in filter(None, path.split(".")):
        schema = schema["items"] if part == "items" else schema["properties"][part]
    return schema


def _node(schema: Schema, definitions: dict[str, Schema], *, defaults: bool) -> Schema:
    schema = _resolved(schema, definitions)
    if schema.get("x-job-template"):
        return {**job_template(), "description": schema["description"]}
    node: Schema = {}
    if "description" in schema:
        node["description"] = " ".join(schema["description"].split())
    node |= {key: schema[key] for key in _COPIED if key in schema}
    if defaults and (default := _telling(schema.get("default"))) is not None:
        node["default"] = default
    if node.get("type") == "integer" and "format" not in node:
        node["format"] = "int32" if node.get("maximum", INT32_MAX + 1) <= INT32_MAX else "int64"
    if node.get("type") == "array":
        node.setdefault("x-kubernetes-list-type", "atomic")
        # kubectl apply replaces lists whole: with a default in an item, each apply of the same file would be a change.
        node["items"] = _node(schema["items"], definitions, defaults=False)
    if isinstance(schema.get("additionalProperties"), dict):
        node["additionalProperties"] = _node(schema["additionalProperties"], definitions, defaults=defaults)
    if "properties" in schema:
        node["properties"] = {
            name: _node(value, definitions, defaults=defaults) for name, value in schema["properties"].items()
        }
    return node


def _resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """The schema with its reference, or the one alternative to null, in place; what stands beside them wins."""
    beside = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
    if "$ref" in schema:
        return {**_resolved(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions), **beside}
    alternatives = [part for part in schema.get("anyOf", ()) if part != {"type": "null"}]
    if len(alternatives) == 1:
        return {**_resolved(alternatives[0], definitions), **beside}
    return schema


def _telling(default: Any) -> Any:
    """The default without what an absent field says as well; None when nothing is left."""
    if isinstance(default, dict):
        default = {key: value for key, value in default.items() if _telling(value) is not None}
    return None if default in (None, "", [], {}) and default is not False else default
