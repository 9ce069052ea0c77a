"""`carillon stop`, `pause` and `resume`: runs that are not finished."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from carillon.cli import completion
from carillon.cli.bulk import Deed, DryRun, Yes, carry_out
from carillon.cli.cluster import Cluster, Object, Place, World, connected, world_of
from carillon.cli.exit_codes import Exit
from carillon.cli.options import ObjectFormat, ObjectOutput, placed
from carillon.cli.problems import Problem, run
from carillon.cli.seen import SeenRun
from carillon.cli.selection import Filters, chosen_runs, filtering
from carillon.kube.resources import JOB_RUNS

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="JobRuns, or ScheduledJobs, of which all active runs are meant.",
        autocompletion=completion.runs_and_jobs,
    ),
]


@placed(everywhere=True)
@filtering()
def stop_command(
    context: typer.Context,
    place: Place,
    filters: Filters,
    names: Names = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: ObjectFormat = ObjectOutput.TABLE,
) -> None:
    """Stop runs: their pods are ended with grace, and they do not start again.

    Of a ScheduledJob, all runs that are not finished. It cannot be taken back; carillon rerun starts anew.
    """
    wish = _Wish(
        "stop", "stopped", "stopping", "stopping already", {"stop": True}, lambda run: bool(run.spec.get("stop"))
    )
    _control(world_of(context), place, filters, names or [], wish, yes=yes, dry_run=dry_run, output=output)


@placed(everywhere=True)
@filtering()
def pause_command(
    context: typer.Context,
    place: Place,
    filters: Filters,
    names: Names = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: ObjectFormat = ObjectOutput.TABLE,
) -> None:
    """Pause runs: their pods are ended, and carillon resume starts the work again from its beginning."""
    wish = _Wish(
        "pause", "paused", "paused", "paused already", {"suspend": True}, lambda run: bool(run.spec.get("suspend"))
    )
    _control(world_of(context), place, filters, names or [], wish, yes=yes, dry_run=dry_run, output=output)


@placed(everywhere=True)
@filtering()
def resume_command(
    context: typer.Context,
    place: Place,
    filters: Filters,
    names: Names = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: ObjectFormat = ObjectOutput.TABLE,
) -> None:
    """Resume runs that were paused; their pods start the work again."""
    wish = _Wish(
        "resume", "resumed", "resumed", "not paused", {"suspend": False}, lambda run: not run.spec.get("suspend")
    )
    _control(world_of(context), place, filters, names or [], wish, yes=yes, dry_run=dry_run, output=output)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is wanted of runs."""

    verb: str
    participle: str
    done: str
    was_so: str
    spec: Object
    is_so: Callable[[SeenRun], bool]


def _control(
    world: World,
    place: Place,
    filters: Filters,
    names: list[str],
    wish: _Wish,
    *,
    yes: bool,
    dry_run: bool,
    output: ObjectOutput,
) -> None:
    async def work() -> None:
        async with connected(world, place) as cluster:
            found = await chosen_runs(cluster, place, names, filters)
            # A run that was named and is over is told about; of a definition, it is not meant, nor is one to come.
            now = world.now()
            runs = [each for each in found if not (each.finished or each.ahead(now)) or _was_named(each, names)]
            if not runs:
                typer.echo("No run is active.", err=True)
                return
            deed: Deed[SeenRun] = Deed(
                wish.verb, "JobRun", lambda each: _act(cluster, each, wish), lambda each: _would(each, wish)
            )
            await carry_out(deed, runs, yes=yes, dry_run=dry_run, output=output)

    run(work())


def _was_named(each: SeenRun, names: list[str]) -> bool:
    return any(name.rpartition("/")[2] == each.name for name in names)


def _would(each: SeenRun, wish: _Wish) -> str:
    return f"{each.phase} already" if each.finished else wish.was_so if wish.is_so(each) else wish.done


async def _act(cluster: Cluster, each: SeenRun, wish: _Wish) -> str:
    if each.finished:
        raise Problem(f"it is {each.phase} already, and cannot be {wish.participle} any more", Exit.FAILED)
    if not wish.is_so(each):
        # Strict: where the cluster does not know the field, it would be dropped, and nobody would stop anything.
        await cluster.patch(JOB_RUNS, each.raw, {"spec": wish.spec}, strict=True)
        return wish.done
    return wish.was_so
