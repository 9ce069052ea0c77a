"""Runs that wait for one thing and meet another: refusals that pass, closed times, Jobs of strangers."""

import itertools

import pytest

from carillon.api import keys
from carillon.kube.errors import ApiError
from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource
from tests.unit.engine.builders import NAMESPACE, a_template
from tests.unit.engine.cluster import Body
from tests.unit.engine.simulator import Simulation

SHARED = {"policy": "Queue", "group": "db"}
QUOTA = ApiError(403, "Forbidden", "exceeded quota: team")


class Refusing:
    """An admission that refuses Jobs of runs whose names begin alike, while it is told to."""

    def __init__(self, sim: Simulation, prefix: str, answer: ApiError = QUOTA) -> None:
        self.on = True
        self.tried = 0
        self._prefix, self._answer = prefix, answer
        sim.cluster.refuse = self._refuse

    def _refuse(self, resource: Resource, body: Body) -> ApiError | None:
        if resource is not JOBS or not body["metadata"]["name"].startswith(self._prefix):
            return None
        self.tried += 1
        return self._answer if self.on else None


def outcome(sim: Simulation, run: str) -> tuple[str, str]:
    status = sim.cluster.objects[JOB_RUNS][run]["status"]
    return status["phase"], status.get("reason", "")


def two_members(**first: object) -> Simulation:
    sim = Simulation()
    sim.apply(name="a", concurrency={**SHARED, **first})
    sim.apply(name="b", concurrency=SHARED)
    sim.advance(1)
    return sim


class TestRefusals:
    def test_one_that_was_refused_has_its_turn_when_the_slot_is_free(self) -> None:
        sim = two_members()
        quota = Refusing(sim, "first")
        sim.run_now("first", name="a")
        sim.advance(1)
        sim.run_now("second", name="b")
        quota.on = False
        sim.advance(1_200)
        assert sim.phases() == {"first": "Queued", "second": "Running"}
        sim.finish(sim.jobs()[0])
        sim.advance(1)
        assert sim.phases() == {"first": "Running", "second": "Succeeded"}

    @pytest.mark.parametrize("policy", ["Queue", "Forbid"])
    def test_it_keeps_its_place(self, policy: str) -> None:
        sim = two_members(policy=policy, **({"queueLimit": 1} if policy == "Queue" else {}))
        quota = Refusing(sim, "first")
        sim.run_now("first", name="a")
        sim.run_now("behind", name="a")
        sim.run_now("second", name="b")
        quota.on = False
        sim.advance(10)
        assert outcome(sim, "first") == ("Queued", "WaitingForSlot")

    def test_an_old_refusal_ends_nothing(self) -> None:
        sim = Simulation()
        sim.apply(name="a")
        quota = Refusing(sim, "first")
        sim.run_now("first", name="a")
        sim.edit_run("first", suspend=True)
        sim.advance(1_200)
        sim.edit_run("first", suspend=False)
        sim.advance(1)
        assert quota.tried == 2
        assert outcome(sim, "first") == ("Queued", "JobRefused"), "it begins anew"
        quota.on = False
        sim.advance(10)
        assert sim.phases() == {"first": "Running"}

    def test_one_that_is_refused_all_the_time_ends_in_time(self) -> None:
        sim = Simulation()
        sim.apply(name="a", pendingTimeoutSeconds=60)
        quota = Refusing(sim, "first")
        sim.run_now("first", name="a")
        sim.advance(55)
        assert outcome(sim, "first") == ("Queued", "JobRefused")
        sim.advance(40)
        assert outcome(sim, "first") == ("Failed", "JobRefused")
        assert quota.tried > 3

    @pytest.mark.parametrize(
        "answer",
        [
            ApiError(500, "InternalError", 'failed calling webhook "x": no endpoints'),
            ApiError(413, "RequestEntityTooLarge", "limit is 3145728"),
        ],
    )
    def test_other_refusals_of_a_job_hold_up_nobody_else(self, answer: ApiError) -> None:
        sim = Simulation()
        sim.apply(name="a", concurrency=SHARED, pendingTimeoutSeconds=60)
        sim.apply(name="b", concurrency=SHARED)
        Refusing(sim, "first", answer)
        sim.run_now("first", name="a")
        sim.advance(1)
        sim.run_now("second", name="b")
        assert sim.phases() == {"first": "Queued", "second": "Running"}
        sim.finish(sim.jobs()[0])
        sim.advance(120)
        assert outcome(sim, "first") == ("Failed", "JobRefused")


CLOSED = {"windows": [{"cron": "5 12 * * *", "durationSeconds": 1_200}]}


class TestClosedTimes:
    def test_its_end_wakes_who_waits_in_a_group(self) -> None:
        sim = Simulation()
        sim.apply("1 12 * * *", name="a", concurrency=SHARED, exclude=CLOSED)
        sim.apply(name="b", concurrency=SHARED)
        sim.run_now("second", name="b")
        sim.until("12:10:00")
        sim.finish(sim.jobs()[0])
        (waits,) = (name for name in sim.phases() if name != "second")
        assert outcome(sim, waits) == ("Queued", "Closed")
        sim.until("12:25:01")
        assert outcome(sim, waits)[0] == "Running"

    @pytest.mark.parametrize("policy", ["Skip", "Latest", "All"])
    def test_who_waits_keeps_its_place_whatever_catch_up_says(self, policy: str) -> None:
        sim = Simulation()
        sim.apply("1-4 12 * * *", concurrency={"policy": "Queue"}, exclude=CLOSED, catchUp={"policy": policy})
        sim.until("12:06:00")
        sim.finish(sim.jobs()[0])
        sim.until("12:20:00")
        assert sorted(sim.phases().values()) == ["Queued", "Queued", "Queued", "Succeeded"]
        sim.until("12:25:01")
        assert sorted(sim.phases().values()) == ["Queued", "Queued", "Running", "Succeeded"]


class TestStrangers:
    """Whoever may make Jobs may name any run as the owner of one."""

    @staticmethod
    def job(sim: Simulation, run: str) -> str:
        uid = sim.cluster.objects[JOB_RUNS][run]["metadata"]["uid"]
        owner = {"apiVersion": "carillon.dev/v1alpha1", "kind": "JobRun", "name": run, "uid": uid, "controller": True}
        labels = {keys.RUN_UID_LABEL: uid, keys.SCHEDULED_JOB_LABEL: "sweep"}
        metadata = {"name": "mine", "namespace": NAMESPACE, "labels": labels, "ownerReferences": [owner]}
        return str(sim.cluster.create(JOBS, {"metadata": metadata, **a_template()})["metadata"]["uid"])

    def test_the_job_of_another_holds_no_slot(self) -> None:
        sim = Simulation()
        sim.apply()
        sim.run_now("done")
        sim.finish(sim.jobs()[0])
        sim.cluster.watchers.pop(0)  # the ledger knows the Jobs of runs by their owner alone
        self.job(sim, "done")
        sim.run_now("next")
        assert sim.phases()["next"] == "Running"
        assert sim.cluster.objects[SCHEDULED_JOBS]["sweep"]["status"]["counts"]["active"] == 1

    def test_its_pods_report_no_progress(self) -> None:
        sim = Simulation()
        sim.apply(concurrency={"policy": "Queue"})
        sim.run_now("runs")
        sim.run_now("waits")
        sim.cluster.watchers.pop(0)
        uid = self.job(sim, "waits")
        assert sim.process is not None
        assert sim.process.store.run_of_job(uid) is None


def test_each_attempt_has_one_token_alone() -> None:
    sim = Simulation()
    sim.apply(retry={"limit": 3, "backoff": {"initialSeconds": 1}})
    sim.run_now("flaky")
    for _ in range(3):
        sim.finish(sim.jobs()[0], exit_code=1)
        sim.advance(20)
    volumes = [
        [volume["name"] for volume in raw["spec"]["template"]["spec"].get("volumes", [])]
        for raw in sim.cluster.objects[JOBS].values()
    ]
    assert len(volumes) == 4
    assert len(volumes[0]) == 1
    assert all(before == after for before, after in itertools.pairwise(volumes))
