"""The chart on a real cluster, with the image built from the Dockerfile: install, run, test, upgrade, uninstall.

The operator of the other tests makes room meanwhile: this one works in the whole cluster, as it does for people.
"""

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.e2e import examples as files
from tests.e2e.api import Api, condition, phase_of
from tests.e2e.conftest import make_namespace, new_namespace
from tests.e2e.objects import every, scheduled_job
from tests.e2e.operators import Operators
from tests.e2e.test_schedules import calendar

RELEASE, NAMESPACE = "carillon", "carillon-chart"
SELECTOR = "app.kubernetes.io/component=operator"
EVENT_SOURCES = ("eventSources[0].version=v1", "eventSources[0].resource=configmaps")


@dataclass(frozen=True)
class Release:
    """The installed chart."""

    api: Api
    values: tuple[str, ...]
    namespace: str = NAMESPACE

    def helm(self, *arguments: str) -> str:
        """Run helm; a failure fails the test and shows what it said, and what became of the pods."""
        done = subprocess.run(
            ["helm", "--namespace", self.namespace, *arguments],
            capture_output=True,
            text=True,
            env=self.api.cluster.environment,
            timeout=180,
        )
        if done.returncode:
            pods = self.kubectl("get", "pods,events")
            pytest.fail(f"helm {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}\n{pods}")
        return done.stdout

    def kubectl(self, *arguments: str) -> str:
        return self.api.cluster.kubectl("--namespace", self.namespace, *arguments).stdout

    def upgrade(self, *values: str) -> None:
        given = [f"--set-string={value}" for value in self.values] + [f"--set={value}" for value in values]
        # The CRDs were there before, by kubectl.
        taking = ("--take-ownership", "--force-conflicts")
        chart = str(REPOSITORY / "charts" / "carillon")
        self.helm("upgrade", "--install", RELEASE, chart, "--wait", "--timeout=120s", *taking, *given)

    def finished(self, run: str) -> str:
        """Wait for the end of a run in the release's namespace; what it printed."""
        status = self.api.until_finished(self.namespace, run, seconds=60)
        uid = self.api.get("jobruns", self.namespace, run)["metadata"]["uid"]
        printed = self.api.log(self.namespace, f"carillon.dev/run-uid={uid}")
        assert status["phase"] == "Succeeded", f"{status}\n{printed}"
        return printed


def of_image(image: "Future[str]") -> tuple[str, str]:
    repository, _, tag = image.result(timeout=280).rpartition(":")
    return f"image.repository={repository}", f"image.tag={tag}"


@pytest.fixture(scope="module")
def release(api: Api, operators: Operators, examples: str, image: "Future[str]") -> Iterator[Release]:
    """The chart, installed with its defaults in a namespace that takes none but `restricted` pods."""
    make_namespace(api, NAMESPACE, enforce="restricted")
    release = Release(api, of_image(image))
    operators.stop()
    try:
        release.upgrade()
        yield release
        release.helm("uninstall", RELEASE, "--ignore-not-found", "--wait")
    finally:
        api.delete("namespaces", "", NAMESPACE)


def test_both_replicas_are_ready_and_one_leads(api: Api, release: Release) -> None:
    pods = [pod for pod in api.select("pods", NAMESPACE, SELECTOR) if condition(pod, "Ready") == "True"]
    assert len(pods) == 2
    holder = api.get("leases", NAMESPACE, "carillon")["spec"]["holderIdentity"]
    assert [pod for pod in pods if holder.startswith(pod["metadata"]["name"])] != []
    assert not any(restarts(pod) for pod in pods)


def restarts(pod: dict[str, dict[str, list[dict[str, int]]]]) -> int:
    return sum(container["restartCount"] for container in pod["status"]["containerStatuses"])


def test_example_runs(api: Api, release: Release) -> None:
    """With the rights that the chart gives, and no more."""
    status = files.finished(api, api.run_now(files.NAMESPACE, "clear-recycle-bin"))["status"]
    assert status["phase"] == "Succeeded", status
    definition = api.until(
        "scheduledjobs",
        files.NAMESPACE,
        "clear-recycle-bin",
        lambda it: it["status"].get("lastSuccessfulTime") == status["completionTime"],
        "the run on record",
    )
    assert definition["status"]["display"]["status"] == "Succeeded"


def test_tasks_report_through_the_service(api: Api, release: Release) -> None:
    """With no right in the pod, and those of the operator that the chart gives."""
    run = files.finished(api, api.run_now(files.NAMESPACE, "compress-folder"))
    done = api.until(
        "jobruns",
        files.NAMESPACE,
        run["metadata"]["name"],
        lambda it: it["status"].get("progress", {}).get("message") == "done",
        "its last report",
    )
    assert done["status"]["progress"]["percent"] == 100


def test_last_words_are_read_with_the_charts_rights(api: Api, release: Release) -> None:
    run = files.finished(api, api.run_now(files.NAMESPACE, "import-supplier-feed"))
    assert "found 2 fields, want 3" in run["status"]["message"]


def test_system_jobs_run_the_operators_own_image(api: Api, release: Release) -> None:
    for name in ("verify", "report"):
        assert api.until_ready(NAMESPACE, name)["spec"]["class"] == "System"
    verify, report = (api.run_now(NAMESPACE, name) for name in ("verify", "report"))
    assert "every due time is accounted for" in release.finished(verify)
    assert "Runs that ended since" in release.finished(report)


def test_helm_test(release: Release) -> None:
    assert "Succeeded" in release.helm("test", RELEASE)


def test_upgrade_keeps_what_people_decided(api: Api, release: Release) -> None:
    """Changed values arrive, one system job leaves the list, and a person's `suspend` stays."""
    api.until_ready(NAMESPACE, "verify")
    release.kubectl("patch", "scheduledjob", "verify", "--type=merge", '--patch={"spec":{"suspend":true}}')
    changed = ("log.level=debug", "systemJobs.report.enabled=false", "systemJobs.verify.label=Verify it all")
    release.upgrade(*changed, *EVENT_SOURCES)
    verify = api.until(
        "scheduledjobs", NAMESPACE, "verify", lambda it: it["spec"]["label"] == "Verify it all", "the new label"
    )
    assert verify["spec"]["suspend"] is True
    api.until_all(
        "scheduledjobs", NAMESPACE, lambda jobs: [it["metadata"]["name"] for it in jobs] == ["verify"], "report gone"
    )
    pods = api.until_all(
        "pods",
        NAMESPACE,
        lambda them: len(them) == 2 and all(condition(pod, "Ready") == "True" for pod in them),
        "two ready replicas",
        selector=SELECTOR,
    )
    assert not any(restarts(pod) for pod in pods)
    run = files.finished(api, api.run_now(files.NAMESPACE, "switch-price-list"))
    assert run["status"]["phase"] == "Succeeded"


def test_event_source_that_the_upgrade_has_added(api: Api, release: Release) -> None:
    """Watched with the rights that the chart gives for it, and filtered in the container's own process."""
    with new_namespace(api) as namespace:
        run_on_event(api, namespace)


def run_on_event(api: Api, namespace: str) -> None:
    """Have a job run by an event that passes its filter."""
    event = {"version": "v1", "resource": "configmaps", "filter": "object.data.ready == 'yes'"}
    api.create("scheduledjobs", namespace, scheduled_job("watcher", triggers=[{"name": "seen", "event": event}]))
    api.until_ready(namespace, "watcher")
    for ready in ("no", "yes"):
        api.create("configmaps", namespace, {"metadata": {"name": f"ready-{ready}"}, "data": {"ready": ready}})
    (run,) = api.until_all(
        "jobruns", namespace, bool, "a run", selector="carillon.dev/scheduled-job=watcher", seconds=60
    )
    assert [told["name"] for told in run["spec"]["trigger"]["event"]["objects"]] == ["ready-yes"]
    assert api.until_finished(namespace, run["metadata"]["name"], seconds=60)["phase"] == "Succeeded"


REPORT = (
    'wget -q -O- --header "Authorization: Bearer $(cat $CARILLON_TOKEN_FILE)" --post-data "percent=9"'
    " $CARILLON_PROGRESS_URL"
)
AFTER_A_CONFLICT = {"scheduledjobs get", "jobruns get", "jobs get", "calendars get"}
"""What is read when a write was refused, which no test can bring about at will."""
SELDOM = {
    "leases create",
    "scheduledjobs create",
    "scheduledjobs delete",
    "scheduledjobs administer",
    "events patch",
    "cronjobs patch",
}
"""The first start; an apply that finds nothing; a system job that leaves the values; what an admission policy asks; an
Event that comes again; a CronJob of which a watch has told in time that it fires."""
OF_KOPF = {"scheduledjobs list", "scheduledjobs watch"}
"""Its requests are not the client's, and are not counted."""


def do_everything(api: Api, namespace: str) -> None:
    """Have the operator make each kind of request that it makes."""
    api.create("calendars", namespace, calendar("holidays", dates=["2030-01-01"]))
    api.until("calendars", namespace, "holidays", lambda it: it.get("status"), "its status")
    twice = {"concurrency": {"policy": "Allow"}, "history": {"failed": 1}}
    api.create("scheduledjobs", namespace, scheduled_job("reports", f"{REPORT}; exit 3", **twice))
    api.create("scheduledjobs", namespace, scheduled_job("sleeps", "sleep 600"))
    yearly = [{"name": "year", "cron": "0 0 1 1 *"}]
    api.create("scheduledjobs", namespace, scheduled_job("native", triggers=yearly, backend="CronJob", suspend=True))
    for name in ("reports", "sleeps", "native"):
        api.until_ready(namespace, name)
    for _ in range(2):
        api.run_now(namespace, "reports")
    sleeping = api.run_now(namespace, "sleeps")
    api.until("cronjobs", namespace, "native", bool, "the CronJob")
    api.patch("cronjobs", namespace, "native", {"spec": {"schedule": "1 2 3 4 *"}})
    api.until("cronjobs", namespace, "native", lambda it: it["spec"]["schedule"] == yearly[0]["cron"], "its schedule")
    api.patch("scheduledjobs", namespace, "native", {"spec": {"suspend": False}})
    api.until("cronjobs", namespace, "native", lambda it: not it["spec"]["suspend"], "it to be resumed")
    api.patch("scheduledjobs", namespace, "native", {"spec": {"backend": "Operator"}})
    api.until_gone("cronjobs", namespace)
    api.until_phase(namespace, sleeping, "Running", seconds=60)
    api.patch("jobruns", namespace, sleeping, {"spec": {"suspend": True}})
    api.until_phase(namespace, sleeping, "Paused")
    api.patch("jobruns", namespace, sleeping, {"spec": {"stop": True}})
    assert api.until_finished(namespace, sleeping)["phase"] == "Stopped"
    api.until_all("jobruns", namespace, lambda runs: len(runs) == 2, "one pruned", seconds=60)


def test_the_operator_uses_each_right_that_the_chart_gives_and_lacks_none(api: Api, release: Release) -> None:
    """As its own metrics count its requests; what the code asks for, tests/unit/chart/test_chart_calls.py reads."""
    release.upgrade("log.level=debug", *EVENT_SOURCES)
    # A leader that is replaced takes what it has counted with it.
    api.until_all(
        "pods", NAMESPACE, lambda them: len(them) == 2, "only the new replicas", selector=SELECTOR, seconds=60
    )
    with new_namespace(api) as namespace:
        do_everything(api, namespace)
        run_on_event(api, namespace)
    counted = "\n".join(
        api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8080/proxy/metrics")["text"]
        for pod in api.select("pods", NAMESPACE, SELECTOR)
    )
    seen = re.findall(r'carillon_api_request_seconds_count{code="(\d+)",resource="([^"]*)",verb="([^"]*)"}', counted)
    asked = {f"{resource} {verb}" for _, resource, verb in seen if resource not in ("version", "discovery")}
    # In a namespace that is being deleted nothing can be made, whoever tries; what is asked for is granted, see below.
    assert [(resource, verb) for code, resource, verb in seen if code in ("401", "403") and verb != "create"] == []
    objects = [each for each in yaml.safe_load_all(release.helm("get", "manifest", RELEASE)) if each]
    bound = [
        each["roleRef"]["name"]
        for each in objects
        if each["kind"].endswith("RoleBinding") and each["subjects"][0]["name"] == RELEASE
    ]
    granted = {
        f"{resource} {verb}"
        for each in objects
        if each["kind"] in ("Role", "ClusterRole") and each["metadata"]["name"] in bound
        for rule in each["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert asked - granted == set()
    assert granted - asked <= AFTER_A_CONFLICT | SELDOM | OF_KOPF


def test_uninstall_leaves_the_resources_and_the_jobs(api: Api, release: Release) -> None:
    before = {item["metadata"]["uid"] for item in api.select("scheduledjobs", files.NAMESPACE)}
    release.helm("uninstall", RELEASE, "--wait")
    assert {item["metadata"]["uid"] for item in api.select("scheduledjobs", files.NAMESPACE)} == before
    api.until_gone("scheduledjobs", NAMESPACE)
    api.until_gone("pods", NAMESPACE, SELECTOR, seconds=45)
    cluster_wide = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
    assert release.kubectl("get", cluster_wide, "--selector=app.kubernetes.io/instance=carillon", "--output=name") == ""


@pytest.fixture(scope="module")
def watched(api: Api, operators: Operators) -> Iterator[str]:
    with new_namespace(api) as name:
        yield name


@pytest.fixture(scope="module")
def other(api: Api, operators: Operators) -> Iterator[str]:
    with new_namespace(api) as name:
        yield name


@pytest.fixture(scope="module")
def small(api: Api, operators: Operators, image: "Future[str]", watched: str) -> Iterator[Release]:
    release = Release(api, of_image(image), "carillon-chart-small")
    make_namespace(api, release.namespace, enforce="restricted")
    operators.stop()
    of_the_cluster = (
        "crds.install",
        "policies.install",
        "flowControl.install",
        "roles.install",
        "progress.clusterRole",
    )
    not_ours = tuple(f"{value}=false" for value in of_the_cluster)
    try:
        release.upgrade(f"watchNamespaces={{{watched}}}", *not_ours, *EVENT_SOURCES)
        yield release
        release.helm("uninstall", RELEASE, "--wait")
    finally:
        api.delete("namespaces", "", release.namespace)


class TestForSomeNamespacesOnly:
    """`watchNamespaces`, by someone without rights on the cluster; the release that works in all of it is gone."""

    def test_nothing_of_it_is_the_clusters(self, small: Release, watched: str) -> None:
        objects = [each for each in yaml.safe_load_all(small.helm("get", "manifest", RELEASE)) if each]
        namespaces = {each["metadata"].get("namespace") for each in objects}
        assert namespaces == {small.namespace, watched}
        grants = {each["kind"] for each in objects if each["apiVersion"].startswith("rbac.")}
        assert grants == {"Role", "RoleBinding"}

    def test_a_job_in_the_watched_namespace_runs_and_one_elsewhere_is_left_alone(
        self, api: Api, small: Release, watched: str, other: str
    ) -> None:
        for namespace in (other, watched):
            api.create("scheduledjobs", namespace, scheduled_job("often", triggers=every(2)))
            api.create("scheduledjobs", namespace, scheduled_job("fails", "echo it broke >&2; exit 3"))
        left = api.run_now(other, "fails")
        failed = api.until_finished(watched, api.run_now(watched, "fails"), seconds=60)
        assert (failed["phase"], failed["message"]) == ("Failed", "it broke"), "with the right to read its log"
        api.until("scheduledjobs", watched, "often", lambda it: it["status"].get("lastSuccessfulTime"), "a success")
        api.until("scheduledjobs", watched, "fails", lambda it: it["status"].get("lastFailedTime"), "the failure")
        assert [phase_of(run) for run in api.select("jobruns", other)] == [""], f"{left} waits for nobody"
        assert api.select("jobs", other) == []
        assert not any("status" in each for each in api.select("scheduledjobs", other))

    def test_an_event_in_the_watched_namespace_starts_a_job(self, api: Api, small: Release, watched: str) -> None:
        run_on_event(api, watched)

    def test_its_system_jobs_run_in_its_own_namespace(self, api: Api, small: Release, watched: str) -> None:
        api.until_ready(small.namespace, "verify")
        assert "every due time is accounted for" in small.finished(api.run_now(small.namespace, "verify"))

    def test_its_operator_was_refused_nothing(self, small: Release) -> None:
        logged = small.kubectl("logs", f"--selector={SELECTOR}", "--tail=-1")
        assert "carillon" in logged
        assert [line for line in logged.splitlines() if " 403 " in line or '"level":"error"' in line] == []
