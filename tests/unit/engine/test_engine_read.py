"""Kubernetes' JSON in: what is wrong with an object is said in words, and stops nobody else."""

from datetime import UTC, datetime
from typing import Any

import pytest

from carillon.api.base import rfc3339
from carillon.api.jobrun import Phase
from carillon.engine.read import controller_uid, read_definition, read_job, read_run
from tests.unit.engine.builders import HOURLY, a_definition, a_job, a_run, at, raw_definition

Body = dict[str, Any]


class TestDefinition:
    @pytest.mark.parametrize(
        ("trigger", "field"),
        [
            ({"cron": "61 * * * *"}, "spec.triggers[1].cron: "),
            ({"cron": HOURLY, "timeZone": "Mars/Olympus"}, "spec.triggers[1].timeZone: "),
            ({"interval": "every day"}, "spec.triggers[1].interval: "),
            ({"at": "tomorrow"}, "spec.triggers[1].at: "),
            ({"cron": HOURLY, "at": "2026-12-24T18:00:00Z"}, "spec.triggers[1]"),
            ({}, "spec.triggers[1]"),
        ],
    )
    def test_what_is_wrong_names_the_field(self, trigger: Body, field: str) -> None:
        definition = a_definition(triggers=[{"name": "good", "cron": HOURLY}, {"name": "bad", **trigger}])
        assert definition.invalid.startswith(field)

    def test_the_triggers_that_are_right_are_read_all_the_same(self) -> None:
        definition = a_definition("61 * * * *", HOURLY)
        assert [trigger.name for trigger in definition.triggers] == ["t1"]

    def test_every_mistake_is_told(self) -> None:
        invalid = a_definition("61 * * * *", "* 25 * * *").invalid
        assert "spec.triggers[0]" in invalid
        assert "spec.triggers[1]" in invalid

    def test_a_name_that_is_too_long_says_so(self) -> None:
        assert "metadata.name" in a_definition(name="a" * 53).invalid
        assert a_definition(name="a" * 52).invalid == ""

    def test_a_spec_that_cannot_be_read_is_no_exception(self) -> None:
        definition = a_definition(jobTemplate="x", triggers=[])
        assert definition.spec is None
        assert definition.invalid.startswith("spec.jobTemplate")

    def test_a_status_of_another_version_is_read_as_far_as_it_is_known(self) -> None:
        definition = a_definition(status={"observedGeneration": 3, "wonders": [1, 2, 3]})
        assert definition.status.observed_generation == 3

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"cron": HOURLY}, {"cron": "5 * * * *"}),
            ({"cron": HOURLY}, {"cron": HOURLY, "timeZone": "Europe/Paris"}),
            ({"cron": HOURLY}, {"cron": HOURLY, "daylightSaving": "WallClock"}),
            ({"at": "2026-12-24T18:00:00Z"}, {"at": "2026-12-25T18:00:00Z"}),
        ],
    )
    def test_a_changed_trigger_has_another_hash(self, one: Body, other: Body) -> None:
        first, second = (a_definition(triggers=[{"name": "t", **trigger}]).triggers[0] for trigger in (one, other))
        assert first.spec_hash != second.spec_hash

    def test_the_default_written_out_is_no_change(self) -> None:
        written = [{"name": "t0", "cron": HOURLY, "daylightSaving": "RunOnce"}]
        assert a_definition(triggers=written).triggers[0].spec_hash == a_definition(HOURLY).triggers[0].spec_hash

    def test_a_deletion_under_way_is_seen(self) -> None:
        raw = raw_definition()
        raw["metadata"]["deletionTimestamp"] = "2026-03-10T12:00:00Z"
        assert read_definition(raw).deleting


class TestRun:
    @pytest.mark.parametrize("phase", ["", "Scheduled", "Levitating"])
    def test_an_empty_or_unknown_phase_counts_as_scheduled(self, phase: str) -> None:
        assert a_run("12:00", phase).phase is Phase.SCHEDULED

    def test_only_our_kind_of_controller_is_an_owner(self) -> None:
        def owned(**reference: Any) -> Body:
            ours = {"apiVersion": "carillon.dev/v1alpha1", "kind": "ScheduledJob", "uid": "u"}
            return {"metadata": {"ownerReferences": [{**ours, **reference}]}}

        assert controller_uid(owned(controller=True), "ScheduledJob") == "u"
        assert controller_uid(owned(), "ScheduledJob") == ""
        assert controller_uid(owned(controller=True, kind="CronJob"), "ScheduledJob") == ""
        assert controller_uid(owned(controller=True, apiVersion="other.example/v1"), "ScheduledJob") == ""
        assert controller_uid({"metadata": {}}, "ScheduledJob") == ""

    def test_a_due_time_in_another_zone_is_the_same_instant(self) -> None:
        raw = {
            "metadata": {"namespace": "n", "name": "r", "uid": "u", "resourceVersion": "1"}
            | {"creationTimestamp": "2026-03-10T12:00:00Z"},
            "spec": {
                "scheduledJob": "s",
                "scheduledTime": "2026-03-10T13:00:00+01:00",
                "trigger": {"type": "Periodic"},
            },
        }
        assert read_run(raw).spec.scheduled_time == at("12:00")


STAMP = "2026-03-10T12:00:00Z"


class TestJob:
    @pytest.mark.parametrize(
        ("status", "active", "finished", "succeeded", "holds"),
        [
            ({}, 0, False, False, True),
            ({"active": 2}, 2, False, False, True),
            ({"terminating": 1}, 1, False, False, True),
            (
                {"conditions": [{"type": "Suspended", "status": "True", "lastTransitionTime": STAMP}]},
                0,
                False,
                False,
                True,
            ),
            ({"conditions": [{"type": "FailureTarget", "status": "True"}], "terminating": 1}, 1, False, False, True),
            ({"conditions": [{"type": "Complete", "status": "True"}]}, 0, True, True, False),
            ({"conditions": [{"type": "Failed", "status": "True"}]}, 0, True, False, False),
            ({"conditions": [{"type": "Failed", "status": "False"}]}, 0, False, False, True),
            ({"conditions": [{"type": "Failed", "status": "True"}], "terminating": 1}, 1, True, False, True),
        ],
    )
    def test_its_state(self, status: Body, active: int, finished: bool, succeeded: bool, holds: bool) -> None:
        raw: Body = {
            "metadata": {"namespace": "n", "name": "j", "uid": "u", "creationTimestamp": "2026-03-10T12:00:00Z"},
            "status": status,
        }
        job = read_job(raw)
        assert (job.active, job.finished, job.succeeded, job.holds_slot) == (active, finished, succeeded, holds)

    def test_when_it_finished(self) -> None:
        run = a_run("12:00")
        assert a_job(run, succeeded="12:05").finished_at == a_job(run, failed="12:05").finished_at == at("12:05")
        assert a_job(run, active=1).finished_at is None


def test_an_instant_that_utc_has_no_year_for_is_told_and_raises_nothing() -> None:
    for field, value in (("endAt", "9999-12-31T23:59:59-05:00"), ("startAt", "0001-01-01T00:00:00+14:00")):
        raw = raw_definition(triggers=[{"name": "t0", "cron": "0 3 * * *", field: value}])
        assert f"spec.triggers[0].{field}: " in read_definition(raw).invalid


def test_years_are_written_with_four_digits() -> None:
    assert rfc3339(datetime(800, 1, 1, tzinfo=UTC)) == "0800-01-01T00:00:00Z"
