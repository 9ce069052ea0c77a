"""`carillon archive` on a SQLite archive: what is asked for, how it is shown, and what is said when it cannot be."""

import base64
import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from carillon.archive.address import url_of_file
from carillon.archive.database import Archive
from carillon.cli.exit_codes import Exit
from tests.archive.records import NOW, a_record
from tests.unit.cli.fake import FakeApi, shop


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Four runs that ended on 10 March, in two namespaces."""
    url = url_of_file(tmp_path / "archive.sqlite")
    archive = Archive(lambda: url)
    ok = {"phase": "Succeeded", "reason": "Completed", "message": "", "exit_code": 0}
    archive.write(
        [
            a_record(0, namespace="default", scheduled_job="dump", name="dump-1", uid="u1", **ok),
            a_record(
                60, namespace="default", scheduled_job="dump", name="dump-2", uid="u2", message="full\n\x1b[2Jdisk"
            ),
            a_record(120, namespace="default", scheduled_job="sweep", name="sweep-1", uid="u3", owner="bob", **ok),
            a_record(180, namespace="shop", scheduled_job="feed", name="feed-1", uid="u4", exit_code=137, attempts=3),
        ],
        NOW,
    )
    archive.close()
    return url


@pytest.fixture
def api(url: str, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    monkeypatch.setenv("CARILLON_ARCHIVE_URL", url)
    return shop()


def runs(api: FakeApi, *arguments: str) -> list[str]:
    done = api.invoke("archive", "list", *arguments, "-o", "json")
    assert done.exit_code == 0, done.output
    return [line["run"] for line in json.loads(done.stdout)]


class TestList:
    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            ([], ["sweep-1", "dump-2", "dump-1"]),
            (["-A"], ["feed-1", "sweep-1", "dump-2", "dump-1"]),
            (["-n", "shop"], ["feed-1"]),
            (["dump"], ["dump-2", "dump-1"]),
            (["--failed", "-A"], ["feed-1", "dump-2"]),
            (["--phase", "succeeded"], ["sweep-1", "dump-1"]),
            (["--phase", "Succeeded", "--failed", "dump"], ["dump-2", "dump-1"]),
            (["--owner", "bob"], ["sweep-1"]),
            (["-A", "--since", "2026-03-10T12:02:00Z"], ["feed-1", "sweep-1"]),
            (["--until", "2026-03-10T13:01:00+01:00"], ["dump-1"]),
            (["--since", "52w"], ["sweep-1", "dump-2", "dump-1"]),
            (["--since", "90m"], []),
            (["--limit", "1"], ["sweep-1"]),
            (["-A", "--limit", "0"], ["feed-1", "sweep-1", "dump-2", "dump-1"]),
        ],
    )
    def test_what_is_asked_for_newest_first(self, api: FakeApi, arguments: list[str], found: list[str]) -> None:
        assert runs(api, *arguments) == found

    def test_a_table(self, api: FakeApi) -> None:
        assert api.invoke("archive", "list", "-A", columns=110).stdout.splitlines() == [
            "ENDED              NAMESPACE  JOB    RUN      TRIGGER  STATUS     TOOK   OWNER              MESSAGE",
            "2026-03-10 12:03Z  shop       feed   feed-1   t0       Failed     3 min  alice@example.com  no space left",
            "2026-03-10 12:02Z  default    sweep  sweep-1  t0       Succeeded  2 min  bob",
            "2026-03-10 12:01Z  default    dump   dump-2   t0       Failed     1 min  alice@example.com   [2Jdisk",
            "2026-03-10 12:00Z  default    dump   dump-1   t0       Succeeded  0 s    alice@example.com",
        ]

    def test_that_there_are_more_is_said(self, api: FakeApi) -> None:
        assert "more than 2; --limit" in api.invoke("archive", "list", "--limit", "2").stderr
        assert api.invoke("archive", "list", "--limit", "3").stderr == ""

    def test_csv_for_a_spreadsheet(self, api: FakeApi) -> None:
        rows = list(csv.DictReader(io.StringIO(api.invoke("archive", "list", "-A", "-o", "csv").stdout)))
        assert [(row["run"], row["phase"], row["exitCode"], row["completionTime"]) for row in rows[:2]] == [
            ("feed-1", "Failed", "137", "2026-03-10T12:03:00Z"),
            ("sweep-1", "Succeeded", "0", "2026-03-10T12:02:00Z"),
        ]
        assert rows[2]["message"] == "full\n\x1b[2Jdisk"

    def test_nothing_is_said_on_stderr(self, api: FakeApi) -> None:
        done = api.invoke("archive", "list", "nobody")
        assert (done.stdout, done.stderr, done.exit_code) == ("", "No such runs are archived.\n", 0)


class TestShow:
    def test_all_there_is(self, api: FakeApi) -> None:
        shown = api.invoke("archive", "show", "feed-1", "-n", "shop").stdout
        for line in ("shop/feed-1", "attempts      3", "status        Failed, Error, exit code 137", "no space left"):
            assert line in shown.splitlines()

    def test_what_a_container_said_does_not_speak_to_the_terminal(self, api: FakeApi) -> None:
        assert api.invoke("archive", "show", "dump-2").stdout.splitlines()[-2:] == ["full", " [2Jdisk"]

    def test_by_uid_as_json(self, api: FakeApi) -> None:
        assert json.loads(api.invoke("archive", "show", "u2", "-o", "json").stdout)["run"] == "dump-2"

    def test_the_newest_of_a_name(self, api: FakeApi, url: str) -> None:
        archive = Archive(lambda: url)
        archive.write([a_record(600, namespace="default", name="dump-1", uid="u9")], NOW + timedelta(hours=1))
        archive.close()
        done = api.invoke("archive", "show", "dump-1", "-o", "json")
        assert json.loads(done.stdout)["uid"] == "u9"
        assert "the newest of 2" in done.stderr
        assert "u1" in done.stderr


class TestProblems:
    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["list", "--phase", "Done"], Exit.USAGE, "write one of Succeeded, Failed, Stopped, Skipped"),
            (["list", "--since", "soon"], Exit.USAGE, "--since"),
            (["list", "--since", "999999w"], Exit.USAGE, "write a smaller one"),
            (["list", "-A", "-n", "a"], Exit.USAGE, "leave one of them out"),
            (["list", "--url", "mysql://u:hunter2@h/d"], Exit.USAGE, "postgresql://USER"),
            (["list", "--url", "sqlite:////no/such/file"], Exit.USAGE, "there is no file /no/such/file"),
            (["list", "--url", "postgresql://u:hunter2@127.0.0.1:1/d"], Exit.UNREACHABLE, "does not answer"),
            (["list", "--secret", "noslash"], Exit.USAGE, "write NAMESPACE/NAME"),
            (["list", "--secret", "a/b", "--url", "sqlite:////x"], Exit.USAGE, "give one of them"),
            (["list", "--secret", "default/none"], Exit.FAILED, "there is no Secret none"),
            (["show", "nobody"], Exit.FAILED, "no run nobody in namespace default"),
        ],
    )
    def test_in_words_with_the_cure_and_without_the_password(
        self, api: FakeApi, arguments: list[str], code: Exit, words: str
    ) -> None:
        done = api.invoke("archive", *arguments)
        assert (done.exit_code, words in " ".join(done.stderr.split())) == (code, True), done.stderr
        assert "hunter2" not in done.output

    def test_no_archive_named(self, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CARILLON_ARCHIVE_URL")
        assert "set CARILLON_ARCHIVE_URL" in api.invoke("archive", "list").stderr


class TestSecret:
    @pytest.fixture
    def api(self, url: str) -> FakeApi:
        api = shop()
        data: dict[str, Any] = {"url": base64.b64encode(url.encode()).decode()}
        for name, body in (("archive", data), ("empty", {}), ("bad", {"url": "%%"})):
            metadata = {"namespace": "carillon", "name": name, "uid": name, "resourceVersion": "1"}
            api.add("secrets", {"metadata": metadata, "data": body})
        return api

    def test_the_url_is_read_with_the_persons_own_rights(self, api: FakeApi) -> None:
        assert runs(api, "dump", "--secret", "carillon/archive") == ["dump-2", "dump-1"]

    @pytest.mark.parametrize("name", ["empty", "bad"])
    def test_one_without_it(self, api: FakeApi, name: str) -> None:
        done = api.invoke("archive", "list", "--secret", f"carillon/{name}")
        assert (done.exit_code, "has no key url" in done.stderr) == (Exit.FAILED, True)
