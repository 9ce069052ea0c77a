"""`carillon task …`: what the chart's system jobs run, in the operator's own image, through Carillon itself."""

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from carillon.cli.exit_codes import Exit
from carillon.engine import audit
from carillon.kube.errors import ApiError, NotConfigured, Unreachable

if TYPE_CHECKING:
    from carillon.controller.inventory import Inventory

SECOND_LOOK_SECONDS = 5.0

app = typer.Typer(help="Tasks of the system jobs: verify and report.", no_args_is_help=True)

Namespaces = Annotated[
    str,
    typer.Option(
        envvar="CARILLON_WATCH_NAMESPACES", help="Namespaces to look at, separated by commas; empty: the whole cluster."
    ),
]
Kubeconfig = Annotated[str | None, typer.Option(help="Path of a kubeconfig; default: $KUBECONFIG, or the pod's own.")]


def _look(namespaces: str, kubeconfig: str | None) -> "Inventory":
    # Imported here: help and completion must be quick.
    from carillon.controller.inventory import take
    from carillon.controller.settings import split_names

    try:
        return asyncio.run(take(split_names(namespaces), kubeconfig=kubeconfig))
    except (ApiError, Unreachable, NotConfigured) as error:
        typer.echo(f"carillon task: {error}", err=True)
        raise typer.Exit(Exit.UNREACHABLE) from None


@app.command()
def verify(namespaces: Namespaces = "", kubeconfig: Kubeconfig = None) -> None:
    """Check that every due time of the last day is accounted for, and that nothing is orphaned or stuck.

    Exits with 1 and a list when something is not as it should be.
    """
    seen = _look(namespaces, kubeconfig)
    findings = audit.verify(seen.definitions, seen.runs, seen.jobs, datetime.now(UTC))
    if findings:
        # What was just being done is no finding: look again, and keep what is still so.
        time.sleep(SECOND_LOOK_SECONDS)
        seen = _look(namespaces, kubeconfig)
        again = audit.verify(seen.definitions, seen.runs, seen.jobs, datetime.now(UTC))
        before = {finding.about for finding in findings}
        findings = [finding for finding in again if finding.about in before]
    typer.echo(f"{len(seen.definitions)} ScheduledJobs, {len(seen.runs)} JobRuns and {len(seen.jobs)} Jobs looked at")
    if not findings:
        typer.echo("every due time is accounted for; nothing is orphaned or stuck")
        return
    typer.echo(f"{len(findings)} findings:")
    for finding in findings:
        typer.echo(f"  {finding}")
    raise typer.Exit(Exit.FAILED)


@app.command()
def report(namespaces: Namespaces = "", kubeconfig: Kubeconfig = None) -> None:
    """Print the failures of the last day, what is overdue, and the crowded minutes of the coming day."""
    seen = _look(namespaces, kubeconfig)
    day = audit.report(seen.definitions, datetime.now(UTC))
    outcomes = ", ".join(f"{count} {phase}" for phase, count in day.finished.items()) or "none"
    typer.echo(f"Runs that ended since {day.since:%Y-%m-%d %H:%MZ}: {outcomes}")
    lists = {
        "Failures": day.failures,
        "Overdue": day.overdue,
        "Invalid": day.invalid,
        "Crowded minutes": day.crowded,
    }
    for title, lines in lists.items():
        typer.echo(f"\n{title}: {'none' if not lines else len(lines)}")
        for line in lines:
            typer.echo(f"  {line}")
