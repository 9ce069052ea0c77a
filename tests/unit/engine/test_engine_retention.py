"""Which finished runs go: never one that nobody has recorded, never one whose due time could be named again."""

from typing import Any

import pytest

from carillon.engine import plan as plans
from carillon.engine.decide import decide
from carillon.engine.model import Definition, Run
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
