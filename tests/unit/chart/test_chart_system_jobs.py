"""System jobs: from the values to the list of ScheduledJobs that the operator applies."""

import json
from typing import Any

import pytest
import yaml

from carillon.api.scheduledjob import ScheduledJobSpec
from hack import manifests
from tests.unit.chart.conftest import Render, Rendered, value_sets

BOTH_OFF = {"verify": {"enabled": False}, "report": {"enabled": False}}


def checksum(chart: Rendered) -> str:
    template = chart.one("Deployment")["spec"]["template"]
    value: str = template["metadata"]["annotations"]["checksum/system-jobs"]
    return value


def test_verify_and_report_are_registered_by_default(render: Render) -> None:
    jobs = render().system_jobs
    assert {name: job["spec"]["triggers"] for name, job in jobs.items()} == {
        "verify": [{"name": "cron", "cron": "15 6 * * *"}],
        "report": [{"name": "cron", "cron": "30 6 * * *"}],
    }
    for name, job in jobs.items():
        [container] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["task", name]
        assert container["image"] == render().operator["image"]
        assert job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] == "carillon-tasks"


@pytest.mark.parametrize("values", value_sets())
def test_they_are_valid_definitions_of_class_system_in_the_releases_namespace(
    render: Render, values: dict[str, Any]
) -> None:
    for name, job in render(**values).system_jobs.items():
        spec = ScheduledJobSpec.model_validate(job["spec"])
        assert spec.class_ == "System", name
        assert job["metadata"]["namespace"] == "carillon"


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ({"verify": {"enabled": False}}, {"report"}),
        ({"verify": None}, {"report"}),
        (BOTH_OFF, set()),
        ({"sweep": {"image": "busybox"}}, {"verify", "report", "sweep"}),
        ({"sweep": {"enabled": False}}, {"verify", "report"}),
    ],
)
def test_those_switched_off_are_absent(render: Render, values: dict[str, Any], left: set[str]) -> None:
    assert set(render(systemJobs=values).system_jobs) == left


def test_without_tasks_there_is_no_account_for_them(render: Render) -> None:
    names = [account["metadata"]["name"] for account in render(systemJobs=BOTH_OFF).all("ServiceAccount")]
    assert names == ["carillon"]


@pytest.mark.parametrize("suspend", [True, False])
def test_the_suspension_is_left_to_people_unless_the_values_have_it(render: Render, suspend: bool) -> None:
    assert "suspend" not in render().system_jobs["verify"]["spec"]
    assert render(systemJobs={"verify": {"suspend": suspend}}).system_jobs["verify"]["spec"]["suspend"] is suspend


def test_the_tasks_look_where_the_operator_works(render: Render) -> None:
    for values in ({}, {"watchNamespaces": ["files"]}):
        chart = render(**values)
        [container] = chart.pods["verify"]["containers"]
        environment = {variable["name"]: variable["value"] for variable in container["env"]}
        assert environment["CARILLON_WATCH_NAMESPACES"] == chart.environment["CARILLON_WATCH_NAMESPACES"]


def test_a_job_of_ones_own_with_an_image(render: Render) -> None:
    sweep = {
        "label": "Sweep",
        "image": "busybox",
        "command": ["find"],
        "args": ["/scratch", "-delete"],
        "env": [{"name": "TZ", "value": "UTC"}],
        "resources": {"limits": {"memory": "64Mi"}},
        "serviceAccountName": "sweeper",
        "cron": "@daily",
        "timeZone": "Europe/Paris",
        "triggers": [{"name": "once", "at": "2026-12-24T18:00:00Z"}],
        "startingDeadlineSeconds": 31536000,
    }
    spec = render(systemJobs={"sweep": sweep}).system_jobs["sweep"]["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert {key: container[key] for key in ("image", "command", "args", "env", "resources")}.items() <= sweep.items()
    assert pod["serviceAccountName"] == "sweeper"
    assert spec["triggers"] == [
        {"name": "cron", "cron": "@daily", "timeZone": "Europe/Paris"},
        {"name": "once", "at": "2026-12-24T18:00:00Z"},
    ]
    assert spec["label"] == "Sweep"
    assert spec["startingDeadlineSeconds"] == 31536000


def test_a_job_of_ones_own_with_a_whole_template(render: Render) -> None:
    template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}}}}
    assert render(systemJobs={"sweep": {"jobTemplate": template}}).system_jobs["sweep"]["spec"] == {
        "class": "System",
        "jobTemplate": template,
    }


def test_every_field_of_a_definition_can_be_set_but_those_that_make_no_sense() -> None:
    schema = json.loads((manifests.CHART / "values.schema.json").read_text())
    known = set(schema["properties"]["systemJobs"]["additionalProperties"]["properties"])
    fields = {field.alias or name for name, field in ScheduledJobSpec.model_fields.items()}
    own = {"enabled", "task", "image", "command", "args", "env", "resources", "serviceAccountName", "cron", "timeZone"}
    assert known == (fields | own) - {"class", "autoStart", "backend"}


def test_changed_jobs_roll_the_pods_and_other_values_do_not(render: Render) -> None:
    assert checksum(render()) != checksum(render(systemJobs={"verify": {"cron": "@hourly"}}))
    assert checksum(render()) == checksum(render(replicas=3))


def test_the_list_is_where_the_operator_reads_it(render: Render) -> None:
    chart = render()
    [volume] = [v for v in chart.one("Deployment")["spec"]["template"]["spec"]["volumes"] if "configMap" in v]
    [mount] = [m for m in chart.operator["volumeMounts"] if m["name"] == volume["name"]]
    config_map = chart.one("ConfigMap")
    assert (
        volume["configMap"]["name"] == config_map["metadata"]["name"] == chart.environment["CARILLON_SYSTEM_JOBS_OWNER"]
    )
    assert chart.environment["CARILLON_SYSTEM_JOBS_FILE"] == f"{mount['mountPath']}/{manifests.SYSTEM_JOBS}"
    assert yaml.safe_load(render(systemJobs=BOTH_OFF).one("ConfigMap")["data"][manifests.SYSTEM_JOBS]) == []
