"""`carillon import cronjob …`: ScheduledJobs from CronJobs, and the change-over from one to the other and back.

Manifests go to stdout, and words to stderr, so that `carillon import cronjob --all | kubectl apply -f -` works.
The order of a change-over is such that no due time is run by both: the one that has it stops first. One that falls into
the second between is run by neither. Each command can be repeated until it has succeeded.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml

from carillon.api.base import rfc3339
from carillon.cli.cluster import Api, Place, connected, world_of
from carillon.cli.exit_codes import Exit
from carillon.cli.options import placed
from carillon.cli.problems import explained, run, usage
from carillon.engine import importing
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import CRON_JOBS, SCHEDULED_JOBS

app = typer.Typer(help="Bring what other schedulers run to Carillon.", no_args_is_help=True)

Object = dict[str, Any]
Clock = Callable[[], datetime]


class Output(StrEnum):
    """How manifests are printed."""

    YAML = "yaml"
    REPORT = "report"


@app.callback()
def _import() -> None:
    """Bring what other schedulers run to Carillon."""


@app.command()
@placed(everywhere=True)
def cronjob(
    context: typer.Context,
    place: Place,
    name: Annotated[str | None, typer.Argument(help="Name of the CronJob; or use --all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All CronJobs of the namespace.")] = False,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="yaml: manifests and report; report: the report alone.")
    ] = Output.YAML,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Suspend the CronJob and create the ScheduledJob.")
    ] = False,
    give_back: Annotated[
        bool, typer.Option("--give-back", help="Disable the ScheduledJob and resume the CronJob.")
    ] = False,
) -> None:
    """Print ScheduledJobs that do what CronJobs do, and say what is equal and what changes.

    Exits with 1 when one of them cannot be imported, or changed over.
    """
    world = world_of(context)

    async def work() -> int:
        if (name is None) != every:
            raise usage("write the name of a CronJob, or --all")
        if name is not None and place.namespace is None:
            raise usage(f"{name} and --all-namespaces: name the namespace with -n, or use --all")
        if take_over and give_back:
            raise usage("--take-over and --give-back are opposites: write one of them")
        async with connected(world, place) as cluster:
            if name is not None:
                found = [await cluster.get(CRON_JOBS, place.namespace or "", name)]
            else:
                # Those that we keep for definitions with backend: CronJob are nobody's to import.
                found = [raw for raw in await cluster.list(CRON_JOBS, place.namespace) if not importing.kept_by_us(raw)]
                if give_back:
                    found = [raw for raw in found if importing.taken_over(raw)]
                if not found:
                    _say("no CronJobs that were taken over" if give_back else "no CronJobs")
            act = _take_over if take_over else _give_back if give_back else None
            if act is None:
                return sum(not _print(raw, output) for raw in found)
            problems = 0
            for raw in found:
                try:
                    await act(cluster.api, raw, world.now)
                except (_Refused, ApiError, Unreachable) as problem:
                    _say(f"CronJob {_name(raw)}: {problem}")
                    problems += 1
            return problems

    if run(work()):
        raise typer.Exit(Exit.FAILED)


class _Refused(Exception):  # noqa: N818  (said to people, and the next CronJob's turn)
    """What could not be done, and what to do about it."""


def _print(raw: Object, output: Output) -> bool:
    imported = importing.import_cron_job(raw)
    if imported.problem:
        _say(f"CronJob {_name(raw)}: not imported: {imported.problem}")
        return False
    if output is Output.YAML:
        typer.echo("---\n" + yaml.safe_dump(imported.manifest, sort_keys=False, width=120), nl=False)
    _report(raw, imported)
    return True


def _report(raw: Object, imported: importing.Imported) -> None:
    _say(f"CronJob {_name(raw)}:")
    for word, lines in (("equal", imported.equal), ("changes", imported.changes)):
        for line in lines:
            _say(f"  {word + ':':8} {line}")


async def _take_over(client: Api, raw: Object, _clock: Clock) -> None:
    """Suspend the CronJob, then have the ScheduledJob count from now on."""
    namespace, name = raw["metadata"]["namespace"], raw["metadata"]["name"]
    imported = importing.import_cron_job(raw)
    if imported.problem:
        raise _Refused(f"not taken over: {imported.problem}")
    for job in (raw.get("status") or {}).get("active") or ():
        _say(f"CronJob {_name(raw)}: its Job {job.get('name')} runs on; the ScheduledJob does not wait for it")
    scheduled_job = await _find(client, namespace, name)
    if scheduled_job is not None and not importing.imported_from(scheduled_job, raw):
        raise _Refused("not taken over: a ScheduledJob of this name exists, and was not made from it")
    await _try_out(client, raw, imported, scheduled_job)
    undo = f"Repeat the command, or undo it: carillon import cronjob {name} -n {namespace} --give-back"
    if not importing.taken_over(raw) or not raw["spec"].get("suspend"):
        with _breaking_off(raw, f"it may be suspended by now, and then nothing runs. {undo}", nothing_if_refused=True):
            await client.merge_patch(CRON_JOBS, namespace, name, importing.take_over_patch(raw))
    with _breaking_off(raw, f"it is suspended, and the ScheduledJob does not run yet: nothing runs now. {undo}"):
        if scheduled_job is None:
            scheduled_job = await client.create(SCHEDULED_JOBS, namespace, imported.manifest, strict=True)
            _report(raw, imported)
        elif importing.given_back(scheduled_job):
            patch = importing.resume_patch(scheduled_job, raw)
            scheduled_job = await client.merge_patch(SCHEDULED_JOBS, namespace, name, patch)
    if not scheduled_job["spec"].get("suspend"):
        after = f"ScheduledJob {name} runs in its place"
    elif importing.suspended_before(raw):
        after = f"ScheduledJob {name} is disabled, as it was"
    else:
        after = (
            f"ScheduledJob {name} is disabled, which somebody has done: nothing runs now. "
            f"Enable it: {_patch(namespace, name, {'suspend': False})}"
        )
    _say(f"CronJob {_name(raw)}: taken over; it is suspended, and {after}")


async def _try_out(client: Api, raw: Object, imported: importing.Imported, there: Object | None) -> None:
    """Ask the API server for the ScheduledJob that would be made; one that is there from before has to be the same."""
    namespace, name = raw["metadata"]["namespace"], raw["metadata"]["name"]
    # Where the name is taken, one of another name shows what the API server makes of the fields: it adds defaults.
    metadata = imported.manifest["metadata"] if there is None else {"generateName": "import-", "namespace": namespace}
    body = {**imported.manifest, "metadata": metadata}
    try:
        made = await client.create(SCHEDULED_JOBS, namespace, body, dry_run=True, strict=True)
    except ApiError as error:
        raise _Refused(f"not taken over: the ScheduledJob would be refused: {error.message}") from error
    if there is None:
        return
    one, other = ({k: v for k, v in spec.items() if k != "suspend"} for spec in (made["spec"], there["spec"]))
    if differ := importing.differences(one, other):
        raise _Refused(
            f"not taken over: ScheduledJob {name} is there from before, and differs in {', '.join(differ)}. "
            f"Make it the same, or delete it with its history (kubectl -n {namespace} delete sj {name}), and repeat "
            "the command"
        )


async def _give_back(client: Api, raw: Object, clock: Clock) -> None:
    """Suspend the ScheduledJob, then resume the CronJob, which must not start what has been run meanwhile."""
    namespace, name = raw["metadata"]["namespace"], raw["metadata"]["name"]
    scheduled_job = await _find(client, namespace, name)
    imported = scheduled_job is not None and importing.imported_from(scheduled_job, raw)
    if not importing.taken_over(raw):
        if scheduled_job is not None and imported and scheduled_job["spec"].get("suspend"):
            _say(f"CronJob {_name(raw)}: it has been given back already; ScheduledJob {name} is disabled")
            return
        raise _Refused("not given back: it was not taken over")
    if scheduled_job is not None and not imported and not scheduled_job["spec"].get("suspend"):
        raise _Refused(
            f"not given back: ScheduledJob {name} runs, and does not say that it was made from it, so both would run. "
            f"Disable it and repeat the command: {_patch(namespace, name, {'suspend': True})}"
        )
    resume = importing.give_back_patch(raw)
    try:
        # Who may not do all of it is told before anything is done.
        await client.merge_patch(CRON_JOBS, namespace, name, _counted(raw, clock()), subresource="status", dry_run=True)
        await client.merge_patch(CRON_JOBS, namespace, name, resume, dry_run=True)
    except ApiError as error:
        raise _Refused(
            f"not given back: it takes the right to patch cronjobs and cronjobs/status, and it was refused: {error}"
        ) from error
    undo = f"Repeat the command, or undo it: carillon import cronjob {name} -n {namespace} --take-over"
    if scheduled_job is not None and imported:
        patch = importing.give_up_patch(scheduled_job, raw)
        words = f"the ScheduledJob may be disabled by now, and then nothing runs. {undo}"
        with _breaking_off(raw, words, nothing_if_refused=True):
            await client.merge_patch(SCHEDULED_JOBS, namespace, name, patch)
    # Its controller starts the newest due time since its last one at once, though Carillon has run that; what Carillon
    # may run is known only now that the ScheduledJob is suspended.
    counted = _counted(raw, clock())
    words = f"it is still suspended, and no ScheduledJob runs in its place: nothing runs now. {undo}"
    with _breaking_off(raw, words):
        await client.merge_patch(CRON_JOBS, namespace, name, counted, subresource="status")
        await client.merge_patch(CRON_JOBS, namespace, name, resume)
    left = "" if scheduled_job is None else f"; ScheduledJob {name} is disabled, and can be deleted"
    _say(f"CronJob {_name(raw)}: given back{left}")


@contextmanager
def _breaking_off(raw: Object, words: str, *, nothing_if_refused: bool = False) -> Iterator[None]:
    """Say where a change-over stands that breaks off here, whoever breaks it off.

    Args:
        raw: the CronJob.
        words: how things are then, and what to type.
        nothing_if_refused: whether nothing has been done yet when the API server refuses this.
    """
    try:
        yield
    except (ApiError, Unreachable) as error:
        if nothing_if_refused and isinstance(error, ApiError):
            raise
        raise _Refused(f"{words} ({error})") from error
    except (asyncio.CancelledError, KeyboardInterrupt):
        _say(f"CronJob {_name(raw)}: {words}")
        raise


def _counted(raw: Object, now: datetime) -> Object:
    """Build the patch after which a CronJob starts nothing that was due up to now."""
    return {"metadata": {"uid": raw["metadata"]["uid"]}, "status": {"lastScheduleTime": rfc3339(now)}}


def _patch(namespace: str, name: str, spec: Object) -> str:
    return f"kubectl -n {namespace} patch sj {name} --type merge -p '{json.dumps({'spec': spec})}'"


async def _find(client: Api, namespace: str, name: str) -> Object | None:
    try:
        return await client.get(SCHEDULED_JOBS, namespace, name)
    except ApiError as error:
        if not error.not_found:
            raise explained(error, "get", SCHEDULED_JOBS, namespace, name) from error
        return None
    except Unreachable as error:
        raise explained(error, "get", SCHEDULED_JOBS, namespace, name) from error


def _name(raw: Object) -> str:
    return f"{raw['metadata']['namespace']}/{raw['metadata']['name']}"


def _say(text: str) -> None:
    typer.echo(text, err=True)
