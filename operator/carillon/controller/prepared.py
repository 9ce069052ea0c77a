"""Decisions that are taken ahead of a due time, and carried out when it comes if nothing has changed by then.

A decision is a pure function of a snapshot and the time, so that one that was taken for the due time is the one that
would be taken at it, as long as the snapshot is the same. That leaves one request to be made at the due time, whose
body is bytes already: where thousands are due together, our own decisions are half of what it takes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from carillon.engine.decide import decide
from carillon.engine.model import Snapshot
from carillon.engine.plan import CreateJob, Plan

KEPT = timedelta(seconds=20)
"""How long after its due time a decision may still be carried out; later it is taken anew."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be done first at a due time."""

    snapshot: Snapshot
    plan: Plan
    due: datetime
    until: datetime

    def holds(self, snapshot: Snapshot, now: datetime) -> bool:
        """Whether the decision would be the same now."""
        return self.due <= now <= self.until and _same(self.snapshot, snapshot)


def prepare(snapshot: Snapshot, due: datetime, seal: Callable[[CreateJob], CreateJob]) -> Prepared | None:
    """Decide for the next due time, where a run waits for it that was written ahead.

    Args:
        snapshot: what is known now.
        due: the next due time.
        seal: makes the bytes that are sent.

    Returns:
        None where nothing but the start of runs could be decided, or there is none.
    """
    spec = snapshot.definition.spec if snapshot.definition is not None else None
    if spec is None:
        return None
    if not any(run.spec.scheduled_time == due and run.status.phase == "" for run in snapshot.runs):
        return None
    then = decide(snapshot, due)
    if not then.starts_only:
        return None
    until = due + KEPT
    if spec.starting_deadline_seconds is not None:
        until = min(until, due + timedelta(seconds=spec.starting_deadline_seconds))
    if then.wake_at is not None:
        until = min(until, then.wake_at - timedelta(seconds=1))
    starts = tuple(seal(action) for action in then.first if isinstance(action, CreateJob))
    return Prepared(snapshot, Plan(starts, then.wake_at, then.next_due), due, until)


def _same(known: Snapshot, now: Snapshot) -> bool:
    """Whether two snapshots hold the very same objects; one that was read again counts as another one."""
    return (
        known.definition is now.definition
        and known.cron_job is now.cron_job
        and not (known.group or now.group)
        and len(known.runs) == len(now.runs)
        and len(known.jobs) == len(now.jobs)
        and all(before is after for before, after in zip(known.runs, now.runs, strict=True))
        and all(before is after for before, after in zip(known.jobs, now.jobs, strict=True))
        and known.observations == now.observations
    )
