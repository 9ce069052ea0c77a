"""The short form of `make chaos`: a few seconds of the faults that find most, on a small fleet, in one table.

It kills the cluster's API server, so that it needs a cluster of its own; somebody's (`current`) is left in peace.
"""

import pytest

from tests.chaos.faults import SHORT
from tests.chaos.fleet import small_fleet
from tests.chaos.run import Bounds, run
from tests.conftest import CURRENT, Cluster

SECONDS = 2.0
SEED = 7
BOUNDS = Bounds(hand_over_seconds=15.0, take_over_seconds=60.0)
"""Only what is broken takes as long; for `make chaos` to judge is how long it takes where nothing else is going on."""


async def test_no_due_time_is_lost_or_doubled(crds: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    faults = [fault for fault in SHORT if crds.name != CURRENT or not fault.of_the_server]
    table: list[str] = []
    rows = await run(
        crds.kubeconfig, faults, small_fleet(), seconds=SECONDS, seed=SEED, bounds=BOUNDS, say=table.append
    )
    with capsys.disabled():
        print("\n" + "\n".join(table))
    assert [problem for row in rows for problem in row.problems] == []
    assert all(row.account.due for row in rows), "there was something to lose"
