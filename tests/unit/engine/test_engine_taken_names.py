"""Names that somebody else has taken beforehand: another is used, and where none is left that is said, once."""

from collections.abc import Sequence

import pytest

from carillon.engine import names
from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS
from tests.unit.engine.builders import HOURLY, NAME, NAMESPACE, at
from tests.unit.engine.cluster import Body
from tests.unit.engine.simulator import Simulation

DUE = at("13:00")
HOLDER = "holder"


def simulation() -> Simulation:
    """With a disabled definition whose refused runs hold names for as long as they are kept."""
    sim = Simulation(job_seconds=5)
    sim.apply(name=HOLDER, suspend=True, history={"failed": 100})
    return sim


def uid(sim: Simulation) -> str:
    return str(sim.cluster.objects[SCHEDULED_JOBS][NAME]["metadata"]["uid"])


def status(sim: Simulation) -> Body:
    return dict(sim.cluster.objects[SCHEDULED_JOBS][NAME]["status"])


def skips(sim: Simulation) -> list[str]:
    return [f"{line['from'][11:16]} {line['reason']}" for line in status(sim).get("skips", [])]


def conditions(sim: Simulation) -> dict[str, str]:
    return {c["type"]: f"{c['status']} {c['reason']}" for c in status(sim)["conditions"]}


def take_runs(sim: Simulation, taken: Sequence[str], scheduled_job: str = HOLDER) -> None:
    for name in taken:
        sim.cluster.create(JOB_RUNS, sim.manual_run(name, name=scheduled_job))


def take_jobs(sim: Simulation, taken: Sequence[str]) -> None:
    for name in taken:
        body = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {}}
        sim.cluster.create(JOBS, body)


def own_runs(sim: Simulation) -> list[str]:
    return [n for n, raw in sim.cluster.objects[JOB_RUNS].items() if raw["spec"]["scheduledJob"] == NAME]


@pytest.mark.parametrize("count", range(9))
def test_a_due_time_runs_under_the_first_name_that_is_free(count: int) -> None:
    sim = simulation()
    sim.apply(HOURLY)
    candidates = names.periodic_runs(NAME, DUE, uid(sim))
    take_runs(sim, candidates[:count])
    sim.until("13:00:10")
    assert own_runs(sim) == [candidates[count]]
    assert status(sim)["counts"]["succeeded"] == 1
    assert skips(sim) == []
    sim.settle()


def test_without_a_free_name_the_due_time_is_skipped_and_the_next_one_runs() -> None:
    sim = simulation()
    sim.apply(HOURLY)
    take_runs(sim, names.periodic_runs(NAME, DUE, uid(sim)))
    sim.until("13:00:10")
    assert own_runs(sim) == []
    assert skips(sim) == ["13:00 NameTaken"]
    assert status(sim)["counts"]["skipped"] == 1
    sim.settle()
    sim.until("14:00:10")
    assert list(sim.phases().values())[-1] == "Succeeded"
    assert skips(sim) == ["13:00 NameTaken"]
    assert not [found for found in sim.verify() if "trigger" in found]
    sim.settle()


def test_names_that_become_free_again_are_used_again() -> None:
    sim = simulation()
    sim.apply(HOURLY)
    take_runs(sim, names.periodic_runs(NAME, DUE, uid(sim)))
    sim.until("13:30:00")
    take_runs(sim, [f"{NAME}-other"])
    sim.until("14:00:10")
    assert own_runs(sim) == [names.periodic_runs(NAME, at("14:00"), uid(sim))[0]]


@pytest.mark.parametrize("policy", ["Latest", "All"])
def test_of_a_downtime_only_what_has_no_name_is_skipped(policy: str) -> None:
    sim = simulation()
    sim.apply(HOURLY, catchUp={"policy": policy})
    take_runs(sim, names.periodic_runs(NAME, at("15:00"), uid(sim)))
    sim.crash()
    sim.until("15:30:00")
    sim.restart()
    sim.advance(60)
    assert "15:00 NameTaken" in skips(sim)
    assert len(own_runs(sim)) == (2 if policy == "All" else 0)
    sim.settle()


def test_a_persons_run_for_this_job_under_the_name_is_a_run_of_its_own() -> None:
    sim = simulation()
    sim.apply(HOURLY)
    proper, spare, *_ = names.periodic_runs(NAME, DUE, uid(sim))
    take_runs(sim, [proper], NAME)
    sim.work()
    sim.until("13:00:10")
    assert sim.phases() == {proper: "Succeeded", spare: "Succeeded"}
    sim.settle()


@pytest.mark.parametrize("count", range(9))
def test_auto_start_takes_the_first_name_that_is_free_and_says_when_there_is_none(count: int) -> None:
    sim = simulation()
    taken = names.auto_start_runs(NAME, "scheduledjob-10")[:count]
    take_runs(sim, taken)
    for number in range(count, 8):  # so that the definition's UID is the one that the names are made from
        sim.cluster.create(JOB_RUNS, sim.manual_run(f"filler-{number}", name=HOLDER))
    sim.apply(autoStart=True)
    sim.advance(10)
    if count < 8:
        assert own_runs(sim) == [names.auto_start_runs(NAME, "scheduledjob-10")[count]]
        assert "Stalled" not in conditions(sim)
        sim.settle()
        return
    assert conditions(sim)["Stalled"] == "True NameTaken"
    assert own_runs(sim) == []
    sim.delete(JOB_RUNS, taken[3])
    sim.advance(600)
    assert own_runs(sim) == [taken[3]]
    assert "Stalled" not in conditions(sim)
    sim.settle()


def test_a_persons_run_under_the_name_of_auto_start_is_not_it() -> None:
    sim = simulation()
    first, second, *_ = names.auto_start_runs(NAME, "scheduledjob-3")
    take_runs(sim, [first], NAME)
    sim.apply(autoStart=True)
    sim.advance(10)
    assert sim.phases() == {first: "Succeeded", second: "Succeeded"}
    assert status(sim)["autoStartRun"] == second
    sim.settle()


@pytest.mark.parametrize("count", range(10))
def test_a_job_takes_the_first_name_that_is_free_and_its_run_fails_when_there_is_none(count: int) -> None:
    sim = simulation()
    sim.apply(HOURLY)
    proper = names.periodic_runs(NAME, DUE, uid(sim))[0]
    candidates = names.job_names(proper, "jobrun-" + str(3 + count), periodic=True)
    take_jobs(sim, candidates[:count])
    sim.until("13:00:10")
    [raw] = sim.cluster.objects[JOB_RUNS].values()
    if count < 9:
        assert raw["status"]["steps"][0]["job"] == candidates[count]
        assert raw["status"]["phase"] == "Succeeded"
    else:
        assert (raw["status"]["phase"], raw["status"]["reason"]) == ("Failed", "NameTaken")
        assert candidates[-1] in raw["status"]["message"]
        assert "steps" not in raw["status"]
    sim.settle()


def test_a_native_job_without_a_name_for_its_record_is_told() -> None:
    sim = simulation()
    sim.apply(HOURLY, backend="CronJob")
    sim.until("13:00:00")
    job = f"{NAME}-{int(DUE.timestamp()) // 60}"
    taken = names.native_runs(job, "job-13")
    take_runs(sim, taken)
    assert sim.cluster.fire_native(NAME, DUE) == job
    assert sim.cluster.objects[JOBS][job]["metadata"]["uid"] == "job-13"
    sim.work()
    assert conditions(sim)["Stalled"] == "True NameTaken"
    sim.delete(JOB_RUNS, taken[-1])
    sim.advance(600)
    assert own_runs(sim) == [taken[-1]]
    assert "Stalled" not in conditions(sim)
    sim.settle()


def test_what_makes_no_progress_keeps_no_record_from_being_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook takes the owner away again, for example."""
    sim = simulation()
    sim.apply(HOURLY)
    monkeypatch.setattr(sim.cluster, "merge_patch", lambda resource, name, *_, **__: sim.cluster.get(resource, name))
    sim.run_now("mine")
    sim.until("13:02:00")
    assert status(sim)["counts"]["skipped"] == 1
    assert skips(sim) == ["13:00 ConcurrencyForbid"], "the one that waits to be adopted has its turn first"
    assert sim.phases()["mine"] == ""
