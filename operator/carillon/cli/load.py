"""`carillon load`: how much is due in each minute to come, where it is crowded, and what would spread it."""

from enum import IntEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from carillon.api.base import rfc3339
from carillon.cli import heatmap
from carillon.cli.cluster import Place, connected, world_of
from carillon.cli.options import Output, OutputFormat, placed
from carillon.cli.problems import run, usage
from carillon.cli.screen import print_data, say, screen, working
from carillon.engine.load import Crowd, Load, Spread, measure
from carillon.engine.words import clock, counted

JITTER_SECONDS = 300
"""What is tried as jitter: five minutes, which few nightly jobs mind."""


class Days(IntEnum):
    """How far ahead."""

    DAY = 1
    WEEK = 7


@placed(everywhere=True, at_large=True)
def load_command(
    context: typer.Context,
    place: Place,
    days: Annotated[int, typer.Option(metavar="1|7", help="How far ahead: a day or a week.")] = 1,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Draw what is due in the coming day or week, and say which minutes are crowded.

    Without -n it is the whole cluster. Times are UTC. Disabled jobs are left out, and what runs by hand.
    """
    world = world_of(context)

    async def work() -> None:
        if days not in tuple(Days):
            raise usage(f"--days {days}: write 1 or 7")
        async with connected(world, place) as cluster:
            with working("reading ScheduledJobs"):
                definitions = await cluster.definitions(place.namespace)
        with working(f"counting the due times of {counted(len(definitions), 'job')}"):
            found = measure(definitions, world.now(), days=days, jitter_seconds=JITTER_SECONDS)
        if output is not Output.TABLE:
            print_data(_json(found), output)
        else:
            _print(found, days, place.namespace)

    run(work())


def _print(found: Load, days: int, namespace: str | None) -> None:
    console = screen()
    where = f"Namespace {namespace}" if namespace else "The whole cluster"
    title = Text(where, "bold").append(
        f", {'a day' if days == 1 else 'a week'} from {clock(found.start)}: {counted(found.total, 'due time')} of "
        f"{counted(found.definitions - found.left_out, 'job')}",
        "not bold",
    )
    say(console, title)
    if found.left_out:
        console.print(f"{counted(found.left_out, 'job')} left out: disabled, or not to be scheduled.", style="dim")
    if found.excluded:
        console.print(f"{counted(found.excluded, 'due time')} left out by exclusions.", style="dim")
    if not found.total:
        console.print("Nothing is due.")
        return
    console.print()
    for line in heatmap.draw(found.start, found.minutes, days, console.width):
        for part in line.wrap(console, console.width) if line.cell_len > console.width else [line]:
            part.rstrip()
            console.print(part, no_wrap=True, overflow="ignore", crop=False)
    console.print()
    console.print(f"Peak: {counted(found.peak, 'due time')} in one minute, {clock(found.peak_minute)}.")
    if not found.crowded:
        console.print("No minute is crowded: 10 due times would be.")
        return
    console.print()
    console.print("Crowded minutes", style="bold")
    for crowd in found.crowded:
        alike = f", and {counted(crowd.alike, 'minute')} more like it" if crowd.alike else ""
        console.print(f"  {clock(crowd.minute)}  {counted(crowd.count, 'due time')}{alike}")
        console.print(Text(f"    {_jobs(crowd, console.width - 4)}", "dim"))
    console.print()
    console.print("What would spread them", style="bold")
    console.print(f"  H for a fixed minute (H 0 * * *):  {_spread(found.hashed, found.peak)}")
    console.print(f"  jitterSeconds: {found.jitter_seconds:<20}{_spread(found.jittered, found.peak)}")


def _jobs(crowd: Crowd, width: int) -> str:
    """Name the jobs of a crowd, as many as there is room for."""
    text = ""
    for shown in range(len(crowd.jobs), 0, -1):
        names = [f"{key}" if times == 1 else f"{key} ({times:,} times)" for key, times in crowd.jobs[:shown]]
        others = crowd.others + len(crowd.jobs) - shown
        text = ", ".join(names) + (f" and {others:,} more" if others else "")
        if len(text) <= width:
            break
    return text


def _spread(spread: Spread | None, peak: int) -> str:
    if spread is None:
        return "nothing could take it"
    jobs = counted(spread.jobs, "job")
    if spread.peak >= peak:
        return f"no help, in {jobs} the peak would be {spread.peak:,}"
    return f"peak {spread.peak:,} instead of {peak:,}, in {jobs}"


def _json(found: Load) -> dict[str, Any]:
    def spread(change: Spread | None) -> dict[str, Any] | None:
        if change is None:
            return None
        return {"jobs": change.jobs, "peak": change.peak, "minute": rfc3339(change.minute) if change.minute else None}

    return {
        "start": rfc3339(found.start),
        "minutes": list(found.minutes),
        "total": found.total,
        "scheduledJobs": found.definitions,
        "leftOut": found.left_out,
        "excluded": found.excluded,
        "peak": {"count": found.peak, "minute": rfc3339(found.peak_minute) if found.minutes else None},
        "crowded": [
            {
                "minute": rfc3339(crowd.minute),
                "count": crowd.count,
                "top": [{"scheduledJob": str(key), "count": times} for key, times in crowd.jobs],
                "others": crowd.others,
            }
            for crowd in found.crowded
        ],
        "withHash": spread(found.hashed),
        "withJitter": None
        if found.jittered is None
        else {"jitterSeconds": found.jitter_seconds, **(spread(found.jittered) or {})},
    }
