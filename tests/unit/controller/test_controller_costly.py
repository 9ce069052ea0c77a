"""Budgets of namespaces, and decisions that take long: the other namespaces keep most of the event loop."""

import asyncio

import pytest

from carillon.controller.budgets import NAMESPACES, Budgets
from carillon.controller.costly import BURST_SECONDS, COSTLY_SECONDS, SHARE, CostlyDecisions


class Time:
    """A thread whose decisions take CPU time, and a clock that goes on with them and while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cpu = 0.0

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.cpu += seconds

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def costly(time: Time) -> CostlyDecisions:
    return CostlyDecisions(cpu=lambda: time.cpu, monotonic=lambda: time.now, sleep=time.sleep)


def test_a_budget_is_a_burst_and_then_a_share_of_the_time() -> None:
    now = 0.0
    budgets = Budgets(share=0.1, burst_seconds=2.0, monotonic=lambda: now)
    budgets.spend("a", 1.9)
    assert budgets.wait_seconds("a") == 0
    budgets.spend("a", 0.3)
    assert budgets.wait_seconds("a") == pytest.approx(2.0)
    assert budgets.wait_seconds("b") == 0
    now = 2.5
    assert budgets.wait_seconds("a") == 0
    now = 1000.0
    budgets.spend("a", 2.1)
    assert budgets.wait_seconds("a") == pytest.approx(1.0), "a long rest gives the burst back, and no more"


def test_a_budget_of_namespaces_that_come_and_go_takes_no_memory() -> None:
    now = 0.0
    budgets = Budgets(share=0.5, burst_seconds=1.0, monotonic=lambda: now)
    for number in range(10 * NAMESPACES):
        now += 0.01
        budgets.spend(f"n-{number}", 0.1)
    assert budgets.kept <= NAMESPACES + 1


async def test_cheap_decisions_never_wait() -> None:
    time = Time()
    decisions = costly(time)
    for _ in range(5_000):
        await decisions.wait("a")
        with decisions.measured("a"):
            time.work(COSTLY_SECONDS / 10)
    assert time.now == pytest.approx(time.cpu)


async def test_costly_ones_leave_the_others_most_of_the_loop() -> None:
    """Many at a time, as workers of the namespace come back from their requests."""
    time = Time()
    decisions = costly(time)
    decided: list[float] = []

    async def worker() -> None:
        for _ in range(4):
            await decisions.wait("a")
            with decisions.measured("a"):
                time.work(0.1)
            decided.append(time.now)
            await asyncio.sleep(0)

    await asyncio.gather(*(worker() for _ in range(16)))
    assert len(decided) == 64, "each is decided in the end"
    assert SHARE * time.now + BURST_SECONDS + 0.1 >= 64 * 0.1
    began = time.now
    await decisions.wait("b")
    assert time.now == began, "another namespace does not wait"


async def test_what_fails_is_measured_too() -> None:
    time = Time()
    decisions = costly(time)

    def broken() -> None:
        with decisions.measured("a"):
            time.work(1.0)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken()
    began = time.now
    await decisions.wait("a")
    assert time.now - began == pytest.approx((1.0 - BURST_SECONDS) / SHARE)
