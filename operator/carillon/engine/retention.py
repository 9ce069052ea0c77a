"""Which finished runs may go. A record is never dropped before the definition's own status has taken it over.

Where there is an archive, a record waits for that, too; but not for ever, and not in any number.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.api.jobrun import Phase
from carillon.api.scheduledjob import History, ScheduledJobStatus
from carillon.engine.autostart import is_auto_start
from carillon.engine.history import finished_at, recorded
from carillon.engine.model import Definition, Run
from carillon.engine.triggers import bound, names_instant

_BUCKETS = {Phase.SUCCEEDED: "succeeded", Phase.FAILED: "failed", Phase.STOPPED: "failed", Phase.SKIPPED: "skipped"}

GRACE = timedelta(minutes=5)
"""No run is given up before it has waited for so long: a new leader learns anew what is archived already."""


def expired(
    runs: Sequence[Run],
    history: History,
    persisted: ScheduledJobStatus | None,
    definition: Definition | None,
    unarchived: Collection[str] = (),
) -> list[Run]:
    """Finished runs beyond the limits, oldest first.

    Args:
        runs: the runs of one definition.
        history: its limits; skipped runs have the limit of failed ones to themselves.
        persisted: the definition's status as the API server has it; None when there is no definition to keep a record.
        definition: the definition, whose triggers may still name a run's due time.
        unarchived: UIDs of the runs that the archive has still to take in.
    """
    buckets: dict[str, list[Run]] = {"succeeded": [], "failed": [], "skipped": []}
    for run in runs:
        if run.finished and not run.deleting:
            buckets[_BUCKETS[run.phase]].append(run)
    limits = {"succeeded": history.succeeded, "failed": history.failed, "skipped": history.failed}
    surplus: list[Run] = []
    for name, members in buckets.items():
        members.sort(key=finished_at)
        surplus += members[: max(0, len(members) - limits[name])]
    archived = [run for run in surplus if run.uid not in unarchived]
    return [run for run in archived if persisted is None or _safe(persisted, definition, run)]


@dataclass(frozen=True, slots=True)
class Unarchived:
    """A finished run that waits for the archive."""

    run: Run
    since: datetime
    """When this leader first saw it wait."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How much may wait for an archive that is away."""

    runs: int
    """Finished runs in a namespace: their number is what weighs on the API server (design 3.12)."""
    patience: timedelta
    """How long one of them."""


def given_up(waiting: Iterable[Unarchived], bound: Bound, now: datetime) -> set[str]:
    """UIDs of the runs that pruning no longer spares: those past the bound, the ones that ended first.

    What history's own limits keep stays all the same, and is archived if the archive comes back.
    """
    by_namespace: dict[str, list[Unarchived]] = {}
    for each in waiting:
        by_namespace.setdefault(each.run.namespace, []).append(each)
    found: set[str] = set()
    for members in by_namespace.values():
        found |= {each.run.uid for each in members if now - each.since >= bound.patience}
        excess = len(members) - bound.runs
        if excess > 0:
            old = [each.run for each in members if now - each.since >= GRACE]
            found |= {run.uid for run in sorted(old, key=finished_at)[:excess]}
    return found


def _safe(persisted: ScheduledJobStatus, definition: Definition | None, run: Run) -> bool:
    if not recorded(persisted, run):
        return False
    if definition is None:
        return True
    if is_auto_start(definition, run) and persisted.auto_start_run != run.name:
        return False
    due = run.spec.scheduled_time
    if due is None:
        return True
    # A trigger whose watermark has not passed the due time would name it again.
    marks = {mark.name: mark for mark in persisted.triggers}
    return not any(
        (mark := marks.get(trigger.name)) is not None
        and mark.spec_hash == trigger.spec_hash
        and mark.handled_through < due
        and names_instant(bound(trigger, mark), due)
        for trigger in definition.triggers
    )
