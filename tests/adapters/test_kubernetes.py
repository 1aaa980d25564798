"""Answers of the API server that no bed gives at will."""

import pytest
from aiohttp import web
from kubernetes.aio import client

from penstock.adapters.kubernetes import Kubernetes
from penstock.cache import Cache
from penstock.core.kinds import EVENT
from penstock.ports import TransientError


@pytest.fixture
async def gone():
    """An API server that knows no namespace."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", _not_found)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    async with client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{port}")) as api:
        yield Kubernetes(api, Cache(), lambda *_: None)
    await runner.cleanup()


async def _not_found(_: web.Request):
    return web.json_response({"message": "namespaces not found"}, status=404)


async def test_an_event_in_a_namespace_that_is_gone_is_an_error_that_others_expect(gone):
    event = {"metadata": {"generateName": "fraud.", "namespace": "shop"}}
    with pytest.raises(TransientError, match="is gone, in shop"):
        await gone.create(EVENT, event)
