"""`carillon next`: the due times to come, of a definition, a file, a namespace, or an expression alone."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from carillon.api.base import rfc3339
from carillon.cli.cluster import Place, world_of
from carillon.cli.moments import rfc3339_of
from carillon.cli.options import Output, OutputFormat, placed
from carillon.cli.problems import Problem, run, usage
from carillon.cli.screen import Column, Table, print_data, say, screen
from carillon.cli.sources import of_cluster, of_cron, of_file
from carillon.engine.disabling import disabled_until
from carillon.engine.eventruns import without_due_times
from carillon.engine.model import Definition, Key
from carillon.engine.native import refused
from carillon.engine.outlook import Outlook, outlooks
from carillon.engine.preview import ChangeRow, DueRow, Preview, preview
from carillon.engine.words import civil, clock, counted, distance, span
from carillon.schedule import DaylightSaving

MOST = 100_000
_HASH = re.compile(r"\b[Hh]\b")


@placed(everywhere=True)
def next_command(
    context: typer.Context,
    place: Place,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A ScheduledJob; all of them if empty.")] = None,
    file: Annotated[
        str | None,
        typer.Option("--filename", "-f", metavar="FILE", help="ScheduledJobs in a YAML file; - for stdin. No cluster."),
    ] = None,
    cron: Annotated[str | None, typer.Option(metavar="EXPR", help="An expression alone. No cluster.")] = None,
    time_zone: Annotated[str | None, typer.Option(metavar="TZ", help="With --cron: IANA name. Default: UTC.")] = None,
    daylight_saving: Annotated[
        DaylightSaving | None, typer.Option(help="With --cron: what happens when clocks change. Default: RunOnce.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="RFC3339", help="Due times after this instant. Default: now.")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, metavar="N", help="Due times of each job. Default: 10; 1 in a list of jobs."),
    ] = None,
    excluded: Annotated[bool, typer.Option("--excluded", help="List what exclusions leave out, too.")] = False,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Print the due times to come, in local time and UTC, with the changes of the clocks.

    JSON is an array of UTC instants; of several definitions, an object of such arrays by namespace/name.
    """
    world = world_of(context)

    async def work() -> None:
        if sum(given is not None for given in (name, file, cron)) > 1:
            raise usage("NAME, -f and --cron: give one of them")
        if cron is None and (time_zone is not None or daylight_saving is not None):
            raise usage("--time-zone and --daylight-saving go with --cron; a definition has its own")
        if cron is not None and not cron.strip():
            raise usage("--cron: found nothing; write an expression, such as '30 2 * * *'")
        if time_zone is not None and not time_zone.strip():
            raise usage("--time-zone: found nothing; write a name such as Europe/Paris, or leave it out")
        now = world.now()
        after = now if from_ is None else rfc3339_of(from_, "--from")
        if cron is not None:
            definitions = [of_cron(cron, time_zone, daylight_saving, after)]
        elif file is not None:
            definitions = await of_file(world, file, place, after)
        else:
            definitions = await of_cluster(world, place, name)
        each = count or (10 if name is not None or file is not None or cron is not None else 1)
        one = (
            definitions[0]
            if name is not None or cron is not None or (file is not None and len(definitions) == 1)
            else None
        )
        if one is not None and one.invalid:
            raise Problem(_invalid(one), _code(file, cron))
        shown = [(d.key, outlooks(d, after if file or cron else now)) for d in definitions if not d.invalid]
        if output is not Output.TABLE:
            listed = one is None and file is None
            silent = {d.key: why for d in definitions if not d.invalid and (why := _why_nothing_fires(d, now))}
            wanted = [pair for pair in shown if not (listed and pair[0] in silent)]
            print_data(_due(wanted, after, each, alone=one is not None), output)
            for remark in _left_out(definitions, now) if listed else [f"{key}: {why}" for key, why in silent.items()]:
                typer.echo(f"carillon: {remark}", err=True)
        elif one is not None or file is not None:
            for number, definition in enumerate(d for d in definitions if not d.invalid):
                if number:
                    typer.echo()
                _print_one(definition, after, now, each, excluded, titled=cron is None)
        else:
            _print_all([d for d in definitions if not d.invalid], after, now, each, excluded, place.namespace is None)
        for definition in definitions:
            if definition.invalid:
                typer.echo(f"carillon: {_invalid(definition)}", err=True)
        if file is not None and any(definition.invalid for definition in definitions):
            raise Problem("not every definition can be scheduled", _code(file, cron))

    run(work())


def _code(file: str | None, cron: str | None) -> Any:
    from carillon.cli.exit_codes import Exit

    return Exit.USAGE if file is not None or cron is not None else Exit.FAILED


def _invalid(definition: Definition) -> str:
    return f"{definition.key}: {definition.invalid}" if definition.key.namespace else definition.invalid


def _why_nothing_fires(definition: Definition, now: datetime) -> str:
    """Say why due times pass without a run; empty when they do not."""
    if definition.suspended(now):
        until = disabled_until(definition, now)
        end = "spec.suspend is false" if until is None else f"{rfc3339(until)} (spec.suspendUntil)"
        return f"the job is disabled: nothing fires until {end}"
    condition = refused(definition)
    return "" if condition is None else f"nothing fires it: {condition.message.rstrip('.')}"


def _left_out(definitions: Sequence[Definition], now: datetime) -> list[str]:
    """Say which jobs of a list are not shown: the disabled are counted, and what the cluster refuses is named."""
    valid = [definition for definition in definitions if not definition.invalid]
    disabled = sum(definition.suspended(now) for definition in valid)
    return [
        *([f"{counted(disabled, 'disabled job')} left out"] if disabled else []),
        *(f"{d.key} left out: {why}" for d in valid if not d.suspended(now) and (why := _why_nothing_fires(d, now))),
    ]


def _due(shown: Sequence[tuple[Key, Sequence[Outlook]]], after: datetime, count: int, *, alone: bool) -> Any:
    due = {
        str(key): [rfc3339(row.instant) for row in preview([(key, triggers)], after, count).due]
        for key, triggers in shown
    }
    return next(iter(due.values())) if alone else due


COLUMNS = (
    Column("NAMESPACE", flexible=1),
    Column("NAME", flexible=1),
    Column("LOCAL TIME"),
    Column("UTC", style="cyan", dispensable=1),
    Column("WAIT"),
    Column("TRIGGER", style="dim", flexible=1),
)


def _print_one(
    definition: Definition, after: datetime, now: datetime, count: int, excluded: bool, *, titled: bool
) -> None:
    triggers = outlooks(definition, now)
    console = screen()
    if titled:
        console.print(f"[bold]{definition.key}[/]", markup=True)
    if not triggers:
        say(console, f"It {without_due_times(definition)}.")
        return
    found = preview([(definition.key, triggers)], after, count, excluded=excluded)
    table = Table(COLUMNS)
    _fill(table, found, now, alone=True, everywhere=False, named=titled)
    if not found.rows:
        console.print("Nothing is due any more.")
    else:
        table.draw(console)
    for remark in _remarks(definition, found, now, count, excluded):
        say(console, remark, "yellow")


def _print_all(
    definitions: Sequence[Definition], after: datetime, now: datetime, count: int, excluded: bool, everywhere: bool
) -> None:
    enabled = [definition for definition in definitions if not _why_nothing_fires(definition, now)]
    each = [preview([(d.key, outlooks(d, now))], after, count, excluded=excluded) for d in enabled]
    # The clock changes of ten jobs' next due times would be noise; what they do to a due time stands below it.
    due = sorted(
        (row for p in each for row in p.rows if isinstance(row, DueRow)), key=lambda row: (row.instant, row.key)
    )
    found = Preview(tuple(due), sum(p.excluded for p in each))
    console = screen()
    table = Table(COLUMNS)
    _fill(table, found, now, alone=False, everywhere=everywhere, named=True)
    if found.rows:
        table.draw(console)
    else:
        console.print("Nothing is due.")
    if found.excluded and not excluded:
        console.print(
            f"{counted(found.excluded, 'excluded due time')} left out (--excluded lists them).", style="yellow"
        )
    for remark in _left_out(definitions, now):
        say(console, f"{remark}.", "yellow")


def _fill(table: Table, found: Preview, now: datetime, *, alone: bool, everywhere: bool, named: bool) -> None:
    foreign = any(isinstance(row, DueRow) and row.zone.key != "UTC" for row in found.rows)
    zones = {row.zone.key for row in found.rows}
    for row in found.rows:
        if isinstance(row, ChangeRow):
            table.remark(f"  {_change_words(row, len(zones) > 1)}", "magenta")
            for note in row.notes:
                table.remark(f"  └ {note}", "yellow")
            continue
        table.add(
            row.key.namespace if everywhere else "",
            "" if alone else row.key.name,
            clock(row.instant, row.zone) if foreign else "",
            clock(row.instant, day=not foreign),
            "excluded" if row.excluded else _wait(row.instant, now),
            row.names if named else "",
        )
        for note in _notes(row):
            table.remark(f"  └ {note}", "yellow")


def _wait(instant: datetime, now: datetime) -> str:
    text = distance(instant, now)
    return text.removeprefix("in ")


def _notes(row: DueRow) -> list[str]:
    notes = [*row.notes]
    if row.excluded:
        notes.append(f"excluded: {row.excluded}")
        return notes
    first = min(row.triggers, key=lambda trigger: trigger.start(row.instant))
    if (start := first.start(row.instant)) != row.instant:
        jitter = span(timedelta(seconds=first.planned.jitter_seconds))
        notes.append(f"starts at {civil(start.astimezone(row.zone))}, jitter of up to {jitter}")
    return notes


def _change_words(row: ChangeRow, several: bool) -> str:
    change, zone = row.change, row.zone
    before = (change.at + change.before, change.at + change.after)
    way = "forward" if change.forward else "back"
    where = f" in {zone.key}" if several else ""
    return (
        f"clocks go {way} {span(change.shift)}{where}: {before[0]:%a %Y-%m-%d} {civil(before[0])} becomes "
        f"{civil(before[1])}"
    )


def _remarks(definition: Definition, found: Preview, now: datetime, count: int, excluded: bool) -> list[str]:
    remarks = []
    if found.excluded and not excluded:
        remarks.append(f"{counted(found.excluded, 'excluded due time')} left out (--excluded lists them).")
    if found.rows and len(found.due) < count:
        remarks.append("That is all: nothing is due after these.")
    if why := _why_nothing_fires(definition, now):
        remarks.append(f"{why[0].upper()}{why[1:]}.")
    crons = [trigger.cron or "" for trigger in definition.spec.triggers] if definition.spec else []
    if not definition.key.namespace and any(_HASH.search(cron) for cron in crons):
        remarks.append("H is chosen by a job's namespace and name: in a definition it may be another time.")
    return remarks
