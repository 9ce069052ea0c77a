"""Intents written ahead of their due time: when, for whom, and what becomes of them until it has come."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from carillon.engine import plan as plans
from carillon.engine.ahead import FEWEST, LONGEST, lead
from carillon.engine.audit import verify
from carillon.engine.decide import decide
from carillon.engine.model import Definition, Job, Run
from carillon.engine.plan import Plan
from tests.unit.engine.builders import (
    a_definition,
    a_job,
    a_run,
    at,
    each,
    fired,
    handled,
    job_names,
    outcome,
    run_status,
    snapshot,
)

NOON = "0 12 * * *"
"""What every definition here names, unless it says otherwise."""
UNTOUCHED = ("", "")


def daily(**rest: Any) -> Definition:
    return a_definition(**{"triggers": [{"name": "t0", "cron": NOON}], "handled": "11:00", **rest})


def written(due: str = "12:00", **rest: Any) -> Run:
    return a_run(due, created="11:59:50", **rest)


def decided(*things: Definition | Run | Job, now: str, together: int = 1000) -> Plan:
    return decide(replace(snapshot(*things), together=together), at(now))


def waits(*things: Definition | Run, now: str) -> bool:
    """Whether nothing is done about the runs, but to look again at noon."""
    plan = decided(*things, now=now)
    left = [a for a in plan.actions if not isinstance(a, plans.WriteDefinitionStatus | plans.CheckTemplate)]
    return (left, plan.wake_at) == ([], at("12:00"))


def taken_back(plan: Plan) -> list[str]:
    return [action.name for action in each(plan, plans.WithdrawRun)]


@pytest.mark.parametrize(
    ("together", "seconds"),
    [(1, 0), (FEWEST - 1, 0), (FEWEST, 5), (40, 6), (400, 15), (1000, 30), (5000, 30), (50_000, 30)],
)
def test_how_long_before_grows_with_how_many_there_are(together: int, seconds: int) -> None:
    assert lead(together).total_seconds() == seconds


@pytest.mark.parametrize(
    ("now", "together", "expected"),
    [
        ("11:59:44", 400, []),
        ("11:59:45", 400, ["12:00:00"]),
        ("11:59:59.9", 400, ["12:00:00"]),
        ("11:59:59.9", 1, []),
        ("11:59:30", 5000, ["12:00:00"]),
        ("11:59:29", 5000, []),
    ],
)
def test_a_run_is_written_when_it_is_time_for_it(now: str, together: int, expected: list[str]) -> None:
    plan = decided(daily(), now=now, together=together)
    assert (fired(plan), plan.next_due) == (expected, at("12:00"))


def test_it_is_made_like_one_of_the_due_time() -> None:
    (early,) = each(decided(daily(), now="11:59:55"), plans.CreateRun)
    (prompt,) = each(decided(daily(), now="12:00:00", together=1), plans.CreateRun)
    assert replace(early, ahead=False) == prompt


def test_two_triggers_that_name_the_instant_make_one_run() -> None:
    definition = daily(triggers=[{"name": "t0", "cron": NOON}, {"name": "t1", "cron": "0 * * * *"}])
    assert fired(decided(definition, now="11:59:55")) == ["12:00:00"]


BUSY = a_run("11:00", "Running")


@pytest.mark.parametrize(
    ("definition", "others"),
    [
        pytest.param(daily(suspend=True), (), id="disabled"),
        pytest.param(daily(suspend=True, suspendUntil="2026-03-10T11:59:58Z"), (), id="disabled until then"),
        pytest.param(daily(status={"suspendedSince": "2026-03-10T11:30:00Z"}), (), id="resumed, and not recorded"),
        pytest.param(daily(generation=2, observed=1), (), id="edited, and not recorded"),
        pytest.param(daily(handled=None, created="11:00"), (), id="never seen"),
        pytest.param(daily(exclude={"dates": ["2026-03-10"]}), (), id="excluded"),
        pytest.param(daily(exclude={"calendars": ["missing"]}), (), id="invalid"),
        pytest.param(
            daily(triggers=[{"name": "t0", "cron": NOON, "jitterSeconds": 60}]), (), id="put off by its jitter"
        ),
        pytest.param(daily(concurrency={"policy": "Queue", "group": "db"}), (), id="in a group"),
        pytest.param(daily(), (BUSY, a_job(BUSY, active=1)), id="busy"),
        pytest.param(daily(), (written(),), id="written"),
        pytest.param(daily(), (written(phase="Stopped"),), id="stopped before"),
        pytest.param(daily(backend="CronJob"), (), id="to the CronJob controller"),
    ],
)
def test_it_is_not_written_where(definition: Definition, others: tuple[Run | Job, ...]) -> None:
    assert fired(decided(definition, *others, now="11:59:55")) == []


@pytest.mark.parametrize("policy", ["Allow", "Replace", "Queue"])
def test_what_runs_is_no_hindrance_where_the_policy_finds_a_place(policy: str) -> None:
    definition = daily(concurrency={"policy": policy})
    assert fired(decided(definition, BUSY, a_job(BUSY, active=1), now="11:59:55")) == ["12:00:00"]


def test_until_then_it_waits_and_nothing_is_written() -> None:
    assert waits(daily(), written(), now="11:59:55")


def test_then_its_job_is_made_by_one_request() -> None:
    plan = decided(daily(), written(), now="12:00:00")
    (create,) = plan.first
    assert isinstance(create, plans.CreateJob)
    assert create.due_at == at("12:00")
    assert plan.starts_only
    assert handled(plan, daily()) == {"t0": "12:00:00"}


def test_it_holds_no_slot_and_no_place() -> None:
    manual = a_run(name="manual", created="11:59:56")
    plan = decided(daily(), written(), manual, now="11:59:57")
    assert [name.rpartition("-")[0] for name in job_names(plan)] == ["manual"]


def test_concurrency_is_decided_at_the_due_time() -> None:
    manual = a_run(name="manual", phase="Running", created="11:59:56")
    run = written()
    plan = decided(daily(), run, manual, a_job(manual, active=1), now="12:00:00")
    assert (job_names(plan), outcome(plan, run)) == ([], ("Skipped", "ConcurrencyForbid"))


LATE_TRIGGER = [{"name": "other", "cron": "0 13 * * *"}]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"triggers": LATE_TRIGGER}, id="edited"),
        pytest.param({"triggers": []}, id="no trigger left"),
        pytest.param({"suspend": True}, id="disabled"),
        pytest.param({"suspend": True, "suspendUntil": "2026-03-10T11:59:58Z"}, id="disabled for a moment"),
        pytest.param({"exclude": {"dates": ["2026-03-10"]}}, id="excluded"),
        pytest.param({"exclude": {"calendars": ["missing"]}}, id="invalid"),
        pytest.param({"triggers": [{"name": "t0", "cron": "61 * * * *"}]}, id="not understood"),
    ],
)
def test_it_is_taken_back_when_the_definition_names_its_time_no_more(changed: dict[str, Any]) -> None:
    edited = replace(daily(**changed), status=daily().status, generation=2)
    run = written()
    plan = decided(edited, run, now="11:59:57")
    assert (taken_back(plan), job_names(plan), outcome(plan, run)) == ([run.name], [], UNTOUCHED)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"triggers": [{"name": "other", "cron": NOON}]}, id="another trigger names it"),
        pytest.param({"triggers": [{"name": "t0", "cron": NOON, "jitterSeconds": 60}]}, id="it gets jitter"),
        pytest.param({"concurrency": {"policy": "Queue", "group": "db"}}, id="it joins a group"),
        pytest.param({"parameters": [{"name": "days", "default": "30"}]}, id="something else"),
    ],
)
def test_an_edit_that_leaves_its_time_leaves_the_run(changed: dict[str, Any]) -> None:
    edited = replace(daily(**changed), status=daily().status, generation=2)
    assert taken_back(decided(edited, written(), now="11:59:57")) == []


def test_the_one_that_has_begun_or_is_over_is_not_taken_back() -> None:
    disabled = daily(suspend=True)
    running, stopped = written(phase="Running"), written(phase="Stopped", name="stopped")
    assert taken_back(decided(disabled, running, stopped, a_job(running, active=1), now="11:59:57")) == []


def test_the_one_whose_job_was_made_before_the_clock_was_set_back_is_not_taken_back() -> None:
    run = written()
    plan = decided(daily(suspend=True), run, a_job(run, active=1), now="11:30")
    assert (taken_back(plan), outcome(plan, run)) == ([], ("Running", ""))


def test_after_its_time_it_is_skipped_with_the_reason_and_not_deleted() -> None:
    run = written()
    for changed, reason in (({"suspend": True}, "Suspended"), ({"triggers": LATE_TRIGGER}, "Withdrawn")):
        edited = replace(daily(**changed), status=daily().status, generation=2)
        plan = decided(edited, run, now="12:00:00.5")
        assert (taken_back(plan), outcome(plan, run)) == ([], ("Skipped", reason))


def test_somebody_may_stop_it() -> None:
    run = written(stop=True)
    plan = decided(daily(), run, now="11:59:57")
    assert (taken_back(plan), outcome(plan, run)) == ([], ("Stopped", "StopRequested"))


def test_a_pause_counts_from_its_time_on() -> None:
    run = written(suspend=True)
    assert waits(daily(), run, now="11:59:57")
    assert outcome(decided(daily(), run, now="12:00:00"), run) == ("Paused", "PauseRequested")


def test_it_is_in_no_list_of_the_status_and_kept_from_no_history() -> None:
    first = decided(daily(handled=None, created="11:00", status={}), written(), now="11:59:57")
    (write,) = each(first, plans.WriteDefinitionStatus)
    assert "active" not in write.status
    assert write.status["display"]["status"] == "Waiting"
    assert write.status["nextExecutions"][0] == "2026-03-10T12:00:00Z"


def test_a_clock_that_is_set_back_lets_it_wait() -> None:
    assert waits(daily(), written(), now="11:00:30")


def test_a_run_that_was_told_to_wait_says_so_when_the_clock_is_set_back() -> None:
    run = written(phase="Scheduled", reason="Closed")
    status = run_status(decided(daily(), run, now="11:59:57"), run)
    assert (status.phase, status.reason) == ("Scheduled", "Ahead")
    assert "2026-03-10T12:00:00Z" in status.message


@pytest.mark.parametrize(
    ("policy", "now", "expected"),
    [
        ("Latest", "12:00:50", UNTOUCHED),
        ("Skip", "12:00:50", UNTOUCHED),
        ("Latest", "12:30:00", UNTOUCHED),
        ("Skip", "12:30:00", ("Skipped", "CatchUp")),
        ("All", "12:30:00", UNTOUCHED),
    ],
)
def test_a_late_start_is_decided_by_catch_up(policy: str, now: str, expected: tuple[str, str]) -> None:
    run = written()
    plan = decided(daily(catchUp={"policy": policy}), run, now=now)
    assert outcome(plan, run) == expected
    assert bool(job_names(plan)) == (expected == UNTOUCHED)


@pytest.mark.parametrize(("limit", "starts"), [(2, False), (3, True)])
def test_with_all_it_is_one_of_the_newest_or_is_left_out(limit: int, starts: bool) -> None:
    definition = a_definition("* * * * *", handled="12:00", catchUp={"policy": "All", "limit": limit})
    run = a_run("12:01", created="12:00:50")
    plan = decided(definition, run, now="12:04:30")  # missed: 12:02, 12:03
    assert bool(job_names(plan)) == starts


def test_verify_finds_nothing_wrong_with_it() -> None:
    definition, run = daily(), written()
    assert verify([definition], [run], [], at("11:59:57")) == []
    long_ago = replace(run, created=at("11:00"))  # the clock was set back
    assert verify([definition], [long_ago], [], at("11:30")) == []


def test_the_longest_lead_is_what_the_controller_looks_ahead() -> None:
    assert lead(10**6) == LONGEST == timedelta(seconds=30)
