"""`make bench`: a burst, and then what is due every minute, beside the native controller on one API server.

BURST, SUSTAINED and MINUTES say how many and how long, SIDES who.
"""

import asyncio
import os

from tests.bench import burst, sustained
from tests.bench.harness import control_plane


def main() -> None:
    """Run both."""
    sides = os.environ.get("SIDES", "carillon,tuned,default").split(",")
    minutes = int(os.environ.get("MINUTES", "10"))
    bursts, everies = (burst.numbers(os.environ.get(*each)) for each in (burst.DEFAULT, sustained.DEFAULT))
    with control_plane("", burst.WITHOUT) as cluster:
        due = [
            asyncio.run(burst.measure(cluster, burst.SIDES[side], count, burst.SETTLE))
            for count in bursts
            for side in sides
        ]
        held = sustained.run(cluster, everies, sides, minutes)
    print(f"{os.cpu_count()} cores; lateness of Jobs as a separate watcher sees them\n\ndue in one minute")
    print("\n".join(burst.table(due)))
    print(f"\ndue every minute, for {minutes} minutes")
    print("\n".join(sustained.table(held)))


if __name__ == "__main__":
    main()
