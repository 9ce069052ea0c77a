"""What a request may conclude: from errors, from silence, from the gate."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from carillon.kube import exchange, transport
from carillon.kube.client import Client
from carillon.kube.errors import ApiError, NotConfigured, Unreachable, WritesRefused
from carillon.kube.resources import EVENTS, JOB_RUNS, JOBS, LEASES
from tests.unit.kube.faults import Answer, FaultServer, lost, ok, page, refusal, run, text

JOB: dict[str, Any] = {"metadata": {"name": "dump-1"}}


class Gate:
    """Lets the first `passes` checks through and refuses the rest."""

    def __init__(self, passes: int) -> None:
        self.passes = passes

    def check(self) -> None:
        self.passes -= 1
        if self.passes < 0:
            raise WritesRefused("lapsed")


@pytest.mark.parametrize(
    ("code", "reason", "true"),
    [
        (409, "AlreadyExists", "already_exists"),
        (409, "Conflict", "conflict"),
        (404, "NotFound", "not_found"),
        (410, "Expired", "gone"),
        (422, "Invalid", "invalid"),
        (403, "Forbidden", "forbidden"),
        (500, "InternalError", "server_error"),
        (504, "Timeout", "server_error"),
    ],
)
async def test_an_answer_says_what_it_is(
    client: Client, server: FaultServer, code: int, reason: str, true: str
) -> None:
    causes = {"causes": [{"field": "spec.cron", "message": "no such day"}], "retryAfterSeconds": 7}
    server.then(refusal(code, reason, "it is so", causes))
    with pytest.raises(ApiError) as caught:
        await client.create(JOBS, "files", JOB)
    error = caught.value
    kinds = ["already_exists", "conflict", "not_found", "gone", "invalid", "forbidden", "server_error", "throttled"]
    assert [kind for kind in kinds if getattr(error, kind)] == [true]
    assert (error.reason, error.causes, error.retry_after_seconds) == (reason, (("spec.cron", "no such day"),), 7)
    assert str(error) == f"{code} {reason}: it is so"
    assert len(server.seen) == 1, "no failure but 429 is tried again"


async def test_what_no_object_can_be_called_is_not_there(client: Client, server: FaultServer) -> None:
    server.then(refusal(400, "BadRequest", "Name parameter invalid: \"%2e\": may not contain '%'"))
    with pytest.raises(ApiError) as caught:
        await client.get(JOBS, "files", "%2e")
    assert caught.value.not_found
    assert not ApiError(400, "BadRequest", "the body is no JSON").not_found


async def test_an_error_page_of_a_proxy_is_readable(client: Client, server: FaultServer) -> None:
    server.then(text("upstream is away", 502))
    with pytest.raises(ApiError, match="502: upstream is away"):
        await client.get(JOBS, "files", "dump-1")


async def test_a_page_of_a_proxy_in_place_of_an_object_leaves_the_outcome_unknown(
    client: Client, server: FaultServer
) -> None:
    server.then(text("<html>please log in"))
    with pytest.raises(Unreachable, match="not JSON"):
        await client.create(JOBS, "files", JOB)


async def test_a_write_carries_what_was_asked(client: Client, server: FaultServer) -> None:
    server.then(ok({}, 201), ok({}, 201), ok({}), ok({}), ok({}))
    await client.create(JOBS, "files", JOB, dry_run=True, strict=True)
    await client.create(JOBS, "files", JOB)
    await client.merge_patch(JOB_RUNS, "files", "dump-1", {"status": {"phase": "Running"}}, subresource="status")
    await client.merge_patch(JOB_RUNS, "files", "dump-1", {}, dry_run=True)
    await client.delete(JOBS, "files", "dump/1", uid="u", propagation="Foreground", grace_period_seconds=3)
    dry, wet, patch, dry_patch, delete = server.seen
    assert (dry.method, dry.path) == ("POST", "/apis/batch/v1/namespaces/files/jobs")
    assert dry.query == {"fieldManager": "carillon", "fieldValidation": "Strict", "dryRun": "All"}
    assert wet.query == {"fieldManager": "carillon", "fieldValidation": "Ignore"}
    assert (dry.body, dry.headers["Authorization"]) == (JOB, "Bearer first")
    assert patch.path == "/apis/carillon.dev/v1alpha1/namespaces/files/jobruns/dump-1/status"
    assert patch.headers["Content-Type"] == "application/merge-patch+json"
    assert patch.query == {"fieldManager": "carillon"}
    assert dry_patch.query == {"fieldManager": "carillon", "dryRun": "All"}
    assert delete.path == "/apis/batch/v1/namespaces/files/jobs/dump/1", "quoted on the wire"
    assert delete.body["preconditions"] == {"uid": "u"}
    assert (delete.body["propagationPolicy"], delete.body["gracePeriodSeconds"]) == ("Foreground", 3)


UID_CONFLICT = refusal(409, "Conflict", "the UID in the precondition (u) does not match the UID in record (v)")


@pytest.mark.parametrize(
    "answers",
    [
        [refusal(404, "NotFound")],
        [UID_CONFLICT, ok({"metadata": {"uid": "v"}})],
        [UID_CONFLICT, refusal(404, "NotFound")],
    ],
    ids=["gone", "replaced by another", "gone meanwhile"],
)
async def test_what_is_gone_already_counts_as_deleted(
    client: Client, server: FaultServer, answers: list[Answer]
) -> None:
    server.then(*answers)
    await client.delete(JOBS, "files", "dump-1", uid="u")
    assert len(server.seen) == len(answers)


async def test_another_conflict_of_a_delete_is_raised(client: Client, server: FaultServer) -> None:
    server.then(refusal(409, "Conflict", "the namespace is being terminated"), ok({"metadata": {"uid": "u"}}))
    with pytest.raises(ApiError, match="terminated"):
        await client.delete(JOBS, "files", "dump-1", uid="u")


async def test_a_lost_answer_is_unreachable_and_the_write_is_not_sent_again(
    client: Client, server: FaultServer
) -> None:
    server.then(ok({}), lost())
    await client.get(JOBS, "files", "dump-1")  # so that the write finds a connection that is open already
    with pytest.raises(Unreachable, match="create jobs"):
        await client.create(JOBS, "files", JOB)
    assert [seen.method for seen in server.seen] == ["GET", "POST"]


async def test_no_answer_in_time_is_unreachable(client: Client) -> None:
    with pytest.raises(Unreachable, match=r"get leases: .*[Tt]imeout"):
        await client.get(LEASES, "carillon", "operator", lease_seconds=0.05)


async def test_nobody_listening_is_unreachable(write_kubeconfig: Callable[..., Path]) -> None:
    client = await Client.connect(kubeconfig=str(write_kubeconfig("http://127.0.0.1:9")))
    with pytest.raises(Unreachable):
        await client.version()
    await client.close()


async def test_429_is_obeyed_by_reads_and_writes(client: Client, server: FaultServer) -> None:
    server.then(refusal(429, "TooManyRequests", **{"Retry-After": "1"}), ok({"done": 1}, 201))
    started = time.monotonic()
    assert await client.create(JOBS, "files", JOB) == {"done": 1}
    assert time.monotonic() - started >= 1.0
    assert server.seen[0].body == server.seen[1].body


async def test_after_429_not_all_come_back_at_once(
    client: Client, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never before the time that the server asked for, and each at another one."""
    slept: list[float] = []

    async def note(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(exchange, "asyncio", SimpleNamespace(sleep=note))
    for _ in range(20):
        server.then(refusal(429, "TooManyRequests", **{"Retry-After": "4"}), ok({"done": 1}, 201))
        await client.create(JOBS, "files", JOB)
    assert len(set(slept)) == 20
    assert min(slept) >= 4
    assert max(slept) <= 6
    assert max(slept) - min(slept) > 0.5


async def test_429_without_end_is_raised_after_six_attempts(client: Client, server: FaultServer) -> None:
    server.then(*[refusal(429, "TooManyRequests", **{"Retry-After": "0"})] * 10)
    with pytest.raises(ApiError) as caught:
        await client.get(JOBS, "files", "dump-1")
    assert caught.value.throttled
    assert len(server.seen) == 6


async def test_a_write_that_the_gate_lets_pass_is_not_kept_for_long(client: Client, server: FaultServer) -> None:
    """What it was decided from may not hold any more: whoever decides hears of it, and when to come again."""
    client.gate = Gate(100)
    server.then(*[refusal(429, "TooManyRequests", **{"Retry-After": "3"})] * 2)
    started = time.monotonic()
    with pytest.raises(ApiError) as caught:
        await client.create(JOBS, "files", JOB)
    assert time.monotonic() - started < 2
    assert (caught.value.throttled, caught.value.retry_after_seconds) == (True, 3)
    assert len(server.seen) == 1


async def test_a_process_that_stops_can_wait_for_its_writes(client: Client, server: FaultServer) -> None:
    client.gate = Gate(100)
    server.then(refusal(429, "TooManyRequests", **{"Retry-After": "1"}), ok({"done": 1}, 201))
    writing = asyncio.create_task(client.create(JOBS, "files", JOB))
    await asyncio.sleep(0.1)
    await client.until_written(0.05)
    assert not writing.done(), "it does not wait for ever"
    await client.until_written(10)
    await asyncio.sleep(0)
    assert writing.done()
    await client.until_written(10)


async def test_429_that_asks_for_minutes_is_left_to_the_caller(client: Client, server: FaultServer) -> None:
    server.then(refusal(429, "TooManyRequests", **{"Retry-After": "120"}))
    with pytest.raises(ApiError) as caught:
        await client.get(JOBS, "files", "dump-1")
    assert caught.value.retry_after_seconds == 120


@pytest.mark.parametrize(("passes", "sent"), [(0, 0), (1, 0), (2, 1), (3, 2)])
async def test_the_gate_is_asked_before_the_queue_and_again_at_the_wire(
    client: Client, server: FaultServer, passes: int, sent: int
) -> None:
    client.gate = Gate(passes)
    server.then(*[refusal(429, "TooManyRequests", **{"Retry-After": "0"})] * 10)
    with pytest.raises(WritesRefused):
        await client.create(JOBS, "files", JOB)
    assert len(server.seen) == sent, "each attempt after a 429 asks again"


async def test_nothing_leaves_when_the_gate_closes_before_the_very_bytes_do(
    client: Client, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the process is stopped just then: the library writes the body one step of the loop later."""
    gate = Gate(100)
    client.gate = gate
    send = transport._Request.send

    async def send_and_lose_the_lease(self: Any, conn: Any) -> Any:
        response = await send(self, conn)
        gate.passes = 0
        return response

    monkeypatch.setattr(transport._Request, "send", send_and_lose_the_lease)
    server.then(ok({"done": 1}, 201))
    with pytest.raises(WritesRefused):
        await client.create(JOBS, "files", JOB)
    assert server.seen == []
    gate.passes = 100
    monkeypatch.undo()
    assert await client.create(JOBS, "files", JOB) == {"done": 1}


async def test_every_write_asks_the_gate_and_no_read_does(client: Client, server: FaultServer) -> None:
    client.gate = Gate(0)
    writes: list[Callable[[], Any]] = [
        lambda: client.create(JOBS, "files", JOB),
        lambda: client.create(JOBS, "files", JOB, dry_run=True),
        lambda: client.create(EVENTS, "files", JOB),
        lambda: client.merge_patch(JOB_RUNS, "files", "dump-1", {}),
        lambda: client.delete(JOBS, "files", "dump-1", uid="u"),
    ]
    for write in writes:
        with pytest.raises(WritesRefused):
            await write()
    server.then(ok({}), page(version="1"), text("last words"), ok({"gitVersion": "v1.36.3"}))
    await client.get(JOBS, "files", "dump-1")
    await client.list(JOBS, None)
    assert await client.pod_log("files", "p", container="c", tail_lines=5, limit_bytes=2048) == "last words"
    assert (await client.version())["gitVersion"] == "v1.36.3"
    assert [seen.method for seen in server.seen] == ["GET"] * 4


async def test_the_lease_waits_neither_for_the_gate_nor_for_the_pool(
    server: FaultServer, write_kubeconfig: Callable[..., Path]
) -> None:
    client = await Client.connect(kubeconfig=str(write_kubeconfig(server.url)), max_in_flight=2)
    stuck = [asyncio.create_task(client.get(JOBS, "files", f"dump-{n}")) for n in range(3)]
    await server.until_seen(2)
    client.gate = Gate(0)
    server.then(ok({"renewed": 1}))
    assert await client.merge_patch(LEASES, "carillon", "operator", {}, lease_seconds=5) == {"renewed": 1}
    assert len(server.seen) == 3, "the third read waits for a place in the pool of two"
    for task in stuck:
        task.cancel()
    await asyncio.wait(stuck)
    await client.close()


async def test_the_observer_hears_of_each_request(server: FaultServer, write_kubeconfig: Callable[..., Path]) -> None:
    heard: list[tuple[str, str, int]] = []
    client = await Client.connect(
        kubeconfig=str(write_kubeconfig(server.url)),
        observer=lambda verb, plural, status, seconds: heard.append((verb, plural, status)),
    )
    server.then(page(version="1"), refusal(409, "AlreadyExists"), lost())
    await client.list(JOBS, None)
    with pytest.raises(ApiError):
        await client.create(JOBS, "files", JOB)
    with pytest.raises(Unreachable):
        await client.merge_patch(JOB_RUNS, "files", "dump-1", {}, subresource="status")
    assert heard == [("list", "jobs", 200), ("create", "jobs", 409), ("patch", "jobruns/status", 0)]
    await client.close()


async def test_a_list_is_read_in_pages(client: Client, server: FaultServer) -> None:
    bare = {"metadata": {"name": "b"}}
    server.then(page(run("a", 1), version="7", more="next"), page(bare, version="7"))
    items, version = await client.list(JOB_RUNS, "files", label_selector="a=b", field_selector="c=d", limit=1)
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert (items[1]["kind"], items[1]["apiVersion"]) == ("JobRun", "carillon.dev/v1alpha1")
    assert version == "7"
    assert server.seen[0].query == {"labelSelector": "a=b", "fieldSelector": "c=d", "limit": "1"}
    assert server.seen[1].query["continue"] == "next"


async def test_a_list_whose_pages_expire_is_read_again_whole(client: Client, server: FaultServer) -> None:
    expired = refusal(410, "Expired")
    server.then(page(run("a", 1), version="7", more="next"), expired, page(run("b", 8), version="9"))
    items, version = await client.list(JOB_RUNS, None, label_selector="a=b")
    assert ([item["metadata"]["name"] for item in items], version) == (["b"], "9")
    assert server.seen[2].query == {"labelSelector": "a=b"}


async def test_a_list_of_metadata_asks_for_metadata(client: Client, server: FaultServer) -> None:
    server.then(page(version="7"))
    await client.list(JOB_RUNS, None, metadata_only=True)
    assert server.seen[0].headers["Accept"] == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


async def test_a_token_that_is_refused_is_read_again(
    client: Client, server: FaultServer, write_kubeconfig: Callable[..., Path]
) -> None:
    write_kubeconfig(server.url, token="second")
    server.then(refusal(401, "Unauthorized"), ok({}, 201), refusal(401, "Unauthorized"))
    await client.create(JOBS, "files", JOB)
    assert [seen.headers["Authorization"] for seen in server.seen] == ["Bearer first", "Bearer second"]
    with pytest.raises(ApiError, match="401"):
        await client.create(JOBS, "files", JOB)  # and not in a loop


async def test_no_configuration_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="set KUBECONFIG"):
        await Client.connect(kubeconfig=str(tmp_path / "nothing"))
