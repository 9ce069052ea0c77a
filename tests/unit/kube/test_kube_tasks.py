"""The requests on behalf of tasks: what is written is one field of one object, as it was when it was looked at."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from carillon.api.jobrun import TaskProgress
from carillon.kube.errors import ApiError
from carillon.kube.tasks import Tasks
from tests.unit.kube.faults import FaultServer, ok, page, refusal

AT = datetime(2026, 3, 10, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
async def tasks(server: FaultServer, write_kubeconfig: Callable[..., Path]) -> AsyncIterator[Tasks]:
    tasks = await Tasks.connect(kubeconfig=str(write_kubeconfig(server.url)))
    yield tasks
    await tasks.close()


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (TaskProgress(percent=40, message="half", update_time=AT), {"percent": 40, "message": "half"}),
        (TaskProgress(percent=0, update_time=AT), {"percent": 0, "message": None}),
        (TaskProgress(message="half", update_time=AT), {"percent": None, "message": "half"}),
    ],
)
async def test_what_a_report_does_not_say_is_taken_away(
    tasks: Tasks, server: FaultServer, progress: TaskProgress, said: dict[str, object]
) -> None:
    server.then(ok({}))
    await tasks.write_progress("files", "dump-1", uid="u", resource_version="7", progress=progress)
    [seen] = server.seen
    assert (seen.method, seen.path) == ("PATCH", "/apis/carillon.dev/v1alpha1/namespaces/files/jobruns/dump-1/status")
    assert seen.headers["Content-Type"] == "application/merge-patch+json"
    assert seen.body == {
        "metadata": {"uid": "u", "resourceVersion": "7"},
        "status": {"progress": {**said, "updateTime": "2026-03-10T12:00:00.250000Z"}},
    }


async def test_a_token_is_asked_about_for_an_audience(tasks: Tasks, server: FaultServer) -> None:
    server.then(ok({"status": {"authenticated": True}}, 201), ok({}, 201), refusal(403, "Forbidden", "no"))
    assert await tasks.review("t", "carillon.dev") == {"authenticated": True}
    assert await tasks.review("t", "carillon.dev") == {}
    with pytest.raises(ApiError, match="403"):
        await tasks.review("t", "carillon.dev")
    assert server.seen[0].path == "/apis/authentication.k8s.io/v1/tokenreviews"
    assert server.seen[0].body["spec"] == {"token": "t", "audiences": ["carillon.dev"]}


async def test_a_pod_is_looked_up_by_a_list(tasks: Tasks, server: FaultServer) -> None:
    """For which the operator has the right."""
    server.then(page({"metadata": {"name": "p", "uid": "u"}}, version="7"), page(version="8"))
    assert await tasks.pod("files", "p") == {"name": "p", "uid": "u"}
    assert await tasks.pod("files", "p") is None
    assert server.seen[0].path == "/api/v1/namespaces/files/pods"
    assert server.seen[0].query == {"fieldSelector": "metadata.name=p"}
    assert "PartialObjectMetadataList" in server.seen[0].headers["Accept"]


async def test_a_run_that_is_gone_is_none(tasks: Tasks, server: FaultServer) -> None:
    server.then(ok({"metadata": {}}), refusal(404, "NotFound", "gone"), refusal(403, "Forbidden", "no"))
    assert await tasks.run("files", "r") == {"metadata": {}}
    assert await tasks.run("files", "r") is None
    with pytest.raises(ApiError):
        await tasks.run("files", "r")
