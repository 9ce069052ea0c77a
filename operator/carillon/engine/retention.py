"""Which finished runs may go. A record is never dropped before the definition's own status has taken it over."""

from collections.abc import Sequence

from carillon.api.jobrun import Phase
from carillon.api.scheduledjob import History, ScheduledJobStatus
from carillon.engine.autostart import is_auto_start
from carillon.engine.history import finished_at, recorded
from carillon.engine.model import Definition, Run
from carillon.engine.triggers import bound, names_instant

_BUCKETS = {Phase.SUCCEEDED: "succeeded", Phase.FAILED: "failed", Phase.STOPPED: "failed", Phase.SKIPPED: "skipped"}


def expired(
    runs: Sequence[Run], history: History, persisted: ScheduledJobStatus | None, definition: Definition | None
) -> list[Run]:
    """Finished runs beyond the limits, oldest first.

    Args:
        runs: the runs of one definition.
        history: its limits; skipped runs have the limit of failed ones to themselves.
        persisted: the definition's status as the API server has it; None when there is no definition to keep a record.
        definition: the definition, whose triggers may still name a run's due time.
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
    return [run for run in surplus if persisted is None or _safe(persisted, definition, run)]


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
