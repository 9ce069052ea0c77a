"""JobRuns that people annotate as the record of a Job of the CronJob controller: nobody else's Job is touched for them.

The admission policy refuses the annotation; here there is none.
"""

import pytest

from carillon.api import keys
from carillon.api.jobrun import Phase
from carillon.engine.read import read_run
from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS
from tests.unit.engine.builders import HOURLY, KEY, NAMESPACE
from tests.unit.engine.cluster import Body
from tests.unit.engine.simulator import Simulation

VICTIM = "victim"


def a_world(policy: str, *, backend: str = "Operator") -> tuple[Simulation, Body]:
    """A definition `sweep`, and a Job that runs for another one."""
    sim = Simulation()
    sim.apply(name=VICTIM, backend=backend, triggers=[{"name": "t0", "cron": HOURLY}])
    sim.apply(concurrency={"policy": policy})
    if backend == "Operator":
        sim.run_now("theirs", name=VICTIM)
    else:
        sim.until("13:00:00")
        sim.cluster.fire_native(VICTIM, sim.now)
        sim.work()
    [job] = sim.jobs()
    sim.advance(1)
    return sim, sim.cluster.objects[JOBS][job]


def annotated(sim: Simulation, job: Body, name: str = "false", *, owned: bool = False) -> Body:
    body = sim.manual_run(name)
    note = f"{job['metadata']['name']}/{job['metadata']['uid']}"
    body["metadata"]["annotations"] = {keys.NATIVE_JOB_ANNOTATION: note, "note": "kept"}
    if owned:
        owner = sim.cluster.objects[SCHEDULED_JOBS]["sweep"]["metadata"]["uid"]
        reference = {"apiVersion": "carillon.dev/v1alpha1", "kind": "ScheduledJob", "name": "sweep", "uid": owner}
        body["metadata"]["ownerReferences"] = [reference]
    return body


@pytest.mark.parametrize("owned", [False, True])
@pytest.mark.parametrize("backend", ["Operator", "CronJob"])
@pytest.mark.parametrize("policy", ["Replace", "Forbid"])
def test_the_job_of_another_definition_goes_on(policy: str, backend: str, owned: bool) -> None:
    sim, theirs = a_world(policy, backend=backend)
    job = theirs["metadata"]["name"]
    sim.cluster.create(JOB_RUNS, annotated(sim, theirs, owned=owned))
    sim.work()
    sim.run_now("mine")
    sim.advance(20)
    assert job in sim.jobs()
    assert "deletionTimestamp" not in sim.cluster.objects[JOBS][job]["metadata"]
    sim.finish(job)
    assert sim.phases()[theirs["metadata"]["annotations"].get(keys.RUN_ANNOTATION, job)] == "Succeeded"


@pytest.mark.parametrize("owned", [False, True])
def test_a_forbid_definition_does_not_stay_busy(owned: bool) -> None:
    sim, theirs = a_world("Forbid")
    sim.cluster.create(JOB_RUNS, annotated(sim, theirs, owned=owned))
    sim.work()
    for job in sim.jobs():
        if job != theirs["metadata"]["name"]:
            sim.finish(job)
    sim.advance(10)
    assert Phase(sim.phases()["false"]).finished
    sim.run_now("mine")
    assert sim.phases()["mine"] == "Running"


def test_a_run_that_claims_a_job_of_its_own_definition_that_is_not_native_ends() -> None:
    sim = Simulation()
    sim.apply(HOURLY, concurrency={"policy": "Allow"})
    sim.run_now("first")
    [job] = sim.jobs()
    sim.cluster.create(JOB_RUNS, annotated(sim, sim.cluster.objects[JOBS][job], owned=True))
    sim.work()
    sim.advance(10)
    assert sim.phases() == {"first": "Running", "false": "Failed"}


def test_adoption_takes_the_annotation_away_and_leaves_the_others() -> None:
    sim, theirs = a_world("Allow")
    sim.cluster.create(JOB_RUNS, annotated(sim, theirs))
    sim.work()
    assert sim.cluster.objects[JOB_RUNS]["false"]["metadata"]["annotations"] == {"note": "kept"}
    assert sim.phases()["false"] == "Running"
    assert len(sim.jobs()) == 2, "a run like any other"


def test_without_a_definition_it_is_refused_like_any_other() -> None:
    sim, theirs = a_world("Allow")
    body = annotated(sim, theirs)
    sim.cluster.create(JOB_RUNS, {**body, "spec": {"scheduledJob": "nobody"}})
    sim.work()
    assert sim.phases()["false"] == "Skipped"


@pytest.mark.parametrize("text", ["", "a", "a/", "/b", "a/b,c=d", "../a/b", "a/" + "b" * 37, "a" * 64 + "/b", "A/b"])
def test_what_names_no_job_is_not_read(text: str) -> None:
    metadata = {
        "name": "r",
        "namespace": NAMESPACE,
        "uid": "u",
        "resourceVersion": "1",
        "creationTimestamp": "2026-03-10T12:00:00Z",
        "annotations": {keys.NATIVE_JOB_ANNOTATION: text},
    }
    assert read_run({"metadata": metadata, "spec": {"scheduledJob": "sweep"}}).native_job is None


@pytest.mark.parametrize("length", [63, 64, 253])
def test_a_job_with_a_name_that_no_field_holds_is_not_native(length: int) -> None:
    """With a selector of its own a Job may have one, and anybody who may create Jobs can label it."""
    sim = Simulation()
    sim.apply(HOURLY, backend="CronJob")
    uid = sim.cluster.objects[SCHEDULED_JOBS]["sweep"]["metadata"]["uid"]
    labels = {keys.NATIVE_LABEL: uid, keys.SCHEDULED_JOB_LABEL: "sweep"}
    job = {
        "metadata": {
            "name": "j" * length,
            "namespace": NAMESPACE,
            "uid": "uid-long",
            "creationTimestamp": "2026-03-10T12:00:00Z",
            "resourceVersion": "9000",
            "labels": labels,
        }
    }
    assert sim.process is not None
    sim.process.store.put_job(job)
    native = [job.native_of for job in sim.process.store.snapshot(KEY).jobs]
    assert native == ([uid] if length == 63 else [])
