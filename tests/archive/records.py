"""Records by the handful."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from carillon.archive.record import Facts, Record, record_of
from tests.unit.engine.builders import a_run, at

NOW = at("12:30")


def a_record(number: int = 0, **fields: Any) -> Record:
    """A run that ended `number` seconds after noon."""
    run = a_run("12:00", "Failed", ended="12:00", started="12:00", reason="Error", message="no space left")
    record = record_of(run, Facts("Sweep the files", "alice@example.com", "User"))
    ended = at("12:00") + timedelta(seconds=number)
    own: dict[str, Any] = {"uid": f"uid-{number:06}", "name": f"sweep-{number}", "completion_time": ended}
    return replace(record, **own | fields)


def many(count: int, begin: int = 0, **fields: Any) -> list[Record]:
    return [a_record(number, **fields) for number in range(begin, begin + count)]
