"""What went wrong, in words, on stderr; and the exit code that goes with it."""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, TypeVar

import typer

from carillon.api.base import GROUP
from carillon.cli.exit_codes import Exit
from carillon.kube.errors import ApiError, NotConfigured, Unreachable
from carillon.kube.resources import Resource

Value = TypeVar("Value")

_RBAC = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource')
_UNKNOWN_FIELD = re.compile(r'unknown field "([^"]*)"')
LONGEST_WORDS = 1_000
_ROLES = {
    ("jobruns", "create"): "run",
    ("jobruns", "patch"): "run",
    ("jobruns", "delete"): "admin",
    ("jobruns", "deletecollection"): "admin",
    ("scheduledjobs", "administer"): "administer",
}
_LOOKING = ("get", "list", "watch")


class Problem(Exception):  # noqa: N818
    """The command ends here; the message is for the person who typed it."""

    def __init__(self, message: str, code: int = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code
        """One of Exit; or that of a task, passed on."""


class Told(Problem):
    """A problem of which everything has been said already."""


def usage(message: str) -> Problem:
    """Make the problem of a command line that is not understood."""
    return Problem(message, Exit.USAGE)


def stop(problem: Problem) -> typer.Exit:
    """Say what is wrong on stderr, and make the exit to raise."""
    if not isinstance(problem, Told):
        typer.echo(f"carillon: {problem}", err=True)
    return typer.Exit(problem.code)


def run(work: Coroutine[Any, Any, Value]) -> Value:
    """Run a command's work; its problems end the process in words and with their code."""
    try:
        return asyncio.run(work)
    except Problem as problem:
        raise stop(problem) from None
    except KeyboardInterrupt:
        typer.echo("carillon: interrupted", err=True)
        raise typer.Exit(Exit.INTERRUPTED) from None


def explained(
    error: ApiError | Unreachable | NotConfigured, verb: str, resource: Resource, namespace: str | None, name: str = ""
) -> Problem:
    """Put a failed request into words: what was asked, why it failed, what would help."""
    if not isinstance(error, ApiError):
        return Problem(str(error), Exit.UNREACHABLE)
    if error.status == 401:
        return Problem("the API server does not know you (401): log in again, or name another --context", Exit.REFUSED)
    where = f"in namespace {namespace}" if namespace else "in the whole cluster"
    if error.forbidden:
        return Problem(_forbidden(error, verb, resource, where, namespace), Exit.REFUSED)
    if error.not_found and name and (f'"{name}"' in error.message):
        return Problem(f"there is no {resource.kind} {name} {where}")
    if error.not_found:
        return Problem(
            f"the API server knows no {resource.plural}.{resource.group}: is Carillon installed in this cluster?"
        )
    subject = f"{resource.kind} {name}" if name else resource.plural
    if unknown := sorted(set(_UNKNOWN_FIELD.findall(error.message))):
        words = f"the cluster does not know {', '.join(unknown)}: its Carillon is older than this command"
        return Problem(f"{subject} {where}: {words}; upgrade it, with its CRDs", Exit.REFUSED)
    if error.invalid or error.status == 400:
        # A refused patch is told with the whole object.
        words = error.message if len(error.message) <= LONGEST_WORDS else f"{error.message[:LONGEST_WORDS]}…"
        return Problem(f"{verb} {subject} {where}: refused: {words}", Exit.REFUSED)
    code = Exit.UNREACHABLE if error.server_error or error.throttled else Exit.FAILED
    return Problem(f"{verb} {subject} {where}: {error}", code)


def _forbidden(error: ApiError, verb: str, resource: Resource, where: str, namespace: str | None) -> str:
    found = _RBAC.search(error.message)
    if found is None:
        return f"refused: {error.message}"  # an admission policy or a quota, in its own words
    verb = found["verb"]  # whoever follows a collection asks for two
    role = _ROLES.get((resource.plural, verb), "view" if verb in _LOOKING else "edit")
    # Kubernetes' own kinds are in its own roles.
    ask = f"ask for the role carillon-{role}" if resource.group == GROUP else f"ask for the built-in role {role}"
    if not namespace and verb in _LOOKING:
        ask += " in the whole cluster, or name a namespace with -n"
    return f"you may not {verb} {resource.plural} {where}: {ask} (you are {found['user']})"
