"""A run's status as it is written, with the conditions that `kubectl wait` waits for."""

from typing import Any

from carillon.api.conditions import Condition
from carillon.api.jobrun import JobRunStatus, Phase
from carillon.engine.model import Run


def run_status_body(run: Run, status: JobRunStatus) -> tuple[dict[str, Any], tuple[str, str] | None]:
    """Complete the status with its conditions.

    Returns:
        The status as JSON, and (phase, trigger type) when the run finishes with it.
    """
    outcome = None
    if Phase(status.phase).finished and status.completion_time is not None:
        outcome = (status.phase, run.spec.trigger.type.value)
        reason = status.reason or status.phase
        succeeded = "True" if status.phase == Phase.SUCCEEDED else "False"
        conditions = tuple(
            Condition(
                type=kind,
                status=value,
                last_transition_time=status.completion_time,
                reason=reason,
                message=status.message[:1024],
            )
            for kind, value in (("Finished", "True"), ("Succeeded", succeeded))
        )
        status = status.model_copy(update={"conditions": conditions})
    return status.model_dump(mode="json", by_alias=True, exclude_none=True), outcome
