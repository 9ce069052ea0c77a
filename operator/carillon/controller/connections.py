"""A bound on what callers may hold: connections, in all and from an address, and the time of each.

aiohttp waits for the headers of a request for as long as the other side likes. Here a connection is for one request,
and is broken off when that is not answered in time, whatever it was at: headers, body or answer.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

MOST_CONNECTIONS = 512
MOST_OF_AN_ADDRESS = 64
CONNECTION_SECONDS = 10.0
LONGEST_LINE, MOST_HEADERS = 8190, 32
_TOO_MANY = "too many connections; try again in a second\n"


def turned_away(status: str) -> bytes:
    """The whole answer to a connection that has no place here, whatever it was about to ask."""
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nRetry-After: 1\r\nContent-Type: text/plain\r\n"
    return f"{head}Content-Length: {len(_TOO_MANY)}\r\n\r\n{_TOO_MANY}".encode()


ABUSED, FULL = turned_away("429 Too Many Requests"), turned_away("503 Service Unavailable")


class BoundedServer(web.Server):
    """aiohttp's server, with these bounds.

    Args:
        handler: answers a request.
        most: connections at a time.
        most_of_an_address: of these, from one address.
        seconds: that a connection may last.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        most: int = MOST_CONNECTIONS,
        most_of_an_address: int = MOST_OF_AN_ADDRESS,
        seconds: float = CONNECTION_SECONDS,
    ) -> None:
        super().__init__(
            handler,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=seconds,
            lingering_time=0,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
        )
        self._most = most
        self._most_of_an_address = most_of_an_address
        self._seconds = seconds
        self._open: dict[RequestHandler, tuple[str, asyncio.TimerHandle]] = {}
        self._addresses: Counter[str] = Counter()

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection in, or send it away."""
        super().connection_made(handler, transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        abused = self._addresses[address] >= self._most_of_an_address
        if abused or len(self._open) >= self._most:
            transport.write(ABUSED if abused else FULL)
            transport.close()
            return
        timer = asyncio.get_running_loop().call_later(self._seconds, transport.abort)
        self._open[handler] = (address, timer)
        self._addresses[address] += 1

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Give its place to another."""
        super().connection_lost(handler, exc)
        address, timer = self._open.pop(handler, ("", None))
        if timer is None:
            return
        timer.cancel()
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
