"""The Deployment: how the operator is run."""

from collections.abc import Callable
from typing import Any

import pytest

from carillon.controller.settings import Settings, load
from tests.unit.chart.conftest import Render, value_sets


def test_two_replicas_and_never_fewer_during_an_update_or_a_drain(render: Render) -> None:
    chart = render()
    deployment = chart.one("Deployment")["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = chart.one("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment["selector"]
    assert deployment["selector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("values", value_sets())
def test_every_variable_is_a_setting_of_the_operator(render: Render, values: dict[str, Any]) -> None:
    settings = {f"CARILLON_{name.upper()}" for name in Settings.model_fields}
    given = {name for name in render(**values).environment if name.startswith("CARILLON_")}
    assert given <= settings


def test_settings_from_values(render: Render) -> None:
    environment = render(
        watchNamespaces=["files", "reports"],
        leaderElection={"leaseName": "bells", "leaseDurationSeconds": 30},
        lastWords=False,
        log={"format": "console", "level": "debug"},
        probePort=9090,
        progress={"port": 8091},
        eventSources=[{"version": "v1", "resource": "configmaps"}, {"group": "apps", "version": "v1", "resource": "x"}],
        extraEnv=[{"name": "HTTPS_PROXY", "value": "proxy:3128"}],
    ).environment
    assert environment | {"CARILLON_IDENTITY": ""} == {
        "CARILLON_IDENTITY": "",
        "CARILLON_WATCH_NAMESPACES": "carillon,files,reports",
        "CARILLON_LEASE_NAMESPACE": "carillon",
        "CARILLON_LEASE_NAME": "bells",
        "CARILLON_LEASE_DURATION_SECONDS": "30",
        "CARILLON_LOG_FORMAT": "console",
        "CARILLON_LOG_LEVEL": "debug",
        "CARILLON_PROBE_PORT": "9090",
        "CARILLON_PROGRESS_PORT": "8091",
        "CARILLON_PROGRESS_URL": "http://carillon-progress.carillon.svc:8091/progress",
        "CARILLON_EVENT_SOURCES": "v1/configmaps,apps/v1/x",
        "CARILLON_LAST_WORDS": "false",
        "CARILLON_SYSTEM_JOBS_FILE": "/etc/carillon/system-jobs.yaml",
        "CARILLON_SYSTEM_JOBS_OWNER": "carillon-system-jobs",
        "HTTPS_PROXY": "proxy:3128",
    }


def test_the_operator_reads_the_event_sources_of_the_chart(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    chart = render(eventSources=[{"group": "", "version": "v1", "resource": "events"}])
    monkeypatch.setenv("CARILLON_EVENT_SOURCES", chart.environment["CARILLON_EVENT_SOURCES"])
    assert load([]).event_sources == (("", "v1", "events"),)


def test_the_defaults_are_the_operators_own(render: Render) -> None:
    environment = render().environment
    for name in ("lease_name", "lease_duration_seconds", "log_level", "probe_port"):
        assert environment[f"CARILLON_{name.upper()}"] == str(Settings.model_fields[name].default)
    assert environment["CARILLON_WATCH_NAMESPACES"] == ""


@pytest.mark.parametrize("values", value_sets())
def test_pods_pass_the_restricted_level_of_pod_security(render: Render, values: dict[str, Any]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    chart = render(**values)
    own = {
        name: pod
        for name, pod in chart.pods.items()
        if not values.get("systemJobs", {}).get(name, {}).get("jobTemplate")
    }
    for name, pod in own.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        assert all(
            {"configMap", "emptyDir", "secret", "persistentVolumeClaim"} & volume.keys()
            for volume in pod.get("volumes", [])
        ), name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }, name


def test_a_place_to_write_temporary_files(render: Render) -> None:
    mounts = {mount["mountPath"]: mount["name"] for mount in render().operator["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in render().one("Deployment")["spec"]["template"]["spec"]["volumes"]}
    assert "emptyDir" in volumes[mounts["/tmp"]]


def test_only_pods_that_ask_the_api_server_get_a_token(render: Render) -> None:
    chart = render(systemJobs={"sweep": {"image": "busybox"}})
    assert all(account["automountServiceAccountToken"] is False for account in chart.all("ServiceAccount"))
    tokens = {name: pod["automountServiceAccountToken"] for name, pod in chart.pods.items()}
    assert tokens == {"operator": True, "helm test": False, "verify": True, "report": True, "sweep": False}


def test_probes(render: Render) -> None:
    probes = {key: value["httpGet"]["path"] for key, value in render().operator.items() if key.endswith("Probe")}
    assert probes == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}


def test_the_image_by_version_tag_or_digest(render: Render) -> None:
    digest = "sha256:" + "a" * 64
    assert render().operator["image"] == "carillon:0.1.0"
    assert render(image={"tag": "dev"}).operator["image"] == "carillon:dev"
    assert render(image={"tag": "dev", "digest": digest}).operator["image"] == f"carillon@{digest}"


def test_metrics_are_scraped_by_service_and_monitor(render: Render) -> None:
    chart = render(serviceMonitor={"enabled": True, "labels": {"release": "prometheus"}})
    service = chart.one("Service", "carillon-metrics")
    assert chart.one("Deployment")["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    monitor = chart.one("ServiceMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert not render().all("ServiceMonitor")


def test_a_network_policy_lets_in_the_probes_and_the_helm_test(render: Render) -> None:
    peer = {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}
    chart = render(networkPolicy={"enabled": True, "from": [peer]})
    policy = chart.one("NetworkPolicy")["spec"]
    test_labels = chart.one("Pod")["metadata"]["labels"]
    rule, of_tasks = policy["ingress"]
    assert rule["ports"] == [{"port": "probes", "protocol": "TCP"}]
    assert rule["from"][0] == peer
    assert rule["from"][1]["podSelector"]["matchLabels"].items() <= test_labels.items()
    assert of_tasks == {"ports": [{"port": "progress", "protocol": "TCP"}]}, "tasks are anywhere"
    assert not render().all("NetworkPolicy")
    assert "from" not in render(networkPolicy={"enabled": True}).one("NetworkPolicy")["spec"]["ingress"][0]


def test_tasks_report_to_any_replica_and_to_the_same_one_while_it_is_there(render: Render) -> None:
    chart = render(fullnameOverride="bells", progress={"port": 8091})
    service = chart.one("Service", "bells-progress")["spec"]
    assert chart.one("Deployment")["spec"]["selector"]["matchLabels"] == service["selector"]
    assert service["sessionAffinity"] == "ClientIP"
    [port] = service["ports"]
    assert (port["port"], port["targetPort"]) == (8091, "progress")
    assert {"name": "progress", "containerPort": 8091, "protocol": "TCP"} in chart.operator["ports"]
    assert chart.environment["CARILLON_PROGRESS_URL"] == "http://bells-progress.carillon.svc:8091/progress"
    elsewhere = render(progress={"url": "https://progress.example.com/progress"}).environment
    assert elsewhere["CARILLON_PROGRESS_URL"] == "https://progress.example.com/progress"


def test_without_progress_nobody_listens_and_pods_get_nothing(render: Render) -> None:
    chart = render(progress={"enabled": False}, networkPolicy={"enabled": True})
    assert [service["metadata"]["name"] for service in chart.all("Service")] == ["carillon-metrics"]
    assert not {"CARILLON_PROGRESS_PORT", "CARILLON_PROGRESS_URL"} & chart.environment.keys()
    assert [port["name"] for port in chart.operator["ports"]] == ["probes"]
    assert len(chart.one("NetworkPolicy")["spec"]["ingress"]) == 1


class TestTheArchive:
    def test_it_is_off(self, render: Render) -> None:
        assert not any("ARCHIVE" in name for name in render().environment)
        assert "archive" not in {volume["name"] for volume in render().pods["operator"]["volumes"]}

    def test_the_url_comes_from_a_mounted_secret_and_is_nowhere_in_the_environment(self, render: Render) -> None:
        chart = render(archive={"enabled": True, "existingSecret": "db", "keepDays": 90})
        environment = {name: value for name, value in chart.environment.items() if "ARCHIVE" in name}
        assert environment == {
            "CARILLON_ARCHIVE_URL_FILE": "/etc/carillon-archive/url",
            "CARILLON_ARCHIVE_KEEP_DAYS": "90",
            "CARILLON_ARCHIVE_WAITING_RUNS": "5000",
            "CARILLON_ARCHIVE_WAITING_HOURS": "72",
        }
        (volume,) = [each for each in chart.pods["operator"]["volumes"] if each["name"] == "archive"]
        assert volume["secret"]["secretName"] == "db"
        assert volume["secret"]["items"] == [{"key": "url", "path": "url"}]
        assert chart.pods["operator"]["securityContext"]["fsGroup"] == 65532, "who runs the operator may read it"

    def test_the_defaults_are_the_operators_own(self, render: Render) -> None:
        environment = render(archive={"enabled": True, "existingSecret": "db"}).environment
        for name in ("archive_keep_days", "archive_waiting_runs", "archive_waiting_hours"):
            assert environment[f"CARILLON_{name.upper()}"] == str(Settings.model_fields[name].default)

    def test_sqlite_has_a_volume_and_never_two_operators(self, render: Render) -> None:
        chart = render(replicas=1, archive={"enabled": True, "sqliteClaim": "runs"})
        assert chart.one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
        assert chart.environment["CARILLON_ARCHIVE_SQLITE_FILE"] == "/var/lib/carillon/archive.sqlite"
        mounts = {each["mountPath"]: each["name"] for each in chart.operator["volumeMounts"]}
        volumes = {each["name"]: each for each in chart.pods["operator"]["volumes"]}
        assert volumes[mounts["/var/lib/carillon"]]["persistentVolumeClaim"] == {"claimName": "runs"}

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"archive": {"enabled": True}}, "existingSecret"),
            ({"archive": {"enabled": True, "sqliteClaim": "runs"}}, "replicas"),
            (
                {"replicas": 1, "archive": {"existingSecret": "db", "sqliteClaim": "runs"}},
                "existingSecret",
            ),
            ({"archive": {"enabled": True, "existingSecret": "db", "waitingRuns": 1}}, "waitingRuns"),
        ],
    )
    def test_what_cannot_work_is_refused(self, refusal: Callable[..., str], values: dict[str, Any], field: str) -> None:
        assert field in refusal(**values)
