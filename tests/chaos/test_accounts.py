"""A due time that is lost, doubled or told of twice is found; one that is deleted with its definition is not."""

import pytest

from tests.chaos.accounts import Run, SkipLine, settle
from tests.chaos.fleet import Ticks

DUE = (100, 105, 110, 115, 120)


def a_run(due: int, *, jobs: int = 1, phase: str = "Succeeded", uid: str = "", deleted: bool = False) -> Run:
    return Run(uid or f"run-{due}", due, jobs, phase, deleted)


ALL = [a_run(due) for due in DUE]


@pytest.mark.parametrize(
    ("runs", "skips", "counted", "lost", "doubled"),
    [
        pytest.param(ALL, [], (5, 5, 0), 0, 0, id="all ran"),
        pytest.param(ALL[1:], [], (5, 4, 0), 1, 0, id="one is lost"),
        pytest.param(ALL[:3], [SkipLine(115, 120, 2, "CatchUp")], (5, 3, 2), 0, 0, id="two were skipped"),
        pytest.param(ALL[:3], [SkipLine(115, 115, 1, "CatchUp")], (5, 3, 1), 1, 0, id="one skipped, one lost"),
        pytest.param(ALL, [SkipLine(115, 115, 1, "CatchUp")], (5, 5, 0), 0, 1, id="run and skipped"),
        pytest.param(ALL[:4], [SkipLine(100, 120, 1, "CatchUp")], (5, 4, 1), 0, 0, id="a line around those that ran"),
        pytest.param([*ALL, a_run(110, uid="other")], [], (5, 5, 0), 0, 1, id="two runs"),
        pytest.param([*ALL[1:], a_run(100, jobs=2)], [], (5, 5, 0), 0, 1, id="two Jobs"),
        pytest.param([*ALL[1:], a_run(100, jobs=0, phase="")], [], (5, 5, 0), 1, 0, id="a run without its Job"),
        pytest.param([*ALL[1:], a_run(100, jobs=0, phase="Skipped")], [], (5, 4, 1), 0, 0, id="a run that was skipped"),
        pytest.param([*ALL[1:], a_run(100, jobs=0, phase="", deleted=True)], [], (5, 5, 0), 0, 0, id="a deleted run"),
    ],
)
def test_settle(runs: list[Run], skips: list[SkipLine], counted: tuple[int, int, int], lost: int, doubled: int) -> None:
    account = settle("sweep", Ticks(5), runs, skips, after=99, through=123)
    assert (account.due, account.runs, account.skips) == counted
    assert (len(account.lost), len(account.doubled)) == (lost, doubled)


def test_what_was_due_when_the_definition_went_may_be_missing() -> None:
    account = settle("sweep", Ticks(5), ALL[:3], [], after=99, through=123, certain_through=112)
    assert (account.due, account.lost) == (3, [])


def test_ticks_are_after_the_one_and_up_to_the_other() -> None:
    assert list(Ticks(5).between(100, 110)) == [105, 110]
    assert list(Ticks(5).between(99.9, 109.9)) == [100, 105]
    assert list(Ticks(3).between(1, 2)) == []
