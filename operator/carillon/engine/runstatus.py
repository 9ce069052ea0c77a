"""A run's status as it is written, with the conditions that `kubectl wait` waits for."""

from typing import Any

from carillon.api.base import StatusModel
from carillon.api.conditions import Condition
from carillon.api.jobrun import JobRunStatus, Phase
from carillon.engine.excerpt import CONDITION_MESSAGE_BYTES, beginning
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
                observed_generation=run.generation,
                last_transition_time=status.completion_time,
                reason=reason,
                message=beginning(status.message, CONDITION_MESSAGE_BYTES),
            )
            for kind, value in (("Finished", "True"), ("Succeeded", succeeded))
        )
        status = status.model_copy(update={"conditions": conditions})
    return status_body(status), outcome


def status_body(status: StatusModel) -> dict[str, Any]:
    """Write a status as JSON; what is empty is left out, so that people see only what there is to see."""
    return _compact(status.model_dump(mode="json", by_alias=True, exclude_none=True))


def _compact(value: dict[str, Any]) -> dict[str, Any]:
    compact: dict[str, Any] = {}
    for key, item in value.items():
        if item in ("", []):
            continue
        if isinstance(item, dict):
            item = _compact(item)
        elif isinstance(item, list):
            item = [_compact(member) if isinstance(member, dict) else member for member in item]
        compact[key] = item
    return compact
