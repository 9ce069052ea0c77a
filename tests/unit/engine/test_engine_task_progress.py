"""What a task has said is carried by whoever writes the run's status, word for word."""

from dataclasses import replace

import pytest

from carillon.api.jobrun import JobRunStatus, TaskProgress
from carillon.engine.decide import decide
from carillon.engine.model import Run
from carillon.engine.plan import WriteRunStatus
from carillon.engine.runstatus import status_body
from tests.unit.engine.builders import HOURLY, Body, a_definition, a_job, a_run, accepted, at, each, snapshot
from tests.unit.engine.test_engine_explain import seen, story

SAID = {"percent": 40, "message": "half", "updateTime": "2026-03-10T12:00:00.250000Z"}


def a_task(said: Body = SAID) -> Run:
    run = a_run("12:00", "Running")
    return replace(run, status=run.status.model_copy(update={"progress": TaskProgress.model_validate(said)}))


@pytest.mark.parametrize(
    "said",
    [
        SAID,
        {"percent": 0, "updateTime": "2026-03-10T12:00:00.000001Z"},
        {"message": "at it", "updateTime": "2026-03-10T12:00:00.000000Z"},
    ],
)
def test_it_is_written_as_it_was_read(said: Body) -> None:
    assert status_body(JobRunStatus.model_validate({"progress": said})) == {"progress": said}


def test_the_end_of_a_run_leaves_it() -> None:
    run = a_task()
    definition = a_definition(HOURLY, status={"conditions": accepted()})
    plan = decide(snapshot(definition, run, a_job(run, succeeded="12:05")), at("12:06"))
    [write] = each(plan, WriteRunStatus)
    assert isinstance(write, WriteRunStatus)
    assert (write.status["phase"], write.status["progress"]) == ("Succeeded", SAID)
    assert write.resource_version == run.resource_version, "refused when a report has come since"


def test_it_asks_for_no_write_by_itself() -> None:
    run = a_task()
    definition = a_definition(HOURLY, status={"conditions": accepted()})
    plan = decide(snapshot(definition, run, a_job(run, active=1)), at("12:06"))
    assert each(plan, WriteRunStatus) == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (SAID, "is Running: 40 %, half."),
        ({**SAID, "message": ""}, "is Running: 40 %."),
        ({**SAID, "percent": None}, "is Running: half."),
    ],
)
def test_explain_tells_it_of_an_active_run(said: Body, words: str) -> None:
    assert words in story(seen(), "12:00", a_task(said)).headline
