"""The chart as a package: versions, CustomResourceDefinitions, its size, its values and their description."""

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

import carillon
from hack import manifests
from tests.unit.chart.conftest import Render, source, value_sets

CHART = manifests.CHART
KEEP = {"helm.sh/resource-policy": "keep"}
Refusal = Callable[..., str]


def crds() -> dict[str, Any]:
    return {
        crd["metadata"]["name"]: crd
        for crd in map(yaml.safe_load, (p.read_text() for p in source("crds").glob("*.yaml")))
    }


def test_one_version_everywhere() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == carillon.__version__
    assert f"ARG VERSION={carillon.__version__}\n" in source("Dockerfile").read_text()


def test_the_crds_are_those_of_the_repository_and_stay_when_the_release_goes(render: Render) -> None:
    rendered = {crd["metadata"]["name"]: crd for crd in render().all("CustomResourceDefinition")}
    assert {name: crd["spec"] for name, crd in rendered.items()} == {name: crd["spec"] for name, crd in crds().items()}
    for name, crd in rendered.items():
        assert crd["metadata"].get("annotations") == {**crds()[name]["metadata"].get("annotations", {}), **KEEP}


def test_the_crds_can_go_with_the_release_or_be_left_out(render: Render) -> None:
    going = render(crds={"keep": False}).all("CustomResourceDefinition")
    assert {crd["metadata"]["name"]: crd for crd in going} == crds()
    assert not render(crds={"install": False}).all("CustomResourceDefinition")


@pytest.mark.parametrize("name", sorted(crds()))
def test_a_crd_is_under_200_kb_of_json(name: str) -> None:
    """`kubectl apply` keeps a copy in an annotation, and annotations end at 256 KiB."""
    assert len(json.dumps(crds()[name], separators=(",", ":"))) < 200_000


def test_the_release_fits_its_secret_several_times(render: Render) -> None:
    """Helm keeps a release as base64 of gzip of JSON, chart files included, in a Secret of at most 1 MiB."""
    files = {
        str(p.relative_to(CHART)): base64.b64encode(p.read_bytes()).decode() for p in CHART.rglob("*") if p.is_file()
    }
    release = json.dumps({"chart": files, "manifest": [yaml.dump(thing) for thing in render().objects]})
    assert len(base64.b64encode(gzip.compress(release.encode()))) < 256 * 1024


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replica": 3}, "'replica' not allowed"),
        ({"image": {"registry": "example"}}, "'registry' not allowed"),
        ({"image": {"digest": "sha256:short"}}, "/image/digest"),
        ({"replicas": "two"}, "/replicas"),
        ({"replicas": -1}, "/replicas"),
        ({"watchNamespaces": "files"}, "/watchNamespaces"),
        ({"watchNamespaces": ["Files"]}, "/watchNamespaces/0"),
        ({"watchNamespaces": ["a", "a"]}, "/watchNamespaces"),
        ({"log": {"format": "text"}}, "/log/format"),
        ({"lastWords": "yes"}, "/lastWords"),
        ({"probePort": 80}, "/probePort"),
        ({"progress": {"port": 80}}, "/progress/port"),
        ({"progress": {"url": "progress.example.com"}}, "/progress/url"),
        ({"leaderElection": {"leaseDurationSeconds": 0}}, "/leaderElection/leaseDurationSeconds"),
        ({"systemJobs": {"verify": {"schedule": "@daily"}}}, "'schedule' not allowed"),
        ({"systemJobs": {"verify": {"task": "mend"}}}, "/systemJobs/verify/task"),
        ({"systemJobs": {"sweep": {"cron": "@daily"}}}, "missing property 'image'"),
        ({"systemJobs": {"sweep": {"image": "busybox", "timeZone": "UTC"}}}, "'cron' required, if 'timeZone' exists"),
        ({"systemJobs": {"a" * 53: {"image": "busybox"}}}, "invalid propertyName"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed"),
    ],
)
def test_wrong_values_are_refused_by_name(refusal: Refusal, values: dict[str, Any], words: str) -> None:
    assert words in refusal(**values)


def test_a_cluster_too_old_for_the_policies_is_refused(render: Render) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == ">=1.30.0-0"


def objects_in(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            yield path, schema
        for key, value in schema.items():
            yield from objects_in(value, f"{path}/{key}")


def test_the_schema_knows_every_value_and_nothing_else() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert [path for path, part in objects_in(schema) if part.get("additionalProperties") is not False] == []
    for name, value in values.items():
        described = schema["properties"][name]
        if "properties" in described:
            assert set(value) == set(described["properties"]), name
    assert set(values) == set(schema["properties"]) - {"global"}


def test_the_readme_has_a_row_for_every_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    schema.pop("global")
    wanted = {
        f"{name}.{field}" if field else name
        for name, described in schema.items()
        for field in (described.get("properties") or {"": None})
    }
    table = (CHART / "README.md").read_text().split("\n## Values\n")[1]
    rows = set(re.findall(r"^\| `([^`]+)`", table, re.MULTILINE))
    own = set(schema["systemJobs"]["additionalProperties"]["properties"])
    assert wanted - {"systemJobs"} <= rows
    assert rows - wanted <= {f"systemJobs.<name>.{field}" for field in own}


@pytest.mark.parametrize("values", value_sets())
def test_names_of_a_kind_are_not_used_twice(render: Render, values: dict[str, Any]) -> None:
    names = [(t["kind"], t["metadata"].get("namespace"), t["metadata"]["name"]) for t in render(**values).objects]
    assert len(names) == len(set(names))
