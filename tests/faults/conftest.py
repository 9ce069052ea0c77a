from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is logged about faults that are part of a test; a traceback with its locals takes longer than the test."""
    with structlog.testing.capture_logs():
        yield
