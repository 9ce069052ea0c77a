"""`carillon list`: every ScheduledJob with its trigger, label, owner, last execution and status; also as it changes."""

from collections.abc import Sequence
from typing import Annotated

import typer

from carillon.cli.cluster import Cluster, Place, connected, world_of
from carillon.cli.following import Following
from carillon.cli.objects import print_objects
from carillon.cli.options import ObjectFormat, ObjectOutput, placed
from carillon.cli.problems import run, usage
from carillon.cli.screen import Column, Layout, Table, screen
from carillon.cli.seen import SeenJob
from carillon.cli.selection import WHICH_PANEL, Filters, filtering, list_jobs
from carillon.kube.resources import SCHEDULED_JOBS

STATES = ("Invalid", "Running", "Paused", "Queued", "Disabled", "Overdue", "Succeeded", "Failed", "Stopped", "Waiting")
STYLES = {"Invalid": "red", "Failed": "red", "Overdue": "red", "Running": "cyan", "Succeeded": "green"}

COLUMNS = (
    Column("NAMESPACE", flexible=1),
    Column("NAME", flexible=1, comfort=24),
    Column("TRIGGER", style="dim"),
    Column("LABEL", flexible=3, comfort=14),
    Column("OWNER", flexible=2, comfort=14),
    Column("LAST EXECUTION", room=20),
    Column("STATUS", styles=STYLES, room=9),
    Column("NEXT", style="cyan", dispensable=1, room=20),
)
WIDE = (*COLUMNS, Column("SCHEDULE", style="dim"), Column("ACTIVE"), Column("SUCCEEDED"), Column("FAILED"))


@placed(everywhere=True)
@filtering(every=False)
def list_command(
    context: typer.Context,
    place: Place,
    filters: Filters,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="With this word in the STATUS column. May be repeated.",
            rich_help_panel=WHICH_PANEL,
            autocompletion=lambda incomplete: [state for state in STATES if state.startswith(incomplete)],
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, with a line for each change.")] = False,
    output: ObjectFormat = ObjectOutput.TABLE,
) -> None:
    """List ScheduledJobs: trigger, label, owner, last execution and status."""
    world = world_of(context)

    async def work() -> None:
        wanted = [_state(word) for word in status or ()]
        if watch and output not in (ObjectOutput.TABLE, ObjectOutput.WIDE):
            raise usage(f"--watch and -o {output.value}: a list that goes on is a table")
        async with connected(world, place) as cluster:
            if watch:
                await _watch(cluster, place, filters, wanted, output)
                return
            jobs = [job for job in await list_jobs(cluster, place, filters) if not wanted or job.state in wanted]
        if output not in (ObjectOutput.TABLE, ObjectOutput.WIDE):
            print_objects([job.raw for job in jobs], output)
        elif jobs:
            jobs_table(jobs, place, wide=output is ObjectOutput.WIDE).draw(screen())
        else:
            such = " such" if filters.any or wanted else ""
            typer.echo(f"There are no{such} ScheduledJobs in {place.where()}.", err=True)

    run(work())


def _state(word: str) -> str:
    found = [state for state in STATES if state.lower() == word.lower()]
    if not found:
        raise usage(f"--status {word}: write one of {', '.join(STATES)}")
    return found[0]


def jobs_table(jobs: Sequence[SeenJob], place: Place, *, wide: bool) -> Table:
    """Make the table of ScheduledJobs, with the columns of `kubectl get scheduledjobs`."""
    table = Table(WIDE if wide else COLUMNS, keep=("NAME", "TRIGGER", "LABEL", "OWNER", "LAST EXECUTION", "STATUS"))
    for job in jobs:
        counts = job.status.get("counts") or {}
        table.add(
            job.key.namespace if place.namespace is None else "",
            job.key.name,
            job.shown("trigger") or ("Periodic" if job.spec.get("triggers") else "Manual"),
            job.shown("label") or job.spec.get("label") or job.key.name,
            job.owner,
            job.shown("lastExecution"),
            job.state,
            job.shown("next"),
            *([job.shown("schedule"), *(str(counts.get(c, 0)) for c in ("active", "succeeded", "failed"))] * wide),
        )
    return table


async def _watch(cluster: Cluster, place: Place, filters: Filters, wanted: Sequence[str], output: ObjectOutput) -> None:
    """Print the table, and then a line for each ScheduledJob that changes in what is shown of it."""
    told: dict[tuple[str, str], object] = {}
    layout: Layout | None = None
    async with Following(cluster) as following:
        found = await following.add(SCHEDULED_JOBS, place.namespace, label_selector=filters.labels)
        while True:
            jobs = [job for job in map(SeenJob, found.values()) if filters.take(job)]
            jobs = [job for job in jobs if not wanted or job.state in wanted]
            news = sorted((job for job in jobs if told.get(job.key) != _telling(job)), key=lambda job: job.key)
            told = {job.key: _telling(job) for job in jobs}
            if news:
                console, table = screen(), jobs_table(news, place, wide=output is ObjectOutput.WIDE)
                if layout is None:
                    layout = table.layout(console, room=True)
                    table.draw_titles(console, layout)
                table.draw(console, layout)
            await following.changed()


def _telling(job: SeenJob) -> object:
    return job.status.get("display"), job.status.get("counts"), job.spec.get("owner"), job.spec.get("class")
