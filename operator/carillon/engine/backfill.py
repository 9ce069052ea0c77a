"""Backfill: which due times of the past are to run, under which names, and what that means. Pure (design 3.14).

A backfill is named by what was asked for, so that asking twice makes nothing twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from carillon.api import keys
from carillon.api.base import API_VERSION, rfc3339
from carillon.api.jobrun import TriggerType
from carillon.api.scheduledjob import ConcurrencyPolicy
from carillon.engine.build import run_labels
from carillon.engine.instants import count_excluded, count_named, merged
from carillon.engine.model import Definition, Run
from carillon.engine.names import digest
from carillon.engine.outlook import Outlook, outlooks
from carillon.engine.runstory import RunStory, run_of
from carillon.engine.triggers import SECOND

RUN_NAME_LENGTH = 253


@dataclass(frozen=True, slots=True)
class Past:
    """One due time to run again, or for the first time."""

    instant: datetime
    triggers: tuple[Outlook, ...]
    name: str
    """Of the run that will be made."""
    before: RunStory | None
    """The run that this due time has already, other than this backfill's."""
    present: bool
    """Whether this very backfill has made its run already."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a backfill would do."""

    id: str
    due: tuple[Past, ...]
    """Oldest first; no more than was asked to be shown."""
    total: int
    excluded: int
    """Due times that exclusions leave out."""


def backfill_id(definition: Definition, begin: datetime, end: datetime) -> str:
    """Name a backfill by what was asked for."""
    return digest(definition.uid, rfc3339(begin), rfc3339(end))


def run_name(scheduled_job: str, backfill: str, due: datetime) -> str:
    """Name a backfilled run; at most once per backfill and due time."""
    tail = f"-backfill-{backfill}-{int(due.timestamp())}"
    return scheduled_job[: RUN_NAME_LENGTH - len(tail)] + tail


def plan(
    definition: Definition,
    runs: Sequence[Run],
    begin: datetime,
    end: datetime,
    now: datetime,
    *,
    backfill: str = "",
    limit: int,
) -> Backfill:
    """Tell which due times from `begin` to `end`, both included, a backfill would run.

    Args:
        definition: one that can be scheduled.
        runs: its JobRuns.
        begin: the first instant.
        end: the last instant.
        now: the time of asking.
        backfill: the backfill's id; made from the arguments when empty.
        limit: how many due times are listed at the most.
    """
    identity = backfill or backfill_id(definition, begin, end)
    triggers = outlooks(definition, now)
    after = begin - SECOND
    excluded = count_excluded([trigger.planned for trigger in triggers], after, end)
    opened = [trigger.open for trigger in triggers]
    listed = list(islice(merged(opened, after, end), limit + 1))
    total = len(listed) if len(listed) <= limit else count_named(opened, after, end)
    # A run that history has pruned was made all the same.
    names = {run.name for run in runs} | {line.run for line in definition.status.history}
    through = next((mark.through for mark in definition.status.backfills if mark.id == identity), None)
    due = []
    for instant, order in listed[:limit]:
        name = run_name(definition.key.name, identity, instant)
        due.append(
            Past(
                instant=instant,
                triggers=tuple(triggers[place] for place in order),
                name=name,
                before=run_of(definition, runs, instant, besides=name),
                present=name in names or (through is not None and instant <= through),
            )
        )
    return Backfill(id=identity, due=tuple(due), total=total, excluded=excluded)


def run_body(definition: Definition, past: Past, backfill: str) -> dict[str, Any]:
    """Build the JobRun of a due time of the past."""
    assert definition.spec is not None
    return {
        "apiVersion": API_VERSION,
        "kind": "JobRun",
        "metadata": {
            "name": past.name,
            "namespace": definition.key.namespace,
            "labels": {
                **run_labels(definition.key.name, definition.spec.class_, TriggerType.BACKFILL),
                keys.BACKFILL_LABEL: backfill,
            },
        },
        "spec": {
            "scheduledJob": definition.key.name,
            "scheduledTime": rfc3339(past.instant),
            "trigger": {"type": TriggerType.BACKFILL.value, "name": past.triggers[0].name},
        },
    }


def concurrency_words(definition: Definition) -> str:
    """Say how the runs of a backfill go beside each other."""
    assert definition.spec is not None
    policy = definition.spec.concurrency.policy
    if policy is ConcurrencyPolicy.ALLOW:
        return "concurrency.policy Allow: all of them start at once, beside whatever is running"
    limit = definition.spec.concurrency.limit
    pace = "one at a time" if limit == 1 else f"at most {limit} at a time"
    words = f"concurrency.policy {policy}: they run {pace}, in the order of their due times, and wait for a slot"
    if policy is not ConcurrencyPolicy.REPLACE:
        return words
    return (
        f"{words}; one that runs when the job is due next is stopped for it, and counts as made: pick times of little "
        "use, or change the policy while they run"
    )
