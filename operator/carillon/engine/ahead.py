"""Intents that are written ahead of their due time, so that firing costs one request where many are due together.

A run written ahead is no record yet: until its due time the definition is the truth, and the run is derived from it.
It holds no slot, takes no place in a queue, is in no list of the definition's status, and the watermark stays before
it. If the definition names its due time no more it is deleted, and written anew if the definition names it again. From
the due time on it is decided like a run that was made at that moment (docs/decisions/0016).
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from carillon.api.jobrun import Phase, TriggerType
from carillon.api.scheduledjob import Execution, TriggerStatus
from carillon.engine.autostart import is_auto_start
from carillon.engine.history import RUN_DELETED
from carillon.engine.model import Definition, PlannedTrigger, Run
from carillon.engine.skips import tells_of
from carillon.engine.start_time import is_ahead
from carillon.engine.starting import disabled
from carillon.engine.triggers import anchored, names, watermarks

FEWEST = 20
"""So many definitions due together are worth it; the two writes of fewer take no tenth of a second."""
SHORTEST = timedelta(seconds=5)
LONGEST = timedelta(seconds=30)
_WRITTEN_PER_SECOND = 40
"""JobRuns that can be written beside everything else there is to do: on two cores with ten busy processes."""


def lead(together: int) -> timedelta:
    """How long before a due time its runs are written.

    Args:
        together: how many definitions are due at that instant.
    """
    if together < FEWEST:
        return timedelta(0)
    return min(SHORTEST + timedelta(seconds=together // _WRITTEN_PER_SECOND), LONGEST)


def triggers_to_write(
    definition: Definition,
    marks: Iterable[TriggerStatus],
    due: datetime,
    *,
    together: int,
    ran: Collection[datetime],
    room: int | None,
    now: datetime,
) -> list[str]:
    """The triggers of a run that is to be written now for a due time to come; none where it is not the time for it.

    Not while the definition's last change is unrecorded; not where it is uncertain whether or when the due time starts
    a run: with jitter, in a group, or where the slots are taken at the moment.

    Args:
        definition: one that the operator fires.
        marks: its watermarks.
        due: its next due time that no exclusion covers.
        together: how many definitions are due then.
        ran: due times that have a run.
        room: how many more runs may start or wait for a slot; None: any number.
        now: the time of the decision.
    """
    spec = definition.spec
    if spec is None or spec.concurrency.group is not None or room == 0 or due in ran:
        return []
    if not now < due <= now + lead(together) or not _settled(definition, now):
        return []
    naming = _naming(definition, marks, due)
    return [] if any(trigger.jitter_seconds for trigger in naming) else [trigger.name for trigger in naming]


def withdrawn(definition: Definition, runs: Iterable[Run], *, fires: bool, now: datetime) -> list[Run]:
    """The runs written ahead whose due time the definition names no more, as it is now.

    Args:
        definition: the definition.
        runs: its runs that have no Job.
        fires: whether it is the operator that fires it.
        now: the time of the decision.
    """
    found = [run for run in runs if run.owner_uid == definition.uid and is_ahead(run, now) and not run.spec.stop]
    if not found or not fires or definition.spec is None or definition.invalid or disabled(definition, now):
        return found
    marks = watermarks(definition, now)
    return [run for run in found if run.spec.scheduled_time and not _naming(definition, marks, run.spec.scheduled_time)]


def outdone(
    definition: Definition, runs: Iterable[Run], now: datetime, *, others: Sequence[Run], begun: Collection[str]
) -> list[Run]:
    """The runs of which nothing has become and whose due time is accounted for without them: that stands.

    The create of a leader that was stopped, or cut off, may reach the API server after the next one's work, and so may
    one whose answer was given up: when another run has taken its place, under another name, or has even been and gone.

    Args:
        definition: the definition.
        runs: its runs that have no Job.
        now: the time of the decision.
        others: all runs of the definition, these among them.
        begun: UIDs of those that have a Job.
    """
    of_time: dict[datetime | None, list[Run]] = {}
    for run in others:
        if _is_ours(definition, run):
            of_time.setdefault(run.spec.scheduled_time, []).append(run)
    planned = {trigger.name: trigger for trigger, _ in anchored(definition, watermarks(definition, now))}
    found = []
    for run in runs:
        if not _is_ours(definition, run) or _has_begun(run, begun):
            continue
        due, trigger = run.spec.scheduled_time, planned.get(run.spec.trigger.name)
        skipped = due and trigger and any(tells_of(line, trigger, due) for line in definition.status.skips)
        twins = [other for other in of_time.get(due, ()) if other.uid != run.uid]
        second = any(_has_begun(twin, begun) or _came_first(twin, run) for twin in twins)
        if skipped or second or any(_tells_of_a_twin(line, run) for line in definition.status.history):
            found.append(run)
    return found


def _is_ours(definition: Definition, run: Run) -> bool:
    """Whether the run is one of those that there is one of: for a due time, or of autoStart."""
    if is_auto_start(definition, run):
        return True
    return bool(
        run.spec.scheduled_time
        and run.spec.trigger.type is TriggerType.PERIODIC
        and run.owner_uid == definition.uid
        and run.native_job is None
    )


def _has_begun(run: Run, begun: Collection[str]) -> bool:
    # A process that only saw it go takes it for one that somebody has deleted.
    fresh = not run.status.phase or (run.status.phase, run.status.reason) == (Phase.SKIPPED, RUN_DELETED)
    return not fresh or run.job_made or run.uid in begun or run.spec.stop


def _came_first(one: Run, other: Run) -> bool:
    return (one.created, one.uid) < (other.created, other.uid)


def _tells_of_a_twin(line: Execution, run: Run) -> bool:
    """Whether a line of history is of another run for the same."""
    if not line.uid or line.uid == run.uid or line.trigger == TriggerType.BACKFILL:
        return False
    due = run.spec.scheduled_time
    return line.scheduled_time == due if due is not None else line.run == run.name


def _settled(definition: Definition, now: datetime) -> bool:
    """Whether the definition fires, and nothing about that is still to be written down."""
    seen = definition.status.observed_generation == definition.generation
    return seen and not definition.invalid and not disabled(definition, now)


def _naming(definition: Definition, marks: Iterable[TriggerStatus], due: datetime) -> list[PlannedTrigger]:
    pairs = anchored(definition, marks)
    return [trigger for trigger, mark in pairs if mark.since < due and names(trigger.open, due)]
