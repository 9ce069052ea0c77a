"""Takes connections in, one after the other with a pause between them, so that a flood costs little.

asyncio's own server takes in a hundred at a time and builds a transport for each before anyone is asked; with that, the
flood of one pod takes the event loop from everything else in the process. Here all that come beyond the pace wait in
the kernel, where they cost nothing, and an address that comes too often is turned away before a byte is read.
"""

import asyncio
import contextlib
import socket

from aiohttp import web

from carillon.controller.connections import ABUSED
from carillon.controller.rates import Rates

PAUSE_SECONDS = 0.001
"""After each connection: at most a thousand of them in a second."""
BACKLOG = 512
OUT_OF_FILES_SECONDS = 1.0
CONNECTIONS_A_SECOND, CONNECTIONS_AT_ONCE = 200.0, 400
"""Of an address: behind an ingress it is that of many tasks."""


class Listener:
    """Listens for a server.

    Args:
        server: makes the protocol of a connection.
        rates: how often an address may connect.
    """

    def __init__(self, server: web.Server, *, rates: Rates | None = None) -> None:
        self._server = server
        self._rates = rates or Rates(per_second=CONNECTIONS_A_SECOND, burst=CONNECTIONS_AT_ONCE)
        self._listening: list[socket.socket] = []
        self._taking: set[asyncio.Task[None]] = set()

    async def start(self, address: str, port: int) -> None:
        """Listen.

        Args:
            address: an address or a name; empty for all addresses of the machine.
            port: of TCP.

        Raises:
            OSError: the port is taken, or there is no such address.
        """
        found = await asyncio.get_running_loop().getaddrinfo(
            address or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listening: list[socket.socket] = []
        try:
            for family, kind, protocol, _, where in dict.fromkeys(found):
                listening.append(bound := socket.socket(family, kind, protocol))
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                bound.setblocking(False)
                bound.bind(where)
                bound.listen(BACKLOG)
        except OSError:
            for each in listening:
                each.close()
            raise
        self._listening = listening
        for each in listening:
            self._await_connection(each)

    async def stop(self) -> None:
        """Take no more connections in."""
        listening, self._listening = self._listening, []
        for each in listening:
            asyncio.get_running_loop().remove_reader(each)
            each.close()
        if self._taking:
            await asyncio.wait(self._taking)

    def _await_connection(self, listening: socket.socket) -> None:
        if listening in self._listening:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        pause_seconds = PAUSE_SECONDS
        try:
            connection, peer = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            pass
        except OSError:
            pause_seconds = OUT_OF_FILES_SECONDS
        else:
            connection.setblocking(False)
            if self._rates.allows(peer[0]):
                taking = asyncio.create_task(self._take(connection), name="connection")
                self._taking.add(taking)
                taking.add_done_callback(self._taking.discard)
            else:
                with connection, contextlib.suppress(OSError):  # it is gone again already
                    connection.send(ABUSED)
        loop.call_later(pause_seconds, self._await_connection, listening)

    async def _take(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._server, connection)
        except OSError:
            connection.close()
