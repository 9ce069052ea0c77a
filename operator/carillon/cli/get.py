"""`carillon get`: ScheduledJobs and JobRuns by name, as a row or as they are."""

from typing import Annotated

import typer

from carillon.cli import completion
from carillon.cli.cluster import Place, connected, world_of
from carillon.cli.list import jobs_table
from carillon.cli.objects import print_objects
from carillon.cli.options import ObjectFormat, ObjectOutput, placed
from carillon.cli.problems import run
from carillon.cli.runtable import runs_table
from carillon.cli.screen import screen
from carillon.cli.seen import SeenJob, SeenRun
from carillon.cli.targets import find_target


@placed()
def get_command(
    context: typer.Context,
    place: Place,
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="ScheduledJobs or JobRuns.", autocompletion=completion.runs_and_jobs),
    ],
    output: ObjectFormat = ObjectOutput.TABLE,
) -> None:
    """Print ScheduledJobs and JobRuns by name.

    Where a name is of both, sj/NAME is the ScheduledJob and jr/NAME the JobRun.
    """
    world = world_of(context)

    async def work() -> None:
        async with connected(world, place) as cluster:
            found = [await find_target(cluster, place.namespace or "", name) for name in names]
        if output not in (ObjectOutput.TABLE, ObjectOutput.WIDE):
            print_objects([each.raw for each in found], output, alone=True)
            return
        jobs = [each for each in found if isinstance(each, SeenJob)]
        runs = [each for each in found if isinstance(each, SeenRun)]
        if jobs:
            jobs_table(jobs, place, wide=output is ObjectOutput.WIDE).draw(screen())
        if jobs and runs:
            typer.echo()
        if runs:
            runs_table(runs, world.now(), jobs=True).draw(screen())

    run(work())
