"""Where `carillon next` takes definitions from: an expression, a file, the cluster."""

import json
import sys
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from carillon.api.base import API_VERSION, GROUP, rfc3339
from carillon.cli.cluster import Calendars, Place, World, connected, names_calendars
from carillon.cli.problems import Problem, usage
from carillon.engine.model import Calendar, Definition, Key
from carillon.engine.read import read_calendar, read_definition
from carillon.schedule import DaylightSaving

ALONE = "cron"
"""What an expression that belongs to no definition is called."""


def of_cron(cron: str, time_zone: str | None, saving: DaylightSaving | None, after: datetime) -> Definition:
    """Make a definition of an expression alone; what is wrong with it is in `invalid`."""
    trigger: dict[str, Any] = {"name": ALONE, "cron": cron}
    if time_zone is not None:
        trigger["timeZone"] = time_zone
    if saving is not None:
        trigger["daylightSaving"] = saving.value
    raw = {"metadata": {"name": ALONE}, "spec": {"triggers": [trigger], "jobTemplate": {}}}
    definition = read_definition(_local(raw, "", after))
    # The place in a definition that there is not says nothing here.
    words = definition.invalid.removeprefix("spec.triggers[0].")
    return replace(definition, invalid=words)


def _local(raw: dict[str, Any], namespace: str, after: datetime) -> dict[str, Any]:
    """Complete an object that the API server has not seen; what a server wrote into it elsewhere means nothing here."""
    metadata = {
        "namespace": raw["metadata"].get("namespace") or namespace,
        "name": raw["metadata"]["name"],
        "uid": "",
        "resourceVersion": "",
        "creationTimestamp": rfc3339(after),
    }
    return {**raw, "metadata": metadata, "status": {}}


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: what looks like a date is a string."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, shape) for tag, shape in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _documents(file: str) -> list[Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text()
        return [document for document in yaml.load_all(text, _Loader) if document]
    except (OSError, UnicodeDecodeError) as error:
        raise usage(f"-f {file}: {error}") from None
    except yaml.YAMLError as error:
        raise usage(f"-f {file}: not YAML: {error}") from None


async def of_file(world: World, file: str, place: Place, after: datetime) -> list[Definition]:
    """Read the ScheduledJobs of a file, with the Calendars of the file or else of the cluster. Raises Problem."""
    items: dict[str, list[dict[str, Any]]] = {"ScheduledJob": [], "Calendar": []}
    foreign = ""
    for item in (item for document in _documents(file) for item in _items(document)):
        kind = item.get("kind")
        if not isinstance(kind, str) or kind not in items:
            continue
        if not _ours(item):
            if kind == "ScheduledJob":
                foreign = f"; found one of apiVersion {item['apiVersion']}, write {API_VERSION}"
            continue
        if problem := _misnamed(item):
            raise usage(f"-f {file}: {kind}: {problem}")
        items[kind].append(_local(item, place.namespace or "default", after))
    if not items["ScheduledJob"]:
        raise usage(f"-f {file}: no ScheduledJob in it{foreign}")
    for kind, objects in items.items():
        names = Counter(f"{raw['metadata']['namespace']}/{raw['metadata']['name']}" for raw in objects)
        if twice := [name for name, times in names.items() if times > 1]:
            raise usage(f"-f {file}: {kind} {twice[0]} is there more than once; leave one of them in")
    calendars: Calendars = {}
    for calendar in map(read_calendar, items["Calendar"]):
        calendars.setdefault(calendar.key.namespace, {})[calendar.key.name] = calendar
    found = [read_definition(raw, calendars.get(raw["metadata"]["namespace"], {})) for raw in items["ScheduledJob"]]
    if any(
        definition.invalid and names_calendars(raw)
        for definition, raw in zip(found, items["ScheduledJob"], strict=True)
    ):
        # Calendars that are not in the file may be in the cluster.
        for raw in items["ScheduledJob"]:
            namespace = raw["metadata"]["namespace"]
            known = await _calendars(world, replace(place, namespace=namespace))
            calendars[namespace] = {**known, **calendars.get(namespace, {})}
        found = [read_definition(raw, calendars.get(raw["metadata"]["namespace"], {})) for raw in items["ScheduledJob"]]
    return found


def _ours(item: dict[str, Any]) -> bool:
    """Whether an object is of our group; kubectl wants to be told, here it goes without saying."""
    return "apiVersion" not in item or str(item["apiVersion"]).startswith(f"{GROUP}/")


def _misnamed(item: dict[str, Any]) -> str:
    """Say what is wrong with an object's name or namespace; empty when nothing is."""
    metadata = item.get("metadata")
    if not isinstance(metadata, dict):
        return "metadata: found no map of fields; write metadata.name"
    for name, required in (("name", True), ("namespace", False)):
        found = metadata.get(name)
        if found is None and required:
            return f"metadata.{name}: required; add it"
        if found is not None and (not isinstance(found, str) or not found):
            return f"metadata.{name}: found {json.dumps(found, default=str)}; write a name, as a string"
    return ""


async def _calendars(world: World, place: Place) -> dict[str, Calendar]:
    try:
        async with connected(world, place) as cluster:
            return (await cluster.calendars(place.namespace)).get(place.namespace or "", {})
    except Problem:
        return {}  # the definition says which one it lacks


def _items(document: object) -> list[dict[str, Any]]:
    if not isinstance(document, dict):
        return []
    if document.get("kind") in ("List", "ScheduledJobList"):
        items = document.get("items")
        return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return [document]


async def of_cluster(world: World, place: Place, name: str | None) -> list[Definition]:
    """Read one ScheduledJob, or all of the place. Raises Problem."""
    if name is not None and place.namespace is None:
        raise usage(f"NAME and --all-namespaces: {name} may be in several; name its namespace with -n")
    async with connected(world, place) as cluster:
        if name is not None:
            return [await cluster.definition(Key(place.namespace or "", name))]
        found = await cluster.definitions(place.namespace)
    if not found:
        raise Problem(
            f"there are no ScheduledJobs in {(place.namespace and f'namespace {place.namespace}') or 'the cluster'}"
        )
    return found
