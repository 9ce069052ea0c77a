"""`carillon explain`: why a run did or did not happen at a time, or what would happen then."""

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from carillon.api.base import rfc3339
from carillon.cli.cluster import Place, connected, world_of
from carillon.cli.moments import Moment, moment_of
from carillon.cli.options import Output, OutputFormat, placed
from carillon.cli.problems import Problem, run
from carillon.cli.screen import fact, print_data, say, screen
from carillon.engine.explain import Explanation, Nearest, explain
from carillon.engine.history import RUN_DELETED
from carillon.engine.model import Definition, Key
from carillon.engine.outlook import common_zone, outlooks
from carillon.engine.runstory import RunStory
from carillon.engine.story import Story, Verdict, skip_line
from carillon.engine.words import clock, counted, distance, listed

GOOD = (Verdict.RAN, Verdict.ACTIVE, Verdict.WILL_RUN, Verdict.STARTING)
BAD = (Verdict.MISSING, Verdict.UNHANDLED, Verdict.INVALID)


@placed()
def explain_command(
    context: typer.Context,
    place: Place,
    name: Annotated[str, typer.Argument(help="The ScheduledJob.")],
    at: Annotated[
        str,
        typer.Option("--at", metavar="TIME", help="RFC 3339; or HH:MM or YYYY-MM-DD HH:MM in the trigger's time zone."),
    ],
    output: OutputFormat = Output.TABLE,
) -> None:
    """Say why a run did or did not happen at a time, or what would happen then.

    Which trigger names the time, which exclusion covers it, which policy decided, what is recorded, what to change.
    """
    world = world_of(context)

    async def work() -> None:
        key = Key(place.namespace or "", name)
        now = world.now()
        async with connected(world, place) as cluster:
            definition = await cluster.definition(key)
            runs = await cluster.runs(key)
        if definition.spec is None or (definition.invalid and not definition.triggers):
            raise Problem(f"{key} cannot be scheduled, so nothing is due: {definition.invalid}")
        moment = moment_of(at, common_zone(outlooks(definition, now)), now, "--at")
        found = explain(definition, runs, moment.instant, now)
        if output is not Output.TABLE:
            print_data(_json(definition, found, moment), output)
        else:
            _print(definition, found, moment, now)

    run(work())


def _print(definition: Definition, found: Explanation, moment: Moment, now: datetime) -> None:
    console = screen()
    zone = common_zone(outlooks(definition, now))
    title = Text(str(definition.key), "bold").append(
        f" at {clock(found.asked, zone) if zone else clock(found.asked)}, {distance(found.asked, now)}", "not bold"
    )
    console.print(title)
    for note in moment.notes:
        say(console, note, "magenta")
    if found.headline:
        console.print()
        say(console, found.headline)
    for story in found.stories:
        console.print()
        _print_story(definition, story, found, now)
    if found.more:
        console.print()
        console.print(f"{counted(found.more, 'more due time')} in the same minute.")
    if not found.stories:
        if found.excluded:
            say(console, f"It would be excluded: {found.excluded}.")
        console.print()
        for what, nearest in (("before", found.before), ("after", found.after)):
            fact(what, _nearest(definition, nearest, found.asked, now))


def _print_story(definition: Definition, story: Story, found: Explanation, now: datetime) -> None:
    console = screen()
    style = "green" if story.verdict in GOOD else "red" if story.verdict in BAD else "yellow"
    if len(found.stories) > 1 or story.instant != found.asked:
        console.print(Text(clock(story.instant, story.triggers[0].zone), "bold"))
    say(console, story.headline, f"bold {style}")
    console.print()
    for trigger in story.triggers:
        saving = f", daylightSaving {trigger.saving}" if trigger.saving else ""
        fact("trigger", f"{trigger.name}: {trigger.planned.text}{saving}")
    fact("due", f"{clock(story.instant)}, {distance(story.instant, now)}")
    for note in story.notes:
        fact("clocks", note)
    fact("counts", story.counted)
    fact("excluded", _excluded(story))
    fact("run", _run(story.run))
    fact("skip", "none" if story.skip is None else skip_line(story.skip))
    if story.policy:
        fact("decided by", story.policy)
    if story.cure:
        fact("to change it", story.cure)


def _excluded(story: Story) -> str:
    if story.excluded:
        return f"yes: {story.excluded}"
    return "not now" if story.verdict is Verdict.EXCLUDED else "no"


def _run(found: RunStory | None) -> str:
    if found is None:
        return "none"
    reason = f" ({found.reason})" if found.reason else ""
    how = "deleted" if found.reason == RUN_DELETED else "pruned"
    gone = "" if found.kept else f"; the JobRun was {how}, status.history keeps this line"
    return f"{found.name}, {found.phase}{reason}{gone}"


def _nearest(definition: Definition, nearest: Nearest | None, asked: datetime, now: datetime) -> str:
    if nearest is None:
        return "nothing is due"
    zones = {trigger.name: trigger.zone for trigger in outlooks(definition, now)}
    way = "earlier" if nearest.instant < asked else "later"
    far = distance(nearest.instant, asked).removeprefix("in ").removesuffix(" ago")
    left_out = f"; excluded: {nearest.excluded}" if nearest.excluded else ""
    return f"{clock(nearest.instant, zones[nearest.triggers[0]])}, {far} {way}: {listed(nearest.triggers)}{left_out}"


def _json(definition: Definition, found: Explanation, moment: Moment) -> dict[str, Any]:
    return {
        "scheduledJob": str(definition.key),
        "asked": rfc3339(found.asked),
        "notes": [*moment.notes, *([found.headline] if found.headline else [])],
        "due": [_story_json(story) for story in found.stories],
        "moreDue": found.more,
        "excluded": found.excluded,
        "before": _nearest_json(found.before),
        "after": _nearest_json(found.after),
    }


def _nearest_json(nearest: Nearest | None) -> dict[str, Any] | None:
    if nearest is None:
        return None
    return {"time": rfc3339(nearest.instant), "triggers": list(nearest.triggers), "excluded": nearest.excluded}


def _story_json(story: Story) -> dict[str, Any]:
    made, skip = story.run, story.skip
    return {
        "time": rfc3339(story.instant),
        "triggers": [trigger.name for trigger in story.triggers],
        "verdict": story.verdict.value,
        "message": story.headline,
        "decidedBy": story.policy,
        "cure": story.cure,
        "counts": story.counted,
        "excluded": story.excluded,
        "notes": list(story.notes),
        "run": None
        if made is None
        else {
            "name": made.name,
            "phase": made.phase,
            "reason": made.reason,
            "message": made.message,
            "exitCode": made.exit_code,
            "startTime": rfc3339(made.started) if made.started else None,
            "completionTime": rfc3339(made.ended) if made.ended else None,
            "kept": made.kept,
        },
        "skip": None
        if skip is None
        else {"reason": skip.reason, "from": rfc3339(skip.from_), "to": rfc3339(skip.to), "count": skip.count},
    }
