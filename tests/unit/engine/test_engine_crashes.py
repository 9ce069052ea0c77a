"""A fault at every write of every story: the process dies before or after it, or a request or its answer is lost.

The ledger holds design 3 against each: one Job for a due time, none forgotten, Forbid means one, and rest at the end.
"""

import pytest

from tests.unit.engine.scenarios import STORIES, Story
from tests.unit.engine.simulator import Fault, Simulation


def play(story: Story, faults: dict[int, Fault]) -> Simulation:
    sim = Simulation(faults=faults)
    story(sim)
    sim.settle()
    return sim


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_fault_at_any_write_breaks_no_promise(story: Story) -> None:
    writes = play(story, {}).writes.log
    assert writes
    for number, what in enumerate(writes, start=1):
        for fault in Fault:
            try:
                play(story, {number: fault})
            except AssertionError as broken:
                raise AssertionError(f"write {number} ({what}): {fault}: {broken}") from broken


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_second_death_soon_after_the_first_breaks_no_promise(story: Story) -> None:
    for number in range(1, len(play(story, {}).writes.log), 3):
        play(story, {number: Fault.DIE_AFTER, number + 1: Fault.DIE_AFTER, number + 2: Fault.DIE_BEFORE})
