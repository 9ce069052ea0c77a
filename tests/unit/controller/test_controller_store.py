"""What is known of the cluster: neither a watch nor the answer to a write can take an object back in time."""

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from carillon.api import keys
from carillon.controller.store import Store
from carillon.engine.model import Calendar, CalendarKey, Definition, Key, PodReport, Refusal, WorkKey
from carillon.engine.names import job_names
from carillon.engine.planning import plan
from carillon.kube.resources import JOB_RUNS, JOBS
from tests.unit.engine.builders import (
    DEFINITION_UID,
    HOURLY,
    KEY,
    NAME,
    NAMESPACE,
    Body,
    at,
    history_line,
    raw_definition,
    stamp,
)


def raw_run(
    version: int = 20, *, uid: str = "run", name: str = "r", job: str = "", phase: str = "", **spec: Any
) -> Body:
    owner = {"apiVersion": "carillon.dev/v1alpha1", "kind": "ScheduledJob", "name": NAME, "uid": DEFINITION_UID}
    steps = [{"name": "main", "job": job, "jobUID": job}] if job else []
    return {
        "metadata": {
            "namespace": NAMESPACE,
            "name": name,
            "uid": uid,
            "resourceVersion": str(version),
            "creationTimestamp": stamp("12:00"),
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": {"scheduledJob": NAME, **spec},
        "status": {"phase": phase, "steps": steps},
    }


def raw_job(
    version: int = 30, *, uid: str = "job", name: str = "j", run: str = "run", done: bool = False, active: int = 0
) -> Body:
    owner = {"apiVersion": "carillon.dev/v1alpha1", "kind": "JobRun", "name": "r", "uid": run, "controller": True}
    return {
        "metadata": {
            "namespace": NAMESPACE,
            "name": name,
            "uid": uid,
            "resourceVersion": str(version),
            "creationTimestamp": stamp("12:00"),
            "ownerReferences": [owner],
            "labels": {keys.SCHEDULED_JOB_LABEL: NAME, keys.RUN_UID_LABEL: run},
        },
        "status": {"active": active, "conditions": [{"type": "Complete", "status": "True"}] if done else []},
    }


def raw_cron_job(version: int, schedule: str) -> Body:
    metadata = {"namespace": NAMESPACE, "name": NAME, "uid": "cron-job", "resourceVersion": str(version)}
    return {"metadata": {**metadata, "labels": {keys.NATIVE_LABEL: "uid"}}, "spec": {"schedule": schedule}}


class World:
    """A store, and whom it has told of changes."""

    def __init__(self) -> None:
        self.changed: list[WorkKey] = []
        self.unreadable: list[str] = []
        self.store = Store(
            changed=self.changed.append,
            unreadable=lambda raw, why: self.unreadable.append(raw["metadata"]["name"]),
            clock=lambda: at("12:30"),
        )

    def definition(self) -> Definition | None:
        return self.store.snapshot(KEY).definition

    def runs(self) -> dict[str, str]:
        return {run.uid: run.resource_version for run in self.store.snapshot(KEY).runs}

    def jobs(self) -> set[str]:
        return {job.uid for job in self.store.snapshot(KEY).jobs}


@pytest.fixture
def world() -> World:
    return World()


class TestVersions:
    @pytest.mark.parametrize(("late", "kept"), [(9, "10"), (10, "10"), (11, "11")])
    def test_an_older_definition_is_passed_over(self, world: World, late: int, kept: str) -> None:
        world.store.put_definition(raw_definition(HOURLY, resource_version=10))
        world.store.put_definition(raw_definition(HOURLY, resource_version=late))
        definition = world.definition()
        assert definition is not None
        assert definition.resource_version == kept
        assert len(world.changed) == (2 if kept != "10" else 1)

    def test_versions_are_numbers_and_not_words(self, world: World) -> None:
        world.store.put_run(raw_run(9))
        world.store.put_run(raw_run(10))
        assert world.runs() == {"run": "10"}

    def test_an_older_run_and_an_older_job_are_passed_over(self, world: World) -> None:
        world.store.put_run(raw_run(20))
        world.store.put_run(raw_run(19))
        world.store.put_job(raw_job(30, done=True))
        world.store.put_job(raw_job(29))
        assert world.runs() == {"run": "20"}
        assert [job.finished for job in world.store.snapshot(KEY).jobs] == [True]

    def test_an_answer_that_the_watch_has_overtaken_is_passed_over(self, world: World) -> None:
        """Nobody would tell a second time what the watch has told."""
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_job(raw_job(30, done=True))
        world.store.put_found_job(raw_job(29), KEY)
        assert [job.finished for job in world.store.snapshot(KEY).jobs] == [True]
        for version, schedule in ((40, "0 0 1 1 *"), (41, "1 2 3 4 *")):
            world.store.put_cron_job(raw_cron_job(version, schedule))
        world.store.put_found_cron_job(raw_cron_job(40, "0 0 1 1 *"))
        found = world.store.snapshot(KEY).cron_job
        assert found is not None
        assert found.schedule == "1 2 3 4 *"


class TestAnEtcdThatWasRestored:
    """It gives versions a second time, and what was deleted since the backup is there again."""

    def test_older_versions_are_taken_in(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY, resource_version=20))
        world.store.put_run(raw_run(25))
        world.store.begin_anew()
        world.store.put_definition(raw_definition(HOURLY, resource_version=10))
        world.store.put_run(raw_run(11))
        definition = world.definition()
        assert definition is not None
        assert (definition.resource_version, world.runs()) == ("10", {"run": "11"})

    def test_and_from_then_on_they_count(self, world: World) -> None:
        world.store.put_run(raw_run(25))
        world.store.begin_anew()
        world.store.put_run(raw_run(11))
        world.store.put_run(raw_run(10))
        assert world.runs() == {"run": "11"}

    def test_what_was_deleted_can_be_there_again(self, world: World) -> None:
        world.store.put_run(raw_run(20))
        world.store.drop("run")
        world.store.begin_anew()
        world.store.put_run(raw_run(20))
        assert world.runs() == {"run": "20"}

    def test_so_can_the_definition_whose_place_another_took(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY, resource_version=10))
        world.store.put_definition(raw_definition(HOURLY, uid="new", resource_version=12))
        world.store.begin_anew()
        world.store.put_definition(raw_definition(HOURLY, resource_version=10))
        definition = world.definition()
        assert definition is not None
        assert definition.uid == DEFINITION_UID

    def test_a_job_that_was_kept_for_its_record_is_not_kept_for_ever(self, world: World) -> None:
        world.store.put_run(raw_run(job="job", phase="Running"))
        world.store.put_job(raw_job(done=True))
        world.store.drop("job")
        world.store.begin_anew()
        assert world.jobs() == set()

    def test_what_is_there_stays_until_something_else_is_told(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_run(raw_run())
        world.store.put_job(raw_job())
        world.store.begin_anew()
        assert world.store.sizes() == {"scheduledjobs": 1, "jobruns": 1, "jobs": 1}


class TestDeletions:
    def test_what_was_deleted_does_not_come_back_by_a_late_answer(self, world: World) -> None:
        world.store.put_run(raw_run(20))
        world.store.drop("run")
        world.store.put_run(raw_run(25))
        assert world.runs() == {}

    def test_a_deletion_that_comes_before_the_object_holds(self, world: World) -> None:
        world.store.drop("run")
        world.store.put_run(raw_run(20))
        assert world.runs() == {}

    def test_deleting_what_is_unknown_is_nothing(self, world: World) -> None:
        world.store.drop("never-seen")
        assert world.changed == []

    def test_a_key_of_which_nothing_is_left_is_forgotten(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.drop(DEFINITION_UID)
        assert world.store.known() == []
        assert world.changed == [KEY, KEY]

    def test_runs_stay_when_their_definition_goes(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_run(raw_run())
        world.store.drop(DEFINITION_UID)
        assert world.definition() is None
        assert world.runs() == {"run": "20"}


class TestRecreated:
    def test_the_new_one_takes_the_place_of_the_old(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY, resource_version=10))
        world.store.put_definition(raw_definition(HOURLY, uid="new", resource_version=12))
        definition = world.definition()
        assert definition is not None
        assert definition.uid == "new"

    def test_the_late_deletion_of_the_old_one_does_not_touch_the_new(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY, resource_version=10))
        world.store.put_definition(raw_definition(HOURLY, uid="new", resource_version=12))
        world.store.drop(DEFINITION_UID)
        definition = world.definition()
        assert definition is not None
        assert definition.uid == "new"

    def test_a_late_word_of_the_old_one_does_not_touch_the_new(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY, resource_version=10))
        world.store.put_definition(raw_definition(HOURLY, uid="new", resource_version=12))
        world.store.put_definition(raw_definition(HOURLY, resource_version=11))
        definition = world.definition()
        assert definition is not None
        assert definition.uid == "new"

    def test_nor_does_a_late_word_of_one_in_between_that_was_never_seen(self, world: World) -> None:
        """A get has overtaken the watch, which still has all of the past to tell."""
        world.store.put_definition(raw_definition(HOURLY, resource_version=10))
        world.store.put_definition(raw_definition(HOURLY, uid="third", resource_version=15))
        world.store.put_definition(raw_definition(HOURLY, uid="second", resource_version=12))
        world.store.drop("second")
        world.store.put_definition(raw_definition(HOURLY, uid="third", resource_version=16))
        definition = world.definition()
        assert definition is not None
        assert (definition.uid, definition.resource_version) == ("third", "16")

    def test_runs_of_the_same_name_are_told_apart(self, world: World) -> None:
        world.store.put_run(raw_run(20, uid="old"))
        world.store.put_run(raw_run(25, uid="new"))
        world.store.drop("old")
        assert world.runs() == {"new": "25"}


class TestJobs:
    def test_a_job_is_found_by_its_run_though_its_label_was_changed(self, world: World) -> None:
        world.store.put_run(raw_run())
        stranger = raw_job()
        stranger["metadata"]["labels"][keys.SCHEDULED_JOB_LABEL] = "another"
        world.store.put_job(stranger)
        assert world.jobs() == {"job"}

    def test_a_job_that_comes_before_its_run_is_found_by_its_label(self, world: World) -> None:
        world.store.put_job(raw_job())
        assert world.jobs() == {"job"}

    def test_a_job_of_nobodys_is_passed_over(self, world: World) -> None:
        stranger = raw_job()
        del stranger["metadata"]["ownerReferences"]
        world.store.put_job(stranger)
        assert world.store.known() == []

    def test_a_finished_job_that_goes_is_kept_until_its_outcome_is_recorded(self, world: World) -> None:
        """ttlSecondsAfterFinished may be no more than an instant."""
        world.store.put_run(raw_run(job="job", phase="Running"))
        world.store.put_job(raw_job(done=True))
        world.store.drop("job")
        assert world.jobs() == {"job"}
        world.store.put_run(raw_run(21, job="job", phase="Succeeded"))
        assert world.jobs() == set()

    def test_it_goes_with_its_run(self, world: World) -> None:
        world.store.put_run(raw_run(job="job", phase="Running"))
        world.store.put_job(raw_job(done=True))
        world.store.drop("job")
        world.store.drop("run")
        assert world.jobs() == set()


class TestLingering:
    """A Job that vanishes before it has finished leaves pods behind for as long as their grace lasts."""

    def lingering(self, world: World) -> frozenset[str]:
        return world.store.snapshot(KEY).observations.lingering_jobs

    def test_they_are_to_be_looked_for(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_job(raw_job(active=1))
        world.store.drop("job")
        assert self.lingering(world) == {"job"}

    def test_a_finished_job_leaves_none(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_job(raw_job(done=True))
        world.store.drop("job")
        assert self.lingering(world) == frozenset()

    def test_without_a_definition_nobody_cares(self, world: World) -> None:
        world.store.put_run(raw_run())
        world.store.put_job(raw_job(active=1))
        world.store.drop("job")
        assert self.lingering(world) == frozenset()

    def test_they_outlive_their_run(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_run(raw_run(job="job", phase="Running"))
        world.store.put_job(raw_job(active=1))
        world.store.drop("job")
        world.store.notes(KEY).pods["job"] = PodReport(1)
        world.store.drop("run")
        assert self.lingering(world) == {"job"}
        assert world.store.snapshot(KEY).observations.pods == {"job": PodReport(1)}


class TestWrittenAhead:
    """A run that was made before its due time is no record until then; the clock says 12:30."""

    @staticmethod
    def raw(due: str = "12:31", **rest: Any) -> Body:
        return raw_run(scheduledTime=stamp(due), trigger={"type": "Periodic", "name": "t0"}, **rest)

    def kept(self, world: World, raw: Body) -> set[str]:
        """The runs that are recorded as deleted."""
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_run(raw)
        world.store.drop("run")
        return set(world.store.notes(KEY).deleted_runs)

    def test_nobody_is_told_that_it_was_deleted(self, world: World) -> None:
        assert self.kept(world, self.raw()) == set()
        assert world.changed[-1] == KEY  # it may have to be written anew

    @pytest.mark.parametrize(
        "raw", [{"due": "12:30"}, {"phase": "Running", "job": "job"}, {"phase": "Stopped"}, {"phase": "Queued"}]
    )
    def test_one_whose_time_has_come_or_that_has_begun_is_recorded(self, world: World, raw: dict[str, str]) -> None:
        assert self.kept(world, self.raw(**raw)) == {"run"}

    def test_so_is_one_that_has_a_job(self, world: World) -> None:
        world.store.put_job(raw_job(run="run"))
        assert self.kept(world, self.raw()) == {"run"}

    def test_one_that_was_withdrawn_is_none_even_if_that_is_seen_late(self, world: World) -> None:
        world.store.notes(KEY).withdrawn.add("run")
        assert self.kept(world, self.raw("12:29")) == set()
        assert world.store.notes(KEY).withdrawn == set()


class TestWhatAListDoesNotHave:
    """What was learnt from the answer to a write and deleted while nobody listened, no watch will ever tell of."""

    @pytest.fixture
    def world(self, world: World) -> World:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_run(raw_run(20))
        world.store.put_job(raw_job(30, active=1))
        world.changed.clear()
        return world

    def test_is_gone_if_the_list_is_not_older(self, world: World) -> None:
        world.store.drop_absent(JOBS, None, frozenset(), 30)
        assert world.changed == [KEY]
        assert world.store.notes(KEY).lingering_jobs == {"job"}, "its pods may outlive it"
        world.store.drop_absent(JOB_RUNS, NAMESPACE, frozenset(), 99)
        assert world.runs() == {}

    @pytest.mark.parametrize(
        ("namespace", "found", "version"), [(None, {"job"}, 99), (None, {"other"}, 29), ("elsewhere", {"other"}, 99)]
    )
    def test_else_it_stays(self, world: World, namespace: str | None, found: set[str], version: int) -> None:
        world.store.drop_absent(JOBS, namespace, frozenset(found), version)
        assert world.jobs() == {"job"}
        assert world.changed == []

    def test_a_job_that_was_looked_up_as_its_label_is_gone_stays(self, world: World) -> None:
        world.store.notes(KEY).unwatched_jobs.add("job")
        world.store.drop_absent(JOBS, None, frozenset(), 99)
        assert world.jobs() == {"job"}


class TestNotes:
    def test_they_are_forgotten_with_what_they_are_about(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_run(raw_run(job="job", phase="Running"))
        notes = world.store.notes(KEY)
        notes.refusals["run"] = Refusal("quota", permanent=False, retry_at=at("12:00"))
        notes.absent_jobs.add("job")
        notes.pods["job"] = PodReport(0)
        world.store.drop("run")
        seen = world.store.snapshot(KEY).observations
        assert (seen.refusals, seen.absent_jobs, seen.pods) == ({}, frozenset(), {})

    def test_a_definition_that_appears_is_not_absent_any_more(self, world: World) -> None:
        world.store.put_run(raw_run())
        world.store.notes(KEY).definition_absent = True
        world.store.put_definition(raw_definition(HOURLY))
        assert not world.store.snapshot(KEY).observations.definition_absent

    def test_a_deleted_run_is_forgotten_once_the_definition_tells_of_it(self, world: World) -> None:
        """Also where nobody decides, and tidies: on the process that does not lead."""
        world.store.put_definition(raw_definition(HOURLY))
        for number in range(3):
            world.store.put_run(raw_run(uid=f"run-{number}", name=f"r{number}", phase="Running", job=f"job-{number}"))
            world.store.drop(f"run-{number}")
        noted = world.store.notes(KEY).deleted_runs
        assert noted.keys() == {"run-0", "run-1", "run-2"}
        told = {"history": [history_line("r0", "12:30") | {"uid": "run-0"}]}
        world.store.put_definition(raw_definition(HOURLY, resource_version=11, status=told))
        assert world.store.notes(KEY).deleted_runs.keys() == {"run-1", "run-2"}
        world.store.put_definition(
            raw_definition(HOURLY, resource_version=12, status={"recordedThrough": stamp("12:30")})
        )
        assert world.store.notes(KEY).deleted_runs == {}

    def test_deleted_runs_are_forgotten_with_their_definition(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_job(raw_job(run="other"))  # something is left of the key
        world.store.put_run(raw_run())
        world.store.drop("run")
        assert world.store.notes(KEY).deleted_runs
        world.store.drop(DEFINITION_UID)
        assert not world.store.notes(KEY).deleted_runs

    def test_refused_pods_are_told_once(self, world: World) -> None:
        world.store.put_job(raw_job())
        before = len(world.changed)
        for _ in range(3):
            world.store.refuse_pods(NAMESPACE, "job", "exceeded quota", at("12:30"))
        assert len(world.changed) == before + 1
        assert world.store.snapshot(KEY).observations.pods_refused == {"job": "exceeded quota"}

    def test_refused_pods_of_an_unknown_job_are_passed_over(self, world: World) -> None:
        world.store.refuse_pods(NAMESPACE, "unknown", "exceeded quota", at("12:30"))
        assert world.changed == []

    def test_a_pod_that_is_let_in_ends_the_refusal(self, world: World) -> None:
        world.store.put_job(raw_job(30))
        world.store.refuse_pods(NAMESPACE, "job", "exceeded quota", at("12:30"))
        world.store.put_job(raw_job(31, active=1))
        assert world.store.snapshot(KEY).observations.pods_refused == {}

    @pytest.mark.parametrize(
        ("pods", "said", "holds"),
        [
            ({}, "11:40", True),  # still without any
            ({"failed": 1}, "11:40", False),  # they came later; between two attempts there is none
            ({"terminating": 1}, "11:40", False),
            ({"uncountedTerminatedPods": {"failed": ["pod"]}}, "11:40", False),
            ({"uncountedTerminatedPods": {}}, "11:40", True),
            ({"failed": 1}, "12:29:40", True),  # the next attempt is refused now
            ({"failed": 1}, "12:30:05", True),  # by a clock that is ahead of ours
            ({"failed": 1}, None, True),
        ],
    )
    def test_an_old_refusal_says_nothing_of_a_job_that_had_pods(
        self, world: World, pods: Body, said: str | None, holds: bool
    ) -> None:
        """After a restart the watch tells every event of the last hour."""
        job = raw_job()
        job["status"] |= pods
        world.store.put_job(job)
        world.store.refuse_pods(NAMESPACE, "job", "exceeded quota", at(said) if said else None)
        assert world.store.snapshot(KEY).observations.pods_refused == ({"job": "exceeded quota"} if holds else {})

    def test_a_snapshot_does_not_change_afterwards(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        snapshot = world.store.snapshot(KEY)
        world.store.put_run(raw_run())
        world.store.notes(KEY).taken_runs.add("x")
        assert snapshot.runs == ()
        assert snapshot.observations.taken_runs == frozenset()


class TestTheRest:
    def test_a_run_that_cannot_be_read_is_told_of_and_stops_nobody(self, world: World) -> None:
        world.store.put_run(raw_run(name="odd", uid="odd", wonders=1))
        world.store.put_run(raw_run())
        assert world.unreadable == ["odd"]
        assert world.runs() == {"run": "20"}

    def test_sizes(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_run(raw_run())
        world.store.put_job(raw_job())
        assert world.store.sizes() == {"scheduledjobs": 1, "jobruns": 1, "jobs": 1}

    def test_of_an_unknown_key_nothing_is_known(self, world: World) -> None:
        snapshot = world.store.snapshot(Key("n", "nobody"))
        assert (snapshot.definition, snapshot.runs, snapshot.jobs) == (None, (), ())
        assert world.store.notes_of(Key("n", "nobody")) is None
        assert world.store.known() == []


def raw_calendar(version: int = 40, *, uid: str = "calendar", name: str = "office", **spec: Any) -> Body:
    metadata = {"namespace": NAMESPACE, "name": name, "uid": uid, "resourceVersion": str(version), "generation": 1}
    return {"metadata": metadata, "spec": spec}


class TestCalendars:
    """A definition is planned with the Calendars that it names, whichever of them comes first."""

    OFFICE = CalendarKey(NAMESPACE, "office")

    def closed(self, world: World) -> bool:
        definition = world.definition()
        assert definition is not None
        return definition.triggers[0].closed is not None and not definition.invalid

    NAMES: ClassVar[Body] = {"calendars": ["office"]}

    def names_it(self, version: int = 10) -> Body:
        return raw_definition(HOURLY, resource_version=version, exclude=self.NAMES)

    def test_the_calendar_first(self, world: World) -> None:
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        world.store.put_definition(self.names_it())
        assert self.closed(world)

    def test_the_definition_first(self, world: World) -> None:
        world.store.put_definition(self.names_it())
        assert not self.closed(world)
        world.changed.clear()
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        assert self.closed(world)
        assert world.changed == [self.OFFICE]
        assert world.store.calendars.untold(self.OFFICE) == (KEY,)

    def test_a_change_reaches_those_that_name_it_and_nobody_else(self, world: World) -> None:
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        world.store.put_definition(self.names_it())
        world.store.put_definition(raw_definition(HOURLY, name="other", uid="other"))
        world.changed.clear()
        world.store.put_calendar(raw_calendar(41, dates=["2026-03-11"]))
        assert world.changed == [self.OFFICE]
        assert world.store.calendars.untold(self.OFFICE) == (KEY,)
        assert world.store.calendars.untold(self.OFFICE) == (), "once"

    def test_its_status_alone_plans_nothing_anew(self, world: World) -> None:
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        world.store.put_definition(self.names_it())
        before = world.definition()
        world.store.put_calendar({**raw_calendar(41, dates=["2026-03-10"]), "status": {"usedBy": 1}})
        assert world.definition() is before
        world.store.calendars.untold(self.OFFICE)
        world.store.put_calendar({**raw_calendar(42, dates=["2026-03-10"]), "status": {"usedBy": 2}})
        assert world.store.calendars.untold(self.OFFICE) == ()

    def test_when_it_goes_the_definition_is_invalid(self, world: World) -> None:
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        world.store.put_definition(self.names_it())
        world.store.drop("calendar")
        definition = world.definition()
        assert definition is not None
        assert "there is no Calendar office" in definition.invalid

    def test_made_anew_under_the_same_name(self, world: World) -> None:
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        world.store.put_definition(self.names_it())
        world.store.put_calendar(raw_calendar(50, uid="second", dates=["2026-03-11"]))
        world.store.drop("calendar")
        assert self.closed(world)
        assert world.store.calendars.known() == [self.OFFICE]

    def test_made_anew_with_the_same_content(self, world: World) -> None:
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        world.store.put_definition(self.names_it())
        world.store.put_calendar(raw_calendar(50, uid="second", dates=["2026-03-10"]))
        assert self.closed(world)

    def test_it_knows_who_names_it(self, world: World) -> None:
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        world.store.put_definition(self.names_it())
        assert world.store.calendars.snapshot(self.OFFICE).used_by == 1
        world.changed.clear()
        world.store.put_definition(raw_definition(HOURLY, resource_version=11))
        assert self.OFFICE in world.changed
        assert world.store.calendars.snapshot(self.OFFICE).used_by == 0

    def test_it_is_told_only_when_a_definition_names_it_or_no_longer_does(self, world: World) -> None:
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        world.store.put_definition(self.names_it())
        world.changed.clear()
        world.store.put_definition({**self.names_it(11), "status": {"observedGeneration": 1}})
        assert world.changed == [KEY], "a status is no news for a Calendar"
        world.store.drop(DEFINITION_UID)
        assert world.changed[1:] == [self.OFFICE, KEY]
        assert world.store.calendars.snapshot(self.OFFICE).used_by == 0

    def test_a_definition_made_anew_names_it_once(self, world: World) -> None:
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        world.store.put_definition(self.names_it())
        world.store.put_definition(raw_definition(HOURLY, uid="second", resource_version=60, exclude=self.NAMES))
        assert world.store.calendars.snapshot(self.OFFICE).used_by == 1
        world.store.drop("second")
        assert world.store.calendars.snapshot(self.OFFICE).used_by == 0

    def test_nothing_is_kept_of_a_name_that_nobody_gives_and_nothing_bears(self, world: World) -> None:
        world.store.put_definition(self.names_it())
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        world.store.drop("calendar")
        world.store.drop(DEFINITION_UID)
        assert world.store.calendars._entries == {}

    def test_a_late_word_of_the_one_before_does_not_bring_it_back(self, world: World) -> None:
        world.store.put_definition(self.names_it())
        world.store.put_calendar(raw_calendar(50, uid="second", dates=["2026-03-10"]))
        world.store.put_calendar(raw_calendar(40, dates=[]))
        assert self.closed(world)
        world.store.put_calendar(raw_calendar(51, uid="second", dates=[]))
        assert not self.closed(world), "and the one that is there is still heard of"


class TestPlanning:
    """A definition is planned when something is decided about it, and never from Calendars as they were."""

    OFFICE = CalendarKey(NAMESPACE, "office")
    NAMES: ClassVar[Body] = {"calendars": ["office"]}

    @pytest.fixture
    def planned(self, monkeypatch: pytest.MonkeyPatch) -> list[Key]:
        """Who was planned, each time."""
        found: list[Key] = []

        def note(definition: Definition, calendars: Mapping[str, Calendar]) -> Definition:
            found.append(definition.key)
            return plan(definition, calendars)

        monkeypatch.setattr("carillon.controller.store.plan", note)
        return found

    def test_a_calendar_that_many_name_plans_none_of_them_when_it_changes(
        self, world: World, planned: list[Key]
    ) -> None:
        for number in range(500):
            world.store.put_definition(raw_definition(HOURLY, name=f"d{number}", uid=f"{number}", exclude=self.NAMES))
        world.store.put_calendar(raw_calendar(dates=["2026-03-10"]))
        world.store.put_calendar(raw_calendar(41, dates=["2026-03-11"]))
        assert planned == []
        definition = world.store.snapshot(Key(NAMESPACE, "d7")).definition
        assert definition is not None
        assert definition.triggers[0].closed is not None
        assert planned == [Key(NAMESPACE, "d7")]

    def test_it_is_planned_once_for_many_decisions_and_its_own_status(self, world: World, planned: list[Key]) -> None:
        raw = raw_definition(HOURLY)
        world.store.put_definition(raw)
        for version in range(11, 15):
            raw = {**raw, "metadata": {**raw["metadata"], "resourceVersion": str(version)}}
            world.store.put_definition({**raw, "status": {"observedGeneration": version}})
            definition = world.definition()
            assert definition is not None
            assert (definition.status.observed_generation, len(definition.triggers)) == (version, 1)
        assert planned == [KEY]
        world.store.put_definition(raw_definition("0 5 * * *", generation=2, resource_version=20))
        definition = world.definition()
        assert definition is not None
        assert definition.triggers[0].text == "0 5 * * *"

    def test_whatever_happens_what_is_decided_from_is_as_if_read_just_now(self, world: World) -> None:
        """The order of events does not matter: each of them may come before or after a decision."""
        there = {"": None, "tenth": ["2026-03-10"], "eleventh": ["2026-03-11"], "wrong": ["2026-13-10"]}
        uids = itertools.count()
        version = itertools.count(100)
        names_it, known = True, ""
        world.store.put_definition(raw_definition(HOURLY, exclude=self.NAMES))
        for before, now, then in itertools.permutations((*there, "edit"), 3):
            for event in (before, now, then):
                if event == "edit":
                    names_it = not names_it
                    raw = raw_definition(HOURLY, resource_version=next(version), exclude=self.NAMES if names_it else {})
                    world.store.put_definition(raw)
                elif (dates := there[event]) is None:
                    world.store.drop(known)
                else:
                    known = f"calendar-{next(uids)}"
                    world.store.put_calendar(raw_calendar(next(version), uid=known, dates=dates))
                found, office = world.definition(), world.store.calendars.get(self.OFFICE)
                read = world.store.definition(KEY)
                assert read is not None
                assert found == plan(read, {} if office is None else {"office": office})


class TestProgress:
    """What a task says is kept, and decides nothing."""

    @staticmethod
    def said(version: int, percent: int, **run: Any) -> Body:
        raw = raw_run(version, job="job", phase="Running", **run)
        raw["status"]["progress"] = {"percent": percent, "updateTime": "2026-03-10T12:00:00.250000Z"}
        return raw

    def test_nobody_is_told_of_it(self, world: World) -> None:
        world.store.put_run(self.said(20, 1))
        world.changed.clear()
        world.store.put_run(self.said(21, 2))
        assert world.changed == []
        run = world.store.run("run")
        assert run is not None
        assert run.status.progress is not None
        assert (run.resource_version, run.status.progress.percent) == ("21", 2)

    def test_but_of_what_comes_with_it(self, world: World) -> None:
        world.store.put_run(raw_run(20, job="job", phase="Queued"))
        world.changed.clear()
        world.store.put_run(self.said(21, 2))
        assert world.changed == [KEY]

    def test_it_is_known_when_it_changed(self, world: World) -> None:
        world.store.put_run(raw_run(20))
        assert world.store.progress_changed("run") is None
        world.store.put_run(self.said(21, 1))
        assert world.store.progress_changed("run") == at("12:30")
        world.store.drop("run")
        assert world.store.progress_changed("run") is None
        assert world.store.run("run") is None

    def test_the_run_of_a_job_is_the_one_whose_record_names_it(self, world: World) -> None:
        world.store.put_run(self.said(20, 1))
        world.store.put_job(raw_job())
        found = world.store.run_of_job("job")
        assert found is not None
        assert found.uid == "run"
        assert world.store.run_of_job("other") is None

    def test_before_there_is_a_record_the_job_names_it(self, world: World) -> None:
        world.store.put_run(raw_run(20))
        world.store.put_job(raw_job(name=job_names("r", "run", periodic=False, attempt=1)[0]))
        found = world.store.run_of_job("job")
        assert found is not None
        assert found.uid == "run"

    def test_a_job_of_another_name_is_not_its_own(self, world: World) -> None:
        world.store.put_run(raw_run(20))
        world.store.put_job(raw_job(uid="forged"))
        assert world.store.run_of_job("forged") is None

    def test_a_job_that_names_a_run_with_another_job_is_not_its_own(self, world: World) -> None:
        """Who may create Jobs can write any owner into one."""
        world.store.put_run(raw_run(20, job="the-job-on-record"))
        world.store.put_job(raw_job(uid="forged"))
        assert world.store.run_of_job("forged") is None


class TestOtherNamespaces:
    """Owners are in the same namespace, and so is what is told of an object: all else is somebody's own writing."""

    def test_a_job_of_another_namespace_is_not_the_runs(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_run(raw_run())
        foreign = raw_job(active=1)
        foreign["metadata"]["namespace"] = "evil"
        world.store.put_job(foreign)
        assert world.store.snapshot(KEY).jobs == ()
        world.store.put_job({**raw_job(31, uid="own", active=1)})
        assert [job.uid for job in world.store.snapshot(KEY).jobs] == ["own"]

    def test_nor_one_whose_owner_only_has_the_same_kind(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_run(raw_run())
        foreign = raw_job(active=1)
        foreign["metadata"]["ownerReferences"][0]["apiVersion"] = "other.example/v1"
        world.store.put_job(foreign)
        assert world.store.snapshot(KEY).jobs == ()

    def test_an_event_of_another_namespace_says_nothing_of_a_job(self, world: World) -> None:
        world.store.put_definition(raw_definition(HOURLY))
        world.store.put_run(raw_run())
        world.store.put_job(raw_job(active=1))
        world.store.refuse_pods("evil", "job", "pay us", at("12:30"))
        assert world.store.snapshot(KEY).observations.pods_refused == {}
