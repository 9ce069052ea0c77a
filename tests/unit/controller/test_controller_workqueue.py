"""Each key at most once, one worker a key, due times before everything else."""

import asyncio

import pytest

from carillon.controller.workqueue import LONGEST_WAIT_SECONDS, URGENT_TURNS, Urgency, WorkQueue
from carillon.engine.model import Key, WorkKey

A, B, C, D = (Key("n", name) for name in "abcd")


@pytest.fixture
def queue() -> WorkQueue:
    return WorkQueue()


async def take(queue: WorkQueue) -> WorkKey:
    return await asyncio.wait_for(queue.get(), 1)


async def test_keys_come_in_the_order_of_arrival(queue: WorkQueue) -> None:
    for key in (B, A, C):
        queue.add(key)
    assert [await take(queue) for _ in range(3)] == [B, A, C]


async def test_a_key_is_in_it_once(queue: WorkQueue) -> None:
    queue.add(A)
    queue.add(A)
    queue.add(B)
    assert len(queue) == 2
    assert [await take(queue) for _ in range(2)] == [A, B]


async def test_urgent_comes_before_calm(queue: WorkQueue) -> None:
    queue.add(A)
    queue.add(B, Urgency.DUE)
    queue.add(C, Urgency.DUE)
    assert queue.gives_way(D)
    assert [await take(queue) for _ in range(3)] == [B, C, A]
    assert not queue.gives_way(D)


async def test_what_is_written_ahead_comes_between(queue: WorkQueue) -> None:
    queue.add(A)
    queue.add(B, Urgency.AHEAD)
    queue.add(C, Urgency.DUE)
    assert [await take(queue) for _ in range(3)] == [C, B, A]


async def test_records_wait_while_something_urgent_does(queue: WorkQueue) -> None:
    queue.add(A)
    await take(queue)
    queue.add(B)
    assert not queue.gives_way(A)
    queue.add(B, Urgency.AHEAD)
    assert queue.gives_way(A)


async def test_but_not_for_ever(queue: WorkQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = 0.0
    monkeypatch.setattr("carillon.controller.workqueue.time.monotonic", lambda: passed)
    calm = [Key("n", f"calm-{n}") for n in range(2)]
    urgent = [Key("n", f"due-{n}") for n in range(3 * URGENT_TURNS)]
    for key in calm:
        queue.add(key)
    for key in urgent:
        queue.add(key, Urgency.DUE)
    assert await take(queue) == urgent.pop(0)
    passed = LONGEST_WAIT_SECONDS + 1
    taken = [await take(queue) for _ in range(2 * URGENT_TURNS + 2)]
    assert [place for place, key in enumerate(taken) if key in calm] == [URGENT_TURNS, 2 * URGENT_TURNS + 1]
    assert [key for key in taken if key not in calm] == urgent[: 2 * URGENT_TURNS]
    assert not queue.gives_way(calm[0])
    assert queue.gives_way(urgent[0])


async def test_a_calm_key_can_become_urgent(queue: WorkQueue) -> None:
    queue.add(A)
    queue.add(B)
    queue.add(B, Urgency.DUE)
    assert [await take(queue) for _ in range(2)] == [B, A]
    assert len(queue) == 0


async def test_an_urgent_key_stays_urgent(queue: WorkQueue) -> None:
    queue.add(A, Urgency.DUE)
    queue.add(A)
    assert len(queue) == 1
    assert queue.gives_way(D)


async def test_a_key_that_is_worked_on_comes_back_when_that_is_done(queue: WorkQueue) -> None:
    queue.add(A)
    await take(queue)
    queue.add(A)
    queue.add(B)
    assert await take(queue) == B
    assert len(queue) == 1
    queue.done(A)
    assert await take(queue) == A


async def test_a_key_that_comes_back_is_urgent_if_it_ever_was(queue: WorkQueue) -> None:
    queue.add(A)
    await take(queue)
    queue.add(A, Urgency.DUE)
    queue.add(A)
    assert not queue.gives_way(D)
    queue.done(A)
    assert queue.gives_way(D)


async def test_done_without_more_is_done(queue: WorkQueue) -> None:
    queue.add(A)
    queue.done(await take(queue))
    assert len(queue) == 0


async def test_get_waits_for_an_arrival(queue: WorkQueue) -> None:
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add(A)
    assert await asyncio.wait_for(waiting, 1) == A


async def test_many_workers_get_one_key_each(queue: WorkQueue) -> None:
    workers = [asyncio.create_task(take(queue)) for _ in range(3)]
    await asyncio.sleep(0)
    for key in (A, B, C):
        queue.add(key)
    assert set(await asyncio.gather(*workers)) == {A, B, C}


async def test_a_worker_that_is_cancelled_while_it_waits_takes_no_key_along(queue: WorkQueue) -> None:
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    queue.add(A)
    assert await take(queue) == A


async def test_clear_forgets_what_waits(queue: WorkQueue) -> None:
    queue.add(A)
    await take(queue)
    queue.add(A)
    queue.add(B, Urgency.DUE)
    queue.clear()
    queue.done(A)
    assert len(queue) == 0
