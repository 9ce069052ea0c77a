"""At most one write in two seconds, and the newest report always in the end; one replica, and two."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.engine.throttle import INTERVAL, next_write

EPOCH = datetime(2026, 3, 10, 12, tzinfo=UTC)


def second(seconds: float | None) -> datetime | None:
    return None if seconds is None else EPOCH + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("received", "recorded", "ours", "changed", "now", "expected"),
    [
        pytest.param(10, None, None, None, 10, 10, id="the first of all"),
        pytest.param(11, 10, 10, 10, 11, 12, id="two seconds after our last write"),
        pytest.param(13, 10, 10, 10, 13, 13, id="longer ago"),
        pytest.param(11, 9, 9, 10, 11, 12, id="it counts when it was written, not when it came"),
        pytest.param(11, 6, None, 10, 11, 12, id="another replica's counts as ours does"),
        pytest.param(11, 12, None, 12, 13, None, id="a newer one is on record"),
        pytest.param(11, 12, 10, 12, 13, None, id="a newer one of another replica"),
        pytest.param(11, 11, None, 12, 13, None, id="the very one is on record: its answer was lost"),
        pytest.param(11, 12, 12, 10, 13, 13, id="our clock was set back: ours is not newer than ours"),
        pytest.param(11, 3600, None, 10, 11, 12, id="a time ahead of now is not believed"),
        pytest.param(11, 10, 10, 3600, 11, 13, id="nor is our own"),
    ],
)
def test_when(
    received: float, recorded: float | None, ours: float | None, changed: float | None, now: float, expected: float
) -> None:
    at, current = second(received), second(now)
    assert at is not None
    assert current is not None
    told = {"recorded": second(recorded), "ours": second(ours), "changed": second(changed)}
    assert next_write(at, now=current, **told) == second(expected)


@dataclass
class Replica:
    pending: datetime | None = None
    ours: datetime | None = None
    recorded: datetime | None = None
    """What it has seen of the record, and when that changed."""
    changed: datetime | None = None

    def see(self, recorded: datetime | None, now: datetime) -> None:
        if recorded != self.recorded:
            self.recorded, self.changed = recorded, now


@dataclass
class World:
    """Replicas that share a record, in steps of a tenth of a second; a write is seen by the other some steps later."""

    lag: int
    replicas: tuple[Replica, Replica] = field(default_factory=lambda: (Replica(), Replica()))
    record: list[datetime | None] = field(default_factory=lambda: [None])
    """What was on record, step by step."""
    writes: list[tuple[datetime, datetime]] = field(default_factory=list)

    def step(self, now: datetime) -> None:
        current = self.record[-1]
        for replica in self.replicas:
            replica.see(self.record[max(0, len(self.record) - 1 - self.lag)], now) if replica.ours != current else None
            if replica.pending is None:
                continue
            at = self.next(replica, now)
            if at is None:
                replica.pending = None
            elif at <= now and replica.recorded != current:
                replica.see(current, now)  # the write is refused, and the run read anew
            elif at <= now:
                current = replica.ours = replica.pending
                replica.see(current, now)
                replica.pending = None
                self.writes.append((now, current))
        self.record.append(current)

    @staticmethod
    def next(replica: Replica, now: datetime) -> datetime | None:
        assert replica.pending is not None
        return next_write(
            replica.pending, recorded=replica.recorded, ours=replica.ours, changed=replica.changed, now=now
        )


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 30)), min_size=1, max_size=60), st.integers(0, 15))
def test_two_replicas_that_know_of_each_other_by_the_record_alone(reports: list[tuple[int, int]], lag: int) -> None:
    """A report goes to either, so many tenths of a second after the last; each step may write."""
    world, now = World(lag), EPOCH
    for replica, tenths in reports:
        for _ in range(tenths):
            now += timedelta(seconds=0.1)
            world.step(now)
        world.replicas[replica].pending = now
    last = now
    while any(replica.pending for replica in world.replicas):
        now += timedelta(seconds=0.1)
        world.step(now)
        assert now - last <= 4 * INTERVAL, "written in the end"
    assert all(after - before >= INTERVAL for (before, _), (after, _) in pairwise(world.writes))
    assert world.record[-1] == last, "the newest"
    received = [came for _, came in world.writes]
    assert received == sorted(received), "and never an older one after a newer one"
