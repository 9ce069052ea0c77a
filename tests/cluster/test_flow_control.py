"""The Lease's requests have a priority level of their own, as the API server itself says in each answer."""

import json
import re
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from tests.conftest import REPOSITORY, Cluster

UID = re.compile(r"X-Kubernetes-Pf-(Flowschema|Prioritylevel)-Uid: (\S+)", re.IGNORECASE)


@pytest.fixture
def release(cluster: Cluster, namespace: str) -> Iterator[str]:
    """The chart's FlowSchema and priority level; their name."""
    name = f"flow-{uuid.uuid4().hex[:8]}"
    rendered = subprocess.run(
        [
            *("helm", "template", name, str(REPOSITORY / "charts" / "carillon"), "--namespace", namespace),
            *("--set", f"fullnameOverride={name}", "--show-only=templates/flowcontrol.yaml", "--kube-version=1.36.0"),
        ],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    cluster.kubectl("create", "--filename=-", input=rendered)
    yield name
    cluster.kubectl("delete", "--filename=-", "--wait=false", input=rendered)


def classified(cluster: Cluster, account: str, *asked: str) -> dict[str, str]:
    """UIDs of the FlowSchema and the priority level under which the API server has answered."""
    done = cluster.kubectl(*asked, f"--as=system:serviceaccount:{account}", "--v=8", check=False)
    return {kind.lower(): uid for kind, uid in UID.findall(done.stderr)}


def uid_of(cluster: Cluster, kind: str, name: str) -> str:
    return str(json.loads(cluster.kubectl("get", kind, name, "--output=json").stdout)["metadata"]["uid"])


def test_the_lease_waits_behind_nothing_else(cluster: Cluster, release: str, namespace: str) -> None:
    ours = {
        "flowschema": uid_of(cluster, "flowschema", f"{release}-lease"),
        "prioritylevel": uid_of(cluster, "prioritylevelconfiguration", f"{release}-lease"),
    }
    account = f"{namespace}:{release}"
    lease = ("get", "--raw", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/carillon")
    for _ in range(100):
        # The API server takes a moment to act upon a new schema.
        if (found := classified(cluster, account, *lease)) == ours:
            break
    assert found == ours
    everyone = {
        "flowschema": uid_of(cluster, "flowschema", "service-accounts"),
        "prioritylevel": uid_of(cluster, "prioritylevelconfiguration", "workload-low"),
    }
    jobs = ("get", "--raw", f"/apis/batch/v1/namespaces/{namespace}/jobs")
    assert classified(cluster, account, *jobs) == everyone, "its other requests stay with everyone's"
    assert classified(cluster, f"{namespace}:other", *lease) == everyone, "and so do those of other accounts"
    elsewhere = ("get", "--raw", "/apis/coordination.k8s.io/v1/namespaces/default/leases/carillon")
    assert classified(cluster, account, *elsewhere) == everyone
