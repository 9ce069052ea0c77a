"""The elector: never two leaders, never a write past the deadline, never longer without a leader than said.

All in virtual time; each elector reads a clock of its own, and no two agree.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from carillon.kube.client import Client
from carillon.kube.errors import Unreachable, WritesRefused
from carillon.kube.lease import Elector
from tests.unit.kube.lease_store import LeaseClient, LeaseStore, unruly
from tests.unit.kube.virtual_time import simulate


def true_time() -> float:
    return asyncio.get_running_loop().time()


def elector(client: LeaseClient, name: str = "a", *, offset: float = 0, rate: float = 1, **options: Any) -> Elector:
    """An elector with a clock that began at another time, and runs at another rate."""
    return Elector(
        cast("Client", client),
        namespace="carillon",
        name="operator",
        identity=name,
        monotonic=lambda: offset + rate * true_time(),
        **options,
    )


async def nothing() -> None:
    """What happens before and after a request, where nothing does."""


class Story:
    """What the callbacks of one elector said, with the time of each."""

    def __init__(self, elector: Elector) -> None:
        self.elector = elector
        self.said: list[tuple[str, float]] = []

    def started(self) -> None:
        self.said.append(("started", true_time()))

    async def stopped(self) -> None:
        self.said.append(("stopped", true_time()))

    @property
    def words(self) -> list[str]:
        return [word for word, _ in self.said]


@contextlib.asynccontextmanager
async def running(elector: Elector) -> AsyncIterator[Story]:
    story = Story(elector)
    task = asyncio.create_task(elector.run(on_started=story.started, on_stopped=story.stopped))
    try:
        yield story
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


async def leads(elector: Elector, within: float) -> float:
    """Wait until it leads, and say how long that took."""
    begin = true_time()
    async with asyncio.timeout(within):
        while not elector.leading:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return true_time() - begin


def story(tell: Callable[[], Any]) -> Callable[[], None]:
    """Make an async function a test in virtual time."""

    def test() -> None:
        simulate(tell())

    test.__name__ = tell.__name__
    test.__doc__ = tell.__doc__
    return test


@story
async def test_the_first_creates_the_lease_and_keeps_it() -> None:
    store = LeaseStore()
    one = elector(LeaseClient(store), "pod-a", lease_duration_seconds=3.2)
    async with running(one) as said:
        await asyncio.sleep(60)
        one.check()
        assert said.words == ["started"]
        assert store.spec["holderIdentity"] == one.identity
        assert one.identity.startswith("pod-a_")
        assert (store.spec["leaseDurationSeconds"], store.spec["leaseTransitions"]) == (4, 0)
        assert store.spec["acquireTime"] <= store.spec["renewTime"]
    assert said.words == ["started", "stopped"]
    assert not one.leading


@story
async def test_the_gate_closes_by_the_clock_alone() -> None:
    client = LeaseClient(LeaseStore())
    one = elector(client)
    async with running(one):
        await asyncio.sleep(10)
        client.before = asyncio.Event().wait  # type: ignore[assignment]
        await asyncio.sleep(2.3)
        one.check()
        await asyncio.sleep(0.75)
        with pytest.raises(WritesRefused, match="does not hold the lease carillon/operator"):
            one.check()


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.3, 1.7, 1.95, 2.0, 2.3])
def test_an_api_server_that_takes_two_seconds_has_a_leader(seconds: float) -> None:
    """It lets go at most once, while it learns how slow answers are; then the lease is longer, and is kept."""

    async def tell() -> None:
        store = LeaseStore()
        client = LeaseClient(store)
        one = elector(client)

        async def slow() -> None:
            await asyncio.sleep(seconds)

        async with running(one) as said:
            await asyncio.sleep(10)
            client.after = slow
            await asyncio.sleep(20)
            words = list(said.words)
            assert words in (["started"], ["started", "stopped", "started"])
            for _ in range(600):
                await asyncio.sleep(0.1)
                one.check()
            assert said.words == words
            assert 4 < store.spec["leaseDurationSeconds"] <= 13
            client.after = nothing
            await asyncio.sleep(30)
            assert store.spec["leaseDurationSeconds"] == 4, "and as short as before when they are quick again"
            assert said.words == words

    simulate(tell())


@story
async def test_a_lease_that_was_made_longer_is_waited_out() -> None:
    """A standby believes the duration that the holder wrote, and not its own."""
    store = LeaseStore()
    dying = LeaseClient(store)

    async def slow() -> None:
        await asyncio.sleep(2.0)

    dying.after = slow
    a, b = elector(dying, "a", offset=50), elector(LeaseClient(store), "b")
    async with running(a):
        await asyncio.sleep(30)
        async with running(b):
            await asyncio.sleep(20)
            assert not b.leading
            dying.before = asyncio.Event().wait  # type: ignore[assignment]
            assert await leads(b, within=60) > 4
            assert not a.leading


@pytest.mark.parametrize("answers", range(0, 40, 3))
def test_who_makes_the_lease_shorter_goes_by_it_although_no_answer_comes(answers: int) -> None:
    async def tell() -> None:
        store = LeaseStore()
        client = LeaseClient(store)

        async def slow() -> None:
            await asyncio.sleep(2.0)

        client.after = slow
        a, b = elector(client, "a"), elector(LeaseClient(store), "b")
        async with running(a):
            await asyncio.sleep(30)
            async with running(b):
                client.after = nothing
                await asyncio.sleep(answers / 2)
                client.after = asyncio.Event().wait  # type: ignore[assignment]
                await leads(b, within=60)
                assert not a.leading

    simulate(tell())


@story
async def test_the_deadline_counts_from_when_the_renewal_was_sent() -> None:
    client = LeaseClient(LeaseStore())

    async def slow() -> None:
        await asyncio.sleep(1.0)

    client.after = slow
    one = elector(client, retry_period_seconds=100, renew_deadline_seconds=101, lease_duration_seconds=102)
    async with running(one):
        sent = true_time()
        await leads(one, within=3)
        assert true_time() >= sent + 1
        client.before = asyncio.Event().wait  # type: ignore[assignment]
        await asyncio.sleep(sent + 100.99 - true_time())
        assert one.leading
        await asyncio.sleep(0.02)
        assert not one.leading


@story
async def test_a_standby_waits_for_the_whole_duration_of_silence() -> None:
    store = LeaseStore()
    dying = LeaseClient(store)
    a, b = elector(dying, "a", offset=1e6), elector(LeaseClient(store), "b", offset=-500)
    async with running(a):
        await asyncio.sleep(10)
        async with running(b):
            await asyncio.sleep(20)
            assert not b.leading
            dying.before = asyncio.Event().wait  # type: ignore[assignment]
            took = await leads(b, within=10)
            assert 4 - 0.7 <= took <= 4 + 2, "the duration, give or take a retry period, and a busy machine"
            assert not a.leading
            assert store.spec["leaseTransitions"] == 1


@story
async def test_a_stopped_leader_that_wakes_is_refused_its_first_write() -> None:
    store = LeaseStore()
    asleep = 0.0
    client = LeaseClient(store)
    a = Elector(cast("Client", client), namespace="n", name="l", identity="a", monotonic=lambda: true_time() + asleep)
    async with running(a) as said:
        await leads(a, within=1)
        a.check()
        asleep = 30.0  # SIGSTOP and SIGCONT: not a line of ours ran meanwhile
        with pytest.raises(WritesRefused):
            a.check()
        await asyncio.sleep(2)
        assert said.words == ["started", "stopped", "started"], "nobody else wanted it"


@story
async def test_a_renewal_that_is_answered_after_the_deadline_does_not_open_the_gate_again() -> None:
    """Between the two the gate was closed: the work of before has to end first, and begin anew."""
    asleep = 0.0
    client = LeaseClient(LeaseStore())
    one = Elector(
        cast("Client", client),
        namespace="n",
        name="l",
        identity="a",
        retry_period_seconds=2,
        monotonic=lambda: true_time() + asleep,
    )
    answered: list[bool] = []

    async def frozen() -> None:
        nonlocal asleep
        if client.requests[-1] == "patch" and not asleep:
            asleep = 1.5  # sent 1.6 s to 2.4 s after the last, answered after 3.1 s to 3.9 s
            answered.append(one.leading)

    client.after = frozen
    async with running(one) as said:
        await asyncio.sleep(3)
        assert answered == [False]
        assert said.words == ["started", "stopped", "started"]


@story
async def test_a_lost_answer_to_a_renewal_costs_nothing() -> None:
    client = LeaseClient(LeaseStore())
    one = elector(client)
    async with running(one) as said:
        await leads(one, within=1)

        async def lost() -> None:
            client.after = nothing
            raise Unreachable("reset")

        async def nothing() -> None:
            return

        for _ in range(20):
            client.after = lost
            await asyncio.sleep(1.3)
            one.check()
        assert said.words == ["started"]


@story
async def test_a_lost_answer_to_the_taking_is_found_at_the_next_look() -> None:
    store = LeaseStore()
    client = LeaseClient(store)

    async def lost_once() -> None:
        if client.requests[-1] == "create":
            client.after = client.before
            raise Unreachable("reset")

    client.after = lost_once
    one = elector(client)
    async with running(one):
        assert await leads(one, within=2) < 1
        assert store.spec["leaseTransitions"] == 0


@story
async def test_who_was_robbed_stops_at_once() -> None:
    store = LeaseStore()
    one = elector(LeaseClient(store))
    async with running(one) as said:
        await leads(one, within=1)
        store.patch({"metadata": {"resourceVersion": str(store.version)}, "spec": {"holderIdentity": "thief"}})
        await asyncio.sleep(0.7)
        assert said.words == ["started", "stopped"]
        assert one.holder == "thief"


@story
async def test_an_annotation_on_the_lease_is_no_robbery() -> None:
    store = LeaseStore()
    one = elector(LeaseClient(store))
    async with running(one) as said:
        await leads(one, within=1)
        store.patch({"metadata": {"resourceVersion": str(store.version)}, "spec": {"strategy": "x"}})
        await asyncio.sleep(5)
        assert said.words == ["started"]


@story
async def test_a_lease_deleted_under_its_holder_is_not_taken_before_its_deadline() -> None:
    store = LeaseStore()
    cut_off = LeaseClient(store)
    a, b = elector(cut_off, "a"), elector(LeaseClient(store), "b")
    async with running(a):
        await leads(a, within=1)
        async with running(b):
            await asyncio.sleep(5)
            cut_off.before = asyncio.Event().wait  # type: ignore[assignment]
            store.lease = None
            took = await leads(b, within=10)
            assert took >= 3.9
            assert not a.leading


@story
async def test_a_graceful_stop_hands_the_lease_over_within_a_second() -> None:
    store = LeaseStore()
    a, b = elector(LeaseClient(store), "a"), elector(LeaseClient(store), "b")
    async with running(a) as said:
        await leads(a, within=1)
        async with running(b):
            await asyncio.sleep(5)
            await a.release()
            assert not a.leading
            assert "holderIdentity" not in store.spec
            assert await leads(b, within=2) < 0.7
            await asyncio.sleep(5)
            assert said.words == ["started", "stopped"]
            assert not a.leading, "who handed back does not compete again"
            assert store.spec["leaseTransitions"] == 1


@story
async def test_a_renewal_under_way_does_not_reopen_the_gate_after_the_release() -> None:
    client = LeaseClient(LeaseStore())
    one = elector(client)
    async with running(one):
        await leads(one, within=1)

        async def slow() -> None:
            await asyncio.sleep(0.8)

        client.after = slow
        await asyncio.sleep(0.7)
        release = asyncio.create_task(one.release())
        for _ in range(300):
            await asyncio.sleep(0.01)
            assert not one.leading
        await release
        assert "holderIdentity" not in client.store.spec


@story
async def test_a_release_that_fails_is_only_said() -> None:
    client = LeaseClient(LeaseStore())
    one = elector(client)
    async with running(one):
        await leads(one, within=1)
        client.before = asyncio.Event().wait  # type: ignore[assignment]
        await one.release()
        assert not one.leading


@story
async def test_the_lease_of_a_dead_worker_lapses() -> None:
    store = LeaseStore()
    alive = True
    a = elector(LeaseClient(store), "a", worker_alive=lambda: alive)
    b = elector(LeaseClient(store), "b")
    async with running(a) as said:
        await leads(a, within=1)
        async with running(b):
            await asyncio.sleep(5)
            alive = False
            assert 3 <= await leads(b, within=10) <= 5
            assert said.words == ["started", "stopped"]
            await asyncio.sleep(60)
            assert not a.leading


@story
async def test_two_processes_of_one_identity_are_two() -> None:
    store = LeaseStore()
    a, b = elector(LeaseClient(store), "same"), elector(LeaseClient(store), "same")
    async with running(a), running(b):
        for _ in range(1000):
            await asyncio.sleep(0.03)
            assert not (a.leading and b.leading)
        assert store.spec["leaseTransitions"] == 0


@story
async def test_long_work_in_on_started_is_renewed_beside_and_cancelled_with_the_lease() -> None:
    store = LeaseStore()
    one = elector(LeaseClient(store))
    said: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            said.append("cancelled")
            raise

    task = asyncio.create_task(one.run(on_started=work, on_stopped=lambda: said.append("stopped")))
    await asyncio.sleep(30)
    assert one.leading
    store.patch({"metadata": {"resourceVersion": str(store.version)}, "spec": {"holderIdentity": "thief"}})
    await asyncio.sleep(1)
    assert said == ["cancelled", "stopped"]
    task.cancel()
    await asyncio.wait({task})


@story
async def test_a_failure_to_start_ends_it() -> None:
    def broken() -> None:
        raise LookupError("no CRDs")

    stopped: list[int] = []
    with pytest.raises(LookupError):
        await elector(LeaseClient(LeaseStore())).run(on_started=broken, on_stopped=lambda: stopped.append(1))
    assert stopped == [1]


@pytest.mark.parametrize("times", [(4, 4, 0.5), (4, 3, 3), (4, 3, 0), (3, 4, 0.5)])
def test_times_that_cannot_be_safe_are_refused(times: tuple[float, float, float]) -> None:
    duration, deadline, retry = times
    with pytest.raises(ValueError, match="retry period < renew deadline < lease duration"):
        elector(
            LeaseClient(LeaseStore()),
            lease_duration_seconds=duration,
            renew_deadline_seconds=deadline,
            retry_period_seconds=retry,
        )


@pytest.mark.parametrize("seed", range(20))
def test_never_two_leaders_whatever_the_network_and_the_clocks(seed: int) -> None:
    """Ten minutes, three electors, clocks up to 10 % apart, answers 8 s late or lost, now and then a restart."""
    dice = random.Random(seed)

    async def tell() -> None:
        store = LeaseStore()
        led: set[str] = set()

        def born(number: int) -> tuple[Elector, asyncio.Task[None]]:
            fault = unruly(random.Random(dice.random()))
            client = LeaseClient(store, before=fault, after=fault)
            rate, offset = dice.uniform(0.95, 1.05), dice.uniform(-1e4, 1e4)
            newborn = elector(client, f"{number}", rate=rate, offset=offset)
            run = newborn.run(on_started=lambda: None, on_stopped=lambda: None)
            return newborn, asyncio.create_task(run)

        living = [born(number) for number in range(3)]
        for step in range(12_000):
            await asyncio.sleep(0.05)
            leaders = [one.identity for one, _ in living if one.leading]
            assert len(leaders) <= 1, f"two leaders after {true_time():.2f} s: {leaders}"
            led.update(leaders)
            if dice.random() < 0.002:
                victim = dice.randrange(3)
                one, task = living[victim]
                if dice.random() < 0.5:
                    await one.release()
                task.cancel()
                await asyncio.wait({task})
                living[victim] = born(step)
        for _, task in living:
            task.cancel()
        await asyncio.wait({task for _, task in living})
        assert len(led) >= 3, "the lease did change hands"

    simulate(tell())
