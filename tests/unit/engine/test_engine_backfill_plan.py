"""Which due times a backfill runs, and under which names."""

from typing import Any

from carillon.api.jobrun import JobRunSpec, TriggerType
from carillon.engine.backfill import RUN_NAME_LENGTH, Backfill, concurrency_words, plan, run_body, run_name
from carillon.engine.model import Definition, Run
from carillon.engine.read import read_run
from tests.unit.engine.builders import HOURLY, a_definition, a_run, at


def planned(definition: Definition, begin: str, end: str, *runs: Run, **more: Any) -> Backfill:
    return plan(definition, runs, at(begin), at(end), at("12:30"), **{"limit": 100, **more})


def times(found: Backfill) -> list[str]:
    return [f"{past.instant:%H:%M}" for past in found.due]


def test_both_ends_belong_to_it_and_the_oldest_comes_first() -> None:
    found = planned(a_definition(HOURLY), "09:00", "12:00")
    assert (times(found), found.total) == (["09:00", "10:00", "11:00", "12:00"], 4)


def test_due_times_before_the_creation_can_be_run() -> None:
    assert times(planned(a_definition(HOURLY, created="12:00"), "09:30", "10:30")) == ["10:00"]


def test_excluded_due_times_are_left_out() -> None:
    exclude = {"windows": [{"cron": "0 10 * * *", "durationSeconds": 3600}]}
    found = planned(a_definition(HOURLY, exclude=exclude), "09:00", "12:00")
    assert (times(found), found.excluded) == (["09:00", "11:00", "12:00"], 1)


def test_two_triggers_at_one_instant_make_one_run() -> None:
    found = planned(a_definition(HOURLY, "0 */2 * * *"), "09:00", "10:00")
    assert [[trigger.name for trigger in past.triggers] for past in found.due] == [["t0"], ["t0", "t1"]]


def test_more_than_the_limit_is_counted_and_not_listed() -> None:
    found = planned(a_definition(HOURLY), "01:00", "12:00", limit=3)
    assert (times(found), found.total) == (["01:00", "02:00", "03:00"], 12)


def test_the_same_question_has_the_same_names() -> None:
    definition = a_definition(HOURLY)
    first, again = planned(definition, "09:00", "10:00"), planned(definition, "09:00", "10:00")
    assert [past.name for past in first.due] == [past.name for past in again.due]
    assert first.due[0].name == f"sweep-backfill-{first.id}-{int(at('09:00').timestamp())}"
    assert planned(definition, "09:00", "11:00").id != first.id
    assert planned(a_definition(HOURLY, uid="other"), "09:00", "10:00").id != first.id
    assert planned(definition, "09:00", "10:00", backfill="mine").id == "mine"


def test_names_fit() -> None:
    assert len(run_name("n" * 300, "i" * 40, at("09:00"))) == RUN_NAME_LENGTH


def test_what_became_of_it_so_far() -> None:
    definition = a_definition(HOURLY)
    name = planned(definition, "09:00", "09:00").due[0].name
    ran = a_run("09:00", "Succeeded", ended="09:10")
    (past,) = planned(definition, "09:00", "09:00", ran).due
    assert past.before is not None
    assert (past.before.phase, past.present) == ("Succeeded", False)
    (past,) = planned(definition, "09:00", "09:00", a_run("09:00", name=name)).due
    assert (past.before, past.present) == (None, True)


def test_a_run_that_history_has_pruned_was_made() -> None:
    name = planned(a_definition(HOURLY), "09:00", "09:00").due[0].name
    line = {"run": name, "trigger": "Backfill", "phase": "Succeeded", "scheduledTime": "2026-03-10T09:00:00Z"}
    (past,) = planned(a_definition(HOURLY, status={"history": [line]}), "09:00", "09:00").due
    assert (past.before, past.present) == (None, True)


def test_the_run_that_is_made() -> None:
    definition = a_definition(HOURLY)
    (past,) = planned(definition, "09:00", "09:00").due
    body = run_body(definition, past, "abc")
    assert body["metadata"]["labels"]["carillon.dev/trigger"] == "Backfill"
    spec = JobRunSpec.model_validate(body["spec"])
    assert (spec.scheduled_job, spec.scheduled_time) == ("sweep", at("09:00"))
    assert (spec.trigger.type, spec.trigger.name) == (TriggerType.BACKFILL, "t0")
    body["metadata"] |= {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-03-10T12:30:00Z"}
    assert (read_run(body).name, read_run(body).backfill) == (past.name, "abc")


def test_what_the_status_has_marked_was_made_whatever_history_forgot() -> None:
    status = {"backfills": [{"id": "abc", "through": "2026-03-10T10:00:00Z"}]}
    found = planned(a_definition(HOURLY, status=status), "09:00", "12:00", backfill="abc")
    assert [past.present for past in found.due] == [True, True, False, False]
    assert not any(past.present for past in planned(a_definition(HOURLY, status=status), "09:00", "12:00").due)


def test_an_excluded_instant_of_two_triggers_is_one() -> None:
    exclude = {"windows": [{"cron": "0 10 * * *", "durationSeconds": 3600}]}
    found = planned(a_definition(HOURLY, "0 */2 * * *", exclude=exclude), "09:00", "12:00")
    assert found.excluded == 1


def test_concurrency_in_words() -> None:
    words = {
        policy: concurrency_words(a_definition(HOURLY, concurrency={"policy": policy}))
        for policy in ("Allow", "Forbid", "Replace")
    }
    assert "start at once" in words["Allow"]
    assert all("one at a time" in words[policy] for policy in ("Forbid", "Replace"))
