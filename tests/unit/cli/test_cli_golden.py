"""What the commands print, kept as files that a person would like to read.

`CARILLON_GOLDEN=write pytest tests/unit/cli` writes them anew; read the difference before it is committed.
"""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.unit.cli.fake import FakeApi, fleet, shop
from tests.unit.cli.office import office

GOLDEN = Path(__file__).parent / "golden"

CASES: list[tuple[str, Callable[[], FakeApi], str, int]] = [
    ("next-name", shop, "next dump --count 4", 80),
    ("next-two-triggers", shop, "next report --from 2026-11-29T00:00:00Z --count 4", 80),
    ("next-disabled", shop, "next paused --count 2", 80),
    ("next-manual", shop, "next by-hand", 80),
    ("next-namespace", shop, "next", 80),
    ("next-everywhere", shop, "next -A", 100),
    ("next-everywhere-narrow", shop, "next -A --count 2", 80),
    (
        "next-gap",
        shop,
        "next --cron '30 2 * * *' --time-zone Europe/Paris --from 2027-03-27T00:00:00Z --count 3",
        80,
    ),
    (
        "next-gap-wall-clock",
        shop,
        "next --cron '30 2 * * *' --time-zone Europe/Paris --daylight-saving WallClock --from 2027-03-27T00:00:00Z "
        "--count 3",
        80,
    ),
    (
        "next-repeated",
        shop,
        "next --cron '30 2 * * *' --time-zone Europe/Paris --from 2026-10-24T00:00:00Z --count 3",
        80,
    ),
    (
        "next-repeated-wall-clock",
        shop,
        "next --cron '30 2 * * *' --time-zone Europe/Paris --daylight-saving WallClock --from 2026-10-24T00:00:00Z "
        "--count 3",
        80,
    ),
    (
        "next-half-hour",
        shop,
        "next --cron '15 2 * * *' --time-zone Australia/Lord_Howe --from 2027-10-01T00:00:00Z --count 3",
        80,
    ),
    ("next-exclusions", shop, "next invoices --from 2026-12-22T20:00:00Z --count 3", 80),
    ("next-excluded-listed", shop, "next invoices --from 2026-12-22T20:00:00Z --count 3 --excluded", 80),
    ("explain-excluded", shop, "explain invoices --at '2026-11-11 19:00'", 80),
    ("explain-will-be-excluded", shop, "explain invoices --at '2026-12-25 19:00'", 80),
    ("explain-jitter", shop, "explain invoices --at 2026-12-02T18:00:00Z", 80),
    ("backfill-exclusions", shop, "backfill invoices --from 2026-11-10T00:00:00Z --to 2026-11-13T00:00:00Z", 80),
    ("next-json", shop, "next dump --count 2 -o json", 80),
    ("next-json-many", shop, "next -A --count 1 -o json", 80),
    ("next-hash", shop, "next --cron 'H 3 * * *' --from 2026-11-22T18:00:00Z --count 2", 80),
    ("next-bad-cron", shop, "next --cron '0 25 * * *'", 80),
    ("explain-ran", shop, "explain dump --at 2026-11-22T01:30:00Z", 80),
    ("explain-late", shop, "explain dump --at '2026-11-21 02:30'", 80),
    ("explain-failed", shop, "explain dump --at '2026-11-17 02:30'", 80),
    ("explain-skipped", shop, "explain dump --at '2026-11-20 02:30'", 80),
    ("explain-within-the-minute", shop, "explain dump --at 2026-11-20T01:30:45Z", 80),
    ("explain-nothing", shop, "explain dump --at 12:00", 80),
    ("explain-future", shop, "explain dump --at '2026-11-23 02:30'", 80),
    ("explain-before-creation", shop, "explain dump --at '2026-10-30 02:30'", 80),
    ("explain-missing", shop, "explain dump --at '2026-11-18 02:30'", 80),
    ("explain-gap", shop, "explain dump --at '2027-03-28 02:30'", 80),
    ("explain-disabled", shop, "explain paused --at 2026-11-23T08:00:00Z", 80),
    ("explain-manual", shop, "explain by-hand --at 10:00", 80),
    ("explain-json", shop, "explain dump --at '2026-11-20 02:30' -o json", 80),
    ("load-day", fleet, "load", 80),
    ("load-week", fleet, "load --days 7", 80),
    ("load-day-narrow", fleet, "load", 40),
    ("load-week-narrow", fleet, "load --days 7", 40),
    ("load-quiet", shop, "load -n shop", 80),
    ("backfill-dry-run", shop, "backfill dump --from '2026-11-17 00:00' --to '2026-11-22 12:00'", 80),
    ("backfill-yes", shop, "backfill dump --from '2026-11-17 00:00' --to '2026-11-22 12:00' --yes", 120),
    (
        "backfill-too-much",
        shop,
        "backfill feed -n shop --from 2026-11-01T00:00:00Z --to 2026-11-22T00:00:00Z --limit 5",
        80,
    ),
    ("backfill-disabled", shop, "backfill paused --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z", 80),
    ("no-such-job", shop, "explain dupm --at 10:00", 80),
    ("next-yaml", shop, "next dump --count 2 -o yaml", 80),
    ("list", office, "list -n files", 120),
    ("list-narrow", office, "list -n files", 80),
    ("list-everywhere", office, "list -A", 120),
    ("list-wide", office, "list -n files -o wide", 160),
    ("list-filtered", office, "list -A --class user --owner dba@example.com --status failed", 120),
    ("list-none", office, "list -n nowhere", 80),
    ("list-name", office, "list -n files -o name", 80),
    ("get", office, "get nightly-database-dump compress-folder-k4d9w -n files", 120),
    ("get-narrow", office, "get nightly-database-dump compress-folder-k4d9w -n files", 80),
    ("get-yaml", office, "get jr/compress-folder-k4d9w -n files -o yaml", 120),
    ("get-missing", office, "get nightly-databse-dump -n files", 80),
    ("describe", office, "describe nightly-database-dump -n files", 120),
    ("describe-narrow", office, "describe nightly-database-dump -n files", 80),
    ("describe-disabled", office, "describe resync -n files", 80),
    ("describe-invalid", office, "describe hello -n files", 80),
    ("describe-manual", office, "describe compress-folder -n files", 80),
    ("describe-run", office, "describe jr/nightly-database-dump-1795311000 -n files", 80),
    ("describe-run-active", office, "describe compress-folder-k4d9w -n files", 80),
    ("history", office, "history nightly-database-dump -n files", 120),
    ("history-narrow", office, "history nightly-database-dump -n files", 80),
    ("history-json", office, "history nightly-database-dump -n files --limit 1 -o json", 80),
    ("history-none", office, "history check-dns -n files", 80),
    ("errors", office, "errors -n files", 120),
    ("errors-narrow", office, "errors -n files", 80),
    ("errors-everywhere", office, "errors -A --since 3d", 120),
    ("errors-one", office, "errors nightly-database-dump -n files --since 90m", 80),
    ("errors-json", office, "errors nightly-database-dump -n files -o json", 80),
    ("logs", office, "logs nightly-database-dump -n files", 80),
    ("logs-no-such-attempt", office, "logs nightly-database-dump-1795311000 -n files --attempt 3", 120),
    ("logs-attempt", office, "logs nightly-database-dump-1795311000 -n files --attempt 2 --prefix", 120),
    ("logs-last-words", office, "logs report-7 -n files", 80),
    ("logs-no-container", office, "logs report-7 -n files --container sidecar", 80),
    ("logs-gone", office, "logs nightly-database-dump-1795138200 -n files", 80),
    ("run", office, "run compress-folder -n files -p folder=reports", 80),
    ("run-yaml", office, "run compress-folder -n files -p folder=reports --name today -o yaml", 80),
    ("run-several", office, "run check-dns resync -n files", 80),
    ("run-disabled", office, "run resync -n files", 80),
    ("run-unknown-parameter", office, "run compress-folder -n files -p foldr=reports", 80),
    ("run-dry-run", office, "run --all -n files --dry-run", 120),
    ("rerun", office, "rerun compress-folder-k4d9w -n files", 80),
    ("stop", office, "stop compress-folder -n files", 80),
    ("stop-finished", office, "stop nightly-database-dump-1795311000 -n files", 80),
    ("stop-none", office, "stop nightly-database-dump -n files", 80),
    ("pause", office, "pause compress-folder-k4d9w -n files", 80),
    ("resume-not-paused", office, "resume compress-folder-k4d9w -n files", 80),
    ("disable", office, "disable nightly-database-dump -n files --reason 'the disk is full' --until 2h", 80),
    ("disable-all", office, "disable --all -n files", 120),
    ("disable-dry-run", office, "disable --owner shop@example.com --dry-run -A", 80),
    ("enable", office, "enable resync check-dns -n files", 80),
    ("enable-json", office, "enable resync -n files -o json", 80),
    ("clear", office, "clear nightly-database-dump compress-folder -n files", 80),
    ("clear-failed", office, "clear --all -n files --failed", 80),
    ("clear-dry-run", office, "clear --all -n files --dry-run", 80),
    ("clear-none", office, "clear check-dns -n files", 80),
    ("bulk-too-many", fleet, "disable --all -n backups", 80),
    ("bulk-which", office, "disable -n files", 80),
    *(
        (f"help-{name.replace(' ', '-') or 'carillon'}-{columns}", office, f"{name} --help".strip(), columns)
        for name in (
            "",
            "list",
            "get",
            "describe",
            "history",
            "errors",
            "logs",
            "next",
            "explain",
            "load",
            "run",
            "rerun",
            "stop",
            "pause",
            "resume",
            "backfill",
            "disable",
            "enable",
            "clear",
            "import cronjob",
            "task",
        )
        for columns in (80, 120)
    ),
]


@pytest.mark.parametrize(("name", "cluster", "line", "columns"), CASES, ids=[case[0] for case in CASES])
def test_golden(name: str, cluster: Callable[[], FakeApi], line: str, columns: int) -> None:
    done = cluster().invoke(*shlex.split(line), columns=columns)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    shown = f"$ carillon {line}\n{done.output}"
    if done.exit_code:
        shown += f"[exit code {done.exit_code}]\n"
    assert max(map(cell_len, done.stdout.splitlines()), default=0) <= columns or "-o " in line
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("CARILLON_GOLDEN") == "write":
        path.write_text(shown)
    assert shown == path.read_text()


def test_no_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {case[0] for case in CASES}
