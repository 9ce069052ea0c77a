"""kopf is given new credentials when there are some: it asks for them by itself only after a 401; and how it ends."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
from kopf._cogs.clients.watching import infinite_watch

from carillon.controller import kopf_shell


def stand_in_for_kopf(monkeypatch: pytest.MonkeyPatch, work: Callable[[asyncio.Event], Awaitable[object]]) -> None:
    """Have kopf do this in place of its root tasks, and end as it does."""

    async def spawn(*, stop_flag: asyncio.Event, **_: object) -> list["asyncio.Task[object]"]:
        async def root() -> object:
            return await work(stop_flag)

        return [asyncio.create_task(root())]

    monkeypatch.setattr("carillon.controller.kopf_shell.kopf.spawn_tasks", spawn)
    monkeypatch.setattr(kopf_shell, "RENEWAL_SECONDS", 0.01)


async def test_new_credentials_end_the_watch_and_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_kopf(monkeypatch, asyncio.Event.wait)
    in_force = [object()]
    watching = asyncio.create_task(watch(in_force))
    await asyncio.sleep(0.05)
    assert not watching.done()
    in_force[0] = object()
    assert await watching


async def test_what_others_do_in_the_loop_goes_on_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would cancel, five seconds later, every task that has begun since it did: leading above all."""
    stand_in_for_kopf(monkeypatch, asyncio.Event.wait)
    in_force = [object()]
    watching = asyncio.create_task(watch(in_force))
    await asyncio.sleep(0.05)
    leading = asyncio.create_task(asyncio.sleep(60))
    in_force[0] = object()
    async with asyncio.timeout(4):
        assert await watching
    await asyncio.sleep(0.01)
    assert not leading.done()
    leading.cancel()


async def test_a_signal_that_kopf_took_is_no_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_kopf(monkeypatch, lambda _: asyncio.sleep(0.02))
    assert not await watch([object()])


async def watch(in_force: list[object]) -> bool:
    return await kopf_shell.watch_definitions(
        namespaces=(),
        identity="operator-1",
        configuration=lambda: in_force[0],
        on_object=lambda _: None,
        on_gone=lambda _: None,
        on_listed=lambda: None,
        on_ready=lambda: None,
    )


class Loop(asyncio.BaseEventLoop):
    """Takes down what it would log as an error."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, Any]] = []

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.told.append(context)


async def test_a_watch_of_kopfs_that_does_not_like_to_be_ended_is_no_error() -> None:
    """Seen when an operator was stopped while an event came."""

    async def ours() -> AsyncGenerator[int, None]:
        yield 1

    watch = infinite_watch(**dict.fromkeys(inspect.signature(infinite_watch).parameters))  # type: ignore[arg-type]
    loop, own = Loop(), ours()
    for context in ({"asyncgen": watch}, {"asyncgen": own, "message": "ours"}, {"message": "a task"}):
        kopf_shell.tell_of_the_loop(loop, context)
    assert [context["message"] for context in loop.told] == ["ours", "a task"]
    await own.aclose()
    loop.close()
