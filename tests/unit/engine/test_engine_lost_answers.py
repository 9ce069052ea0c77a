"""A create whose answer was lost may have had its effect: nothing is decided before it was looked for."""

import pytest

from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS
from tests.unit.engine.simulator import Fault, Simulation


def due_at_one_past(faults: dict[int, Fault]) -> Simulation:
    sim = Simulation(lagging=True, faults=faults)
    sim.apply("* * * * *")
    assert sim.process is not None
    sim.process.deliver()
    sim.until("12:01:00")
    return sim


def lose_answer(to: str) -> Simulation:
    """A definition that is due at 12:01, whose create is answered by nobody; the watches are behind."""
    log = due_at_one_past({}).writes.log
    number = next(n for n, what in enumerate(log, start=1) if f"create {to} " in what)
    return due_at_one_past({number: Fault.LOSE_ANSWER})


@pytest.mark.parametrize("lost", ["JobRun", "Job"])
def test_what_was_made_is_known_before_a_suspension_is_decided(lost: str) -> None:
    sim = lose_answer(lost)
    assert sim.process is not None
    sim.cluster.edit("sweep", suspend=True)
    sim.process.deliver(SCHEDULED_JOBS)
    sim.advance(5)
    runs, skips = sim.ledger.told()
    assert (runs, skips) == ((["12:01 Skipped"] if lost == "JobRun" else ["12:01 Running"]), [])


@pytest.mark.parametrize("lost", ["JobRun", "Job"])
def test_nothing_is_made_twice(lost: str) -> None:
    sim = lose_answer(lost)
    sim.advance(5)
    assert (len(sim.cluster.objects[JOB_RUNS]), len(sim.cluster.objects[JOBS])) == (1, 1)


def test_a_request_that_never_arrived_is_made_again() -> None:
    sim = Simulation(faults={3: Fault.LOSE_REQUEST})
    sim.apply("* * * * *")
    sim.until("12:01:05")
    assert sim.ledger.told() == (["12:01 Running"], [])
