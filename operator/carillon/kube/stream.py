"""Reading what does not end by itself: a watch, one JSON document a line; a log. Lines may be of any length."""

from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import orjson

from carillon.kube.errors import ApiError
from carillon.kube.exchange import unreachable
from carillon.kube.transport import NETWORK_ERRORS


class LineSplitter:
    """Cuts a stream into lines of any length; aiohttp's own line reading gives up beyond its buffer."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take what arrived and return the lines that it completes; an unfinished last one is kept for later."""
        *whole, rest = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join((*self._begun, whole[0]))
            self._begun.clear()
        if rest:
            self._begun.append(rest)
        return [line for line in whole if line]

    def rest(self) -> bytes:
        """The unfinished last line."""
        return b"".join(self._begun)


async def read_events(response: aiohttp.ClientResponse, what: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    """Yield `(type, object)`; an ERROR line is raised as ApiError, a broken stream or line as Unreachable.

    An unfinished last line is dropped: the event comes again when the stream is resumed.
    """
    lines = LineSplitter()
    try:
        async for chunk in response.content.iter_any():
            for line in lines.feed(chunk):
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError.from_status(event["object"])
                yield event["type"], event["object"]
    except (*NETWORK_ERRORS, orjson.JSONDecodeError) as problem:
        raise unreachable("watch", what, problem) from problem


async def read_lines(response: aiohttp.ClientResponse, what: str) -> AsyncGenerator[str, None]:
    """Yield the lines of a text, the last one though it may not be finished; a broken stream is Unreachable."""
    lines = LineSplitter()
    try:
        async for chunk in response.content.iter_any():
            for line in lines.feed(chunk):
                yield line.decode(errors="replace")
    except NETWORK_ERRORS as problem:
        raise unreachable("read", what, problem) from problem
    if rest := lines.rest():
        yield rest.decode(errors="replace")
