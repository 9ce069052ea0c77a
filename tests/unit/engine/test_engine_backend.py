"""Which definitions may have `backend: CronJob`, and in what words the others are refused."""

import re
from typing import Any

import pytest

from carillon.api.rules import NATIVE_CRON_SHAPE
from tests.unit.engine.builders import a_definition

WITH_CLOCK_CHANGES = {"timeZone": "Europe/Paris"}

PLAIN = """
    0 3 * * *
    */5 0-23/2 1,15 JAN-jun Mon-FRI
    0 0 ? * SUN
    0 0 1 * 0-6
    00 03 * * 06
    10/15 * * * *
    0 0 * jul thu
    0 9-17 * * 1-5/2
    @yearly
    @daily
    @hourly
"""
EXTENDED = """
    0 0 L * *
    0 0 L-3 * *
    0 0 * * 5L
    0 0 * * FRI#2
    H 3 * * *
    H/15 * * * *
    H(0-29) * * * *
    0 0 * * 7
    0 0 * * 1-7
    0 0 * * SAT-SUN
    30 0 3 * * *
    @every 1h30m
"""


def lines(table: str) -> list[str]:
    return [line.strip() for line in table.strip().splitlines()]


def native(trigger: dict[str, Any] | None = None, **spec: Any) -> str:
    """What is wrong with a definition that asks for the native backend."""
    triggers = [{"name": "t0", "cron": "0 3 * * *", **(trigger or {})}]
    return a_definition(**{"backend": "CronJob", "triggers": triggers, **spec}).invalid


@pytest.mark.parametrize("cron", lines(PLAIN))
def test_what_robfig_reads_is_taken(cron: str) -> None:
    assert re.search(NATIVE_CRON_SHAPE, cron)
    assert native({"cron": cron}) == ""


@pytest.mark.parametrize("cron", lines(EXTENDED))
def test_what_only_carillon_reads_is_refused_with_the_cure(cron: str) -> None:
    assert a_definition(cron).invalid == ""
    problem = native({"cron": cron})
    assert problem.startswith(f"spec.triggers[0].cron: found {cron!r}; a CronJob takes five fields without L, # and H")
    assert problem.endswith("or use backend: Operator")


@pytest.mark.parametrize(
    ("trigger", "taken"),
    [
        pytest.param({}, True, id="UTC"),
        pytest.param({"timeZone": "Asia/Tokyo"}, True, id="clocks that stand still"),
        pytest.param(WITH_CLOCK_CHANGES, False, id="RunOnce is the default"),
        pytest.param({**WITH_CLOCK_CHANGES, "daylightSaving": "RunOnce"}, False, id="RunOnce"),
        pytest.param({**WITH_CLOCK_CHANGES, "daylightSaving": "WallClock"}, True, id="WallClock"),
        pytest.param({**WITH_CLOCK_CHANGES, "cron": "30 * * * *"}, True, id="every hour, where both are the same"),
    ],
)
def test_clock_changes_are_met_as_the_cronjob_does(trigger: dict[str, Any], taken: bool) -> None:
    cure = "set daylightSaving: WallClock, or use backend: Operator"
    problem = native(trigger)
    assert problem == "" if taken else problem.startswith("spec.triggers[0].daylightSaving:")
    assert taken or problem.endswith(cure)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"triggers": []}, "spec.triggers: found none; backend: CronJob takes exactly one, a cron"),
        (
            {"triggers": [{"name": "a", "cron": "0 3 * * *"}, {"name": "b", "at": "2026-12-24T18:00:00Z"}]},
            "spec.triggers: found cron, at; backend: CronJob takes exactly one, a cron",
        ),
        (
            {"triggers": [{"name": "a", "interval": "R/2026-01-01T03:00:00Z/P1D"}]},
            "spec.triggers: found interval; backend: CronJob takes exactly one, a cron",
        ),
        (
            {"catchUp": {"policy": "All"}},
            "spec.catchUp.policy: found All; a CronJob knows Latest alone; use that, or use backend: Operator",
        ),
        (
            {"exclude": {"dates": ["2026-12-24"]}},
            "spec.exclude: a CronJob does not know it; remove it, or use backend: Operator",
        ),
        *(
            (
                {"triggers": [{"name": "t0", "cron": "0 3 * * *", **field}]},
                f"spec.triggers[0].{next(iter(field))}: a CronJob does not know it; remove it, or use backend",
            )
            for field in (
                {"jitterSeconds": 30},
                {"startAt": "2026-01-01T00:00:00Z"},
                {"endAt": "2027-01-01T00:00:00Z"},
            )
        ),
        ({"autoStart": True}, "spec.autoStart: a CronJob does not know it; remove it, or use backend: Operator"),
    ],
)
def test_what_else_a_cronjob_does_not_know(spec: dict[str, Any], words: str) -> None:
    assert native(**spec).startswith(words)


@pytest.mark.parametrize("policy", ["Allow", "Forbid", "Replace"])
def test_the_policies_of_concurrency_are_the_same(policy: str) -> None:
    assert native(concurrency={"policy": policy}) == ""


def test_the_operator_takes_them_all() -> None:
    for cron in (*lines(PLAIN), *lines(EXTENDED)):
        assert a_definition(cron).invalid == ""
