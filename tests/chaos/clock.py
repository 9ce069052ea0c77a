"""The operators' wall clock is set: ahead and back, and so far ahead that nobody can have been there for a month.

The API server's clock stays right, so that what the operators write is judged by one that was never set.
"""

import asyncio
import os
from functools import partial

from tests.chaos.network import Inject
from tests.chaos.stepped import CLOCK
from tests.chaos.world import World

MODULE = "tests.chaos.stepped"
HOUR, DAY = 3600, 86_400


def stepped(*offsets: int) -> Inject:
    """The clocks of both operators are off by so many seconds, one offset after the other; then they are right."""
    return partial(_stepped, offsets)


async def _stepped(offsets: tuple[int, ...], world: World, seconds: float) -> None:
    await _with_a_clock(world, 0)
    for offset in (*offsets, 0):
        _set(world, offset)
        await asyncio.sleep(max(seconds / (len(offsets) + 1), 3))


async def thirty_days_away(world: World, seconds: float) -> None:
    """Nobody runs; when somebody does again, thirty days have gone by."""
    await _with_a_clock(world, 30 * DAY)
    await asyncio.sleep(max(seconds, 5))


async def _with_a_clock(world: World, offset: int) -> None:
    os.environ[CLOCK] = str(world.replicas.directory / "clock")
    _set(world, offset)
    world.replicas.module = MODULE
    for replica in list(world.replicas.running):
        await world.replicas.stop(replica)
        await replica.proxy.stop()
    await world.heal()


def _set(world: World, offset: int) -> None:
    path = world.replicas.directory / "clock"
    new = path.with_suffix(".new")
    new.write_text(str(offset))
    new.replace(path)
