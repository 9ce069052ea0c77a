"""JobRun: one execution of a ScheduledJob. The intent, its progress and its record; creating one is Run Now."""

from enum import StrEnum

from pydantic import Field

from carillon.api.base import USER_LENGTH, ApiModel, Instant, PreciseInstant, StatusModel, keyed_by
from carillon.api.conditions import Condition
from carillon.api.event import RunEvent
from carillon.api.parameters import MAX_PARAMETERS, ParameterValue


class TriggerType(StrEnum):
    """Why the run exists; Periodic and Event are made by the operator only."""

    MANUAL = "Manual"
    PERIODIC = "Periodic"
    EVENT = "Event"
    BACKFILL = "Backfill"


class Phase(StrEnum):
    """Where a run stands. An empty phase counts as Scheduled: written, and not decided yet."""

    SCHEDULED = "Scheduled"
    QUEUED = "Queued"
    RUNNING = "Running"
    PAUSED = "Paused"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    SKIPPED = "Skipped"

    @property
    def finished(self) -> bool:
        """Whether nothing can happen to the run any more."""
        return self in FINISHED_PHASES


FINISHED_PHASES = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.STOPPED, Phase.SKIPPED})


class RunTrigger(ApiModel):
    """Why the run exists."""

    type: TriggerType = Field(
        default=TriggerType.MANUAL,
        description="Manual (default): someone created the JobRun. Periodic: a trigger of the ScheduledJob was due; "
        "Event: objects changed that one watches; such runs are created by the operator. "
        "Backfill: a due time of the past, run again because someone said so.",
    )
    name: str = Field(
        default="", max_length=64, description="Name of the ScheduledJob's trigger that was due, or autoStart."
    )
    event: RunEvent | None = Field(default=None, description="Of an Event run: what happened.")


class JobRunSpec(ApiModel):
    """What was asked for; it does not change, but for suspend and a one-way stop."""

    scheduled_job: str = Field(
        min_length=1, max_length=52, description="Name of the ScheduledJob to run, in the same namespace."
    )
    scheduled_time: Instant | None = Field(
        default=None,
        description="The due time of a Periodic or Backfill run, RFC 3339. Not for Manual runs, which start now.",
    )
    trigger: RunTrigger = Field(
        default=RunTrigger(), description="Why the run exists. Leave it out for a manual run (Run Now)."
    )
    parameters: dict[str, ParameterValue] = Field(
        default={},
        max_length=MAX_PARAMETERS,
        description="What the run is told, by the names in spec.parameters of the ScheduledJob; defaults stand in for "
        'the rest. Values are strings. Example: {days: "7"}. No secrets: everyone who sees runs sees them.',
    )
    requested_by: str = Field(
        default="",
        max_length=USER_LENGTH,
        description="Who asked for the run: the user who creates it, and nobody else.",
    )
    force: bool = Field(
        default=False, description="Run even when the ScheduledJob is disabled (spec.suspend). Default: false."
    )
    suspend: bool = Field(
        default=False,
        description="Pause the run: its pods end with their grace, and false starts the work again, from its "
        "beginning. A run that has not started waits. Time in pause does not count toward timeoutSeconds, but toward "
        "startingDeadlineSeconds. Refused where something else suspends the Job (Kueue). Default: false.",
    )
    stop: bool = Field(
        default=False,
        description="Stop the run, for good: its pods end with their grace, and it is Stopped when none is left. "
        "Cannot be taken back. Default: false.",
    )


class StepStatus(StatusModel):
    """One Job of the run: an attempt of a step."""

    name: str = Field(max_length=63, description="Name of the step.")
    attempt: int = Field(default=1, ge=1, description="The number of the attempt, from 1.")
    phase: str = Field(default="", max_length=16, description="Where the step stands; the words are those of the run.")
    job: str = Field(default="", max_length=63, description="Name of the Job; written once it was made.")
    job_uid: str = Field(default="", alias="jobUID", max_length=36, description="UID of the Job.")
    exit_code: int | None = Field(
        default=None,
        description="Exit code of the container that failed, or 0.",
        json_schema_extra={"format": "int32"},
    )
    message: str = Field(default="", max_length=4096, description="The last words of the container that failed.")
    start_time: Instant | None = Field(default=None, description="When the Job was made.")
    completion_time: Instant | None = Field(default=None, description="When the Job finished.")


PROGRESS_MESSAGE_LENGTH = 256


class TaskProgress(StatusModel):
    """What the task itself has said of how far it is."""

    percent: int | None = Field(
        default=None, ge=0, le=100, description="How much of the work is done; absent when the task did not say."
    )
    message: str = Field(
        default="", max_length=PROGRESS_MESSAGE_LENGTH, description="What the task is at, in its own words."
    )
    update_time: PreciseInstant = Field(
        description="When the operator received the report; others since then may be on their way."
    )


class JobRunStatus(StatusModel):
    """How the run goes, or went."""

    phase: str = Field(
        default="",
        max_length=16,
        description="Scheduled (also when empty), Queued, Running, Paused, Succeeded, Failed, Stopped or Skipped.",
    )
    reason: str = Field(default="", max_length=64, description="One word why the run is in its phase.")
    message: str = Field(
        default="", max_length=4096, description="In words; of a failed run, the end of what the container said."
    )
    start_after: Instant | None = Field(
        default=None, description="Of a due time with jitter: when the run is to start; written once."
    )
    start_time: Instant | None = Field(default=None, description="When the first Job was made.")
    completion_time: Instant | None = Field(default=None, description="When the run finished.")
    progress: TaskProgress | None = Field(
        default=None,
        description="What the task reported last, by an HTTP call to $CARILLON_PROGRESS_URL; a finished run keeps it.",
    )
    attempts: int | None = Field(
        default=None, ge=1, description="How often the run was attempted: its Jobs, the present one included."
    )
    paused_since: Instant | None = Field(
        default=None, description="Since when the Job is suspended, by a pause or by others, while it is."
    )
    paused_seconds: int | None = Field(
        default=None, ge=0, description="Seconds in which it was suspended before; timeoutSeconds does not count them."
    )
    # Nobody but the operator writes here, and always the whole: merged by key, each field of each attempt would be
    # named a second time in managedFields.
    steps: tuple[StepStatus, ...] = Field(
        default=(), max_length=30, description="The Jobs of the run, in the order in which they were made."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=8,
        description="Finished: True when nothing can happen any more, however it ended. Succeeded: True or False then.",
        json_schema_extra=keyed_by("type"),
    )
