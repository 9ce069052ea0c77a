"""Asks robfig/cron, the native controller's own library, through the Go program in tests/robfig.

Both sides must read the same edition of the tz database. `zoneinfo` takes the first directory of its search path that
has a zone, and else the `tzdata` package; the Go program gets that very directory as ZONEINFO, which Go's
time.LoadLocation tries first.
"""

import json
import os
import shutil
import subprocess
import zoneinfo
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "robfig"
BINARY = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carillon" / "bin" / "robfig"


class RobfigError(Exception):
    """robfig/cron refuses the expression."""


class RobfigStuckError(Exception):
    """robfig/cron walks in circles: around a day that never was, it steps on the spot for ever."""


def zone_directory() -> Path:
    """Tell where `zoneinfo` reads zones from in this process."""
    for directory in zoneinfo.TZPATH:
        if (Path(directory) / "Europe" / "Paris").is_file():
            return Path(directory)
    return Path(str(resources.files("tzdata") / "zoneinfo"))


def build() -> Path:
    """Build the Go program; the build is in Go's cache when nothing changed."""
    go = shutil.which("go")
    if go is None:
        raise RuntimeError(
            "the differential test against robfig/cron needs Go, and there is no `go` on PATH; "
            "install Go 1.22 or later (https://go.dev/dl)"
        )
    BINARY.parent.mkdir(parents=True, exist_ok=True)
    # Aside and renamed, so that test runs at the same time do not see half of it.
    aside = BINARY.with_name(f"robfig.{os.getpid()}")
    done = subprocess.run(
        [go, "build", "-trimpath", "-o", str(aside), "."], cwd=SOURCE, capture_output=True, text=True, timeout=240
    )
    if done.returncode:
        raise RuntimeError(f"go build in {SOURCE} failed: {done.stderr.strip()}")
    aside.replace(BINARY)
    return BINARY


@dataclass
class Robfig:
    """The running Go program."""

    process: "subprocess.Popen[str]"

    @classmethod
    def start(cls) -> "Robfig":
        return cls(_run(build()))

    def stop(self) -> None:
        """Let it end: it does at the end of its input."""
        self.process.communicate(timeout=10)

    def chains(
        self,
        expression: str,
        zone: str,
        instants: list[int],
        *,
        length: int = 1,
        nanosecond: int = 0,
        patience: float = 20,
    ) -> list[list[int | None]]:
        """Follow `length` due times (unix seconds) from each instant; None ends a chain.

        Six fields are handed to robfig's parser with seconds, which the native controller does not use.
        """
        query = {
            "expression": expression,
            "zone": zone,
            "seconds": len(expression.split()) == 6 and not expression.startswith("@"),
            "instants": instants,
            "nanosecond": nanosecond,
            "length": length,
            "patience": patience,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(query) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if answer.get("stuck"):
            self.process.communicate(timeout=10)
            self.process = _run(BINARY)
            raise RobfigStuckError(f"{expression} in {zone}")
        if "error" in answer:
            raise RobfigError(answer["error"])
        due: list[list[int | None]] = answer["due"]
        return due


def _run(binary: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "ZONEINFO": str(zone_directory())}
    return subprocess.Popen(
        [str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
    )
