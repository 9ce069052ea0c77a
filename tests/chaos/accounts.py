"""Is every due time accounted for exactly once? Pure: from what the witness wrote down to the figures of a row."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.chaos.fleet import Ticks


@dataclass(frozen=True)
class Run:
    """A periodic run that was seen."""

    uid: str
    due: int
    jobs: int
    """How many Jobs were ever made for it, of one attempt."""
    phase: str
    deleted: bool = False
    """By somebody else than the operator, so that what it would have become is not known."""


@dataclass(frozen=True)
class SkipLine:
    """A line of status.skips: due times from `start` to `end`, of which `count` were skipped."""

    start: int
    end: int
    count: int
    reason: str


@dataclass
class Account:
    """What has become of due times."""

    due: int = 0
    runs: int = 0
    skips: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    def add(self, other: "Account") -> None:
        """Take in another one."""
        self.due += other.due
        self.runs += other.runs
        self.skips += other.skips
        self.lost += other.lost
        self.doubled += other.doubled


def settle(
    name: str,
    ticks: Ticks,
    runs: Iterable[Run],
    skips: Iterable[SkipLine],
    *,
    after: float,
    through: float,
    certain_through: float | None = None,
) -> Account:
    """Account for each due time in (after, through].

    Args:
        name: of the definition, for messages.
        ticks: when it is due.
        runs: all its periodic runs.
        skips: all lines of its status.skips that were ever seen.
        after: seconds since the epoch.
        through: seconds since the epoch.
        certain_through: due times after this may be unaccounted for: the definition was deleted, or changed. They
            count as due where something has become of them.
    """
    by_due: Mapping[int, list[Run]] = _by_due(runs)
    told = list(skips)
    account = Account()
    for due in ticks.between(after, through):
        found, lines = by_due.get(due, []), _skipped(ticks, by_due, told, due)
        if not found and not lines:
            if certain_through is None or due <= certain_through:
                account.due += 1
                account.lost.append(f"{name} at {due}: neither a run nor a skip")
            continue
        account.due += 1
        if len(found) + lines > 1:
            account.doubled.append(f"{name} at {due}: {len(found)} runs and {lines} skips")
        for run in found:
            if run.jobs > 1:
                account.doubled.append(f"{name} at {due}: {run.jobs} Jobs")
            elif not run.jobs and run.phase not in ("Skipped", "Stopped") and not run.deleted:
                account.lost.append(f"{name} at {due}: a run without a Job, {run.phase or 'not begun'}")
        if found and found[0].phase != "Skipped":
            account.runs += 1
        else:
            account.skips += 1
    return account


def _by_due(runs: Iterable[Run]) -> dict[int, list[Run]]:
    found: defaultdict[int, list[Run]] = defaultdict(list)
    for run in runs:
        found[run.due].append(run)
    return found


def _skipped(ticks: Ticks, runs: Mapping[int, list[Run]], skips: Iterable[SkipLine], due: int) -> int:
    """How often a due time is told as skipped. A line may go around due times that have a run."""
    covering = [line for line in skips if line.start <= due <= line.end]
    return sum(line.count == ticks.count(line.start, line.end) or due not in runs for line in covering)
