from collections.abc import Iterator

import pytest

from tests.archive import postgres as module
from tests.archive.postgres import Postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    with module.running() as server:
        yield server


@pytest.fixture
def postgres(server: Postgres) -> Postgres:
    """A server that runs, without tables."""
    server.wake()
    if server.process is None:
        server.up()
    server.empty()
    return server
