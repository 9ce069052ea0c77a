"""The generator: what the files in crds/ must and must not hold."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from carillon.api import crd
from carillon.api.rules import Rule
from carillon.api.scheduledjob import ScheduledJobSpec
from carillon.api.schema import job_template, root, structural

Schema = dict[str, Any]

REPOSITORY = Path(__file__).parents[3]
MAX_BYTES = 200_000
EMBEDDED = "spec.jobTemplate"
KINDS = {"ScheduledJob": crd.scheduled_jobs(), "JobRun": crd.job_runs(), "Calendar": crd.calendars()}


def version(kind: str) -> Schema:
    found: Schema = KINDS[kind]["spec"]["versions"][0]
    return found


def walk(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from walk(schema["additionalProperties"], f"{path}{{}}")
    for name, value in schema.get("properties", {}).items():
        yield from walk(value, f"{path}.{name}" if path else name)


def nodes(kind: str) -> list[tuple[str, Schema]]:
    return list(walk(version(kind)["schema"]["openAPIV3Schema"], ""))


def own(kind: str) -> list[tuple[str, Schema]]:
    return [
        (path, schema)
        for path, schema in nodes(kind)
        if path.startswith(("spec", "status")) and not path.startswith(EMBEDDED + ".")
    ]


kinds = pytest.mark.parametrize("kind", sorted(KINDS))


def test_the_files_in_the_repository_are_those_of_the_models() -> None:
    assert crd.stale(REPOSITORY / "crds") == []


def test_the_files_do_not_depend_on_the_process() -> None:
    program = "import sys; from carillon.api import crd; sys.stdout.write(''.join(crd.render().values()))"
    written = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "operator"), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert written == {"".join(crd.render().values())}


def test_a_file_is_what_the_generator_made_and_no_anchors() -> None:
    for (name, content), expected in zip(crd.render().items(), KINDS.values(), strict=True):
        assert name == f"carillon.dev_{expected['spec']['names']['plural']}.yaml"
        assert yaml.safe_load(content) == expected
        assert "&id" not in content


@kinds
def test_a_crd_is_small_enough_for_a_plain_apply_and_a_helm_release(kind: str) -> None:
    assert len(json.dumps(KINDS[kind])) < MAX_BYTES


@kinds
def test_every_field_of_ours_is_described(kind: str) -> None:
    assert [path for path, schema in own(kind) if not schema.get("description")] == []


@kinds
def test_every_string_of_ours_is_bounded(kind: str) -> None:
    unbounded = [
        path
        for path, schema in own(kind)
        if schema["type"] == "string" and "maxLength" not in schema and "enum" not in schema
    ]
    assert unbounded == []


@kinds
def test_every_list_of_ours_is_bounded_and_every_list_has_its_type(kind: str) -> None:
    assert [path for path, schema in own(kind) if schema["type"] == "array" and "maxItems" not in schema] == []
    assert [p for p, schema in nodes(kind) if schema.get("type") == "array" and not list_type(schema)] == []


def list_type(schema: Schema) -> str:
    return str(schema.get("x-kubernetes-list-type", ""))


@kinds
def test_every_map_of_ours_is_bounded(kind: str) -> None:
    assert [
        path for path, schema in own(kind) if "additionalProperties" in schema and "maxProperties" not in schema
    ] == []


@kinds
def test_a_list_map_requires_its_keys(kind: str) -> None:
    for path, schema in nodes(kind):
        if list_type(schema) == "map":
            assert set(schema["x-kubernetes-list-map-keys"]) <= set(schema["items"]["required"]), path


def test_lists_that_are_told_apart_by_a_key_are_maps() -> None:
    maps = {
        (kind, path): schema["x-kubernetes-list-map-keys"]
        for kind in KINDS
        for path, schema in own(kind)
        if list_type(schema) == "map"
    }
    assert maps == {
        ("ScheduledJob", "spec.triggers"): ["name"],
        ("ScheduledJob", "spec.parameters"): ["name"],
        ("ScheduledJob", "status.triggers"): ["name"],
        ("ScheduledJob", "status.events"): ["trigger", "reason"],
        ("ScheduledJob", "status.backfills"): ["id"],
        ("ScheduledJob", "status.conditions"): ["type"],
        ("JobRun", "status.conditions"): ["type"],
        ("Calendar", "status.conditions"): ["type"],
    }


@kinds
def test_the_schema_is_structural(kind: str) -> None:
    refused = {"$ref", "$defs", "title", "nullable", "oneOf", "allOf", "not", "x-job-template"}
    for path, schema in nodes(kind):
        assert not refused & schema.keys(), path
        assert ("type" in schema) != ("x-kubernetes-int-or-string" in schema), path
        assert "anyOf" not in schema or schema.get("x-kubernetes-int-or-string"), path


@kinds
def test_integers_and_instants_have_their_format(kind: str) -> None:
    for path, schema in own(kind):
        if schema["type"] == "integer":
            assert schema["format"] in ("int32", "int64"), path
        if path.endswith(("Time", "Through", "Since", ".since", ".from", ".to")):
            assert schema["format"] == "date-time", path


def test_defaults_are_those_that_say_something() -> None:
    defaults = {path: schema["default"] for kind in KINDS for path, schema in nodes(kind) if "default" in schema}
    assert defaults == {
        "spec.class": "User",
        "spec.suspend": False,
        "spec.backend": "Operator",
        "spec.autoStart": False,
        "spec.catchUp": {"policy": "Latest", "limit": 10},
        "spec.catchUp.policy": "Latest",
        "spec.catchUp.limit": 10,
        "spec.concurrency": {"policy": "Forbid"},
        "spec.concurrency.policy": "Forbid",
        "spec.history": {"succeeded": 3, "failed": 3},
        "spec.history.succeeded": 3,
        "spec.history.failed": 3,
        "spec.trigger": {"type": "Manual"},
        "spec.trigger.type": "Manual",
        "spec.force": False,
        "spec.stop": False,
        "spec.retry.backoff": {"initialSeconds": 10, "factor": 2, "maxSeconds": 600},
        "spec.retry.backoff.initialSeconds": 10,
        "spec.retry.backoff.factor": 2,
        "spec.retry.backoff.maxSeconds": 600,
    }


@kinds
def test_a_column_reads_a_field_that_exists(kind: str) -> None:
    paths = {path for path, _ in nodes(kind)}
    for column in version(kind)["additionalPrinterColumns"]:
        path = re.sub(r"\[\??[^\]]*\]", "[]", column["jsonPath"].removeprefix("."))
        assert path in paths or path == "metadata.creationTimestamp", path


@kinds
def test_a_selectable_field_exists(kind: str) -> None:
    paths = {path for path, _ in nodes(kind)}
    assert {field["jsonPath"].removeprefix(".") for field in version(kind).get("selectableFields", ())} <= paths


@kinds
def test_a_rule_blames_a_field_that_exists_and_has_a_message(kind: str) -> None:
    for path, schema in nodes(kind):
        below = {inner for inner, _ in walk(schema, "")}
        for rule in schema.get("x-kubernetes-validations", ()):
            assert rule["message"], path
            assert rule.get("fieldPath", "").removeprefix(".") in below, path


def test_a_rule_for_a_field_that_does_not_exist_is_an_error() -> None:
    rule = Rule(path="spec.gone", rule="true", message="never")
    with pytest.raises(KeyError, match="gone"):
        root("", structural(ScheduledJobSpec, defaults=True), {"type": "object"}, (rule,))


def test_the_embedded_template_knows_the_whole_pod() -> None:
    paths = {path for path, _ in walk(job_template(), "")}
    pod = "spec.template.spec"
    assert {
        "metadata.labels",
        "spec.backoffLimit",
        "spec.podFailurePolicy.rules[].onExitCodes.values",
        f"{pod}.containers[].env[].valueFrom.secretKeyRef.key",
        f"{pod}.containers[].resources.limits{{}}",
        f"{pod}.initContainers[].volumeMounts[].mountPath",
        f"{pod}.securityContext.seccompProfile.type",
        f"{pod}.volumes[].projected.sources[].serviceAccountToken.path",
        f"{pod}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
        "spec.template.metadata.annotations",
    } <= paths


class TestCommand:
    def test_writes_both_files_and_then_finds_them_current(self, tmp_path: Path) -> None:
        assert crd.main(["--output", str(tmp_path)]) == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(crd.render())
        assert crd.main(["--check", "--output", str(tmp_path)]) == 0

    def test_check_shows_what_differs(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        crd.main(["--output", str(tmp_path)])
        edited = tmp_path / "carillon.dev_jobruns.yaml"
        edited.write_text(edited.read_text().replace("shortNames:\n    - jr", "shortNames:\n    - run"))
        assert crd.main(["--check", "--output", str(tmp_path)]) == 1
        said = capsys.readouterr().err
        assert "-    - run\n+    - jr\n" in said
        assert "run `make crds`" in said

    def test_check_names_a_missing_file_and_does_not_flood(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert crd.main(["--check", "--output", str(tmp_path)]) == 1
        said = capsys.readouterr().err
        assert "carillon.dev_scheduledjobs.yaml" in said
        assert "lines more" in said
        assert len(said.splitlines()) < 150
        assert list(tmp_path.iterdir()) == []
