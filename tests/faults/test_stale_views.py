"""Stale and unobserved state (the bug classes of Sieve, OSDI'22), in every story.

The watch of one kind falls silent at one write and is back some writes later: late and whole; by a 410, so that what
was made and deleted meanwhile is never heard of; with an older view, some of which was told before; or in a new process
whose list is an older one. People go on meanwhile: they suspend, delete, make anew, replace.
"""

from contextlib import suppress
from itertools import product

import pytest

from carillon.kube.resources import JOB_RUNS, JOBS, SCHEDULED_JOBS, Resource
from tests.unit.engine.scenarios import STORIES, Story, cannot_start_again
from tests.unit.engine.simulator import Simulation

KINDS = (SCHEDULED_JOBS, JOB_RUNS, JOBS)
BACK = ("late", "expired", "older")
PLAYED = [story for story in STORIES if story is not cannot_start_again]
"""That one says by when something happens."""
OLDER = 4
"""By so many changes an older view is behind."""
LENGTHS = (1, 3, 8, 40)
PLAYS = 6
"""Of each story and kind; the whole product is some 40,000 plays."""


def thaw(sim: Simulation, kind: Resource, back: str) -> None:
    if sim.process is None or kind not in sim.process.watches.silent:
        return
    watches = sim.process.watches
    if back == "expired":
        watches.expire(kind)
    elif back == "older":
        watches.replay(kind, OLDER)
    watches.silent.discard(kind)
    watches.deliver()


def play(story: Story, kind: Resource, first: int, last: int, back: str) -> Simulation:
    sim = Simulation(trusting=True)

    def after(number: int) -> None:
        if number == first and sim.process is not None:
            sim.process.watches.silent.add(kind)
        elif number == last:
            thaw(sim, kind, back)

    sim.writes.then = after
    with suppress(IndexError, StopIteration):  # people who wait for what cannot come while nothing is heard
        story(sim)
    thaw(sim, kind, back)
    sim.settle()
    return sim


def windows(story: Story, kind: Resource) -> list[tuple[int, int, str]]:
    """Spread over the writes of the story, each way of coming back as often as the others."""
    plain = Simulation()
    story(plain)
    writes = plain.writes.count
    chosen = list(product(range(1, writes + 1), LENGTHS, BACK))
    stride = len(chosen) // PLAYS | 1
    offset = KINDS.index(kind) * 5
    return [(first, first + length, back) for first, length, back in chosen[offset::stride]]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.plural)
@pytest.mark.parametrize("story", PLAYED, ids=lambda story: story.__name__)
def test_a_stale_view_of_one_kind_breaks_no_promise(story: Story, kind: Resource) -> None:
    for first, last, back in windows(story, kind):
        try:
            play(story, kind, first, last, back)
        except AssertionError as broken:
            what = f"silent from write {first} to {last}, then {back}"
            raise AssertionError(f"{kind.plural} {what}: {broken}") from broken


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.plural)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_process_that_begins_with_an_older_view_breaks_no_promise(story: Story, kind: Resource) -> None:
    """Its list lacks the last changes, and the watch brings them when its first decisions are carried out."""
    for changes in (1, OLDER):
        sim = Simulation(trusting=True)
        story(sim)
        assert sim.process is not None
        past = sim.process.watches.past[kind]
        sim.restart(behind={kind: past[:-changes]})
        assert sim.process is not None
        sim.work()
        sim.process.watches.expire(kind)
        sim.settle()
