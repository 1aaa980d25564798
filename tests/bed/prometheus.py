"""A real Prometheus that scrapes the edge routers and every backend once a second."""

import contextlib
import functools
import json
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.bed.control_plane import Folders
from tests.bed.processes import BedError, Child, free_port

_TARGETS = ("edges.json", "backends.json", "sidecars.json", "operators.json")
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

    The kubelet's stand-in writes its targets to the folder `targets`. Alerts go to
    `alertmanager`, an address that need not answer. With `first` it is the other one of a pair:
    it scrapes the same targets, at other moments.
    """

    def __init__(
        self, program: Path, folders: Folders, alertmanager: str, first: "Prometheus | None" = None
    ) -> None:
        replica = "second" if first else None
        name = f"prometheus-{replica}" if replica else "prometheus"
        folder = folders.work / name
        self._rules = folder / "rules"
        self._rules.mkdir(parents=True)
        self.targets: Path = first.targets if first else folder
        for file in () if first else _TARGETS:
            (folder / file).write_text("[]")
        (folder / "prometheus.yaml").write_text(_config(alertmanager, self.targets, replica))
        super().__init__(f"http://127.0.0.1:{free_port()}")
        command = [
            program, "--config.file", folder / "prometheus.yaml",
            "--storage.tsdb.path", folder / "data",
            "--web.listen-address", self.url.removeprefix("http://"),
            "--scrape.discovery-reload-interval", "500ms", "--web.enable-lifecycle",
        ]  # fmt: skip
        self._launch = functools.partial(Child, name, command, folders.logs / f"{name}.log")
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

    def rules(self, name: str, text: str) -> None:
        """Evaluate these rules (YAML, `groups: …`) once a second, in place of those of that name.

        An empty text takes them away.

        Raises:
            BedError: Prometheus does not understand them; they are taken away again.
        """
        file = self._rules / f"{name}.yaml"
        file.write_text(text) if text else file.unlink(missing_ok=True)
        answer = self._session.post(f"{self.url}/-/reload", timeout=10)
        if not answer.ok:
            file.unlink(missing_ok=True)
            said = self._child.tail(5) if self._child else ""
            raise BedError(f"rules {name}: {answer.text.strip()}\n{said}")

    def scrape_edges(self, targets: Sequence[str]) -> None:
        """Scrape these edge routers from now on."""
        self._scrape("edges.json", targets)

    def scrape_operators(self, targets: Sequence[str]) -> None:
        """Scrape these operators from now on, `host:port` each."""
        self._scrape("operators.json", targets)

    def _scrape(self, name: str, targets: Sequence[str]) -> None:
        file = self.targets / name
        partial = file.with_suffix(".new")
        partial.write_text(json.dumps([{"targets": list(targets)}]))
        partial.rename(file)

    def stop(self) -> None:
        super().stop()
        self.kill()


def _config(alertmanager: str, targets: Path, replica: str | None) -> str:
    """Return the configuration; the label of a replica makes it scrape at moments of its own."""
    config: dict[str, Any] = yaml.safe_load(_CONFIG.read_text())
    config["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [alertmanager]}]
    config["global"]["external_labels"] = {"replica": replica} if replica else {}
    for job in config["scrape_configs"]:
        (found,) = job["file_sd_configs"]
        found["files"] = [str(targets / file) for file in found["files"]]
    return yaml.safe_dump(config)
