"""What a decision is made from, as frozen values: definitions, runs, Jobs and what was looked up about them.

Nothing here talks to a cluster. `carillon.engine.read` makes these from Kubernetes' JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from carillon.api.calendar import CalendarSpec, CalendarStatus
from carillon.api.event import EventCount, EventTrigger
from carillon.api.jobrun import FINISHED_PHASES, JobRunSpec, JobRunStatus, Phase
from carillon.api.scheduledjob import ScheduledJobSpec, ScheduledJobStatus
from carillon.engine.eventwindow import Windows
from carillon.engine.terms import NO_TERMS, Terms
from carillon.schedule import Closed, Schedule

UTC_ZONE = ZoneInfo("UTC")
SUSPENDED_BY_RUN, SUSPENDED_BY_TEMPLATE = "run", "template"
"""Who suspends a Job, as its annotation says: the pause of its run, or whoever is behind a template with suspend."""


class Key(NamedTuple):
    """Names a definition; also the key under which its runs and Jobs are gathered."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class CalendarKey(NamedTuple):
    """Names a Calendar."""

    namespace: str
    name: str
    kind: str = "Calendar"

    def __str__(self) -> str:
        return f"Calendar {self.namespace}/{self.name}"


WorkKey = Key | CalendarKey
"""What is worked on at a time."""


@dataclass(frozen=True, slots=True)
class PlannedTrigger:
    """A trigger whose expression was understood."""

    name: str
    spec_hash: str
    schedule: Schedule
    """Every due time that the trigger names, excluded ones too: what watermarks count."""
    text: str
    """The expression as people wrote it, with its time zone; for the SCHEDULE column."""
    open: Schedule
    """The due times that exclusions leave."""
    excluded: Schedule | None = None
    """The due times that exclusions take away; None where there are no exclusions."""
    closed: Closed | None = None
    """The exclusions together."""
    closed_by: tuple[tuple[str, Closed], ...] = ()
    """The exclusions by the name of the Calendar that has them (empty: the definition itself), to tell people why."""
    zone: ZoneInfo = UTC_ZONE
    """In which civil days are read."""
    jitter_seconds: int = 0
    seed: str = ""
    """Namespace, name and trigger: what the jitter of a due time is made from."""


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """An event trigger that was understood."""

    name: str
    path: str
    """Where it is written, for messages: `spec.triggers[0].event`."""
    spec: EventTrigger
    looks_back: bool
    """Its filter speaks of oldObject."""
    closed: Closed | None = field(default=None, compare=False)
    """When no event counts; made anew whenever the definition is read."""

    @property
    def text(self) -> str:
        """The trigger in a few words; for the SCHEDULE column."""
        return f"{self.spec.resource} {'/'.join(self.spec.types)}"


@dataclass(frozen=True, slots=True)
class Calendar:
    """A Calendar as last seen."""

    key: Key
    uid: str
    resource_version: str
    generation: int
    spec: CalendarSpec | None
    """None when the specification could not be read at all."""
    invalid: str
    """Why it is not understood, in words that name the field and the cure; empty when it is."""
    status: CalendarStatus
    closed: dict[ZoneInfo, Closed] = field(default_factory=dict, compare=False, repr=False)
    """What it closes, by the time zone in which its days are read; worked out once for all that name it."""


@dataclass(frozen=True, slots=True)
class CalendarSnapshot:
    """Everything a decision about one Calendar is made from, but the time."""

    calendar: Calendar | None
    used_by: int = 0
    """How many definitions name it."""
    counted_at: datetime | None = None
    """When that was written for the last time, by this process."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A ScheduledJob as last seen."""

    key: Key
    uid: str
    resource_version: str
    generation: int
    created: datetime
    deleting: bool
    spec: ScheduledJobSpec | None
    """None when the specification could not be read at all."""
    triggers: tuple[PlannedTrigger, ...]
    """Those that name due times."""
    invalid: str
    """Why the definition cannot be scheduled, in words that name the field and the cure; empty when it can."""
    status: ScheduledJobStatus
    history_cleared: datetime | None
    """What ended up to then is to have no line in the history any more; people have said so, by an annotation."""
    unreadable_status: str
    """Why the status cannot be read (a newer operator may have written it); nothing is decided from half a memory."""
    events: tuple[PlannedEvent, ...] = ()
    """The triggers that watch objects."""

    def suspended(self, now: datetime) -> bool:
        """Whether people have disabled the definition: until spec.suspendUntil, from when on it counts as enabled."""
        if self.spec is None or not self.spec.suspend:
            return False
        return self.spec.suspend_until is None or now < self.spec.suspend_until


class NativeJob(NamedTuple):
    """Names a Job that the CronJob controller has made."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Run:
    """A JobRun as last seen."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    created: datetime
    deleting: bool
    owner_uid: str
    """UID of the ScheduledJob that owns the run; empty until it is adopted."""
    backfill: str
    """Id of the backfill that the run belongs to, from its label; empty for other runs."""
    other_owners: tuple[dict[str, Any], ...]
    """Owner references that somebody else has set, to be kept."""
    spec: JobRunSpec
    status: JobRunStatus
    native_job: NativeJob | None = None
    """The Job of which the run is the record, where the CronJob controller has made it; we never make one for it."""

    missed: bool = False
    """Whether its due time had been missed when the operator made it."""

    @property
    def phase(self) -> Phase:
        """The phase; an empty or unknown one counts as Scheduled."""
        try:
            return Phase(self.status.phase)
        except ValueError:
            return Phase.SCHEDULED

    @property
    def finished(self) -> bool:
        """Whether nothing can happen to the run any more."""
        return self.status.phase in FINISHED_PHASES

    @property
    def job_made(self) -> bool:
        """Whether the run's own record says that its Job was made."""
        return any(step.job for step in self.status.steps)


@dataclass(frozen=True, slots=True)
class Job:
    """A batch/v1 Job of ours as last seen."""

    namespace: str
    name: str
    uid: str
    run_uid: str
    created: datetime
    deleting: bool
    active: int
    """Pods pending or running, and those that are terminating."""
    failing: bool
    """Kubernetes has given it up and ends its pods: the last chance to hear what they said."""
    finished: bool
    succeeded: bool
    reason: str
    message: str
    finished_at: datetime | None
    pending_since: datetime | None = None
    """When Kubernetes began to make its pods, after a pause anew; None while none has been, or it is suspended."""
    started: bool = False
    """A pod of it runs, or has ended, so that it does not wait for its first one."""
    had_pods: bool = False
    """A pod was let in at some time, and may have ended since."""
    native_of: str = ""
    """UID of the ScheduledJob whose CronJob has made the Job; empty for Jobs of our own making."""
    scheduled_time: datetime | None = None
    """The due time of such a Job, where it has one."""
    cron_job_uid: str = ""
    """UID of the CronJob that controls such a Job; empty once it is gone."""
    terms: Terms = NO_TERMS
    """The definition's, at the first Job of the run."""
    deadline_seconds: int | None = None
    """Its activeDeadlineSeconds, which Kubernetes enforces."""
    suspended: bool = False
    """Its spec.suspend."""
    suspended_by: str = ""
    """`SUSPENDED_BY_RUN`, `SUSPENDED_BY_TEMPLATE`, or empty."""
    suspended_at: datetime | None = None
    """Since when Kubernetes says that it is suspended; None while it does not."""
    resumed_at: datetime | None = None
    """When Kubernetes said that it is suspended no more."""
    managed_by: str = ""
    """Who else says when it runs (Kueue, another controller), in words; empty when nobody does."""

    @property
    def holds_slot(self) -> bool:
        """A slot is held until no active or terminating pod is left (design 3.5)."""
        return self.active > 0 or not self.finished


@dataclass(frozen=True, slots=True)
class CronJob:
    """A batch/v1 CronJob with the name of a definition as last seen."""

    name: str
    uid: str
    generation: int
    owner_uid: str
    """UID of the ScheduledJob that controls it; empty when none does."""
    label_uid: str
    """UID of the ScheduledJob in the label that the watch selects on."""
    applied: str
    """Hash of what was last applied to it."""
    schedule: str
    time_zone: str
    suspended: bool
    deleting: bool

    @property
    def state(self) -> str:
        """This very specification of this very object."""
        return f"{self.uid}/{self.generation}"


@dataclass(frozen=True, slots=True)
class Pending:
    """Why no pod of a Job has started, in the words of the scheduler or the kubelet; empty where they say nothing."""

    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class PodReport:
    """What the pods of a Job say, looked up once when it matters."""

    remaining: int
    """Pods that have not ended yet."""
    exit_code: int | None = None
    reason: str = ""
    message: str = ""
    """The end of what the failed container said."""
    pending: Pending | None = None
    """Why no container has ever run; None where one has."""


LONGEST_REFUSED = timedelta(seconds=60)
"""The longest pause before the API server is asked again for what it has refused."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server refused to make a Job."""

    message: str
    permanent: bool
    """The Job can never be made as it is (422); otherwise the refusal may pass (quota, a policy)."""
    retry_at: datetime
    attempts: int = 1
    since: datetime | None = None
    """When it was refused for the first time; the run may have waited for its turn until then."""

    def holds(self, now: datetime) -> bool:
        """Whether it is too early to ask again.

        One that was to be asked for later than any pause lasts is of a clock that has been set back since.
        """
        return now < self.retry_at <= now + LONGEST_REFUSED


@dataclass(frozen=True, slots=True)
class TemplateCheck:
    """The answer to a server-side dry run of the Job template."""

    generation: int
    error: str
    """Why the API server refuses it, empty when it does not."""


@dataclass(frozen=True, slots=True)
class EventReport:
    """How it stands with the watches of a definition's event triggers, by trigger."""

    watched: Mapping[str, str] = field(default_factory=dict)
    """Why the trigger cannot be watched; empty when it is; absent when that is not known yet."""
    troubles: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Reason and message, where the filter could not be evaluated the last time."""
    counts: tuple[EventCount, ...] = ()
    """Events that led to no run of their own, since the definition was made."""


@dataclass(frozen=True, slots=True)
class Observations:
    """What was looked up beside the watches, kept in memory only: every piece can be looked up again."""

    definition_absent: bool = False
    """A live GET said that the definition does not exist."""
    template_check: TemplateCheck | None = None
    job_bodies: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """By UID: Jobs as they are, to make the next attempt from."""
    taken_runs: frozenset[str] = frozenset()
    """JobRun names that are held by somebody else's objects."""
    taken_jobs: frozenset[str] = frozenset()
    """Job names that are held by somebody else's objects."""
    absent_jobs: frozenset[str] = frozenset()
    """UIDs of Jobs that a live GET did not find."""
    not_adoptable: frozenset[str] = frozenset()
    """UIDs of runs of which the API server refuses that they are given their owner; nobody waits for them."""
    lingering_jobs: frozenset[str] = frozenset()
    """UIDs of Jobs that vanished before they had finished; their pods may still be there."""
    pods: Mapping[str, PodReport] = field(default_factory=dict)
    """By UID of the Job."""
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    """By UID of the run."""
    deleted_runs: tuple[Run, ...] = ()
    """Runs that somebody has deleted before the definition's status told of them, with how they ended."""
    pods_refused: Mapping[str, str] = field(default_factory=dict)
    """By UID of the Job: why Kubernetes refuses its pods, from the Job's own events."""
    cron_job_absent: bool = False
    """A live GET said that there is no CronJob of the definition's name."""
    cron_job_applied: str = ""
    """`CronJob.state` after our last apply; another one means that somebody has changed it since."""
    cron_job_refused: Refusal | None = None
    """The API server refuses the definition's CronJob."""
    event_windows: Mapping[str, Windows] = field(default_factory=dict)
    """By trigger: events that have no run yet."""
    event_report: EventReport = EventReport()
    unarchived: frozenset[str] = frozenset()
    """UIDs of the finished runs that the archive has still to take in; none where there is no archive."""


@dataclass(frozen=True, slots=True)
class Member:
    """Another definition of the same concurrency group, with what its slots hang on."""

    key: Key
    definition: Definition | None
    runs: tuple[Run, ...] = ()
    jobs: tuple[Job, ...] = ()
    observations: Observations = Observations()
    reserved: Mapping[str, str] = field(default_factory=dict)
    """Runs whose Job is being made, and was not answered for yet: UID and name."""
    aside: bool = False
    """The operator fails on it: what waits there has no turn, and keeps nobody from having theirs."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a decision about one definition is made from, but the time."""

    key: Key
    definition: Definition | None
    runs: tuple[Run, ...] = ()
    jobs: tuple[Job, ...] = ()
    observations: Observations = Observations()
    cron_job: CronJob | None = None
    """The CronJob of the definition's name, where there is one; perhaps somebody else's."""
    group: tuple[Member, ...] = ()
    """The other members of its concurrency group."""
    together: int = 1
    """How many definitions are due at the next due time of this one."""
