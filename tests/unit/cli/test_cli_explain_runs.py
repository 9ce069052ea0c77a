"""What `carillon explain` says of a run whose JobRun is gone."""

import pytest

from carillon.api.scheduledjob import Execution
from carillon.cli.explain import _run
from carillon.engine.runstory import _of_line


@pytest.mark.parametrize(("reason", "word"), [("Completed", "pruned"), ("RunDeleted", "deleted")])
def test_a_record_that_is_gone_was_pruned_or_deleted(reason: str, word: str) -> None:
    line = {"run": "nightly-1", "phase": "Stopped", "reason": reason}
    assert f"the JobRun was {word}, status.history keeps" in _run(_of_line(Execution.model_validate(line)))
