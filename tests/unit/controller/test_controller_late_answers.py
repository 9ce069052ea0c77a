"""A `not found` that is overtaken by a watch says nothing: what was made meanwhile is known, and stays so."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import pytest

from carillon.controller.execute import Executor
from carillon.controller.metrics import Metrics
from carillon.controller.store import Store
from carillon.engine import plan as plans
from carillon.engine.model import CalendarKey, Key, WorkKey
from carillon.kube.client import Client
from carillon.kube.errors import ApiError
from carillon.kube.events import Recorder
from carillon.kube.resources import CALENDARS, Resource
from tests.unit.controller.test_controller_store import raw_calendar, raw_run
from tests.unit.engine.builders import HOURLY, KEY, NAMESPACE, at, raw_definition


class Overtaken:
    """An API server whose answer is no longer true when it arrives."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        self.meanwhile()
        raise ApiError(404, "NotFound", f"{resource.plural} {name} not found")

    async def replace(
        self, resource: Resource, namespace: str, name: str, body: dict[str, Any], *, subresource: str
    ) -> dict[str, Any]:
        assert (resource, subresource) == (CALENDARS, "status")
        return {**raw_calendar(41, name=name, dates=["2026-03-10"]), "status": body["status"]}


class World:
    def __init__(self) -> None:
        self.changed: list[WorkKey] = []
        self.client = Overtaken()
        self.store = Store(changed=self.changed.append, unreadable=lambda raw, why: None, clock=self.clock)
        self.executor = Executor(
            client=cast(Client, self.client),
            store=self.store,
            recorder=cast(Recorder, None),
            metrics=Metrics(),
            clock=self.clock,
            last_words=True,
        )

    @staticmethod
    def clock() -> datetime:
        return at("12:00")


@pytest.fixture
def world() -> World:
    return World()


async def test_a_definition(world: World) -> None:
    world.client.meanwhile = lambda: world.store.put_definition(raw_definition(HOURLY))
    await world.executor.execute(KEY, plans.LookUpDefinition())
    assert world.store.snapshot(KEY).definition is not None


async def test_the_count_on_a_calendar_is_noted_when_it_was_written(world: World) -> None:
    office = CalendarKey(NAMESPACE, "office")
    world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
    await world.executor.execute(Key(*office[:2]), plans.WriteCalendarStatus("40", {"usedBy": 3}))
    snapshot = world.store.calendars.snapshot(office)
    assert snapshot.counted_at == world.clock()
    assert snapshot.calendar is not None
    assert snapshot.calendar.status.used_by == 3


async def test_a_calendar(world: World) -> None:
    office = CalendarKey(NAMESPACE, "office")
    world.client.meanwhile = lambda: world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
    await world.executor.read_calendar(office)
    assert world.store.calendars.get(office) is not None


async def test_a_run(world: World) -> None:
    world.client.meanwhile = lambda: world.store.put_run(raw_run())
    await world.executor.refresh(KEY, plans.AdoptRun("r", "uid-r", {}))
    assert [run.uid for run in world.store.snapshot(KEY).runs] == ["run"]


async def test_what_was_known_before_is_forgotten(world: World) -> None:
    world.store.put_definition(raw_definition(HOURLY))
    world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
    await world.executor.execute(KEY, plans.LookUpDefinition())
    await world.executor.read_calendar(CalendarKey(NAMESPACE, "office"))
    assert world.store.snapshot(KEY).definition is None
    assert world.store.calendars.known() == []
