"""A real cluster for the tests, and kubectl to speak with it.

`CARILLON_TEST_CLUSTER` names the cluster: `test` when unset; `current` takes the kubeconfig in force. It is left
running, so that the next test run starts at once; `hack/cluster/down --name test` ends it.
"""

import os
import re
import shlex
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

REPOSITORY = Path(__file__).parents[1]
CURRENT = "current"

# structlog's own default draws tracebacks with every local variable: seconds for each, when a state machine fails.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.dev.ConsoleRenderer(),
    ]
)


@dataclass(frozen=True)
class Cluster:
    """A running cluster and the environment in which kubectl finds it."""

    name: str
    kubeconfig: Path
    environment: dict[str, str]

    def kubectl(
        self, *arguments: str, input: str | None = None, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl; with `check`, a failure fails the test and shows what kubectl said."""
        done = subprocess.run(
            ["kubectl", *arguments], input=input, capture_output=True, text=True, env=self.environment, timeout=120
        )
        if check and done.returncode:
            pytest.fail(f"kubectl {shlex.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster, brought up when it is not running; with a node, where the machine can have one."""
    name = os.environ.get("CARILLON_TEST_CLUSTER", "test")
    if name == CURRENT:
        kubeconfig = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        return Cluster(name, Path(kubeconfig), dict(os.environ))
    up = subprocess.run([REPOSITORY / "hack/cluster/up", "--name", name], stdout=subprocess.PIPE, text=True, check=True)
    export = re.search(r"^export KUBECONFIG=(\S+) PATH=([^:\s]+)", up.stdout, re.MULTILINE)
    if export is None:
        pytest.fail(f"hack/cluster/up did not say where the cluster is:\n{up.stdout}")
    kubeconfig, binaries = export.groups()
    environment = {**os.environ, "KUBECONFIG": kubeconfig, "PATH": f"{binaries}:{os.environ['PATH']}"}
    return Cluster(name, Path(kubeconfig), environment)


@pytest.fixture(scope="session")
def crds(cluster: Cluster) -> Cluster:
    """The cluster with our resources, installed as a user installs them."""
    cluster.kubectl("apply", "--filename", str(REPOSITORY / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "--filename", str(REPOSITORY / "crds"))
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A new namespace; its deletion is not waited for."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
