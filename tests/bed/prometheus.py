"""A real Prometheus that scrapes the edge routers and every backend once a second."""

import contextlib
import functools
import json
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import requests

from tests.bed.processes import Child, free_port

_CONFIG = Path(__file__).parent / "config" / "prometheus.yaml"


class PrometheusClient:
    """Asks a Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def query(self, promql: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """Return the labels and value of each series of an instant query."""
        data: dict[str, Any] = {"query": promql}
        if at is not None:
            data["time"] = at
        answer = self._session.post(f"{self.url}/api/v1/query", data=data, timeout=10)
        answer.raise_for_status()
        result = answer.json()["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def value(self, promql: str) -> float | None:
        """Return the value of the only series of an instant query, or None."""
        series = self.query(promql)
        return series[0][1] if len(series) == 1 else None

    def stop(self) -> None:
        self._session.close()


class Prometheus(PrometheusClient):
    """Prometheus with its data in one folder: it can be killed and started again on the same.

    `backends` is the file that the kubelet's stand-in fills with its targets.
    """

    def __init__(self, program: Path, work: Path, logs: Path) -> None:
        folder = work / "prometheus"
        folder.mkdir()
        shutil.copy(_CONFIG, folder / "prometheus.yaml")
        self.backends, self._edges = folder / "backends.json", folder / "edges.json"
        self.backends.write_text("[]")
        self._edges.write_text("[]")
        super().__init__(f"http://127.0.0.1:{free_port()}")
        command = [
            program, "--config.file", folder / "prometheus.yaml",
            "--storage.tsdb.path", folder / "data",
            "--web.listen-address", self.url.removeprefix("http://"),
            "--scrape.discovery-reload-interval", "500ms",
        ]  # fmt: skip
        self._launch = functools.partial(Child, "prometheus", command, logs / "prometheus.log")
        self._child: Child | None = None

    def start(self) -> None:
        """Start it; see `wait_ready`."""
        self._child = self._launch()

    def wait_ready(self, timeout: float = 30) -> None:
        """Wait until it answers queries."""
        if self._child:
            self._child.wait_ready(self._ready, timeout)

    def _ready(self) -> bool:
        return self._session.get(f"{self.url}/-/ready", timeout=2).ok

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it accept questions and answer none (SIGSTOP), for the length of the block."""
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._child.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it with SIGKILL, as an outage does."""
        if self._child:
            self._child.kill()

    def restart(self) -> None:
        """Start it again after `kill`, on the same data and port, and wait until it is ready."""
        self.kill()
        self.start()
        self.wait_ready()

    def scrape_edges(self, targets: Sequence[str]) -> None:
        """Scrape these edge routers from now on."""
        partial = self._edges.with_suffix(".new")
        partial.write_text(json.dumps([{"targets": list(targets)}]))
        partial.rename(self._edges)

    def stop(self) -> None:
        super().stop()
        self.kill()
