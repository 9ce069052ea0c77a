"""`make bench-latency`: from due time to Job created, one definition due every second, as a separate watcher sees it.

The watcher notes a Job when the API server's watch delivers it, a little after it was created, so the figure is an
upper bound. No kubelet runs: a stand-in reports every pod as succeeded, so that runs end and old ones are pruned.
"""

import argparse
import asyncio
import time
from contextlib import aclosing
from datetime import UTC, datetime

from carillon.api import keys
from carillon.kube.resources import JOBS, SCHEDULED_JOBS
from tests.bench.harness import (
    NAMESPACE,
    OperatorProcess,
    client,
    control_plane,
    finish_pods,
    percentile,
    scheduled_job,
)


async def measure(kubeconfig: str, samples: int) -> None:
    """Collect the lateness of so many Jobs."""
    operator = OperatorProcess(kubeconfig)
    late: list[float] = []
    try:
        async with client(kubeconfig) as connection:
            kubelet = asyncio.create_task(finish_pods(connection))
            await asyncio.sleep(5)
            start = datetime.fromtimestamp(int(time.time()) - 60, UTC)
            interval = f"R/{start:%Y-%m-%dT%H:%M:%SZ}/PT1S"
            _, version = await connection.list(JOBS, NAMESPACE)
            await connection.create(
                SCHEDULED_JOBS, NAMESPACE, scheduled_job("every-second", [{"name": "second", "interval": interval}])
            )
            stream = connection.watch(JOBS, NAMESPACE, resource_version=version, timeout_seconds=samples + 60)
            async with aclosing(stream) as events:
                async for kind, job in events:
                    if kind == "ADDED":
                        due = datetime.fromisoformat(job["metadata"]["annotations"][keys.SCHEDULED_TIME_ANNOTATION])
                        late.append(time.time() - due.timestamp())
                        if len(late) >= samples:
                            break
            kubelet.cancel()
    finally:
        operator.stop()
    shown = ", ".join(f"p{share * 100:.0f} {percentile(late, share) * 1000:.0f} ms" for share in (0.5, 0.9, 0.99))
    print(f"{len(late)} due times, one a second, from due time to Job seen: {shown}, max {max(late) * 1000:.0f} ms")
    print(f"log: {operator.log}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=200)
    arguments = parser.parse_args()
    with control_plane() as (kubeconfig, _):
        asyncio.run(measure(kubeconfig, arguments.samples))


if __name__ == "__main__":
    main()
