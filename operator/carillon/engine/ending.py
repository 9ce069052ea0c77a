"""The record of a run that has ended: phase, reason and last words, of the run and of its last attempt."""

from datetime import datetime

from carillon.api.jobrun import JobRunStatus, Phase, StepStatus
from carillon.engine.excerpt import (
    EARLIER_MESSAGE_BYTES,
    MESSAGE_BYTES,
    RETRIED_MESSAGE_BYTES,
    STEP_MESSAGE_BYTES,
    ending,
)
from carillon.engine.excerpt import reason as cut_reason

_MARK = "… "


def step_ended(
    status: JobRunStatus, phase: Phase, words: str, at: datetime, *, exit_code: int | None = None
) -> JobRunStatus:
    """Record how the last attempt ended; one that has ended already stays as it is."""
    *earlier, last = status.steps
    if last.completion_time is not None:
        return status
    most = EARLIER_MESSAGE_BYTES if earlier else STEP_MESSAGE_BYTES
    update = {"phase": phase.value, "exit_code": exit_code, "message": ending(words, most), "completion_time": at}
    return status.model_copy(update={"steps": (*earlier, last.model_copy(update=update))})


def ended(
    status: JobRunStatus,
    phase: Phase,
    reason: str,
    message: str,
    at: datetime,
    *,
    words: str | None = None,
    exit_code: int | None = None,
) -> JobRunStatus:
    """Record how a run ended whose Job was made.

    Args:
        status: the record so far.
        phase: how it ended.
        reason: one word why; perhaps anybody's who writes conditions of Jobs or pods.
        message: the same in words. What the container said last tells most, so the end is kept.
        at: when.
        words: what the container said; the message when None.
        exit_code: of the container that failed, or 0.
    """
    status = step_ended(status, phase, message if words is None else words, at, exit_code=exit_code)
    update = {
        "phase": phase.value,
        "reason": cut_reason(reason),
        "message": _cut(message, MESSAGE_BYTES if len(status.steps) < 2 else RETRIED_MESSAGE_BYTES),
        "completion_time": at,
        "paused_since": None,
    }
    return status.model_copy(update=update)


def _cut(message: str, most_bytes: int) -> str:
    """The end of a message, and of one that begins with the number of the attempt that, too."""
    cut = ending(message, most_bytes)
    head, colon, _ = message.partition(": ")
    if cut == message or not (colon and head.startswith("attempt ")):
        return cut
    room = most_bytes - len((head + colon + _MARK).encode())
    return f"{head}{colon}{_MARK}{ending(message, room)}"


def earlier(steps: tuple[StepStatus, ...]) -> tuple[StepStatus, ...]:
    """The records of attempts after which there was another one: shorter, for there may be nine of them."""
    return tuple(step.model_copy(update={"message": ending(step.message, EARLIER_MESSAGE_BYTES)}) for step in steps)
