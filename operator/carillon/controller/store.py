"""What is known of the cluster, by definition: fed by the watches and by the answers to our own writes.

The answers bridge the gap until the watch has seen a write. Neither can take an object back in time: an older
resourceVersion is passed over, and what was seen to be deleted does not come back by a late answer. When the API server
itself has gone back, `begin_anew` forgets all that.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from carillon.api import keys
from carillon.controller.backlog import NoArchive, RunKeeper
from carillon.controller.calendars import Calendars, calendars_of
from carillon.controller.groups import GroupKey, Groups
from carillon.controller.notes import Notes
from carillon.engine.concurrency import is_of
from carillon.engine.history import deleted, recorded
from carillon.engine.model import (
    CalendarKey,
    CronJob,
    Definition,
    Job,
    Key,
    Member,
    Observations,
    Run,
    Snapshot,
    WorkKey,
)
from carillon.engine.planning import plan
from carillon.engine.read import controller_uid, read_calendar, read_cron_job, read_job, read_run, read_unplanned
from carillon.engine.start_time import is_ahead
from carillon.kube.resources import JOB_RUNS, Resource

Object = dict[str, Any]
_BURIED = 20_000
_NEVER = datetime.max.replace(tzinfo=UTC)
NEWS = timedelta(seconds=30)
"""An event as old as this was told by a list, and not by the watch; the clocks of two machines may differ."""


@dataclass(slots=True)
class _Family:
    """A definition with its runs and Jobs, by UID."""

    definition: Definition | None = None
    """As it was read, without a plan."""
    planned: Definition | None = None
    """With the plan of the last decision, which may be out of date."""
    edition: int = 0
    """Of the Calendars, when it was planned."""
    runs: dict[str, Run] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    notes: Notes | None = None
    cron_job: CronJob | None = None
    reserved: dict[str, str] = field(default_factory=dict)
    """Runs whose Job is being made: from the decision until the API server has answered."""
    aside: bool = False

    @property
    def empty(self) -> bool:
        return self.definition is None and not self.runs and not self.jobs and self.cron_job is None

    @property
    def observations(self) -> Observations:
        return self.notes.freeze() if self.notes is not None else Observations()

    @property
    def idle(self) -> bool:
        """Whether it neither holds a slot nor waits for one, as far as can be told at a glance."""
        return not (
            self.reserved
            or (self.notes is not None and self.notes.lingering_jobs)
            or any(not run.finished for run in self.runs.values())
            or any(job.holds_slot for job in self.jobs.values())
        )


class Store:
    """Definitions, runs and Jobs as last seen; calls `changed` with the key of what changed."""

    def __init__(
        self,
        *,
        changed: Callable[[WorkKey], None],
        unreadable: Callable[[Object, str], None],
        clock: Callable[[], datetime],
        keeper: RunKeeper | None = None,
    ) -> None:
        self._keeper = keeper or NoArchive()
        self.groups = Groups()
        """To be read, as the Calendars."""
        self.calendars = Calendars()
        """To be read; what is learnt of a Calendar goes through the store."""
        self._changed = changed
        self._unreadable = unreadable
        self._clock = clock
        self._families: dict[Key, _Family] = {}
        self._versions: dict[str, int] = {}
        self._keys: dict[str, Key] = {}
        self._buried: OrderedDict[str, None] = OrderedDict()
        self._progress_changed: dict[str, datetime] = {}

    def known(self) -> list[Key]:
        """Every key about which something is known."""
        return list(self._families)

    def definitions(self) -> list[Definition]:
        """Every definition as it was read: what it says of itself, and nothing that could be decided from."""
        return [family.definition for family in self._families.values() if family.definition is not None]

    def definition(self, key: Key) -> Definition | None:
        """The definition as it was read, as above."""
        family = self._families.get(key)
        return family.definition if family is not None else None

    def planned(self, key: Key) -> Definition | None:
        """The definition as decisions see it: planned now, where it has to be."""
        family = self._families.get(key)
        return self._planned(family) if family is not None else None

    def next_due(self, key: Key) -> datetime:
        """What is due next by the definition's own status, where it says; else the end of time.

        As the last leader saw it: good for who is looked at first, and for nothing else.
        """
        definition = self.definition(key)
        upcoming = definition.status.next_executions if definition is not None else ()
        return upcoming[0] if upcoming else _NEVER

    def sizes(self) -> dict[str, int]:
        """How many objects of each kind are held."""
        families = self._families.values()
        return {
            "scheduledjobs": sum(family.definition is not None for family in families),
            "jobruns": sum(len(family.runs) for family in families),
            "jobs": sum(len(family.jobs) for family in families),
        }

    def snapshot(self, key: Key, *, together: int = 1) -> Snapshot:
        """Everything that a decision about the key is made from; the definition is planned now, where it has to be.

        Args:
            key: of the definition.
            together: how many definitions are due at its next due time.
        """
        family = self._families.get(key)
        if family is None:
            return Snapshot(key=key, definition=None)
        observations = family.observations
        unarchived = self._keeper.unarchived(family.runs)
        if unarchived:
            observations = replace(observations, unarchived=unarchived)
        return Snapshot(
            key=key,
            definition=self._planned(family),
            runs=tuple(family.runs.values()),
            jobs=tuple(family.jobs.values()),
            observations=observations,
            cron_job=family.cron_job,
            group=tuple(member for member in self.group_of(key) if member.key != key),
            together=together,
        )

    def group_of(self, key: Key) -> list[Member]:
        """The members of a definition's concurrency group, itself too; none where it has no group."""
        group = self.groups.of(key)
        return [self._member(named) for named in self.groups.members(group)] if group is not None else []

    def _member(self, key: Key) -> Member:
        family = self._families[key]
        if family.idle:
            return Member(key, family.definition)
        return Member(
            key,
            self._planned(family),
            tuple(family.runs.values()),
            tuple(family.jobs.values()),
            family.observations,
            dict(family.reserved),
            family.aside,
        )

    def reserve(self, key: Key, runs: Mapping[str, str]) -> None:
        """Have the group know which runs are about to hold a slot, by UID; what was noted before is forgotten.

        Members of a group decide at the same time: the answer to a create comes later than the other's decision.
        """
        family = self._families.get(key)
        if family is not None and (family.reserved or runs):
            family.reserved = dict(runs)

    def set_aside(self, key: Key, aside: bool) -> None:
        """Note whether the operator fails on a definition, so that its group does not wait for it."""
        family = self._families.get(key)
        if family is not None:
            family.aside = aside

    def _planned(self, family: _Family) -> Definition | None:
        if family.definition is None:
            return None
        named = calendars_of(family.definition)
        edition = self.calendars.edition(named)
        if family.planned is None or family.edition != edition:
            found = {key.name: self.calendars.get(key) for key in named}
            calendars = {name: calendar for name, calendar in found.items() if calendar is not None}
            family.planned, family.edition = plan(family.definition, calendars), edition
        return family.planned

    def notes(self, key: Key) -> Notes:
        """The notes about a key, to be added to."""
        family = self._families.setdefault(key, _Family())
        if family.notes is None:
            family.notes = Notes()
        return family.notes

    def notes_of(self, key: Key) -> Notes | None:
        """The notes about a key, if there are any."""
        family = self._families.get(key)
        return family.notes if family is not None else None

    def put_definition(self, raw: Object) -> None:
        """Take in a ScheduledJob."""
        if self._stale(raw):
            return
        definition = read_unplanned(raw)
        family = self._families.setdefault(definition.key, _Family())
        known = family.definition
        if known is not None and known.uid != definition.uid:
            if int(definition.resource_version) < self._versions.get(known.uid, 0):
                self._bury(definition.uid)  # a late word of one that was deleted, and made anew since
                return
            self.drop(known.uid)
            family = self._families.setdefault(definition.key, _Family())
        self._put_definition(family, definition)
        self._keeper.see_definition(definition)
        if definition.unreadable_status:
            self._unreadable(raw, definition.unreadable_status)
        if family.notes is not None:
            family.notes.definition_absent = False
            if known is not None and known.generation != definition.generation:
                family.notes.cron_job_refused = None
            # Here and not only in `tidy`: a process that does not lead decides nothing, and tidies nothing.
            family.notes.forget_told(definition)
        self._note(raw, definition.key)

    def _put_definition(self, family: _Family, definition: Definition) -> None:
        before, planned = family.definition, family.planned
        family.definition, family.planned = definition, None
        if planned is not None and before is not None and _as_before(before, definition):
            # Its status has changed: there is nothing to plan anew.
            family.planned = replace(
                definition, triggers=planned.triggers, events=planned.events, invalid=planned.invalid
            )
        self._name_calendars(definition.key, before, definition)
        self._nudge(self.groups.put(definition))

    def _nudge(self, group: GroupKey | None) -> None:
        """Have one member of a group looked at, as another one has left: it wakes those whose turn has come."""
        for key in self.groups.members(group)[:1] if group is not None else ():
            self._changed(key)

    def _forget(self, key: Key) -> None:
        del self._families[key]
        self._nudge(self.groups.remove(key))

    def put_calendar(self, raw: Object) -> None:
        """Take in a Calendar; the definitions that name it are planned anew before anything is decided for them."""
        if self._stale(raw):
            return
        calendar = read_calendar(raw)
        key = CalendarKey(*calendar.key)
        known = self.calendars.get(key)
        if known is not None and known.uid != calendar.uid:
            if int(calendar.resource_version) < self._versions.get(known.uid, 0):
                self._bury(calendar.uid)  # a late word of one that was deleted, and made anew since
                return
            self.drop(known.uid)
        self.calendars.put(calendar)
        self._versions[calendar.uid] = int(calendar.resource_version)
        self._changed(key)

    def missing_calendars(self, key: Key) -> list[CalendarKey]:
        """The Calendars that a definition names and of which no watch has told (yet)."""
        return [named for named in calendars_of(self.definition(key)) if self.calendars.get(named) is None]

    def edition(self, key: WorkKey) -> int:
        """A number that is another one when people have changed what is decided from, and the same when we have."""
        if isinstance(key, CalendarKey):
            return self.calendars.edition([key])
        definition = self.definition(key)
        return definition.generation if definition is not None else 0

    def _name_calendars(self, key: Key, before: Definition | None, now: Definition | None) -> None:
        for named in self.calendars.name(key, before, now):
            self._changed(named)  # it says how many definitions name it

    def put_run(self, raw: Object) -> None:
        """Take in a JobRun; one that cannot be read is reported and left alone."""
        if self._stale(raw):
            return
        try:
            run = read_run(raw)
        except (ValidationError, KeyError) as error:
            self._unreadable(raw, str(error))
            return
        key = Key(run.namespace, run.spec.scheduled_job)
        family = self._families.setdefault(key, _Family())
        known = family.runs.get(run.uid)
        family.runs[run.uid] = run
        self._keeper.see_run(run)
        for uid in [u for u, job in family.jobs.items() if u in self._buried and _told(run, job)]:
            del family.jobs[uid]
        if run.status.progress is not None and (known is None or known.status.progress != run.status.progress):
            self._progress_changed[run.uid] = self._clock()
        # Nothing is decided from what tasks say, and they may say it often.
        self._note(raw, key, tell=known is None or _but_progress(known, run) != run)

    def run(self, uid: str) -> Run | None:
        """The run with this UID."""
        family = self._families.get(self._keys[uid]) if uid in self._keys else None
        return family.runs.get(uid) if family is not None else None

    def progress_changed(self, uid: str) -> datetime | None:
        """When it was seen that the task's progress on the record of a run changed; None: it has none."""
        return self._progress_changed.get(uid)

    def run_of_job(self, uid: str) -> Run | None:
        """The run whose Job this is: the record names the Job, or there is no record yet and the Job names the run."""
        family = self._families.get(self._keys[uid]) if uid in self._keys else None
        if family is None:
            return None
        for run in family.runs.values():
            if any(step.job_uid == uid for step in run.status.steps):
                return run
        job = family.jobs.get(uid)
        named = family.runs.get(job.run_uid) if job is not None else None
        if job is None or named is None or named.job_made:
            return None
        return named if is_of(named, job) else None

    def put_job(self, raw: Object) -> None:
        """Take in a Job that carries our labels."""
        if self._stale(raw):
            return
        job = read_job(raw)
        if not (job.run_uid or job.native_of):
            return
        # The owner says whose it is; the label is for the first look, when the run may not have been listed yet.
        key = self._keys.get(job.uid) or self._keys.get(job.run_uid)
        if key is not None and key.namespace != job.namespace:
            key = None  # owners are in the same namespace: somebody in another one has written this
        name = (raw["metadata"].get("labels") or {}).get(keys.SCHEDULED_JOB_LABEL)
        if key is None and name is not None:
            key = Key(job.namespace, name)
        if key is not None:
            self._put_job(job, key)
            self._note(raw, key)

    def put_cron_job(self, raw: Object) -> None:
        """Take in a CronJob that carries our label; it bears the name of its definition."""
        if not self._stale(raw):
            self.put_found_cron_job(raw)
            self._changed(self._keys[raw["metadata"]["uid"]])

    def put_found_cron_job(self, raw: Object) -> None:
        """Take in a CronJob that a look-up or an apply has found, perhaps one that no watch tells of.

        The watch may have overtaken the answer: what it has told since is not forgotten for it.
        """
        if self._is_older(raw):
            return
        metadata = raw["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        self._families.setdefault(key, _Family()).cron_job = read_cron_job(raw)
        self._buried.pop(metadata["uid"], None)
        self._note(raw, key, tell=False)

    def forget_cron_job(self, key: Key, *, unwatched: bool = False) -> None:
        """Forget the CronJob of the name; `unwatched`: only if no watch tells of it, so that it is looked up again."""
        family = self._families.get(key)
        if family is not None and family.cron_job is not None and not (unwatched and family.cron_job.label_uid):
            self._versions.pop(family.cron_job.uid, None)
            self._keys.pop(family.cron_job.uid, None)
            family.cron_job = None

    def put_found_job(self, raw: Object, key: Key) -> None:
        """Take in a Job that a look-up has found although the watch does not have it (any more), or not yet."""
        if self._is_older(raw):
            return
        job = read_job(raw)
        self._buried.pop(job.uid, None)
        if not {keys.RUN_UID_LABEL, keys.NATIVE_LABEL} & (raw["metadata"].get("labels") or {}).keys():
            # Somebody took away the label that the watch selects on: it has to be looked up again and again.
            self.notes(key).unwatched_jobs.add(job.uid)
        self._put_job(job, key)
        self._note(raw, key, tell=False)  # whoever has looked it up decides anew anyway

    def begin_anew(self) -> None:
        """Believe whatever comes next: the API server has gone back in time, as an etcd restored from a backup does.

        Its versions are those of before, or will be given a second time, and what was deleted since may be there again.
        """
        for family in self._families.values():
            # They were kept for their last words; nobody will tell of their end a second time.
            for uid in family.jobs.keys() & self._buried.keys():
                del family.jobs[uid]
        self._versions.clear()
        self._buried.clear()

    def tidy(self, key: Key) -> None:
        """Forget the notes that no decision needs any more."""
        family = self._families.get(key)
        if family is None or family.notes is None:
            return
        notes = family.notes
        notes.forget_told(family.definition)
        notes.job_bodies.clear()
        recorded_jobs = {step.job_uid for run in family.runs.values() for step in run.status.steps}
        needed = recorded_jobs | family.jobs.keys() | notes.lingering_jobs
        notes.absent_jobs &= needed
        notes.pods = {uid: report for uid, report in notes.pods.items() if uid in needed}
        notes.last_words = {uid: words for uid, words in notes.last_words.items() if uid in needed}
        # What the pods of a deleted member hold is the group's.
        if family.empty and not (notes.lingering_jobs and self.groups.of(key)):
            self._forget(key)

    def mark_deleting(self, key: Key, job_uid: str) -> None:
        """Note that a Job is being deleted, until the watch says so."""
        family = self._families.get(key)
        if family is not None and job_uid in family.jobs:
            family.jobs[job_uid] = replace(family.jobs[job_uid], deleting=True)

    def forget_unwatched(self, key: Key) -> None:
        """Have the Jobs that no watch tells of looked up again."""
        family = self._families.get(key)
        if family is not None and family.notes is not None:
            for uid in family.notes.unwatched_jobs:
                family.jobs.pop(uid, None)
            family.notes.unwatched_jobs.clear()

    def drop_absent(self, resource: Resource, namespace: str | None, found: frozenset[str], version: int) -> None:
        """Forget the JobRuns, or the Jobs of our own making, that a list does not have although it is not older.

        What was learnt from the answer to a write, and deleted while nobody listened, no watch will ever tell of.

        Args:
            resource: what was listed.
            namespace: where; None: everywhere.
            found: the UIDs of what there is.
            version: as of which resourceVersion.
        """
        gone: list[str] = []
        for key, family in self._families.items():
            if namespace not in (None, key.namespace):
                continue
            if resource is JOB_RUNS:
                known = set(family.runs)
            else:
                known = {uid for uid, job in family.jobs.items() if job.run_uid and not job.native_of}
                known -= family.notes.unwatched_jobs if family.notes is not None else set()
            gone += [uid for uid in known - found if self._versions.get(uid, version + 1) <= version]
        for uid in gone:
            self.drop(uid)

    def _put_job(self, job: Job, key: Key) -> None:
        family = self._families.setdefault(key, _Family())
        family.jobs[job.uid] = job
        if family.notes is not None and job.active:
            family.notes.pods_refused.pop(job.uid, None)

    def drop(self, uid: str) -> None:
        """Forget an object that is gone."""
        self._bury(uid)
        self._progress_changed.pop(uid, None)
        if uid in self.calendars:
            self._changed(self.calendars.remove(uid))
            return
        key = self._keys.pop(uid, None)
        family = self._families.get(key) if key is not None else None
        if key is None or family is None:
            return
        if family.definition is not None and family.definition.uid == uid:
            self._name_calendars(key, family.definition, None)
            family.definition = family.planned = None
            self._keeper.lose_definition(uid)
            if family.notes is not None:
                family.notes.forget_told(None)
        if family.cron_job is not None and family.cron_job.uid == uid:
            family.cron_job = None
        run = family.runs.pop(uid, None)
        job = family.jobs.get(uid)
        owner = family.runs.get(job.run_uid) if job is not None else None
        if job is not None and (owner is None or _told(owner, job)):
            del family.jobs[uid]
        # Otherwise it is still to be recorded that the Job was made, or how it ended.
        if run is not None:
            for ended in [u for u, other in family.jobs.items() if other.run_uid == uid and u in self._buried]:
                del family.jobs[ended]
        if run is not None and self._is_no_record(family, run):
            pass
        elif run is not None and family.definition is not None and run.owner_uid == family.definition.uid:
            self._keep_deleted(key, family.definition, run)
        elif run is not None:
            self._keeper.lose_run(deleted(run, None, self._now()))
        if family.notes is not None:
            family.notes.forget(uid, *(step.job_uid for step in run.status.steps) if run is not None else ())
        if job is not None and job.holds_slot and (family.definition is not None or self.groups.of(key)):
            # Its pods may outlive it for as long as their grace lasts.
            self.notes(key).lingering_jobs.add(uid)
        if family.empty and not (family.notes is not None and family.notes.lingering_jobs and self.groups.of(key)):
            self._forget(key)
        self._changed(key)

    def _keep_deleted(self, key: Key, definition: Definition, run: Run) -> None:
        ended = deleted(run, definition.status.recorded_through, self._now())
        self._keeper.lose_run(ended)
        if not (run.finished and recorded(definition.status, run)):
            self.notes(key).deleted_runs[run.uid] = ended

    def _is_no_record(self, family: _Family, run: Run) -> bool:
        """Whether the run was written ahead, and nothing has come of it: its due time is as if it had never been."""
        if run.finished or run.job_made or any(job.run_uid == run.uid for job in family.jobs.values()):
            return False
        withdrawn = family.notes is not None and run.uid in family.notes.withdrawn
        return withdrawn or is_ahead(run, self._clock())

    def _now(self) -> datetime:
        return self._clock().replace(microsecond=0)

    def _bury(self, uid: str) -> None:
        self._buried[uid] = None
        while len(self._buried) > _BURIED:
            self._buried.popitem(last=False)
        self._versions.pop(uid, None)

    def refuse_pods(self, namespace: str, job_uid: str, message: str, at: datetime | None) -> None:
        """Note that Kubernetes refuses the pods of a Job, from the Job's own events.

        Events live for an hour, and a watch that begins tells all of them. An old one says nothing of a Job that has
        had pods since; of one that never had any it still holds.

        Args:
            namespace: of the event, which must be the Job's: anybody may write events in his own.
            job_uid: the Job.
            message: why.
            at: when it was said last; None: not known, which counts as just now.
        """
        key = self._keys.get(job_uid)
        if key is None or key.namespace != namespace:
            return
        job = self._families[key].jobs.get(job_uid) if key in self._families else None
        if job is not None and job.had_pods and at is not None and self._clock() - at > NEWS:
            return
        noted = self.notes(key).pods_refused
        if noted.get(job_uid) != message:
            noted[job_uid] = message
            self._changed(key)

    def without_job(self, pods: Iterable[Object]) -> list[Object]:
        """Those of the pods with our labels whose Job is not known here: it is gone, or it never was ours."""
        return [pod for pod in pods if self._job_and_key(pod) is not None]

    def put_pods(self, pods: Iterable[Object]) -> None:
        """Take in pods of ours that have not ended and whose Job is gone: they hold a slot all the same.

        A process that was there when the Job went knows; one that has just begun to lead has to ask.
        """
        for pod in pods:
            if (found := self._job_and_key(pod)) is not None:
                job, key = found
                self.notes(key).lingering_jobs.add(job)
                self._changed(key)

    def _job_and_key(self, pod: Object) -> tuple[str, Key] | None:
        # By its owner, which nobody can make up: Kubernetes removes what belongs to a Job that never was.
        job, labels = controller_uid(pod, "Job"), pod["metadata"].get("labels") or {}
        key = Key(pod["metadata"]["namespace"], labels.get(keys.SCHEDULED_JOB_LABEL, ""))
        family = self._families.get(key)
        return (job, key) if job and family is not None and job not in family.jobs else None

    def _stale(self, raw: Object) -> bool:
        """Whether a watch, or the answer to a write, says nothing new."""
        return raw["metadata"]["uid"] in self._buried or self._ahead(raw) <= 0

    def _is_older(self, raw: Object) -> bool:
        """Whether more is known by now than a look-up has found; what is as old may be looked at again."""
        return self._ahead(raw) < 0

    def _ahead(self, raw: Object) -> int:
        """By how much an object's version is beyond the one that is known."""
        metadata = raw["metadata"]
        return int(metadata["resourceVersion"]) - self._versions.get(metadata["uid"], -1)

    def _note(self, raw: Object, key: Key, *, tell: bool = True) -> None:
        metadata = raw["metadata"]
        self._versions[metadata["uid"]] = int(metadata["resourceVersion"])
        self._keys[metadata["uid"]] = key
        if tell:
            self._changed(key)


def _as_before(before: Definition, now: Definition) -> bool:
    return (before.spec, before.invalid) == (now.spec, now.invalid)


def _told(run: Run, job: Job) -> bool:
    """Whether the run's record has all that a Job which is gone can tell it."""
    recorded = any(step.job_uid == job.uid for step in run.status.steps)
    return job.run_uid == run.uid and (run.finished or (recorded and job.holds_slot))


def _but_progress(known: Run, run: Run) -> Run:
    """The run as it was known, with the newer one's version and what its task says."""
    status = known.status.model_copy(update={"progress": run.status.progress})
    return replace(known, resource_version=run.resource_version, status=status)
