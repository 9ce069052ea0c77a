"""From a token to a run: what the API server says counts, and it is asked seldom."""

import asyncio
from typing import Any

import pytest

from carillon.controller import callers as module
from carillon.controller.callers import Callers, Refused
from carillon.controller.store import Store
from carillon.engine.names import job_names
from carillon.kube.errors import ApiError, Unreachable
from tests.unit.controller.test_controller_store import raw_job, raw_run
from tests.unit.engine.builders import NAMESPACE, at, stamp

ADDRESS = "10.0.0.1"


def reviewed(*, namespace: str = NAMESPACE, pod: str = "p", audiences: tuple[str, ...] = ("carillon.dev",)) -> Any:
    extra = {"authentication.kubernetes.io/pod-name": [pod], "authentication.kubernetes.io/pod-uid": ["pod-uid"]}
    user = {"username": f"system:serviceaccount:{namespace}:default", "extra": extra if pod else {}}
    return {"authenticated": True, "user": user, "audiences": list(audiences)}


def a_pod(*, uid: str = "pod-uid", job: str = "job", kind: str = "Job", labels: Any = None, **owner: Any) -> Any:
    reference = {"apiVersion": "batch/v1", "kind": kind, "name": "j", "uid": job, "controller": True, **owner}
    return {
        "name": "p",
        "uid": uid,
        "creationTimestamp": stamp("12:00"),
        "labels": labels or {},
        "ownerReferences": [reference],
    }


class World:
    def __init__(self, *namespaces: str) -> None:
        self.store = Store(changed=lambda _: None, unreadable=lambda *_: None, clock=lambda: at("12:00"))
        self.store.put_run(raw_run(job="job", phase="Running"))
        self.store.put_job(raw_job())
        self.reviews: dict[str, Any] = {"good": reviewed()}
        self.pods: dict[str, Any] = {"p": a_pod()}
        self.asked: list[str] = []
        self.seconds = 1000.0
        self.answers = asyncio.Event()
        self.answers.set()
        self.callers = Callers(
            identities=self,
            store=self.store,
            namespaces=namespaces,
            clock=lambda: at("12:00"),
            monotonic=lambda: self.seconds,
        )

    async def review(self, token: str, audience: str) -> dict[str, Any]:
        assert audience == "carillon.dev"
        self.asked.append(token)
        await self.answers.wait()
        found: Any = self.reviews.get(token, {"authenticated": False, "error": "no"})
        if isinstance(found, Exception):
            raise found
        return dict(found)

    async def pod(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.pods.get(name)

    async def run(self, token: str = "good", address: str = ADDRESS) -> str:
        return (await self.callers.run_of(f"Bearer {token}", address)).name

    async def refused(self, token: str = "good", address: str = ADDRESS) -> tuple[int, str]:
        with pytest.raises(Refused) as caught:
            await self.run(token, address)
        return caught.value.status, caught.value.words


async def test_the_pod_of_the_token_leads_to_the_run() -> None:
    assert await World().run() == "r"
    assert await World(NAMESPACE).run() == "r"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic Zm9v", "Bearer a b", "Bearer \x7f", "Bearer ü"])
async def test_without_a_token_nobody_is_asked(header: str) -> None:
    world = World()
    with pytest.raises(Refused) as caught:
        await world.callers.run_of(header, ADDRESS)
    assert (caught.value.status, world.asked) == (401, [])
    assert 'send "Authorization: Bearer $(cat "$CARILLON_TOKEN_FILE")"' in caught.value.words


async def test_nor_about_one_that_is_too_long() -> None:
    world = World()
    assert (await world.refused("x" * 8001))[0] == 401
    assert world.asked == []


@pytest.mark.parametrize(
    ("review", "pod", "status", "words"),
    [
        ({"authenticated": False}, a_pod(), 401, "not good here"),
        (reviewed(audiences=()), a_pod(), 401, "not good here"),
        (reviewed(audiences=("vault",)), a_pod(), 401, "not good here"),
        (reviewed(pod=""), a_pod(), 403, "not bound to a pod"),
        ({**reviewed(), "user": {"username": "alice"}}, a_pod(), 403, "not bound to a pod"),
        (reviewed(), None, 403, "is gone"),
        (reviewed(), a_pod(uid="another"), 403, "is gone"),
        (reviewed(), a_pod(kind="ReplicaSet"), 403, "not of a Job"),
        (reviewed(), a_pod(apiVersion="example.com/v1"), 403, "not of a Job"),
        (reviewed(), a_pod(controller=False), 403, "not of a Job"),
        (reviewed(), a_pod(job="another"), 403, "not of a JobRun"),
        (reviewed(), a_pod(job="another", labels={"carillon.dev/run-uid": "run"}), 503, "not known yet"),
        (reviewed(namespace="elsewhere"), a_pod(), 403, "not of a JobRun"),
        (ApiError(403, "Forbidden", "tokenreviews"), a_pod(), 503, "does not say whose token it is (403 Forbidden"),
        (Unreachable("reset"), a_pod(), 503, "try again"),
    ],
)
async def test_who_is_refused(review: Any, pod: Any, status: int, words: str) -> None:
    world = World()
    world.reviews["good"], world.pods["p"] = review, pod
    code, said = await world.refused()
    assert (code, words in said) == (status, True), said


async def test_pods_of_other_namespaces_are_not_looked_up() -> None:
    world = World("elsewhere")
    world.pods.clear()
    assert await world.refused() == (403, "namespace files is not one of those that this operator works in")


async def test_a_job_that_is_older_is_not_awaited() -> None:
    world = World()
    world.pods["p"] = {
        **a_pod(job="another", labels={"carillon.dev/run-uid": "run"}),
        "creationTimestamp": stamp("11:58"),
    }
    assert (await world.refused())[0] == 403


async def test_a_job_is_known_as_soon_as_the_watch_tells() -> None:
    world = World()
    world.store.drop("run")
    world.pods["p"] = a_pod(job="new", labels={"carillon.dev/run-uid": "run"})
    assert (await world.refused())[0] == 503
    world.store.put_run(raw_run(uid="run-2", name="r2"))
    world.store.put_job(raw_job(uid="new", run="run-2", name=job_names("r2", "run-2", periodic=False, attempt=1)[0]))
    assert await world.run() == "r2"
    assert world.asked == ["good"]


async def test_an_answer_is_kept_for_a_minute() -> None:
    world = World()
    for _ in range(3):
        assert await world.run() == "r"
    assert world.asked == ["good"]
    world.seconds += 61
    world.reviews.clear()
    assert (await world.refused())[0] == 401
    assert world.asked == ["good", "good"]


async def test_many_at_once_ask_once() -> None:
    world = World()
    world.answers.clear()
    calls = [asyncio.create_task(world.run()) for _ in range(20)]
    await asyncio.sleep(0)
    world.answers.set()
    assert await asyncio.gather(*calls) == ["r"] * 20
    assert world.asked == ["good"]


async def test_one_that_goes_away_takes_nothing_from_the_others() -> None:
    world = World()
    world.answers.clear()
    first, second = asyncio.create_task(world.run()), asyncio.create_task(world.run())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    world.answers.set()
    assert await second == "r"


async def test_a_bad_token_is_asked_about_once_in_ten_seconds() -> None:
    world = World()
    for _ in range(5):
        assert (await world.refused("bad"))[0] == 401
    assert world.asked == ["bad"]
    world.seconds += 11
    await world.refused("bad")
    assert world.asked == ["bad", "bad"]


async def test_that_the_api_server_was_away_is_not_kept() -> None:
    world = World()
    world.reviews["good"] = Unreachable("reset")
    for _ in range(30):  # nor does it make its address one that guesses
        assert (await world.refused())[0] == 503
    world.reviews["good"] = reviewed()
    assert await world.run() == "r"


async def test_who_tries_token_after_token_has_to_wait_and_nobody_else_does() -> None:
    world = World()
    assert await world.run() == "r"
    for number in range(20):
        assert (await world.refused(f"guess-{number}"))[0] == 401
    code, words = await world.refused("guess-20")
    assert (code, "too many tokens" in words) == (429, True)
    assert "guess-20" not in world.asked
    assert await world.run() == "r", "one that is known, from the same address"
    world.reviews["another"] = reviewed()
    assert await world.run("another", "10.0.0.2") == "r"
    world.seconds += 61
    assert await world.run("another", ADDRESS) == "r"


async def test_what_is_kept_is_bounded_and_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    monkeypatch.setattr(module, "ADDRESSES", 3)
    world = World()
    for number in range(10):
        await world.refused(f"guess-{number}", f"10.0.0.{number}")
    assert len(world.callers._known) == 3
    assert len(world.callers._failures) == 3
    assert "guess" not in repr(world.callers._known)
