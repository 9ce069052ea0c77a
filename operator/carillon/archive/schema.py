"""The tables, and how those of an older version become the present ones.

Each step of MIGRATIONS brings the schema one version further, in the same transaction as the note that says so; a step
that has been released never changes. New installations walk all of them, so that both ways lead to the same tables. The
steps are SQL that PostgreSQL and SQLite both understand, but for the names of types (`{instant}`, `{document}`).
"""

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    inspect,
    select,
    text,
)

from carillon.archive.columns import Document, Instant
from carillon.archive.errors import ArchiveUnavailable

metadata = MetaData()
RUNS = Table(
    "carillon_runs",
    metadata,
    Column("uid", String, primary_key=True),
    Column("namespace", String, nullable=False),
    Column("scheduled_job", String, nullable=False),
    Column("name", String, nullable=False),
    Column("definition_uid", String, nullable=False),
    Column("label", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("job_class", String, nullable=False),
    Column("trigger_type", String, nullable=False),
    Column("trigger_name", String, nullable=False),
    Column("backfill", String, nullable=False),
    Column("scheduled_time", Instant),
    Column("requested_by", Text, nullable=False),
    Column("parameters", Document),
    Column("phase", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("message", Text, nullable=False),
    Column("exit_code", BigInteger),
    Column("attempts", Integer),
    Column("created", Instant),
    Column("start_time", Instant),
    Column("completion_time", Instant, nullable=False),
    Column("steps", Document, nullable=False),
    Column("resource_version", String, nullable=False),
    Column("whole", Boolean, nullable=False),
    Column("recorded_at", Instant, nullable=False),
)
VERSION = Table("carillon_schema", MetaData(), Column("version", Integer, nullable=False))

Migrations = Sequence[Sequence[str]]

MIGRATIONS: Migrations = (
    (
        """CREATE TABLE carillon_runs (
            uid varchar PRIMARY KEY,
            namespace varchar NOT NULL,
            scheduled_job varchar NOT NULL,
            name varchar NOT NULL,
            definition_uid varchar NOT NULL,
            label text NOT NULL,
            owner text NOT NULL,
            job_class varchar NOT NULL,
            trigger_type varchar NOT NULL,
            trigger_name varchar NOT NULL,
            backfill varchar NOT NULL,
            scheduled_time {instant},
            requested_by text NOT NULL,
            parameters {document},
            phase varchar NOT NULL,
            reason varchar NOT NULL,
            message text NOT NULL,
            exit_code bigint,
            attempts integer,
            created {instant},
            start_time {instant},
            completion_time {instant} NOT NULL,
            steps {document} NOT NULL,
            resource_version varchar NOT NULL,
            whole boolean NOT NULL,
            recorded_at {instant} NOT NULL
        )""",
        # `list` reads the newest: of the whole archive, or of one job. The third is for a namespace of many jobs.
        "CREATE INDEX carillon_runs_by_time ON carillon_runs (completion_time, uid)",
        "CREATE INDEX carillon_runs_by_job ON carillon_runs (namespace, scheduled_job, completion_time, uid)",
        "CREATE INDEX carillon_runs_by_namespace ON carillon_runs (namespace, completion_time, uid)",
        "CREATE INDEX carillon_runs_by_name ON carillon_runs (namespace, name)",
    ),
)

_TYPES = {
    "postgresql": {"instant": "timestamptz", "document": "jsonb"},
    "sqlite": {"instant": "varchar(20)", "document": "json"},
}
_MIGRATION_LOCK = 0x6361_7269
"""`cari`: two operators of one database must not migrate it at the same time."""


def version_of(connection: Connection) -> int:
    """Read the version of the schema; 0 where there is none."""
    if not inspect(connection).has_table(VERSION.name):
        return 0
    return connection.execute(select(func.max(VERSION.c.version))).scalar() or 0


def migrate(connection: Connection, migrations: Migrations = MIGRATIONS) -> int:
    """Bring the schema forward, in the connection's transaction; returns the version that was found.

    Raises:
        ArchiveUnavailable: the schema is newer than this program knows.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    found = version_of(connection)
    check_version(found, migrations)
    if found == 0:
        VERSION.create(connection, checkfirst=True)
        connection.execute(VERSION.insert().values(version=0))
    for steps in migrations[found:]:
        for step in steps:
            connection.execute(text(step.format(**_TYPES[connection.dialect.name])))
    if found < len(migrations):
        connection.execute(VERSION.update().values(version=len(migrations)))
    return found


def check_version(found: int, migrations: Migrations = MIGRATIONS) -> None:
    """Raise ArchiveUnavailable where the schema is newer than this program: it would not know what it writes into."""
    if found > len(migrations):
        raise ArchiveUnavailable(
            f"the archive's schema has version {found}, and this carillon knows {len(migrations)}: use a newer one"
        )
