"""How `carillon` ends, so that it can stand in a script. Every command keeps to these; `docs/cli.md` lists them."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the command."""

    OK = 0
    """Done; and what was looked at is as it should be."""
    FAILED = 1
    """Findings, a failure, or something that is not there."""
    USAGE = 2
    """The command line, a file or an expression could not be understood; nothing was done."""
    UNREACHABLE = 3
    """No API server could be asked, or it gave no whole answer."""
    REFUSED = 4
    """The API server said no: RBAC, an admission policy, a quota."""
    TIMEOUT = 5
    """What was waited for did not happen in time."""
    TASK = 6
    """A run that was waited for failed or was stopped, and no exit code of its own says how."""
    INTERRUPTED = 130
    """Ctrl-C, as shells say it."""
