"""ScheduledJob: the definition. What to run, when, for whom and how."""

from datetime import timedelta
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from carillon.api.base import USER_LENGTH, ApiModel, Instant, StatusModel, keyed_by
from carillon.api.conditions import Condition
from carillon.api.event import MOST_EVENT_TRIGGERS, EventCount, EventTrigger
from carillon.api.exclude import Exclude
from carillon.api.parameters import MAX_PARAMETERS, Parameter

YEAR_SECONDS = 31_536_000


class JobClass(StrEnum):
    """Who the job belongs to: the cluster (System: protected, not edited) or a person (User)."""

    SYSTEM = "System"
    USER = "User"


class ConcurrencyPolicy(StrEnum):
    """What becomes of a run that finds no free slot."""

    ALLOW = "Allow"
    FORBID = "Forbid"
    REPLACE = "Replace"
    QUEUE = "Queue"


MAX_POLICIES = (ConcurrencyPolicy.FORBID, ConcurrencyPolicy.REPLACE, ConcurrencyPolicy.QUEUE)
GROUP_POLICIES = (ConcurrencyPolicy.FORBID, ConcurrencyPolicy.QUEUE)
"""Who replaces a run of another definition would stop what is not its own."""
QUEUE_POLICIES = (ConcurrencyPolicy.QUEUE,)
DEFAULT_QUEUE_LIMIT = 100
DEFAULT_PENDING_TIMEOUT_SECONDS = 900


def policies_in_words(policies: tuple[ConcurrencyPolicy, ...]) -> str:
    """The policies as a sentence has them."""
    *others, last = (policy.value for policy in policies)
    return f"{', '.join(others)} or {last}" if others else last


class CatchUpPolicy(StrEnum):
    """What becomes of due times that nobody was there to fire (design 3.3)."""

    SKIP = "Skip"
    LATEST = "Latest"
    ALL = "All"


class DaylightSavingPolicy(StrEnum):
    """How civil times that a clock change repeats or leaves out are read (design 3.4)."""

    RUN_ONCE = "RunOnce"
    WALL_CLOCK = "WallClock"


class Backend(StrEnum):
    """Who fires the due times: the operator, or the CronJob controller of Kubernetes (design 3.13)."""

    OPERATOR = "Operator"
    CRON_JOB = "CronJob"


class Trigger(ApiModel):
    """One reason to run: a name, and exactly one of cron, interval, at and event."""

    name: str = Field(
        min_length=1,
        max_length=40,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="Name of the trigger, unique in the definition; shown in runs, skips and events. Lower-case "
        "letters, digits and dashes.",
    )
    cron: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Cron expression as CronJob reads it: minute, hour, day of month, month, day of week; or a macro "
        'such as @daily. Example: "0 3 1 * *", at 03:00 on the first of each month.',
    )
    time_zone: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="IANA time zone in which cron is read. Only with cron. UTC when empty. Example: Europe/Paris.",
    )
    daylight_saving: DaylightSavingPolicy | None = Field(
        default=None,
        description="How clock changes are met. RunOnce (default): a time that the change leaves out runs once at its "
        "end, a repeated one the first time only. WallClock: what CronJob does. Only with cron.",
    )
    interval: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="ISO 8601 repeating interval: R, the first instant, the period. "
        'Example: "R/2026-01-01T03:00:00+01:00/P1D", every day at that time.',
    )
    at: str | None = Field(
        default=None,
        min_length=1,
        max_length=40,
        description='One instant, RFC 3339 with its offset. Example: "2026-12-24T18:00:00Z".',
    )
    event: EventTrigger | None = Field(
        default=None,
        description="Run when objects of a kind are created, updated or deleted in the namespace.",
    )
    jitter_seconds: int | None = Field(
        default=None,
        ge=1,
        le=86_400,
        description="Start up to so many seconds after the due time, and before the next one, so that not all jobs "
        "start at once. The delay of a due time never changes.",
    )
    start_at: Instant | None = Field(
        default=None, description="No due time before this instant counts. RFC 3339 with its offset."
    )
    end_at: Instant | None = Field(
        default=None, description="No due time after this instant counts. RFC 3339 with its offset."
    )

    @model_validator(mode="after")
    def _exactly_one_kind(self) -> Self:
        kinds = [kind for kind in ("cron", "interval", "at", "event") if getattr(self, kind) is not None]
        if len(kinds) != 1:
            found = " and ".join(kinds) if kinds else "none"
            raise ValueError(f"found {found}; set exactly one of cron, interval, at and event")
        if kinds != ["cron"] and (self.time_zone is not None or self.daylight_saving is not None):
            raise ValueError(
                f"timeZone and daylightSaving go with cron only; remove them or replace {kinds[0]} by cron"
            )
        if self.event is not None and (self.jitter_seconds or self.start_at or self.end_at):
            raise ValueError("jitterSeconds, startAt and endAt go with due times, and event has none; remove them")
        if self.start_at is not None and self.end_at is not None and self.end_at < self.start_at:
            raise ValueError(f"endAt {self.end_at} lies before startAt {self.start_at}; exchange them")
        return self


class CatchUp(ApiModel):
    """What becomes of due times that were missed: nobody was there to fire them within 60 seconds."""

    policy: CatchUpPolicy = Field(
        default=CatchUpPolicy.LATEST,
        description="Latest (default): the newest missed due time runs, once. Skip: none does. All: the newest ones up "
        "to limit run, oldest first, one at a time. Only within startingDeadlineSeconds; the rest is in status.skips.",
    )
    limit: int = Field(default=10, ge=1, le=100, description="How many due times All runs at the most. Default: 10.")


class Concurrency(ApiModel):
    """How many runs may be active at a time, and what becomes of one that finds no free slot."""

    # No defaults in the schema but the policy's: the API server would fill in what does not go with the policy.

    policy: ConcurrencyPolicy = Field(
        default=ConcurrencyPolicy.FORBID,
        description="Of a run that is due while max others are active: Forbid (default): it is skipped. Queue: it "
        "waits for its turn. Replace: the oldest is stopped, and it starts when that is gone. Allow: there is no max.",
    )
    max: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="How many runs may be active at a time, with Forbid, Replace and Queue. Default: 1.",
    )
    group: str | None = Field(
        default=None,
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="The ScheduledJobs of a namespace that name the same group share its slots; the smallest max of "
        "them holds. With Forbid and Queue. Example: nightly-db.",
    )
    queue_limit: int | None = Field(
        default=None,
        ge=1,
        le=500,
        description="How many runs of this ScheduledJob may wait with Queue; one more is skipped. Default: 100.",
    )

    @property
    def limit(self) -> int | None:
        """How many runs may be active at a time; None: any number."""
        return None if self.policy is ConcurrencyPolicy.ALLOW else self.max or 1

    @model_validator(mode="after")
    def _fields_go_with_the_policy(self) -> Self:
        for field, value, policies in (
            ("max", self.max, MAX_POLICIES),
            ("group", self.group, GROUP_POLICIES),
            ("queueLimit", self.queue_limit, QUEUE_POLICIES),
        ):
            if value is not None and self.policy not in policies:
                raise ValueError(
                    f"{field} goes with {policies_in_words(policies)}, and policy is {self.policy}; "
                    f"remove {field}, or set policy to {policies_in_words(policies)}"
                )
        return self


MOST_RETRIES = 9
"""Ten attempts: the record of each has its place in the JobRun, which stays under 10 kB (design 3.12)."""


class Backoff(ApiModel):
    """How long a run waits between two attempts."""

    initial_seconds: int = Field(
        default=10, ge=1, le=86_400, description="From the first failure to the second attempt. Default: 10."
    )
    factor: int = Field(default=2, ge=1, le=10, description="Each wait is so many times the one before. Default: 2.")
    max_seconds: int = Field(default=600, ge=1, le=86_400, description="No wait is longer. Default: 600.")


class Retry(ApiModel):
    """How often a run is attempted again when its Job has failed."""

    limit: int = Field(
        ge=0, le=MOST_RETRIES, description="Attempts after the first one. Each is a Job of its own, in the record."
    )
    backoff: Backoff = Field(default=Backoff(), description="How long to wait between two attempts.")


class History(ApiModel):
    """How many finished JobRuns are kept."""

    succeeded: int = Field(default=3, ge=0, le=100, description="Succeeded JobRuns kept. Default: 3.")
    failed: int = Field(
        default=3,
        ge=0,
        le=100,
        description="Failed and stopped JobRuns kept; as many skipped ones are kept beside them. Default: 3.",
    )


class ScheduledJobSpec(ApiModel):
    """What to run, when, for whom and how."""

    label: str = Field(default="", max_length=80, description="Name for people; the object's name is shown when empty.")
    description: str = Field(default="", max_length=1024, description="What the job does, for people.")
    owner: str = Field(
        default="",
        max_length=128,
        description="Who answers for the job, for people. Shown as system when empty and the class is System.",
    )
    class_: JobClass = Field(
        default=JobClass.USER,
        alias="class",
        description="User (default), or System: a job that keeps the cluster healthy. A System job can be suspended, "
        "resumed and run by those who may edit, and changed only by those granted the verb administer.",
    )
    suspend: bool = Field(
        default=False,
        description="Disabled: nothing fires, and a manual run is refused unless it sets force. Default: false.",
    )
    suspend_until: Instant | None = Field(
        default=None,
        description="With suspend: from this instant on the job counts as enabled. RFC 3339 with its offset. No end "
        "when empty. The operator does not change the spec.",
    )
    suspend_reason: str = Field(default="", max_length=256, description="Why the job is disabled, for people.")
    suspended_by: str = Field(default="", max_length=128, description="Who disabled the job, for people.")
    auto_start: bool = Field(
        default=False,
        description="Run once as soon as the definition is created (a suspended one: at its first resume). "
        "Can be set at creation only. Default: false.",
    )
    triggers: tuple[Trigger, ...] = Field(
        default=(),
        max_length=16,
        description="When the job runs by itself. None: it runs only when someone creates a JobRun.",
        json_schema_extra=keyed_by("name"),
    )
    starting_deadline_seconds: int | None = Field(
        default=None,
        ge=1,
        le=YEAR_SECONDS,
        description="A run that could not start within this many seconds of its due time is skipped, and the skip is "
        "recorded. No limit when empty.",
    )
    catch_up: CatchUp = Field(default=CatchUp(), description="What becomes of due times missed in a downtime.")
    exclude: Exclude = Field(
        default=Exclude(), description="Times at which no trigger fires: holidays, dates, windows, shared Calendars."
    )
    concurrency: Concurrency = Field(default=Concurrency(), description="What happens when runs would overlap.")
    parameters: tuple[Parameter, ...] = Field(
        default=(),
        max_length=MAX_PARAMETERS,
        description="What a run may be told: spec.parameters of a JobRun. Its containers find each value in "
        "PARAM_<NAME>, and Kubernetes puts it in place of $(PARAM_<NAME>) in command, args and env.",
        json_schema_extra=keyed_by("name"),
    )
    timeout_seconds: int | None = Field(
        default=None,
        ge=1,
        le=YEAR_SECONDS,
        description="A run that takes longer than this many seconds from its first Job, all attempts and the waits "
        "between them together, is ended and fails. Time in pause does not count. No limit when empty.",
    )
    retry: Retry | None = Field(
        default=None,
        description="Attempt a run again when its Job has failed. With it, a Job template without backoffLimit has 0: "
        "backoffLimit retries pods within one Job, retry makes a new Job. No retries when empty.",
    )
    pending_timeout_seconds: int | None = Field(
        default=None,
        ge=1,
        le=YEAR_SECONDS,
        description="A run whose Job is refused, or none of whose pods starts for this many seconds (its image cannot "
        "be pulled, no node has room), fails with that reason and frees its slot. Default: 900.",
    )
    history: History = Field(default=History(), description="How many finished JobRuns are kept.")
    backend: Backend = Field(
        default=Backend.OPERATOR,
        description="Who fires. Operator (default). CronJob: a CronJob of the same name is kept for a single plain "
        "cron, so that it goes on while the operator is away; best effort, its due times are not accounted for.",
    )
    job_template: dict[str, Any] = Field(
        description="The Job to make for each run, as in a CronJob (batch/v1 JobTemplateSpec). An existing "
        "CronJob's jobTemplate can be copied here as it is.",
        json_schema_extra={"x-job-template": True},
    )

    @property
    def pending_timeout(self) -> timedelta:
        """How long a run may try to start."""
        return timedelta(seconds=self.pending_timeout_seconds or DEFAULT_PENDING_TIMEOUT_SECONDS)

    @field_validator("triggers")
    @classmethod
    def _unique_trigger_names(cls, triggers: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
        seen: set[str] = set()
        for trigger in triggers:
            if trigger.name in seen:
                raise ValueError(f"found the name {trigger.name!r} twice; give each trigger its own name")
            seen.add(trigger.name)
        on_event = sum(trigger.event is not None for trigger in triggers)
        if on_event > MOST_EVENT_TRIGGERS:
            raise ValueError(f"found {on_event} with event; use at most {MOST_EVENT_TRIGGERS}, or another ScheduledJob")
        return triggers


class Display(StatusModel):
    """What the columns of kubectl get print."""

    # Strings, because kubectl prints a `date` that lies in the future as `<invalid>`.

    trigger: str = Field(default="", max_length=64, description="Manual, or what kind of trigger the job has.")
    label: str = Field(default="", max_length=80, description="spec.label, or the name.")
    owner: str = Field(default="", max_length=128, description="spec.owner, or system.")
    last_execution: str = Field(default="", max_length=32, description="When the last run started.")
    status: str = Field(
        default="",
        max_length=16,
        description="The first that holds of Invalid, Running, Paused, Queued, Disabled, Overdue, the last outcome, "
        "Waiting.",
    )
    next: str = Field(default="", max_length=32, description="The next due time.")
    schedule: str = Field(default="", max_length=300, description="The triggers in their own words.")


class Execution(StatusModel):
    """One line of history: what became of a run; it outlives the JobRun."""

    run: str = Field(max_length=253, description="Name of the JobRun.")
    uid: str = Field(default="", max_length=36, description="UID of the JobRun.")
    trigger: str = Field(default="", max_length=64, description="Manual, or the name of the trigger.")
    requested_by: str = Field(
        default="", max_length=USER_LENGTH, description="Who asked for the run, where the JobRun says so."
    )
    phase: str = Field(default="", max_length=16, description="How the run ended, or where it stands.")
    reason: str = Field(default="", max_length=64, description="One word why.")
    message: str = Field(
        default="", max_length=256, description="The beginning of the run's message; the end where it failed."
    )
    exit_code: int | None = Field(
        default=None,
        description="Exit code of the container that failed, or 0.",
        json_schema_extra={"format": "int32"},
    )
    scheduled_time: Instant | None = Field(default=None, description="The due time, of a periodic run.")
    start_time: Instant | None = Field(default=None, description="When the first Job was made.")
    completion_time: Instant | None = Field(default=None, description="When the run finished.")


class Skip(StatusModel):
    """Due times that were seen and deliberately not run; neighbours with the same reason share a line."""

    trigger: str = Field(max_length=64, description="Name of the trigger.")
    from_: Instant = Field(alias="from", description="The first due time of the line.")
    to: Instant = Field(description="The last due time of the line.")
    count: int = Field(ge=1, description="How many due times the line stands for.")
    reason: str = Field(max_length=32, description="Why they were not run, for example ConcurrencyForbid.")


class TriggerStatus(StatusModel):
    """How far a trigger has come: the watermark never passes a due time that is not resolved."""

    name: str = Field(max_length=40, description="Name of the trigger.")
    spec_hash: str = Field(
        max_length=16, description="Changes when the trigger changes; it then counts anew, from since."
    )
    since: Instant = Field(description="The trigger counts due times after this instant.")
    handled_through: Instant = Field(description="Every due time up to this instant is resolved: a run or a skip.")


class BackfillMark(StatusModel):
    """How far a backfill has come; it outlives its JobRuns, so that nothing of it is ever made twice."""

    id: str = Field(max_length=63, description="The backfill's id, as in the label carillon.dev/backfill of its runs.")
    through: Instant = Field(description="Due times of the backfill up to this instant have had their run.")


class Counts(StatusModel):
    """Finished runs since the definition was created."""

    active: int = Field(default=0, ge=0, description="Runs that hold a slot now.")
    queued: int = Field(default=0, ge=0, description="Runs that wait now, for a slot or for admission.")
    succeeded: int = Field(default=0, ge=0, description="Runs that succeeded.")
    failed: int = Field(default=0, ge=0, description="Runs that failed.")
    stopped: int = Field(default=0, ge=0, description="Runs that were stopped.")
    skipped: int = Field(default=0, ge=0, description="Due times and manual runs that were not run, with a reason.")


class ActiveRun(StatusModel):
    """A run that is not finished."""

    name: str = Field(max_length=253, description="Name of the JobRun.")
    phase: str = Field(default="", max_length=16, description="Where it stands.")


class ScheduledJobStatus(StatusModel):
    """What happened, what is happening and what comes next."""

    observed_generation: int = Field(
        default=0, ge=0, description="The metadata.generation that this status speaks of; an older one is out of date."
    )
    display: Display = Field(default=Display(), description="What the columns of kubectl get print.")
    next_executions: tuple[Instant, ...] = Field(default=(), max_length=5, description="The next five due times.")
    last_execution: Execution | None = Field(default=None, description="The run that started last.")
    last_schedule_time: Instant | None = Field(default=None, description="The due time of the last periodic run.")
    last_successful_time: Instant | None = Field(default=None, description="When a run last succeeded.")
    last_failed_time: Instant | None = Field(default=None, description="When a run last failed.")
    active: tuple[ActiveRun, ...] = Field(
        default=(), max_length=50, description="Runs that are not finished (the first 50)."
    )
    counts: Counts = Field(default=Counts(), description="How many runs ended how.")
    history: tuple[Execution, ...] = Field(
        default=(), max_length=20, description="The last 20 finished runs, newest first."
    )
    recorded_through: Instant | None = Field(
        default=None, description="Runs that finished before this instant have left history; they are counted already."
    )
    skips: tuple[Skip, ...] = Field(default=(), max_length=20, description="Due times that were not run, newest first.")
    triggers: tuple[TriggerStatus, ...] = Field(
        default=(), max_length=16, description="The watermark of each trigger.", json_schema_extra=keyed_by("name")
    )
    backfills: tuple[BackfillMark, ...] = Field(
        default=(),
        max_length=20,
        description="How far the last 20 backfills have come.",
        json_schema_extra=keyed_by("id"),
    )
    events: tuple[EventCount, ...] = Field(
        default=(),
        max_length=32,
        description="Events that led to no run of their own, by trigger and reason.",
        json_schema_extra=keyed_by("trigger", "reason"),
    )
    suspended_since: Instant | None = Field(default=None, description="When the suspension was first seen.")
    auto_start_run: str | None = Field(default=None, max_length=253, description="The JobRun that autoStart made.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=8,
        description="Ready: the definition is accepted. Stalled: it is not, and only an edit helps. LastRunSucceeded: "
        "how the last run ended. OnTime: False while a due run has not started. NativeBackend: with backend: CronJob "
        "only; True while the CronJob is in place. EventFilters: with a filter "
        "only; False while one cannot be evaluated. Disabled: while the job is, with why, by whom and until when.",
        json_schema_extra=keyed_by("type"),
    )
