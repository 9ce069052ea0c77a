"""At each await of each story the leader is stopped past its lease, another process leads, and the first one wakes.

The gate refuses what it goes on to write. What was on the wire when it was stopped cannot be refused: it reaches the
API server after the other one's work, and is held off by names, UIDs and resourceVersions (design 3.2). A play stops a
leader at every tenth await, each time the one that leads then; ten plays, and each await has been one of them.
"""

import pytest

from tests.unit.engine.scenarios import STORIES, Story
from tests.unit.engine.simulator import Simulation

APART = 10


@pytest.mark.parametrize("on_the_wire", [False, True], ids=["refused", "late"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_leader_that_wakes_after_its_lease_breaks_no_promise(story: Story, on_the_wire: bool) -> None:
    for first in range(1, APART + 1):
        sim = Simulation(stops=range(first, 1000, APART), on_the_wire=on_the_wire)
        try:
            story(sim)
            sim.settle()
        except AssertionError as broken:
            raise AssertionError(f"stopped at await {first} and every {APART} from there: {broken}") from broken
        assert sim.take_overs
