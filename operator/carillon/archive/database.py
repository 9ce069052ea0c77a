"""The archive in a database: every call is one transaction, may be repeated, and blocks the thread that makes it.

Synchronous on purpose: the operator calls from a thread of its own, so that nothing that a driver or a database does
can hold up its event loop; and a call that hangs is broken off from outside, with `interrupt`.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, case, create_engine, delete, event, func, literal, or_, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
    StatementError,
)

from carillon.archive.address import CURE, driver_url
from carillon.archive.errors import ArchiveUnavailable, NotUsable, RecordsRefused
from carillon.archive.query import Query
from carillon.archive.record import Record, storable
from carillon.archive.schema import RUNS, check_version, migrate, version_of

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 20
"""PostgreSQL itself gives up a statement after that."""
SILENCE_SECONDS = 20
"""A connection whose peer does not acknowledge for so long is broken off by the kernel."""
LOCKED_SECONDS = 5.0
"""How long SQLite waits for another process."""
_FIXED = ("label", "owner", "job_class", "definition_uid")
"""What was true when the run was archived, and is not written again when the definition has changed since."""


class Archive:
    """One database. Not for two threads at the same time, but for `interrupt`.

    Args:
        url: tells the URL, asked again after a failure: the password may be another one by then.
        read_only: neither tables are made nor anything else written.
    """

    def __init__(self, url: Callable[[], str], *, read_only: bool = False) -> None:
        self._url = url
        self._read_only = read_only
        self._engine: Engine | None = None
        self._socket: socket.socket | None = None
        self._socket_lock = threading.Lock()

    def check(self) -> None:
        """Look whether the URL can be used and its driver is there, without asking the database. Raises NotUsable."""
        _open(self._url(), read_only=self._read_only).dispose()

    def write(self, records: Sequence[Record], now: datetime) -> None:
        """Take in records; one that is there already is brought up to date, or left as it is where it is richer.

        Args:
            records: no two with the same UID.
            now: in whole seconds, for `recorded_at`.

        Raises:
            ArchiveUnavailable: the database may do it later.
            RecordsRefused: one of them cannot be written, so none was.
        """
        whole = [_row(record, now) for record in records if record.whole]
        lines = [_row(record, now) for record in records if not record.whole]
        with self._transaction() as connection:
            insert = _insert(connection)
            if lines:
                keep = insert.on_conflict_do_nothing(index_elements=[RUNS.c.uid])
                connection.execute(keep, lines)
            if whole:
                fresh = {
                    column.name: case((RUNS.c.whole, column), else_=insert.excluded[column.name])
                    if column.name in _FIXED
                    else insert.excluded[column.name]
                    for column in RUNS.c
                    if column.name not in ("uid", "recorded_at")
                }
                replace = insert.on_conflict_do_update(
                    index_elements=[RUNS.c.uid],
                    set_=fresh,
                    where=or_(~RUNS.c.whole, RUNS.c.resource_version != insert.excluded.resource_version),
                )
                connection.execute(replace, whole)

    def expire(self, before: datetime, limit: int) -> int:
        """Forget up to `limit` runs that ended before; returns how many. Raises ArchiveUnavailable."""
        oldest = select(RUNS.c.uid).where(RUNS.c.completion_time < before).order_by(RUNS.c.completion_time).limit(limit)
        with self._transaction() as connection:
            return connection.execute(delete(RUNS).where(RUNS.c.uid.in_(oldest))).rowcount

    def find(self, query: Query) -> list[Record]:
        """Read runs, those that ended last first. Raises ArchiveUnavailable."""
        wanted = select(RUNS).order_by(RUNS.c.completion_time.desc(), RUNS.c.uid.desc()).limit(query.limit)
        for column, value in (
            (RUNS.c.namespace, query.namespace),
            (RUNS.c.scheduled_job, query.scheduled_job),
            (RUNS.c.owner, query.owner),
        ):
            if value is not None:
                wanted = wanted.where(column == value)
        if query.run is not None:
            wanted = wanted.where(or_(RUNS.c.name == query.run, RUNS.c.uid == query.run))
        if query.phases:
            wanted = wanted.where(RUNS.c.phase.in_(query.phases))
        if query.since is not None:
            wanted = wanted.where(RUNS.c.completion_time >= query.since)
        if query.until is not None:
            wanted = wanted.where(RUNS.c.completion_time < query.until)
        with self._transaction() as connection:
            return [Record(**row._mapping) for row in connection.execute(wanted)]

    def size(self) -> tuple[int, int]:
        """Count the runs, and the bytes that they take with their indexes. Raises ArchiveUnavailable."""
        with self._transaction() as connection:
            count = connection.execute(select(func.count()).select_from(RUNS)).scalar_one()
            size = (
                select(func.pg_total_relation_size(literal(RUNS.name)))
                if connection.dialect.name == "postgresql"
                else text("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
            )
            return count, connection.execute(size).scalar_one()

    def interrupt(self) -> None:
        """Break off a call that another thread makes and that does not end: it raises ArchiveUnavailable there."""
        with self._socket_lock:
            if self._socket is not None:
                with suppress(OSError):  # not connected any more
                    # Of the socket, not of the descriptor: whoever reads from it gets the end of the stream.
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        self._keep(None)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._connected().begin() as connection:
                if connection.dialect.name == "postgresql":
                    if self._read_only:
                        connection.execute(text("SET TRANSACTION READ ONLY"))
                    connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'"))
                yield connection
        except SQLAlchemyError as error:
            self.close()
            raise _explained(error) from None
        except ArchiveUnavailable:
            self.close()
            raise

    def _connected(self) -> Engine:
        if self._engine is None:
            engine = _open(self._url(), read_only=self._read_only)
            event.listen(engine, "connect", self._remember)
            self._engine = engine
            try:
                # A migration may take its time.
                with engine.begin() as connection:
                    if self._read_only:
                        found = version_of(connection)
                        check_version(found)
                        if not found:
                            raise ArchiveUnavailable("there is no archive yet: an operator makes it")
                    else:
                        migrate(connection)
            except BaseException:
                self.close()
                raise
        return self._engine

    def _remember(self, connection: Any, _: Any) -> None:
        """Keep a second descriptor of the connection's socket: its number cannot come to mean another one."""
        if hasattr(connection, "fileno"):
            self._keep(socket.socket(fileno=os.dup(connection.fileno())))

    def _keep(self, connected: socket.socket | None) -> None:
        with self._socket_lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = connected


def _open(url: str, *, read_only: bool) -> Engine:
    target = driver_url(url)
    lite = target.startswith("sqlite")
    if lite and read_only and not Path(target.removeprefix("sqlite:///")).is_file():
        raise NotUsable(f"the archive's URL: there is no file {target.removeprefix('sqlite:///')}")
    options: dict[str, Any] = {"timeout": LOCKED_SECONDS}
    if not lite:
        options = {
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "carillon",
            "keepalives_idle": SILENCE_SECONDS // 2,
            "keepalives_interval": SILENCE_SECONDS // 4,
            "keepalives_count": 2,
            "tcp_user_timeout": SILENCE_SECONDS * 1000,
            # A pooler before the server may give every transaction another connection.
            "prepare_threshold": None,
        }
    try:
        engine = create_engine(
            target, connect_args=options, pool_size=1, max_overflow=0, pool_pre_ping=not lite, hide_parameters=True
        )
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise NotUsable(f"the archive's URL is not understood; {CURE}") from None
    except ImportError as error:
        raise NotUsable(f"the archive needs {error.name}: pip install 'carillon[archive]'") from None
    # One statement for many rows, and not one for each: measured, twice as fast.
    engine.dialect.use_insertmanyvalues_wo_returning = True
    if lite and not read_only:
        event.listen(engine, "connect", _prepare_sqlite)
        # Python's sqlite3 would begin no transaction before a CREATE TABLE.
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None
    # Readers beside the writer; a commit is on the disk before it is said to be done.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _insert(connection: Connection) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(RUNS) if connection.dialect.name == "postgresql" else sqlite.insert(RUNS)


def _row(record: Record, now: datetime) -> dict[str, Any]:
    row = {name: storable(getattr(record, name)) for name in record.__slots__}
    return {**row, "recorded_at": now}


def _explained(error: SQLAlchemyError) -> ArchiveUnavailable | RecordsRefused:
    """Say in one line what the database said; statements and parameters stay out of it."""
    said = str(error.orig if isinstance(error, StatementError) and error.orig is not None else error)
    words = " ".join(said.split("\n\n")[0].split())[:500] or error.__class__.__name__
    of_the_data = isinstance(error, DataError | IntegrityError)
    before_it_was_sent = isinstance(error, StatementError) and not isinstance(error, DBAPIError)
    return RecordsRefused(words) if of_the_data or before_it_was_sent else ArchiveUnavailable(words)
