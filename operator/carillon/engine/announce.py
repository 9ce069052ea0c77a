"""What people are told by Kubernetes Events, on the run and on its definition."""

from collections.abc import Iterable
from typing import Literal

from carillon.api.base import rfc3339
from carillon.api.jobrun import JobRunStatus, Phase
from carillon.api.scheduledjob import ScheduledJobStatus, Skip
from carillon.engine.disabling import why_disabled
from carillon.engine.model import Definition, Run
from carillon.engine.pausing import PAUSING
from carillon.engine.plan import Emit
from carillon.engine.stopping import REPLACED, REQUESTED

_WARNINGS = (Phase.FAILED, Phase.SKIPPED, Phase.STOPPED)


def announce_run(definition: Definition | None, run: Run, status: JobRunStatus) -> list[Emit]:
    """Tell of a run that changed its phase, or that waits or stalls for a new reason."""
    another = len(status.steps) > len(run.status.steps)
    told = status.phase == run.status.phase and (status.reason == run.status.reason or not status.reason)
    if told and not another:
        return []
    phase = Phase(status.phase)
    goes_on = phase is Phase.RUNNING and run.job_made and not another
    resumed = goes_on and run.status.phase == Phase.PAUSED
    reason = "Started" if phase is Phase.RUNNING else phase.value
    stalls = phase is Phase.RUNNING and status.reason not in ("", PAUSING, REQUESTED.reason, REPLACED.reason)
    if phase is Phase.RUNNING and status.reason:
        reason = status.reason
    elif resumed:
        reason = "Resumed"
    alarming = phase in _WARNINGS or stalls or status.reason == "JobRefused"
    severity: Literal["Normal", "Warning"] = "Warning" if alarming else "Normal"
    text = _text(status, phase)
    if resumed:
        text = f"resumed Job {status.steps[-1].job}"
    elif goes_on and run.status.phase == Phase.QUEUED and not status.reason:
        text = f"admitted Job {status.steps[-1].job}"
    events = [Emit("JobRun", run.name, run.uid, severity, reason, text)]
    if definition is not None:
        events.append(
            Emit("ScheduledJob", definition.key.name, definition.uid, severity, reason, f"{run.name}: {text}")
        )
    return events


def _text(status: JobRunStatus, phase: Phase) -> str:
    if phase is Phase.RUNNING and not status.reason:
        last = status.steps[-1]
        return f"made Job {last.job}" + (f" (attempt {last.attempt})" if last.attempt > 1 else "")
    words = [part for part in (status.reason, "; ".join(status.message.split("\n"))) if part]
    if phase is Phase.FAILED and status.steps and status.steps[-1].exit_code:
        words.insert(1, f"exit code {status.steps[-1].exit_code}")
    return ": ".join(words)


def announce_skips(definition: Definition, skips: Iterable[Skip]) -> list[Emit]:
    """Tell of due times that were not run."""
    events = []
    for skip in skips:
        span = (
            f"due at {rfc3339(skip.from_)}"
            if skip.count == 1
            else (f"{skip.count} due times from {rfc3339(skip.from_)} to {rfc3339(skip.to)}")
        )
        text = f"trigger {skip.trigger}: {span} not run: {skip.reason}"
        events.append(Emit("ScheduledJob", definition.key.name, definition.uid, "Warning", "Skipped", text))
    return events


def announce_state(definition: Definition, status: ScheduledJobStatus) -> list[Emit]:
    """Tell of a definition that became invalid, overdue, disabled or enabled."""
    events = []
    name, uid = definition.key.name, definition.uid
    before = {c.type: c for c in definition.status.conditions}
    for condition in status.conditions:
        old = before.get(condition.type)
        if old is not None and (old.status, old.message) == (condition.status, condition.message):
            continue
        if condition.type in ("Ready", "OnTime", "EventFilters") and condition.status == "False":
            events.append(Emit("ScheduledJob", name, uid, "Warning", condition.reason, condition.message))
    if (definition.status.suspended_since is None) != (status.suspended_since is None):
        if status.suspended_since is not None:
            events.append(
                Emit(
                    "ScheduledJob",
                    name,
                    uid,
                    "Normal",
                    "Disabled",
                    f"nothing fires: disabled{why_disabled(definition)}",
                )
            )
        else:
            events.append(Emit("ScheduledJob", name, uid, "Normal", "Enabled", "due times count from now on"))
    return events
