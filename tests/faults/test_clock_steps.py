"""The clock is set while the operator works: the whole operator on a simulated cluster, and the ledger at every write.

Every due time that the clock has ever passed has one run or one line in the skips, whichever way it was set, and a
process that starts while the clock is wrong does no harm either.
"""

from datetime import timedelta
from typing import Any

import pytest

from tests.unit.engine.builders import at
from tests.unit.engine.simulator import Simulation

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEPS = {
    "an hour ahead": (HOUR,),
    "an hour back": (-HOUR,),
    "two days ahead": (2 * DAY,),
    "two days back": (-2 * DAY,),
    "an hour ahead and back": (HOUR, -HOUR),
    "an hour back and ahead": (-HOUR, HOUR),
    "two days ahead and back": (2 * DAY, -2 * DAY),
    "two days back and ahead": (-2 * DAY, 2 * DAY),
}
DEFINITIONS: dict[str, dict[str, Any]] = {
    "minutes": {"crons": ["* * * * *"], "concurrency": {"policy": "Allow"}},
    "all": {"crons": ["*/7 * * * *"], "catchUp": {"policy": "All", "limit": 5}},
    "forbid": {"crons": ["*/3 * * * *"], "startingDeadlineSeconds": 90},
    "replace": {"crons": ["@every 100s"], "concurrency": {"policy": "Replace"}},
    "queue": {"crons": ["*/5 * * * *"], "concurrency": {"policy": "Queue"}},
}


def paris(cron: str, **trigger: str) -> list[dict[str, str]]:
    return [{"name": "t0", "cron": cron, "timeZone": "Europe/Paris", **trigger}]


def step(sim: Simulation, by: timedelta) -> None:
    """Set the clock of everybody."""
    sim.cluster.now += by
    sim.work()


@pytest.mark.parametrize("restart", [False, True], ids=["", "and a new process"])
@pytest.mark.parametrize("name", DEFINITIONS)
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_step_loses_and_doubles_nothing(steps: tuple[timedelta, ...], name: str, restart: bool) -> None:
    sim = Simulation(start="2026-03-11 12:00:30", job_seconds=20)
    spec = dict(DEFINITIONS[name])
    sim.apply(*spec.pop("crons"), **spec)
    sim.advance(400)
    for by in steps:
        step(sim, by)
        if restart:
            sim.restart()
        sim.advance(400)
    handled = sim.handled_through()
    # Past what the clock had shown before it was set back.
    sim.until(max(sim.ledger.latest, sim.now) + timedelta(minutes=20))
    sim.settle()
    assert sim.handled_through() > handled, "it goes on"
    assert sim.verify() == []


@pytest.mark.parametrize("daylight_saving", ["RunOnce", "WallClock"])
@pytest.mark.parametrize(
    ("begin", "target"),
    [
        ("2026-03-28 22:10:00", "2026-03-29 01:00:00"),
        ("2026-03-28 22:10:00", "2026-03-29 02:10:00"),
        ("2026-10-24 22:10:00", "2026-10-25 00:00:00"),
        ("2026-10-24 22:10:00", "2026-10-25 01:00:00"),
        ("2026-10-24 22:10:00", "2026-10-25 03:10:00"),
    ],
    ids=["to the gap", "over the gap", "to the first of two hours", "to the second", "over both"],
)
@pytest.mark.parametrize("cron", ["30 2 * * *", "*/15 * * * *", "0 1-4 * * *"])
def test_a_leap_to_and_over_a_change_of_civil_time(cron: str, begin: str, target: str, daylight_saving: str) -> None:
    sim = Simulation(start=begin, job_seconds=20)
    sim.apply(triggers=paris(cron, daylightSaving=daylight_saving), catchUp={"policy": "All", "limit": 100})
    sim.advance(600)
    step(sim, at(target) - sim.now)
    sim.advance(5 * 3600)
    sim.settle()
    assert sim.verify() == []
    step(sim, at(begin) - sim.now)  # and back before it: all of that has been
    before = len(sim.ledger.runs)
    sim.advance(5 * 3600)
    assert len(sim.ledger.runs) == before, "nothing runs again"


@pytest.mark.parametrize("name", DEFINITIONS)
def test_thirty_days_without_an_operator(name: str) -> None:
    sim = Simulation(start="2026-03-11 12:00:30", job_seconds=20)
    spec = dict(DEFINITIONS[name])
    sim.apply(*spec.pop("crons"), **spec)
    sim.advance(400)
    sim.crash()
    sim.cluster.now += 30 * DAY
    sim.restart()
    sim.advance(400)
    sim.settle()
    assert sim.verify() == []
