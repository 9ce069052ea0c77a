"""`carillon`: the operator, and the tasks that the chart's system jobs run."""

import asyncio
from typing import Annotated

import typer
from pydantic import ValidationError

from carillon import __version__
from carillon.cli import import_cronjob, task

EXIT_USAGE = 2

app = typer.Typer(
    name="carillon",
    help="Jobs on a schedule or on demand in Kubernetes, and a memory of what happened.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(task.app, name="task")
app.add_typer(import_cronjob.app, name="import")


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
        raise typer.Exit(EXIT_USAGE) from None
    logs.configure(settings.log_format, settings.log_level)
    try:
        asyncio.run(serve(settings))
    except (CannotStart, NotConfigured) as error:
        typer.echo(f"carillon operator: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None


def main() -> None:
    """Run the command line."""
    app(prog_name="carillon")
