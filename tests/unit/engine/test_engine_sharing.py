"""What is kept by the thousand shares what it has in common, and says the same as before."""

from typing import Any

import pytest

from carillon.api.scheduledjob import ScheduledJobSpec, ScheduledJobStatus
from carillon.engine.sharing import shared

SPEC: dict[str, Any] = {
    "triggers": [{"name": "t", "cron": "0 3 * * *"}, {"name": "u", "cron": "0 4 * * *"}],
    "concurrency": {"policy": "Forbid"},
    "catchUp": {"policy": "Latest", "limit": 10},
    "history": {"succeeded": 5},
    "jobTemplate": {"spec": {"template": {}}},
}
STATUS: dict[str, Any] = {
    "counts": {"active": 0, "succeeded": 7},
    "conditions": [
        {"type": kind, "status": "True", "lastTransitionTime": "2026-03-10T12:00:00Z", "reason": "R", "message": "m"}
        for kind in ("Ready", "OnTime")
    ],
}


@pytest.mark.parametrize(("kind", "raw"), [(ScheduledJobSpec, SPEC), (ScheduledJobStatus, STATUS)])
def test_it_says_the_same(kind: type[ScheduledJobSpec | ScheduledJobStatus], raw: dict[str, Any]) -> None:
    plain, made = kind.model_validate(raw), shared(kind.model_validate(raw))
    assert made == plain
    assert made.model_dump(by_alias=True) == plain.model_dump(by_alias=True)


def test_what_was_given_is_noted_once_and_what_is_the_default_is_it() -> None:
    one, other = (shared(ScheduledJobSpec.model_validate(SPEC)) for _ in range(2))
    assert one.__pydantic_fields_set__ is other.__pydantic_fields_set__
    assert one.triggers[0].__pydantic_fields_set__ is other.triggers[1].__pydantic_fields_set__
    assert one.catch_up is other.catch_up
    assert one.history is not other.history
    assert one.history.succeeded == 5


def test_a_copy_with_another_field_changes_nobody_else() -> None:
    one, other = (shared(ScheduledJobSpec.model_validate(SPEC)) for _ in range(2))
    copy = one.model_copy(update={"description": "another"})
    assert "description" in copy.model_fields_set
    assert "description" not in other.model_fields_set
    assert other.description != "another"
