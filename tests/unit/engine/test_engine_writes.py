"""How many writes an execution takes: the API server is the limit of a burst."""

import pytest

from tests.unit.engine.simulator import Simulation


@pytest.mark.parametrize("crowd", [0, 100], ids=["at its due time", "written ahead"])
def test_an_execution_takes_six(crowd: int) -> None:
    """Two creates, two statuses of the run, two of the definition: no record is written between the creates."""
    simulation = Simulation(job_seconds=10, crowd=crowd)
    simulation.apply("5 * * * *")
    simulation.advance(5)
    before = len(simulation.writes.log)
    simulation.advance(3_600)
    written = [entry.split()[1:3] for entry in simulation.writes.log[before:]]
    assert written == [
        ["create", "JobRun"],
        ["create", "Job"],
        *([["status", "JobRun"], ["status", "ScheduledJob"]] * 2),
    ]
