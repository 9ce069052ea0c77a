"""`carillon history`: what became of the runs of a ScheduledJob; JobRuns, and the lines that outlive them."""

from typing import Annotated

import typer

from carillon.cli import completion
from carillon.cli.cluster import Place, connected, world_of
from carillon.cli.objects import named
from carillon.cli.options import ObjectFormat, ObjectOutput, placed
from carillon.cli.problems import run
from carillon.cli.runtable import run_data, runs_table
from carillon.cli.screen import print_data, say, screen
from carillon.cli.seen import past
from carillon.cli.selection import list_runs
from carillon.cli.targets import find_job
from carillon.engine.words import counted
from carillon.kube.resources import JOB_RUNS


@placed()
def history_command(
    context: typer.Context,
    place: Place,
    name: Annotated[str, typer.Argument(help="The ScheduledJob.", autocompletion=completion.jobs)],
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="So many of the newest.")] = 20,
    output: ObjectFormat = ObjectOutput.TABLE,
) -> None:
    """List the runs of a ScheduledJob, newest first, with their errors.

    JobRuns that are there, and what status.history keeps of those that are not.
    """
    world = world_of(context)

    async def work() -> None:
        async with connected(world, place) as cluster:
            job = await find_job(cluster, place.namespace or "", name)
            found = past([job], await list_runs(cluster, place))
        shown = found[:limit]
        if output is ObjectOutput.NAME:
            for each in shown:
                typer.echo(named(JOB_RUNS.kind, each.name))
        elif output in (ObjectOutput.JSON, ObjectOutput.YAML):
            print_data([run_data(each) for each in shown], output)
        elif not found:
            typer.echo(f"{job.key} has not run yet.", err=True)
        else:
            runs_table(shown, world.now()).draw(screen())
            _remark(len(found) - len(shown), sum(not each.kept for each in shown))

    run(work())


def _remark(left_out: int, lines: int) -> None:
    console = screen(err=True)
    if lines:
        say(console, f"{counted(lines, 'run')} known from status.history alone: the JobRun is kept no more.", "dim")
    if left_out:
        say(console, f"{left_out} more: --limit {left_out + 20}.", "dim")
