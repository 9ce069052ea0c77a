"""Real pods: a cluster with a node, our resources, an operator, and the examples, for the length of the tests.

The operator serves the whole cluster and is one for all tests; the crash tests kill this very one, with everything else
going on. A test fails when the operator logs an error while it runs, whatever else the test looks at.
"""

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import CURRENT, REPOSITORY, Cluster, bring_up
from tests.e2e.api import Api, ApiError, condition
from tests.e2e.operators import LEASE_NAMESPACE, Operators

EXAMPLES = REPOSITORY / "examples"
EXAMPLES_NAMESPACE = "carillon-examples"
CONFLICT = 409


@pytest.fixture(scope="session")
def api(crds: Cluster) -> Iterator[Api]:
    """The API server of a cluster whose node takes pods."""
    cluster = crds
    with Api(_with_node(cluster)) as api:
        yield api


def _with_node(cluster: Cluster) -> Cluster:
    if cluster.kubectl("get", "nodes", "--output", "name").stdout:
        return cluster
    if cluster.name == CURRENT:
        pytest.fail("the cluster of the kubeconfig in force has no node")
    subprocess.run([REPOSITORY / "hack/cluster/down", "--name", cluster.name], check=True)
    again = bring_up(cluster.name)
    again.kubectl("apply", "--filename", str(REPOSITORY / "crds"))
    again.kubectl("wait", "--for=condition=Established", "--timeout=30s", "--filename", str(REPOSITORY / "crds"))
    if not again.kubectl("get", "nodes", "--output", "name").stdout:
        why = "this machine cannot have a node (hack/cluster/up says why), and these tests run pods"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    return again


@pytest.fixture(scope="session")
def operators(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operators]:
    """One operator that leads."""
    cluster = api.cluster
    try:
        api.create("namespaces", "", {"metadata": {"name": LEASE_NAMESPACE}})
    except ApiError as error:
        if error.status != CONFLICT:
            raise
    operators = Operators(cluster, api, tmp_path_factory.mktemp("operator") / "log")
    try:
        operators.start()
        yield operators
        operators.stop()
    finally:
        operators.end()


@pytest.fixture(autouse=True)
def _no_complaints(operators: Operators, request: pytest.FixtureRequest) -> Iterator[None]:
    """The operator logs no error while the test runs; what it logs is shown when the test fails."""
    since = operators.size()
    request.node.user_properties.append(("operator log since", since))
    yield
    complaints = operators.complaints(since)
    assert not complaints, "the operator complains:\n" + "\n".join(complaints)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: pytest.TestReport = yield
    operators = getattr(item, "funcargs", {}).get("operators")
    if report.failed and isinstance(operators, Operators):
        since = dict(item.user_properties).get("operator log since", 0)
        assert isinstance(since, int)
        report.sections.append(("operator log", operators.tail(since)))
    return report


@pytest.fixture
def namespace(api: Api, operators: Operators) -> Iterator[str]:
    """A new namespace in which pods can be made; its deletion is not waited for."""
    yield from new_namespace(api)


def new_namespace(api: Api, **labels: str) -> Iterator[str]:
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    body = {"metadata": {"name": name, "labels": {f"pod-security.kubernetes.io/{k}": v for k, v in labels.items()}}}
    api.create("namespaces", "", body)
    api.until("serviceaccounts", name, "default", lambda _: True, "the service account that every pod needs")
    yield name
    api.delete("namespaces", "", name)


@pytest.fixture(scope="session")
def examples(api: Api, operators: Operators) -> Iterator[str]:
    """`kubectl apply -f examples/`, as a whole; the namespace. They run on while other tests run."""
    kubectl = api.cluster.kubectl
    kubectl("delete", "--ignore-not-found", "--timeout=60s", "--filename", str(EXAMPLES))
    kubectl("apply", "--filename", str(EXAMPLES))
    for path in sorted(EXAMPLES.glob("[!0]*.yaml")):
        api.until_ready(EXAMPLES_NAMESPACE, path.stem)
    api.until_all(
        "jobruns",
        EXAMPLES_NAMESPACE,
        lambda runs: runs and all(condition(run, "Finished") for run in runs),
        "the run that autoStart makes",
        selector="carillon.dev/scheduled-job=compress-folder",
    )
    yield EXAMPLES_NAMESPACE
    kubectl("delete", "--wait=false", "--filename", str(EXAMPLES))


@pytest.fixture(scope="session")
def plain_job(api: Api) -> "PlainJob":
    """Look into the examples' files, and put some there, as another pod of the namespace does."""
    return PlainJob(api)


class PlainJob:
    """Runs a shell script in a pod that has the examples' claim at /files."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def __call__(self, script: str) -> str:
        """Run it to its end; what it printed."""
        name = f"look-{uuid.uuid4().hex[:8]}"
        pod = {
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "main",
                    "image": "busybox:1.36",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-euc", script],
                    "volumeMounts": [{"name": "files", "mountPath": "/files"}],
                }
            ],
            "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": "files"}}],
        }
        body = {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {"spec": pod}}}
        self._api.create("jobs", EXAMPLES_NAMESPACE, body)
        done = self._api.until(
            "jobs", EXAMPLES_NAMESPACE, name, lambda job: condition(job, "Complete") or condition(job, "Failed"), "end"
        )
        printed = self._api.log(EXAMPLES_NAMESPACE, f"job-name={name}")
        assert condition(done, "Complete") == "True", printed
        self._api.delete("jobs", EXAMPLES_NAMESPACE, name)
        return printed


def example_files() -> list[Path]:
    """The files of the examples that hold a ScheduledJob."""
    return sorted(EXAMPLES.glob("[!0]*.yaml"))
