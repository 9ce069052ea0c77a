"""What is known of the run of a due time: from its JobRun, or from the line that history keeps of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from carillon.api.jobrun import Phase, TaskProgress, TriggerType
from carillon.api.scheduledjob import Execution
from carillon.engine.model import Definition, Run


@dataclass(frozen=True, slots=True)
class RunStory:
    """The run of a due time, as its object or a line of the history tells."""

    name: str
    phase: str
    reason: str
    message: str
    exit_code: int | None
    started: datetime | None
    ended: datetime | None
    backfilled: bool
    """Whether it was made afterwards, by a backfill."""
    progress: str
    """What its task has said of how far it is; empty when it said nothing."""
    kept: bool
    """Whether the JobRun is still there, or only its line in status.history."""

    @property
    def waits(self) -> bool:
        """Whether nothing has become of it yet: before its due time it says no more than the definition does."""
        return self.phase in ("", Phase.SCHEDULED)


def run_of(definition: Definition, runs: Sequence[Run], instant: datetime, *, besides: str = "") -> RunStory | None:
    """The run of a due time other than the one named: the periodic one first, then one that was backfilled."""
    found = [run for run in runs if run.spec.scheduled_time == instant]
    kept = [_of_object(run) for run in sorted(found, key=lambda run: run.created)]
    gone = [_of_line(line) for line in definition.status.history if line.scheduled_time == instant]
    return min(
        (story for story in (*kept, *gone) if story.name != besides), key=lambda story: story.backfilled, default=None
    )


def _of_object(run: Run) -> RunStory:
    step = next(iter(reversed(run.status.steps)), None)
    return RunStory(
        name=run.name,
        phase=run.phase.value,
        reason=run.status.reason,
        message=run.status.message,
        exit_code=step.exit_code if step is not None else None,
        started=run.status.start_time,
        ended=run.status.completion_time,
        backfilled=run.spec.trigger.type is TriggerType.BACKFILL,
        progress=_progress(run.status.progress),
        kept=True,
    )


def _of_line(line: Execution) -> RunStory:
    return RunStory(
        name=line.run,
        phase=line.phase,
        reason=line.reason,
        message=line.message,
        exit_code=line.exit_code,
        started=line.start_time,
        ended=line.completion_time,
        backfilled=line.trigger == TriggerType.BACKFILL,
        progress="",
        kept=False,
    )


def _progress(said: TaskProgress | None) -> str:
    if said is None:
        return ""
    percent = "" if said.percent is None else f"{said.percent} %"
    return ", ".join(part for part in (percent, said.message) if part)
