"""`carillon describe`: everything about one ScheduledJob, or one JobRun, for a person who is called at night."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text

from carillon.cli import completion
from carillon.cli.cluster import Place, connected, world_of
from carillon.cli.list import STYLES
from carillon.cli.options import placed
from carillon.cli.problems import run
from carillon.cli.rundescription import describe_run
from carillon.cli.runtable import runs_table
from carillon.cli.screen import Column, Table, fact, say, screen
from carillon.cli.seen import Object, SeenJob, SeenRun, past
from carillon.cli.selection import list_runs
from carillon.cli.targets import find_target
from carillon.engine.cronwords import cron_words, interval_words
from carillon.engine.model import Definition
from carillon.engine.outlook import common_zone, outlooks
from carillon.engine.read import instant
from carillon.engine.reasons import why_skipped
from carillon.engine.words import clock, counted, distance, listed, span

RUNS, SKIPS = 5, 5


@placed()
def describe_command(
    context: typer.Context,
    place: Place,
    name: Annotated[str, typer.Argument(help="A ScheduledJob, or a JobRun.", autocompletion=completion.runs_and_jobs)],
) -> None:
    """Tell everything about a ScheduledJob or a JobRun.

    What it is, when it runs, in words; what comes next, what became of the last runs, what was skipped and why.
    """
    world = world_of(context)

    async def work() -> None:
        async with connected(world, place) as cluster:
            found = await find_target(cluster, place.namespace or "", name)
            if isinstance(found, SeenRun):
                describe_run(found, world.now())
                return
            definition = await cluster.definition(found.key)
            runs = past([found], await list_runs(cluster, place))
        _describe(found, definition, runs, world.now())

    run(work())


def _describe(job: SeenJob, definition: Definition, runs: Sequence[SeenRun], now: datetime) -> None:
    console = screen()
    console.print(Text(str(job.key), "bold").append(f"  {job.state}", STYLES.get(job.state, "not bold")))
    if job.spec.get("description"):
        say(console, job.spec["description"])
    console.print()
    _facts(job, now)
    for title, lines in (("When it runs", _schedule(job)), ("Next", _next(job, definition, now))):
        console.print()
        console.print(title, style="bold")
        for line in lines:
            say(console, Text(f"  {line}"), indent=4)
    console.print()
    console.print("Last runs", style="bold")
    if runs:
        runs_table(runs[:RUNS], now).draw(console)
        if len(runs) > RUNS:
            console.print(f"  ... and {len(runs) - RUNS} more: carillon history {job.key.name}", style="dim")
    else:
        console.print("  none yet")
    _skips(job, definition)
    _conditions(job)


def _facts(job: SeenJob, now: datetime) -> None:
    spec = job.spec
    fact("label", job.shown("label") or spec.get("label") or job.key.name)
    fact("owner", job.owner or "nobody is named (spec.owner)")
    fact("class", "System: protected; to be enabled, disabled and run" if job.class_ == "System" else job.class_)
    if job.disabled(now):
        fact("disabled", job.why_disabled().removeprefix(" ").removeprefix(": ") or "yes (spec.suspend)", "yellow")
    elif spec.get("suspend"):
        fact("disabled", f"no more: it was until {spec['suspendUntil']}{_without_until(job)}")
    if job.invalid:
        fact("not accepted", job.invalid, "red")
    fact("overlap", _concurrency(spec.get("concurrency") or {}))
    limits = {
        "starts by": _seconds(spec.get("startingDeadlineSeconds"), "after the due time; later it is skipped"),
        "time limit": _seconds(spec.get("timeoutSeconds"), "for a run"),
        "retries": _retries(spec.get("retry") or {}),
        "fired by": "the CronJob controller (backend: CronJob)" if spec.get("backend") == "CronJob" else "",
        "parameters": ", ".join(map(_parameter, spec.get("parameters") or ())),
        "made": _made(job, now),
        "runs so far": _counts(job.status.get("counts") or {}),
    }
    for title, text in limits.items():
        if text:
            fact(title, text)


def _without_until(job: SeenJob) -> str:
    bare = SeenJob({**job.raw, "spec": {k: v for k, v in job.spec.items() if k != "suspendUntil"}})
    return bare.why_disabled()


def _concurrency(found: Object) -> str:
    words = {
        "Allow": "Allow: runs may overlap",
        "Forbid": "Forbid: a run due while another is active is skipped",
        "Replace": "Replace: a new run stops the active one",
        "Queue": "Queue: a run due while another is active waits for its turn",
    }
    policy = found.get("policy") or "Forbid"
    group = f"; together with the group {found['group']}" if found.get("group") else ""
    return f"{words.get(policy, policy)}{group}"


def _seconds(seconds: object, words: str) -> str:
    return f"{span(timedelta(seconds=seconds))} {words}" if isinstance(seconds, int) else ""


def _retries(retry: Object) -> str:
    return f"up to {retry['limit']} more attempts" if retry.get("limit") else ""


def _parameter(found: Object) -> str:
    default = f"={found['default']}" if "default" in found else " (required)" if found.get("required") else ""
    return f"{found.get('name')}{default}"


def _made(job: SeenJob, now: datetime) -> str:
    created = instant(job.raw["metadata"]["creationTimestamp"])
    return f"{clock(created)}, {distance(created, now)}"


def _counts(counts: Object) -> str:
    words = ("active", "succeeded", "failed", "stopped", "skipped")
    return ", ".join(f"{counts[word]} {word}" for word in words if counts.get(word))


def _schedule(job: SeenJob) -> list[str]:
    lines = [_trigger(trigger) for trigger in job.spec.get("triggers") or ()]
    exclude = {k: v for k, v in (job.spec.get("exclude") or {}).items() if v}
    if lines and exclude:
        holidays = listed([found.get("country", "") for found in exclude.get("holidays") or ()])
        parts = [
            *([f"the holidays of {holidays}"] if holidays else []),
            *([f"the Calendar {name}" for name in exclude.get("calendars") or ()]),
            *([listed(exclude["dates"])] if exclude.get("dates") else []),
            *([counted(len(exclude["windows"]), "window")] if exclude.get("windows") else []),
        ]
        lines.append(f"but not at: {listed(parts)}")
    return lines or ["only when someone says so: carillon run " + job.key.name]


def _trigger(trigger: Object) -> str:
    name, zone = trigger.get("name", ""), trigger.get("timeZone") or "UTC"
    if cron := trigger.get("cron"):
        words = f"{cron_words(cron)} ({zone}): {cron}"
    elif interval := trigger.get("interval"):
        words = f"{interval_words(interval)}: {interval}"
    elif at := trigger.get("at"):
        words = f"once, at {at}"
    elif event := trigger.get("event"):
        words = f"when one of the {event.get('resource')} is {listed(event.get('types') or ['changed']).lower()}"
    elif "webhook" in trigger:
        words = "when its webhook is called"
    elif after := trigger.get("after"):
        words = f"after {after.get('scheduledJob')} has {listed(after.get('on') or ['Succeeded']).lower()}"
    else:
        words = "a kind of trigger that this version of carillon does not know"
    jitter = f", up to {trigger['jitterSeconds']} s later" if trigger.get("jitterSeconds") else ""
    words_of = {"startAt": "from", "endAt": "until"}
    bounds = "".join(f", {word} {trigger[key]}" for key, word in words_of.items() if trigger.get(key))
    return f"{name}: {words}{jitter}{bounds}"


def _next(job: SeenJob, definition: Definition, now: datetime) -> list[str]:
    if job.disabled(now):
        return ["nothing: it is disabled"]
    if job.invalid:
        return ["nothing: it is not accepted"]
    times = [instant(text) for text in job.status.get("nextExecutions") or ()]
    zone = common_zone(outlooks(definition, now)) if not definition.invalid else None
    lines = [f"{clock(time, zone) if zone else clock(time)}, {distance(time, now)}" for time in times]
    return lines or ["nothing is due"]


def _skips(job: SeenJob, definition: Definition) -> None:
    found = job.status.get("skips") or ()
    if not found:
        return
    console = screen()
    console.print()
    console.print("Skipped", style="bold")
    table = Table((Column("DUE"), Column("TIMES"), Column("TRIGGER", style="dim"), Column("WHY", flexible=1)))
    for line in found[:SKIPS]:
        begin, end = instant(line["from"]), instant(line["to"])
        due = clock(begin, day=False) + ("" if begin == end else f" to {clock(end, day=False)}")
        why = why_skipped(definition.spec, line["reason"])[0] if definition.spec is not None else ""
        table.add(due, str(line["count"]), line["trigger"], f"{line['reason']}{f': {why}' if why else ''}")
    table.draw(console)
    if len(found) > SKIPS:
        console.print(f"  ... and {len(found) - SKIPS} lines more: kubectl get sj {job.key.name} -o yaml", style="dim")


def _conditions(job: SeenJob) -> None:
    conditions = job.status.get("conditions") or ()
    if not conditions:
        screen().print("\nNo operator has looked at it yet.", style="yellow")
        return
    console = screen()
    console.print()
    console.print("Conditions", style="bold")
    table = Table((Column("TYPE"), Column("STATUS"), Column("REASON", style="dim")))
    for found in conditions:
        table.add(found.get("type", ""), found.get("status", ""), found.get("reason", ""))
        table.remark(f"  └ {' '.join(str(found.get('message', '')).split())}")
    table.draw(console)
