"""`make bench-idle`: memory and CPU of the operator at rest, with 1,000 ScheduledJobs of which none is due."""

import argparse
import asyncio
import time

from carillon.kube.resources import SCHEDULED_JOBS
from tests.bench.harness import NAMESPACE, OperatorProcess, client, control_plane, each, scheduled_job


async def measure(kubeconfig: str, count: int, seconds: int) -> None:
    """Create the definitions, wait until the operator has taken note of all, and watch it rest."""
    operator = OperatorProcess(kubeconfig)
    try:
        async with client(kubeconfig) as connection:
            daily = time.gmtime(time.time() + 43_200).tm_hour
            began = time.monotonic()
            await each(
                [
                    connection.create(
                        SCHEDULED_JOBS,
                        NAMESPACE,
                        scheduled_job(f"job-{n}", [{"name": "daily", "cron": f"{n % 60} {daily} * * *"}]),
                    )
                    for n in range(count)
                ]
            )
            while True:
                items, _ = await connection.list(SCHEDULED_JOBS, NAMESPACE)
                if sum(bool(item.get("status", {}).get("nextExecutions")) for item in items) == count:
                    break
                await asyncio.sleep(0.5)
            settled = time.monotonic() - began
            await asyncio.sleep(10)
            before = operator.footprint()
            await asyncio.sleep(seconds)
            after = operator.footprint()
    finally:
        operator.stop()
    cpu = (after.cpu_seconds - before.cpu_seconds) / seconds
    print(f"{count} ScheduledJobs, none due: created and taken note of in {settled:.1f} s")
    print(f"at rest for {seconds} s: {after.resident_bytes / 1e6:.0f} MB resident, {cpu:.2%} of a core")
    print(f"log: {operator.log}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    with control_plane() as (kubeconfig, _):
        asyncio.run(measure(kubeconfig, arguments.count, arguments.seconds))


if __name__ == "__main__":
    main()
