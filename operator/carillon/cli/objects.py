"""Objects as they are, in the formats of `kubectl get`: JSON, YAML, names."""

from collections.abc import Sequence

import typer

from carillon.cli.cluster import Object
from carillon.cli.options import ObjectOutput
from carillon.cli.screen import print_data
from carillon.kube.resources import JOB_RUNS, SCHEDULED_JOBS

_PREFIX = {r.kind: f"{r.kind.lower()}.{r.group}" for r in (SCHEDULED_JOBS, JOB_RUNS)}


def named(kind: str, name: str) -> str:
    """Name an object as kubectl does: `scheduledjob.carillon.dev/dump`."""
    return f"{_PREFIX[kind]}/{name}"


def print_objects(objects: Sequence[Object], output: ObjectOutput, *, alone: bool = False) -> None:
    """Print objects on stdout.

    Args:
        objects: what to print.
        output: json, yaml or name.
        alone: whether one was asked for, and not a list.
    """
    if output is ObjectOutput.NAME:
        for raw in objects:
            typer.echo(named(raw["kind"], raw["metadata"]["name"]))
        return
    tidy = [_without_bookkeeping(raw) for raw in objects]
    if alone and len(tidy) == 1:
        print_data(tidy[0], output)
    else:
        print_data({"apiVersion": "v1", "kind": "List", "items": tidy}, output)


def _without_bookkeeping(raw: Object) -> Object:
    return {**raw, "metadata": {k: v for k, v in raw["metadata"].items() if k != "managedFields"}}
