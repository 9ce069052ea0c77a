"""What waits for the archive: everything that is finished and that it does not have, and nothing twice."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from carillon.controller.backlog import REFUSED_PAUSE, Backlog
from carillon.controller.store import Store
from carillon.engine.model import Key, Run
from carillon.engine.retention import GRACE, Bound
from tests.unit.controller.test_controller_store import raw_run
from tests.unit.engine.builders import (
    DEFINITION_UID,
    HOURLY,
    KEY,
    a_definition,
    a_run,
    at,
    history_line,
    raw_definition,
)

Names = list[str]


def done(number: int = 0, version: int = 20, **fields: Any) -> Run:
    return a_run(name=f"r{number}", phase="Succeeded", ended="12:00", resource_version=version, **fields)


class World:
    def __init__(self, *, runs: int = 100) -> None:
        self.now = at("12:30")
        self.lost: Names = []
        self.backlog = Backlog(Bound(runs, timedelta(hours=72)), clock=self.clock, on_lost=self.lose)

    def clock(self) -> datetime:
        return self.now

    def lose(self, run: Run) -> None:
        self.lost.append(run.name)

    def lead(self, *definitions: Any) -> None:
        self.backlog.begin(definitions)

    def names(self, size: int = 100) -> Names:
        return [entry.make().name for entry in self.backlog.batch(size)]

    def archive(self, size: int = 100) -> set[Key]:
        return self.backlog.archived(self.backlog.batch(size))

    def waits(self, *runs: Run) -> bool:
        return bool(self.backlog.unarchived([run.uid for run in runs]))


@pytest.fixture
def world() -> World:
    world = World()
    world.lead()
    return world


class TestWhatWaits:
    def test_a_finished_run_until_it_is_archived(self, world: World) -> None:
        world.backlog.see_run(done())
        assert (world.names(), world.waits(done())) == (["r0"], True)
        assert world.archive() == {KEY}
        assert (world.names(), world.waits(done())) == ([], False)

    @pytest.mark.parametrize("phase", ["", "Queued", "Running"])
    def test_none_that_is_not_finished(self, world: World, phase: str) -> None:
        world.backlog.see_run(a_run(name="r", phase=phase))
        assert world.names() == []

    @pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Stopped", "Skipped"])
    def test_every_outcome_refused_ones_too(self, world: World, phase: str) -> None:
        world.backlog.see_run(a_run(name="r", phase=phase, ended="12:00"))
        assert world.names() == ["r"]

    def test_not_again_when_the_watch_tells_it_again(self, world: World) -> None:
        world.backlog.see_run(done())
        world.archive()
        world.backlog.see_run(done())
        assert world.names() == []

    def test_again_when_it_has_changed(self, world: World) -> None:
        world.backlog.see_run(done())
        world.archive()
        world.backlog.see_run(done(version=21))
        assert (world.names(), world.waits(done())) == (["r0"], True)

    def test_what_changed_while_it_was_written_waits_on(self, world: World) -> None:
        world.backlog.see_run(done())
        batch = world.backlog.batch(10)
        world.backlog.see_run(done(version=21))
        world.backlog.archived(batch)
        assert world.waits(done())

    def test_as_many_as_asked_in_the_order_in_which_they_came(self, world: World) -> None:
        for number in range(5):
            world.backlog.see_run(done(number))
        assert world.names(2) == ["r0", "r1"]

    def test_with_label_and_owner_of_its_definition(self, world: World) -> None:
        world.backlog.see_definition(a_definition(HOURLY, label="Sweep", owner="alice"))
        world.backlog.see_run(done())
        (record,) = [entry.make() for entry in world.backlog.batch(1)]
        assert (record.label, record.owner, record.job_class) == ("Sweep", "alice", "User")


class TestWhatIsGone:
    def test_is_archived_all_the_same(self, world: World) -> None:
        world.backlog.see_run(done())
        world.backlog.lose_run(done())
        assert world.names() == ["r0"]
        world.archive()
        assert (world.names(), world.backlog.length) == ([], 0)

    def test_goes_before_what_is_there(self, world: World) -> None:
        for number in range(3):
            world.backlog.see_run(done(number))
        world.backlog.lose_run(done(2))
        assert world.names(2) == ["r2", "r0"]

    def test_is_forgotten_where_the_archive_has_it(self, world: World) -> None:
        world.backlog.see_run(done())
        world.archive()
        world.backlog.lose_run(done())
        assert world.backlog.length == 0

    def test_is_the_leaders_business(self) -> None:
        standby = World()
        standby.backlog.see_run(done())
        standby.backlog.lose_run(done())
        standby.lead()
        assert standby.backlog.length == 0

    def test_is_bounded_and_what_does_not_fit_is_told(self) -> None:
        world = World(runs=3)
        world.lead()
        for number in range(5):
            world.backlog.lose_run(done(number))
        assert (world.names(), world.lost) == (["r2", "r3", "r4"], ["r0", "r1"])


class TestTheBound:
    def test_what_is_given_up_may_be_pruned_and_is_told_when_it_is(self) -> None:
        world = World(runs=2)
        world.lead()
        runs = [done(number) for number in range(3)]
        for run in runs:
            world.backlog.see_run(run)
        assert (world.backlog.give_up(), world.lost) == (set(), [])
        world.now += GRACE
        assert world.backlog.give_up() == {KEY}
        assert world.backlog.give_up() == set(), "told once"
        assert [world.waits(run) for run in runs] == [False, True, True]
        world.backlog.lose_run(runs[0])
        assert world.lost == ["r0"]
        assert world.backlog.give_up() == set()

    def test_what_history_keeps_is_archived_when_the_archive_is_back(self) -> None:
        world = World(runs=2)
        world.lead()
        for number in range(3):
            world.backlog.see_run(done(number))
        world.now += GRACE
        world.backlog.give_up()
        world.archive()
        assert (world.backlog.length, world.backlog.given_up, world.lost) == (0, 0, [])

    def test_a_new_leader_counts_the_time_anew(self, world: World) -> None:
        world.backlog.see_run(done())
        world.now += timedelta(days=30)
        world.backlog.end()
        world.lead()
        assert world.backlog.give_up() == set()
        assert world.backlog.oldest_seconds() == 0


class TestARecordThatIsRefused:
    def test_is_put_off_alone_and_tried_again(self, world: World) -> None:
        for number in range(3):
            world.backlog.see_run(done(number))
        world.backlog.refuse(world.backlog.batch(1)[0])
        assert (world.names(2), world.waits(done())) == (["r1", "r2"], True)
        world.now += REFUSED_PAUSE
        assert world.names() == ["r0", "r1", "r2"]


class TestLinesOfHistory:
    """Who deleted a run while the operator died has left a line of it in its definition's status."""

    def test_what_only_they_tell_of_is_archived(self) -> None:
        world = World()
        world.backlog.see_run(done())
        lines = [history_line("r0", "12:00"), history_line("r1", "12:00", phase="Failed", trigger="t0")]
        world.lead(a_definition(HOURLY, status={"history": lines}))
        records = [entry.make() for entry in world.backlog.batch(10)]
        assert [(record.name, record.whole) for record in records] == [("r0", True), ("r1", False)]
        assert (records[1].trigger_type, records[1].trigger_name) == ("Periodic", "t0")
        world.archive()
        assert world.backlog.length == 0

    def test_but_not_of_a_run_that_goes_on(self) -> None:
        world = World()
        world.lead(a_definition(HOURLY, status={"history": [history_line("r", "12:00", phase="Running")]}))
        assert world.names() == []


class TestTheStore:
    """Runs are seen and lost through it."""

    @pytest.fixture
    def store(self, world: World) -> Store:
        return Store(
            changed=lambda _: None, unreadable=lambda *_: None, clock=lambda: at("12:30"), keeper=world.backlog
        )

    def test_it_tells_decisions_what_waits(self, world: World, store: Store) -> None:
        store.put_run(raw_run(phase="Failed"))
        assert store.snapshot(KEY).observations.unarchived == {"run"}
        world.archive()
        assert store.snapshot(KEY).observations.unarchived == frozenset()

    @pytest.mark.parametrize(("phase", "job", "told"), [("Failed", "j", "Failed"), ("Running", "j", "Stopped")])
    def test_a_run_that_is_deleted(self, world: World, store: Store, phase: str, job: str, told: str) -> None:
        store.put_definition(raw_definition(HOURLY, owner="alice"))
        store.put_run(raw_run(phase=phase, job=job))
        store.drop("run")
        (record,) = [entry.make() for entry in world.backlog.batch(10)]
        assert (record.phase, record.owner) == (told, "alice")

    def test_runs_that_go_with_their_definition(self, world: World, store: Store) -> None:
        store.put_definition(raw_definition(HOURLY, owner="alice"))
        store.put_run(raw_run(phase="Failed"))
        store.drop(DEFINITION_UID)
        store.drop("run")
        (record,) = [entry.make() for entry in world.backlog.batch(10)]
        assert (record.name, record.owner) == ("r", "alice")

    def test_definitions_that_are_gone_are_not_kept_for_ever(
        self, world: World, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("carillon.controller.backlog.DEPARTED", 3)
        for number in range(10):
            store.put_definition(raw_definition(name=f"d{number}", uid=f"uid-{number}"))
        for number in range(9):
            store.drop(f"uid-{number}")
        assert [uid for uid in world.backlog._facts if uid.startswith("uid-")] == ["uid-6", "uid-7", "uid-8", "uid-9"]

    def test_without_an_archive_nothing_waits(self) -> None:
        store = Store(changed=lambda _: None, unreadable=lambda *_: None, clock=lambda: at("12:30"))
        store.put_run(raw_run(phase="Failed"))
        assert store.snapshot(KEY).observations.unarchived == frozenset()
