"""Which finished runs go: never one that nobody has recorded, never one whose due time could be named again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import Definition, Run
from carillon.engine.retention import Bound, Unarchived, given_up
from tests.unit.engine.builders import DAY, HOURLY, a_definition, a_run, at, each, history_line, snapshot

TWELVE = tuple(a_run(f"{hour:02}:00", "Succeeded", ended=f"{hour:02}:01") for hour in range(12))


def recorded(*runs: Run) -> list[dict[str, Any]]:
    return [history_line(run.name, f"{DAY} {run.status.completion_time:%H:%M:%S}") for run in runs]


def pruned(definition: Definition, *runs: Run, now: str = "12:30") -> list[str]:
    return [a.name for a in each(decide(snapshot(definition, *runs), at(now)), plans.DeleteRun)]


def names(*runs: Run) -> list[str]:
    return [run.name for run in runs]


def hourly(*runs: Run, handled: str = "12:00", **rest: Any) -> Definition:
    """A definition whose history holds the runs."""
    return a_definition(HOURLY, handled=handled, status={"history": recorded(*runs)}, **rest)


def test_three_of_each_outcome_are_kept() -> None:
    assert pruned(hourly(*TWELVE), *TWELVE) == names(*TWELVE[:9])


@pytest.mark.parametrize(("limit", "kept"), [(0, 0), (1, 1), (100, 12)])
def test_as_many_as_the_definition_says(limit: int, kept: int) -> None:
    definition = hourly(*TWELVE, history={"succeeded": limit, "failed": 0})
    assert len(pruned(definition, *TWELVE)) == len(TWELVE) - kept


def test_outcomes_do_not_push_each_other_out() -> None:
    phases = {"Succeeded": 0, "Failed": 3, "Stopped": 5, "Skipped": 7}
    runs = [a_run(name=f"{p}{i}", phase=p, ended=f"{h + i:02}:30") for p, h in phases.items() for i in range(2)]
    assert pruned(hourly(*runs, history={"succeeded": 2, "failed": 4}), *runs) == []


def test_failed_and_stopped_share_a_limit_and_skipped_ones_have_as_many() -> None:
    failed = a_run(name="f", phase="Failed", ended="01:00")
    stopped = a_run(name="s", phase="Stopped", ended="02:00")
    refused = a_run(name="k", phase="Skipped", ended="00:30")
    assert pruned(hourly(failed, stopped, refused, history={"failed": 1}), failed, stopped, refused) == ["f"]


def test_those_that_ended_first_go_first() -> None:
    slow, quick = a_run("01:00", "Succeeded", ended="11:30"), a_run("02:00", "Succeeded", ended="02:01")
    assert pruned(hourly(slow, quick, history={"succeeded": 1}), slow, quick) == [quick.name]


def test_the_delete_names_the_uid() -> None:
    (delete, *_) = each(decide(snapshot(hourly(*TWELVE), *TWELVE), at("12:30")), plans.DeleteRun)
    assert delete.uid == TWELVE[0].uid


def test_a_run_is_not_pruned_before_its_outcome_is_recorded() -> None:
    assert pruned(hourly(*TWELVE[1:]), *TWELVE) == names(*TWELVE[1:9])


def test_a_run_that_left_history_is_recorded() -> None:
    definition = a_definition(HOURLY, handled="12:00", status={"recordedThrough": "2026-03-10T11:01:00Z"})
    assert pruned(definition, *TWELVE) == names(*TWELVE[:9])


def test_a_persons_run_is_pruned_whatever_it_calls_its_trigger() -> None:
    run = a_run(name="mine", phase="Succeeded", trigger="autoStart", ended="11:00")
    assert pruned(hourly(run, history={"succeeded": 0}), run) == ["mine"]


def test_a_run_is_not_pruned_before_the_watermark_has_passed_its_due_time() -> None:
    definition = hourly(*TWELVE, handled="03:00", history={"succeeded": 0})
    assert pruned(definition, *TWELVE) == names(*TWELVE[:4])


def test_the_watermark_that_counts_is_the_written_one() -> None:
    """In this very decision the watermark moves past all of them; what matters is what a crash would leave."""
    definition = hourly(*TWELVE, handled="00:00", history={"succeeded": 0})
    assert pruned(definition, *TWELVE) == names(TWELVE[0])


def test_a_sparse_trigger_beside_it_holds_nothing_back() -> None:
    marks = {"t0": "12:00", "t1": "2026-01-01 00:00"}
    definition = a_definition(
        HOURLY, "0 0 1 1 *", handled=marks, created="2025-01-01 00:00", status={"history": recorded(*TWELVE)}
    )
    assert pruned(definition, *TWELVE) == names(*TWELVE[:9])


def test_a_second_trigger_that_names_the_due_time_holds_it_back() -> None:
    marks = {"t0": "12:00", "t1": "00:00"}
    status = {"history": recorded(*TWELVE)}
    definition = a_definition(HOURLY, "0 6 * * *", handled=marks, history={"succeeded": 0}, status=status)
    kept = [run.name for run in TWELVE if run.name not in pruned(definition, *TWELVE)]
    assert kept == [TWELVE[6].name]


def test_a_trigger_that_was_edited_since_names_nothing_of_the_past() -> None:
    definition = hourly(*TWELVE, handled="00:00", history={"succeeded": 0})
    edited = a_definition(
        "0 */2 * * *",
        generation=2,
        status=definition.status.model_dump(mode="json", by_alias=True),
        history={"succeeded": 0},
    )
    assert pruned(edited, *TWELVE) == names(*TWELVE)


def test_a_run_that_is_not_finished_stays() -> None:
    definition = hourly(history={"succeeded": 0, "failed": 0})
    assert pruned(definition, a_run("11:00", "Running"), a_run("12:00", "Queued")) == []


def test_a_run_that_is_being_deleted_is_left_alone() -> None:
    run = a_run("11:00", "Succeeded", ended="11:01", deleting=True)
    assert pruned(hourly(run, history={"succeeded": 0}), run) == []


class TestTheArchive:
    """Where there is one, pruning waits for it; within a bound."""

    def test_what_it_has_not_taken_in_stays(self) -> None:
        waiting = frozenset(run.uid for run in TWELVE[3:6])
        plan = decide(snapshot(hourly(*TWELVE), *TWELVE, unarchived=waiting), at("12:30"))
        assert [a.name for a in each(plan, plans.DeleteRun)] == names(*TWELVE[:3], *TWELVE[6:9])

    def test_the_limits_count_what_waits_too(self) -> None:
        """The newest are kept as history; what waits beyond them takes no place from them."""
        plan = decide(snapshot(hourly(*TWELVE), *TWELVE, unarchived=frozenset({TWELVE[0].uid})), at("12:30"))
        assert [a.name for a in each(plan, plans.DeleteRun)] == names(*TWELVE[1:9])

    def test_runs_of_nobody_wait_too(self) -> None:
        strays = [a_run(name=f"s{i}", phase="Skipped", ended=f"1{i}:00", owner="") for i in range(6)]
        plan = decide(snapshot(*strays, unarchived=frozenset({strays[0].uid})), at("18:00"))
        assert [a.name for a in each(plan, plans.DeleteRun)] == ["s1", "s2"]


def waits(run: Run, since: str = "00:00") -> Unarchived:
    return Unarchived(run, at(since))


def let_go(*waiting: Unarchived, runs: int = 1000, hours: float = 72, now: str = "13:00") -> set[str]:
    found = given_up(waiting, Bound(runs, timedelta(hours=hours)), at(now))
    return {uid.removeprefix("uid-") for uid in found}


class TestTheBound:
    def test_within_it_everything_waits(self) -> None:
        assert let_go(*map(waits, TWELVE), runs=12) == set()

    def test_beyond_the_number_those_that_ended_first_go(self) -> None:
        assert let_go(*map(waits, reversed(TWELVE)), runs=9) == set(names(*TWELVE[:3]))

    def test_the_number_is_that_of_a_namespace(self) -> None:
        elsewhere = [replace(run, namespace="other", uid=f"other-{run.uid}") for run in TWELVE]
        assert let_go(*map(waits, [*TWELVE, *elsewhere]), runs=12) == set()

    @pytest.mark.parametrize(("now", "gone"), [("11:59:59", False), ("12:00", True)])
    def test_beyond_the_hours_counted_from_when_it_was_first_seen(self, now: str, gone: bool) -> None:
        assert let_go(waits(TWELVE[0], since="06:00"), hours=6, now=now) == ({TWELVE[0].name} if gone else set())

    @pytest.mark.parametrize(("now", "gone"), [("12:04:59", 0), ("12:05", 2)])
    def test_a_new_leader_gives_nothing_up_before_it_knows_what_is_archived(self, now: str, gone: int) -> None:
        assert len(let_go(*(waits(run, since="12:00") for run in TWELVE), runs=10, now=now)) == gone

    @given(st.lists(st.integers(0, 11), max_size=12, unique=True), st.integers(1, 12))
    def test_never_more_go_than_are_too_many(self, chosen: list[int], limit: int) -> None:
        waiting = [waits(TWELVE[i]) for i in chosen]
        assert len(let_go(*waiting, runs=limit)) == max(0, len(waiting) - limit)
