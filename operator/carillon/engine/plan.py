"""What a decision asks for: a list of small actions in the order in which they are to be carried out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CreateRun:
    """Write the intent: a JobRun."""

    name: str
    body: Body
    ahead: bool = False
    """It is written ahead of its due time."""


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Have the effect: the Job of a run."""

    run_uid: str
    name: str
    body: Body
    due_at: datetime | None
    """When a periodic run was to start, to measure how late the Job is made."""
    trigger: str
    """Why the run exists, for the same measurement."""
    attempt: int = 1
    """Which attempt of the run it is; the later ones are copies of the first."""
    sealed: bytes = b""
    """The body as it is sent, in the place of `body`, where that was made before."""


@dataclass(frozen=True, slots=True)
class AdoptRun:
    """Make a person's JobRun belong to its ScheduledJob, so that deletion cascades."""

    name: str
    uid: str
    patch: Body


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Stop a Job: its pods end with grace, and it is gone when they are."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class SuspendJob:
    """Pause a Job, whose pods end with grace; or resume it, which starts the work again."""

    name: str
    uid: str
    run_uid: str
    suspend: bool
    deadline_seconds: int | None
    """Its activeDeadlineSeconds from now on, which Kubernetes counts anew when it is resumed; None: as it is."""


@dataclass(frozen=True, slots=True)
class DeleteRun:
    """Forget a finished run that history has recorded."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class WithdrawRun:
    """Take back a run that was written ahead of a due time which the definition names no more."""

    name: str
    uid: str
    resource_version: str
    """One that has changed since stays, and is looked at again."""


@dataclass(frozen=True, slots=True)
class WriteRunStatus:
    """Record how a run goes; refused when the run has changed since it was read."""

    name: str
    uid: str
    resource_version: str
    status: Body
    outcome: tuple[str, str] | None = None
    """(phase, trigger type) when this write finishes the run."""


@dataclass(frozen=True, slots=True)
class WriteDefinitionStatus:
    """Record how a definition goes; refused when it has changed since it was read."""

    resource_version: str
    status: Body


@dataclass(frozen=True, slots=True)
class WriteCalendarStatus:
    """Record whether a Calendar is understood; refused when it has changed since it was read."""

    resource_version: str
    status: Body


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell people, by a Kubernetes Event; only after the write that it speaks of."""

    kind: str
    """ScheduledJob, JobRun or Calendar."""
    name: str
    uid: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class LookUpDefinition:
    """Ask the API server itself whether the definition exists, before a run is refused for its absence."""


@dataclass(frozen=True, slots=True)
class LookUpJob:
    """Ask the API server itself whether a Job that a run speaks of is gone."""

    name: str
    uid: str
    run_uid: str
    """The run that speaks of it."""


@dataclass(frozen=True, slots=True)
class ReadJob:
    """Read a Job as it is, to make the next attempt from."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class InspectPods:
    """Look at a Job's pods: how many are left, and what the one that failed said."""

    job_uid: str


@dataclass(frozen=True, slots=True)
class CheckTemplate:
    """Dry-run the Job template on the API server."""

    generation: int
    body: Body


@dataclass(frozen=True, slots=True)
class LookUpCronJob:
    """Ask the API server itself whether there is a CronJob of the definition's name."""


@dataclass(frozen=True, slots=True)
class ApplyCronJob:
    """Have the definition's CronJob be as it should."""

    name: str
    uid: str
    """UID of the one that is there; empty to make it, where nobody else has the name."""
    body: Body
    count_from: datetime | None = None
    """Due times up to then are not started late: the schedule changed, or it was resumed."""


@dataclass(frozen=True, slots=True)
class SuspendCronJob:
    """Have the definition's CronJob fire nothing."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class DeleteCronJob:
    """Remove the definition's CronJob; its Jobs stay, and belong to their JobRuns."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class AdoptJob:
    """Tie a Job of the CronJob controller to the JobRun that is its record."""

    name: str
    uid: str
    body: Body


@dataclass(frozen=True, slots=True)
class PassOverEvents:
    """Give up the events of a window: they lead to no run, and are counted with the reason."""

    trigger: str
    first_uid: str
    first_version: str
    """UID and resourceVersion of the first event, which tell the window."""
    reason: str


First = CreateRun | CreateJob | AdoptRun
LookUp = PassOverEvents | LookUpDefinition | LookUpJob | ReadJob | InspectPods | CheckTemplate | LookUpCronJob
NativeWrite = ApplyCronJob | SuspendCronJob | DeleteCronJob | AdoptJob
RunWrite = DeleteRun | WithdrawRun | WriteRunStatus
Write = DeleteJob | SuspendJob | RunWrite | WriteDefinitionStatus | WriteCalendarStatus | NativeWrite
Action = First | LookUp | Write | Emit


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and when to look again if nothing happens before."""

    actions: tuple[Action, ...] = ()
    wake_at: datetime | None = None
    next_due: datetime | None = None
    """The next due time that starts a run: who has the same may have theirs written ahead (carillon.engine.ahead)."""

    @property
    def first(self) -> tuple[First, ...]:
        """What is to be created, and adopted to be started: that goes before every other write."""
        return tuple(action for action in self.actions if isinstance(action, First))

    @property
    def starts_only(self) -> bool:
        """Whether all that is to be created are the Jobs of runs that there are: after these, only records are left."""
        return bool(self.first) and all(isinstance(action, CreateJob) for action in self.first)

    @property
    def ahead_only(self) -> bool:
        """Whether all that is to be created are runs that are written ahead."""
        return bool(self.first) and all(isinstance(action, CreateRun) and action.ahead for action in self.first)

    @property
    def records(self) -> tuple[Write | Emit, ...]:
        """What is to be written down, and told."""
        return tuple(action for action in self.actions if isinstance(action, Write | Emit))

    @property
    def look_ups(self) -> tuple[LookUp, ...]:
        """What has to be known before anything is recorded."""
        return tuple(action for action in self.actions if isinstance(action, LookUp))
