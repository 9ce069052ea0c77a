"""`carillon import cronjob …`: ScheduledJobs from CronJobs, and the change-over from one to the other and back.

Manifests go to stdout, and words to stderr, so that `carillon import cronjob --all | kubectl apply -f -` works.
The order of a change-over is such that no due time is run by both: the one that has it stops first. One that falls into
the second between is run by neither. Each command can be repeated until it has succeeded.
"""

import asyncio
import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from carillon.api.base import rfc3339
from carillon.engine import importing
from carillon.kube.client import Client
from carillon.kube.errors import ApiError, NotConfigured, Unreachable
from carillon.kube.resources import CRON_JOBS, SCHEDULED_JOBS

EXIT_PROBLEMS = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3

app = typer.Typer(help="Bring what other schedulers run to Carillon.", no_args_is_help=True)

Object = dict[str, Any]


class Output(StrEnum):
    """How manifests are printed."""

    YAML = "yaml"
    REPORT = "report"


@app.callback()
def _import() -> None:
    """Bring what other schedulers run to Carillon."""


@app.command()
def cronjob(
    name: Annotated[str | None, typer.Argument(help="Name of the CronJob; or use --all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All CronJobs of the namespace.")] = False,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Default: that of the kubeconfig's context.")
    ] = "",
    output: Annotated[
        Output, typer.Option("--output", "-o", help="yaml: manifests and report; report: the report alone.")
    ] = Output.YAML,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Suspend the CronJob and create the ScheduledJob.")
    ] = False,
    give_back: Annotated[
        bool, typer.Option("--give-back", help="Suspend the ScheduledJob and resume the CronJob.")
    ] = False,
    kubeconfig: Annotated[
        str | None, typer.Option(help="Path of a kubeconfig; default: $KUBECONFIG, or the pod's own.")
    ] = None,
) -> None:
    """Print ScheduledJobs that do what CronJobs do, and say what is equal and what changes.

    Exits with 1 when one of them cannot be imported.
    """
    if (name is None) != every:
        _stop("write the name of a CronJob, or --all", EXIT_USAGE)
    if take_over and give_back:
        _stop("--take-over and --give-back are opposites; write one of them", EXIT_USAGE)
    where = namespace or _namespace_in_force(kubeconfig)
    act = _take_over if take_over else _give_back if give_back else None
    try:
        problems = asyncio.run(_each(name, where, kubeconfig, output, act))
    except (ApiError, Unreachable, NotConfigured) as error:
        _stop(str(error), EXIT_UNREACHABLE)
    if problems:
        raise typer.Exit(EXIT_PROBLEMS)


async def _each(name: str | None, namespace: str, kubeconfig: str | None, output: Output, act: Any) -> int:
    """Deal with the CronJobs one after the other; how many could not be dealt with."""
    client = await Client.connect(kubeconfig=kubeconfig)
    try:
        if name is not None:
            found = [await client.get(CRON_JOBS, namespace, name)]
        else:
            found, _ = await client.list(CRON_JOBS, namespace)
            found = [raw for raw in found if not importing.kept_by_us(raw)]
        problems = 0
        for raw in found:
            if act is None:
                problems += not _print(raw, output)
                continue
            try:
                await act(client, raw)
            except _Refused as problem:
                _say(f"CronJob {_name(raw)}: {problem}")
                problems += 1
        if not found:
            _say(f"no CronJobs in namespace {namespace}")
        return problems
    finally:
        await client.close()


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


async def _take_over(client: Client, raw: Object) -> None:
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
    if scheduled_job is None:
        try:
            await client.create(SCHEDULED_JOBS, namespace, imported.manifest, dry_run=True, strict=True)
        except ApiError as error:
            raise _Refused(f"not taken over: the ScheduledJob would be refused: {error.message}") from error
    suspend = importing.suspended_before(raw)
    if not importing.taken_over(raw) or not raw["spec"].get("suspend"):
        await client.merge_patch(CRON_JOBS, namespace, name, importing.take_over_patch(raw))
    try:
        if scheduled_job is None:
            await client.create(SCHEDULED_JOBS, namespace, imported.manifest, strict=True)
            _report(raw, imported)
        else:
            await client.merge_patch(SCHEDULED_JOBS, namespace, name, {"spec": {"suspend": suspend}})
    except (ApiError, Unreachable) as error:
        raise _Refused(
            f"it is suspended, and the ScheduledJob is not there yet: nothing runs now ({error}). Repeat the command, "
            f"or undo it: carillon import cronjob {name} -n {namespace} --give-back"
        ) from error
    _say(f"CronJob {_name(raw)}: taken over; it is suspended, and ScheduledJob {name} runs in its place")


async def _give_back(client: Client, raw: Object) -> None:
    """Suspend the ScheduledJob, then resume the CronJob, which must not start what has been run meanwhile."""
    namespace, name = raw["metadata"]["namespace"], raw["metadata"]["name"]
    if not importing.taken_over(raw):
        raise _Refused("not given back: it was not taken over")
    scheduled_job = await _find(client, namespace, name)
    if scheduled_job is not None and importing.imported_from(scheduled_job, raw):
        await client.merge_patch(SCHEDULED_JOBS, namespace, name, {"spec": {"suspend": True}})
    # Its controller starts the newest due time since its last one at once, though Carillon has run that.
    counted = {"metadata": {"uid": raw["metadata"]["uid"]}, "status": {"lastScheduleTime": rfc3339(datetime.now(UTC))}}
    try:
        await client.merge_patch(CRON_JOBS, namespace, name, counted, subresource="status")
        await client.merge_patch(CRON_JOBS, namespace, name, importing.give_back_patch(raw))
    except (ApiError, Unreachable) as error:
        raise _Refused(
            f"the ScheduledJob is disabled, and the CronJob is still suspended: nothing runs now ({error}). "
            "Repeat the command (it patches cronjobs and cronjobs/status), or undo it: "
            f"carillon import cronjob {name} -n {namespace} --take-over"
        ) from error
    _say(f"CronJob {_name(raw)}: given back; ScheduledJob {name} is disabled, and can be deleted")


async def _find(client: Client, namespace: str, name: str) -> Object | None:
    try:
        return await client.get(SCHEDULED_JOBS, namespace, name)
    except ApiError as error:
        if not error.not_found:
            raise
        return None


def _namespace_in_force(kubeconfig: str | None) -> str:
    """The namespace of the kubeconfig's current context, as kubectl takes it."""
    paths = (kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")).split(os.pathsep)
    documents = [yaml.safe_load(path.read_text()) or {} for path in map(Path, paths) if path.is_file()]
    current = next((d["current-context"] for d in documents if d.get("current-context")), "")
    contexts = [c for d in documents for c in d.get("contexts") or () if c.get("name") == current]
    return next((c["context"]["namespace"] for c in contexts if c["context"].get("namespace")), "default")


def _name(raw: Object) -> str:
    return f"{raw['metadata']['namespace']}/{raw['metadata']['name']}"


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _stop(text: str, code: int) -> None:
    _say(f"carillon import cronjob: {text}")
    raise typer.Exit(code)
