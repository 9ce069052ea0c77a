"""Commands about due times, of a job that has none: it runs on events."""

import json

import pytest

from tests.unit.cli.fake import FakeApi, Object, cron, definition

UPLOAD: Object = {"name": "upload", "event": {"version": "v1", "resource": "configmaps", "types": ["Created"]}}


def cluster(*triggers: Object) -> FakeApi:
    api = FakeApi()
    api.add("scheduledjobs", definition("import", *triggers))
    return api


@pytest.mark.parametrize(
    "arguments",
    [
        ["next", "import"],
        ["explain", "import", "--at", "2026-11-23T03:00:00Z"],
        ["backfill", "import", "--from", "2026-11-20T00:00:00Z", "--to", "2026-11-21T00:00:00Z"],
    ],
)
def test_that_it_has_none_is_said(arguments: list[str]) -> None:
    done = cluster(UPLOAD).invoke(*arguments, columns=200)
    assert "has no due times: it runs on events, by upload (configmaps Created)" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_lists_go_on_without_it() -> None:
    api = cluster(UPLOAD)
    api.add("scheduledjobs", definition("dump", cron("nightly", "30 2 * * *")))
    assert json.loads(api.invoke("next", "-o", "json").stdout) == {
        "default/dump": ["2026-11-23T02:30:00Z"],
        "default/import": [],
    }
    assert api.invoke("next").exit_code == 0
    assert api.invoke("load").exit_code == 0


def test_one_that_has_both_shows_its_due_times() -> None:
    api = cluster(UPLOAD, cron("nightly", "30 2 * * *"))
    assert json.loads(api.invoke("next", "import", "-o", "json").stdout)[0] == "2026-11-23T02:30:00Z"
    told = api.invoke("explain", "import", "--at", "2026-11-23T02:30:00Z")
    assert (told.exit_code, "nightly" in told.stdout) == (0, True)


def test_a_file_is_read(tmp_path: object) -> None:
    api = FakeApi()
    body = json.dumps(definition("import", UPLOAD))
    done = api.invoke("next", "-f", "-", stdin=body)
    assert (done.exit_code, "it runs on events" in " ".join(done.stdout.split())) == (0, True)
