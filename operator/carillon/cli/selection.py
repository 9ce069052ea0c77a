"""Which ScheduledJobs a command is about: by name, or by label, class, owner or all of them. For every bulk command."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from carillon.cli.cluster import Cluster, Place
from carillon.cli.options import Command, Gathered, gathering
from carillon.cli.problems import Problem, usage
from carillon.cli.seen import SeenJob, SeenRun, seen_run
from carillon.cli.targets import find_job, find_target
from carillon.engine.model import Key
from carillon.kube.resources import JOB_RUNS, SCHEDULED_JOBS

WHICH_PANEL = "Which of them"


class Class(StrEnum):
    """Classes of ScheduledJobs."""

    SYSTEM = "System"
    USER = "User"


Selector = Annotated[
    str,
    typer.Option("--selector", "-l", metavar="LABELS", help="By labels, as kubectl.", rich_help_panel=WHICH_PANEL),
]
ClassOption = Annotated[
    Class | None, typer.Option("--class", case_sensitive=False, help="Of a class.", rich_help_panel=WHICH_PANEL)
]
Owner = Annotated[str, typer.Option(metavar="OWNER", help="Of an owner.", rich_help_panel=WHICH_PANEL)]
All = Annotated[bool, typer.Option("--all", help="All of the namespace.", rich_help_panel=WHICH_PANEL)]


@dataclass(frozen=True, slots=True)
class Filters:
    """What is wanted of ScheduledJobs."""

    labels: str = ""
    class_: Class | None = None
    owner: str = ""
    every: bool = False

    @property
    def any(self) -> bool:
        """Whether something was said."""
        return bool(self.labels or self.class_ or self.owner or self.every)

    def take(self, job: SeenJob) -> bool:
        """Whether a ScheduledJob is wanted; labels are the API server's business."""
        return (self.class_ is None or job.class_ == self.class_) and (not self.owner or job.owner == self.owner)


def filtering(*, every: bool = True) -> Callable[[Command], Command]:
    """Give a command the options that choose ScheduledJobs, and hand it their meaning as `filters`."""
    options: Gathered = {"selector": (Selector, ""), "class_": (ClassOption, None), "owner": (Owner, "")}
    if every:
        options["every"] = (All, False)

    def filters(selector: str, class_: Class | None, owner: str, every: bool = False) -> Filters:
        return Filters(selector, class_, owner, every)

    return gathering("filters", options, filters)


async def list_jobs(cluster: Cluster, place: Place, filters: Filters) -> list[SeenJob]:
    """List the ScheduledJobs that are wanted, by namespace and name. Raises Problem."""
    found = map(SeenJob, await cluster.list(SCHEDULED_JOBS, place.namespace, label_selector=filters.labels))
    return sorted((job for job in found if filters.take(job)), key=lambda job: job.key)


async def list_runs(cluster: Cluster, place: Place) -> list[SeenRun]:
    """List the JobRuns of the place. Raises Problem."""
    return [seen_run(raw) for raw in await cluster.list(JOB_RUNS, place.namespace)]


async def chosen_jobs(cluster: Cluster, place: Place, names: Sequence[str], filters: Filters) -> list[SeenJob]:
    """Find the ScheduledJobs that are named, or wanted. Raises Problem where nothing was said, or nothing is there."""
    _check(place, names, filters)
    if names:
        return [await find_job(cluster, place.namespace or "", name) for name in dict.fromkeys(names)]
    found = await list_jobs(cluster, place, filters)
    if not found:
        raise Problem(f"there are no such ScheduledJobs in {place.where()}")
    return found


async def chosen_runs(cluster: Cluster, place: Place, names: Sequence[str], filters: Filters) -> list[SeenRun]:
    """Find the JobRuns that are named, and those of ScheduledJobs that are named or wanted. Raises Problem."""
    _check(place, names, filters)
    chosen: list[SeenRun] = []
    keys: set[Key] = set()
    for name in names:
        found = await find_target(cluster, place.namespace or "", name)
        if isinstance(found, SeenRun):
            chosen.append(found)
        else:
            keys.add(found.key)
    if filters.any:
        keys = {job.key for job in await chosen_jobs(cluster, place, (), filters)}
    if keys:
        chosen += [run for run in await list_runs(cluster, place) if Key(run.namespace, run.job) in keys]
    return list({run.uid: run for run in chosen}.values())


def _check(place: Place, names: Sequence[str], filters: Filters) -> None:
    if not names and not filters.any:
        raise usage("which ones? Write names, or -l, --class, --owner or --all")
    if names and filters.any:
        raise usage(f"{names[0]} and -l, --class, --owner or --all: write names or say which, not both")
    if names and place.namespace is None:
        raise usage(f"{names[0]} and --all-namespaces: it may be in several; name its namespace with -n")
