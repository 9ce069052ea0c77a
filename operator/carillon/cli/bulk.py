"""The same done to several objects: counted and asked for before anything large, going on after a failure, summed up.

The cluster is one person's mistake away from a very long evening: more than a few are never touched unasked.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import typer

from carillon.cli.exit_codes import Exit
from carillon.cli.objects import named
from carillon.cli.options import ObjectOutput
from carillon.cli.problems import Problem, Told
from carillon.cli.screen import print_data, progress, say, screen
from carillon.cli.seen import SeenJob, SeenRun
from carillon.engine.words import counted
from carillon.kube.resources import JOB_RUNS, SCHEDULED_JOBS

MANY = 10
"""As many are done without asking."""
AT_ONCE = 8
"""Requests under way; more would be unkind to the API server, fewer to whoever waits."""
EXAMPLES = 5

Item = TypeVar("Item", SeenJob, SeenRun)

Yes = Annotated[bool, typer.Option("--yes", "-y", help=f"Do not ask, however many; without it, from {MANY + 1} on.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]


@dataclass(frozen=True, slots=True)
class Deed(Generic[Item]):
    """What is done to each."""

    verb: str
    """In the question: `disable`."""
    noun: str
    """`ScheduledJob`."""
    act: Callable[[Item], Awaitable[str]]
    """Does it to one, and says what came of it: `disabled`, `already disabled`, `started: NAME`. Raises Problem."""
    would: Callable[[Item], str]
    """Says the same of what would come of it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one."""

    kind: str
    namespace: str
    name: str
    result: str
    problem: Problem | None = None

    @property
    def key(self) -> str:
        """Name it."""
        return f"{self.namespace}/{self.name}"


async def carry_out(
    deed: Deed[Item], items: Sequence[Item], *, yes: bool, dry_run: bool, output: ObjectOutput
) -> list[Outcome]:
    """Do it to all of them, after a question where they are many.

    Raises:
        Problem: nobody agreed, or something failed; what did not fail is done and told by then.
    """
    if dry_run:
        outcomes = [_outcome(item, f"{deed.would(item)} (dry run)") for item in items]
        _print(outcomes, output)
        _remark(f"Dry run: nothing was done to {counted(len(items), deed.noun)}.")
        return outcomes
    agree(deed, items, yes=yes)
    outcomes = []
    with progress(f"{deed.verb} {deed.noun}s", len(items)) as advance:
        for start in range(0, len(items), AT_ONCE):
            done = await asyncio.gather(*(_one(deed, item) for item in items[start : start + AT_ONCE]))
            outcomes += done
            advance(len(done))
            if any(each.problem is not None and each.problem.code == Exit.UNREACHABLE for each in done):
                break  # each of those to come would be waited for as long
    _print(outcomes, output)
    _raise_what_failed(deed, outcomes, len(items))
    return outcomes


async def _one(deed: Deed[Item], item: Item) -> Outcome:
    try:
        return _outcome(item, await deed.act(item))
    except Problem as problem:
        return _outcome(item, "failed", problem)


def _outcome(item: SeenJob | SeenRun, result: str, problem: Problem | None = None) -> Outcome:
    if isinstance(item, SeenJob):
        return Outcome(SCHEDULED_JOBS.kind, item.key.namespace, item.key.name, result, problem)
    return Outcome(JOB_RUNS.kind, item.namespace, item.name, result, problem)


def agree(deed: Deed[Item], items: Sequence[SeenJob | SeenRun], *, yes: bool) -> None:
    """Ask, where they are many. Raises Problem unless somebody agrees."""
    if yes or len(items) <= MANY:
        return
    number = counted(len(items), _outcome(items[0], "").kind)
    if not somebody_can_answer():
        raise Problem(
            f"{number}: more than {MANY} take --yes where nobody can be asked; nothing was done. --dry-run lists them",
            Exit.REFUSED,
        )
    names = ", ".join(_outcome(item, "").key for item in items[:EXAMPLES])
    say(screen(err=True), f"{number}: {names} and {len(items) - EXAMPLES} more.")
    if not typer.confirm(f"{deed.verb.capitalize()} {number}?", err=True):
        raise Problem("nothing was done", Exit.REFUSED)


def somebody_can_answer() -> bool:
    """Whether a question would reach a person."""
    return sys.stdin.isatty()


def _print(outcomes: Sequence[Outcome], output: ObjectOutput) -> None:
    """Tell of each, as kubectl does; what failed is told on stderr."""
    if output in (ObjectOutput.JSON, ObjectOutput.YAML):
        fields = [
            {"kind": o.kind, "namespace": o.namespace, "name": o.name, "result": o.result}
            | ({"message": str(o.problem)} if o.problem is not None else {})
            for o in outcomes
        ]
        print_data(fields, output)
    for outcome in outcomes:
        if outcome.problem is not None:
            typer.echo(f"carillon: {outcome.kind} {outcome.key}: {outcome.problem}", err=True)
        elif output is ObjectOutput.NAME:
            typer.echo(named(outcome.kind, outcome.name))
        elif output in (ObjectOutput.TABLE, ObjectOutput.WIDE):
            typer.echo(f"{named(outcome.kind, outcome.name)} {outcome.result}")


def _raise_what_failed(deed: Deed[Item], outcomes: Sequence[Outcome], total: int) -> None:
    tally = Counter(outcome.result.partition(":")[0] for outcome in outcomes)
    not_tried = total - len(outcomes)
    parts = [f"{number:,} {result}" for result, number in tally.items()]
    summary = f"{counted(total, deed.noun)}: {', '.join(parts)}{f', {not_tried:,} not tried' if not_tried else ''}."
    if len(outcomes) > 1:
        _remark(summary)
    codes = {outcome.problem.code for outcome in outcomes if outcome.problem is not None}
    if codes:
        raise Told(summary, codes.pop() if len(codes) == 1 else Exit.FAILED)


def _remark(text: str) -> None:
    say(screen(err=True), text, "bold")
