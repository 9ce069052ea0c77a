"""What people and other controllers do to objects in the middle of a run's life."""

import asyncio
import socket
import time
from contextlib import suppress
from functools import partial

from carillon.kube.errors import ApiError
from carillon.kube.resources import JOB_RUNS, JOBS, NAMESPACES, SCHEDULED_JOBS, Resource
from tests.chaos.fleet import Member, Ticks
from tests.chaos.network import Inject
from tests.chaos.witness import Seen, until
from tests.chaos.world import World

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
FINALIZER = "chaos.carillon.dev/hold"


async def deleted_anywhere(world: World, seconds: float) -> None:
    """Runs, Jobs and definitions are deleted at every point of a run's life: as soon as seen, and some time later."""
    members = [Member(f"deleted-{number}", Ticks(2 + number % 2), seconds=1.5) for number in range(4)]
    for member in members:
        await world.add(member)
    tasks: set[asyncio.Task[None]] = set()

    def meet(plural: str, seen: Seen) -> None:
        kinds = {"jobruns": JOB_RUNS, "jobs": JOBS}
        if plural in kinds and seen.name.startswith("deleted-") and world.random.random() < 0.12:
            tasks.add(asyncio.create_task(_delete_soon(world, kinds[plural], seen)))

    world.witness.on_change.append(meet)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(world.random.uniform(2, 4))
        member = world.random.choice(members)
        await world.remove(SCHEDULED_JOBS, world.find(member.name))
        await world.until_gone(member)
        await world.add(member)
    world.witness.on_change.remove(meet)
    await asyncio.gather(*tasks)


async def _delete_soon(world: World, resource: Resource, seen: Seen) -> None:
    await asyncio.sleep(world.random.choice((0, 0, 0.02, 0.1, 0.5, 1.5)))
    if seen.gone is None:
        await world.remove(resource, seen)


async def finalizers_of_others(world: World, seconds: float) -> None:
    """Others' finalizers keep runs, Jobs and a definition from going when they are deleted; later they let go."""
    member = Member("held", Ticks(2))
    await world.add(member, history={"succeeded": 1, "failed": 1})
    held: list[tuple[Resource, Seen]] = []
    deadline = time.monotonic() + max(seconds, 8)
    while time.monotonic() < deadline:
        await asyncio.sleep(1)
        seen = world.witness
        for resource, kind in ((JOB_RUNS, seen.runs), (JOBS, seen.jobs), (SCHEDULED_JOBS, seen.definitions)):
            fresh = [each for each in kind.values() if each.name.startswith(member.name) and each.gone is None]
            known = {each.uid for _, each in held}
            for each in [each for each in fresh if each.uid not in known][-1:]:
                await _finalizers(world, resource, each, [FINALIZER])
                held.append((resource, each))
                if resource is not SCHEDULED_JOBS and world.random.random() < 0.5:
                    await world.remove(resource, each)
    await world.remove(SCHEDULED_JOBS, world.find(member.name))
    await asyncio.sleep(3)
    for resource, each in held:
        await _finalizers(world, resource, each, [])


async def _finalizers(world: World, resource: Resource, seen: Seen, finalizers: list[str]) -> None:
    body = {"metadata": {"uid": seen.uid, "finalizers": finalizers}}
    with suppress(ApiError):  # it is gone, or going
        await world.ask(lambda: world.client.merge_patch(resource, seen.namespace, seen.name, body))


async def namespace_deleted(world: World, seconds: float) -> None:
    """A namespace goes in the middle of its runs, and comes back under its name with the same definitions."""
    name = "chaos-going"
    members = [Member(f"going-{number}", Ticks(2), seconds=2, namespace=name) for number in range(3)]
    deadline = time.monotonic() + seconds
    while True:
        await world.namespace(name)
        for member in members:
            await world.add(member)
        await asyncio.sleep(5)
        await world.remove_named(NAMESPACES, None, name)
        while await world.there(NAMESPACES, None, name):  # noqa: ASYNC110  (nothing tells of it)
            await asyncio.sleep(0.3)
        if time.monotonic() > deadline - 8:
            return


def quota(resource: str) -> Inject:
    """A quota allows no more objects of a kind, and later it does again."""
    return partial(_quota, resource)


async def _quota(resource: str, world: World, seconds: float) -> None:
    name = "chaos-quota"
    await world.namespace(name)
    for number in range(2):
        await world.add(Member(f"quota-{resource.partition('.')[0]}-{number}", Ticks(3), namespace=name))
    await asyncio.sleep(3)
    spec = {"hard": {f"count/{resource}": "0"}}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": spec}
    await world.create_anyway(QUOTAS, name, body)
    await asyncio.sleep(seconds)
    await world.remove_named(QUOTAS, name, "none")
    await asyncio.sleep(1)


async def edited_in_between(world: World, seconds: float) -> None:
    """What a definition runs is edited around its due times, between run and Job; disabled and enabled, too."""
    members = [Member(f"edited-{number}", Ticks(2)) for number in range(3)]
    for member in members:
        await world.add(member)
    # What is edited before anyone has seen it counts from then on (design 3.1).
    seen = world.witness.handled_through
    await until(lambda: all(seen(world.find(member.name)) for member in members), "the definitions to be seen")
    deadline, number = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        due = int(time.time() // 2 + 1) * 2
        await asyncio.sleep(max(0.0, due - time.time() + world.random.choice((-0.1, -0.02, 0, 0.02, 0.05, 0.1, 0.3))))
        number += 1
        for member in members[:2]:
            edit = {"spec": {"label": f"Edition {number}", "timeoutSeconds": 600 + number}}
            await world.edit(member, edit)
        await world.edit(members[2], {"spec": {"suspend": bool(number % 2)}})
    await world.edit(members[2], {"spec": {"suspend": False}})


async def archive_away(world: World, seconds: float) -> None:
    """The archive's database takes connections and never answers: runs go on, and nothing waits but pruning."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = world.replicas.directory / "archive.url"
        url.write_text(f"postgresql://nobody:nothing@127.0.0.1:{silent.getsockname()[1]}/carillon")
        for replica in list(world.replicas.running):
            await world.replicas.stop(replica)
            await world.replace(replica, "--archive-url-file", str(url))
        await asyncio.sleep(seconds)
        for replica in list(world.replicas.running):
            await world.replicas.stop(replica)
            await world.replace(replica)
