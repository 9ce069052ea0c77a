"""kopf is given new credentials when there are some: it asks for them by itself only after a 401."""

import asyncio

import pytest

from carillon.controller import kopf_shell


async def test_new_credentials_end_the_watch_and_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async def until_stopped(*, stop_flag: asyncio.Event, **_: object) -> None:
        await stop_flag.wait()

    monkeypatch.setattr("carillon.controller.kopf_shell.kopf.operator", until_stopped)
    monkeypatch.setattr(kopf_shell, "RENEWAL_SECONDS", 0.01)
    in_force = [object()]
    watching = asyncio.create_task(watch(in_force))
    await asyncio.sleep(0.05)
    assert not watching.done()
    in_force[0] = object()
    assert await watching


async def test_a_signal_that_kopf_took_is_no_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def end(**_: object) -> None:
        await asyncio.sleep(0.02)

    monkeypatch.setattr("carillon.controller.kopf_shell.kopf.operator", end)
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
