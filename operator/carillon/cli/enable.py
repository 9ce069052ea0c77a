"""`carillon disable` and `carillon enable`: whether the triggers of ScheduledJobs fire."""

from datetime import datetime
from typing import Annotated, Any

import typer

from carillon.api.base import rfc3339
from carillon.cli import completion
from carillon.cli.bulk import Deed, DryRun, Yes, carry_out
from carillon.cli.cluster import Cluster, Place, connected, world_of
from carillon.cli.moments import duration_of, rfc3339_of
from carillon.cli.options import ObjectFormat, ObjectOutput, placed
from carillon.cli.problems import run, usage
from carillon.cli.seen import SeenJob
from carillon.cli.selection import Filters, chosen_jobs, filtering
from carillon.kube.resources import SCHEDULED_JOBS

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME", help="ScheduledJobs.", autocompletion=completion.jobs)
]


@placed(everywhere=True)
@filtering()
def disable_command(
    context: typer.Context,
    place: Place,
    filters: Filters,
    names: Names = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for those who wonder.")] = "",
    until: Annotated[
        str, typer.Option(metavar="TIME", help="Enabled again from then on: RFC 3339, or a duration such as 2h or 3d.")
    ] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    output: ObjectFormat = ObjectOutput.TABLE,
) -> None:
    """Disable ScheduledJobs: nothing fires, and Run Now is refused unless forced.

    Active runs go on. What is due meanwhile is not made up for.
    """
    world = world_of(context)

    async def work() -> None:
        end = _until(until, world.now())
        async with connected(world, place) as cluster:
            jobs = await chosen_jobs(cluster, place, names or (), filters)
            wanted: dict[str, Any] = {"suspend": True, "suspendReason": reason or None, "suspendUntil": end}
            if not dry_run:
                wanted["suspendedBy"] = await cluster.myself() or None
            told = bool(reason or end)

            async def act(job: SeenJob) -> str:
                if _is_so(job, world.now()):
                    return "already disabled"
                await cluster.patch(SCHEDULED_JOBS, job.raw, {"spec": wanted}, strict=told)
                return "disabled"

            def _is_so(job: SeenJob, now: datetime) -> bool:
                return job.disabled(now) and not told

            deed: Deed[SeenJob] = Deed(
                "disable", "ScheduledJob", act, lambda j: "already disabled" if _is_so(j, world.now()) else "disabled"
            )
            await carry_out(deed, jobs, yes=yes, dry_run=dry_run, output=output)

    run(work())


@placed(everywhere=True)
@filtering()
def enable_command(
    context: typer.Context,
    place: Place,
    filters: Filters,
    names: Names = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: ObjectFormat = ObjectOutput.TABLE,
) -> None:
    """Enable ScheduledJobs; they fire from their next due time on."""
    world = world_of(context)

    async def work() -> None:
        async with connected(world, place) as cluster:
            jobs = await chosen_jobs(cluster, place, names or (), filters)
            deed: Deed[SeenJob] = Deed(
                "enable",
                "ScheduledJob",
                lambda job: _enable(cluster, job),
                lambda job: "enabled" if job.spec.get("suspend") else "already enabled",
            )
            await carry_out(deed, jobs, yes=yes, dry_run=dry_run, output=output)

    run(work())


async def _enable(cluster: Cluster, job: SeenJob) -> str:
    if not job.spec.get("suspend"):
        return "already enabled"
    others = {field: None for field in ("suspendReason", "suspendedBy", "suspendUntil") if field in job.spec}
    await cluster.patch(SCHEDULED_JOBS, job.raw, {"spec": {"suspend": False, **others}})
    return "enabled"


def _until(text: str, now: datetime) -> str | None:
    if not text:
        return None
    end = now + duration_of(text, "--until") if text[-1:] in "wdhms" else rfc3339_of(text, "--until")
    if end <= now:
        raise usage(f"--until {text} is past: write a time to come, or leave it out")
    return rfc3339(end)
