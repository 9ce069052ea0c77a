"""`carillon run` and `carillon rerun`: Run Now. To create a JobRun is to run; with --wait, a script can stand on it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from carillon.api.base import API_VERSION
from carillon.api.keys import RERUN_OF_ANNOTATION
from carillon.cli import completion
from carillon.cli.bulk import Deed, DryRun, Yes, carry_out
from carillon.cli.cluster import Cluster, Object, Place, World, connected, world_of
from carillon.cli.exit_codes import Exit
from carillon.cli.moments import duration_of
from carillon.cli.objects import print_objects
from carillon.cli.options import ObjectFormat, ObjectOutput, placed
from carillon.cli.problems import Problem, explained, usage
from carillon.cli.problems import run as run_work
from carillon.cli.seen import SeenJob, SeenRun, seen_run
from carillon.cli.selection import Filters, chosen_jobs, filtering
from carillon.cli.tail import Tail
from carillon.cli.targets import find_run
from carillon.cli.wait import verdict, wait_for
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import JOB_RUNS, SCHEDULED_JOBS

ATTEMPTS = 5
"""A create whose answer was lost is repeated, and a name that is taken replaced, as often."""
WAIT_PANEL = "Waiting"

Wait = Annotated[
    bool,
    typer.Option("--wait", "-w", help="Print its logs; exit with the task's exit code.", rich_help_panel=WAIT_PANEL),
]
Timeout = Annotated[
    str,
    typer.Option(metavar="DURATION", help="With --wait: for so long, as in 90s or 2h.", rich_help_panel=WAIT_PANEL),
]
TaskCode = Annotated[
    bool,
    typer.Option(
        "--task-code/--no-task-code",
        help="With --wait: exit with the task's own code, or with 6 for any.",
        rich_help_panel=WAIT_PANEL,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="With --wait: no logs, no progress.", rich_help_panel=WAIT_PANEL)
]


@placed(everywhere=True)
@filtering()
def run_command(
    context: typer.Context,
    place: Place,
    filters: Filters,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="ScheduledJobs.", autocompletion=completion.jobs)
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="KEY=VALUE", help="A parameter. May be repeated.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run although it is disabled.")] = False,
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the JobRun. Default: one is made up.")] = "",
    wait: Wait = False,
    timeout: Timeout = "",
    task_code: TaskCode = True,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: ObjectFormat = ObjectOutput.TABLE,
) -> None:
    """Run ScheduledJobs now, by the same rules as when they are due.

    With --wait the logs come on stdout and what happens on stderr; it exits with the task's own exit code.
    """
    world = world_of(context)

    async def work() -> None:
        parameters = _parameters(parameter or [])
        patience = _patience(wait, timeout)
        async with connected(world, place) as cluster:
            jobs = await chosen_jobs(cluster, place, names or (), filters)
            if len(jobs) > 1 and (wait or name):
                raise usage(f"--{'wait' if wait else 'name'} is for one ScheduledJob, and these are {len(jobs)}")
            myself = "" if dry_run else await cluster.myself()
            if names and len(jobs) == 1 and not dry_run:
                body = _body(world, jobs[0], parameters, force, myself, name)
                _check(jobs[0], parameters, force, world.now())
                made = await _create(cluster, world, body, renamed=not name)
                await _follow_up(cluster, made, wait, patience, task_code, quiet, output)
                return

            async def act(job: SeenJob) -> str:
                _check(job, parameters, force, world.now())
                body = _body(world, job, parameters, force, myself, name)
                return f"started: {(await _create(cluster, world, body, renamed=not name)).name}"

            deed: Deed[SeenJob] = Deed("run", "ScheduledJob", act, lambda _: "started")
            await carry_out(deed, jobs, yes=yes, dry_run=dry_run, output=output)

    run_work(work())


@placed()
def rerun_command(
    context: typer.Context,
    place: Place,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The JobRun.", autocompletion=completion.runs)],
    force: Annotated[bool, typer.Option("--force", help="Run although it is disabled.")] = False,
    wait: Wait = False,
    timeout: Timeout = "",
    task_code: TaskCode = True,
    quiet: Quiet = False,
    output: ObjectFormat = ObjectOutput.TABLE,
) -> None:
    """Do a run again: a new JobRun of the same ScheduledJob, with the same parameters."""
    world = world_of(context)

    async def work() -> None:
        patience = _patience(wait, timeout)
        async with connected(world, place) as cluster:
            before = await find_run(cluster, place.namespace or "", run)
            job = SeenJob(await cluster.get(SCHEDULED_JOBS, before.namespace, before.job))
            parameters = before.spec.get("parameters") or {}
            _check(job, {}, force, world.now())
            body = _body(world, job, parameters, force, await cluster.myself(), "")
            body["metadata"]["annotations"] = {RERUN_OF_ANNOTATION: before.name}
            made = await _create(cluster, world, body, renamed=True)
            await _follow_up(cluster, made, wait, patience, task_code, quiet, output)

    run_work(work())


def _parameters(written: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in written:
        key, equals, value = each.partition("=")
        if not equals or not key:
            raise usage(f"-p {each}: write KEY=VALUE")
        if key in found:
            raise usage(f"-p {each}: {key} is there twice; leave one of them out")
        found[key] = value
    return found


def _patience(wait: bool, timeout: str) -> timedelta | None:
    if timeout and not wait:
        raise usage("--timeout goes with --wait")
    return duration_of(timeout, "--timeout") if timeout else None


def _check(job: SeenJob, parameters: dict[str, str], force: bool, now: datetime) -> None:
    """Refuse at once what would be refused in a moment; the operator has the last word."""
    if job.disabled(now) and not force:
        raise Problem(
            f"{job.key} is disabled{job.why_disabled()}; carillon enable {job.key.name}, or run it with --force",
            Exit.REFUSED,
        )
    declared = {each.get("name"): each for each in job.spec.get("parameters") or ()}
    if unknown := [name for name in parameters if name not in declared]:
        there = f"it has {', '.join(sorted(map(str, declared)))}" if declared else "it has none"
        raise Problem(f"{job.key} has no parameter {unknown[0]}: {there}", Exit.REFUSED)


def _body(world: World, job: SeenJob, parameters: dict[str, str], force: bool, myself: str, name: str) -> Object:
    spec: dict[str, Any] = {"scheduledJob": job.key.name}
    if parameters:
        spec["parameters"] = parameters
    if force:
        spec["force"] = True
    if myself:
        spec["requestedBy"] = myself
    metadata = {"name": name or world.random_name(job.key.name), "namespace": job.key.namespace}
    return {"apiVersion": API_VERSION, "kind": "JobRun", "metadata": metadata, "spec": spec}


async def _create(cluster: Cluster, world: World, body: Object, *, renamed: bool) -> SeenRun:
    """Make the JobRun once, though answers be lost. Raises Problem."""
    namespace, lost = body["metadata"]["namespace"], False
    for attempt in range(1, ATTEMPTS + 1):
        name = body["metadata"]["name"]
        try:
            # Strict where something would be lost otherwise: an older API server drops what it does not know.
            made = await cluster.api.create(JOB_RUNS, namespace, body, strict="parameters" in body["spec"])
        except Unreachable as error:
            if attempt == ATTEMPTS:
                raise explained(error, "create", JOB_RUNS, namespace) from error
            lost = True
        except ApiError as error:
            if not error.already_exists:
                raise explained(error, "create", JOB_RUNS, namespace, name) from error
            there = await cluster.find(JOB_RUNS, namespace, name)
            if lost and there is not None and _is_ours(there, body):
                return seen_run(there)
            if not renamed:
                raise Problem(f"JobRun {name} exists in namespace {namespace}: give another --name") from error
            lost = False
            body["metadata"]["name"] = world.random_name(body["spec"]["scheduledJob"])
        else:
            return seen_run(made)
    raise Problem(f"no free name was found for a run of {body['spec']['scheduledJob']}; try again")


def _is_ours(there: Object, body: Object) -> bool:
    return all(there["spec"].get(field) == body["spec"].get(field) for field in ("scheduledJob", "parameters", "force"))


async def _follow_up(
    cluster: Cluster,
    made: SeenRun,
    wait: bool,
    patience: timedelta | None,
    task_code: bool,
    quiet: bool,
    output: ObjectOutput,
) -> None:
    """Print the run, or wait for it."""
    if not wait:
        _print(made, output)
        return

    def say(text: str) -> None:
        if not quiet:
            typer.echo(f"carillon: {text}", err=True)

    say(f"jobrun.carillon.dev/{made.name} created")
    as_object = output not in (ObjectOutput.TABLE, ObjectOutput.WIDE)
    # Whoever wants the object has stdout for that.
    tail = None if quiet or as_object else Tail(cluster, say=say)
    try:
        ended = await wait_for(cluster, made, tail=tail, say=say, patience=patience)
    except BaseException as problem:
        if not isinstance(problem, Exception):
            say(f"{made.name} goes on: carillon logs {made.name} --follow; carillon stop {made.name}")
        raise
    if as_object:
        print_objects([ended.raw], output, alone=True)
    wrong = verdict(ended, task_code=task_code, words_shown=tail is not None and tail.lines > 0)
    if wrong is not None:
        raise wrong
    say(f"{ended.name} succeeded")


def _print(made: SeenRun, output: ObjectOutput) -> None:
    if output in (ObjectOutput.TABLE, ObjectOutput.WIDE):
        typer.echo(f"jobrun.carillon.dev/{made.name} created")
    else:
        print_objects([made.raw], output, alone=True)
