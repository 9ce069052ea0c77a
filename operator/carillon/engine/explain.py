"""Why a run did or did not happen, and what would happen, in words. Pure: everything is read from the records.

One question is about one minute: each due time in it gets a story, and where there is none, the nearest are named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.engine.eventruns import without_due_times
from carillon.engine.model import Definition, Run
from carillon.engine.outlook import Outlook, outlooks
from carillon.engine.story import Story, story_of
from carillon.engine.triggers import SECOND
from carillon.engine.words import clock, listed

STORIES = 5
"""Due times of one minute that are told one by one."""
REACH = timedelta(days=3_660)
"""How far back the nearest due time is looked for."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """A due time that was not asked for."""

    instant: datetime
    triggers: tuple[str, ...]
    excluded: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to `what about that time?`."""

    asked: datetime
    headline: str
    """Of the whole, where no trigger names the minute; else of the first story."""
    stories: tuple[Story, ...]
    more: int
    """Due times of that minute without a story."""
    before: Nearest | None
    after: Nearest | None
    excluded: str
    """What covers the moment itself, whether or not anything is due."""


def explain(definition: Definition, runs: Sequence[Run], asked: datetime, now: datetime) -> Explanation:
    """Explain a definition's due times in the minute of `asked`.

    Args:
        definition: one whose specification was understood.
        runs: its JobRuns.
        asked: any instant, past or future.
        now: the time of asking.
    """
    triggers = outlooks(definition, now)
    minute = asked.replace(second=0, microsecond=0)
    last = minute + timedelta(seconds=59)
    instants = sorted({i for t in triggers for i in t.schedule.newest(minute - SECOND, last, 60)})
    told = instants[:STORIES]
    if asked in instants and asked not in told:
        told = [asked, *told[:-1]]
    stories = tuple(story_of(definition, runs, triggers, instant, now) for instant in told)
    excluded = next((reason for t in triggers if (reason := t.closed(asked))), "")
    before, after = _nearest(triggers, minute, last)
    return Explanation(
        asked=asked,
        headline=_headline(definition, triggers, stories, asked),
        stories=stories,
        more=len(instants) - len(told),
        before=before,
        after=after,
        excluded=excluded,
    )


def _headline(definition: Definition, triggers: Sequence[Outlook], stories: Sequence[Story], asked: datetime) -> str:
    if stories:
        exact = any(story.instant == asked for story in stories)
        if exact:
            return ""
        first = stories[0]
        return (
            f"Nothing is due at that very second, but within its minute: {listed(_names(first.triggers))} at "
            f"{clock(first.instant, first.triggers[0].zone)}."
        )
    if not triggers:
        return f"{definition.key.name} {without_due_times(definition)}."
    return f"No trigger of {definition.key.name} names that time."


def _nearest(triggers: Sequence[Outlook], minute: datetime, last: datetime) -> tuple[Nearest | None, Nearest | None]:
    before = [i for t in triggers if (i := t.schedule.latest_through(minute - SECOND, after=minute - REACH))]
    after = [i for t in triggers if (i := t.schedule.next_after(last))]
    return _named(triggers, max(before, default=None)), _named(triggers, min(after, default=None))


def _named(triggers: Sequence[Outlook], instant: datetime | None) -> Nearest | None:
    if instant is None:
        return None
    found = [trigger for trigger in triggers if trigger.names(instant)]
    return Nearest(instant, _names(found), next((r for t in found if (r := t.closed(instant))), ""))


def _names(triggers: Sequence[Outlook]) -> tuple[str, ...]:
    return tuple(trigger.name for trigger in triggers)
