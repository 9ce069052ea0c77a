"""Check manifests offline against the schemas of Kubernetes and of Carillon, with unknown fields refused.

    hack/validate-manifests [FILE ...]

Without arguments: the chart, rendered with its defaults and with each charts/carillon/ci/*-values.yaml, and the system
jobs that it hands to the operator. FILEs (examples/*.yaml) are checked as they are. Built-in kinds are held against the
OpenAPI documents of the Go module k8s.io/kubernetes, which `go mod download` fetches once and verifies; ours against
crds/. Nothing is asked of an API server: rules in CEL are the business of tests/cluster.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from hack.cluster.localcluster.plan import DEFAULT_VERSION

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "carillon"
SYSTEM_JOBS = "system-jobs.yaml"
"""Key of the ConfigMap that carries the chart's ScheduledJobs."""
SCHEMAS_ELSEWHERE = {"monitoring.coreos.com"}
"""API groups of other projects that the chart can make objects of; they are not checked."""

Json = Any


class CannotCheckError(Exception):
    """Something that the check needs is missing, in words for the person at the terminal."""


@cache
def helm() -> str:
    """The command to render with: $HELM, or the one that hack/cluster builds."""
    if "HELM" in os.environ:
        return os.environ["HELM"]
    done = subprocess.run([ROOT / "hack/cluster/which", "helm"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotCheckError(f"hack/cluster/which helm: {done.stderr.strip()}; or set HELM")
    return done.stdout.strip()


def render(values: Path | None) -> str:
    """What the chart makes of a file of values; of its defaults without one."""
    command = [helm(), "template", "carillon", str(CHART), "--namespace=carillon", f"--kube-version={DEFAULT_VERSION}"]
    done = subprocess.run([*command, *(["--values", str(values)] if values else [])], capture_output=True, text=True)
    if done.returncode:
        raise CannotCheckError(done.stderr.strip())
    return done.stdout


@cache
def openapi_directory() -> Path:
    command = ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{DEFAULT_VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise CannotCheckError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return Path(json.loads(done.stdout)["Dir"]) / "api" / "openapi-spec" / "v3"


def strict(schema: Json) -> Json:
    """The same schema as JSON Schema proper, and refusing fields that it does not name."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    made = {
        key: {name: strict(field) for name, field in value.items()} if key == "properties" else strict(value)
        for key, value in schema.items()
        if key not in ("default", "enum", "description", "example")
    }
    if "enum" in schema:
        made["enum"] = schema["enum"]
    closed = "properties" in made and not made.get("x-kubernetes-preserve-unknown-fields")
    if closed:
        made.setdefault("additionalProperties", False)
    if made.pop("nullable", False) and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


@cache
def built_in(api_version: str) -> dict[tuple[str, str], Draft202012Validator]:
    """The validators of an API group and version, by (apiVersion, kind)."""
    prefix = "apis" if "/" in api_version else "api"
    path = openapi_directory() / f"{prefix}__{api_version.replace('/', '__')}_openapi.json"
    if not path.exists():
        return {}
    document = strict(json.loads(path.read_text())["components"])
    made = {}
    for name, schema in document["schemas"].items():
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            found = f"{kind['group']}/{kind['version']}" if kind["group"] else kind["version"]
            reference = {"$ref": f"#/components/schemas/{name}", "components": document}
            made[found, kind["kind"]] = Draft202012Validator(reference)
    return made


@cache
def ours() -> dict[tuple[str, str], Draft202012Validator]:
    """The validators of the CustomResourceDefinitions in crds/, by (apiVersion, kind)."""
    made = {}
    metadata = {"type": "object"}
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        spec = yaml.safe_load(path.read_text())["spec"]
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": metadata}
            made[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = Draft202012Validator(schema)
    return made


def objects(text: str) -> Iterator[Json]:
    """The objects of a stream of YAML documents, and the system jobs that a ConfigMap of the chart carries."""
    for document in yaml.safe_load_all(text):
        if document is None:
            continue
        yield document
        if isinstance(document, dict) and document.get("kind") == "ConfigMap":
            yield from yaml.safe_load((document.get("data") or {}).get(SYSTEM_JOBS, "[]"))


def problems(thing: Json) -> Iterator[str]:
    """What is wrong with one object."""
    if not isinstance(thing, dict) or not thing.get("apiVersion") or not thing.get("kind"):
        yield f"not a Kubernetes object, which has apiVersion and kind: {json.dumps(thing)[:80]}"
        return
    kind = thing["apiVersion"], thing["kind"]
    if kind[0].split("/")[0] in SCHEMAS_ELSEWHERE:
        return
    validator = ours().get(kind) or built_in(kind[0]).get(kind)
    if validator is None:
        yield f"there is no kind {kind[1]} in {kind[0]}"
        return
    for error in validator.iter_errors(thing):
        told = best_match([error]) or error
        yield f"{told.json_path.removeprefix('$.')}: {told.message[:300]}"


def name_of(thing: Json) -> str:
    """Kind, namespace and name, as far as there are any."""
    if not isinstance(thing, dict):
        return "?"
    metadata = thing.get("metadata") or {}
    name = "/".join(str(metadata[key]) for key in ("namespace", "name") if key in metadata)
    return f"{thing.get('kind', '?')} {name}".strip()


def check(source: str, text: str) -> int:
    """Print what is wrong with a stream of documents, and return how many things are."""
    found = list(objects(text))
    wrong = [f"{source}: {name_of(thing)}: {problem}" for thing in found for problem in problems(thing)]
    print(
        *(wrong or [f"{source}: {len(found)} objects, all valid"]), sep="\n", file=sys.stderr if wrong else sys.stdout
    )
    return len(wrong)


def check_chart() -> int:
    """The same of the chart, rendered with its defaults and with each set of values."""
    sets = [None, *sorted((CHART / "ci").glob("*-values.yaml"))]
    return sum(check(f"chart, {values.name if values else 'defaults'}", render(values)) for values in sets)


def main() -> int:
    """Exit status: 0 when everything is valid, 1 when something is not, 2 when it could not be checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    files = parser.parse_args().files
    try:
        wrong = sum(check(str(path), path.read_text()) for path in files) if files else check_chart()
    except (CannotCheckError, OSError, yaml.YAMLError) as error:
        print(f"validate-manifests: {error}", file=sys.stderr)
        return 2
    return 1 if wrong else 0
