"""The operator's own part, without a cluster: what is known before the first decision, and when it is ready."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from carillon.controller import comparison
from carillon.controller import operator as module
from carillon.controller.comparison import MOST_ASKED_FOR
from carillon.controller.metrics import Metrics
from carillon.controller.operator import LONGEST_BEGINNING_SECONDS, UNFIT_SECONDS, Operator
from carillon.controller.settings import Settings
from carillon.engine.model import Key
from carillon.kube.client import Client
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import PODS, SCHEDULED_JOBS
from tests.unit.controller.test_controller_store import raw_job
from tests.unit.engine.builders import DEFINITION_UID, HOURLY, KEY, Body, raw_definition


class FakeClient:
    """Lists ScheduledJobs and pods, and has the Jobs of these."""

    def __init__(self) -> None:
        self.gate: object = None
        self.items: list[Body] = []
        self.pods: list[Body] = []
        self.jobs: list[Body] = []
        self.problems: list[Exception] = []
        self.listed: list[str | None] = []
        self.version = "100"
        self.asked_for: list[str] = []
        """What of them was asked for in full: names, and `page`."""

    async def get(self, resource: Any, namespace: str, name: str) -> Body:
        if resource is SCHEDULED_JOBS:
            self.asked_for.append(name)
        for item in self.items if resource is SCHEDULED_JOBS else self.jobs:
            if (item["metadata"]["namespace"], item["metadata"]["name"]) == (namespace, name):
                return item
        raise ApiError(404, "NotFound", "deleted since")

    async def pages(
        self, resource: Any, namespace: str | None, *, limit: int, metadata_only: bool = False
    ) -> AsyncGenerator[tuple[list[Body], str], None]:
        items, version = await self.list(resource, namespace)
        for start in range(0, max(1, len(items)), limit):
            if not metadata_only:
                self.asked_for.append("page")
            yield items[start : start + limit], version

    async def list(self, resource: Any, namespace: str | None, **_: Any) -> tuple[list[Body], str]:
        self.listed.append(namespace)
        if self.problems:
            raise self.problems.pop(0)
        return self.pods if resource is PODS else self.items, self.version


class World:
    def __init__(self, **settings: Any) -> None:
        self.client = FakeClient()
        self.metrics = Metrics()
        self.operator = Operator(
            Settings(lease_namespace="n", identity="pod-a", **settings), cast(Client, self.client), self.metrics
        )

    def known(self) -> list[str]:
        store = self.operator._store
        return [f"{definition.uid}@{definition.resource_version}" for definition in store.definitions()]

    def lead(
        self,
        monkeypatch: pytest.MonkeyPatch,
        work: Callable[[], None],
        first: Callable[[], Awaitable[None]] | None = None,
    ) -> asyncio.Task[None]:
        """`first`: what is due while the definitions are still compared."""

        async def run(until_sure: Callable[[], Awaitable[None]]) -> None:
            if first is not None:
                await first()
            await until_sure()
            work()
            await asyncio.Event().wait()

        monkeypatch.setattr(self.operator._worker, "run", run)
        return asyncio.create_task(self.operator._lead())

    def leader(self) -> float | None:
        return self.metrics.registry.get_sample_value("carillon_leader")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(comparison, "PAUSE_SECONDS", 0.01)
    return World()


def pod_of(job: str) -> Body:
    return {
        "metadata": {
            "name": f"{job}-x",
            "namespace": KEY.namespace,
            "labels": {"carillon.dev/scheduled-job": KEY.name, "carillon.dev/run-uid": "run"},
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": f"uid-of-{job}", "controller": True}
            ],
        }
    }


async def end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})


class TestTakingOver:
    """The watch may be behind what the last leader has written; its watermarks decide what is due."""

    async def test_the_first_decision_knows_what_the_last_leader_wrote(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.operator._store.put_definition(raw_definition(HOURLY, resource_version=10))
        world.client.items = [raw_definition(HOURLY, resource_version=20)]
        seen: list[list[str]] = []
        task = world.lead(monkeypatch, lambda: seen.append(world.known()))
        await asyncio.sleep(0.05)
        assert seen == [[f"{DEFINITION_UID}@20"]]
        await end(task)

    async def test_and_not_what_is_gone(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.operator._store.put_definition(raw_definition(HOURLY))
        seen: list[list[str]] = []
        task = world.lead(monkeypatch, lambda: seen.append(world.known()))
        await asyncio.sleep(0.05)
        assert seen == [[]]
        await end(task)

    async def test_what_an_older_view_does_not_have_yet_is_believed_when_it_comes(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.operator._store.put_definition(raw_definition(HOURLY, resource_version=120))
        world.client.items, world.client.version = [], "110"
        begun = asyncio.Event()
        task = world.lead(monkeypatch, begun.set)
        async with asyncio.timeout(10):
            await begun.wait()
        assert world.known() == []
        world.operator._store.put_definition(raw_definition(HOURLY, resource_version=112))
        assert world.known() == [f"{DEFINITION_UID}@112"]
        await end(task)

    async def test_nothing_is_decided_until_the_list_was_answered(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.client.problems = [Unreachable("reset"), ApiError(500, "InternalError", "etcd"), Unreachable("reset")]
        lists_before_the_work: list[int] = []
        works = asyncio.Event()

        def work() -> None:
            lists_before_the_work.append(len(world.client.listed))
            works.set()

        task = world.lead(monkeypatch, work)
        async with asyncio.timeout(10):
            await works.wait()
        assert lists_before_the_work == [6]  # pods four times, definitions, and pods once more
        await end(task)

    async def test_what_is_due_meanwhile_is_asked_for_by_itself(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It waits for no list of thousands, and is decided by what the last leader wrote all the same."""
        store, make_sure = world.operator._store, world.operator._comparison.make_sure
        store.put_definition(raw_definition(HOURLY, resource_version=10))
        store.put_definition(raw_definition(HOURLY, name="gone", uid="uid-gone", resource_version=10))
        world.client.items = [raw_definition(HOURLY, resource_version=20)]
        seen: list[list[str]] = []

        async def due() -> None:
            for _ in range(2):  # once is enough
                await make_sure(KEY)
                await make_sure(Key(KEY.namespace, "gone"))
            seen.append(world.known())
            assert world.client.asked_for == [KEY.name, "gone"]

        begun = asyncio.Event()
        task = world.lead(monkeypatch, begun.set, due)
        async with asyncio.timeout(10):
            await begun.wait()
        assert seen == [[f"{DEFINITION_UID}@20"]]
        await make_sure(Key(KEY.namespace, "another"))
        assert world.client.asked_for == [KEY.name, "gone"], "after the comparison the watches tell"
        await end(task)

    async def test_who_cannot_learn_what_there_is_makes_room_for_another(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As one that may not list pods: it would keep the lease, and fire nothing."""
        clock = 1000.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock))
        world.client.problems = [ApiError(403, "Forbidden", "pods is forbidden")] * 10_000
        alive = world.operator._leadership._alive
        task = world.lead(monkeypatch, lambda: None)
        await asyncio.sleep(0.05)
        clock += LONGEST_BEGINNING_SECONDS
        assert alive()
        clock += 1
        assert not alive()
        await end(task)
        clock += UNFIT_SECONDS - 1
        assert not alive(), "else it would take the lease again at once"
        clock += 2
        assert alive()

    async def test_what_could_not_be_asked_for_is_asked_for_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_sure = world.operator._comparison.make_sure
        world.client.items = [raw_definition(HOURLY)]
        problem = Unreachable("reset")

        async def fail(*_: Any) -> Body:
            raise problem

        async def due() -> None:
            with monkeypatch.context() as patched:
                patched.setattr(world.client, "get", fail)
                with pytest.raises(Unreachable):
                    await make_sure(KEY)
            await make_sure(KEY)
            assert world.client.asked_for == [KEY.name]

        begun = asyncio.Event()
        task = world.lead(monkeypatch, begun.set, due)
        async with asyncio.timeout(10):
            await begun.wait()
        await end(task)

    async def test_of_much_that_is_due_most_waits_for_the_comparison(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_sure = world.operator._comparison.make_sure
        waits: list[asyncio.Task[None]] = []

        async def due() -> None:
            for number in range(MOST_ASKED_FOR + 1):
                waits.append(asyncio.create_task(make_sure(Key(KEY.namespace, f"due-{number}"))))
            await asyncio.sleep(0.01)
            assert [each.done() for each in waits] == [True] * MOST_ASKED_FOR + [False]

        task = world.lead(monkeypatch, lambda: None, due)
        async with asyncio.timeout(10):
            while not (waits and all(each.done() for each in waits)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len([name for name in world.client.asked_for if name != "page"]) == MOST_ASKED_FOR
        await end(task)

    async def test_each_turn_of_leading_is_sure_anew(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between two turns another process may have led, and written."""
        world.client.items = [raw_definition(HOURLY, resource_version=20)]
        for _ in range(2):

            async def due() -> None:
                await world.operator._comparison.make_sure(KEY)

            begun = asyncio.Event()
            task = world.lead(monkeypatch, begun.set, due)
            async with asyncio.timeout(10):
                await begun.wait()
            await end(task)
        assert [name for name in world.client.asked_for if name != "page"] == [KEY.name] * 2

    async def test_pods_that_have_outlived_their_job_hold_its_slot_and_those_of_strangers_none(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Anybody may write our labels on pods; a Job that is there and that we do not know is not one of ours."""
        world.client.items = [raw_definition(HOURLY)]
        world.client.pods = [pod_of(job) for job in ("gone", "theirs", "anew")]
        metadata = {"namespace": KEY.namespace}
        world.client.jobs = [
            {"metadata": {**metadata, "name": "theirs", "uid": "uid-of-theirs"}},
            {"metadata": {**metadata, "name": "anew", "uid": "another"}},
        ]
        begun = asyncio.Event()
        task = world.lead(monkeypatch, begun.set)
        async with asyncio.timeout(10):
            await begun.wait()
        assert world.operator._store.snapshot(KEY).observations.lingering_jobs == {"uid-of-gone", "uid-of-anew"}
        await end(task)

    async def test_the_metric_says_who_leads(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        assert world.leader() == 0
        task = world.lead(monkeypatch, lambda: None)
        await asyncio.sleep(0.05)
        assert world.leader() == 1
        await end(task)
        assert world.leader() == 0

    async def test_it_competes_for_the_lease_only_once_every_kind_was_listed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else a definition would be decided while its Calendars or its runs are on their way."""
        competed: list[int] = []

        async def compete() -> None:
            competed.append(1)

        monkeypatch.setattr(world.operator._leadership, "run", compete)
        task = asyncio.create_task(world.operator._elect())
        for listed in (world.operator._comparison.listed, *(f.synced for f in world.operator._followers)):
            await asyncio.sleep(0.01)
            assert competed == []
            listed.set()
        await task
        assert competed == [1]


class TestComparing:
    async def test_only_the_watched_namespaces_are_listed_and_others_left_alone(self) -> None:
        world = World(watch_namespaces=("a", "b"))
        world.operator._store.put_definition(raw_definition(HOURLY))
        await world.operator._comparison.compare()
        assert world.client.listed == ["a", "b"]
        assert world.known() == [f"{DEFINITION_UID}@10"], f"{KEY} is in neither"

    def put(self, world: World, count: int) -> None:
        """Have so many definitions, known by the API server and by us."""
        world.client.items = [raw_definition(HOURLY, name=f"d{n}", uid=f"uid-{n}") for n in range(count)]
        for item in world.client.items:
            world.operator._store.put_definition(item)

    async def test_only_what_has_changed_is_asked_for(self, world: World) -> None:
        self.put(world, 500)
        world.client.items[7] = raw_definition(HOURLY, name="d7", uid="uid-7", resource_version=20)
        world.client.items[8] = raw_definition(HOURLY, name="d8", uid="another", resource_version=21)
        del world.client.items[499]
        await world.operator._comparison.compare()
        assert world.client.asked_for == ["d7", "d8"]
        known = world.known()
        assert (len(known), {"uid-7@20", "another@21"} <= set(known)) == (499, True)
        assert "uid-499@10" not in known

    @pytest.mark.parametrize("known", [0, 500])
    async def test_much_is_read_page_by_page(self, world: World, known: int) -> None:
        self.put(world, known)
        changed = [raw_definition(HOURLY, name=f"d{n}", uid=f"uid-{n}", resource_version=20) for n in range(450)]
        world.client.items = changed
        await world.operator._comparison.compare()
        assert world.client.asked_for == ["page"] * 3
        assert sorted(world.known()) == sorted(f"uid-{n}@20" for n in range(450))

    async def test_what_is_deleted_before_it_was_asked_for_is_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.put(world, 2)
        world.client.items.append(raw_definition(HOURLY, name="new", uid="new"))
        asked_for: list[str] = []

        async def get(_: Any, __: str, name: str) -> Body:
            asked_for.append(name)
            raise ApiError(404, "NotFound", "gone")

        monkeypatch.setattr(world.client, "get", get)
        await world.operator._comparison.compare()
        assert (len(world.known()), asked_for) == (2, ["new"])


class TestAnEtcdThatWasRestored:
    async def test_a_list_older_than_a_known_definition_is_believed(self, world: World) -> None:
        world.operator._store.put_definition(raw_definition(HOURLY, resource_version=20))
        world.client.items, world.client.version = [raw_definition(HOURLY, resource_version=10)], "15"
        await world.operator._comparison.compare()
        assert world.known() == [f"{DEFINITION_UID}@10"]

    async def test_nor_need_a_definition_have_been_known(self, world: World) -> None:
        await world.operator._comparison.compare()
        world.operator._store.drop(DEFINITION_UID)
        world.client.items, world.client.version = [raw_definition(HOURLY, resource_version=10)], "99"
        await world.operator._comparison.compare()
        assert world.known() == [f"{DEFINITION_UID}@10"]

    async def test_a_late_list_is_not_taken_for_one(self, world: World) -> None:
        """Another, or a watch, overtakes a list while it is on its way."""

        async def overtaken(*_: Any) -> tuple[list[Body], str]:
            world.operator._store.put_definition(raw_definition(HOURLY, resource_version=20))
            world.operator._comparison._compared_at[None] = 30
            return [raw_definition(HOURLY, resource_version=10)], "15"

        world.client.list = overtaken  # type: ignore[method-assign,assignment]
        await world.operator._comparison.compare()
        assert world.known() == [f"{DEFINITION_UID}@20"]

    def test_what_the_watches_see_of_it_is_believed_too(self, world: World) -> None:
        world.operator._store.put_definition(raw_definition(HOURLY, resource_version=20))
        *followers, _events = world.operator._followers
        for follower in followers:
            world.operator._comparison._soon.clear()
            follower._on_back()
            world.operator._store.put_definition(raw_definition(HOURLY, resource_version=10))
            assert world.known() == [f"{DEFINITION_UID}@10"]
            assert world.operator._comparison._soon.is_set()
            world.operator._store.put_definition(raw_definition(HOURLY, resource_version=20))


class TestRefusedPods:
    @pytest.mark.parametrize(("age", "noted"), [(5, True), (600, False)])
    def test_an_event_of_a_job_that_had_pods_must_be_news(self, world: World, age: float, noted: bool) -> None:
        job = raw_job()
        job["status"]["failed"] = 1
        world.operator._store.put_job(job)
        said = datetime.now(UTC) - timedelta(seconds=age)
        event = {
            "metadata": {"namespace": KEY.namespace},
            "involvedObject": {"uid": "job"},
            "message": "exceeded quota",
            "lastTimestamp": said.isoformat(),
        }
        world.operator._followers[-1]._on_object(event)
        assert bool(world.operator._store.snapshot(KEY).observations.pods_refused) is noted


class TestProbes:
    def test_it_is_not_ready_before_everything_was_listed(self, world: World) -> None:
        assert world.operator._ready() == "ScheduledJobs are not listed yet"
        world.operator._comparison.listed.set()
        assert world.operator._ready() == "JobRuns and Jobs are not listed yet"
        for follower in world.operator._followers:
            follower.synced.set()
            follower.last_contact = time.monotonic()
        assert world.operator._ready() is None

    def test_nor_when_the_api_server_was_silent_for_long(self, world: World) -> None:
        world.operator._comparison.listed.set()
        for follower in world.operator._followers:
            follower.synced.set()
            follower.last_contact = time.monotonic()
        world.operator._followers[1].last_contact -= module.CONTACT_LOST_SECONDS + 30
        assert world.operator._ready() == "the API server has been silent for 120 s"

    def test_writes_are_refused_before_it_leads(self, world: World) -> None:
        assert world.client.gate is world.operator._leadership


async def test_a_part_that_somebody_else_cancels_ends_the_process(world: World) -> None:
    """As kopf once did with the lease: the process went on, and led no more."""

    async def last() -> None:
        await asyncio.Event().wait()

    task = world.operator._spawn(last(), "lease")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert world.operator._stop.is_set()
    assert "lease was cancelled" in str(world.operator._failure)
