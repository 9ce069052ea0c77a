"""`/livez`, `/readyz` and `/metrics` for the kubelet and Prometheus."""

import time
from collections.abc import Callable

from aiohttp import web

from carillon.controller.metrics import Metrics

RENDER_SECONDS = 1.0
"""Metrics are printed anew so often at most: with thousands of definitions that takes a twentieth of it."""
IDLE_SECONDS = 15.0
"""A connection on which nobody asks is closed."""


class Probes:
    """A small HTTP server; what is alive and what is ready is asked of the callables at each request.

    Args:
        metrics: what /metrics prints.
        alive: None while the process does its work, else what is wrong.
        ready: None once the stores are filled and current, else what is awaited. The standby is ready, too.
        refresh: called before metrics are printed, to bring gauges up to date.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        alive: Callable[[], str | None],
        ready: Callable[[], str | None],
        refresh: Callable[[], None],
    ) -> None:
        self._metrics = metrics
        self._alive = alive
        self._ready = ready
        self._refresh = refresh
        self._runner: web.AppRunner | None = None
        self._rendered, self._rendered_at = b"", float("-inf")

    async def start(self, address: str, port: int) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._print_metrics)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=IDLE_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _livez(self, _: web.Request) -> web.Response:
        return _answer(self._alive())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._ready())

    async def _print_metrics(self, _: web.Request) -> web.Response:
        now = time.monotonic()
        if now - self._rendered_at >= RENDER_SECONDS:
            self._refresh()
            self._rendered, self._rendered_at = self._metrics.render(), now
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=self._rendered, headers=headers)


def _answer(problem: str | None) -> web.Response:
    return web.Response(text="ok\n") if problem is None else web.Response(status=503, text=problem + "\n")
