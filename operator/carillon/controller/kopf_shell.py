"""The only module that knows kopf: it watches ScheduledJobs and hands each event on.

`kopf.on.event` and nothing else: no timers, daemons, change handlers or peering, for a timer costs a task and a
retained body for each object, change handlers write an annotation with a copy of every object, and peering has no
lock (design 4).
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import CodeType
from typing import Any, cast

import kopf
import structlog

from carillon.api.base import GROUP, VERSION

log = structlog.get_logger(__name__)

IDLE_SECONDS = 0.1
"""So long a task with its object waits for another event of it: the list at start is one of all objects."""
PAGE = 200
STREAM_SECONDS = 60
RENEWAL_SECONDS = 1.0
"""How soon new credentials are noticed."""
TOKEN_LIFE = timedelta(minutes=10)
"""Log in again this often with a token: a pod's token file is rotated."""


async def watch_definitions(
    *,
    namespaces: Sequence[str],
    identity: str,
    configuration: Callable[[], Any],
    on_object: Callable[[dict[str, Any]], None],
    on_gone: Callable[[str], None],
    on_listed: Callable[[], None],
    on_ready: Callable[[], None],
) -> bool:
    """Follow the ScheduledJobs until cancelled; True when there are new credentials, and this has to begin anew.

    kopf asks for credentials again after a 401, and after nothing else: with an authority that was renewed it would
    try the old one for a minute.

    Args:
        namespaces: where; empty for the whole cluster.
        identity: the name of this process; kopf would ask the system for a user's name, which a container may not have.
        configuration: the client library's configuration now in force, asked again when credentials expire.
        on_object: called with each object that appeared or changed.
        on_gone: called with the UID of each object that was deleted.
        on_listed: called when kopf lists, which it does at first and when it has lost its place: it may have missed
            deletions.
        on_ready: called once kopf has started, and has taken the process's signals for itself.
    """
    asyncio.get_running_loop().set_exception_handler(tell_of_the_loop)
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return await _connection(configuration())

    @kopf.on.event(GROUP, VERSION, "scheduledjobs", registry=registry)
    async def observe(event: kopf.RawEvent, **_: Any) -> None:
        raw: dict[str, Any] = dict(event["object"])
        if event["type"] == "DELETED":
            on_gone(raw["metadata"]["uid"])
        else:
            on_object(raw)
        if event["type"] is None:
            on_listed()

    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    # A stream is ended by the server, or given up when it is silent: a half-open connection looks like a quiet cluster.
    settings.watching.server_timeout = STREAM_SECONDS
    settings.watching.client_timeout = STREAM_SECONDS * 1.5
    settings.watching.chunk_size = PAGE
    settings.queueing.idle_timeout = IDLE_SECONDS
    stop, ready = asyncio.Event(), asyncio.Event()
    waiting = asyncio.create_task(_call_when(ready, on_ready))
    renewed = asyncio.create_task(_stop_when_renewed(configuration, stop))
    try:
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=settings,
            identity=cast(Any, identity),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=list(namespaces),
            stop_flag=stop,
            ready_flag=ready,
        )
        await kopf.run_tasks(tasks, ignored=_Others())
    finally:
        waiting.cancel()
        renewed.cancel()
    return renewed.done() and not renewed.cancelled()


class _Others(Collection["asyncio.Task[Any]"]):
    """The tasks that are not kopf's own.

    When it ends, as it does to log in anew, it would cancel every task that has begun since it did: leading among them.
    """

    def __contains__(self, task: object) -> bool:
        code = getattr(task.get_coro(), "cr_code", None) if isinstance(task, asyncio.Task) else None
        return code is None or not _is_kopfs(code)

    def __iter__(self) -> Iterator["asyncio.Task[Any]"]:
        return (task for task in asyncio.all_tasks() if task in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _is_kopfs(code: CodeType) -> bool:
    return f"/{kopf.__name__}/" in code.co_filename.replace("\\", "/")


def tell_of_the_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the loop reports, as an error; but not a watch of kopf's that does not like to be ended.

    One that is in the middle of an event when the process stops is left to the loop, which ends it with an exception
    that kopf answers with another one. Nothing is lost by it: nobody listens any more.
    """
    generator = context.get("asyncgen")
    if generator is not None and _is_kopfs(generator.ag_code):
        log.debug("a watch was ended in the middle of an event", error=repr(context.get("exception")))
        return
    loop.default_exception_handler(context)


async def _stop_when_renewed(configuration: Callable[[], Any], stop: asyncio.Event) -> None:
    began = configuration()
    while configuration() is began:  # noqa: ASYNC110  (the library tells nobody)
        await asyncio.sleep(RENEWAL_SECONDS)
    stop.set()


async def _call_when(ready: asyncio.Event, callback: Callable[[], None]) -> None:
    await ready.wait()
    callback()


async def _connection(configuration: Any) -> kopf.ConnectionInfo:
    """Log in as the client library does."""
    settings = await configuration.auth_settings()
    bearer = settings.get("BearerToken", {}).get("value", "")
    scheme, _, token = bearer.partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=scheme or None,
        token=token or None,
        expiration=datetime.now(UTC) + TOKEN_LIFE if token else None,
    )
