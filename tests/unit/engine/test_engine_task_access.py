"""What pods are given to report with, whatever the template has of its own."""

from typing import Any

import pytest

from carillon.engine import build
from carillon.engine.native import cron_job_body
from carillon.engine.task_access import able_to_report
from tests.unit.engine.builders import HOURLY, Body, a_definition, a_run, a_template

URL = "http://carillon-progress.carillon.svc:8090/progress"
TOKEN = {"audience": "carillon.dev", "expirationSeconds": 3600, "path": "token"}


def a_job(**pod: Any) -> Body:
    definition = a_definition(HOURLY, jobTemplate=a_template(**pod))
    return build.job_body(definition, a_run("12:00"), "the-job")


def pod_of(body: Body) -> Body:
    pod: Body = body["spec"]["template"]["spec"]
    return pod


def variables(container: Body) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}


def test_every_container_gets_the_address_and_a_token_for_nobody_else() -> None:
    pod = pod_of(able_to_report(a_job(initContainers=[{"name": "first"}], containers=[{"name": "main"}]), URL))
    assert pod["volumes"] == [{"name": "carillon-token", "projected": {"sources": [{"serviceAccountToken": TOKEN}]}}]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["volumeMounts"] == [
            {"name": "carillon-token", "mountPath": "/var/run/carillon", "readOnly": True}
        ]
        found = variables(container)
        assert found["CARILLON_PROGRESS_URL"] == URL
        assert found["CARILLON_TOKEN_FILE"] == "/var/run/carillon/token"
        assert "CARILLON_RUN" in found


def test_without_an_address_nothing_is_given() -> None:
    assert able_to_report(a_job(), "") == a_job()


def test_the_jobs_of_a_cron_job_get_the_same() -> None:
    definition = a_definition(triggers=[{"name": "t", "cron": "0 * * * *", "timeZone": "UTC"}], backend="CronJob")
    body = able_to_report(cron_job_body(definition), URL)
    assert pod_of(body["spec"]["jobTemplate"])["volumes"][0]["name"] == "carillon-token"
    assert "volumes" not in body["spec"]


def test_what_was_handed_in_is_left_as_it_was() -> None:
    body = a_job()
    able_to_report(body, URL)
    assert body == a_job()


@pytest.mark.parametrize("mount", ["/var/run/carillon", "/var/run/carillon/"])
def test_names_that_the_template_uses_are_left_to_it(mount: str) -> None:
    own = {"name": "carillon-token", "emptyDir": {}}
    container = {"name": "main", "volumeMounts": [{"name": "carillon-token", "mountPath": mount}]}
    pod = pod_of(able_to_report(a_job(volumes=[own], containers=[container, {"name": "beside"}]), URL))
    assert [volume["name"] for volume in pod["volumes"]] == ["carillon-token", "carillon-token-2"]
    main, beside = pod["containers"]
    assert [each["mountPath"] for each in main["volumeMounts"]] == [mount, "/var/run/carillon-2"]
    assert [each["mountPath"] for each in beside["volumeMounts"]] == ["/var/run/carillon-2"]
    assert variables(main)["CARILLON_TOKEN_FILE"] == "/var/run/carillon-2/token"


def test_variables_of_the_template_win_and_may_refer_to_ours() -> None:
    own = [{"name": "CARILLON_PROGRESS_URL", "value": "http://else"}, {"name": "AT", "value": "$(CARILLON_TOKEN_FILE)"}]
    [container] = pod_of(able_to_report(a_job(containers=[{"name": "main", "env": own}]), URL))["containers"]
    assert [v["name"] for v in container["env"]].count("CARILLON_PROGRESS_URL") == 1
    assert variables(container)["CARILLON_PROGRESS_URL"] == "http://else"
    names = [variable["name"] for variable in container["env"]]
    assert names.index("CARILLON_TOKEN_FILE") < names.index("AT")
