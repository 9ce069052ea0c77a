"""Due times a minute, crowded minutes, and what spreading them would do; checked against counting one by one."""

from collections import Counter
from collections.abc import Sequence

import pytest

from carillon.engine.load import MINUTE, Load, measure, with_hash
from carillon.engine.model import Definition
from tests.unit.engine.builders import a_definition, at, condition

NOW = at("12:00:20")


def load(*definitions: Definition, days: int = 1, crowded: int = 10) -> Load:
    return measure(definitions, NOW, days=days, jitter_seconds=300, crowded=crowded)


def brute(definitions: Sequence[Definition], days: int) -> list[int]:
    start = NOW.replace(second=0)
    found: Counter[int] = Counter()
    for definition in definitions:
        every = {due for t in definition.triggers for due in t.open.upcoming(start - MINUTE / 60, 100_000)}
        found.update(int((due - start) / MINUTE) for due in every if due < start + days * 1_440 * MINUTE)
    return [found[minute] for minute in range(days * 1_440)]


def test_a_definition_whose_cronjob_is_refused_is_left_out() -> None:
    refusal = [condition("NativeBackend", "False", "NameTaken", "CronJob x exists")]
    refused = a_definition("0 3 * * *", backend="CronJob", status={"conditions": refusal})
    found = load(refused, a_definition("0 4 * * *", name="other", backend="CronJob"))
    assert (found.total, found.left_out) == (1, 1)


JOBS = [
    a_definition("0 3 * * *", name="a"),
    a_definition("0 3 * * *", "*/7 * * * *", name="b"),
    a_definition("*/20 * * * * *", name="c"),
    a_definition("R/2026-01-01T03:00:10Z/PT50M", name="d"),
    a_definition("*/5 * * * *", name="e", exclude={"windows": [{"cron": "0 2 * * *", "durationSeconds": 7200}]}),
    a_definition("2026-03-11T03:00:00Z", name="f"),
]


@pytest.mark.parametrize("days", [1, 7])
def test_counts_are_those_of_counting(days: int) -> None:
    found = load(*JOBS, days=days)
    assert list(found.minutes) == brute(JOBS, days)
    assert found.total == sum(brute(JOBS, days))
    assert found.excluded == 24 * days


TWICE = [
    {"name": "a", "cron": "0 3 * * *"},
    {"name": "b", "cron": "0 3,4 * * *"},
    {"name": "c", "interval": "R/2026-01-01T03:00:00Z/P1D"},
]


def test_an_instant_of_several_triggers_is_one_run() -> None:
    jobs = [a_definition(triggers=TWICE, name=f"n{n}") for n in range(10)]
    found = load(*jobs)
    assert (found.total, found.peak, found.crowded[0].jobs[0][1]) == (20, 10, 1)
    assert found.jittered is not None
    assert found.jittered.peak <= 10
    assert found.hashed is not None
    # Those that can take H leave the interval behind at three, and 60 minutes of it are shared by the others.
    assert 10 <= found.hashed.peak < 14


def test_the_start_of_an_instant_of_several_triggers_is_the_earliest() -> None:
    late = [{**TWICE[0], "jitterSeconds": 3000}, TWICE[1]]
    found = load(*(a_definition(triggers=late, name=f"n{n}") for n in range(10)))
    assert (found.total, found.peak) == (20, 10)


def test_what_another_trigger_runs_all_the_same_is_not_excluded() -> None:
    """A date is read in each trigger's own zone."""
    paris = {"name": "paris", "cron": "30 0 * * *", "timeZone": "Europe/Paris"}
    london = {"name": "london", "cron": "30 23 * * *", "timeZone": "Europe/London"}
    found = load(a_definition(triggers=[paris, london], exclude={"dates": ["2026-03-11"]}), days=2)
    assert (found.total, found.excluded) == (2, 0)
    utc = [{"name": name, "cron": "30 23 * * *"} for name in ("one", "two")]
    found = load(a_definition(triggers=utc, exclude={"dates": ["2026-03-11"]}), days=2)
    assert (found.total, found.excluded) == (1, 1)


def test_the_peak_and_who_is_in_it() -> None:
    jobs = [a_definition("0 3 * * *", name=f"n{n}") for n in range(12)]
    found = load(*jobs, a_definition("0 * * * *", name="hourly"))
    assert (found.peak, found.peak_minute) == (13, at("2026-03-11 03:00"))
    (crowd,) = found.crowded
    assert (crowd.minute, crowd.count, crowd.others, crowd.alike) == (at("2026-03-11 03:00"), 13, 10, 0)
    assert [key.name for key, _ in crowd.jobs] == ["hourly", "n0", "n1"]


def test_minutes_alike_are_told_once() -> None:
    found = load(*(a_definition("0 3,4 * * *", name=f"n{n}") for n in range(10)), days=7)
    (crowd,) = found.crowded
    assert (crowd.count, crowd.alike) == (10, 13)


def test_spreading() -> None:
    jobs = [a_definition("0 3 * * *", name=f"n{n}") for n in range(200)]
    found = load(*jobs)
    assert found.hashed is not None
    assert found.jittered is not None
    assert (found.hashed.jobs, found.jittered.jobs) == (200, 200)
    # 200 over 60 minutes, and over 5: far below 200, and never below the average.
    assert 200 / 60 <= found.hashed.peak < 20
    assert 200 / 6 <= found.jittered.peak < 70


def test_hash_means_what_the_expression_would_mean() -> None:
    jobs = [a_definition("0 3 * * *", name=f"n{n}") for n in range(20)]
    hashed = [a_definition("H 3 * * *", name=f"n{n}") for n in range(20)]
    found = load(*jobs).hashed
    assert found is not None
    assert found.peak == load(*hashed).peak


def test_where_nothing_is_crowded_nothing_is_proposed() -> None:
    found = load(*JOBS)
    assert (found.crowded, found.hashed, found.jittered) == ((), None, None)


def test_jobs_due_every_minute_cannot_be_spread() -> None:
    found = load(*(a_definition("* * * * *", name=f"n{n}") for n in range(10)))
    assert (found.hashed, found.jittered) == (None, None)
    assert found.crowded[0].alike == 1_439


def test_jitter_that_is_set_moves_the_start() -> None:
    trigger = [{"name": "t0", "cron": "0 3 * * *", "jitterSeconds": 3000}]
    jobs = [a_definition(triggers=trigger, name=f"n{n}") for n in range(50)]
    found = load(*jobs)
    assert found.total == 50
    assert found.peak < 10


def test_disabled_and_invalid_jobs_are_left_out() -> None:
    found = load(a_definition("0 3 * * *", suspend=True), a_definition("61 3 * * *"), a_definition("0 4 * * *"))
    assert (found.definitions, found.left_out, found.total) == (3, 2, 1)


def test_an_empty_cluster() -> None:
    found = load()
    assert (found.total, found.peak, found.crowded) == (0, 0, ())


@pytest.mark.parametrize(
    ("cron", "hashed"),
    [
        ("0 3 * * *", "H 3 * * *"),
        ("*/5 * * * *", "H/5 * * * *"),
        ("@daily", "H 0 * * *"),
        ("* * * * *", None),
        ("*/1 * * * *", None),
        ("0,30 3 * * *", None),
        ("0 0 3 * * *", None),
        ("H 3 * * *", None),
        ("@every 1h", None),
    ],
)
def test_which_crons_can_take_a_hash(cron: str, hashed: str | None) -> None:
    assert with_hash(cron) == hashed
