"""The one run that autoStart makes: told by its owner and its name, for a trigger name is anybody's to write."""

from carillon.engine import names
from carillon.engine.model import Definition, Run

AUTO_START = "autoStart"
"""The trigger name of the run."""


def is_auto_start(definition: Definition, run: Run) -> bool:
    """Whether this is the run that autoStart has made for this very definition."""
    return (
        run.spec.trigger.name == AUTO_START
        and run.owner_uid == definition.uid
        and run.name in names.auto_start_runs(definition.key.name, definition.uid)
    )
