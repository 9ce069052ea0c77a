"""Exclusions and Calendars, missed due times and backfills, with real Jobs."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

from tests.e2e.api import Api, condition
from tests.e2e.objects import concurrency, every, instant, now, rfc3339, scheduled_job
from tests.e2e.together import together

ALWAYS = [{"cron": "* * * * *", "durationSeconds": 3600}]


def calendar(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "carillon.dev/v1alpha1", "kind": "Calendar", "metadata": {"name": name}, "spec": spec}


@together
def test_a_change_of_a_calendar_takes_effect_at_once(api: Api, namespace: str) -> None:
    api.create("calendars", namespace, calendar("maintenance", windows=ALWAYS))
    body = scheduled_job("often", triggers=every(2), exclude={"calendars": ["maintenance"]})
    api.create("scheduledjobs", namespace, body)
    closed = api.until(
        "scheduledjobs", namespace, "often", lambda it: it.get("status", {}).get("skips"), "an excluded due time"
    )
    assert closed["status"]["skips"][0]["reason"] == "Excluded"
    assert "nextExecutions" not in closed["status"]
    assert api.select("jobruns", namespace) == []

    opened = now()
    api.patch("calendars", namespace, "maintenance", {"spec": {"windows": []}})
    first, *_ = api.until_all("jobruns", namespace, bool, "a run")
    assert instant(first["spec"]["scheduledTime"]) <= opened + timedelta(seconds=5)
    assert api.get("calendars", namespace, "maintenance")["status"]["usedBy"] == 1


@together
def test_a_definition_whose_calendar_is_missing_says_so_and_recovers(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("picky", triggers=every(60), exclude={"calendars": ["fr"]}))
    waiting = api.until_ready(namespace, "picky", "False")
    assert condition(waiting, "Ready", "message") == (
        f"spec.exclude.calendars[0]: there is no Calendar fr in namespace {namespace}; create it, or remove it"
    )
    api.create("calendars", namespace, calendar("fr", holidays=[{"country": "FR"}]))
    api.until_ready(namespace, "picky")


@together
def test_a_calendar_that_is_wrong_says_so_itself(api: Api, namespace: str) -> None:
    api.create("calendars", namespace, calendar("wrong", holidays=[{"country": "FX"}]))
    found = api.until(
        "calendars", namespace, "wrong", lambda it: it.get("status", {}).get("conditions"), "its condition"
    )
    assert condition(found, "Ready") == "False"
    assert condition(found, "Ready", "message").startswith("spec.holidays[0]: ")


@together
def test_what_was_missed_runs_one_after_the_other(api: Api, namespace: str) -> None:
    """As if nobody had been there for two hours: the watermark is set back."""
    begin = rfc3339(now() - timedelta(minutes=110))  # the next one is 40 minutes away
    body = scheduled_job(
        "late",
        "sleep 1",
        triggers=[{"name": "often", "interval": f"R/{begin}/PT50M"}],
        catchUp={"policy": "All", "limit": 2},
        concurrency=concurrency("Allow"),
    )
    api.create("scheduledjobs", namespace, body)
    mark = api.until_ready(namespace, "late")["status"]["triggers"][0]
    back = rfc3339(now() - timedelta(hours=2))
    marks = [{**mark, "since": back, "handledThrough": back}]
    api.patch("scheduledjobs", namespace, "late", {"status": {"triggers": marks}}, "status")
    runs = api.until_all(
        "jobruns",
        namespace,
        lambda found: len(found) >= 2 and all(run.get("status", {}).get("completionTime") for run in found),
        "both to have ended",
        selector="carillon.dev/scheduled-job=late",
    )
    first, second = sorted(runs, key=lambda run: str(run["spec"]["scheduledTime"]))
    assert instant(second["status"]["startTime"]) >= instant(first["status"]["completionTime"])
    skips = api.get("scheduledjobs", namespace, "late")["status"]["skips"]
    assert [(line["reason"], line["count"]) for line in skips] == [("CatchUp", 1)]


@together
def test_a_backfill_runs_in_the_order_of_its_due_times(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("fill", 'echo "$CARILLON_SCHEDULED_TIME"; sleep 1'))
    api.until_ready(namespace, "fill")
    for day in (3, 1, 2):
        run = {
            "apiVersion": "carillon.dev/v1alpha1",
            "kind": "JobRun",
            "metadata": {"name": f"fill-backfill-{day}"},
            "spec": {
                "scheduledJob": "fill",
                "scheduledTime": f"2026-01-0{day}T03:00:00Z",
                "trigger": {"type": "Backfill", "name": "daily"},
            },
        }
        api.create("jobruns", namespace, run)
    for day in (1, 2, 3):
        assert api.until_finished(namespace, f"fill-backfill-{day}", seconds=60)["phase"] == "Succeeded"
    starts = [api.get("jobruns", namespace, f"fill-backfill-{day}")["status"] for day in (3, 1, 2)]
    later = sorted(starts, key=lambda status: str(status["startTime"]))
    for before, after in pairwise(later):
        assert instant(after["startTime"]) >= instant(before["completionTime"]), "Forbid holds for a backfill"
