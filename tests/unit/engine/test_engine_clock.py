"""The clock is stepped, a zone's offset changes, a month passes with nobody there: nothing is lost or doubled."""

from datetime import datetime, timedelta

import pytest

from tests.unit.engine.simulator import Simulation

STEPS = [timedelta(hours=1), timedelta(days=2)]
MINUTES = [("* * * * *", 1), ("*/7 * * * *", 7)]


def dues(sim: Simulation) -> list[datetime]:
    found = [record.due for record in sim.ledger.runs.values()]
    return [due for due in found if due is not None]


def step(sim: Simulation, by: timedelta) -> None:
    """Set the clock of the machine on which the operator and the API server run."""
    sim.cluster.now += by
    sim.work()


@pytest.mark.parametrize("by", STEPS, ids=str)
@pytest.mark.parametrize(("cron", "every"), MINUTES)
def test_back_repeats_nothing_and_goes_on_when_its_time_has_come(cron: str, every: int, by: timedelta) -> None:
    sim = Simulation(start="12:00:30", job_seconds=5)
    sim.apply(cron)
    sim.advance(30 * 60)
    before = dues(sim)
    step(sim, -by)
    sim.advance(600)
    assert dues(sim) == before
    step(sim, by)
    sim.advance(600)
    after = dues(sim)[len(before) :]
    assert after[0] - before[-1] >= timedelta(minutes=every)
    sim.settle()
    assert len(set(dues(sim))) == len(dues(sim))


@pytest.mark.parametrize("by", STEPS, ids=str)
@pytest.mark.parametrize("restart", [False, True], ids=["awake", "anew"])
def test_forward_is_a_downtime(by: timedelta, restart: bool) -> None:
    sim = Simulation(start="12:00:30", job_seconds=5)
    sim.apply("*/10 * * * *")
    sim.until("12:10:30")
    if restart:
        sim.crash()
    step(sim, by)
    if restart:
        sim.restart()
    sim.settle()
    missed = by // timedelta(minutes=10)
    _, skips = sim.ledger.told()
    assert len(dues(sim)) == 2
    assert [line.count for lines in sim.ledger.lines.values() for line in lines] == [missed - 1]
    assert all(line.endswith("CatchUp") for line in skips)


@pytest.mark.parametrize("by", [*STEPS, *(-by for by in STEPS)], ids=str)
def test_forward_and_back_again_fires_nothing_twice(by: timedelta) -> None:
    sim = Simulation(start="12:00:30", job_seconds=5)
    sim.apply("*/10 * * * *")
    sim.until("12:20:30")
    for sign in (1, -1, 1, -1):
        step(sim, sign * by)
        sim.advance(60)
    sim.settle()
    assert len(set(dues(sim))) == len(dues(sim))


@pytest.mark.parametrize(("cron", "missed"), [("*/5 * * * *", 30 * 24 * 12), ("0 3 * * *", 30)])
@pytest.mark.parametrize(("policy", "runs"), [("Skip", 0), ("Latest", 1), ("All", 3)])
def test_thirty_days_of_downtime(cron: str, missed: int, policy: str, runs: int) -> None:
    sim = Simulation(start="12:00:30", job_seconds=5)
    sim.apply(cron, catchUp={"policy": policy, "limit": 3})
    sim.crash()
    sim.cluster.now += timedelta(days=30, minutes=2)
    sim.restart()
    sim.advance(20)
    assert len(dues(sim)) == runs
    assert sum(line.count for lines in sim.ledger.lines.values() for line in lines) == missed - runs
    sim.settle()


BERLIN_SPRING, BERLIN_AUTUMN = datetime.fromisoformat("2026-03-29T00:00Z"), datetime.fromisoformat("2026-10-25T00:00Z")


@pytest.mark.parametrize("downtime", [False, True], ids=["awake", "away"])
@pytest.mark.parametrize(
    ("night", "saving", "expected"),
    [
        (BERLIN_SPRING, "RunOnce", ["01:00"]),  # 02:30 does not exist; at the end of the gap
        (BERLIN_SPRING, "WallClock", []),
        (BERLIN_AUTUMN, "RunOnce", ["00:30"]),  # 02:30 is twice; the first
        (BERLIN_AUTUMN, "WallClock", ["00:30", "01:30"]),
    ],
)
def test_the_night_on_which_the_offset_changes(
    night: datetime, saving: str, expected: list[str], downtime: bool
) -> None:
    sim = Simulation(job_seconds=5)
    sim.cluster.now = night
    named = {"name": "t0", "cron": "30 2 * * *", "timeZone": "Europe/Berlin", "daylightSaving": saving}
    sim.apply(triggers=[named], catchUp={"policy": "All"}, startingDeadlineSeconds=86_400)
    if downtime:
        sim.crash()
        sim.cluster.now += timedelta(hours=3)
        sim.restart()
    sim.advance(3 * 3600)
    assert [f"{due:%H:%M}" for due in dues(sim)] == expected
    sim.settle()
