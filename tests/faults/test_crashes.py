"""The stories, and then a fault at every write of each: the process dies before or after it, or a request is lost, late
or refused for a while.

The ledger holds design 3 against every one of them: one Job for a due time, none forgotten, Forbid means one, nothing
pruned too early, each outcome counted once, and rest at the end.
"""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from carillon.kube.resources import JOB_RUNS
from tests.unit.engine.scenarios import AHEAD, STORIES, Story, a_run_is_deleted, ahead_and_stopped
from tests.unit.engine.simulator import Fault, Simulation

MANY = 400
"""So many others are due as well that runs are written fifteen seconds ahead."""
EVERY = {**STORIES, **AHEAD}
TOLD = [(story, crowd) for crowd in (0, MANY) for story in EVERY if crowd or story is not ahead_and_stopped]
"""Each story by itself, and among many; but people cannot stop a run before its due time that is not written ahead."""
each_story = pytest.mark.parametrize(
    ("story", "crowd"), TOLD, ids=[f"{story.__name__}{'-ahead' if crowd else ''}" for story, crowd in TOLD]
)


def play(story: Story, faults: dict[int, Fault], *, crowd: int = 0, late_seconds: int = 0) -> Simulation:
    sim = Simulation(faults=faults, crowd=crowd, late_seconds=late_seconds)
    story(sim)
    sim.settle()
    if story is not a_run_is_deleted or not faults:  # who deletes a record while nobody looks leaves none
        assert sim.verify() == []
    return sim


def faults(writes: list[str]) -> Iterator[tuple[int, Fault]]:
    """Every fault that leaves something else behind than another one in the list.

    A death before a write is a death after the one before it, unless time has passed between them; and a status that
    is lost is one that is written again.
    """
    for number, (before, what) in enumerate(pairwise(["", *writes]), start=1):
        yield number, Fault.DIE_AFTER
        yield number, Fault.LOSE_ANSWER
        if before.split()[:1] != what.split()[:1]:
            yield number, Fault.DIE_BEFORE
        yield number, Fault.THROTTLE
        if what.split()[1] in ("create", "delete"):
            yield number, Fault.LOSE_REQUEST


@each_story
def test_a_fault_at_any_write_breaks_no_promise(story: Story, crowd: int) -> None:
    break_each_write(story, crowd=crowd)


@pytest.mark.parametrize("late_seconds", [20, 70])
@each_story
def test_a_create_that_was_given_up_and_comes_late_breaks_no_promise(
    story: Story, crowd: int, late_seconds: int
) -> None:
    """Whoever gave it up has asked for it, was told that it is not there, and has gone on.

    When it comes most Jobs have ended and some records are gone, or it is a due time later.
    """
    writes = play(story, {}, crowd=crowd).writes.log
    for number in (number for number, what in enumerate(writes, start=1) if what.split()[1] == "create"):
        try:
            sim = play(story, {number: Fault.LATE}, crowd=crowd, late_seconds=late_seconds)
        except AssertionError as broken:
            raise AssertionError(f"write {number} ({writes[number - 1]}) is late: {broken}") from broken
        assert sim.arrivals


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
