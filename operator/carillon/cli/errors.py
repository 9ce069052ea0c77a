"""`carillon errors`: what went wrong lately, in a namespace or the cluster, with the last words of each."""

from datetime import datetime
from typing import Annotated

import typer

from carillon.cli import completion
from carillon.cli.cluster import Place, connected, world_of
from carillon.cli.exit_codes import Exit
from carillon.cli.moments import duration_of
from carillon.cli.options import Output, OutputFormat, placed
from carillon.cli.problems import run, usage
from carillon.cli.runtable import run_data, runs_table
from carillon.cli.screen import print_data, say, screen, working
from carillon.cli.seen import SeenJob, SeenRun, past
from carillon.cli.selection import Filters, filtering, list_jobs, list_runs
from carillon.cli.targets import find_job
from carillon.engine.words import counted


@placed(everywhere=True)
@filtering(every=False)
def errors_command(
    context: typer.Context,
    place: Place,
    filters: Filters,
    name: Annotated[
        str | None, typer.Argument(help="A ScheduledJob; all of them if empty.", autocompletion=completion.jobs)
    ] = None,
    since: Annotated[str, typer.Option(metavar="DURATION", help="How far to look back: 90m, 24h, 7d.")] = "24h",
    output: OutputFormat = Output.TABLE,
) -> None:
    """List what failed or was refused, newest first, with its last words.

    Also ScheduledJobs that are not accepted. Exits with 1 when there is something to list.
    """
    world = world_of(context)

    async def work() -> bool:
        if name is not None and (filters.any or place.namespace is None):
            raise usage(f"{name} and -A, -l, --class or --owner: write a name or say which, not both")
        now = world.now()
        begin = now - duration_of(since, "--since")
        async with connected(world, place) as cluster:
            with working("reading runs"):
                if name is not None:
                    jobs = [await find_job(cluster, place.namespace or "", name)]
                else:
                    jobs = await list_jobs(cluster, place, filters)
                runs = await list_runs(cluster, place)
        wrong = [each for each in past(jobs, runs) if each.failed and each.moment is not None and each.moment >= begin]
        invalid = [job for job in jobs if job.invalid]
        if output is not Output.TABLE:
            refused = [{"scheduledJob": str(job.key), "message": job.invalid} for job in invalid]
            print_data({"runs": [run_data(each) for each in wrong], "invalid": refused}, output)
        else:
            _print(wrong, invalid, since, place, name, now)
        return bool(wrong or invalid)

    if run(work()):
        raise typer.Exit(Exit.FAILED)


def _print(
    wrong: list[SeenRun], invalid: list[SeenJob], since: str, place: Place, name: str | None, now: datetime
) -> None:
    console = screen()
    if wrong:
        runs_table(wrong, now, namespaces=place.namespace is None, jobs=name is None).draw(console)
    for job in invalid:
        say(console, f"{job.key} is not accepted, and does not run: {job.invalid}", "red", indent=2)
    if not wrong and not invalid:
        console.print(f"Nothing failed in the last {since} in {place.where()}.")
        return
    failed = sum(each.phase == "Failed" for each in wrong)
    parts = [
        *([f"{counted(failed, 'run')} failed"] if failed else []),
        *([f"{len(wrong) - failed} refused or withdrawn"] if len(wrong) > failed else []),
        *([f"{counted(len(invalid), 'definition')} not accepted"] if invalid else []),
    ]
    say(screen(err=True), f"In the last {since} in {place.where()}: {', '.join(parts)}.", "bold")
