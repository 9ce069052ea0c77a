"""The extractor of the embedded Job template, on a small document in the manner of Kubernetes' own."""

import re
from typing import Any

import pytest

from carillon.api.schema import job_template
from hack.jobtemplate.extract import INT_OR_STRING, QUANTITY, extract

PREFIX = "#/components/schemas/"
TEMPLATE = "io.k8s.api.batch.v1.JobTemplateSpec"
POD = "io.k8s.api.core.v1.PodSpec"
CONTAINER = "io.k8s.api.core.v1.Container"
PORT = "io.k8s.api.core.v1.ContainerPort"


def ref(name: str) -> dict[str, Any]:
    """A reference as the document writes it, with a default that is not ours to copy."""
    return {"allOf": [{"$ref": f"{PREFIX}{name}"}], "default": {}, "description": "text"}


def list_map(name: str, *keys: str) -> dict[str, Any]:
    return {
        "type": "array",
        "items": ref(name),
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
        "x-kubernetes-patch-merge-key": keys[0],
    }


def document() -> dict[str, Any]:
    text = {"type": "string", "description": "text", "default": ""}
    return {
        TEMPLATE: {"type": "object", "properties": {"metadata": ref("meta.v1.ObjectMeta"), "spec": ref(POD)}},
        POD: {
            "type": "object",
            "required": ["containers"],
            "properties": {
                "containers": list_map(CONTAINER, "name"),
                "ephemeralContainers": list_map(CONTAINER, "name"),
                "overhead": {"type": "object", "additionalProperties": ref("api.resource.Quantity")},
            },
        },
        CONTAINER: {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": text,
                "env": list_map("io.k8s.api.core.v1.EnvVar", "name"),
                "ports": list_map(PORT, "containerPort", "protocol"),
                "startedAt": ref("meta.v1.Time"),
                "stopSignal": text,
            },
        },
        "io.k8s.api.core.v1.EnvVar": {"type": "object", "required": ["name"], "properties": {"name": text}},
        PORT: {
            "type": "object",
            "required": ["containerPort"],
            "properties": {
                "containerPort": {"type": "integer", "format": "int32", "default": 0},
                "protocol": text,
                "targetPort": ref("util.intstr.IntOrString"),
            },
        },
        "io.k8s.api.core.v1.Unused": {"type": "object"},
    }


def properties(definition: str) -> dict[str, Any]:
    found: dict[str, Any] = extract(document())[definition]["properties"]
    return found


def test_only_what_a_job_template_reaches_is_kept() -> None:
    assert list(extract(document())) == ["Container", "ContainerPort", "EnvVar", "JobTemplateSpec", "PodSpec"]


def test_descriptions_and_defaults_are_dropped() -> None:
    assert properties("Container")["name"] == {"type": "string"}
    assert properties("ContainerPort")["containerPort"] == {"type": "integer", "format": "int32"}


def test_scalars_with_two_types_and_instants_are_written_as_a_crd_does() -> None:
    assert properties("ContainerPort")["targetPort"] == INT_OR_STRING
    assert properties("PodSpec")["overhead"]["additionalProperties"] == QUANTITY
    assert properties("Container")["startedAt"] == {"type": "string", "format": "date-time"}


def test_a_list_is_a_map_only_where_its_keys_are_required_and_kubernetes_refuses_duplicates() -> None:
    assert properties("PodSpec")["containers"]["x-kubernetes-list-map-keys"] == ["name"]
    for field in ("ports", "env"):
        assert properties("Container")[field]["x-kubernetes-list-type"] == "atomic"
        assert "x-kubernetes-list-map-keys" not in properties("Container")[field]


def test_what_no_job_can_have_or_do_without() -> None:
    assert "ephemeralContainers" not in properties("PodSpec")
    assert properties("PodSpec")["containers"]["minItems"] == 1
    assert extract(document())["JobTemplateSpec"]["required"] == ["spec"]


def test_metadata_of_a_template_is_what_has_an_effect_and_what_tools_write() -> None:
    metadata = properties("JobTemplateSpec")["metadata"]
    assert list(metadata["properties"]) == ["annotations", "creationTimestamp", "labels", "name"]


def test_two_definitions_of_one_short_name_are_an_error() -> None:
    clashing = document()
    clashing["other.v1.PodSpec"] = {"type": "object"}
    clashing[CONTAINER]["properties"]["other"] = ref("other.v1.PodSpec")
    with pytest.raises(ValueError, match="PodSpec is both"):
        extract(clashing)


@pytest.mark.parametrize("quantity", ["1", "100m", "0.5", ".5", "1.5Gi", "2k", "1e3", "1E-3", "-1", "+2Mi"])
def test_a_quantity_passes(quantity: str) -> None:
    assert re.search(QUANTITY["pattern"], quantity)


@pytest.mark.parametrize("quantity", ["", "128Mb", "1 Gi", "one", "1KiB", "Gi", "1e", "1.2.3"])
def test_what_is_no_quantity_is_refused(quantity: str) -> None:
    assert not re.search(QUANTITY["pattern"], quantity)


def test_the_stored_template_has_no_text_of_its_source_below_the_pod() -> None:
    pod = job_template()["properties"]["spec"]["properties"]["template"]["properties"]["spec"]
    assert all("description" not in field and "default" not in field for field in pod["properties"].values())
