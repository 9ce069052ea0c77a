"""The running Go program for the differential tests."""

from collections.abc import Iterator

import pytest

from tests.unit.schedule.robfig import Robfig


@pytest.fixture(scope="session")
def robfig() -> Iterator[Robfig]:
    """robfig/cron; a test that needs it fails, and says why, where it cannot be built."""
    running = Robfig.start()
    yield running
    running.stop()
