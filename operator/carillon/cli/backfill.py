"""`carillon backfill`: make the runs of due times of the past; shown first, then asked for."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import typer

from carillon.api.base import rfc3339
from carillon.api.jobrun import TriggerType
from carillon.cli.cluster import Cluster, Place, connected, world_of
from carillon.cli.moments import moment_of
from carillon.cli.options import Output, OutputFormat, placed
from carillon.cli.problems import Problem, explained, run, usage
from carillon.cli.screen import Column, Table, print_data, progress, say, screen
from carillon.engine.backfill import Backfill, Past, concurrency_words, plan, run_body
from carillon.engine.eventruns import without_due_times
from carillon.engine.model import Definition, Key
from carillon.engine.outlook import common_zone, outlooks
from carillon.engine.words import clock, counted
from carillon.kube.errors import ApiError, Unreachable
from carillon.kube.resources import JOB_RUNS

LIMIT = 100
FIRST = 5
"""Due times that are shown of a backfill that is too large."""
_ID = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


@placed()
def backfill_command(
    context: typer.Context,
    place: Place,
    name: Annotated[str, typer.Argument(help="The ScheduledJob.")],
    from_: Annotated[
        str, typer.Option("--from", metavar="TIME", help="First due time; RFC 3339, or YYYY-MM-DD HH:MM in its zone.")
    ],
    to: Annotated[str, typer.Option("--to", metavar="TIME", help="Last due time, written likewise.")],
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Refuse to make more runs than this.")] = LIMIT,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Make the runs without asking.")] = False,
    id_: Annotated[
        str, typer.Option("--id", metavar="ID", help="Name of this backfill; another one makes other runs.")
    ] = "",
    output: OutputFormat = Output.TABLE,
) -> None:
    """Run due times of the past, with their own scheduled times.

    Shows what would run, and asks. The same backfill typed again makes nothing twice.
    """
    world = world_of(context)

    async def work() -> None:
        if id_ and not _ID.fullmatch(id_):
            raise usage(f"--id {id_!r}: write lower-case letters, digits and dashes, at most 40")
        key = Key(place.namespace or "", name)
        now = world.now()
        async with connected(world, place) as cluster:
            definition = await cluster.definition(key)
            _refuse(definition, now)
            begin, end = _range(definition, from_, to, now)
            runs = await cluster.runs(key)
            found = plan(definition, runs, begin, end, now, backfill=id_, limit=limit)
            if output is Output.TABLE:
                _print(definition, found)
            if found.total > limit:
                raise usage(
                    f"{counted(found.total, 'due time')}, and the limit is {limit:,}: ask for less time, or raise the "
                    f"limit: --limit {found.total}. Nothing was made."
                )
            todo = [past for past in found.due if not past.present]
            if not todo:
                _report(definition, found, _Made(), output)
                return
            if not yes and not _agreed(len(todo), output):
                if output is not Output.TABLE:
                    print_data(_json(definition, found, _Made()), output)
                return
            made = await _make(cluster, definition, todo, found.id)
        _report(definition, found, made, output)
        if made.problem is not None:
            raise made.problem

    run(work())


def _refuse(definition: Definition, now: datetime) -> None:
    """Raise Problem where no run could come of it."""
    if definition.invalid:
        raise Problem(f"{definition.key} cannot be scheduled: {definition.invalid}")
    if definition.suspended(now):
        raise Problem(f"{definition.key} is disabled, and its runs would be refused: set spec.suspend to false first")
    if not definition.triggers:
        raise Problem(
            f"{definition.key} {without_due_times(definition)}. Nothing was ever due: create a JobRun to run it"
        )


def _range(definition: Definition, from_: str, to: str, now: datetime) -> tuple[datetime, datetime]:
    zone = common_zone(outlooks(definition, now))
    begin = moment_of(from_, zone, now, "--from").instant
    end = moment_of(to, zone, now, "--to").instant
    if end < begin:
        raise usage(f"--to {to} lies before --from {from_}: exchange them")
    if end > now:
        raise usage(f"--to {to} is still to come: what is due then runs by itself; write a time of the past")
    return begin, end


def _agreed(number: int, output: Output) -> bool:
    """Ask; where nobody can answer, say what would make the runs."""
    if output is Output.TABLE and sys.stdin.isatty():
        if typer.confirm(f"Make {counted(number, 'run')}?", err=True):
            return True
        typer.echo("Nothing was made.", err=True)
        return False
    typer.echo(f"Dry run: nothing was made. --yes makes {counted(number, 'run')}.", err=True)
    return False


COLUMNS = (
    Column("LOCAL TIME"),
    Column("UTC", style="cyan", dispensable=1),
    Column("TRIGGER", style="dim", flexible=1, dispensable=2),
    Column("SO FAR", flexible=1),
)


def _print(definition: Definition, found: Backfill) -> None:
    console = screen()
    console.print(f"[bold]{definition.key}[/]: backfill {found.id}, {counted(found.total, 'due time')}", markup=True)
    if found.due:
        table = Table(COLUMNS)
        foreign = any(past.triggers[0].zone.key != "UTC" for past in found.due)
        shown = found.due if found.total == len(found.due) else found.due[:FIRST]
        for past in shown:
            table.add(
                clock(past.instant, past.triggers[0].zone) if foreign else "",
                clock(past.instant, day=not foreign),
                ", ".join(trigger.name for trigger in past.triggers),
                _so_far(definition, past),
            )
        if found.total > len(shown):
            table.remark(f"  ... and {found.total - len(shown):,} more")
        table.draw(console)
    if found.excluded:
        console.print(f"{counted(found.excluded, 'excluded due time')} left out.", style="yellow")
    if found.due:
        say(console, f"With {concurrency_words(definition)}.")


def _so_far(definition: Definition, past: Past) -> str:
    if past.present:
        return "made by this backfill"
    if past.before is not None:
        return f"{past.before.phase} ({past.before.name})"
    names = [trigger.name for trigger in past.triggers]
    line = next((s for s in definition.status.skips if s.trigger in names and s.from_ <= past.instant <= s.to), None)
    if line is not None:
        return f"skipped: {line.reason}"
    return "before its creation" if past.instant <= definition.created else "no run known"


@dataclass(slots=True)
class _Made:
    """What came of it."""

    names: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    problem: Problem | None = None


async def _make(cluster: Cluster, definition: Definition, todo: Sequence[Past], backfill: str) -> _Made:
    """Make the runs, oldest first; the first refusal ends it.

    One after the other: status.backfills tells how far a backfill has come by a single due time.
    """
    made = _Made()
    with progress("making runs", len(todo)) as advance:
        for past in todo:
            try:
                await _make_one(cluster, definition, past, made, backfill)
            except Problem as problem:
                made.problem = problem
                break
            advance(1)
    return made


async def _make_one(cluster: Cluster, definition: Definition, past: Past, made: _Made, backfill: str) -> None:
    namespace = definition.key.namespace
    try:
        await cluster.api.create(JOB_RUNS, namespace, run_body(definition, past, backfill))
        made.names.append(past.name)
    except ApiError as error:
        if not error.already_exists:
            raise explained(error, "create", JOB_RUNS, namespace, past.name) from error
        if not _is_ours(await cluster.get(JOB_RUNS, namespace, past.name), definition, past):
            raise Problem(
                f"JobRun {past.name} in namespace {namespace} exists, and is not of this backfill: give another --id"
            ) from error
        made.present.append(past.name)
    except Unreachable as error:
        raise explained(error, "create", JOB_RUNS, namespace, past.name) from error


def _is_ours(raw: dict[str, Any], definition: Definition, past: Past) -> bool:
    spec = raw.get("spec") or {}
    same_time = spec.get("scheduledTime") and datetime.fromisoformat(spec["scheduledTime"]) == past.instant
    kind = (spec.get("trigger") or {}).get("type")
    return bool(same_time) and kind == TriggerType.BACKFILL.value and spec.get("scheduledJob") == definition.key.name


def _report(definition: Definition, found: Backfill, made: _Made, output: Output) -> None:
    present = len(made.present) + sum(past.present for past in found.due)
    if output is not Output.TABLE:
        print_data(_json(definition, found, made), output)
        return
    console = screen()
    if not found.due:
        console.print("Nothing was due in that time.")
        return
    there = f"; {counted(present, 'run')} there already" if present else ""
    console.print(f"Made {counted(len(made.names), 'run')}{there}.", style="bold")
    selector = f"carillon.dev/scheduled-job={definition.key.name},carillon.dev/trigger={TriggerType.BACKFILL.value}"
    console.print(f"See them: kubectl get jr -n {definition.key.namespace} -l {selector}", soft_wrap=True)


def _json(definition: Definition, found: Backfill, made: _Made) -> dict[str, Any]:
    done = {**dict.fromkeys(made.names, "created"), **dict.fromkeys(made.present, "present")}
    return {
        "scheduledJob": str(definition.key),
        "id": found.id,
        "total": found.total,
        "excluded": found.excluded,
        "runs": [
            {
                "name": past.name,
                "scheduledTime": rfc3339(past.instant),
                "trigger": past.triggers[0].name,
                "result": "present" if past.present else done.get(past.name, "notMade"),
            }
            for past in found.due
        ],
    }
