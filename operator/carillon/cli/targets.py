"""What a name on the command line means: a ScheduledJob or a JobRun. `sj/NAME` and `jr/NAME` say which."""

import asyncio
import difflib

from carillon.cli.cluster import Cluster, Object
from carillon.cli.problems import Problem, usage
from carillon.cli.seen import SeenJob, SeenRun, seen_run
from carillon.kube.resources import JOB_RUNS, SCHEDULED_JOBS, Resource

_KINDS = {
    **dict.fromkeys(("sj", "scheduledjob", "scheduledjobs", "scheduledjob.carillon.dev"), SCHEDULED_JOBS),
    **dict.fromkeys(("jr", "jobrun", "jobruns", "jobrun.carillon.dev", "run"), JOB_RUNS),
}


def kind_of(written: str) -> tuple[Resource | None, str]:
    """Take a name apart; None when it does not say which kind is meant. Raises Problem."""
    kind, slash, name = written.rpartition("/")
    if not slash:
        return None, written
    if kind not in _KINDS or not name:
        raise usage(f"{written}: write NAME, sj/NAME (ScheduledJob) or jr/NAME (JobRun); -n names the namespace")
    return _KINDS[kind], name


async def find_target(cluster: Cluster, namespace: str, written: str) -> SeenJob | SeenRun:
    """Find what a name means. Raises Problem where there is nothing of the name, or both."""
    kind, name = kind_of(written)
    kinds = (SCHEDULED_JOBS, JOB_RUNS) if kind is None else (kind,)
    found = await asyncio.gather(*(cluster.find(resource, namespace, name) for resource in kinds))
    there = [(resource, raw) for resource, raw in zip(kinds, found, strict=True) if raw is not None]
    if len(there) > 1:
        raise usage(f"{name} is a ScheduledJob and a JobRun: write sj/{name} or jr/{name}")
    if not there:
        raise await _missing(cluster, namespace, name, kinds)
    resource, raw = there[0]
    return SeenJob(raw) if resource is SCHEDULED_JOBS else seen_run(raw)


async def find_run(cluster: Cluster, namespace: str, written: str) -> SeenRun:
    """Find a JobRun. Raises Problem."""
    kind, name = kind_of(written)
    if kind is SCHEDULED_JOBS:
        raise usage(f"{written}: write the name of a JobRun; carillon history {name} lists them")
    return seen_run(await _one(cluster, namespace, name, JOB_RUNS))


async def find_job(cluster: Cluster, namespace: str, written: str) -> SeenJob:
    """Find a ScheduledJob. Raises Problem."""
    kind, name = kind_of(written)
    if kind is JOB_RUNS:
        raise usage(f"{written}: write the name of a ScheduledJob")
    return SeenJob(await _one(cluster, namespace, name, SCHEDULED_JOBS))


async def _one(cluster: Cluster, namespace: str, name: str, resource: Resource) -> Object:
    found = await cluster.find(resource, namespace, name)
    if found is None:
        raise await _missing(cluster, namespace, name, (resource,))
    return found


async def _missing(cluster: Cluster, namespace: str, name: str, kinds: tuple[Resource, ...]) -> Problem:
    words = " or ".join(resource.kind for resource in kinds)
    near = ""
    try:
        names = [raw["metadata"]["name"] for resource in kinds for raw in await cluster.list(resource, namespace)]
        if close := difflib.get_close_matches(name, names, n=1):
            near = f"; did you mean {close[0]}?"
    except Problem:
        pass  # who may get may not be allowed to list
    return Problem(f"there is no {words} {name} in namespace {namespace}{near}")
