"""One fault after the other, each followed by quiet and by its row of the table."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from carillon.kube.errors import ApiError
from tests.chaos.accounts import Account
from tests.chaos.fleet import Member
from tests.chaos.proxy import strays
from tests.chaos.world import TakeOver, World, world

QUIET_SECONDS = 120.0
HEADINGS = "due", "runs", "skips", "lost", "doubled", "orphans", "strays", "latest", "take-over", "held up"
NAME_WIDTH = 44


@dataclass(frozen=True)
class Bounds:
    """How long it may take until another operator leads, with the default lease."""

    hand_over_seconds: float = 1.0
    """Where the leader was asked to stop."""
    take_over_seconds: float = 5.0
    """Where it was not."""


BOUNDS = Bounds()


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong."""

    name: str
    inject: Callable[[World, float], Awaitable[None]]
    quiet_seconds: float = QUIET_SECONDS
    """How long it may take until everything is handled."""
    seconds: float = 0.0
    """How long it lasts, at least."""
    of_the_server: bool = False
    """Whether it needs a control plane that may be killed."""


@dataclass
class Row:
    """What a fault has done."""

    fault: str
    account: Account
    orphans: list[str]
    strays: list[str]
    latest: float
    held_up: float
    take_overs: list[TakeOver]
    hand_overs: list[float]
    errors: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    bounds: Bounds = BOUNDS

    @property
    def problems(self) -> list[str]:
        """Why it is not as it should be."""
        found = [*self.account.lost, *self.account.doubled, *self.orphans, *self.strays, *self.unsettled]
        found += [f"hand-over took {each:.2f} s" for each in self.hand_overs if each > self.bounds.hand_over_seconds]
        found += [
            f"take-over took {each.seconds:.2f} s, the lease being {each.extra_seconds:.0f} s longer than by default"
            for each in self.take_overs
            if each.seconds > self.bounds.take_over_seconds + each.extra_seconds
        ]
        return found

    def __str__(self) -> str:
        account, taken = self.account, [*(each.seconds for each in self.take_overs), *self.hand_overs]
        figures = [account.due, account.runs, account.skips, len(account.lost), len(account.doubled)]
        figures += [len(self.orphans), len(self.strays)]
        shown = [str(figure) for figure in figures] + [
            f"{self.latest:.1f} s",
            f"{max(taken):.2f} s" if taken else "",
            f"{self.held_up:.1f} s",
        ]
        return _line(self.fault, shown) + (" " if not self.problems else "  <- not as it should be")


def heading() -> str:
    """The first lines of the table."""
    line = _line("fault", HEADINGS)
    return f"{line}\n{'-' * len(line)}"


def _line(name: str, figures: Sequence[str]) -> str:
    return name.ljust(NAME_WIDTH) + "".join(figure.rjust(10 if i > 6 else 8) for i, figure in enumerate(figures))


async def run(
    kubeconfig: Path,
    faults: Sequence[Fault],
    members: list[Member],
    *,
    seconds: float,
    seed: int,
    bounds: Bounds = BOUNDS,
    say: Callable[[str], None] = print,
) -> list[Row]:
    """Let each fault last for so many seconds, and say what came of it.

    Args:
        kubeconfig: of the administrator.
        faults: in this order.
        members: the fleet.
        seconds: of one fault.
        seed: of all that is random.
        bounds: what is too long.
        say: told each line of the table when it is there.
    """
    rows: list[Row] = []
    async with world(kubeconfig, members, seed=seed) as here:
        say(heading())
        after = time.time()
        await asyncio.sleep(1)
        for fault in faults:
            row, after = await _meet(here, fault, max(seconds, fault.seconds), after)
            row.bounds = bounds
            rows.append(row)
            say(str(row))
            for problem in row.problems[:10]:
                say(f"    {problem}")
            for error in row.errors[:3]:
                say(f"    logged: {error[:1000]}")
        total = here.account(0, after)
        say(
            _line(
                "all of it, once more",
                [str(n) for n in (total.due, total.runs, total.skips, len(total.lost), len(total.doubled))],
            )
        )
        if total.lost or total.doubled:
            rows.append(Row("all of it, once more", total, [], [], 0.0, 0.0, [], []))
    return rows


async def _meet(here: World, fault: Fault, seconds: float, after: float) -> tuple[Row, float]:
    """Have the fault happen, and everything settle; the row, and the time up to which it accounts."""
    log = here.replicas.log.stat().st_size
    began = time.monotonic()
    here.take_overs, here.hand_overs, here.several_leaders = [], [], False
    here.held_up = 0.0
    failed = []
    try:
        await fault.inject(here, seconds)
        await here.heal()
    except (TimeoutError, AssertionError, ApiError) as problem:
        failed.append(f"the fault broke off: {problem}")
        await here.heal()
    through = time.time()
    settled = await here.until_settled(through, fault.quiet_seconds)
    astray = (
        []
        if here.several_leaders
        else [e for e in strays(here.replicas.entries, here.replicas.taken) if e.arrived > began]
    )
    row = Row(
        fault=fault.name,
        account=here.account(after, through),
        orphans=here.orphans(),
        strays=[f"{e.operator} wrote, and did not lead: {e.method} {e.path}" for e in astray],
        latest=here.lateness(after, through),
        held_up=here.held_up,
        take_overs=here.take_overs,
        hand_overs=here.hand_overs,
        errors=here.replicas.errors(log),
        unsettled=failed + ([] if settled else here.unsettled(through)),
    )
    return row, through
