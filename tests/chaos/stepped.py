"""`carillon` with a wall clock that the tests set: so many seconds off as the file says that CHAOS_CLOCK names."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from carillon.cli.main import main
from carillon.controller import operator

CLOCK = "CHAOS_CLOCK"


def now() -> datetime:
    """The time that the tests want it to be."""
    return datetime.now(UTC) + timedelta(seconds=float(Path(os.environ[CLOCK]).read_text()))


if __name__ == "__main__":
    operator.utc_now = now
    main()
