"""Follows the Pods of the cluster and keeps one runner for each."""

import argparse
import asyncio
import contextlib
import signal
import ssl
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.bed.kubelet.api import Cluster, log
from tests.bed.kubelet.manifests import Manifest
from tests.bed.kubelet.runner import Folders, Node, Runner


async def follow(node: Node) -> None:
    """Keep one runner per Pod, for ever."""
    while True:
        try:
            pods, version = await node.cluster.pods()
            _reconcile(node, pods)
            async for kind, pod in node.cluster.events(version):
                if kind == "ERROR":
                    break
                _apply(node, kind, pod)
        except (aiohttp.ClientError, OSError) as error:
            log(f"watch: {error!r}")
            await asyncio.sleep(0.2)


def _reconcile(node: Node, pods: list[Manifest]) -> None:
    here = {pod["metadata"]["uid"] for pod in pods}
    for runner in [r for uid, r in node.runners.items() if uid not in here]:
        _apply(node, "DELETED", runner.pod)
    for pod in pods:
        _apply(node, "ADDED", pod)


def _apply(node: Node, kind: str, pod: Manifest) -> None:
    uid = pod["metadata"]["uid"]
    finished = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    if kind == "DELETED":
        if runner := node.runners.pop(uid, None):
            node.do(runner.end())
            node.write_targets()
    elif uid in node.runners and "deletionTimestamp" in pod["metadata"]:
        node.do(node.runners[uid].terminate())
    elif uid not in node.runners and not finished:
        node.runners[uid] = Runner(node, pod)


def control(node: Node) -> web.Application:
    """Return the small HTTP server through which the bed sets behaviours."""

    async def behave(request: web.Request) -> web.Response:
        said = await request.json()
        key = (said["namespace"], said["version"])
        node.behaviours[key] = said["behaviour"]
        pods = [r for r in node.runners.values() if (r.namespace, r.version) == key]
        await asyncio.gather(*(runner.behave() for runner in pods))
        return web.json_response({"pods": len(pods)})

    async def healthy(_: web.Request) -> web.Response:
        return web.json_response({"pods": len(node.runners)})

    application = web.Application()
    application.add_routes([web.post("/behave", behave), web.get("/healthz", healthy)])
    return application


async def main(arguments: argparse.Namespace) -> None:
    tls = ssl.create_default_context(cafile=arguments.ca)
    tls.load_cert_chain(arguments.cert, arguments.key)
    async with aiohttp.ClientSession(read_bufsize=2**22) as session:
        cluster = Cluster(session, arguments.url, tls)
        targets = Path(arguments.targets)
        folders = Folders(
            targets / "backends.json",
            targets / "sidecars.json",
            Path(arguments.work),
            Path(arguments.logs),
        )
        pair = (arguments.tls_cert, arguments.tls_key)
        node = Node(cluster, arguments.backend, pair, folders)
        server = web.AppRunner(control(node))
        await server.setup()
        await web.TCPSite(server, "127.0.0.1", arguments.port).start()
        following = asyncio.create_task(follow(node))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, following.cancel)
        try:
            await following
        except asyncio.CancelledError:
            await kill_backends(node)


async def kill_backends(node: Node) -> None:
    """Kill every process; the API server is told nothing, it goes too."""
    processes = [r.process for r in node.runners.values() if r.process is not None]
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await asyncio.gather(*(process.wait() for process in processes))
    await asyncio.gather(*(r.sidecar.kill() for r in node.runners.values() if r.sidecar))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in (
        "url",
        "ca",
        "cert",
        "key",
        "backend",
        "targets",
        "work",
        "logs",
        "tls-cert",
        "tls-key",
    ):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(_arguments()))
