"""What the archive has still to take in. The JobRuns themselves are the durable queue; this is the view of them.

After a restart everything that is finished waits again, and is offered to the archive a second time, which knows it by
its UID. Only what somebody deletes before the archive has it lives here alone: what is known of it is written all the
same, unless the process ends first, and then the line in its definition's history is (`engine.history`).
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice
from typing import Protocol

from carillon.archive.record import Facts, Record, record_of, record_of_line
from carillon.engine import retention
from carillon.engine.model import Definition, Key, Run
from carillon.engine.retention import Bound, Unarchived

REFUSED_PAUSE = timedelta(hours=1)
"""How soon a record is tried again that the database does not take."""
DEPARTED = 10_000
"""Definitions that are gone and whose label and owner are kept for runs that are not archived yet: the newest."""


class RunKeeper(Protocol):
    """Who is told by the store of what may have to be kept."""

    def see_definition(self, definition: Definition) -> None:
        """Take note of a definition."""
        ...

    def lose_definition(self, uid: str) -> None:
        """Take note that a definition is gone."""
        ...

    def see_run(self, run: Run) -> None:
        """Take note of a run."""
        ...

    def lose_run(self, run: Run) -> None:
        """Take note that a run is gone; `run` says how it ended."""
        ...

    def unarchived(self, uids: Collection[str]) -> frozenset[str]:
        """Tell which of these runs must not be pruned yet."""
        ...


class NoArchive:
    """Nothing is kept, and pruning waits for nobody."""

    def see_definition(self, definition: Definition) -> None:
        """Do nothing."""

    def lose_definition(self, uid: str) -> None:
        """Do nothing."""

    def see_run(self, run: Run) -> None:
        """Do nothing."""

    def lose_run(self, run: Run) -> None:
        """Do nothing."""

    def unarchived(self, uids: Collection[str]) -> frozenset[str]:
        """None of them."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class Entry:
    """One record to be written."""

    uid: str
    version: str
    key: Key
    make: Callable[[], Record]
    """Makes the record, in the thread that writes it."""


class Backlog:
    """Finished runs that wait for the archive, and those that it has.

    Args:
        bound: how much may wait.
        clock: aware UTC time.
        on_lost: called with each run that is gone and that the archive never got.
    """

    def __init__(self, bound: Bound, *, clock: Callable[[], datetime], on_lost: Callable[[Run], None]) -> None:
        self._bound = bound
        self._clock = clock
        self._on_lost = on_lost
        self._leading = False
        # No UID is in two of these: the first are there, the second were, the third never were while we led.
        self._waiting: dict[str, Unarchived] = {}
        self._gone: dict[str, Run] = {}
        self._lines: dict[str, Entry] = {}
        self._archived: dict[str, str] = {}
        self._given_up: set[str] = set()
        self._refused: dict[str, datetime] = {}
        self._facts: dict[str, Facts] = {}
        self._departed: OrderedDict[str, None] = OrderedDict()
        """Definitions that are gone, of which runs may still come."""

    def begin(self, definitions: Iterable[Definition]) -> None:
        """Lead: what waits begins to wait now, and what only a line of history tells of is added."""
        self._leading = True
        self._given_up.clear()
        self._refused.clear()
        now = self._clock()
        self._waiting = {uid: Unarchived(each.run, now) for uid, each in self._waiting.items()}
        living = list(definitions)
        # Definitions that are gone are forgotten here, and nowhere else: their runs come after them.
        owners = {definition.uid for definition in living} | {each.run.owner_uid for each in self._waiting.values()}
        self._facts = {uid: facts for uid, facts in self._facts.items() if uid in owners}
        for definition in living:
            for line in definition.status.history:
                if line.uid not in self._waiting and line.uid not in self._archived:
                    record = record_of_line(definition, line)
                    if record is not None:
                        self._lines[record.uid] = Entry(record.uid, "", definition.key, partial(_same, record))

    def end(self) -> None:
        """Lead no more: the next leader sees what is there, and what is gone is in history's lines."""
        self._leading = False
        self._gone.clear()
        self._lines.clear()

    def see_definition(self, definition: Definition) -> None:
        """Keep what its runs are archived with."""
        self._facts[definition.uid] = Facts.of(definition)
        self._departed.pop(definition.uid, None)

    def lose_definition(self, uid: str) -> None:
        """Keep what is known of one that is gone for its last runs, and not for ever."""
        self._departed[uid] = None
        while len(self._departed) > DEPARTED:
            self._facts.pop(self._departed.popitem(last=False)[0], None)

    def see_run(self, run: Run) -> None:
        """Have a finished run wait, unless the archive has it as it is."""
        if run.finished and self._archived.get(run.uid) != run.resource_version:
            known = self._waiting.get(run.uid)
            self._waiting[run.uid] = Unarchived(run, known.since if known is not None else self._clock())

    def lose_run(self, run: Run) -> None:
        """Keep a run that is gone before the archive has it, where this process is to write it."""
        archived = self._archived.pop(run.uid, None) is not None
        waited = self._waiting.pop(run.uid, None) is not None
        if run.uid in self._given_up:
            self._given_up.discard(run.uid)
            self._on_lost(run)
        elif self._leading and (waited or not archived):
            self._gone[run.uid] = run
            if len(self._gone) > self._bound.runs:
                oldest = next(iter(self._gone))
                self._on_lost(self._gone.pop(oldest))

    def unarchived(self, uids: Collection[str]) -> frozenset[str]:
        """Tell which of these runs must not be pruned yet."""
        if not self._waiting:
            return frozenset()
        return frozenset(uid for uid in uids if uid in self._waiting and uid not in self._given_up)

    def batch(self, size: int) -> list[Entry]:
        """The next records to write: what would be lost with this process first."""
        now = self._clock()
        everything = chain(
            map(self._entry, self._gone.values()),
            (self._entry(each.run) for each in self._waiting.values()),
            self._lines.values(),
        )
        return list(islice((each for each in everything if self._refused.get(each.uid, now) <= now), size))

    def _entry(self, run: Run) -> Entry:
        facts = self._facts.get(run.owner_uid, Facts())
        key = Key(run.namespace, run.spec.scheduled_job)
        return Entry(run.uid, run.resource_version, key, partial(record_of, run, facts))

    def archived(self, entries: Sequence[Entry]) -> set[Key]:
        """Take note that the archive has these; returns the definitions whose pruning has waited for them."""
        keys: set[Key] = set()
        for entry in entries:
            self._lines.pop(entry.uid, None)
            self._gone.pop(entry.uid, None)
            self._refused.pop(entry.uid, None)
            waiting = self._waiting.get(entry.uid)
            if waiting is not None and waiting.run.resource_version == entry.version:
                del self._waiting[entry.uid]
                self._given_up.discard(entry.uid)
                self._archived[entry.uid] = entry.version
                keys.add(entry.key)
        return keys

    def refuse(self, entry: Entry) -> None:
        """Put off a record that the database does not take."""
        self._lines.pop(entry.uid, None)
        if entry.uid not in self._waiting and entry.uid not in self._gone:
            return  # of a line, which the next leader finds again
        self._refused[entry.uid] = self._clock() + REFUSED_PAUSE

    def give_up(self) -> set[Key]:
        """Find what is past the bound; returns the definitions that may prune it."""
        found = retention.given_up(self._waiting.values(), self._bound, self._clock())
        new = found - self._given_up
        self._given_up = found
        return {Key(run.namespace, run.spec.scheduled_job) for run in (self._waiting[uid].run for uid in new)}

    @property
    def length(self) -> int:
        """How many runs wait."""
        return len(self._waiting) + len(self._gone) + len(self._lines)

    @property
    def given_up(self) -> int:
        """How many of them are past the bound, and may be dropped."""
        return len(self._given_up)

    def oldest_seconds(self) -> float:
        """For how long the one that waits longest does."""
        oldest = min((each.since for each in self._waiting.values()), default=None)
        return 0.0 if oldest is None else (self._clock() - oldest).total_seconds()


def _same(record: Record) -> Record:
    return record
