"""What tenants and containers have written does not speak to the terminal of whoever looks at it."""

from typing import Any

import pytest

from carillon.cli.exit_codes import Exit
from tests.unit.cli.fake import FakeApi, shop

HOSTILE = "\x1b]0;title\x07\x1b[2J\x1b]52;c;YWJj\x07\x9b31m\rdone"
TOLD = ("label", "description", "message", "suspendReason", "suspendedBy", "owner", "requestedBy", "why")


def poisoned(value: Any) -> Any:
    """The same object, with more in whatever people and containers may write freely."""
    if isinstance(value, dict):
        return {
            key: f"{each}{HOSTILE}" if key in TOLD and isinstance(each, str) else poisoned(each)
            for key, each in value.items()
        }
    return [poisoned(each) for each in value] if isinstance(value, list) else value


@pytest.fixture
def api() -> FakeApi:
    api = shop()
    api.objects = {key: poisoned(body) for key, body in api.objects.items()}
    return api


COMMANDS = [
    "list -A",
    "list -A -o wide",
    "describe dump",
    "history dump",
    "errors -A --since 720h",
    "explain dump --at 2026-11-20T01:30:00Z",
    "next dump",
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", [80, 300])
def test_nothing_that_is_printed_is_a_control_character(api: FakeApi, command: str, columns: int) -> None:
    done = api.invoke(*command.split(), columns=columns)
    assert done.exit_code != Exit.USAGE, done.output
    printed = done.output.replace("\n", "")
    assert [char for char in printed if not char.isprintable()] == []


def test_it_is_shown_all_the_same(api: FakeApi) -> None:
    said = api.invoke("describe", "dump", columns=300).output
    assert "]0;title" in said


def test_recorded_last_words(api: FakeApi) -> None:
    for key in [key for key in api.objects if key[0] == "pods"]:
        del api.objects[key]
    run = next(body for (kind, _, name), body in api.objects.items() if (kind, name) == ("jobruns", "dump-1795311000"))
    run["status"] |= {"phase": "Failed", "message": f"broken{HOSTILE}"}
    said = api.invoke("logs", "dump").output
    assert "last words" in said
    assert "]0;title" in said
    assert "\x1b" not in said
