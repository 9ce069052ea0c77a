"""The stories, and then a fault at every write of each: the process dies before or after it, or a request is lost.

The ledger holds design 3 against every one of them: one Job for a due time, none forgotten, Forbid means one, nothing
pruned too early, each outcome counted once, and rest at the end.
"""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from carillon.kube.resources import JOB_RUNS
from tests.unit.engine.scenarios import AHEAD, STORIES, Story, a_run_is_deleted
from tests.unit.engine.simulator import Fault, Simulation

MANY = 400
"""So many others are due as well that runs are written fifteen seconds ahead."""
EVERY = {**STORIES, **AHEAD}


def play(story: Story, faults: dict[int, Fault], *, crowd: int = 0) -> Simulation:
    sim = Simulation(faults=faults, crowd=crowd)
    story(sim)
    sim.settle()
    if story is not a_run_is_deleted or not faults:  # who deletes a record while nobody looks leaves none
        assert sim.verify() == []
    return sim


def faults(writes: list[str]) -> Iterator[tuple[int, Fault]]:
    """Every fault that leaves something else behind than another one in the list.

    A death before a write is a death after the one before it, unless time has passed between them; and a request that
    is lost is one that is made again.
    """
    for number, (before, what) in enumerate(pairwise(["", *writes]), start=1):
        yield number, Fault.DIE_AFTER
        yield number, Fault.LOSE_ANSWER
        if before.split()[:1] != what.split()[:1]:
            yield number, Fault.DIE_BEFORE
        if "create" in what:
            yield number, Fault.LOSE_REQUEST


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_fault_at_any_write_breaks_no_promise(story: Story) -> None:
    break_each_write(story, crowd=0)


@pytest.mark.parametrize("story", EVERY, ids=lambda story: story.__name__)
def test_a_fault_at_any_write_breaks_no_promise_where_runs_are_written_ahead(story: Story) -> None:
    break_each_write(story, crowd=MANY)


def break_each_write(story: Story, *, crowd: int) -> None:
    writes = play(story, {}, crowd=crowd).writes.log
    for number, fault in faults(writes):
        try:
            play(story, {number: fault}, crowd=crowd)
        except AssertionError as broken:
            raise AssertionError(f"write {number} ({writes[number - 1]}): {fault}: {broken}") from broken


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_second_death_soon_after_the_first_breaks_no_promise(story: Story) -> None:
    for number in range(1, len(play(story, {}).writes.log), 5):
        play(story, {number: Fault.DIE_AFTER, number + 1: Fault.DIE_AFTER, number + 2: Fault.DIE_BEFORE})


@pytest.mark.parametrize("story", AHEAD, ids=lambda story: story.__name__)
def test_a_second_death_soon_after_the_first_breaks_no_promise_ahead_of_time(story: Story) -> None:
    for number in range(1, len(play(story, {}, crowd=MANY).writes.log), 2):
        deaths = {number: Fault.DIE_AFTER, number + 1: Fault.LOSE_ANSWER, number + 2: Fault.DIE_BEFORE}
        play(story, deaths, crowd=MANY)


@pytest.mark.parametrize("policy", ["Forbid", "Replace"])
def test_pods_that_outlive_their_job_and_its_run_hold_the_slot_of_a_new_process(policy: str) -> None:
    sim = Simulation()
    sim.apply("* * * * *", concurrency={"policy": policy})
    sim.until("12:01:00")
    (run,) = sim.phases()
    sim.delete(JOB_RUNS, run)
    assert sim.jobs() == []
    sim.restart()
    sim.run_now("manual")
    assert sim.jobs() == []
    sim.advance(60)
    sim.settle()
    assert len(sim.jobs()) == 1
