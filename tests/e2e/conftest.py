"""Real pods: a cluster with a node, our resources, an operator, and the examples, for the length of the tests.

The operator serves the whole cluster and is one for all tests; the crash tests kill this very one, with everything else
going on. A test fails when the operator logs an error while it runs, whatever else the test looks at.
"""

import os
import re
import subprocess
import uuid
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.conftest import CURRENT, REPOSITORY, Cluster
from tests.e2e import examples as files
from tests.e2e import progress_service as service
from tests.e2e.api import Api, ApiError
from tests.e2e.objects import job_template, scheduled_job
from tests.e2e.operators import LEASE_NAMESPACE, Operators
from tests.e2e.together import Crowd

CONFLICT = 409
IMAGE = "carillon:dev"
CHART_TESTS = "test_chart"
LOG_BEGINS = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def api(crds: Cluster) -> Iterator[Api]:
    """The API server of a cluster whose node takes pods."""
    with Api(_with_node(crds)) as api:
        yield api


def _with_node(cluster: Cluster) -> Cluster:
    if not cluster.kubectl("get", "nodes", "--output", "name").stdout:
        why = "this cluster has no node (hack/cluster/up says why), and these tests run pods"
        pytest.fail(why) if os.environ.get("CI") or cluster.name == CURRENT else pytest.skip(why)
    return cluster


@pytest.fixture(scope="session")
def operators(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operators]:
    """One operator that leads."""
    try:
        api.create("namespaces", "", {"metadata": {"name": LEASE_NAMESPACE}})
    except ApiError as error:
        if error.status != CONFLICT:
            raise
    log = tmp_path_factory.mktemp("operator") / "log"
    operators = Operators(api.cluster, api, log, progress_url=service.URL)
    try:
        operators.start()
        yield operators
        since = operators.size()
        operators.stop()
        assert not operators.complaints(since), operators.tail(since)
    finally:
        operators.end()


@pytest.fixture(autouse=True)
def _no_complaints(operators: Operators, request: pytest.FixtureRequest) -> Iterator[None]:
    """The operator logs no error while the test runs."""
    since = request.node.stash[LOG_BEGINS] = operators.size()
    yield
    complaints = operators.complaints(since)
    assert not complaints, "the operator complains:\n" + "\n".join(complaints)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the operator has logged meanwhile."""
    report = yield
    operators = getattr(item, "funcargs", {}).get("operators")
    if report.failed and isinstance(operators, Operators):
        report.sections.append(("operator log", operators.tail(item.stash.get(LOG_BEGINS, 0))))
    return report


@pytest.fixture
def namespace(api: Api, operators: Operators) -> Iterator[str]:
    """A new namespace in which pods can be made; its deletion is not waited for."""
    with new_namespace(api) as name:
        yield name


@contextmanager
def new_namespace(api: Api, **levels: str) -> Iterator[str]:
    """A namespace with Pod Security levels, for example enforce="restricted"."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    make_namespace(api, name, **levels)
    yield name
    api.delete("namespaces", "", name)


def make_namespace(api: Api, name: str, **levels: str) -> None:
    """Make a namespace in which pods can be made; one that an earlier test run has left has to go first."""
    if api.find("namespaces", "", name):
        api.delete("namespaces", "", name)
        api.until_none_named("namespaces", "", name)
    labels = {f"pod-security.kubernetes.io/{mode}": level for mode, level in levels.items()}
    api.create("namespaces", "", {"metadata": {"name": name, "labels": labels}})
    api.until("serviceaccounts", name, "default", lambda _: True, "the service account that every pod needs")


@dataclass(frozen=True)
class Early:
    """What was begun with the first test, so that none has to wait for it to grow old."""

    namespace: str
    tried_twice: str
    """A run whose Job makes a second attempt ten seconds after the first."""
    old: str
    """A definition that is due next year."""


@pytest.fixture(scope="session", autouse=True)
def early(api: Api, operators: Operators) -> Iterator[Early]:
    with new_namespace(api) as namespace:
        twice = scheduled_job("twice")
        twice["spec"]["jobTemplate"] = job_template("echo attempt failed >&2; exit 9", retries=1)
        api.create("scheduledjobs", namespace, twice)
        api.create("scheduledjobs", namespace, scheduled_job("old", triggers=[{"name": "year", "cron": "@yearly"}]))
        yield Early(namespace, tried_twice=api.run_now(namespace, "twice"), old="old")


@pytest.fixture(scope="session")
def crowd(api: Api, operators: Operators, request: pytest.FixtureRequest) -> Iterator[Crowd]:
    """The tests that are marked `@together`, begun."""
    crowd = Crowd(api, request.session.items, new_namespace)
    yield crowd
    crowd.end()


@pytest.fixture(scope="session", autouse=True)
def image(api: Api, request: pytest.FixtureRequest) -> Iterator["Future[str]"]:
    """The operator's image in the cluster; its build is begun early, if the tests of the chart are to come."""
    with ThreadPoolExecutor(1) as pool:
        wanted = any(item.path.stem == CHART_TESTS for item in request.session.items)
        yield pool.submit(_bring_image, api.cluster.name) if wanted else Future()


def _bring_image(cluster: str) -> str:
    if cluster == CURRENT:
        return os.environ["CARILLON_TEST_IMAGE"]  # one that the nodes of this cluster can pull
    hack = REPOSITORY / "hack" / "cluster"
    done = subprocess.run([hack / "build-image", "--tag", IMAGE], capture_output=True, text=True)
    archive = re.search(r"hack/cluster/load-image (\S+)", done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert archive is not None, done.stdout
    subprocess.run([hack / "load-image", "--name", cluster, archive[1]], check=True, stdout=subprocess.DEVNULL)
    return IMAGE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of the chart come last: they need the cluster, and the other operator's leave."""
    items.sort(key=lambda item: item.path.stem == CHART_TESTS)


@pytest.fixture(scope="session")
def examples(api: Api, operators: Operators) -> Iterator[str]:
    """`kubectl apply -f examples/`, as a whole; the namespace. They run on while other tests run."""
    kubectl, where = api.cluster.kubectl, ("--filename", str(files.DIRECTORY))
    kubectl("delete", "--ignore-not-found", "--timeout=60s", *where)
    kubectl("apply", *where)
    for name in files.NAMES:
        api.until_ready(files.NAMESPACE, name)
    yield files.NAMESPACE
    kubectl("delete", "--wait=false", *where)


@pytest.fixture(scope="session")
def shared_files(api: Api, examples: str) -> Iterator[files.Files]:
    """The directory that the examples share; emptied afterwards, for it is one of the node's."""
    shared = files.Files(api)
    yield shared
    shared.shell("rm -rf /files/*")
