"""What the suites of Kubernetes' own CronJob controller ask of it, asked of ScheduledJobs with each kind of trigger.

The cases are those of test/e2e/apps/cronjob.go, and the categories of the unit tables of pkg/controller/cronjob; each
test names the one that it mirrors. docs/native-suite.md lists them, and says where our rule is another one.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from carillon.engine import names
from carillon.kube.errors import ApiError
from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource
from tests.conftest import REPOSITORY
from tests.unit.engine.builders import NAME, NAMESPACE, a_template, at
from tests.unit.engine.cluster import Body
from tests.unit.engine.simulator import Fault, Simulation

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


@dataclass(frozen=True)
class Kind:
    """A trigger, or several, due once a minute from `first` on."""

    name: str
    triggers: tuple[str, ...]
    first: datetime = field(default_factory=lambda: at("12:01"))

    def due(self, number: int) -> datetime:
        """The due time of that number, from 1."""
        return self.first + MINUTE * (number - 1)


CRON = Kind("cron", ("* * * * *",))
EVERY = Kind("@every", ("@every 1m",), at("12:01:30"))
INTERVAL = Kind("interval", ("R/2026-03-10T12:00:00Z/PT1M",))
AT = Kind("at", tuple(f"2026-03-10T12:{minute:02}:00Z" for minute in range(1, 17)))
KINDS = (CRON, EVERY, INTERVAL, AT)
ENDLESS = (CRON, EVERY, INTERVAL)
MIRRORED: dict[str, str] = {}
"""The cases that are mirrored, and the test of each."""


def mirrors(*cases: str, kinds: tuple[Kind, ...] = KINDS) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Name the cases that a test mirrors, and have it played with each kind of trigger."""

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        MIRRORED.update(dict.fromkeys(cases, test.__name__))
        played: Callable[..., None] = pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.name)(test)
        return played

    return mark


def simulation(kind: Kind, *, job_seconds: int | None = None, faults: Any = None, **spec: Any) -> Simulation:
    sim = Simulation(job_seconds=job_seconds, faults=faults)
    sim.apply(*kind.triggers, **spec)
    return sim


def status(sim: Simulation) -> Body:
    return dict(sim.cluster.objects[SCHEDULED_JOBS][NAME]["status"])


def ran(sim: Simulation) -> list[datetime]:
    """The due times that have a Job, in the order in which they were made."""
    runs = {raw["metadata"]["uid"]: raw for raw in sim.cluster.objects[JOB_RUNS].values()}
    owners = [raw["metadata"]["ownerReferences"][0]["uid"] for raw in sim.cluster.objects[JOBS].values()]
    return [datetime.fromisoformat(runs[owner]["spec"]["scheduledTime"]) for owner in owners]


def skips(sim: Simulation) -> list[tuple[datetime, int, str]]:
    lines = status(sim).get("skips", [])
    return [(datetime.fromisoformat(line["from"]), line["count"], line["reason"]) for line in lines]


# Cases of the end to end suite --------------------------------------------------------------------------------------


@mirrors("should schedule multiple jobs concurrently")
def test_runs_overlap_where_they_may(kind: Kind) -> None:
    sim = simulation(kind, concurrency={"policy": "Allow"})
    sim.until(kind.due(2) + SECOND)
    assert ran(sim) == [kind.due(1), kind.due(2)]
    assert (len(sim.jobs()), status(sim)["counts"]["active"]) == (2, 2)


@mirrors("should not schedule jobs when suspended")
def test_nothing_runs_while_it_is_disabled(kind: Kind) -> None:
    sim = simulation(kind, suspend=True)
    sim.until(kind.due(5) + SECOND)
    assert ran(sim) == []
    assert [why for _, _, why in skips(sim)] == []  # one line when it is enabled again
    sim.edit(suspend=False)
    assert skips(sim) == [(kind.due(1), 5, "Suspended")] or kind is AT
    assert sum(count for _, count, why in skips(sim) if why == "Suspended") == 5
    assert ran(sim) == []


@mirrors("should not schedule new jobs when ForbidConcurrent")
def test_forbid_means_one_for_the_whole_time(kind: Kind) -> None:
    sim = simulation(kind)
    sim.until(kind.due(1))
    while sim.now < kind.due(5):
        sim.advance(1)
        assert len(sim.jobs()) == 1
        assert ran(sim) == [kind.due(1)]
    sim.finish(sim.jobs()[0])
    sim.advance(60)
    assert ran(sim) == [kind.due(1), kind.due(6)]
    assert sum(count for _, count, why in skips(sim) if why == "ConcurrencyForbid") == 4


@mirrors("should replace jobs when ReplaceConcurrent")
def test_replace_means_the_newest(kind: Kind) -> None:
    sim = simulation(kind, concurrency={"policy": "Replace"})
    sim.until(kind.due(1) + SECOND)
    (first,) = sim.jobs()
    sim.until(kind.due(2) + 20 * SECOND)
    (second,) = sim.jobs()
    assert first != second
    assert sorted(sim.phases().values()) == ["Running", "Stopped"]


@mirrors("should be able to schedule after more than 100 missed schedule", kinds=ENDLESS)
def test_more_than_a_hundred_missed_are_no_error(kind: Kind) -> None:
    """The native controller gives up at 100 where no deadline is set; here the newest runs and the rest is told."""
    sim = simulation(kind, job_seconds=5)
    sim.crash()
    sim.until(kind.due(200))
    sim.restart()
    sim.until(kind.due(200) + 10 * SECOND)
    assert ran(sim) == [kind.due(200)]
    assert skips(sim) == [(kind.due(1), 199, "CatchUp")]
    sim.until(kind.due(201) + 10 * SECOND)
    assert ran(sim) == [kind.due(200), kind.due(201)]


@mirrors("should not emit unexpected warnings")
def test_no_warning_where_all_is_well(kind: Kind) -> None:
    sim = simulation(kind, job_seconds=5)
    sim.until(kind.due(3) + 10 * SECOND)
    assert len(ran(sim)) == 3
    assert [event for event in sim.events if " Warning " in event] == []


@mirrors("should remove from active list jobs that have been deleted")
def test_a_deleted_job_is_active_no_more(kind: Kind) -> None:
    sim = simulation(kind)
    sim.until(kind.due(1) + SECOND)
    (job,) = sim.jobs()
    assert status(sim)["counts"]["active"] == 1
    sim.delete(JOBS, job)
    sim.advance(20)
    assert status(sim)["counts"]["active"] == 0
    (run,) = status(sim)["history"]
    assert (run["phase"], run["reason"]) == ("Failed", "JobDeleted")
    sim.until(kind.due(2) + SECOND)
    assert len(sim.jobs()) == 1


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
@mirrors(
    "should delete successful finished jobs with limit of one successful job",
    "should delete failed finished jobs with limit of one job",
)
def test_one_of_them_is_kept(kind: Kind, outcome: str) -> None:
    sim = simulation(kind, job_seconds=5, history={"succeeded": 0, "failed": 0, outcome: 1})
    sim.exit_code = 1 if outcome == "failed" else 0
    sim.until(kind.due(3) + 20 * SECOND)
    assert ran(sim) == [kind.due(3)]
    assert status(sim)["counts"][outcome] == 3
    assert len(status(sim)["history"]) == 3, "what became of each is told all the same"


@pytest.mark.parametrize(("zone", "hour"), [("Asia/Tokyo", 21), ("America/New_York", 8)])
@mirrors("should support timezone", kinds=(CRON,))
def test_a_time_zone_is_that_of_the_trigger(kind: Kind, zone: str, hour: int) -> None:
    sim = Simulation(job_seconds=5)
    sim.apply(triggers=[{"name": "zoned", "cron": f"1 {hour} * * *", "timeZone": zone}])
    sim.until(kind.due(1) + SECOND)
    assert ran(sim) == [kind.due(1)]


@mirrors("should set the cronjob-scheduled-timestamp annotation on a job")
def test_a_job_knows_its_due_time(kind: Kind) -> None:
    sim = simulation(kind)
    sim.until(kind.due(1) + 7 * SECOND)
    (job,) = sim.cluster.objects[JOBS].values()
    due = f"{kind.due(1):%Y-%m-%dT%H:%M:%SZ}"
    assert job["metadata"]["annotations"]["carillon.dev/scheduled-time"] == due
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert {"name": "CARILLON_SCHEDULED_TIME", "value": due} in container["env"]


@mirrors("should support CronJob API operations")
def test_the_status_is_the_operators_and_the_spec_peoples(kind: Kind) -> None:
    """On the real API server: tests/cluster/test_crds.py."""
    sim = simulation(kind)
    before = sim.cluster.objects[SCHEDULED_JOBS][NAME]["spec"]
    sim.until(kind.due(2) + SECOND)
    assert sim.cluster.objects[SCHEDULED_JOBS][NAME]["spec"] == before


# Categories of the unit tables ---------------------------------------------------------------------------------------


@mirrors("never ran, valid schedule, not time")
def test_not_before_its_time(kind: Kind) -> None:
    sim = simulation(kind)
    sim.until(kind.due(1) - timedelta(microseconds=1))
    assert ran(sim) == []
    assert datetime.fromisoformat(status(sim)["nextExecutions"][0]) == kind.due(1)


@mirrors("never ran, is time")
def test_at_its_time(kind: Kind) -> None:
    sim = simulation(kind)
    sim.until(kind.due(1))
    assert ran(sim) == [kind.due(1)]


@mirrors("never ran, is time, past deadline", "never ran, is time, not past deadline")
def test_a_deadline_is_told(kind: Kind) -> None:
    for away, runs in ((20, 1), (40, 0)):
        sim = simulation(kind, startingDeadlineSeconds=30)
        sim.crash()
        sim.until(kind.due(1) + away * SECOND)
        sim.restart()
        sim.work()
        assert len(ran(sim)) == runs, f"{away} s late"
        assert skips(sim) == ([] if runs else [(kind.due(1), 1, "DeadlineExceeded")])


@mirrors("prev ran and done, not time", "prev ran and done, is time")
def test_after_one_that_is_done(kind: Kind) -> None:
    sim = simulation(kind, job_seconds=5)
    sim.until(kind.due(2) - SECOND)
    assert ran(sim) == [kind.due(1)]
    sim.until(kind.due(2))
    assert ran(sim) == [kind.due(1), kind.due(2)]


@mirrors("prev ran and done, is time, suspended", "still active, is time, suspended")
def test_disabled_between_two(kind: Kind) -> None:
    for job_seconds in (5, None):
        sim = simulation(kind, job_seconds=job_seconds, concurrency={"policy": "Allow"})
        sim.until(kind.due(1) + 10 * SECOND)
        sim.edit(suspend=True)
        sim.until(kind.due(3) + SECOND)
        assert ran(sim) == [kind.due(1)]


@mirrors("prev ran but done, long overdue, not past deadline", "prev ran but done, long overdue, past deadline")
def test_long_overdue(kind: Kind) -> None:
    for deadline, runs in ((3_600, [1, 10]), (1, [1])):
        sim = simulation(kind, job_seconds=5, startingDeadlineSeconds=deadline)
        sim.until(kind.due(1) + 10 * SECOND)
        sim.crash()
        sim.until(kind.due(10) + 20 * SECOND)
        sim.restart()
        sim.advance(10)
        assert ran(sim) == [kind.due(number) for number in runs]


@mirrors("prev ran but done, long overdue, starting deadline is shorter than ten seconds")
def test_a_short_deadline_fires_all_the_same(kind: Kind) -> None:
    """The native controller looks every ten seconds at the least, and warns of such a deadline."""
    sim = simulation(kind, job_seconds=5, startingDeadlineSeconds=1)
    sim.until(kind.due(4) + SECOND)
    assert len(ran(sim)) == 4


@mirrors("the clock went back", "the clock went forward")
def test_steps_of_the_clock_repeat_and_lose_nothing(kind: Kind) -> None:
    sim = simulation(kind, job_seconds=5, history={"succeeded": 100})
    sim.until(kind.due(3) + 10 * SECOND)
    sim.cluster.now -= 2 * MINUTE
    sim.work()
    sim.until(kind.due(5) + 10 * SECOND)
    assert ran(sim) == [kind.due(number) for number in range(1, 6)]
    sim.cluster.now += 3 * MINUTE
    sim.work()
    sim.advance(20)
    assert ran(sim)[-1] == kind.due(8)
    assert sum(count for *_, count, _ in skips(sim)) == 2


@mirrors("stale cache: the status is older than the Job", "stale cache: the Job has not been seen")
def test_stale_views_double_nothing(kind: Kind) -> None:
    """Watches are silent from the due time on; what the operator itself has written it knows."""
    sim = Simulation(lagging=True)
    sim.apply(*kind.triggers)
    assert sim.process is not None
    sim.process.deliver()
    sim.until(kind.due(1) + 10 * SECOND)
    for _ in range(3):
        sim.process.queue.add(next(iter(sim.process.store.known())))
        sim.work()
    assert ran(sim) == [kind.due(1)]


@mirrors("the schedule was edited")
def test_an_edit_never_fires_for_the_past(kind: Kind) -> None:
    sim = Simulation(job_seconds=5)
    sim.apply("0 0 1 1 *")
    sim.until(kind.due(3) + 30 * SECOND)
    raw = [{"name": f"t{n}", **_trigger(text)} for n, text in enumerate(kind.triggers)]
    sim.edit(triggers=raw)
    sim.advance(1)
    assert ran(sim) == []
    sim.advance(60)
    assert len(ran(sim)) == 1
    assert ran(sim)[0] > kind.due(3) + 30 * SECOND


def _trigger(text: str) -> Body:
    if text.startswith("R/"):
        return {"interval": text}
    return {"at": text} if text.endswith("Z") else {"cron": text}


@mirrors("a Job belongs to its CronJob", "Jobs of others are not adopted")
def test_what_is_whose(kind: Kind) -> None:
    sim = simulation(kind)
    foreign = {"name": "foreign", "namespace": NAMESPACE, "labels": {"carillon.dev/scheduled-job": NAME}}
    sim.cluster.create(JOBS, {"metadata": foreign, **a_template()})
    sim.until(kind.due(1) + SECOND)
    (run,) = sim.cluster.objects[JOB_RUNS].values()
    (job,) = [raw for name, raw in sim.cluster.objects[JOBS].items() if name != "foreign"]
    owner, definition = job["metadata"]["ownerReferences"][0], run["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("JobRun", run["metadata"]["uid"], True)
    assert (definition["kind"], definition["name"]) == ("ScheduledJob", NAME)
    assert status(sim)["counts"]["active"] == 1
    assert "ownerReferences" not in sim.cluster.objects[JOBS]["foreign"]["metadata"]


@mirrors("the namespace has no quota left, and then some")
def test_a_refused_job_waits_and_is_made_once(kind: Kind) -> None:
    sim = Simulation(job_seconds=5)
    until = kind.due(1) + 20 * SECOND

    def refuse(resource: Resource, _body: Body) -> ApiError | None:
        full = resource is JOBS and sim.now < until
        return ApiError(403, "Forbidden", "exceeded quota: team") if full else None

    sim.cluster.refuse = refuse
    sim.apply(*kind.triggers)
    sim.until(kind.due(1) + 10 * SECOND)
    (run,) = sim.cluster.objects[JOB_RUNS].values()
    assert (run["status"]["phase"], run["status"]["reason"]) == ("Queued", "JobRefused")
    assert "exceeded quota: team" in run["status"]["message"]
    sim.until(kind.due(1) + 50 * SECOND)
    assert ran(sim) == [kind.due(1)]


@mirrors("the namespace is terminating")
def test_a_namespace_that_ends_is_left_in_peace(kind: Kind) -> None:
    """On the real API server: tests/cluster/test_kube_requests.py and tests/e2e."""
    sim = Simulation(job_seconds=5)

    def refuse(resource: Resource, _body: Body) -> ApiError | None:
        words = "unable to create new content in namespace files because it is being terminated"
        return ApiError(403, "Forbidden", words) if resource is JOB_RUNS else None

    sim.apply(*kind.triggers)
    sim.cluster.refuse = refuse
    tried = len(sim.writes.log)
    sim.until(kind.due(3) + SECOND)
    assert ran(sim) == []
    assert len(sim.writes.log) - tried < 100, "it is put off, for longer each time"


@mirrors("AlreadyExists: the Job is our own", "AlreadyExists: the Job is another's")
def test_a_name_that_is_there(kind: Kind) -> None:
    first = simulation(kind)
    first.until(kind.due(1) + SECOND)
    creates = [number for number, what in enumerate(first.writes.log, start=1) if "create" in what]
    for number in creates:  # the object is made, and its answer is lost
        sim = simulation(kind, faults={number: Fault.LOSE_ANSWER})
        sim.until(kind.due(1) + 30 * SECOND)
        assert ran(sim) == [kind.due(1)]
    sim = simulation(kind, job_seconds=5)
    uid = sim.cluster.objects[SCHEDULED_JOBS][NAME]["metadata"]["uid"]
    taken = names.periodic_runs(NAME, kind.due(1), uid)[0]
    sim.cluster.create(JOBS, {"metadata": {"name": taken, "namespace": NAMESPACE}, "spec": {}})
    sim.until(kind.due(1) + SECOND)
    made = [name for name in sim.cluster.objects[JOBS] if name != taken]
    assert len(made) == 1
    assert made[0].startswith(taken[:20])


@mirrors("the schedule cannot be parsed", "the time zone is unknown", kinds=(CRON,))
def test_what_cannot_be_understood_is_said_and_stops_nobody(kind: Kind) -> None:
    sim = Simulation(job_seconds=5)
    sim.apply("61 * * * *", name="wrong")
    sim.apply(name="nowhere", triggers=[{"name": "t", "cron": "* * * * *", "timeZone": "Mars/Olympus"}])
    sim.apply(*kind.triggers)
    sim.until(kind.due(1) + SECOND)
    assert ran(sim) == [kind.due(1)]
    for name, words in (("wrong", "61"), ("nowhere", "Mars/Olympus")):
        (ready,) = [
            c for c in sim.cluster.objects[SCHEDULED_JOBS][name]["status"]["conditions"] if c["type"] == "Ready"
        ]
        assert ready["status"] == "False"
        assert words in ready["message"]


def test_the_page_lists_what_is_mirrored() -> None:
    page = (REPOSITORY / "docs/native-suite.md").read_text()
    rows = re.findall(r"^\| (.+?) \| `(\w+)` \|", page, re.MULTILINE)
    assert dict(rows) == MIRRORED
