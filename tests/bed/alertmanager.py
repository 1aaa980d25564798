"""A real Alertmanager behind the bed's Prometheus; its one receiver is what a test says."""

import functools
import itertools
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.bed.control_plane import Folders
from tests.bed.processes import BedError, Child

_NOBODY = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}


class Alertmanager:
    """Alertmanager with its data in one folder; nobody is told of alerts until `route`."""

    def __init__(self, program: Path, folders: Folders, port: int) -> None:
        """Start it and return when it is ready."""
        folder = folders.work / "alertmanager"
        folder.mkdir()
        self.url = f"http://127.0.0.1:{port}"
        self._numbers = itertools.count()
        self._session = requests.Session()
        self._session.trust_env = False
        self._config = folder / "alertmanager.yaml"
        self._config.write_text(yaml.safe_dump(_NOBODY))
        command = [
            program, "--config.file", self._config, "--storage.path", folder / "data",
            "--web.listen-address", f"127.0.0.1:{port}", "--cluster.listen-address", "",
        ]  # fmt: skip
        log = folders.logs / "alertmanager.log"
        self._launch = functools.partial(Child, "alertmanager", command, log)
        self._child = self._launch()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it takes alerts."""
        self._child.wait_ready(self._ready, timeout=30)

    def _ready(self) -> bool:
        return self._session.get(f"{self.url}/-/ready", timeout=2).ok

    def route(
        self,
        url: str,
        *,
        token_file: Path | None = None,
        matchers: tuple[str, ...] = (),
        repeat: str = "1h",
        send_resolved: bool = True,
        max_alerts: int = 0,
    ) -> None:
        """Send alerts, grouped by name and namespace, to this webhook and nowhere else, at once.

        Args:
            url: Where the receiver listens. Alerts that fire already are sent too.
            token_file: Holds the bearer token.
            matchers: Of the alerts to send, such as `namespace="shop"`; of all without.
            repeat: Send what still fires again after this time.
            send_resolved: Whether the end of an alert is sent.
            max_alerts: Send no more of one group, and say how many were left out; 0: all.

        Raises:
            BedError: Alertmanager does not take that configuration.
        """
        webhook: dict[str, Any] = {
            "url": url,
            "send_resolved": send_resolved,
            "max_alerts": max_alerts,
        }
        if token_file:
            webhook["http_config"] = {
                "authorization": {"type": "Bearer", "credentials_file": str(token_file)}
            }
        name = f"webhook-{next(self._numbers)}"  # a new name: it is told what others know already
        timing = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": repeat}
        route = {"receiver": name, "matchers": list(matchers), **timing}
        self._configure(
            {
                "route": {
                    "receiver": "nobody",
                    "group_by": ["alertname", "namespace"],
                    "routes": [route],
                },
                "receivers": [
                    {"name": "nobody"},
                    {"name": name, "webhook_configs": [webhook]},
                ],
            }
        )

    def unroute(self) -> None:
        """Tell nobody any more."""
        self._configure(_NOBODY)

    def _configure(self, config: dict[str, Any]) -> None:
        self._config.write_text(yaml.safe_dump(config))
        answer = self._session.post(f"{self.url}/-/reload", timeout=10)
        if not answer.ok:
            raise BedError(f"alertmanager: {answer.text.strip()}")

    def alerts(self, *matchers: str) -> list[dict[str, Any]]:
        """Return the alerts that fire (API v2), those that match if matchers are given."""
        path, query = f"{self.url}/api/v2/alerts", {"filter": list(matchers)}
        answer = self._session.get(path, params=query, timeout=10)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    def send(self, *alerts: dict[str, Any]) -> None:
        """Take these alerts (API v2: labels, annotations, startsAt, endsAt), as of any client."""
        path = f"{self.url}/api/v2/alerts"
        self._session.post(path, json=list(alerts), timeout=10).raise_for_status()

    def restart(self) -> None:
        """Kill it and start it again on the same data."""
        self._child.kill()
        self._child = self._launch()
        self.wait_ready()

    def stop(self) -> None:
        self._session.close()
        self._child.kill()
