"""Runs as rows of a table, and what is to be said about one that went wrong."""

from collections.abc import Sequence
from datetime import datetime

from carillon.api.base import rfc3339
from carillon.cli.cluster import Object
from carillon.cli.screen import Column, Table
from carillon.cli.seen import SeenRun
from carillon.engine.words import clock, span

STYLES = {"Failed": "red", "Skipped": "yellow", "Stopped": "yellow", "Succeeded": "green", "Running": "cyan"}
WORDS_LINES = 6
"""Lines of a container's last words that are shown; `describe` and `logs` have them all."""

COLUMNS = (
    Column("NAMESPACE", flexible=1),
    Column("JOB", flexible=1),
    Column("RUN", flexible=2),
    Column("TRIGGER", style="dim", flexible=3, dispensable=3),
    Column("WHEN"),
    Column("TOOK", dispensable=1),
    Column("STATUS", styles=STYLES),
    Column("EXIT"),
    Column("REASON", style="dim", flexible=4, dispensable=2),
)


def runs_table(
    runs: Sequence[SeenRun], now: datetime, *, namespaces: bool = False, jobs: bool = False, words: bool = True
) -> Table:
    """Make the table of runs.

    Args:
        runs: in the order in which they are shown.
        now: for how long those that are active have taken.
        namespaces: whether to say where they are.
        jobs: whether to say of which ScheduledJob they are.
        words: whether the last words of those that failed stand below them.
    """
    table = Table(COLUMNS, keep=("RUN", "WHEN", "STATUS"))
    for run in runs:
        table.add(
            run.namespace if namespaces else "",
            run.job if jobs else "",
            run.name,
            run.trigger,
            clock(when, day=False) if (when := run.started or run.moment) else "",
            took(run, now),
            run.phase,
            "" if run.exit_code is None else str(run.exit_code),
            "" if run.reason == "Completed" else run.reason,
        )
        if words and run.failed and run.message:
            for line in last_lines(run.message, WORDS_LINES):
                table.remark(f"  └ {line}", "red" if run.phase == "Failed" else "yellow")
    return table


def took(run: SeenRun, now: datetime) -> str:
    """Tell how long a run took, or has taken so far; empty before it starts."""
    return span((run.ended or now) - run.started) if run.started else ""


def last_lines(text: str, most: int) -> list[str]:
    """Take the last lines of what was said, and say how many there are before them."""
    lines = [line.rstrip() for line in text.strip().splitlines() if line.strip()]
    left_out = len(lines) - most
    return lines if left_out <= 0 else [f"… {left_out} lines before", *lines[-most:]]


def run_data(run: SeenRun) -> Object:
    """A run for `-o json`: the same of a JobRun and of a line of history."""
    return {
        "namespace": run.namespace,
        "scheduledJob": run.job,
        "run": run.name,
        "uid": run.uid,
        "kept": run.kept,
        "trigger": run.trigger,
        "phase": run.phase,
        "reason": run.reason,
        "message": run.message,
        "exitCode": run.exit_code,
        "scheduledTime": rfc3339(run.due) if run.due else None,
        "startTime": rfc3339(run.started) if run.started else None,
        "completionTime": rfc3339(run.ended) if run.ended else None,
    }
