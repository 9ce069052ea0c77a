"""CronJobs as ScheduledJobs: what is written, and what people are told of it."""

from typing import Any

import pytest

from carillon.api import keys
from carillon.engine.importing import (
    Imported,
    differences,
    give_back_patch,
    import_cron_job,
    imported_from,
    kept_by_us,
    suspended_before,
    take_over_patch,
    taken_over,
)
from carillon.engine.native import cron_job_body
from carillon.engine.read import read_definition
from tests.unit.engine.builders import HOURLY, a_definition, a_template

Body = dict[str, Any]


def cron_job(schedule: str = "0 3 * * *", *, metadata: Body | None = None, **spec: Any) -> Body:
    """A CronJob as the API server has it, with its defaults."""
    defaults = {"concurrencyPolicy": "Allow", "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}
    return {
        "metadata": {
            "name": "nightly",
            "namespace": "files",
            "uid": "uid-nightly",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **(metadata or {}),
        },
        "spec": {"schedule": schedule, "suspend": False, **defaults, "jobTemplate": a_template(), **spec},
    }


def imported(*arguments: str, **rest: Any) -> Imported:
    return import_cron_job(cron_job(*arguments, **rest))


def spec_of(*arguments: str, **rest: Any) -> Body:
    return dict(imported(*arguments, **rest).manifest["spec"])


def told(lines: tuple[str, ...], beginning: str) -> bool:
    return any(line.startswith(beginning) for line in lines)


def test_everything_that_cronjob_leaves_to_its_defaults_is_written_out() -> None:
    assert imported(timeZone="Europe/Paris").manifest == {
        "apiVersion": "carillon.dev/v1alpha1",
        "kind": "ScheduledJob",
        "metadata": {
            "name": "nightly",
            "namespace": "files",
            "annotations": {keys.IMPORTED_FROM_ANNOTATION: "uid-nightly"},
        },
        "spec": {
            "triggers": [
                {
                    "name": "schedule",
                    "cron": "0 3 * * *",
                    "timeZone": "Europe/Paris",
                    "daylightSaving": "WallClock",
                }
            ],
            "concurrency": {"policy": "Allow"},
            "history": {"succeeded": 3, "failed": 1},
            "jobTemplate": a_template(),
        },
    }


@pytest.mark.parametrize(
    ("schedule", "rest", "trigger"),
    [
        ("0 3 * * *", {}, {"cron": "0 3 * * *"}),
        ("0 3 * * *", {"timeZone": "Etc/UTC"}, {"cron": "0 3 * * *", "timeZone": "Etc/UTC"}),
        (
            "TZ=Asia/Tokyo 0 3 * * *",
            {},
            {"cron": "0 3 * * *", "timeZone": "Asia/Tokyo", "daylightSaving": "WallClock"},
        ),
        (
            "CRON_TZ=Asia/Tokyo 0 3 * * *",
            {},
            {"cron": "0 3 * * *", "timeZone": "Asia/Tokyo", "daylightSaving": "WallClock"},
        ),
        ("@every 1h30m", {}, {"cron": "@every 1h30m"}),
    ],
)
def test_schedules(schedule: str, rest: Body, trigger: Body) -> None:
    assert spec_of(schedule, **rest)["triggers"] == [{"name": "schedule", **trigger}]
    assert imported(schedule, **rest).problem == ""


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ({}, "timeZone: the CronJob has none"),
        ({"schedule": "TZ=Asia/Tokyo 0 3 * * *"}, "schedule: the prefix becomes timeZone: Asia/Tokyo"),
        ({"schedule": "@every 1h"}, "schedule: @every counts from the creation"),
        ({"successfulJobsHistoryLimit": 500}, "history: at most 100"),
        ({"startingDeadlineSeconds": 0}, "startingDeadlineSeconds: 1 is kept to the second"),
        ({}, "enabling it, or changing its schedule, starts nothing that was due before"),
        ({}, "containers find CARILLON_RUN"),
        ({}, "Jobs are named by the second of their due time, not the minute: nightly-1795382700 instead of nightly-2"),
        ({}, "Jobs belong to JobRuns, not to the CronJob, and have the annotation carillon.dev/scheduled-time"),
        ({"metadata": {"labels": {"helm.sh/chart": "x", "a": "b"}}}, "labels: left out: helm.sh/chart"),
        (
            {"metadata": {"annotations": {"b": "1", "a": "2", keys.TAKEN_OVER_ANNOTATION: "active"}}},
            "annotations: left out: a, b",
        ),
        (
            {"metadata": {"ownerReferences": [{"kind": "Release", "name": "files", "uid": "1"}]}},
            "Release files owns the CronJob and may put it back",
        ),
        ({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}, "Helm manages the CronJob"),
    ],
)
def test_what_changes_is_told(rest: Body, words: str) -> None:
    rest = dict(rest)
    assert told(import_cron_job(cron_job(rest.pop("schedule", "0 3 * * *"), **rest)).changes, words)


def test_the_time_to_live_of_jobs_is_left_out_and_told() -> None:
    template = a_template()
    template["spec"]["ttlSecondsAfterFinished"] = 60
    found = imported(jobTemplate=template)
    assert found.manifest["spec"]["jobTemplate"] == a_template()
    assert told(found.changes, "jobTemplate.spec.ttlSecondsAfterFinished: 60 is left out")
    assert "ttlSecondsAfterFinished" in template["spec"], "what was read is not changed"


def test_of_the_templates_metadata_is_kept_what_a_cronjob_uses() -> None:
    kept = {"labels": {"a": "b"}, "annotations": {"c": "d"}}
    unused = {"name": "x", "generateName": "", "finalizers": ["y"], "ownerReferences": [{"kind": "K"}]}
    found = imported(jobTemplate={**a_template(), "metadata": {**kept, **unused, "creationTimestamp": None}})
    assert found.manifest["spec"]["jobTemplate"] == {**a_template(), "metadata": kept}
    assert told(found.changes, "jobTemplate.metadata: name, finalizers, ownerReferences left out")
    bare = imported(jobTemplate={**a_template(), "metadata": {"name": "x"}})
    assert bare.manifest["spec"]["jobTemplate"] == a_template()


def test_deadline_policy_and_suspension_are_kept() -> None:
    spec = spec_of(startingDeadlineSeconds=600, concurrencyPolicy="Replace", suspend=True)
    assert (spec["startingDeadlineSeconds"], spec["concurrency"], spec["suspend"]) == (600, {"policy": "Replace"}, True)


def test_labels_come_along_but_those_by_which_tools_prune() -> None:
    labels = {"team": "files", "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "files-1"}
    assert imported(metadata={"labels": labels}).manifest["metadata"]["labels"] == {"team": "files"}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (cron_job("0 0 30 2 *"), "spec.triggers[0].cron: found"),
        (cron_job(timeZone="Europe/Pariss"), "spec.triggers[0].timeZone: unknown time zone"),
        (cron_job(metadata={"labels": {keys.NATIVE_LABEL: "1"}}), "it is kept by a ScheduledJob"),
    ],
)
def test_what_cannot_be_imported_says_why(raw: Body, words: str) -> None:
    assert import_cron_job(raw).problem.startswith(words)


def test_ours_are_known() -> None:
    assert kept_by_us(cron_job_body(a_definition(HOURLY, backend="CronJob")))
    assert not kept_by_us(cron_job())


@pytest.mark.parametrize("suspended", [True, False])
def test_taking_over_and_giving_back(suspended: bool) -> None:
    raw = cron_job(suspend=suspended)
    patch = take_over_patch(raw)
    assert patch["spec"] == {"suspend": True}
    held = cron_job(suspend=True, metadata={"annotations": patch["metadata"]["annotations"]})
    assert taken_over(held)
    assert not taken_over(raw)
    assert suspended_before(held) is suspended
    assert take_over_patch(held) == patch, "once more is the same"
    assert import_cron_job(held).manifest == import_cron_job(raw).manifest
    back = give_back_patch(held)
    assert back["spec"] == {"suspend": suspended}
    assert back["metadata"]["annotations"] == {keys.TAKEN_OVER_ANNOTATION: None}


def test_differences_are_named_as_fields() -> None:
    one = {"a": 1, "b": [{"c": 1}, {"c": 2}], "d": [1], "e": 1}
    other = {"a": 1, "b": [{"c": 1}, {"c": 3}], "d": [1, 2], "f": 1}
    assert differences(one, other) == ["spec.b[1].c", "spec.d", "spec.e", "spec.f"]


def test_a_scheduled_job_knows_its_cronjob() -> None:
    raw = cron_job()
    manifest = import_cron_job(raw).manifest
    assert imported_from(manifest, raw)
    assert not imported_from(manifest, cron_job(metadata={"uid": "another"}))


def test_what_is_printed_is_a_valid_definition() -> None:
    manifest = imported(timeZone="Europe/Paris", startingDeadlineSeconds=60).manifest
    looks = {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    assert read_definition({**manifest, "metadata": {**manifest["metadata"], **looks}}).invalid == ""
