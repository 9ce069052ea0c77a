"""`make chaos`: every fault against a real API server, and a table of what became of each due time."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.harness import control_plane
from tests.chaos.faults import FAULTS
from tests.chaos.fleet import fleet, small_fleet
from tests.chaos.run import run


@contextmanager
def _kubeconfig(given: str) -> Iterator[Path]:
    if given:
        yield Path(given)
        return
    with control_plane("chaos", node=True) as made:
        yield Path(made.kubeconfig)


def main() -> None:
    """Exit code 1 when a due time was lost or doubled, or a bound was not kept."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("CHAOS_SECONDS", "600")))
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", default="", help="faults whose name contains this")
    parser.add_argument("--kubeconfig", default="", help="of a cluster of hack/cluster with our resources in it")
    parser.add_argument("--small", action="store_true", help="with few definitions, for a machine that is busy")
    arguments = parser.parse_args()
    faults = [fault for fault in FAULTS if any(part in fault.name for part in arguments.only.split(","))]
    print(f"{len(faults)} faults, {arguments.seconds:.0f} s of them; seed {arguments.seed}", flush=True)
    with _kubeconfig(arguments.kubeconfig) as kubeconfig:
        rows = asyncio.run(
            run(
                kubeconfig,
                faults,
                small_fleet() if arguments.small else fleet(),
                seconds=arguments.seconds / len(FAULTS),
                seed=arguments.seed,
                say=lambda line: print(line, flush=True),
            )
        )
    sys.exit(any(row.problems for row in rows))


if __name__ == "__main__":
    main()
