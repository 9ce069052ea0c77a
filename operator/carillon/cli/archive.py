"""`carillon archive`: the finished runs that the archive keeps, also those whose JobRun and definition are long gone.

It reads the database itself: docs/decisions/0013 says why not through the operator.
"""

import base64
import binascii
import csv
import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carillon.api.base import rfc3339
from carillon.api.jobrun import Phase
from carillon.archive.errors import ArchiveError, NotUsable
from carillon.archive.query import Query
from carillon.archive.record import Record
from carillon.cli.cluster import Place, World, connected, world_of
from carillon.cli.exit_codes import Exit
from carillon.cli.moments import rfc3339_of
from carillon.cli.options import AllNamespaces, Context, Kubeconfig, Namespace, Output, OutputFormat
from carillon.cli.problems import Problem, run, usage
from carillon.cli.screen import Column, Table, harmless, print_data, say, screen
from carillon.engine.words import clock, span
from carillon.kube.resources import SECRETS

if TYPE_CHECKING:
    from carillon.archive.database import Archive

URL_VARIABLE = "CARILLON_ARCHIVE_URL"
SECRET_KEY = "url"
WHICH_PANEL = "Which archive"
_SPAN = re.compile(r"(?P<number>[1-9]\d{0,5})(?P<unit>[mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_CSV = [
    "namespace",
    "scheduledJob",
    "run",
    "uid",
    "label",
    "owner",
    "class",
    "triggerType",
    "triggerName",
    "requestedBy",
    "phase",
    "reason",
    "exitCode",
    "attempts",
    "scheduledTime",
    "startTime",
    "completionTime",
    "message",
]

app = typer.Typer(help="Read the archive of finished runs.", no_args_is_help=True)


class ListOutput(StrEnum):
    """How a list is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


Url = Annotated[
    str | None,
    typer.Option(
        envvar=URL_VARIABLE,
        show_envvar=True,
        metavar="URL",
        help="postgresql://…, or sqlite:////PATH. Better in the environment: others see command lines.",
        rich_help_panel=WHICH_PANEL,
    ),
]
Secret = Annotated[
    str | None,
    typer.Option(
        metavar="NAMESPACE/NAME",
        help=f"A Secret of the cluster that has the URL, under the key {SECRET_KEY}; you need the right to get it.",
        rich_help_panel=WHICH_PANEL,
    ),
]


@app.command("list")
def list_command(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A ScheduledJob; all of them if empty.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Ended then or later: RFC 3339, or an age such as 90m, 12h, 7d.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Ended before: the same.")] = None,
    phase: Annotated[
        list[str] | None, typer.Option(metavar="PHASE", help="Succeeded, Failed, Stopped or Skipped; may be repeated.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="The same as --phase Failed.")] = False,
    owner: Annotated[str | None, typer.Option(metavar="OWNER", help="The definition's owner.")] = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="The newest so many; 0: all of them.")] = 50,
    output: Annotated[ListOutput, typer.Option("--output", "-o", help="How the answer is printed.")] = ListOutput.TABLE,
    url: Url = None,
    secret: Secret = None,
    kubeconfig: Kubeconfig = None,
    kube_context: Context = None,
    namespace: Namespace = None,
    everywhere: AllNamespaces = False,
) -> None:
    """List finished runs, those that ended last first. JSON is an array of runs."""
    world = world_of(context)

    async def work() -> None:
        place = Place.of(kubeconfig, kube_context, namespace, everywhere)
        now = world.now()
        query = Query(
            namespace=place.namespace,
            scheduled_job=name,
            owner=owner,
            phases=_phases(phase or (), failed),
            since=_moment(since, now, "--since"),
            until=_moment(until, now, "--until"),
            # One more, to know whether there are more.
            limit=limit + 1 if limit else None,
        )
        found = _ask(await _address(world, place, url, secret), query)
        more = bool(limit) and len(found) > limit
        shown = found[:limit] if limit else found
        if output is ListOutput.JSON:
            print_data([_json(record) for record in shown], Output.JSON)
        elif output is ListOutput.CSV:
            _print_csv(shown)
        else:
            _print_table(shown, everywhere=place.namespace is None)
        if more:
            typer.echo(f"carillon: there are more than {limit}; --limit shows more of them, 0 all", err=True)

    run(work())


@app.command("show")
def show_command(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="RUN", help="Name or UID of a run.")],
    output: OutputFormat = Output.TABLE,
    url: Url = None,
    secret: Secret = None,
    kubeconfig: Kubeconfig = None,
    kube_context: Context = None,
    namespace: Namespace = None,
    everywhere: AllNamespaces = False,
) -> None:
    """Show all that the archive has about a run."""
    world = world_of(context)

    async def work() -> None:
        place = Place.of(kubeconfig, kube_context, namespace, everywhere)
        found = _ask(await _address(world, place, url, secret), Query(namespace=place.namespace, run=name))
        if not found:
            where = f"in namespace {place.namespace}" if place.namespace else "in any namespace"
            raise Problem(f"the archive has no run {name} {where}")
        if output is Output.JSON:
            print_data(_json(found[0]), Output.JSON)
        else:
            _print_run(found[0])
        if len(found) > 1:
            others = ", ".join(record.uid for record in found[1:])
            typer.echo(f"carillon: the newest of {len(found)} of this name; the others by UID: {others}", err=True)

    run(work())


def _phases(given: Sequence[str], failed: bool) -> tuple[str, ...]:
    finished = {phase.value.lower(): phase.value for phase in Phase if phase.finished}
    wanted = [*given, *([Phase.FAILED.value] if failed else [])]
    for phase in wanted:
        if phase.lower() not in finished:
            raise usage(f"--phase: found {phase!r}; write one of {', '.join(finished.values())}")
    return tuple(finished[phase.lower()] for phase in wanted)


def _moment(text: str | None, now: datetime, option: str) -> datetime | None:
    if text is None:
        return None
    age = _SPAN.fullmatch(text.strip())
    if age is None:
        return rfc3339_of(text, option)
    try:
        return now - timedelta(**{_UNITS[age["unit"]]: int(age["number"])})
    except OverflowError:
        raise usage(f"{option} {text}: found an age from before the calendar; write a smaller one") from None


async def _address(world: World, place: Place, url: str | None, secret: str | None) -> str:
    """Find the URL: as given, or from a Secret, read with the person's own rights."""
    if secret is None:
        if not url:
            raise usage(f"which archive? Give --url or --secret, or set {URL_VARIABLE}")
        return url
    if url and os.environ.get(URL_VARIABLE) != url:
        raise usage("--url and --secret: give one of them")
    namespace, _, name = secret.partition("/")
    if not namespace or not name:
        raise usage(f"--secret: found {secret!r}; write NAMESPACE/NAME")
    async with connected(world, place) as cluster:
        found = await cluster.get(SECRETS, namespace, name)
    try:
        return base64.b64decode((found.get("data") or {})[SECRET_KEY], validate=True).decode().strip()
    except (KeyError, binascii.Error, UnicodeDecodeError):
        raise Problem(f"Secret {namespace}/{name} has no key {SECRET_KEY} with the archive's URL") from None


def _open(url: str) -> "Archive":
    try:
        from carillon.archive.database import Archive  # here: only these commands need SQLAlchemy
    except ImportError as error:
        raise Problem(f"the archive needs {error.name}: pip install 'carillon[archive]'", Exit.USAGE) from None
    return Archive(lambda: url, read_only=True)


def _ask(url: str, query: Query) -> list[Record]:
    archive = _open(url)
    try:
        return archive.find(query)
    except NotUsable as error:
        raise Problem(str(error), Exit.USAGE) from None
    except ArchiveError as error:
        raise Problem(f"the archive does not answer: {error}", Exit.UNREACHABLE) from None
    finally:
        archive.close()


def _print_table(records: Sequence[Record], *, everywhere: bool) -> None:
    if not records:
        typer.echo("No such runs are archived.", err=True)
        return
    table = Table(
        (
            Column("ENDED"),
            *([Column("NAMESPACE")] if everywhere else []),
            Column("JOB"),
            Column("RUN", dispensable=3),
            Column("TRIGGER", dispensable=1),
            Column("STATUS"),
            Column("TOOK", dispensable=2),
            Column("OWNER", dispensable=4),
            Column("MESSAGE", flexible=True),
        )
    )
    for record in records:
        table.add(
            clock(record.completion_time, day=False),
            *([record.namespace] if everywhere else []),
            record.scheduled_job,
            record.name,
            record.trigger_name or record.trigger_type,
            record.phase,
            _took(record),
            harmless(record.owner),
            _last_line(record.message) if record.phase != Phase.SUCCEEDED.value else "",
        )
    table.draw(screen())


def _print_run(record: Record) -> None:
    console = screen()
    console.print(f"{record.namespace}/{record.name}", style="bold")
    exit_code = "" if record.exit_code is None else f", exit code {record.exit_code}"
    facts = {
        "job": f"{record.scheduled_job} ({harmless(record.label)})" if record.label else record.scheduled_job,
        "owner": harmless(record.owner),
        "class": record.job_class,
        "trigger": " ".join(filter(None, (record.trigger_type, record.trigger_name))),
        "requested by": harmless(record.requested_by),
        "parameters": harmless(", ".join(f"{key}={value}" for key, value in (record.parameters or {}).items())),
        "due": _when(record.scheduled_time),
        "started": _when(record.start_time),
        "ended": f"{_when(record.completion_time)}{f', after {_took(record)}' if _took(record) else ''}",
        "attempts": "" if record.attempts is None else str(record.attempts),
        "status": f"{record.phase}{f', {record.reason}' if record.reason else ''}{exit_code}",
        "UID": record.uid,
        "archived": _when(record.recorded_at),
    }
    width = max(len(what) for what in facts)
    for what, said in facts.items():
        if said:
            say(console, f"{what:<{width}}  {said}", indent=width + 2)
    if not record.whole:
        say(console, "The JobRun was deleted before it was archived: this is what its definition's history had kept.")
    for step in record.steps if len(record.steps) > 1 else ():
        code = f", exit code {step['exitCode']}" if "exitCode" in step else ""
        say(console, f"step {step.get('name', '')}: {step.get('phase', '')}{code}", indent=4)
    if record.message:
        console.print()
        for line in record.message.splitlines():
            say(console, harmless(line))


def _json(record: Record) -> dict[str, Any]:
    """Put a record into the words of the API."""
    return {
        "namespace": record.namespace,
        "scheduledJob": record.scheduled_job,
        "run": record.name,
        "uid": record.uid,
        "definitionUID": record.definition_uid,
        "label": record.label,
        "owner": record.owner,
        "class": record.job_class,
        "trigger": {"type": record.trigger_type, "name": record.trigger_name},
        "backfill": record.backfill,
        "requestedBy": record.requested_by,
        "parameters": record.parameters or {},
        "phase": record.phase,
        "reason": record.reason,
        "message": record.message,
        "exitCode": record.exit_code,
        "attempts": record.attempts,
        "scheduledTime": _instant(record.scheduled_time),
        "creationTime": _instant(record.created),
        "startTime": _instant(record.start_time),
        "completionTime": _instant(record.completion_time),
        "steps": list(record.steps),
        "whole": record.whole,
        "archivedTime": _instant(record.recorded_at),
    }


def _print_csv(records: Sequence[Record]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_CSV)
    for record in records:
        row = _json(record) | {"triggerType": record.trigger_type, "triggerName": record.trigger_name}
        writer.writerow([row[name] for name in _CSV])


def _instant(value: datetime | None) -> str | None:
    return None if value is None else rfc3339(value)


def _when(value: datetime | None) -> str:
    return "" if value is None else clock(value)


def _took(record: Record) -> str:
    return "" if record.start_time is None else span(record.completion_time - record.start_time)


def _last_line(message: str) -> str:
    lines = [line for line in message.splitlines() if line.strip()]
    return harmless(lines[-1]) if lines else ""
