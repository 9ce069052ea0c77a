"""At each await of each story the leader is stopped past its lease, another process leads, and the first one wakes.

The gate refuses what it goes on to write. What was on the wire when it was stopped cannot be refused: it reaches the
API server after the other one's work, at once or when Jobs have ended and records are gone, and is held off by names,
UIDs and resourceVersions (design 3.2), or taken back. One play for each await of the story as it is without a fault;
where it is a read nothing is on the wire, and one play is all there is to see.
"""

import traceback
from collections.abc import Iterable
from typing import Any

import pytest

from carillon.kube.errors import ApiError
from tests.faults.test_crashes import each_story
from tests.unit.engine import scenarios
from tests.unit.engine.scenarios import Story, a_run_is_deleted
from tests.unit.engine.simulator import Simulation


def play(story: Story, **how: Any) -> Simulation:
    sim = Simulation(**how)
    try:
        story(sim)
    except (AssertionError, IndexError, ApiError) as problem:
        # What it expects of the moment, or acts upon, may be over when it has lost half a minute: it ends there, and
        # what the ledger says is heard all the same.
        if not how.get("stops") or not _of_the_story(problem):
            raise
    sim.settle()
    if story is not a_run_is_deleted or not how.get("stops"):  # who deletes a record while nobody looks leaves none
        assert sim.verify() == []
    return sim


def _of_the_story(problem: BaseException) -> bool:
    frames = traceback.extract_tb(problem.__traceback__)
    by_people = not any("/controller/" in frame.filename for frame in frames)
    return frames[-1].filename == scenarios.__file__ or (by_people and isinstance(problem, ApiError))


def stop_at_each(awaits: Iterable[int], story: Story, **how: Any) -> None:
    for await_ in awaits:
        try:
            sim = play(story, stops=(await_,), **how)
        except AssertionError as broken:
            raise AssertionError(f"stopped at await {await_}: {broken}") from broken
        assert sim.take_overs, f"there was no await {await_}"


@each_story
def test_a_leader_that_wakes_after_its_lease_breaks_no_promise(story: Story, crowd: int) -> None:
    awaits = play(story, crowd=crowd).writes.awaits
    stop_at_each(range(1, awaits + 1), story, crowd=crowd)


@pytest.mark.parametrize("late_seconds", [0, 20, 70])
@each_story
def test_nor_does_what_was_on_the_wire(story: Story, crowd: int, late_seconds: int) -> None:
    """It arrives at once, when most Jobs have ended and some records are gone, or a due time later."""
    writes = play(story, crowd=crowd).writes.at
    stop_at_each(writes, story, crowd=crowd, on_the_wire=True, late_seconds=late_seconds)
