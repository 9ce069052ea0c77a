"""The stories, where nothing fails; tests/faults has them with a fault at every write."""

import pytest

from tests.faults.test_crashes import EVERY, MANY, play
from tests.unit.engine.scenarios import AHEAD, STORIES, Story


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_ends_as_it_should(story: Story) -> None:
    assert play(story, {}).ledger.told() == STORIES[story]


@pytest.mark.parametrize("story", EVERY, ids=lambda story: story.__name__)
def test_a_story_ends_the_same_where_runs_are_written_ahead(story: Story) -> None:
    runs, skips = play(story, {}, crowd=MANY).ledger.told()
    expected, left_out = EVERY[story]
    assert (sorted(runs), skips) == (sorted(expected), left_out)


@pytest.mark.parametrize("story", AHEAD, ids=lambda story: story.__name__)
def test_a_story_of_runs_written_ahead_has_some(story: Story) -> None:
    log = play(story, {}, crowd=MANY).writes.log
    assert any("create JobRun" in what and not what.split()[0].endswith(":00") for what in log)
