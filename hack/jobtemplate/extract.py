"""Reduce Kubernetes' own OpenAPI document to the JobTemplateSpec that the ScheduledJob's schema embeds.

    python hack/jobtemplate/extract.py [--version v1.36.3] [--output operator/carillon/api/jobtemplate.json]

The document comes with the Go module k8s.io/kubernetes, which `go mod download` fetches and verifies. What is stored
has the types, formats and required fields, so that the API server refuses a typo deep in a pod template, and nothing
else: descriptions would take the CRD past the size a plain `kubectl apply` can carry, and defaults are for the API
server of the day to set on the Job.

One rule decides every doubt: a template that batch/v1 accepts should pass. So a list is marked as a map only where
Kubernetes itself refuses duplicate keys. (One thing does not pass: a quantity written as a fraction without quotes,
`cpu: 0.5`. A structural schema has no type for a number or a string.)
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

MODULE = "k8s.io/kubernetes"
DOCUMENT = "api/openapi-spec/v3/apis__batch__v1_openapi.json"
ROOT = "JobTemplateSpec"
KEPT = (
    "type",
    "format",
    "required",
    "x-kubernetes-map-type",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)

DUPLICATES_ALLOWED = {("Container", "env"), ("PodSpec", "hostAliases")}
"""Lists that the document calls maps, and in which Kubernetes accepts a key twice (the last one wins)."""

LEFT_OUT = {("PodSpec", "ephemeralContainers")}
"""Fields that Kubernetes refuses in every pod template."""

ALSO_REQUIRED = {ROOT: "spec", "PodTemplateSpec": "spec"}
"""Optional in the document, though no Job is valid without them: better told at apply."""

INT_OR_STRING: Schema = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
_NUMBER = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"
QUANTITY: Schema = {**INT_OR_STRING, "pattern": rf"^[+-]?{_NUMBER}([KMGTPE]i|[numkMGTPE]|[eE][+-]?{_NUMBER})?$"}

DESCRIPTIONS = {
    "JobTemplateSpec": {
        "metadata": "Labels and annotations for the Jobs that are made. Other metadata has no effect on them.",
        "spec": "The Job, as in batch/v1. `kubectl explain job.spec` tells more of each field.",
    },
    "JobSpec": {
        "activeDeadlineSeconds": "Seconds that the Job may be active. Prefer timeoutSeconds of the ScheduledJob.",
        "backoffLimit": "Retries of failed pods before the Job fails. Kubernetes' own default is 6.",
        "backoffLimitPerIndex": "Retries for each index of an Indexed Job.",
        "completionMode": "NonIndexed, or Indexed: each pod gets its number in JOB_COMPLETION_INDEX.",
        "completions": "How many pods have to succeed.",
        "managedBy": "Name of another controller that runs the Job in place of Kubernetes' own.",
        "manualSelector": "Not allowed to be true: Kubernetes makes the selector of each Job.",
        "maxFailedIndexes": "How many indexes may fail before the whole Job fails.",
        "parallelism": "How many pods run at a time.",
        "podFailurePolicy": "Which exit codes and pod conditions end the Job, are retried, or are ignored.",
        "podReplacementPolicy": "TerminatingOrFailed or Failed: when a pod's replacement is made.",
        "selector": "Not allowed: Kubernetes makes the selector of each Job.",
        "successPolicy": "When an Indexed Job succeeds although not every index did.",
        "suspend": "Makes the Jobs suspended. To disable a ScheduledJob set spec.suspend instead.",
        "template": "The pods of the Job.",
        "ttlSecondsAfterFinished": "Seconds after which a finished Job is deleted with its pods.",
    },
    "PodTemplateSpec": {
        "metadata": "Labels and annotations for the pods.",
        "spec": "The pod; `kubectl explain pod.spec` tells more. restartPolicy has to be Never or OnFailure.",
    },
}


def _strings(value: Schema) -> Schema:
    return {"type": "object", "additionalProperties": value}


def _metadata(*more: str) -> Schema:
    """The metadata of an embedded template.

    The API server gives `metadata` a meaning at the root of an object only (and under x-kubernetes-embedded-resource,
    which would ask for apiVersion and kind). Anywhere else it is a field like any other: without properties all of its
    content would be pruned silently. So what has an effect is listed, and what tools write without an effect:
    `creationTimestamp: null`, and for a Job the template's name.
    """
    text: Schema = {"type": "string"}
    properties: dict[str, Schema] = {
        "annotations": _strings(text),
        "creationTimestamp": {**text, "format": "date-time"},
        "labels": _strings(text),
        "name": text,
        "finalizers": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
    }
    kept = {"annotations", "creationTimestamp", "labels", *more}
    return {"type": "object", "properties": {name: properties[name] for name in sorted(kept)}}


METADATA = {
    "JobTemplateSpec": _metadata("name"),
    "PodTemplateSpec": _metadata("name", "finalizers"),
    "PersistentVolumeClaimTemplate": _metadata(),
}


def short(reference: str) -> str:
    """`#/components/schemas/io.k8s.api.core.v1.PodSpec` -> `PodSpec`."""
    return reference.rsplit(".", 1)[-1]


def reduce(schema: Schema, reached: set[str]) -> Schema:
    """Strip one node to what is kept, and add the references it makes to `reached`."""
    if reference := schema.get("$ref") or next((part["$ref"] for part in schema.get("allOf", ())), None):
        match short(reference):
            case "IntOrString":
                return INT_OR_STRING
            case "Quantity":
                return QUANTITY
            case "Time":
                return {"type": "string", "format": "date-time"}
        reached.add(reference)
        return {"$ref": f"#/definitions/{short(reference)}"}
    kept = {key: schema[key] for key in KEPT if key in schema}
    if "items" in schema:
        kept["items"] = reduce(schema["items"], reached)
    if "additionalProperties" in schema:
        kept["additionalProperties"] = reduce(schema["additionalProperties"], reached)
    return kept


def definition(name: str, schema: Schema, document: dict[str, Schema], reached: set[str]) -> Schema:
    """One named definition, its properties reduced."""
    kept = reduce(schema, reached)
    required = {*kept.get("required", ()), *filter(None, [ALSO_REQUIRED.get(name)])}
    if required:
        kept["required"] = sorted(required)
    properties: dict[str, Schema] = {}
    for field, value in sorted(schema.get("properties", {}).items()):
        if (name, field) in LEFT_OUT:
            continue
        if field == "metadata" and name in METADATA:
            properties[field] = METADATA[name]
        else:
            properties[field] = _as_list(name, field, reduce(value, reached), document)
        if description := DESCRIPTIONS.get(name, {}).get(field):
            properties[field] = {**properties[field], "description": description}
    if properties:
        kept["properties"] = properties
    if name == "PodSpec":
        properties["containers"]["minItems"] = 1
    return kept


def _as_list(name: str, field: str, kept: Schema, document: dict[str, Schema]) -> Schema:
    """Leave the list-map marker only where a CRD may carry it (its keys are required) and Kubernetes means it."""
    if kept.get("x-kubernetes-list-type") != "map":
        return kept
    item = next(
        schema for full, schema in document.items() if short(full) == short(kept["items"]["$ref"].replace("/", "."))
    )
    if (
        set(kept["x-kubernetes-list-map-keys"]) <= set(item.get("required", ()))
        and (name, field) not in DUPLICATES_ALLOWED
    ):
        return kept
    return {key: value for key, value in kept.items() if key != "x-kubernetes-list-map-keys"} | {
        "x-kubernetes-list-type": "atomic"
    }


def extract(document: dict[str, Schema]) -> dict[str, Schema]:
    """All definitions that a JobTemplateSpec needs, by their short names.

    Raises ValueError where two definitions share a short name; the names in the result would be ambiguous.
    """
    found: dict[str, Schema] = {}
    full_names: dict[str, str] = {}
    waiting = [next(full for full in document if full.endswith(f".batch.v1.{ROOT}"))]
    while waiting:
        full = waiting.pop()
        name = short(full)
        if full_names.setdefault(name, full) != full:
            raise ValueError(f"{name} is both {full_names[name]} and {full}")
        if name in found:
            continue
        reached: set[str] = set()
        found[name] = definition(name, document[full], document, reached)
        waiting.extend(reference.rsplit("/", 1)[-1] for reference in reached)
    return dict(sorted(found.items()))


def module_directory(version: str) -> Path:
    """Where the Go module is after fetching it; Go verifies it against its checksum database."""
    output = subprocess.run(
        ["go", "mod", "download", "-json", f"{MODULE}@{version}"], check=True, capture_output=True, text=True
    ).stdout
    return Path(json.loads(output)["Dir"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--version", default="v1.36.3", help="of the Go module k8s.io/kubernetes (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=Path("operator/carillon/api/jobtemplate.json"))
    options = parser.parse_args()
    document = json.loads((module_directory(options.version) / DOCUMENT).read_text())["components"]["schemas"]
    definitions = extract(document)
    content = {
        "source": {"module": MODULE, "version": options.version, "document": DOCUMENT},
        "root": ROOT,
        "definitions": definitions,
    }
    options.output.write_text(json.dumps(content, indent=1, sort_keys=False) + "\n")
    print(f"{options.output}: {len(definitions)} definitions of {MODULE} {options.version}")


if __name__ == "__main__":
    main()
