"""`carillon`: the operator, and the tasks that the chart's system jobs run."""

import asyncio
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from carillon import __version__
from carillon.cli import archive, import_cronjob, task
from carillon.cli.backfill import backfill_command
from carillon.cli.clear import clear_command
from carillon.cli.control import pause_command, resume_command, stop_command
from carillon.cli.describe import describe_command
from carillon.cli.enable import disable_command, enable_command
from carillon.cli.errors import errors_command
from carillon.cli.exit_codes import Exit
from carillon.cli.explain import explain_command
from carillon.cli.get import get_command
from carillon.cli.history import history_command
from carillon.cli.list import list_command
from carillon.cli.load import load_command
from carillon.cli.logs import logs_command
from carillon.cli.next import next_command
from carillon.cli.run import rerun_command, run_command

SEE, LOOK, RUN = "What there is, and what happened", "Look ahead, and back", "Run jobs"
CHANGE, SERVE = "Definitions and their history", "In the cluster"

app = typer.Typer(
    name="carillon",
    help="Jobs on a schedule or on demand in Kubernetes, and a memory of what happened.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list", rich_help_panel=SEE)(list_command)
app.command("get", rich_help_panel=SEE)(get_command)
app.command("describe", rich_help_panel=SEE)(describe_command)
app.command("history", rich_help_panel=SEE)(history_command)
app.command("errors", rich_help_panel=SEE)(errors_command)
app.command("logs", rich_help_panel=SEE)(logs_command)
app.command("next", rich_help_panel=LOOK)(next_command)
app.command("explain", rich_help_panel=LOOK)(explain_command)
app.command("load", rich_help_panel=LOOK)(load_command)
app.add_typer(archive.app, name="archive", rich_help_panel=LOOK)
app.command("run", rich_help_panel=RUN)(run_command)
app.command("rerun", rich_help_panel=RUN)(rerun_command)
app.command("stop", rich_help_panel=RUN)(stop_command)
app.command("pause", rich_help_panel=RUN)(pause_command)
app.command("resume", rich_help_panel=RUN)(resume_command)
app.command("backfill", rich_help_panel=RUN)(backfill_command)
app.command("disable", rich_help_panel=CHANGE)(disable_command)
app.command("enable", rich_help_panel=CHANGE)(enable_command)
app.command("clear", rich_help_panel=CHANGE)(clear_command)
app.add_typer(import_cronjob.app, name="import", rich_help_panel=CHANGE)
app.add_typer(task.app, name="task", rich_help_panel=SERVE)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"carillon {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del version


@app.command(
    rich_help_panel=SERVE,
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def operator(context: typer.Context) -> None:
    """Run the operator; `carillon operator --help` lists its settings."""
    # Imported here: the other commands do not need kopf.
    from carillon.controller import logs
    from carillon.controller.operator import CannotStart, serve
    from carillon.controller.settings import load
    from carillon.kube.errors import NotConfigured

    try:
        settings = load(context.args)
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            given = f"; found {problem['input']!r}" if "input" in problem else ""
            typer.echo(f"carillon operator: {name}: {problem['msg']}{given}", err=True)
        typer.echo(
            "Each setting is a flag, CARILLON_… in the environment, or a key of $CARILLON_CONFIG_FILE.", err=True
        )
        raise typer.Exit(Exit.USAGE) from None
    logs.configure(settings.log_format, settings.log_level)
    try:
        asyncio.run(serve(settings))
    except (CannotStart, NotConfigured) as error:
        typer.echo(f"carillon operator: {error}", err=True)
        raise typer.Exit(Exit.USAGE) from None


def main() -> None:
    """Run the command line, under the name by which it was called: `carillon`, or kubectl's plugin."""
    plugin = Path(sys.argv[0]).name == "kubectl-carillon"
    app(prog_name="kubectl carillon" if plugin else "carillon")


def complete_for_kubectl() -> None:
    """Print what completes a line that begins with `kubectl carillon`; kubectl calls `kubectl_complete-carillon`."""
    words = sys.argv[1:]
    os.environ |= {
        "_CARILLON_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join(["carillon", *words]),
        "COMP_CWORD": str(len(words)),
    }
    app(prog_name="carillon")
