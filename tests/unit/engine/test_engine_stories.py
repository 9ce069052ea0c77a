"""The stories, where nothing fails; tests/faults has them with a fault at every write."""

import pytest

from tests.faults.test_crashes import play
from tests.unit.engine.scenarios import STORIES, Story


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_story_ends_as_it_should(story: Story) -> None:
    assert play(story, {}).ledger.told() == STORIES[story]
