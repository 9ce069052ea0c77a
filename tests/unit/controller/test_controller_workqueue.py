"""Each key at most once, one worker a key, what is due before everything else, and namespaces in turn."""

import asyncio
from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from carillon.controller.workqueue import IN_A_ROW, LONGEST_REST_SECONDS, MOST_CALM, Urgency, WorkQueue
from carillon.engine.model import CalendarKey, Key, WorkKey

A, B, C = (Key("n", name) for name in "abc")
DUE, AHEAD, CALM = Urgency


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
    queue.add(B, DUE)
    queue.add(C, DUE)
    assert [await take(queue) for _ in range(3)] == [B, C, A]


async def test_a_calm_key_can_become_urgent(queue: WorkQueue) -> None:
    queue.add(A)
    queue.add(B)
    queue.add(B, DUE)
    assert [await take(queue) for _ in range(2)] == [B, A]
    assert len(queue) == 0


async def test_an_urgent_key_stays_urgent(queue: WorkQueue) -> None:
    queue.add(B)
    queue.add(A, DUE)
    queue.add(A)
    assert len(queue) == 2
    assert await take(queue) == A


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
    queue.add(A, DUE)
    queue.add(A)
    queue.add(B)
    queue.done(A)
    assert [await take(queue) for _ in range(2)] == [A, B]


async def test_what_was_answered_does_not_come_back(queue: WorkQueue) -> None:
    queue.add(A)
    await take(queue)
    queue.add(A, DUE)
    queue.answered(A)
    queue.add(B)
    queue.done(A)
    assert [await take(queue), len(queue)] == [B, 0]


async def test_what_is_asked_after_the_answer_does(queue: WorkQueue) -> None:
    queue.add(A)
    await take(queue)
    queue.answered(A)
    queue.add(A)
    queue.done(A)
    assert await take(queue) == A


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
    queue.add(B, DUE)
    queue.clear()
    queue.done(A)
    assert len(queue) == 0


def names(namespace: str, count: int) -> list[WorkKey]:
    return [Key(namespace, f"{number:05}") for number in range(count)]


class TestTurns:
    """What one namespace has thousands of keeps another's waiting for one of them."""

    @pytest.mark.parametrize("urgency", Urgency)
    async def test_who_comes_after_thousands_is_next(self, queue: WorkQueue, urgency: Urgency) -> None:
        for key in names("crowded", 10_000):
            queue.add(key, urgency)
        queue.add(A, urgency)
        assert A in [await take(queue) for _ in range(2)]

    @pytest.mark.parametrize(
        ("arrivals", "order"),
        [
            ("a1 a2 a3 b1 b2 c1", "a1 b1 c1 a2 b2 a3"),
            ("a1 b1 b2 b3 a2 a3", "a1 b1 a2 b2 a3 b3"),
            ("a1 a2 b1! b2!", "b1 b2 a1 a2"),
            ("a1! a2! b1 b2", "a1 a2 b1 b2"),
            ("a1 a2! b1 b2!", "a2 b2 a1 b1"),
            # of a namespace with due times the others have no turn; of another one, each fifth
            ("a1! a2! a3! a4! a5! a6! b1 b2 a7", "a1 a2 a3 a4 b1 a5 a6 b2 a7"),
            ("a1! b1! c1! d1! e1! f1", "a1 b1 c1 d1 f1 e1"),
            ("a1! a2! a3! a4! a5! a6! a7", "a1 a2 a3 a4 a5 a6 a7"),
            # what is written ahead comes between
            ("a1 a2? a3!", "a3 a2 a1"),
            ("a1 b1? c1!", "c1 b1 a1"),
            ("a1! a2! a3! a4! a5! b1? b2 a6?", "a1 a2 a3 a4 b1 a5 a6 b2"),
            ("a1? a2? a3? a4? a5? b1 a6", "a1 a2 a3 a4 b1 a5 a6"),
        ],
    )
    async def test_the_order(self, queue: WorkQueue, arrivals: str, order: str) -> None:
        for word in arrivals.split():
            queue.add(Key(word[0], word[1]), {"!": DUE, "?": AHEAD}.get(word[2:], CALM))
        assert [str(await take(queue)).replace("/", "") for _ in order.split()] == order.split()

    async def test_a_calendar_has_the_turn_of_its_namespace(self, queue: WorkQueue) -> None:
        for key in (*names("crowded", 3), CalendarKey("crowded", "office"), CalendarKey("calm", "office")):
            queue.add(key)
        assert [await take(queue) for _ in range(2)] == [Key("crowded", "00000"), CalendarKey("calm", "office")]

    async def test_a_namespace_never_has_all_the_workers(self) -> None:
        queue = WorkQueue(workers=96)
        for key in names("slow", 1_000):
            queue.add(key, Urgency.DUE)
        held = [await take(queue) for _ in range(64)]
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        assert not waiting.done(), "two thirds are its own"
        queue.add(A, Urgency.DUE)
        assert await asyncio.wait_for(waiting, 1) == A
        queue.done(A)
        queue.done(held[0])
        assert await take(queue) == Key("slow", "00064"), "one for one"

    @pytest.mark.parametrize(("namespaces", "urgency"), [("abcdefgh", Urgency.DUE), ("abcd", Urgency.CALM)])
    async def test_each_of_many_slow_namespaces_leaves_one_for_the_next(
        self, namespaces: str, urgency: Urgency
    ) -> None:
        queue = WorkQueue(workers=20)
        for namespace in namespaces:
            for key in names(namespace, 100):
                queue.add(key, urgency)
        taken = []
        while True:
            try:
                taken.append(await asyncio.wait_for(queue.get(), 0.01))
            except TimeoutError:
                break
        assert len(taken) < 20
        queue.add(A, urgency)
        assert await take(queue) == A

    @pytest.mark.parametrize("workers", [1, 2, 3])
    async def test_few_workers_work_all_the_same(self, workers: int) -> None:
        queue = WorkQueue(workers)
        keys = names("n", 5)
        for key in keys:
            queue.add(key)
        for key in keys:
            assert await take(queue) == key
            queue.done(key)

    async def test_the_rest_of_a_namespace_rests_no_longer_than_a_while(self) -> None:
        passed = 0.0
        queue = WorkQueue(monotonic=lambda: passed)
        queue.add(A)
        due = names("n", 60)
        for key in due:
            queue.add(key, DUE)
        assert [await take(queue) for _ in range(2 * IN_A_ROW)] == due[: 2 * IN_A_ROW]
        passed = LONGEST_REST_SECONDS + 1
        queue.add(B)
        taken = [await take(queue) for _ in range(2 * (IN_A_ROW + 1))]
        assert [key for key in taken if key in (A, B)] == [A, B]
        assert not queue.gives_way(A), "it would wait for ever"
        assert queue.gives_way(due[0])
        for _ in range(60 - len(taken) + 2 - 2 * IN_A_ROW):
            await take(queue)
        assert not queue.gives_way(due[0])
        queue.add(C, DUE)
        assert queue.gives_way(A), "another burst"


class TestWhoGivesWay:
    async def test_records_wait_for_what_is_due_in_the_same_namespace(self, queue: WorkQueue) -> None:
        queue.add(A)
        await take(queue)
        assert not queue.gives_way(A)
        queue.add(B, DUE)
        assert queue.gives_way(A)

    async def test_records_wait_for_what_is_written_ahead(self, queue: WorkQueue) -> None:
        queue.add(A)
        await take(queue)
        queue.add(B, AHEAD)
        assert queue.gives_way(A)

    async def test_records_of_what_was_due_wait_for_what_is_due_anywhere(self, queue: WorkQueue) -> None:
        queue.add(A, DUE)
        await take(queue)
        queue.add(Key("other", "a"), DUE)
        assert queue.gives_way(A)
        queue.done(await take(queue))
        assert not queue.gives_way(A)

    async def test_records_that_have_had_their_turn_wait_for_no_other_namespace(self, queue: WorkQueue) -> None:
        """Or the records of one were never written while another has thousands due."""
        queue.add(A)
        await take(queue)
        queue.add(Key("other", "a"), DUE)
        assert not queue.gives_way(A)


KEYS = st.builds(Key, st.sampled_from("abc"), st.sampled_from("12345"))


class QueueMachine(RuleBasedStateMachine):
    """No key is lost or doubled, none is worked on twice, no namespace starves, the order within one is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = WorkQueue(workers=6, monotonic=lambda: 0.0)
        self.lines: dict[Urgency, dict[WorkKey, None]] = {urgency: {} for urgency in Urgency}
        self.working: list[WorkKey] = []
        self.again: dict[WorkKey, Urgency] = {}
        self.passed_over: defaultdict[str, int] = defaultdict(int)
        """By namespace: how many keys of others were taken while it could have had a worker."""

    @rule(key=KEYS, urgency=st.sampled_from(Urgency))
    def add(self, key: WorkKey, urgency: Urgency) -> None:
        self.queue.add(key, urgency)
        if key in self.working:
            self.again[key] = min(self.again.get(key, urgency), urgency)
            return
        known = next((other for other, line in self.lines.items() if key in line), None)
        if known is None or urgency < known:
            if known is not None:
                del self.lines[known][key]
            self.lines[urgency][key] = None

    def may(self, namespace: str) -> bool:
        free = 6 - len(self.working)
        return sum(key.namespace == namespace for key in self.working) < 2 * free

    def waiting(self) -> set[str]:
        return {key.namespace for line in self.lines.values() for key in line if self.may(key.namespace)}

    @precondition(lambda self: self.waiting())
    @rule()
    def take(self) -> None:
        able = self.waiting()
        taking = self.queue.get()
        with pytest.raises(StopIteration) as taken:
            taking.send(None)
        key: WorkKey = taken.value.value
        assert self.may(key.namespace)
        line = next(line for line in self.lines.values() if any(each.namespace == key.namespace for each in line))
        first = next(each for each in line if each.namespace == key.namespace)
        assert key == first, "the most urgent of its namespace goes first, and of these the one that came first"
        del line[key]
        assert key not in self.working
        self.working.append(key)
        self.passed_over.pop(key.namespace, None)
        for namespace in able - {key.namespace}:
            self.passed_over[namespace] += 1
            # Two others have their turns; and where it has nothing urgent, the urgent ones take four of five, twice.
            assert self.passed_over[namespace] <= 2 * (IN_A_ROW + 1) ** 2 + 1

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.working))
        self.working.remove(key)
        self.queue.done(key)
        if key in self.again:
            self.lines[self.again.pop(key)][key] = None

    @rule()
    def clear(self) -> None:
        self.queue.clear()
        for line in self.lines.values():
            line.clear()
        self.again.clear()

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        assert len(self.queue) == sum(map(len, self.lines.values())) + len(self.again)
        assert self.queue.ready == any(self.lines.values())


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


async def test_what_is_not_urgent_does_not_take_all_workers() -> None:
    """More of it at a time would be done no sooner, and the answers to what is urgent would come later."""
    queue = WorkQueue(workers=96)
    for number in range(100):
        queue.add(Key("crowd", f"c{number}"))
    taken = [await queue.get() for _ in range(MOST_CALM * 2 // 3)]
    waits = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waits.done()
    queue.add(Key("other", "calm"))
    assert await waits == Key("other", "calm"), "there is one left for others"
    queue.add(Key("crowd", "due"), Urgency.DUE)
    assert await asyncio.wait_for(queue.get(), 1) == Key("crowd", "due"), "and for what is urgent"
    queue.done(Key("crowd", "due"))
    queue.done(Key("other", "calm"))
    queue.done(taken[0])
    assert (await asyncio.wait_for(queue.get(), 1)).name.startswith("c")


@pytest.mark.parametrize("urgency", Urgency)
async def test_a_namespace_whose_decisions_take_long_waits_until_it_may_go_on(urgency: Urgency) -> None:
    costly = {"slow"}
    queue = WorkQueue(waits=lambda namespace: namespace in costly)
    queue.add(Key("slow", "a"), urgency)
    queue.add(Key("other", "b"))
    assert await queue.get() == Key("other", "b")
    waits = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waits.done()
    costly.clear()
    queue.nudge()
    assert await asyncio.wait_for(waits, 1) == Key("slow", "a")
