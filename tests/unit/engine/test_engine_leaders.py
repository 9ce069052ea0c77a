"""Two processes that both believe that they lead: uniqueness rests on names, not on the lease (design 3.2)."""

from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tests.unit.engine.simulator import Simulation

turns = st.lists(st.booleans(), max_size=80)


@pytest.mark.parametrize("policy", ["Forbid", "Allow", "Replace"])
@given(turns=turns, job_seconds=st.sampled_from((5, 25)), crowd=st.sampled_from((0, 1000)))
@settings(max_examples=25, deadline=None)
def test_they_make_one_job_for_a_due_time(policy: str, turns: list[bool], job_seconds: int, crowd: int) -> None:
    sim = Simulation(start="12:00:30", job_seconds=job_seconds, crowd=crowd)
    sim.apply("*/20 * * * * *", concurrency={"policy": policy}, history={"succeeded": 1, "failed": 1})
    other = sim.second_leader()
    for step in range(10):
        sim.cluster.now += timedelta(seconds=10)
        sim.contend(other, turns[step * 8 :])
    other.stop()
    sim.settle()
    assert len(sim.ledger.runs) >= 2
    assert sim.verify() == []


@given(turns=turns)
@settings(max_examples=25, deadline=None)
def test_they_make_one_run_of_auto_start_and_one_job_of_a_manual_run(turns: list[bool]) -> None:
    sim = Simulation(job_seconds=5)
    other = sim.second_leader()
    sim.process, first = None, sim.process
    sim.apply(autoStart=True, concurrency={"policy": "Allow"})
    sim.run_now("manual")
    sim.process = first
    for step in range(4):
        sim.contend(other, turns[step * 20 :])
        sim.cluster.now += timedelta(seconds=3)
    other.stop()
    sim.settle()
    assert [record.phase for record in sim.ledger.runs.values()] == ["Succeeded", "Succeeded"]
