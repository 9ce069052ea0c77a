"""Faults of the operator's processes, and of the lease that they compete for."""

import asyncio
import time

from carillon.kube.resources import LEASES
from tests.chaos.replicas import LEASE, LEASE_NAMESPACE
from tests.chaos.world import LEASE_SECONDS, World


async def leader_killed(world: World, seconds: float) -> None:
    """kill -9 of the leader at a random moment, again and again; another one is started in its place."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(world.random.uniform(1, 4))
        extra_seconds = await world.extra_lease_seconds()
        leader = world.replicas.leader
        died = await world.crash(leader)
        await world.until_taken_over(died, extra_seconds)
        await world.replace(leader)


async def leader_stopped(world: World, seconds: float) -> None:
    """SIGSTOP of the leader until another one leads, and some more; then it wakes, and still believes that it leads."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(world.random.uniform(0.5, 3))
        extra_seconds = await world.extra_lease_seconds()
        leader, stopped = world.replicas.leader, time.monotonic()
        leader.operator.freeze()
        try:
            await world.until_taken_over(stopped, extra_seconds)
            await asyncio.sleep(world.random.uniform(0.5, 2))
        finally:
            leader.operator.thaw()


async def leader_paused(world: World, seconds: float) -> None:
    """SIGSTOP of the leader for less than the lease lasts, as a busy machine does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(world.random.uniform(0.5, 2))
        leader = world.replicas.leader
        leader.operator.freeze()
        await asyncio.sleep(world.random.uniform(0.5, LEASE_SECONDS - 0.5))
        leader.operator.thaw()


async def standby_killed(world: World, seconds: float) -> None:
    """kill -9 of who does not lead."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(world.random.uniform(0.5, 2))
        standby = world.replicas.standby
        await world.crash(standby)
        await world.replace(standby)


async def standby_stopped(world: World, seconds: float) -> None:
    """SIGSTOP of who does not lead; it wakes, sees what it has missed, and is asked to lead."""
    standby, leader = world.replicas.standby, world.replicas.leader
    standby.operator.freeze()
    await asyncio.sleep(max(seconds - 2, 2))
    standby.operator.thaw()
    stopped = time.monotonic()
    await world.replicas.stop(leader)
    world.hand_overs.append((await world.replicas.next_leader(stopped)).at - stopped)
    await world.replace(leader)


async def all_killed(world: World, seconds: float) -> None:
    """kill -9 of both at once; nobody runs for a moment."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(world.random.uniform(1, 3))
        dead = world.replicas.running
        await world.crash(*dead)
        await asyncio.sleep(world.random.uniform(0, 3))
        for replica in dead:
            await world.replace(replica)
        await world.heal()


async def all_stopped(world: World, seconds: float) -> None:
    """SIGSTOP of both, until the lease is long gone; both wake at once."""
    await asyncio.sleep(1)
    both = world.replicas.running
    for replica in both:
        replica.operator.freeze()
    await asyncio.sleep(max(LEASE_SECONDS + 1, seconds - 3))
    woken = time.monotonic()
    for replica in both:
        replica.operator.thaw()
    await world.until_taken_over(woken, 0)


async def graceful_stop(world: World, seconds: float) -> None:
    """SIGTERM of the leader, as in a rollout."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(world.random.uniform(1, 2))
        leader, asked = world.replicas.leader, time.monotonic()
        ending = asyncio.create_task(world.replicas.stop(leader))
        world.hand_overs.append((await world.replicas.next_leader(asked)).at - asked)
        if code := await ending:
            raise AssertionError(f"{leader.identity} ended with exit code {code}")
        await world.replace(leader)


async def lease_deleted(world: World, seconds: float) -> None:
    """Somebody deletes the Lease under its holder."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        since = time.monotonic()
        await world.remove_named(LEASES, LEASE_NAMESPACE, LEASE)
        await world.replicas.next_leader(since)
        await asyncio.sleep(world.random.uniform(1, 3))


async def lease_given_away(world: World, seconds: float) -> None:
    """Somebody writes another holder into the Lease: a process that does not exist."""
    body = {"spec": {"holderIdentity": "nobody"}}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        since = time.monotonic()
        await world.ask(lambda: world.client.merge_patch(LEASES, LEASE_NAMESPACE, LEASE, body))
        await world.replicas.next_leader(since)
        await asyncio.sleep(world.random.uniform(1, 3))


async def two_leaders(world: World, seconds: float) -> None:
    """A third operator leads by a Lease of its own: two decide and write at once, on everything, all the time."""
    world.several_leaders = True
    other = await world.replicas.start(lease="another")
    await world.replicas.until_ready(other)
    await asyncio.sleep(seconds)
    await world.replicas.stop(other)
    other.proxy.taken.clear()  # it led nobody but itself
