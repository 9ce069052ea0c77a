"""The archive on both databases: each row is a promise that the operator, or a person who asks, relies upon."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from carillon.archive.address import url_in, url_of_file
from carillon.archive.database import Archive
from carillon.archive.errors import ArchiveUnavailable, NotUsable, RecordsRefused
from carillon.archive.query import Query
from carillon.archive.schema import MIGRATIONS, RUNS, Migrations, migrate, version_of
from tests.archive.records import NOW, a_record, many

Request = pytest.FixtureRequest


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: Request, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return url_of_file(tmp_path / "archive.sqlite")
    found: str = request.getfixturevalue("postgres").url
    return found


@pytest.fixture
def archive(url: str) -> Iterator[Archive]:
    archive = Archive(lambda: url)
    yield archive
    archive.close()


def uids(archive: Archive, **query: Any) -> list[str]:
    return [record.uid for record in archive.find(Query(**query))]


class TestWriting:
    def test_what_was_written_is_read_as_it_was(self, archive: Archive) -> None:
        record = a_record(
            parameters={"days": "7", "dry": "yes"},
            requested_by="bob",
            attempts=3,
            exit_code=137,
            backfill="b1",
            message="naïve ☃ 'quoted' \\ line\nnext",
            steps=[{"name": "main", "exitCode": 137}],
        )
        archive.write([record], NOW)
        assert archive.find(Query()) == [replace(record, recorded_at=NOW)]

    def test_what_is_not_known_is_null(self, archive: Archive) -> None:
        record = a_record(scheduled_time=None, parameters=None, created=None, start_time=None, exit_code=None)
        archive.write([record], NOW)
        assert archive.find(Query()) == [replace(record, recorded_at=NOW)]

    def test_twice_is_once(self, archive: Archive) -> None:
        archive.write(many(10), NOW)
        archive.write(many(15), NOW + timedelta(hours=1))
        assert [record.recorded_at for record in archive.find(Query(until=NOW - timedelta(seconds=1790)))] == [NOW] * 10
        assert len(uids(archive)) == 15

    def test_a_run_that_changed_is_brought_up_to_date(self, archive: Archive) -> None:
        archive.write([a_record()], NOW)
        archive.write([a_record(resource_version="21", message="more")], NOW)
        assert [record.message for record in archive.find(Query())] == ["more"]

    def test_what_was_said_of_the_definition_stays_as_it_was_then(self, archive: Archive) -> None:
        archive.write([a_record(owner="alice")], NOW)
        archive.write([a_record(owner="bob", label="New", resource_version="21")], NOW)
        assert [(record.owner, record.label) for record in archive.find(Query())] == [("alice", "Sweep the files")]

    def test_a_line_of_history_never_replaces_a_record(self, archive: Archive) -> None:
        archive.write([a_record()], NOW)
        archive.write([a_record(whole=False, resource_version="", message="no sp")], NOW)
        assert [record.message for record in archive.find(Query())] == ["no space left"]

    def test_a_record_replaces_a_line_of_history(self, archive: Archive) -> None:
        archive.write([a_record(whole=False, resource_version="", message="no sp", owner="bob")], NOW)
        archive.write([a_record()], NOW)
        (record,) = archive.find(Query())
        assert (record.message, record.owner, record.whole) == ("no space left", "alice@example.com", True)

    def test_the_character_nul_is_said_otherwise(self, archive: Archive) -> None:
        archive.write([a_record(message="a\0b", steps=[{"message": "\0"}])], NOW)
        (record,) = archive.find(Query())
        assert (record.message, record.steps) == ("a�b", [{"message": "�"}])

    def test_one_bad_record_is_refused_and_none_is_written(self, archive: Archive) -> None:
        with pytest.raises(RecordsRefused):
            archive.write([*many(3), a_record(9, phase=None)], NOW)
        assert uids(archive) == []

    def test_it_writes_on_after_a_refusal(self, archive: Archive) -> None:
        with pytest.raises(RecordsRefused):
            archive.write([a_record(phase=None)], NOW)
        archive.write([a_record()], NOW)
        assert len(uids(archive)) == 1

    def test_lines_and_records_in_one_batch(self, archive: Archive) -> None:
        archive.write([a_record(1), a_record(2, whole=False)], NOW)
        assert len(uids(archive)) == 2


class TestAsking:
    @pytest.fixture(autouse=True)
    def _filled(self, archive: Archive) -> None:
        archive.write(
            [
                a_record(1, namespace="a", scheduled_job="one", phase="Succeeded"),
                a_record(2, namespace="a", scheduled_job="two", phase="Failed", owner="bob"),
                a_record(3, namespace="b", scheduled_job="one", phase="Stopped"),
                a_record(4, namespace="b", scheduled_job="one", phase="Failed", name="said"),
            ],
            NOW,
        )

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, [4, 3, 2, 1]),
            ({"limit": 2}, [4, 3]),
            ({"namespace": "a"}, [2, 1]),
            ({"scheduled_job": "one"}, [4, 3, 1]),
            ({"namespace": "b", "scheduled_job": "one", "phases": ["Failed"]}, [4]),
            ({"phases": ["Failed", "Stopped"]}, [4, 3, 2]),
            ({"owner": "bob"}, [2]),
            ({"run": "said"}, [4]),
            ({"run": "uid-000003"}, [3]),
            ({"since": NOW - timedelta(minutes=30) + timedelta(seconds=3)}, [4, 3]),
            ({"until": NOW - timedelta(minutes=30) + timedelta(seconds=3)}, [2, 1]),
            ({"namespace": "c"}, []),
        ],
    )
    def test_newest_first(self, archive: Archive, query: dict[str, Any], found: list[int]) -> None:
        assert uids(archive, **query) == [f"uid-{number:06}" for number in found]

    def test_expiry_takes_the_oldest_and_no_more_than_asked(self, archive: Archive) -> None:
        assert archive.expire(NOW, 3) == 3
        assert uids(archive) == ["uid-000004"]
        assert archive.expire(NOW - timedelta(days=1), 3) == 0
        assert (archive.expire(NOW, 3), archive.expire(NOW, 3)) == (1, 0)

    def test_its_size(self, archive: Archive) -> None:
        count, size = archive.size()
        assert count == 4
        assert size >= 8192


class TestReadingOnly:
    @pytest.fixture
    def reader(self, url: str) -> Iterator[Archive]:
        reader = Archive(lambda: url, read_only=True)
        yield reader
        reader.close()

    def test_it_reads_beside_the_writer(self, archive: Archive, reader: Archive) -> None:
        archive.write(many(3), NOW)
        assert uids(reader) == uids(archive)

    def test_it_makes_no_tables(self, reader: Archive, url: str) -> None:
        with pytest.raises((ArchiveUnavailable, NotUsable), match="there is no"):
            reader.find(Query())
        assert not url.startswith("sqlite") or not Path(url.removeprefix("sqlite:///")).exists()

    def test_it_writes_nothing(self, archive: Archive, reader: Archive, url: str) -> None:
        archive.write(many(3), NOW)
        if url.startswith("postgres"):
            with pytest.raises(ArchiveUnavailable, match="read-only"):
                reader.expire(NOW, 10)


class TestSchema:
    def test_the_migrations_make_what_the_code_uses(self, archive: Archive, url: str) -> None:
        archive.write(many(1), NOW)
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            columns = connection.execute(text("SELECT * FROM carillon_runs")).keys()
            assert version_of(connection) == len(MIGRATIONS)
        engine.dispose()
        assert list(columns) == [column.name for column in RUNS.c]

    def test_an_old_archive_is_brought_forward_with_what_it_holds(self, url: str) -> None:
        first: Migrations = (("CREATE TABLE carillon_runs (uid varchar PRIMARY KEY)",),)
        second: Migrations = (*first, ("ALTER TABLE carillon_runs ADD COLUMN more {instant}",))
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            assert migrate(connection, first) == 0
            connection.execute(text("INSERT INTO carillon_runs VALUES ('old')"))
        with engine.begin() as connection:
            assert migrate(connection, second) == 1
        with engine.begin() as connection:
            assert migrate(connection, second) == 2
            assert [tuple(row) for row in connection.execute(text("SELECT * FROM carillon_runs"))] == [("old", None)]
        engine.dispose()

    def test_one_of_a_newer_version_is_left_alone(self, archive: Archive, url: str) -> None:
        archive.write(many(1), NOW)
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(text("UPDATE carillon_schema SET version = 99"))
        engine.dispose()
        archive.close()
        with pytest.raises(ArchiveUnavailable, match="version 99"):
            archive.write(many(2), NOW)


class TestAddress:
    @pytest.mark.parametrize(
        "bad",
        ["", "hunter2", "mysql://u:hunter2@h/d", "sqlite://", "sqlite:///relative", "postgresql://u:hunter2@h:port/d"],
    )
    def test_a_wrong_one_is_refused_with_the_cure_and_without_the_password(self, bad: str) -> None:
        with pytest.raises(NotUsable, match="postgresql://USER") as refused:
            Archive(lambda: bad).check()
        assert "hunter2" not in str(refused.value)

    @pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
    def test_postgresql_by_all_its_names(self, scheme: str) -> None:
        Archive(lambda: f"{scheme}://u:p@h/d").check()

    def test_the_file_of_a_secret_is_read_each_time(self, tmp_path: Path) -> None:
        file = tmp_path / "url"
        with pytest.raises(NotUsable, match="cannot be read"):
            url_in(file)
        file.write_text("\n")
        with pytest.raises(NotUsable, match="is empty"):
            url_in(file)
        file.write_text("sqlite:////a\n")
        assert url_in(file) == "sqlite:////a"

    def test_a_new_password_is_read_after_a_failure(self, postgres: Any) -> None:
        urls = [postgres.url.replace("correct", "wrong"), postgres.url]
        ask: Callable[[], str] = lambda: urls.pop(0)  # noqa: E731
        archive = Archive(ask)
        with pytest.raises(ArchiveUnavailable, match="password authentication failed") as failed:
            archive.write(many(1), NOW)
        assert "horse" not in str(failed.value)
        archive.write(many(1), NOW)
        assert len(uids(archive)) == 1
        archive.close()
