"""Faults of the API server itself, and of the etcd behind it."""

import asyncio
import signal
import time
from typing import Any

from carillon.kube.resources import CUSTOM_RESOURCE_DEFINITIONS
from tests.chaos.network import Inject
from tests.chaos.proxy import Weather
from tests.chaos.world import World

API_SERVER = "kube-apiserver"
KINDS = ("scheduledjobs.carillon.dev", "jobruns.carillon.dev")


def ended(service: str, number: signal.Signals, *, pause_seconds: float = 8.0) -> Inject:
    """A process of the control plane is ended, and started again by its supervisor, for as long as the fault lasts."""

    async def inject(world: World, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            await asyncio.sleep(world.random.uniform(0.5, 2))
            world.services.signal(service, number)
            await _until_answering(world)
            if time.monotonic() > deadline - pause_seconds:
                return
            await asyncio.sleep(pause_seconds)

    return inject


async def _until_answering(world: World) -> None:
    await asyncio.sleep(1)  # in which it dies
    for kind in KINDS:
        await world.ask(lambda kind=kind: world.client.get(CUSTOM_RESOURCE_DEFINITIONS, None, kind))


async def discovery_without_our_kinds(world: World, seconds: float) -> None:
    """An operator starts, and our resources are not there yet; it has to wait for them, and then to lead."""
    for replica in list(world.replicas.running):
        await world.replicas.stop(replica)
        await replica.proxy.stop()
    started = [await world.replicas.start() for _ in range(2)]
    for replica in started:
        replica.proxy.weather = Weather(unknown_group="carillon.dev")
    await asyncio.sleep(max(seconds / 2, 6))
    for replica in started:
        replica.proxy.weather = Weather()
        await world.replicas.until_ready(replica)


async def definitions_updated(world: World, seconds: float) -> None:
    """The CustomResourceDefinitions are changed, as by an upgrade: the API server begins their watches anew."""
    deadline, number = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        number += 1
        for kind in KINDS:
            await _redescribe(world, kind, f"Edition {number}.")
        await asyncio.sleep(world.random.uniform(1, 3))
    for kind in KINDS:
        await _redescribe(world, kind, "")


async def _redescribe(world: World, kind: str, edition: str) -> None:
    found: dict[str, Any] = await world.ask(lambda: world.client.get(CUSTOM_RESOURCE_DEFINITIONS, None, kind))
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["description"] = f"{schema.get('description', '').partition(' (')[0]}" + (f" ({edition})" if edition else "")
    body = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "spec": found["spec"]}
    await world.ask(lambda: world.client.merge_patch(CUSTOM_RESOURCE_DEFINITIONS, None, kind, body))
