"""The chart on a real cluster, with the image built from the Dockerfile: install, run, test, upgrade, uninstall.

The operator of the other tests makes room meanwhile: this one works in the whole cluster, as it does for people.
"""

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import pytest

from tests.conftest import REPOSITORY
from tests.e2e import examples as files
from tests.e2e.api import Api, condition
from tests.e2e.conftest import make_namespace
from tests.e2e.operators import Operators

RELEASE, NAMESPACE = "carillon", "carillon-chart"
SELECTOR = "app.kubernetes.io/component=operator"


@dataclass(frozen=True)
class Release:
    """The installed chart."""

    api: Api
    values: tuple[str, ...]

    def helm(self, *arguments: str) -> str:
        """Run helm; a failure fails the test and shows what it said, and what became of the pods."""
        done = subprocess.run(
            ["helm", "--namespace", NAMESPACE, *arguments],
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
        return self.api.cluster.kubectl("--namespace", NAMESPACE, *arguments).stdout

    def upgrade(self, *values: str) -> None:
        given = [f"--set-string={value}" for value in self.values] + [f"--set={value}" for value in values]
        # The CRDs were there before, by kubectl.
        taking = ("--take-ownership", "--force-conflicts")
        chart = str(REPOSITORY / "charts" / "carillon")
        self.helm("upgrade", "--install", RELEASE, chart, "--wait", "--timeout=120s", *taking, *given)

    def finished(self, run: str) -> str:
        """Wait for the end of a run in the release's namespace; what it printed."""
        status = self.api.until_finished(NAMESPACE, run, seconds=60)
        uid = self.api.get("jobruns", NAMESPACE, run)["metadata"]["uid"]
        printed = self.api.log(NAMESPACE, f"carillon.dev/run-uid={uid}")
        assert status["phase"] == "Succeeded", f"{status}\n{printed}"
        return printed


@pytest.fixture(scope="module")
def release(api: Api, operators: Operators, examples: str, image: "Future[str]") -> Iterator[Release]:
    """The chart, installed with its defaults in a namespace that takes none but `restricted` pods."""
    make_namespace(api, NAMESPACE, enforce="restricted")
    repository, _, tag = image.result(timeout=280).rpartition(":")
    release = Release(api, (f"image.repository={repository}", f"image.tag={tag}"))
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
    release.upgrade("log.level=debug", "systemJobs.report.enabled=false", "systemJobs.verify.label=Verify it all")
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


def test_uninstall_leaves_the_resources_and_the_jobs(api: Api, release: Release) -> None:
    before = {item["metadata"]["uid"] for item in api.select("scheduledjobs", files.NAMESPACE)}
    release.helm("uninstall", RELEASE, "--wait")
    assert {item["metadata"]["uid"] for item in api.select("scheduledjobs", files.NAMESPACE)} == before
    api.until_gone("scheduledjobs", NAMESPACE)
    api.until_gone("pods", NAMESPACE, SELECTOR, seconds=45)
    cluster_wide = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
    assert release.kubectl("get", cluster_wide, "--selector=app.kubernetes.io/instance=carillon", "--output=name") == ""
