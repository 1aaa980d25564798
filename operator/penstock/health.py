"""Liveness and readiness over HTTP, answered from the loop that does the work."""

import asyncio
from collections.abc import Callable

from aiohttp import web

READY_PATH, LIVE_PATH = "/readyz", "/healthz"


async def serve(port: int, ready: asyncio.Event, why_not_live: Callable[[], str]) -> web.AppRunner:
    """Start the server and return its runner.

    A stuck loop answers nothing, so the probe fails by its timeout.

    Args:
        port: TCP port, on all addresses.
        ready: Set once the watches have shown everything.
        why_not_live: Returns a sentence when the process should be restarted; empty when not.
    """

    async def live(_: web.Request) -> web.Response:
        why = why_not_live()
        return web.Response(text=why or "ok", status=503 if why else 200)

    async def readiness(_: web.Request) -> web.Response:
        text = "ok" if ready.is_set() else "waiting for the watches"
        return web.Response(text=text, status=200 if ready.is_set() else 503)

    application = web.Application()
    application.add_routes([web.get(LIVE_PATH, live), web.get(READY_PATH, readiness)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
