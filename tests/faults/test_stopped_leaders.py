"""At each await of each story the leader is stopped past its lease, another process leads, and the first one wakes.

The gate refuses what it goes on to write. What was on the wire when it was stopped cannot be refused: it reaches the
API server after the other one's work, at once or when Jobs have ended and records are gone, and is held off by names,
UIDs and resourceVersions (design 3.2), or taken back. One play for each await of the story as it is without a fault.
"""

import traceback
from typing import Any

import pytest

from carillon.kube.errors import ApiError
from tests.faults.test_crashes import EVERY, MANY
from tests.unit.engine import scenarios
from tests.unit.engine.scenarios import STORIES, Story, a_run_is_deleted
from tests.unit.engine.simulator import Simulation

LATE_SECONDS = 20.0
"""Most Jobs of the stories have ended by then, and their runs are records."""


def play(story: Story, *, crowd: int, **how: Any) -> Simulation:
    sim = Simulation(crowd=crowd, **how)
    try:
        story(sim)
    except (AssertionError, IndexError, ApiError) as problem:
        # What it expects of the moment, or acts upon, may be over when it has lost half a minute: it ends there, and
        # what the ledger says is heard all the same.
        if not how.get("stops") or not _of_the_story(problem):
            raise
    sim.settle()
    if story is not a_run_is_deleted:  # who deletes a record while nobody looks leaves none
        assert sim.verify() == []
    return sim


def _of_the_story(problem: BaseException) -> bool:
    frames = traceback.extract_tb(problem.__traceback__)
    by_people = not any("/controller/" in frame.filename for frame in frames)
    return frames[-1].filename == scenarios.__file__ or (by_people and isinstance(problem, ApiError))


def stop_at_each_await(story: Story, *, crowd: int, on_the_wire: bool, late_seconds: float = 0.0) -> None:
    for await_ in range(1, play(story, crowd=crowd).writes.awaits + 1):
        try:
            sim = play(story, crowd=crowd, stops=(await_,), on_the_wire=on_the_wire, late_seconds=late_seconds)
        except AssertionError as broken:
            raise AssertionError(f"stopped at await {await_}: {broken}") from broken
        # How often something is tried again is drawn by lot, so that the last ones may not be met.
        assert sim.take_overs or sim.writes.awaits < await_


@pytest.mark.parametrize("on_the_wire", [False, True], ids=["refused", "late"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_leader_that_wakes_after_its_lease_breaks_no_promise(story: Story, on_the_wire: bool) -> None:
    stop_at_each_await(story, crowd=0, on_the_wire=on_the_wire)


@pytest.mark.parametrize("on_the_wire", [False, True], ids=["refused", "late"])
@pytest.mark.parametrize("story", EVERY, ids=lambda story: story.__name__)
def test_nor_where_runs_are_written_ahead(story: Story, on_the_wire: bool) -> None:
    stop_at_each_await(story, crowd=MANY, on_the_wire=on_the_wire)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_nor_does_a_write_that_arrives_when_all_is_over(story: Story) -> None:
    stop_at_each_await(story, crowd=0, on_the_wire=True, late_seconds=LATE_SECONDS)


@pytest.mark.parametrize("story", EVERY, ids=lambda story: story.__name__)
def test_nor_does_one_that_was_written_ahead(story: Story) -> None:
    stop_at_each_await(story, crowd=MANY, on_the_wire=True, late_seconds=LATE_SECONDS)
