"""Faults between the operators and the API server."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS
from tests.chaos.fleet import Member, Ticks
from tests.chaos.proxy import Weather
from tests.chaos.world import World

Inject = Callable[[World, float], Awaitable[None]]


def weather(**fields: object) -> Inject:
    """Something that happens to requests for as long as the fault lasts."""
    return partial(_weather, fields)


async def _weather(fields: dict[str, object], world: World, seconds: float) -> None:
    for replica in world.replicas.running:
        replica.proxy.weather = Weather(**fields)  # type: ignore[arg-type]
    await asyncio.sleep(seconds)


async def leader_cut_off(world: World, seconds: float) -> None:
    """Nothing of the leader's gets through any more, and it is not told so: another one has to lead."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(world.random.uniform(0.5, 2))
        extra_seconds = await world.extra_lease_seconds()
        leader, cut = world.replicas.leader, time.monotonic()
        leader.proxy.weather = Weather(delay_seconds=3600)
        leader.proxy.silence_watches()
        await world.until_taken_over(cut, extra_seconds)
        await asyncio.sleep(1)
        leader.proxy.weather = Weather()
        leader.proxy.close_watches()


async def watches_closed(world: World, seconds: float) -> None:
    """All watches are broken off, again and again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for replica in world.replicas.running:
            replica.proxy.close_watches()
        await asyncio.sleep(world.random.uniform(0.05, 1.5))


async def watches_silent(world: World, seconds: float) -> None:
    """The watches say nothing more, and stay open; meanwhile a definition comes and another one goes."""
    await world.add(Member("silence-goes", Ticks(3)))
    await asyncio.sleep(4)
    for replica in world.replicas.running:
        replica.proxy.silence_watches()
    await world.add(Member("silence-comes", Ticks(3)))
    await world.remove(SCHEDULED_JOBS, world.find("silence-goes"))
    await asyncio.sleep(seconds)


async def watches_expired(world: World, seconds: float) -> None:
    """410 Gone, with definitions, runs and Jobs deleted that no watch has told of; one comes back under its name."""
    members = [Member(f"expires-{number}", Ticks(2), seconds=3) for number in range(3)]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for member in members:
            if not world.present(member):
                await world.add(member)
        await asyncio.sleep(5)
        for replica in world.replicas.running:
            replica.proxy.silence_watches()
        await world.remove(SCHEDULED_JOBS, world.find(members[0].name))
        await world.remove(SCHEDULED_JOBS, world.find(members[1].name))
        for resource, seen in ((JOB_RUNS, world.witness.runs), (JOBS, world.witness.jobs)):
            of_the_third = [s for s in seen.values() if s.gone is None and s.name.startswith(members[2].name)]
            for each in of_the_third[-2:]:
                await world.remove(resource, each)
        await world.until_gone(members[1])
        await world.add(members[1])
        await asyncio.sleep(1)
        for replica in world.replicas.running:
            await replica.proxy.expire_watches()
        await asyncio.sleep(2)


async def late_bookmarks(world: World, seconds: float) -> None:
    """Bookmarks that are older than the events before them, and a watch that is resumed from there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for replica in world.replicas.running:
            replica.proxy.weather = Weather(late_bookmarks=True)
            replica.proxy.close_watches()
        await asyncio.sleep(world.random.uniform(1, 3))
