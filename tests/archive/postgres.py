"""A PostgreSQL server of the tests' own: in a temporary directory, on loopback, ended by its process id.

The databases' own word is wanted here, so there is no fake; `hack/postgres` brings the programs.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.conftest import REPOSITORY

ACCOUNT = "postgres"
START_SECONDS = 30.0
ROLE, PASSWORD = "archivist", "correct horse"


@dataclass
class Postgres:
    """One server; `down` and `up` again keep what it has stored."""

    programs: Path
    directory: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None
    asleep: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/postgres"

    def up(self) -> None:
        command = [self.programs / "postgres", "-D", self.directory / "data", "-p", str(self.port)]
        # fsync stays on: what was said to be written has to be there after a kill.
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.directory}"]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen([*_as_account(), *map(str, command)], stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.directory / "log").read_text()
                assert time.monotonic() < deadline, (self.directory / "log").read_text()
                time.sleep(0.05)

    def down(self) -> None:
        """Stop it at once, connections and all."""
        self.wake()
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(START_SECONDS)
            self.process = None

    def hang(self) -> None:
        """Have it accept connections and answer nothing, as on a machine whose disk is gone."""
        assert self.process is not None
        server = self.process.pid
        self.asleep = [*map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split()), server]
        for each in self.asleep:
            os.kill(each, signal.SIGSTOP)

    def wake(self) -> None:
        for each in self.asleep:
            os.kill(each, signal.SIGCONT)
        self.asleep = []

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def empty(self) -> None:
        """Throw away the tables."""
        self.sql("DROP TABLE IF EXISTS carillon_runs, carillon_schema")


@contextmanager
def running() -> Iterator[Postgres]:
    """A new server."""
    found = subprocess.run([REPOSITORY / "hack/postgres"], capture_output=True, text=True)
    assert found.returncode == 0, f"hack/postgres: {found.stderr}"
    programs = Path(found.stdout.strip())
    # Not pytest's: its directories are closed to the account that the server runs under.
    directory = Path(tempfile.mkdtemp(prefix="carillon-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, ACCOUNT)
        password = directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        initdb = [programs / "initdb", "-D", directory / "data", "-U", ROLE, "--pwfile", password]
        initdb += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        made = subprocess.run([*_as_account(), *map(str, initdb)], capture_output=True, text=True, cwd="/")
        assert made.returncode == 0, made.stdout + made.stderr
        server = Postgres(programs, directory, _free_port())
        try:
            server.up()
            yield server
        finally:
            server.down()
    finally:
        shutil.rmtree(directory)


def _as_account() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    group = pwd.getpwnam(ACCOUNT).pw_gid
    return ["setpriv", f"--reuid={ACCOUNT}", f"--regid={group}", "--clear-groups", "--"]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
