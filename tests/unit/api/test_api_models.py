"""The models: what they refuse, and what they say on the wire."""

from typing import Any

import pytest
from pydantic import ValidationError

from carillon.api.base import rfc3339
from carillon.api.errors import describe
from carillon.api.jobrun import JobRunSpec, JobRunStatus, Phase
from carillon.api.scheduledjob import ConcurrencyPolicy, JobClass, ScheduledJobSpec, ScheduledJobStatus


def spec(**fields: Any) -> dict[str, Any]:
    return {"jobTemplate": {"spec": {}}, **fields}


def refusal(model: type[ScheduledJobSpec] | type[JobRunSpec], content: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(content)
    return describe(caught.value)


def test_a_job_template_is_enough() -> None:
    read = ScheduledJobSpec.model_validate(spec())
    assert (read.class_, read.suspend, read.triggers) == (JobClass.USER, False, ())
    assert read.concurrency.policy is ConcurrencyPolicy.FORBID
    assert (read.history.succeeded, read.history.failed) == (3, 3)


def test_fields_are_camel_case_on_the_wire() -> None:
    written = ScheduledJobSpec.model_validate(spec(autoStart=True)).model_dump(by_alias=True)
    assert {"autoStart", "class", "startingDeadlineSeconds", "jobTemplate"} <= written.keys()


def test_instants_are_read_with_any_offset_and_written_in_utc() -> None:
    read = JobRunSpec.model_validate({"scheduledJob": "a", "scheduledTime": "2026-07-01T02:00:00+02:00"})
    assert read.scheduled_time is not None
    assert rfc3339(read.scheduled_time) == "2026-07-01T00:00:00Z"
    assert read.model_dump(by_alias=True, mode="json")["scheduledTime"] == "2026-07-01T00:00:00Z"


def test_a_status_lets_fields_of_a_newer_operator_through() -> None:
    assert ScheduledJobStatus.model_validate({"mood": "good"}) == ScheduledJobStatus()
    assert JobRunStatus.model_validate({"mood": "good"}) == JobRunStatus()


def test_a_finished_phase_is_final() -> None:
    assert {phase for phase in Phase if phase.finished} == {
        Phase.SUCCEEDED,
        Phase.FAILED,
        Phase.STOPPED,
        Phase.SKIPPED,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "spec.jobTemplate: required; add it"),
        (spec(trigers=[]), "spec.trigers: unknown field; did you mean triggers?"),
        (spec(mood="good"), "spec.mood: unknown field; remove it, or correct its spelling"),
        (
            spec(triggers=[{"name": "a", "corn": "@daily"}]),
            "spec.triggers[0].corn: unknown field; did you mean cron?",
        ),
        (
            spec(triggers=[{"name": "a", "cron": "@daily", "at": "2026-12-24T18:00:00Z"}]),
            "spec.triggers[0]: found cron and at; set exactly one of cron, interval, at and event",
        ),
        (
            spec(triggers=[{"name": "a"}]),
            "spec.triggers[0]: found none; set exactly one of cron, interval, at and event",
        ),
        (
            spec(triggers=[{"name": "a", "at": "2026-12-24T18:00:00Z", "timeZone": "Europe/Paris"}]),
            "spec.triggers[0]: timeZone and daylightSaving go with cron only; remove them or replace at by cron",
        ),
        (
            spec(triggers=[{"name": "a", "cron": "@daily"}, {"name": "a", "cron": "@hourly"}]),
            "spec.triggers: found the name 'a' twice; give each trigger its own name",
        ),
        (
            spec(triggers=[{"name": "A", "cron": "@daily"}]),
            'spec.triggers[0].name: found "A"; it has to match ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
        ),
        (
            spec(triggers=[{"name": f"t{n}", "cron": "@daily"} for n in range(17)]),
            "spec.triggers: found 17 items; use at most 16 items",
        ),
        (spec(concurrency={"policy": "forbid"}), "found \"forbid\"; use 'Allow', 'Forbid', 'Replace' or 'Queue'"),
        (
            spec(concurrency={"policy": "Allow", "max": 2}),
            "spec.concurrency: max goes with Forbid, Replace or Queue, and policy is Allow; remove max, or set policy",
        ),
        (
            spec(concurrency={"policy": "Replace", "group": "db"}),
            "spec.concurrency: group goes with Forbid or Queue, and policy is Replace; remove group, or set policy",
        ),
        (
            spec(concurrency={"queueLimit": 5}),
            "spec.concurrency: queueLimit goes with Queue, and policy is Forbid; remove queueLimit, or set policy",
        ),
        (spec(concurrency="Forbid"), 'spec.concurrency: found "Forbid"; write a map of fields'),
        (spec(history={"failed": -1}), "spec.history.failed: found -1; use at least 0"),
        (spec(history={"failed": 101}), "spec.history.failed: found 101; use at most 100"),
        (spec(timeoutSeconds="1h"), 'spec.timeoutSeconds: found "1h"; write a whole number'),
        (spec(timeoutSeconds=1.5), "spec.timeoutSeconds: found 1.5; write a whole number"),
        (spec(suspend="maybe"), 'spec.suspend: found "maybe"; write true or false'),
        (spec(label=7), "spec.label: found 7; write a string, in quotes"),
        (spec(label="x" * 81), 'spec.label: found "' + "x" * 59 + "...; use at most 80 characters"),
        (spec(jobTemplate=[]), "spec.jobTemplate: found []; write a map of fields"),
        ([], "spec: found []; write a map of fields"),
    ],
)
def test_a_mistake_in_a_scheduled_job_names_the_field_what_was_found_and_the_cure(content: Any, message: str) -> None:
    assert message in refusal(ScheduledJobSpec, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "spec.scheduledJob: required; add it"),
        ({"scheduledJob": ""}, "spec.scheduledJob: found nothing; write a value, or leave the field out"),
        ({"scheduledJob": "a", "scheduledTime": "soon"}, 'spec.scheduledTime: found "soon"; write an instant'),
        (
            {"scheduledJob": "a", "scheduledTime": "2026-01-01T00:00:00"},
            'spec.scheduledTime: found "2026-01-01T00:00:00"; add the offset, for example Z or +01:00',
        ),
        (
            {"scheduledJob": "a", "trigger": {"type": "Periodical"}},
            "spec.trigger.type: found \"Periodical\"; use 'Manual', 'Periodic', 'Event' or 'Backfill'",
        ),
    ],
)
def test_a_mistake_in_a_job_run_names_the_field_what_was_found_and_the_cure(content: Any, message: str) -> None:
    assert message in refusal(JobRunSpec, content)


def test_many_mistakes_are_told_in_few_lines() -> None:
    lines = refusal(ScheduledJobSpec, spec(triggers=[{"name": "a"}] * 12)).splitlines()
    assert len(lines) == 9
    assert lines[-1] == "and 4 more"
    assert lines[0].startswith("spec.triggers[0]: ")
