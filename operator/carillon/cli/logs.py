"""`carillon logs`: what a run printed; where its pods are gone, the last words that its record keeps."""

from collections.abc import Sequence
from typing import Annotated

import typer

from carillon.api.keys import ATTEMPT_LABEL, RUN_UID_LABEL
from carillon.cli import completion
from carillon.cli.cluster import Cluster, Object, Place, connected, world_of
from carillon.cli.options import placed
from carillon.cli.problems import Problem, run, usage
from carillon.cli.screen import harmless
from carillon.cli.seen import SeenRun, past
from carillon.cli.selection import list_runs
from carillon.cli.tail import Tail, started, why_not_started
from carillon.cli.targets import find_target
from carillon.cli.wait import wait_for
from carillon.engine.words import listed
from carillon.kube.resources import PODS


@placed()
def logs_command(
    context: typer.Context,
    place: Place,
    name: Annotated[
        str,
        typer.Argument(
            help="A JobRun; or a ScheduledJob, of which the newest run is meant.",
            autocompletion=completion.runs_and_jobs,
        ),
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run is finished.")] = False,
    attempt: Annotated[int | None, typer.Option(min=1, metavar="N", help="Of this attempt alone (spec.retry).")] = None,
    container: Annotated[str, typer.Option("--container", "-c", metavar="NAME", help="Of this container alone.")] = "",
    tail_lines: Annotated[
        int | None, typer.Option("--tail", min=0, metavar="N", help="The last lines of each container.")
    ] = None,
    prefix: Annotated[bool, typer.Option("--prefix", help="Pod and container before each line.")] = False,
) -> None:
    """Print the logs of a run, of all its attempts.

    Where its pods are gone, what its record keeps of the last words.
    """
    world = world_of(context)

    async def work() -> None:
        if follow and attempt is not None:
            raise usage("--follow and --attempt: what is to come has no number yet; leave one of them out")
        async with connected(world, place) as cluster:
            each = await _run_of(cluster, place, name)
            tail = Tail(cluster, say=_say, container=container, tail_lines=tail_lines, prefix=prefix, follow=follow)
            if follow and each.kept and not each.finished:
                each = await wait_for(cluster, each, tail=tail, say=_say, patience=None)
                _say(f"{each.name}: {each.phase}{f' ({each.reason})' if each.reason else ''}")
                return
            pods = await _pods(cluster, each)
            _check_container(container, pods)
            await _print(pods, each, tail, attempt)
            if not tail.lines:
                _last_words(each, pods)

    run(work())


async def _run_of(cluster: Cluster, place: Place, name: str) -> SeenRun:
    found = await find_target(cluster, place.namespace or "", name)
    if isinstance(found, SeenRun):
        return found
    runs = past([found], await list_runs(cluster, place))
    # What has not started has no log; what was refused never will.
    begun = [each for each in runs if each.started is not None] or runs
    if not begun:
        raise Problem(f"{found.key} has not run yet")
    newest = max(begun, key=lambda each: (str(each.started or each.moment), each.name))
    _say(f"the newest run: {newest.name}, {newest.phase}")
    return newest


def _check_container(container: str, pods: Sequence[Object]) -> None:
    fields = ("initContainers", "containers")
    there = [found["name"] for pod in pods for field in fields for found in pod["spec"].get(field) or ()]
    if container and there and container not in there:
        raise Problem(f"there is no container {container}: there is {listed(list(dict.fromkeys(there)))}")


async def _pods(cluster: Cluster, each: SeenRun) -> list[Object]:
    if not each.uid:
        return []
    found = await cluster.list(PODS, each.namespace, label_selector=f"{RUN_UID_LABEL}={each.uid}")
    return sorted(found, key=lambda pod: (str(pod["metadata"]["creationTimestamp"]), pod["metadata"]["name"]))


async def _print(pods: Sequence[Object], each: SeenRun, tail: Tail, attempt: int | None) -> None:
    chosen = [pod for pod in pods if attempt in (None, _attempt_of(pod))]
    if attempt is not None and not chosen:
        there = listed([str(number) for number in sorted(set(map(_attempt_of, pods)))])
        raise Problem(f"no pod of attempt {attempt} of {each.name} is left{f': there is {there}' if there else ''}")
    for pod in chosen:
        name = pod["metadata"]["name"]
        if not started(pod):
            why = why_not_started(pod)
            _say(f"pod {name} has not started{f': {why}' if why else ''}")
            continue
        if len(pods) > 1:
            _say(f"pod {name}, {pods.index(pod) + 1} of {len(pods)}")
        tail.show([pod])
        await tail.drain(None)


def _attempt_of(pod: Object) -> int:
    text = (pod["metadata"].get("labels") or {}).get(ATTEMPT_LABEL, "")
    return int(text) if text.isdecimal() else 1  # the first one's bear none


def _last_words(each: SeenRun, pods: Sequence[Object]) -> None:
    """Print what the record of the run keeps, and say that it is that."""
    if each.message and each.failed:
        there = "" if each.kept else " (status.history keeps the end of them)"
        _say(f"no log of {each.name} is left; its recorded last words{there}:")
        typer.echo(harmless(each.message))
    elif not pods:
        raise Problem(f"the pods of {each.name} are gone, and its record keeps no words of a run that is {each.phase}")


def _say(text: str) -> None:
    typer.echo(f"carillon: {text}", err=True)
