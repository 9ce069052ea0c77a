"""Each finished run is counted once and gets a line, though only twenty lines are kept.

`recordedThrough` stands for the lines that have left: whatever finished up to then is counted already. Hence two rules.
It does not reach the present second, in which more may still finish; and a run of which we learn late that it finished
is dated after it. Where lines leave that lie in the future (the clock was set back, or is behind the API server's) it
reaches the future as well, for to wait would be to record nothing until then: all that has finished by now is counted
in the same write, and what finishes next is dated after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from carillon.api.jobrun import JobRunStatus, Phase, TriggerType
from carillon.api.scheduledjob import BackfillMark, Execution, ScheduledJobStatus
from carillon.engine.model import Job, Run

HISTORY_LINES = 20
HISTORY_MESSAGE_LENGTH = 256
BACKFILL_LINES = 20
RUN_DELETED = "RunDeleted"


@dataclass(frozen=True, slots=True)
class Current:
    """A run together with the status that the decision gives it."""

    run: Run
    status: JobRunStatus

    @property
    def phase(self) -> Phase:
        """The phase after the decision."""
        return Phase(self.status.phase) if self.status.phase else Phase.SCHEDULED


def finished_at(run: Run) -> datetime:
    """When a finished run ended, or its creation where nobody wrote that down."""
    return run.status.completion_time or run.created


def recorded(status: ScheduledJobStatus, run: Run) -> bool:
    """Whether the definition's status has counted this finished run already."""
    if any(line.uid == run.uid for line in status.history):
        return True
    return status.recorded_through is not None and finished_at(run) <= status.recorded_through


def unrecorded(status: ScheduledJobStatus, currents: Sequence[Current]) -> list[Current]:
    """The finished runs that the definition's status has not counted yet, oldest first."""
    finished = [(replace(c.run, status=c.status), c) for c in currents if c.phase.finished]
    waiting = [(finished_at(run), run.created, run.name, c) for run, c in finished if not recorded(status, run)]
    return [current for *_, current in sorted(waiting, key=lambda item: item[:3])]


def dated(run: Run, status: JobRunStatus, through: datetime | None) -> JobRunStatus:
    """Date a run that finishes with this status after everything that is counted already."""
    ended = status.completion_time
    if run.finished or ended is None or through is None or ended > through:
        return status
    return status.model_copy(update={"completion_time": through + timedelta(seconds=1)})


def deleted(run: Run, through: datetime | None, at: datetime) -> Run:
    """Say how a run ended whose JobRun somebody has deleted, so that its due time stays accounted for.

    Args:
        run: the run as last seen.
        through: recordedThrough of the definition.
        at: when the deletion was seen, in whole seconds.
    """
    if run.finished:
        return run
    phase = Phase.STOPPED if run.job_made else Phase.SKIPPED
    message = "the JobRun was deleted"
    if run.native_job is not None:
        message = "the JobRun was deleted while its Job ran; the Job is the CronJob's, and goes on"
    update = {"phase": phase.value, "reason": RUN_DELETED, "message": message, "completion_time": at}
    return replace(run, status=dated(run, run.status.model_copy(update=update), through))


def backfills(status: ScheduledJobStatus, counted: Sequence[Current]) -> tuple[BackfillMark, ...]:
    """Move on how far each backfill has come; its runs are made in the order of their due times.

    Only by the runs that are counted now: each is looked at once, and recorded by the same write. What was refused
    has not run, and may be asked for again.
    """
    marks = {mark.id: mark for mark in status.backfills}
    for current in counted:
        run, due = current.run, current.run.spec.scheduled_time
        if run.spec.trigger.type is not TriggerType.BACKFILL or not run.backfill or due is None:
            continue
        if current.phase is Phase.SKIPPED:
            continue
        known = marks.get(run.backfill)
        if known is None or known.through < due:
            marks.pop(run.backfill, None)
            marks = {run.backfill: BackfillMark(id=run.backfill, through=due), **marks}
    return tuple(marks.values())[:BACKFILL_LINES]


def record(
    status: ScheduledJobStatus, waiting: Sequence[Current], now: datetime, cleared: datetime | None = None
) -> tuple[Sequence[Current], tuple[Execution, ...], datetime | None]:
    """Take finished runs into history, as many as may be taken in this second.

    Args:
        status: the definition's status as the API server has it.
        waiting: the finished runs that it has not counted, oldest first.
        now: the time of the decision, in whole seconds.
        cleared: what ended up to then is to have no line any more (Clear All); it is counted all the same.

    Returns:
        The runs that are counted now, the lines of history, and recordedThrough.
    """
    lines = [*(execution(c) for c in reversed(waiting)), *status.history]
    leaving = [line.completion_time for line in lines[HISTORY_LINES:] if line.completion_time is not None]
    if any(ended == now for ended in leaving):
        waiting = waiting[: max(0, HISTORY_LINES - len(status.history))]
        lines, leaving = [*(execution(c) for c in reversed(waiting)), *status.history], []
    elif cleared is not None:
        # All that finished is counted by now, so that recordedThrough may rise; but not into the present second.
        ends = [line.completion_time for line in lines if line.completion_time is not None]
        leaving += [ended for ended in ends if ended <= cleared and ended < now]
        lines = [line for line in lines if line.completion_time not in leaving]
    through = max([*leaving, *([status.recorded_through] if status.recorded_through else [])], default=None)
    return waiting, tuple(lines[:HISTORY_LINES]), through


def caught_up(status: ScheduledJobStatus, jobs: Sequence[Job]) -> ScheduledJobStatus:
    """End the lines of runs whose record was deleted while their Job, the CronJob's, ran: the Job is finished, or gone.

    Args:
        status: the definition's status as the API server has it.
        jobs: all Jobs of the definition; a native one bears the UID of its run, which outlives the record.
    """
    by_run = {job.run_uid: job for job in jobs if job.native_of}
    open_lines = [line for line in status.history if line.phase == Phase.RUNNING and line.reason == RUN_DELETED]
    ended = {line.uid: _ended(line, by_run.get(line.uid)) for line in open_lines}
    ended = {uid: line for uid, line in ended.items() if line.phase != Phase.RUNNING}
    if not ended:
        return status
    phases, last, counts = [line.phase for line in ended.values()], status.last_execution, status.counts
    counted = {
        "succeeded": counts.succeeded + phases.count(Phase.SUCCEEDED),
        "failed": counts.failed + phases.count(Phase.FAILED),
        "stopped": counts.stopped + phases.count(Phase.STOPPED),
    }
    return status.model_copy(
        update={
            "history": tuple(ended.get(line.uid, line) for line in status.history),
            "last_execution": ended.get(last.uid, last) if last is not None else None,
            "counts": counts.model_copy(update=counted),
            "last_successful_time": _latest_end(status.last_successful_time, ended, Phase.SUCCEEDED),
            "last_failed_time": _latest_end(status.last_failed_time, ended, Phase.FAILED),
        }
    )


def _ended(line: Execution, job: Job | None) -> Execution:
    if job is None:
        message = "the JobRun was deleted while its Job ran, and the Job is gone: how it ended is not known"
        return line.model_copy(update={"phase": Phase.STOPPED.value, "message": message})
    if not job.finished or job.active:
        return line
    phase = Phase.SUCCEEDED if job.succeeded else Phase.FAILED
    message = f"the JobRun was deleted while its Job ran; the Job says: {job.reason or 'Complete'}"
    at = job.finished_at or job.created
    return line.model_copy(
        update={"phase": phase.value, "message": message[:HISTORY_MESSAGE_LENGTH], "completion_time": at}
    )


def _latest_end(known: datetime | None, ended: Mapping[str, Execution], phase: Phase) -> datetime | None:
    ends = [line.completion_time for line in ended.values() if line.phase == phase and line.completion_time]
    return max([*ends, *([known] if known else [])], default=None)


def let_go(current: Current) -> bool:
    """Whether the record of a run was deleted while its Job, which is the CronJob's, ran: nobody has stopped it."""
    return current.run.native_job is not None and current.status.reason == RUN_DELETED


def _short(current: Current) -> str:
    """The beginning says why a run was skipped or stopped; of one that failed, the last words tell most."""
    message = current.status.message
    if current.phase is Phase.FAILED:
        return message[-HISTORY_MESSAGE_LENGTH:]
    return message[:HISTORY_MESSAGE_LENGTH]


def execution(current: Current) -> Execution:
    """One line about a run."""
    run, status, gone = current.run, current.status, let_go(current)
    trigger = run.spec.trigger
    return Execution(
        run=run.name,
        uid=run.uid,
        trigger=trigger.name if trigger.name and trigger.type is not TriggerType.BACKFILL else trigger.type.value,
        requested_by=run.spec.requested_by,
        phase=Phase.RUNNING.value if gone else current.phase.value,
        reason=status.reason,
        message=_short(current),
        exit_code=status.steps[-1].exit_code if status.steps else None,
        scheduled_time=run.spec.scheduled_time,
        start_time=status.start_time,
        completion_time=None if gone else status.completion_time,
    )
