"""Logs as they come, requests as somebody else, and deletes of what was read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.follow import Follower
from carillon.kube.resources import JOB_RUNS, JOBS
from carillon.kube.transport import Impersonation
from tests.unit.kube.faults import FaultServer, ok, page, refusal, stream, text


async def lines(client: Client, **options: object) -> list[str]:
    return [line async for line in client.log_lines("files", "p", container="main", **options)]  # type: ignore[arg-type]


async def test_a_log_is_read_to_its_end_and_its_last_line_may_be_unfinished(
    client: Client, server: FaultServer
) -> None:
    server.then(text("2026-01-01T00:00:00.1Z one\n2026-01-01T00:00:00.2Z \n2026-01-01T00:00:00.3Z é"))
    found = await lines(client, since="2026-01-01T00:00:00Z", tail_lines=5)
    assert [line.partition(" ")[2] for line in found] == ["one", "", "é"]
    (asked,) = server.seen
    assert asked.path == "/api/v1/namespaces/files/pods/p/log"
    assert asked.query == {
        "container": "main",
        "follow": "true",
        "timestamps": "true",
        "sinceTime": "2026-01-01T00:00:00Z",
        "tailLines": "5",
    }


async def test_a_log_need_not_be_followed(client: Client, server: FaultServer) -> None:
    server.then(text(""))
    assert await lines(client, follow=False) == []
    assert server.seen[0].query["follow"] == "false"


async def test_a_log_that_is_refused(client: Client, server: FaultServer) -> None:
    server.then(refusal(400, "BadRequest", "container main is waiting to start"))
    with pytest.raises(ApiError, match="waiting to start"):
        await lines(client)


async def test_a_log_that_breaks_off(client: Client, server: FaultServer) -> None:
    server.then(stream(("ADDED", {}), end="reset"))
    with pytest.raises(Unreachable, match="read pods/log"):
        await lines(client)


async def test_requests_are_made_as_somebody_else(server: FaultServer, write_kubeconfig: Callable[..., Path]) -> None:
    somebody = Impersonation("alice", ("ops", "dev"))
    client = await Client.connect(kubeconfig=str(write_kubeconfig(server.url)), impersonation=somebody)
    try:
        server.then(ok({"metadata": {}}))
        await client.get(JOBS, "files", "dump-1")
    finally:
        await client.close()
    headers = server.seen[0].headers
    assert headers["Impersonate-User"] == "alice"
    assert headers["Authorization"] == "Bearer first"
    assert somebody.added_to({}).getall("Impersonate-Group") == ["ops", "dev"], "a header for each"


async def test_what_has_changed_since_it_was_read_is_not_deleted(client: Client, server: FaultServer) -> None:
    conflict = refusal(409, "Conflict", "the ResourceVersion in the precondition (7) does not match")
    server.then(conflict, ok({"metadata": {"uid": "u"}}))
    with pytest.raises(ApiError, match="does not match"):
        await client.delete(JOB_RUNS, "files", "dump-1", uid="u", resource_version="7")
    assert server.seen[0].body["preconditions"] == {"uid": "u", "resourceVersion": "7"}


async def test_unknown_fields_of_a_patch_are_refused_if_asked(client: Client, server: FaultServer) -> None:
    server.then(ok({}))
    await client.merge_patch(JOB_RUNS, "files", "dump-1", {"spec": {"stop": True}}, strict=True)
    assert server.seen[0].query == {"fieldManager": "carillon", "fieldValidation": "Strict"}


async def test_whoever_is_told_of_a_failure_may_end_the_following(client: Client, server: FaultServer) -> None:
    class Enough(Exception):  # noqa: N818
        """No more."""

    told: list[str] = []

    def on_failure(problem: ApiError | Unreachable) -> None:
        told.append(str(problem))
        if len(told) == 2:
            raise Enough

    server.then(refusal(403, "Forbidden", "no"), page(version="5"), refusal(403, "Forbidden", "not to watch"))
    follower = Follower(
        client, JOB_RUNS, "files", on_object=print, on_gone=print, on_failure=on_failure, silence_seconds=5
    )
    with pytest.raises(Enough):
        await follower.run()
    assert told == ["403 Forbidden: no", "403 Forbidden: not to watch"]
