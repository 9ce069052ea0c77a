"""The operator comes and goes: killed at the worst moments, or stopped with grace, it loses and doubles nothing."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.api import Api, condition
from tests.e2e.objects import concurrency, every, instant, now, rfc3339, scheduled_job
from tests.e2e.operators import Operators
from tests.e2e.test_concurrency import check_turns
from tests.e2e.test_native_backend import A_MINUTE, names, native, until_in_place
from tests.e2e.together import Crowd

PERIOD = 5
LEASE_SECONDS = 4.0
"""The default: after as long a standby takes over from one that is gone."""
KEEP_ALL = {"succeeded": 100, "failed": 100}
KILLED, KILLED_WITH_STANDBY, FROZEN = "killed", "killed, with a standby", "frozen until another leads"
MISFORTUNES = ((-0.15, KILLED), (0.05, KILLED), (0.02, FROZEN), (0.4, KILLED_WITH_STANDBY))
"""Seconds before or after a due time: the intent is not written, being written, written, and the Job made."""


@pytest.fixture(scope="module", autouse=True)
def _alone(crowd: Crowd) -> None:
    """Other tests must not find their operator killed; the examples may."""
    crowd.settle()


def test_no_due_time_is_lost_or_doubled(api: Api, operators: Operators, namespace: str) -> None:
    """Killed and frozen around due times, and started again: one Job for each due time, or a line in the skips."""
    jobs = {
        "tick": scheduled_job("tick", triggers=every(PERIOD), concurrency=concurrency("Allow"), history=KEEP_ALL),
        "busy": scheduled_job(
            "busy", "sleep 7", triggers=every(PERIOD), concurrency=concurrency("Forbid"), history=KEEP_ALL
        ),
    }
    for name, body in jobs.items():
        api.create("scheduledjobs", namespace, body)
        api.until_ready(namespace, name)
    mark = api.mark("jobs", namespace)
    for offset, misfortune in MISFORTUNES:
        leader = operators.leader
        if misfortune != KILLED:
            operators.until_ready(operators.start(wait=False))
        _sleep_until(_next_due(now() + timedelta(seconds=0.2)) + timedelta(seconds=offset))
        if misfortune == FROZEN:
            leader.freeze()
            operators.until_leading(operators.leader)
            leader.thaw()  # it believes that it leads, until it looks at the clock
            operators.until_following(leader)
            assert leader.stop() == 0
        else:
            leader.kill()
            operators.until_leading(operators.start(wait=False) if misfortune == KILLED else operators.leader)
    last = _next_due(now())
    for name in jobs:
        done = api.until(
            "scheduledjobs",
            namespace,
            name,
            lambda it: instant(it["status"]["triggers"][0]["handledThrough"]) >= last,
            f"{rfc3339(last)} to be handled",
        )
        _check_every_due_time(api, namespace, done, through=last)
    made = Counter(
        job["metadata"]["annotations"]["carillon.dev/scheduled-time"]
        + job["metadata"]["labels"]["carillon.dev/run-uid"]
        for change, job in api.changes_since("jobs", namespace, mark)
        if change == "ADDED"
    )
    assert set(made.values()) == {1}, "no Job was made twice, and none was made again after it had gone"


def _check_every_due_time(api: Api, namespace: str, done: dict[str, dict[str, object]], *, through: datetime) -> None:
    name, status = str(done["metadata"]["name"]), done["status"]
    since = instant(str(done["metadata"]["creationTimestamp"]))
    label = f"carillon.dev/scheduled-job={name}"
    runs = Counter(run["spec"]["scheduledTime"] for run in api.select("jobruns", namespace, label))
    jobs = Counter(
        job["metadata"]["annotations"]["carillon.dev/scheduled-time"] for job in api.select("jobs", namespace, label)
    )
    skips = status.get("skips", [])
    assert isinstance(skips, list)
    skipped = Counter(
        rfc3339(instant_)
        for line in skips
        for instant_ in _due_times(instant(line["from"]) - timedelta(seconds=1), instant(line["to"]))
    )
    assert sum(skipped.values()) == sum(line["count"] for line in skips)
    due = [rfc3339(each) for each in _due_times(since, through)]
    accounts = {each: (runs[each], jobs[each], skipped[each]) for each in due}
    wrong = {each: account for each, account in accounts.items() if account not in ((1, 1, 0), (0, 0, 1))}
    assert wrong == {}, f"{name}: (runs, Jobs, skips) by due time"
    if name == "tick":
        assert skipped == Counter(), "nothing was in the way of these"


def _due_times(after: datetime, through: datetime) -> list[datetime]:
    first = int(after.timestamp()) // PERIOD * PERIOD + PERIOD
    return [datetime.fromtimestamp(each, UTC) for each in range(first, int(through.timestamp()) + 1, PERIOD)]


def _next_due(after: datetime) -> datetime:
    return _due_times(after, after + timedelta(seconds=2 * PERIOD))[0]


def _sleep_until(moment: datetime) -> None:
    """The test is about this very moment, so that there is nothing to watch."""
    time.sleep(max(0.0, (moment - now()).total_seconds()))


def test_a_queue_keeps_its_order_when_the_operator_is_killed(api: Api, operators: Operators, namespace: str) -> None:
    """Killed while one runs and five wait, and again between two of them."""
    body = scheduled_job("line", "sleep 2", concurrency=concurrency("Queue"), history=KEEP_ALL)
    api.create("scheduledjobs", namespace, body)
    asked = [api.run_now(namespace, "line")]
    api.until_phase(namespace, asked[0], "Running")
    asked += [api.run_now(namespace, "line") for _ in range(5)]
    for _ in range(2):
        operators.leader.kill()
        time.sleep(2.5)  # in which a Job ends, and nobody sees it
        asked.append(api.run_now(namespace, "line"))
        operators.start()
    for run in asked:
        assert api.until_finished(namespace, run, seconds=90)["phase"] == "Succeeded"
    check_turns(api, namespace, asked)


def test_graceful_stop_hands_over_at_once(api: Api, operators: Operators, namespace: str) -> None:
    """The standby is ready, idle, and leads within a fraction of the lease; runs go on meanwhile."""
    api.create("scheduledjobs", namespace, scheduled_job("slow", "sleep 4"))
    run = api.run_now(namespace, "slow")
    api.until_phase(namespace, run, "Running")

    first, second = operators.leader, operators.start(wait=False)
    operators.until_ready(second)
    assert "carillon_leader 0.0" in second.probe("/metrics"), "the standby is idle"
    began = time.monotonic()
    assert first.stop() == 0
    operators.until_leading(second)
    took = time.monotonic() - began
    assert took < LEASE_SECONDS, "sooner than the lease runs out"
    assert api.until_finished(namespace, run)["phase"] == "Succeeded"
    late = api.run_now(namespace, "slow")
    api.until_phase(namespace, late, "Running")


def test_native_jobs_go_on_while_the_operator_is_away(api: Api, namespace: str, operators: Operators) -> None:
    api.create("scheduledjobs", namespace, native("beat"))
    until_in_place(api, namespace, "beat")
    operators.stop()
    recorded = names(api.select("jobruns", namespace))
    try:
        jobs = api.until_all("jobs", namespace, lambda found: names(found) - recorded, "one more", seconds=A_MINUTE)
        assert names(api.select("jobruns", namespace)) == recorded
    finally:
        operators.start()
    for name in names(jobs) - recorded:
        api.until("jobruns", namespace, name, bool, "its record")
        assert api.until_finished(namespace, name)["phase"] == "Succeeded"


def test_probes(api: Api, operators: Operators, namespace: str) -> None:
    assert operators.leader.probe("/livez") == "ok\n"
    assert operators.leader.probe("/readyz") == "ok\n"
    api.create("scheduledjobs", namespace, scheduled_job("counted"))
    assert api.until_finished(namespace, api.run_now(namespace, "counted"))["phase"] == "Succeeded"
    operators.until_counted(
        operators.leader,
        "carillon_leader 1.0",
        'carillon_runs_total{outcome="Succeeded",trigger="Manual"}',
        'carillon_jobs_created_total{trigger="Manual"}',
    )


def test_run_that_ends_while_nobody_looks(api: Api, operators: Operators, namespace: str) -> None:
    """A Job that finishes, and one that is created, while no operator runs."""
    api.create("scheduledjobs", namespace, scheduled_job("short", "sleep 1; echo no more >&2; exit 5"))
    run = api.run_now(namespace, "short")
    job = api.until_phase(namespace, run, "Running")["steps"][0]["job"]
    operators.leader.kill()
    api.until("jobs", namespace, job, lambda it: condition(it, "Failed"), "the Job to fail")
    meanwhile = api.run_now(namespace, "short")
    operators.start()
    for each in (run, meanwhile):
        status = api.until_finished(namespace, each)
        assert (status["phase"], status["message"]) in (("Failed", "no more"), ("Skipped", status["message"]))
    assert api.get("jobruns", namespace, run)["status"]["steps"][0]["exitCode"] == 5
