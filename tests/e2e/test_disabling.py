"""Disabled jobs, edited jobs and jobs that are not there: nothing fires for what lies in the past."""

from datetime import timedelta

import pytest

from tests.e2e.api import Api, condition
from tests.e2e.conftest import Early
from tests.e2e.objects import at, every, in_seconds, instant, now, rfc3339, scheduled_job
from tests.e2e.together import together

DISABLE, ENABLE = {"spec": {"suspend": True}}, {"spec": {"suspend": False}}
ENDLESS_AGO = [{"name": "daily", "interval": "R/2020-01-01T00:00:00Z/P1D"}]


@together
def test_resuming_does_not_fire_for_the_past(api: Api, namespace: str) -> None:
    """Due every second, disabled for four: one line in the skips is for all of them, and the next run is new."""
    api.create("scheduledjobs", namespace, scheduled_job("often", triggers=every(1), suspend=True))
    disabled = api.until_ready(namespace, "often")
    assert disabled["status"]["display"]["status"] == "Disabled"
    assert disabled["status"]["display"].get("next", "") == ""
    # As much of the past as the test is about.
    created = instant(disabled["metadata"]["creationTimestamp"])
    api.create("scheduledjobs", namespace, scheduled_job("clock", triggers=at(created + timedelta(seconds=4))))
    api.until(
        "scheduledjobs", namespace, "clock", lambda it: it.get("status", {}).get("active"), "four seconds to pass"
    )

    resumed = now().replace(microsecond=0)
    api.patch("scheduledjobs", namespace, "often", ENABLE)
    runs = api.until_all("jobruns", namespace, bool, "a run", selector="carillon.dev/scheduled-job=often")
    assert all(instant(run["spec"]["scheduledTime"]) >= resumed for run in runs), "none for the past"
    api.patch("scheduledjobs", namespace, "often", DISABLE)
    skips = api.get("scheduledjobs", namespace, "often")["status"]["skips"]
    suspended = [line for line in skips if line["reason"] == "Suspended"]
    assert len(suspended) == 1
    assert suspended[0]["count"] >= 4


@together
def test_disabling_leaves_what_runs(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("long", "sleep 2"))
    run = api.run_now(namespace, "long")
    api.until_phase(namespace, run, "Running")
    api.patch("scheduledjobs", namespace, "long", DISABLE)
    assert api.until_finished(namespace, run)["phase"] == "Succeeded"


@together
def test_disabled_job_runs_only_by_force(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("off", suspend=True))
    refused = api.until_finished(namespace, api.run_now(namespace, "off"))
    assert (refused["phase"], refused["reason"]) == ("Skipped", "Disabled")
    assert "spec.suspend" in refused["message"], "names the field"
    assert "spec.force" in refused["message"], "and the cure"
    assert api.select("jobs", namespace) == []
    assert api.until_finished(namespace, api.run_now(namespace, "off", force=True))["phase"] == "Succeeded"


@together
def test_run_of_a_job_that_is_not_there(api: Api, namespace: str) -> None:
    status = api.until_finished(namespace, api.run_now(namespace, "nobody"))
    assert (status["phase"], status["reason"]) == ("Skipped", "NotFound")
    assert f"{namespace}/nobody" in status["message"]


@pytest.mark.parametrize("triggers", [at(now() - timedelta(seconds=5)), ENDLESS_AGO], ids=["at", "interval"])
def test_creation_fires_nothing_for_the_past(api: Api, namespace: str, triggers: list[dict[str, str]]) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("new", triggers=triggers))
    api.until_ready(namespace, "new")
    assert api.select("jobruns", namespace) == []


def test_edits_never_fire(api: Api, early: Early) -> None:
    """New schedules with due times a second ago, of this minute, and of every day: they count from the edit on."""
    namespace, name = early.namespace, early.old
    old = api.until_ready(namespace, name)
    assert instant(old["metadata"]["creationTimestamp"]) < now() - timedelta(seconds=5), "it was there before all these"
    for changed in (
        {"triggers": at(now() - timedelta(seconds=2))},
        {"triggers": [{"name": "year", "interval": f"R/{rfc3339(now() - timedelta(seconds=2))}/P1D"}]},
        {"triggers": ENDLESS_AGO},
        {"triggers": [{"name": "daily", "cron": "@daily", "timeZone": "Pacific/Auckland"}], "label": "New"},
        {"label": "Newer", "startingDeadlineSeconds": 86_400},
    ):
        api.patch("scheduledjobs", namespace, name, {"spec": changed})
        edited = api.until_ready(namespace, name)
        assert all(instant(due) > now() for due in edited["status"].get("nextExecutions", []))
    assert edited["status"].get("skips", []) == [], "what the old schedule named is not missed either"
    assert api.select("jobruns", namespace, f"carillon.dev/scheduled-job={name}") == []
    assert api.select("jobs", namespace, f"carillon.dev/scheduled-job={name}") == []


@together
def test_edited_schedule_fires_from_then_on(api: Api, namespace: str) -> None:
    api.create("scheduledjobs", namespace, scheduled_job("moved", triggers=at(in_seconds(3600))))
    api.until_ready(namespace, "moved")
    due = in_seconds(2)
    api.patch("scheduledjobs", namespace, "moved", {"spec": {"triggers": at(due)}})
    runs = api.until_all("jobruns", namespace, bool, "the run of the new time")
    assert [run["spec"]["scheduledTime"] for run in runs] == [rfc3339(due)]
    api.until("scheduledjobs", namespace, "moved", lambda it: condition(it, "LastRunSucceeded"), "its end")
