"""One key at a time till there is nothing to do; what fails is put off, and holds up nobody else."""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from carillon.controller.agenda import Agenda
from carillon.controller.costly import CostlyDecisions
from carillon.controller.execute import Executor
from carillon.controller.metrics import Metrics
from carillon.controller.reconcile import (
    BREATH,
    LONGEST_OUTAGE_SECONDS,
    LONGEST_PARKING_SECONDS,
    ROUNDS,
    SHORTEST_PAUSE_SECONDS,
    Reconciler,
)
from carillon.controller.store import Store
from carillon.controller.workqueue import Urgency, WorkQueue
from carillon.engine import plan as plans
from carillon.engine.model import Calendar, CalendarKey, Definition, Key, TemplateCheck
from carillon.engine.planning import plan
from carillon.kube.errors import ApiError, Unreachable, WritesRefused
from tests.unit.engine.builders import EVERY_MINUTE, NAMESPACE, Body, at, raw_definition

GOOD, POISON = Key(NAMESPACE, "good"), Key(NAMESPACE, "poison")
GONE = ApiError(404, "NotFound", "not found")
STALE = ApiError(409, "Conflict", "the object has been modified")
FULL = ApiError(403, "Forbidden", "exceeded quota")
BROKEN = ApiError(500, "InternalError", "etcd")


async def known_for_sure(_key: Key) -> None:
    """Stand in for the comparison, after which nothing is asked."""


class FakeExecutor:
    """Does what the API server would, as far as it takes for a definition to settle; or fails as it is told to."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self.raws: dict[Key, Body] = {}
        self.fail: Callable[[Key, plans.Action], Exception | None] = lambda _key, _action: None
        self.done: list[tuple[Key, str]] = []
        self.refreshed: list[str] = []
        self.told: list[Key] = []
        self.effective = True
        self.office: dict[str, Any] | None = None
        """The Calendar of that name, whether the watch has told of it or not."""
        self.unreachable = False

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
            case plans.WriteCalendarStatus() if self.office is not None:
                metadata = self.office["metadata"]
                version = str(int(metadata["resourceVersion"]) + 1)
                self.office = {
                    **self.office,
                    "metadata": {**metadata, "resourceVersion": version},
                    "status": action.status,
                }
                self._store.calendars.note_counted(CalendarKey(*key), self._clock())
                self._store.put_calendar(self.office)

    def seal(self, action: plans.CreateJob) -> plans.CreateJob:
        return action

    async def read_calendar(self, key: CalendarKey) -> None:
        self.done.append((Key(key.namespace, key.name), "ReadCalendar"))
        if self.unreachable:
            raise Unreachable("reset")
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
        self.executor = FakeExecutor(self.store, lambda: self.now)
        self.metrics = Metrics()
        self.reconciler = Reconciler(
            store=self.store,
            agenda=self.agenda,
            queue=self.queue,
            executor=cast(Executor, self.executor),
            metrics=self.metrics,
            clock=lambda: self.now,
            make_sure=known_for_sure,
            costly=CostlyDecisions(),
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

    async def turn(self) -> list[str]:
        """What was executed for the key whose turn it is, as a worker does it."""
        key = await self.queue.get()
        assert isinstance(key, Key)
        try:
            return await self.reconcile(key)
        finally:
            self.queue.done(key)

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


async def test_its_own_writes_do_not_bring_a_key_back(world: World) -> None:
    """Each changes what is known, and the last decision was made with all of that."""
    world.add(GOOD, EVERY_MINUTE)
    assert "WriteDefinitionStatus" in await world.turn()
    assert len(world.queue) == 0


async def test_what_others_change_meanwhile_does_not_wait(world: World) -> None:
    world.add(GOOD, EVERY_MINUTE)
    key = await world.queue.get()
    assert await world.reconcile(GOOD)
    world.add(GOOD, EVERY_MINUTE, generation=2, version=99)
    world.queue.done(key)
    assert "WriteDefinitionStatus" in await world.turn()


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

    async def test_a_server_that_says_when_is_obeyed(self, world: World) -> None:
        world.add(GOOD)
        world.executor.fail = lambda _key, _action: ApiError(429, "TooManyRequests", "busy", (), 20.0)
        pauses = set()
        for _ in range(5):
            await world.reconcile(GOOD)
            pauses.add(world.pause().total_seconds())
            world.wait()
        assert min(pauses) >= 20
        assert max(pauses) <= 25
        assert len(pauses) == 5, "thousands do not come back at the same moment"

    async def test_a_clock_that_was_set_back_does_not_make_it_longer(self, world: World) -> None:
        world.add(GOOD)
        world.executor.fail = lambda _key, _action: BROKEN
        await world.reconcile(GOOD)
        world.executor.fail = lambda _key, _action: None
        world.now -= timedelta(hours=1)
        assert await world.reconcile(GOOD) == ["CheckTemplate", "WriteDefinitionStatus"]

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
    async def test_records_wait_while_another_due_time_has_come(self, world: World) -> None:
        world.add(GOOD)
        world.queue.clear()
        world.queue.add(POISON, Urgency.DUE)
        assert await world.reconcile(GOOD) == []
        assert await world.queue.get() == POISON
        assert await world.queue.get() == GOOD

    async def test_creates_do_not(self, world: World) -> None:
        world.add(GOOD, EVERY_MINUTE)
        await world.reconcile(GOOD)
        world.now = at("12:01:00")
        world.queue.clear()
        world.queue.add(POISON, Urgency.DUE)
        world.executor.fail = lambda _key, _action: None
        assert (await world.reconcile(GOOD))[0] == "CreateRun"

    async def test_records_do_not_wait_for_ever_for_the_creates_of_their_own_definition(self, world: World) -> None:
        """A create takes as long here as the next due time is away: there is always one that goes first."""
        world.add(GOOD, EVERY_MINUTE)
        await world.reconcile(GOOD)
        world.now = at("12:01:00")

        def take_a_minute(_key: Key, action: plans.Action) -> None:
            if isinstance(action, plans.CreateRun):
                world.wait(60)

        world.executor.fail = take_a_minute
        assert "WriteDefinitionStatus" in await world.reconcile(GOOD)


OFFICE = CalendarKey(NAMESPACE, "office")


def office(*dates: str, version: int = 5, uid: str = "u", generation: int = 1) -> Body:
    metadata = {"namespace": NAMESPACE, "name": "office", "uid": uid, "generation": generation}
    return {"metadata": {**metadata, "resourceVersion": str(version)}, "spec": {"dates": list(dates)}}


def names_office(key: Key = GOOD, *, version: int = 10, generation: int = 1) -> Body:
    return raw_definition(
        EVERY_MINUTE,
        name=key.name,
        uid=f"uid-{key.name}",
        generation=generation,
        resource_version=version,
        created="12:00:00",
        exclude={"calendars": ["office"]},
    )


class TestMissingCalendars:
    """The watches of kinds are not in step: that a Calendar is missing is believed of the API server alone."""

    def put(self, world: World, raw: Body) -> None:
        world.executor.raws[GOOD] = raw
        world.store.put_definition(raw)

    def told(self, world: World) -> list[tuple[str, str]]:
        """The conditions of the definition, as written."""
        definition = world.store.definition(GOOD)
        assert definition is not None
        return [(condition.type, condition.status) for condition in definition.status.conditions]

    async def test_one_that_no_watch_has_told_of_is_asked_for_before_it_counts_as_missing(self, world: World) -> None:
        world.executor.office = office("2026-03-10")
        self.put(world, names_office())
        assert await world.reconcile(GOOD) == ["ReadCalendar", "CheckTemplate", "WriteDefinitionStatus"]
        assert ("Ready", "True") in self.told(world)

    async def test_nothing_is_decided_while_it_cannot_be_asked_for(self, world: World) -> None:
        world.executor.unreachable = True
        self.put(world, names_office())
        assert await world.reconcile(GOOD) == ["ReadCalendar"]
        world.wait(1)
        world.executor.unreachable, world.executor.office = False, office()
        await world.reconcile(GOOD)
        assert ("Ready", "True") in self.told(world)

    async def test_nor_when_the_definition_comes_to_name_it_amid_a_decision(self, world: World) -> None:
        """Somebody applies both while the last decision is carried out, and the Calendars' watch is behind."""
        written: list[Body] = []

        def apply_both(_key: Key, action: plans.Action) -> None:
            if isinstance(action, plans.CheckTemplate) and action.generation == 1:
                world.executor.office = office()
                self.put(world, names_office(version=20, generation=2))
            elif isinstance(action, plans.WriteDefinitionStatus):
                written.append(action.status)

        world.executor.fail = apply_both
        world.add(GOOD, EVERY_MINUTE)
        assert await world.reconcile(GOOD) == [
            "CheckTemplate",
            "ReadCalendar",
            "CheckTemplate",
            "WriteDefinitionStatus",
        ]
        ready = [c["status"] for status in written for c in status["conditions"] if c["type"] == "Ready"]
        assert ready == ["True"]

    async def test_nor_when_a_list_tells_that_it_is_gone_and_not_yet_that_it_was_made_anew(self, world: World) -> None:
        world.executor.office = office()
        self.put(world, names_office())
        await world.reconcile(GOOD)
        before = world.store.definition(GOOD)
        world.executor.office = office(version=30, uid="second")
        world.store.drop("u")
        assert await world.reconcile(GOOD) == ["ReadCalendar"]
        after = world.store.definition(GOOD)
        assert before is not None
        assert after is not None
        assert after.status == before.status, "not even for a moment"

    async def test_one_that_is_not_there_is_said_to_be_missing(self, world: World) -> None:
        self.put(world, names_office())
        assert await world.reconcile(GOOD) == ["ReadCalendar", "WriteDefinitionStatus", "Emit"]
        assert ("Ready", "False") in self.told(world)


class TestCalendars:
    async def test_its_status_is_written_once(self, world: World) -> None:
        world.store.put_calendar(office("2026-13-10"))
        await world.reconciler.reconcile(OFFICE)
        assert [name for _, name in world.executor.done[:2]] == ["WriteCalendarStatus", "Emit"]

    async def test_its_users_are_looked_at_when_it_changes_and_with_pauses(self, world: World) -> None:
        keys = [Key(NAMESPACE, f"d{number}") for number in range(BREATH * 4)]
        for key in keys:
            world.store.put_definition(names_office(key))
        world.queue.clear()
        world.executor.office = office()
        world.store.put_calendar(world.executor.office)
        added: list[int] = []

        async def look_now_and_then() -> None:
            while True:
                added.append(len(world.queue))
                await asyncio.sleep(0)

        looking = asyncio.create_task(look_now_and_then())
        await world.reconciler.reconcile(OFFICE)
        looking.cancel()
        assert max(after - before for before, after in itertools.pairwise(added)) <= BREATH + 1
        assert len(world.queue) == len(keys) + 1, "and the Calendar itself"
        world.queue.clear()
        await world.reconciler.reconcile(OFFICE)
        assert len(world.queue) == 0

    async def test_when_it_goes_its_users_are_looked_at_too(self, world: World) -> None:
        world.store.put_definition(names_office())
        world.store.put_calendar(office())
        await world.reconciler.reconcile(OFFICE)
        world.queue.clear()
        world.store.drop("u")
        assert await world.queue.get() == OFFICE
        await world.reconciler.reconcile(OFFICE)
        assert await world.queue.get() == GOOD

    async def test_a_change_is_told_although_its_status_cannot_be_written(self, world: World) -> None:
        world.store.put_definition(names_office())
        world.store.put_calendar(office())
        world.executor.fail = lambda _key, _action: BROKEN
        await world.reconciler.reconcile(OFFICE)
        world.queue.clear()
        # The one that was deleted and made anew has the generation of the one before.
        world.store.put_calendar(office("2026-03-10", version=30, uid="second"))
        await world.reconciler.reconcile(OFFICE)
        assert len(world.queue) == 2

    async def test_thousands_that_are_applied_cost_a_write_a_second_and_the_last_is_written(self, world: World) -> None:
        world.executor.office = office()
        world.store.put_calendar(world.executor.office)
        begin = world.now
        for number in range(2_000):
            world.store.put_definition(names_office(Key(NAMESPACE, f"d{number}")))
            await world.reconciler.reconcile(OFFICE)
            world.wait(0.005)
        seconds = (world.now - begin).total_seconds()
        writes = [name for _, name in world.executor.done].count("WriteCalendarStatus")
        assert seconds - 1 <= writes <= seconds + 1
        world.wait(1)
        assert world.agenda.due(world.now) == [OFFICE]
        await world.reconciler.reconcile(OFFICE)
        assert world.executor.office["status"]["usedBy"] == 2_000
        assert world.agenda.next() is None

    async def test_what_is_wrong_with_it_is_written_at_once(self, world: World) -> None:
        world.executor.office = office()
        world.store.put_calendar(world.executor.office)
        await world.reconciler.reconcile(OFFICE)
        world.executor.office = office("2026-13-10", version=30, generation=2)
        world.store.put_calendar(world.executor.office)
        await world.reconciler.reconcile(OFFICE)
        (ready,) = world.executor.office["status"]["conditions"]
        assert ready["status"] == "False"

    async def test_a_clock_that_is_set_back_does_not_put_the_count_off(self, world: World) -> None:
        world.executor.office = office()
        world.store.put_calendar(world.executor.office)
        await world.reconciler.reconcile(OFFICE)
        world.store.put_definition(names_office())
        world.wait(-3600)
        await world.reconciler.reconcile(OFFICE)
        assert world.executor.office["status"]["usedBy"] == 1


async def test_a_plan_that_fails_parks_its_definition_and_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(definition: Definition, calendars: Mapping[str, Calendar]) -> Definition:
        if definition.key == POISON:
            raise RuntimeError("a defect")
        return plan(definition, calendars)

    monkeypatch.setattr("carillon.controller.store.plan", fail)
    world.add(GOOD)
    world.add(POISON)
    assert await world.reconcile(POISON) == []
    assert world.executor.told == [POISON]
    assert await world.reconcile(GOOD) == ["CheckTemplate", "WriteDefinitionStatus"]


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
