"""Queue, max and groups: who starts, who waits, who is skipped, and in which order (design 3.5)."""

from dataclasses import replace
from typing import Any

import pytest

from carillon.api.jobrun import TriggerType
from carillon.engine.decide import decide
from carillon.engine.groups import next_in_line
from carillon.engine.model import Definition, Job, Key, Member, Observations, Refusal, Run
from tests.unit.engine.builders import (
    HOURLY,
    NAMESPACE,
    a_definition,
    a_job,
    a_run,
    at,
    fired,
    job_names,
    outcome,
    run_status,
    skipped,
    snapshot,
    status_after,
)

QUEUE = {"policy": "Queue"}
SHARED = {"policy": "Queue", "group": "db"}


def hourly(**concurrency: Any) -> Definition:
    return a_definition(HOURLY, handled="11:00", concurrency=concurrency)


def active(name: str = "active", created: str = "11:00", **run: Any) -> tuple[Run, Job]:
    found = a_run(name=name, phase="Running", created=created, **run)
    return found, a_job(found, active=1)


def waiting(name: str, created: str, **run: Any) -> Run:
    return a_run(name=name, created=created, phase="Queued", reason="WaitingForSlot", message="number 1", **run)


def started(things: list[Definition | Run | Job], now: str, *group: Member, **observations: Any) -> list[str]:
    """The runs whose Jobs are made; manual ones bear the run's name and a hash."""
    plan = decide(replace(snapshot(*things, **observations), group=group), at(now))
    return [name.split("-")[0] for name in job_names(plan)]


class TestMax:
    @pytest.mark.parametrize("policy", ["Forbid", "Queue", "Replace"])
    def test_as_many_may_be_active(self, policy: str) -> None:
        definition = hourly(policy=policy, max=2)
        assert started([definition, *active(), a_run(name="next", created="11:30")], "11:30:01") == ["next"]

    def test_forbid_skips_the_next_one(self) -> None:
        definition = hourly(policy="Forbid", max=2)
        plan = decide(snapshot(definition, *active("a"), *active("b")), at("12:00"))
        assert fired(plan) == []
        assert skipped(plan, definition) == ["t0 12:00:00 ConcurrencyForbid"]

    def test_forbid_counts_the_runs_that_are_about_to_start(self) -> None:
        definition = a_definition("*/20 * * * * *", handled="12:00", concurrency={"policy": "Forbid", "max": 2})
        plan = decide(snapshot(definition, *active()), at("12:00:40"))
        assert fired(plan) == ["12:00:20"]

    @pytest.mark.parametrize(("newcomers", "stopped"), [(1, ["a"]), (2, ["a", "b"])])
    def test_replace_stops_the_oldest(self, newcomers: int, stopped: list[str]) -> None:
        definition = hourly(policy="Replace", max=2)
        old = [active("b", "11:10"), active("a", "11:05")]
        new = [a_run(name=f"new-{n}", created="11:30") for n in range(newcomers)]
        plan = decide(snapshot(definition, *(thing for pair in old for thing in pair), *new), at("11:30:01"))
        assert sorted(run.name for run, _ in old if outcome(plan, run)[1] == "Replaced") == stopped

    def test_replace_lets_the_newest_max_wait(self) -> None:
        definition = hourly(policy="Replace", max=2)
        new = [a_run(name=f"new-{n}", created=f"11:30:0{n}") for n in range(3)]
        plan = decide(snapshot(definition, *active("a"), *active("b"), *new), at("11:30:05"))
        assert [outcome(plan, run) for run in new] == [
            ("Skipped", "Replaced"),
            ("Queued", "Replacing"),
            ("Queued", "Replacing"),
        ]


class TestQueue:
    def test_a_due_time_makes_a_run_that_waits(self) -> None:
        definition = hourly(**QUEUE)
        assert fired(decide(snapshot(definition, *active()), at("12:00"))) == ["12:00:00"]
        due = a_run("12:00")
        plan = decide(snapshot(definition, *active(), due), at("12:00"))
        assert outcome(plan, due) == ("Queued", "WaitingForSlot")
        assert run_status(plan, due).message == "number 1 in the queue at 2026-03-10T12:00:00Z; active then: active"

    def test_the_first_that_came_starts(self) -> None:
        line = [waiting("b", "11:02"), waiting("a", "11:03"), a_run("11:00")]
        assert started([hourly(**QUEUE), *line], "11:30") == ["sweep"]
        assert started([hourly(**QUEUE), *line[:2]], "11:30") == ["b"]

    def test_a_place_is_told_once(self) -> None:
        definition, (run, job), line = hourly(**QUEUE), active(), [waiting("b", "11:02"), waiting("a", "11:03")]
        plan = decide(snapshot(definition, run, job, *line), at("11:30"))
        assert [run_status(plan, each) for each in line] == [each.status for each in line]

    def test_what_waits_is_counted(self) -> None:
        definition = hourly(**QUEUE)
        plan = decide(snapshot(definition, *active(), waiting("b", "11:02"), waiting("a", "11:03")), at("11:30"))
        counts = status_after(plan, definition).counts
        assert (counts.active, counts.queued) == (1, 2)

    @pytest.mark.parametrize(("limit", "verdict"), [(2, ("Skipped", "QueueFull")), (3, ("Queued", "WaitingForSlot"))])
    def test_a_run_that_finds_the_queue_full_is_skipped(self, limit: int, verdict: tuple[str, str]) -> None:
        manual = a_run(created="11:30")
        line = [waiting("b", "11:02"), waiting("a", "11:03")]
        plan = decide(snapshot(hourly(**QUEUE, queueLimit=limit), *active(), *line, manual), at("11:30"))
        assert outcome(plan, manual) == verdict

    def test_a_due_time_that_finds_it_full_is_a_line(self) -> None:
        definition = hourly(**QUEUE, queueLimit=1)
        plan = decide(snapshot(definition, *active(), waiting("b", "11:02")), at("12:00"))
        assert fired(plan) == []
        assert skipped(plan, definition) == ["t0 12:00:00 QueueFull"]

    def test_of_due_times_as_many_get_a_run_as_there_is_room(self) -> None:
        definition = a_definition("*/20 * * * * *", handled="12:00", concurrency={**QUEUE, "queueLimit": 1})
        plan = decide(snapshot(definition), at("12:01:00"))
        assert fired(plan) == ["12:00:20", "12:00:40"]

    def test_a_smaller_limit_takes_no_place_away(self) -> None:
        line = [waiting("b", "11:02"), waiting("a", "11:03")]
        plan = decide(snapshot(hourly(**QUEUE, queueLimit=1), *active(), *line), at("11:30"))
        assert [outcome(plan, run)[0] for run in line] == ["Queued", "Queued"]

    def test_the_deadline_counts_while_a_run_waits(self) -> None:
        definition = a_definition(HOURLY, handled="12:00", concurrency=QUEUE, startingDeadlineSeconds=60)
        due = a_run("12:00", "Queued", reason="WaitingForSlot")
        snap = snapshot(definition, *active(), due)
        assert decide(snap, at("12:01:00")).wake_at == at("12:01:01")
        assert outcome(decide(snap, at("12:01:01")), due) == ("Skipped", "DeadlineExceeded")

    def test_a_backfill_lets_the_queue_go_first(self) -> None:
        old = a_run(name="old", created="10:00", scheduledTime="2026-03-01T00:00:00Z")
        trigger = old.spec.trigger.model_copy(update={"type": TriggerType.BACKFILL})
        old = replace(old, spec=old.spec.model_copy(update={"trigger": trigger}))
        assert started([hourly(**QUEUE), old, waiting("b", "11:02")], "11:30") == ["b"]
        assert started([hourly(**QUEUE), old], "11:30") == ["old"]

    @pytest.mark.parametrize(
        ("policy", "verdict"),
        [("Forbid", ("Queued", "WaitingForSlot")), ("Queue", ("Queued", "WaitingForSlot"))],
    )
    def test_an_edited_policy_takes_no_place_away(self, policy: str, verdict: tuple[str, str]) -> None:
        run = waiting("b", "11:02")
        plan = decide(snapshot(hourly(policy=policy), *active(), run), at("11:30"))
        assert outcome(plan, run) == verdict

    def test_with_replace_the_newest_takes_the_place_of_those_that_wait(self) -> None:
        line = [waiting("a", "11:02"), waiting("b", "11:03")]
        plan = decide(snapshot(hourly(policy="Replace"), *active(), *line), at("11:30"))
        assert [outcome(plan, run) for run in line] == [("Skipped", "Replaced"), ("Queued", "Replacing")]

    def test_with_allow_all_start(self) -> None:
        line = [waiting("a", "11:02"), waiting("b", "11:03")]
        assert started([hourly(policy="Allow"), *active(), *line], "11:30") == ["a", "b"]

    def test_forbid_skips_due_times_while_somebody_keeps_a_place(self) -> None:
        definition = hourly(policy="Forbid")
        assert skipped(decide(snapshot(definition, waiting("a", "11:02")), at("12:00")), definition) == [
            "t0 12:00:00 ConcurrencyForbid"
        ]

    def test_disabling_withdraws_what_waits(self) -> None:
        definition = a_definition(HOURLY, handled="11:00", concurrency=QUEUE, suspend=True)
        manual, due = waiting("a", "11:02"), a_run("11:03", "Queued", reason="WaitingForSlot")
        plan = decide(snapshot(definition, *active(), manual, due), at("11:30"))
        assert [outcome(plan, run) for run in (manual, due)] == [("Skipped", "Disabled"), ("Skipped", "Suspended")]

    def test_who_came_before_and_is_not_adopted_yet_starts_before(self) -> None:
        mine, later = a_run(name="mine", created="11:01", owner=""), a_run(name="later", created="11:02")
        assert started([hourly(**QUEUE), mine, later], "11:30") == []
        refused = frozenset({mine.uid})
        assert started([hourly(**QUEUE), mine, later], "11:30", not_adoptable=refused) == ["later"]


DUMP = Key(NAMESPACE, "dump")


def member(*things: Run | Job, concurrency: dict[str, Any] | None = None, aside: bool = False, **rest: Any) -> Member:
    """Another member of the group, named dump."""
    reserved, observations = rest.pop("reserved", {}), rest.pop("observations", {})
    definition = a_definition(name="dump", uid="uid-dump", handled="11:00", concurrency=concurrency or SHARED, **rest)
    return Member(
        DUMP,
        definition,
        tuple(thing for thing in things if isinstance(thing, Run)),
        tuple(thing for thing in things if isinstance(thing, Job)),
        Observations(**observations),
        reserved,
        aside,
    )


def theirs(name: str, created: str, **run: Any) -> Run:
    return waiting(name, created, owner="uid-dump", scheduled_job="dump", **run)


MINE = waiting("mine", "11:05")


class TestGroup:
    @pytest.mark.parametrize(
        ("what", "other", "starts"),
        [
            ("nobody else is there", member(), True),
            ("a run of another member is active", member(*active(owner="uid-dump", scheduled_job="dump")), False),
            ("a Job of another member is being made", member(reserved={"uid-x": "x"}), False),
            ("another member's run came before", member(theirs("b", "11:04")), False),
            ("another member's run came later", member(theirs("b", "11:06")), True),
            ("of the same moment, the name counts", member(theirs("a", "11:05")), False),
            ("the other one is disabled", member(theirs("b", "11:04"), suspend=True), True),
            (
                "the other one's triggers are invalid",
                member(theirs("b", "11:04"), triggers=[{"name": "t", "cron": "61 * * * *"}]),
                True,
            ),
            ("the operator fails on the other one", member(theirs("b", "11:04"), aside=True), True),
            (
                "the other one's Jobs are refused",
                member(theirs("b", "11:04"), observations={"refusals": {"uid-b": Refusal("no", False, at("11:31"))}}),
                True,
            ),
            (
                "two slots, and one is taken",
                member(*active(owner="uid-dump", scheduled_job="dump"), concurrency={**SHARED, "max": 2}),
                False,
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_who_starts(self, what: str, other: Member, starts: bool) -> None:
        assert started([hourly(**SHARED), MINE], "11:30", other) == (["mine"] if starts else []), what

    def test_the_smallest_max_holds(self) -> None:
        taken = active(owner="uid-dump", scheduled_job="dump")
        two = {**SHARED, "max": 2}
        assert started([hourly(**two), MINE], "11:30", member(*taken, concurrency=two)) == ["mine"]
        assert started([hourly(**two), MINE], "11:30", member(*taken)) == []

    def test_forbid_skips_what_another_member_is_in_the_way_of(self) -> None:
        definition = hourly(policy="Forbid", group="db")
        taken = member(*active(owner="uid-dump", scheduled_job="dump"))
        plan = decide(replace(snapshot(definition), group=(taken,)), at("12:00"))
        assert skipped(plan, definition) == ["t0 12:00:00 ConcurrencyForbid"]

    def test_who_is_active_elsewhere_is_no_activity_of_the_definition(self) -> None:
        definition = hourly(**SHARED)
        taken = member(*active(owner="uid-dump", scheduled_job="dump"))
        plan = decide(replace(snapshot(definition, MINE), group=(taken,)), at("11:30"))
        assert status_after(plan, definition).counts.active == 0


class TestNextInLine:
    """Who is woken when a slot has become free."""

    @staticmethod
    def mine(*things: Run | Job) -> Member:
        runs = tuple(thing for thing in things if isinstance(thing, Run))
        jobs = tuple(thing for thing in things if isinstance(thing, Job))
        return Member(Key(NAMESPACE, "sweep"), hourly(**SHARED), runs, jobs)

    def names(self, *members: Member) -> list[str]:
        return [found.key.name for found in next_in_line(members, at("11:30"))]

    def test_it_is_the_one_whose_run_came_first(self) -> None:
        assert self.names(self.mine(MINE), member(theirs("b", "11:04"))) == ["dump"]
        assert self.names(self.mine(MINE), member(theirs("b", "11:06"))) == ["sweep"]

    def test_nobody_while_no_slot_is_free(self) -> None:
        assert self.names(self.mine(*active(), MINE), member(theirs("b", "11:04"))) == []
        assert self.names(self.mine(MINE), member(theirs("b", "11:04"), reserved={"uid-x": "x"})) == []

    def test_nobody_where_nobody_waits(self) -> None:
        assert self.names(self.mine(), member()) == []

    def test_only_one_of_what_was_missed_has_its_turn(self) -> None:
        catch_up = {"policy": "All"}
        missed = [
            waiting(f"missed-{n}", "11:00", due=due, missed=True, owner="uid-dump", scheduled_job="dump")
            for n, due in enumerate(("09:00", "10:00"))
        ]
        two = {**SHARED, "max": 2}
        other = member(*missed, concurrency=two, catchUp=catch_up)
        assert len(next_in_line([other], at("11:30"))) == 1
