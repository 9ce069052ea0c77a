"""Everything of Carillon's that a cluster holds, listed once; for commands that look and do not follow."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from carillon.api import keys
from carillon.engine.model import Calendar, Definition, Job, Run
from carillon.engine.read import read_calendar, read_definition, read_job, read_run
from carillon.kube.client import Client
from carillon.kube.resources import CALENDARS, JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Inventory:
    """Definitions, runs and Jobs as of one moment each."""

    definitions: tuple[Definition, ...]
    runs: tuple[Run, ...]
    jobs: tuple[Job, ...]


async def take(namespaces: tuple[str, ...], *, kubeconfig: str | None) -> Inventory:
    """List all there is in the given namespaces, or in the whole cluster where none is given.

    Raises:
        ApiError, Unreachable, NotConfigured: the API server cannot be asked.
    """
    client = await Client.connect(kubeconfig=kubeconfig)
    try:
        return Inventory(
            definitions=await _definitions(client, namespaces),
            runs=await _list(client, JOB_RUNS, namespaces, read_run),
            jobs=await _list(client, JOBS, namespaces, read_job, label_selector=keys.RUN_UID_LABEL),
        )
    finally:
        await client.close()


async def _definitions(client: Client, namespaces: tuple[str, ...]) -> tuple[Definition, ...]:
    calendars: dict[str, dict[str, Calendar]] = {}
    for calendar in await _list(client, CALENDARS, namespaces, read_calendar):
        calendars.setdefault(calendar.key.namespace, {})[calendar.key.name] = calendar

    def read(raw: dict[str, Any]) -> Definition:
        return read_definition(raw, calendars.get(raw["metadata"]["namespace"], {}))

    return await _list(client, SCHEDULED_JOBS, namespaces, read)


async def _list(
    client: Client,
    resource: Resource,
    namespaces: tuple[str, ...],
    read: Callable[[dict[str, Any]], Value],
    *,
    label_selector: str = "",
) -> tuple[Value, ...]:
    values: list[Value] = []
    for namespace in namespaces or (None,):
        items, _ = await client.list(resource, namespace, label_selector=label_selector)
        for raw in items:
            try:
                values.append(read(raw))
            except (ValidationError, KeyError):
                continue  # written by a newer version; the operator reports it
    return tuple(values)
