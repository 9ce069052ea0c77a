"""One key at a time till there is nothing to do; what fails is put off, and holds up nobody else."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from carillon.controller.agenda import Agenda
from carillon.controller.execute import Executor
from carillon.controller.metrics import Metrics
from carillon.controller.reconcile import (
    LONGEST_OUTAGE_SECONDS,
    LONGEST_PARKING_SECONDS,
    ROUNDS,
    SHORTEST_PAUSE_SECONDS,
    Reconciler,
)
from carillon.controller.store import Store
from carillon.controller.workqueue import WorkQueue
from carillon.engine import plan as plans
from carillon.engine.model import CalendarKey, Key, TemplateCheck
from carillon.kube.errors import ApiError, Unreachable, WritesRefused
from tests.unit.engine.builders import EVERY_MINUTE, NAMESPACE, Body, at, raw_definition

GOOD, POISON = Key(NAMESPACE, "good"), Key(NAMESPACE, "poison")
GONE = ApiError(404, "NotFound", "not found")
STALE = ApiError(409, "Conflict", "the object has been modified")
FULL = ApiError(403, "Forbidden", "exceeded quota")
BROKEN = ApiError(500, "InternalError", "etcd")


class FakeExecutor:
    """Does what the API server would, as far as it takes for a definition to settle; or fails as it is told to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.raws: dict[Key, Body] = {}
        self.fail: Callable[[Key, plans.Action], Exception | None] = lambda _key, _action: None
        self.done: list[tuple[Key, str]] = []
        self.refreshed: list[str] = []
        self.told: list[Key] = []
        self.effective = True
        self.office: dict[str, Any] | None = None

    async def execute(self, key: Key, action: plans.Action) -> None:
        self.done.append((key, type(action).__name__))
        if (problem := self.fail(key, action)) is not None:
            raise problem
        match action:
            case plans.CheckTemplate():
                self._store.notes(key).template_check = TemplateCheck(action.generation, "")
            case plans.WriteDefinitionStatus() if self.effective:
                raw = self.raws[key]
                version = str(int(raw["metadata"]["resourceVersion"]) + 1)
                metadata = {**raw["metadata"], "resourceVersion": version}
                self.raws[key] = {**raw, "metadata": metadata, "status": action.status}
                self._store.put_definition(self.raws[key])

    async def read_calendar(self, key: CalendarKey) -> None:
        self.done.append((Key(key.namespace, key.name), "ReadCalendar"))
        if self.office is not None:
            self._store.put_calendar(self.office)

    async def refresh(self, key: Key, action: plans.Action) -> None:
        self.refreshed.append(type(action).__name__)

    async def tell_parked(self, key: Key, problem: Exception) -> None:
        self.told.append(key)


class World:
    def __init__(self) -> None:
        self.now = at("12:00:30")
        self.store = Store(
            changed=lambda key: self.queue.add(key), unreadable=lambda raw, why: None, clock=lambda: self.now
        )
        self.queue = WorkQueue()
        self.agenda = Agenda()
        self.executor = FakeExecutor(self.store)
        self.metrics = Metrics()
        self.reconciler = Reconciler(
            store=self.store,
            agenda=self.agenda,
            queue=self.queue,
            executor=cast(Executor, self.executor),
            metrics=self.metrics,
            clock=lambda: self.now,
        )

    def add(self, key: Key, *crons: str, generation: int = 1, version: int = 10) -> None:
        raw = raw_definition(
            *crons,
            name=key.name,
            uid=f"uid-{key.name}",
            generation=generation,
            resource_version=version,
            created="12:00:00",
        )
        self.executor.raws[key] = raw
        self.store.put_definition(raw)

    async def reconcile(self, key: Key) -> list[str]:
        """What was executed for the key."""
        before = len(self.executor.done)
        await self.reconciler.reconcile(key)
        return [name for _, name in self.executor.done[before:]]

    def pause(self) -> timedelta:
        """How long the agenda waits now."""
        moment = self.agenda.next()
        assert moment is not None
        return moment - self.now

    def wait(self, seconds: float = 3600) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def world() -> World:
    return World()


async def test_it_goes_on_until_there_is_nothing_to_do(world: World) -> None:
    world.add(GOOD)
    assert await world.reconcile(GOOD) == ["CheckTemplate", "WriteDefinitionStatus"]
    assert await world.reconcile(GOOD) == []


async def test_it_wakes_for_the_next_due_time(world: World) -> None:
    world.add(GOOD, EVERY_MINUTE)
    await world.reconcile(GOOD)
    assert world.agenda.next() == at("12:01:00")


async def test_a_stale_write_is_read_anew_and_decided_again(world: World) -> None:
    world.add(GOOD)
    answers = [STALE]
    world.executor.fail = lambda _key, action: (
        answers.pop() if answers and isinstance(action, plans.WriteDefinitionStatus) else None
    )
    assert await world.reconcile(GOOD) == ["CheckTemplate", "WriteDefinitionStatus", "WriteDefinitionStatus"]
    assert world.executor.refreshed == ["WriteDefinitionStatus"]
    assert world.agenda.next() is None


class TestPutOff:
    @pytest.mark.parametrize("problem", [BROKEN, FULL, Unreachable("reset"), ApiError(429, "TooManyRequests", "busy")])
    async def test_what_fails_is_tried_again_soon(self, world: World, problem: Exception) -> None:
        world.add(GOOD)
        world.executor.fail = lambda _key, _action: problem
        await world.reconcile(GOOD)
        assert world.pause() <= timedelta(seconds=SHORTEST_PAUSE_SECONDS * 1.25)

    async def test_and_then_less_and_less_often_but_often_enough(self, world: World) -> None:
        world.add(GOOD)
        world.executor.fail = lambda _key, _action: BROKEN
        pauses = []
        for _ in range(12):
            await world.reconcile(GOOD)
            pauses.append(world.pause().total_seconds())
            world.wait()
        assert pauses[0] < pauses[2] < pauses[4]
        assert max(pauses) <= LONGEST_OUTAGE_SECONDS * 1.25

    async def test_its_events_do_not_shorten_the_pause(self, world: World) -> None:
        world.add(GOOD)
        world.executor.fail = lambda _key, _action: BROKEN
        await world.reconcile(GOOD)
        assert await world.reconcile(GOOD) == []
        assert world.agenda.next() is not None

    async def test_an_edit_does(self, world: World) -> None:
        world.add(GOOD)
        world.executor.fail = lambda _key, _action: BROKEN
        await world.reconcile(GOOD)
        world.executor.fail = lambda _key, _action: None
        world.add(GOOD, generation=2, version=11)
        assert await world.reconcile(GOOD) == ["CheckTemplate", "WriteDefinitionStatus"]

    async def test_a_success_begins_anew(self, world: World) -> None:
        world.add(GOOD)
        world.executor.fail = lambda _key, _action: BROKEN
        for _ in range(5):
            await world.reconcile(GOOD)
            world.wait()
        world.executor.fail = lambda _key, _action: None
        await world.reconcile(GOOD)
        world.add(GOOD, generation=2, version=20)
        world.executor.fail = lambda _key, _action: BROKEN
        await world.reconcile(GOOD)
        assert world.pause() <= timedelta(seconds=SHORTEST_PAUSE_SECONDS * 1.25)

    async def test_what_failed_goes_first_does_not_keep_the_records_from_being_written(self, world: World) -> None:
        world.add(GOOD, EVERY_MINUTE)
        await world.reconcile(GOOD)
        world.now = at("12:02:00")
        world.executor.fail = lambda _key, action: FULL if isinstance(action, plans.CreateRun) else None
        assert (await world.reconcile(GOOD))[:2] == ["CreateRun", "WriteDefinitionStatus"]
        assert world.pause() <= timedelta(seconds=SHORTEST_PAUSE_SECONDS * 1.25)

    async def test_a_write_that_is_refused_because_somebody_else_leads_is_no_failure(self, world: World) -> None:
        world.add(GOOD)
        world.executor.fail = lambda _key, _action: WritesRefused()
        for _ in range(5):
            await world.reconcile(GOOD)
        assert world.pause() == timedelta(seconds=1)


class TestParking:
    async def test_a_poison_object_parks_only_itself(self, world: World) -> None:
        world.add(GOOD)
        world.add(POISON)
        world.executor.fail = lambda key, _action: RuntimeError("a defect") if key == POISON else None
        await world.reconcile(POISON)
        assert await world.reconcile(GOOD) == ["CheckTemplate", "WriteDefinitionStatus"]
        assert await world.reconcile(POISON) == []

    async def test_it_is_counted_and_told(self, world: World) -> None:
        world.add(POISON)
        world.executor.fail = lambda _key, _action: RuntimeError("a defect")
        await world.reconcile(POISON)
        assert world.executor.told == [POISON]
        assert b"carillon_parked_total 1.0" in world.metrics.render()

    async def test_it_is_tried_again_ever_more_rarely(self, world: World) -> None:
        world.add(POISON)
        world.executor.fail = lambda _key, _action: RuntimeError("a defect")
        for _ in range(20):
            await world.reconcile(POISON)
            last = world.pause().total_seconds()
            world.wait()
        assert LONGEST_OUTAGE_SECONDS < last <= LONGEST_PARKING_SECONDS * 1.25

    async def test_a_decision_that_never_ends_does_not_hold_a_worker(self, world: World) -> None:
        world.add(POISON)
        world.executor.effective = False
        executed = await world.reconcile(POISON)
        assert executed.count("WriteDefinitionStatus") == ROUNDS - 1
        assert world.pause() <= timedelta(seconds=SHORTEST_PAUSE_SECONDS * 1.25)


class TestUrgency:
    async def test_records_wait_while_somebody_elses_due_time_has_come(self, world: World) -> None:
        world.add(GOOD)
        world.queue.clear()
        world.queue.add(POISON, urgent=True)
        assert await world.reconcile(GOOD) == []
        assert await world.queue.get() == POISON
        assert await world.queue.get() == GOOD

    async def test_creates_do_not(self, world: World) -> None:
        world.add(GOOD, EVERY_MINUTE)
        await world.reconcile(GOOD)
        world.now = at("12:01:00")
        world.queue.clear()
        world.queue.add(POISON, urgent=True)
        world.executor.fail = lambda _key, _action: None
        assert (await world.reconcile(GOOD))[0] == "CreateRun"


class TestCalendars:
    async def test_one_that_no_watch_has_told_of_is_asked_for_before_it_counts_as_missing(self, world: World) -> None:
        metadata = {"namespace": GOOD.namespace, "name": "office", "uid": "u", "resourceVersion": "5"}
        world.executor.office = {"metadata": metadata, "spec": {"dates": ["2026-03-10"]}}
        raw = raw_definition(EVERY_MINUTE, name=GOOD.name, uid="uid-good", exclude={"calendars": ["office"]})
        world.executor.raws[GOOD] = raw
        world.store.put_definition(raw)
        assert (await world.reconcile(GOOD))[:2] == ["ReadCalendar", "CheckTemplate"]
        definition = world.store.snapshot(GOOD).definition
        assert definition is not None
        assert definition.invalid == ""

    async def test_its_status_is_written_once(self, world: World) -> None:
        metadata = {"namespace": GOOD.namespace, "name": "office", "uid": "u", "resourceVersion": "5"}
        world.store.put_calendar({"metadata": metadata, "spec": {"dates": ["2026-13-10"]}})
        key = CalendarKey(GOOD.namespace, "office")
        await world.reconciler.reconcile(key)
        assert [name for _, name in world.executor.done[:2]] == ["WriteCalendarStatus", "Emit"]


class TestStaleNotes:
    """What was looked up and may have changed since is looked up again."""

    async def test_a_definition_that_was_absent_once_may_be_there_now(self, world: World) -> None:
        world.store.notes(GOOD).definition_absent = True
        await world.reconcile(GOOD)
        assert not world.store.notes(GOOD).definition_absent

    async def test_a_refused_template_is_tried_again_after_five_minutes(self, world: World) -> None:
        world.add(GOOD)
        notes = world.store.notes(GOOD)
        notes.template_check, notes.template_checked_at = TemplateCheck(1, "spec.jobTemplate: no"), world.now
        assert "CheckTemplate" not in await world.reconcile(GOOD)
        assert world.agenda.next() == at("12:05:30")
        world.now = at("12:05:30")
        assert "CheckTemplate" in await world.reconcile(GOOD)
