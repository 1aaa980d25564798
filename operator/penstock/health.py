"""Liveness and readiness over HTTP, answered from the loop that does the work."""

import asyncio

from aiohttp import web

READY_PATH, LIVE_PATH = "/readyz", "/healthz"


async def serve(port: int, ready: asyncio.Event) -> web.AppRunner:
    """Start the server and return its runner.

    Liveness needs no more than an answer: a stuck loop gives none, and the probe times out.

    Args:
        port: TCP port, on all addresses.
        ready: Set once the watches have shown everything.
    """

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readiness(_: web.Request) -> web.Response:
        text = "ok" if ready.is_set() else "waiting for the watches"
        return web.Response(text=text, status=200 if ready.is_set() else 503)

    application = web.Application()
    application.add_routes([web.get(LIVE_PATH, live), web.get(READY_PATH, readiness)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
