"""What the shell offers when Tab is pressed: names from the cluster, as far as it answers at once.

Must never print, fail or keep the shell waiting: without a cluster nothing is offered.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import typer
import yaml

from carillon.cli.cluster import Place, connected, world_of
from carillon.kube.resources import JOB_RUNS, NAMESPACES, SCHEDULED_JOBS, Resource

PATIENCE_SECONDS = 2.0
"""For as long is the cluster asked; then the shell has its prompt back."""

Offer = Callable[[typer.Context, str], list[str]]


def _place(context: typer.Context) -> Place:
    given = context.params
    where = Place.of(given.get("kubeconfig"), given.get("kube_context"), given.get("namespace"), everywhere=False)
    return Place(where.kubeconfig, where.context, where.namespace, given.get("as_user") or "")


def _names(context: typer.Context, resource: Resource, incomplete: str) -> list[str]:
    async def ask() -> list[str]:
        place = _place(context)
        async with connected(world_of(context), place) as cluster, asyncio.timeout(PATIENCE_SECONDS):
            found, _ = await cluster.api.list(
                resource, None if resource is NAMESPACES else place.namespace, metadata_only=True
            )
        return sorted(raw["metadata"]["name"] for raw in found)

    try:
        return [name for name in asyncio.run(ask()) if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001  (there is nobody to tell: the shell would print it into the line being typed)
        return []


def jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the ScheduledJobs of the namespace."""
    return _names(ctx, SCHEDULED_JOBS, incomplete)


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the JobRuns of the namespace."""
    return _names(ctx, JOB_RUNS, incomplete)


def runs_and_jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer both, the ScheduledJobs first."""
    return [*jobs(ctx, incomplete), *runs(ctx, incomplete)]


def namespaces(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the namespaces of the cluster."""
    return _names(ctx, NAMESPACES, incomplete)


def contexts(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the contexts of the kubeconfig."""
    path = ctx.params.get("kubeconfig") or os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")
    found: list[str] = []
    for file in path.split(os.pathsep):
        try:
            document = yaml.safe_load(Path(file).read_text())
            found += [entry["name"] for entry in document["contexts"]]
        except (OSError, UnicodeDecodeError, yaml.YAMLError, LookupError, TypeError):
            continue
    return [name for name in found if name.startswith(incomplete)]
