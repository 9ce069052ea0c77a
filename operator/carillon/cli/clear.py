"""`carillon clear`: the finished runs of ScheduledJobs, and the lines of their history. Never a run that is active.

A JobRun is deleted only as it was read: by UID and resourceVersion. The lines of status.history are the operator's to
write; an annotation tells it through when they are cleared (docs/decisions/0014).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from carillon.api.base import rfc3339
from carillon.api.jobrun import Phase
from carillon.api.keys import HISTORY_CLEARED_ANNOTATION
from carillon.cli import completion
from carillon.cli.bulk import Deed, DryRun, Yes, agree, carry_out
from carillon.cli.cluster import Cluster, Place, connected, world_of
from carillon.cli.moments import duration_of
from carillon.cli.options import ObjectFormat, ObjectOutput, placed
from carillon.cli.problems import Problem, explained, run, usage
from carillon.cli.screen import say, screen
from carillon.cli.seen import SeenJob, SeenRun, seen_run
from carillon.cli.selection import Filters, chosen_jobs, filtering, list_runs
from carillon.engine.model import Key
from carillon.engine.words import counted
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import JOB_RUNS, SCHEDULED_JOBS

ATTEMPTS = 3
"""A finished run that somebody else has written to meanwhile is looked at again; as often."""


@placed(everywhere=True)
@filtering()
def clear_command(
    context: typer.Context,
    place: Place,
    filters: Filters,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="ScheduledJobs.", autocompletion=completion.jobs)
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Those that failed, were stopped or refused.")] = False,
    succeeded: Annotated[bool, typer.Option("--succeeded", help="Those that succeeded.")] = False,
    older_than: Annotated[
        str, typer.Option(metavar="DURATION", help="Those that ended so long ago: 12h, 7d, 4w.")
    ] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    output: ObjectFormat = ObjectOutput.TABLE,
) -> None:
    """Clear the history of ScheduledJobs: delete their finished JobRuns, and empty status.history.

    Active runs are never touched, and counts stay. With --failed or --succeeded, status.history keeps its lines.
    """
    world = world_of(context)

    async def work() -> None:
        if failed and succeeded:
            raise usage("--failed and --succeeded: leave both out, and all finished runs are cleared")
        through = world.now() - duration_of(older_than, "--older-than") if older_than else None
        async with connected(world, place) as cluster:
            jobs = await chosen_jobs(cluster, place, names or (), filters)
            keys = {job.key for job in jobs}
            ours = [each for each in await list_runs(cluster, place) if Key(each.namespace, each.job) in keys]
            runs = [each for each in ours if _is_meant(each, failed, succeeded, through)]
            deed: Deed[SeenRun] = Deed("clear", "JobRun", lambda each: _delete(cluster, each), lambda _: "deleted")
            lines = _lines(jobs, through) if not (failed or succeeded) else {}
            with_lines = [job for job in jobs if job.key in lines]
            if not dry_run:
                agree(deed, runs if len(runs) >= len(with_lines) else with_lines, yes=yes)
            if runs:
                await carry_out(deed, runs, yes=True, dry_run=dry_run, output=output)
            if lines and dry_run:
                say(screen(err=True), f"{counted(sum(lines.values()), 'line')} of status.history would be cleared.")
            elif lines:
                await _empty(cluster, with_lines, runs, lines, through)
        active = sum(not each.finished for each in ours)
        if not runs and not lines:
            typer.echo("There is nothing to clear.", err=True)
        if active:
            say(screen(err=True), f"{counted(active, 'run')} not finished, and left alone.")

    run(work())


def _is_meant(each: SeenRun, failed: bool, succeeded: bool, through: datetime | None) -> bool:
    if not each.finished or (through is not None and (each.moment is None or each.moment > through)):
        return False
    good = each.phase == Phase.SUCCEEDED.value
    return good if succeeded else not good if failed else True


async def _delete(cluster: Cluster, each: SeenRun) -> str:
    current: SeenRun | None = each
    for _ in range(ATTEMPTS):
        if current is None or current.uid != each.uid:
            return "gone already"
        if not current.finished:
            raise Problem("it is active; nothing was done to it")
        version = current.raw["metadata"]["resourceVersion"]
        try:
            await cluster.api.delete(JOB_RUNS, each.namespace, each.name, uid=each.uid, resource_version=version)
        except (ApiError, Unreachable) as error:
            if not isinstance(error, ApiError) or not error.conflict:
                raise explained(error, "delete", JOB_RUNS, each.namespace, each.name) from error
            raw = await cluster.find(JOB_RUNS, each.namespace, each.name)
            current = None if raw is None else seen_run(raw)
        else:
            return "deleted"
    raise Problem("somebody else writes to it all the time; try again later")


def _lines(jobs: Sequence[SeenJob], through: datetime | None) -> dict[Key, int]:
    """How many lines of status.history there are to clear."""
    found = {
        job.key: sum(
            line.ended is not None and (through is None or line.ended <= through) and not _is_cleared(job, line)
            for line in job.lines()
        )
        for job in jobs
    }
    return {key: number for key, number in found.items() if number}


def _is_cleared(job: SeenJob, line: SeenRun) -> bool:
    mark = (job.raw["metadata"].get("annotations") or {}).get(HISTORY_CLEARED_ANNOTATION, "")
    return bool(mark) and line.ended is not None and rfc3339(line.ended) <= mark


async def _empty(
    cluster: Cluster,
    jobs: Sequence[SeenJob],
    runs: Sequence[SeenRun],
    lines: dict[Key, int],
    through: datetime | None,
) -> None:
    """Tell the operator through when lines are cleared: through the newest that was seen, whatever the clock says."""
    emptied = 0
    refused: Problem | None = None
    for job in jobs:
        ours = (each for each in (*job.lines(), *runs) if Key(each.namespace, each.job) == job.key)
        ends = [each.ended for each in ours if each.ended is not None and (through is None or each.ended <= through)]
        mark = rfc3339(max(ends))
        try:
            patch = {"metadata": {"annotations": {HISTORY_CLEARED_ANNOTATION: mark}}}
            await cluster.patch(SCHEDULED_JOBS, job.raw, patch)
        except Problem as problem:
            refused = problem
            typer.echo(f"carillon: ScheduledJob {job.key}: its status.history keeps its lines: {problem}", err=True)
        else:
            emptied += lines[job.key]
    if emptied:
        say(screen(err=True), f"{counted(emptied, 'line')} of status.history cleared.")
    if refused is not None:
        raise refused
