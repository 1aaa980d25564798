"""Made-up counters of many services, scraped by a real Prometheus of their own.

They stand in for a mesh where 1,000 services and their traffic would take more than this machine
has: what Envoy would count is computed, everything that reads it is real.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.bed.binaries import find_or_build
from tests.bed.processes import Child, free_port
from tests.bed.prometheus import PrometheusClient

SCRAPE_SECONDS = 2
PER_SECOND, SHARES, ERRORS, SLOW = 5.0, {"v1": 0.9, "v2": 0.1}, 0.01, 0.02
_CONFIG = """
global: {{scrape_interval: {seconds}s}}
scrape_configs:
- job_name: envoy
  static_configs: [{{targets: ["{target}"]}}]
"""


@contextlib.contextmanager
def prometheus(hosts: Sequence[str], folder: Path) -> Iterator[str]:
    """Start an exporter of the counters of these hosts, and a Prometheus; yield its URL."""
    exporter = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hosts))
    Thread(target=exporter.serve_forever, daemon=True).start()
    config, url = folder / "made-up.yaml", f"http://127.0.0.1:{free_port()}"
    target = f"127.0.0.1:{exporter.server_port}"
    config.write_text(_CONFIG.format(seconds=SCRAPE_SECONDS, target=target))
    command = [
        find_or_build()["prometheus"], "--config.file", config,
        "--storage.tsdb.path", folder / "made-up", "--web.listen-address", url[7:],
    ]  # fmt: skip
    child, client = Child("prometheus", command, folder / "made-up.log"), PrometheusClient(url)
    try:
        child.wait_ready(lambda: client.value("up") == 1, 60)
        yield url
    finally:
        client.stop()
        child.kill()
        exporter.shutdown()
        exporter.server_close()


def _handler(hosts: Sequence[str]) -> type[BaseHTTPRequestHandler]:
    began = time.time()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = _exposed(hosts, time.time() - began).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    return Handler


def _exposed(hosts: Sequence[str], seconds: float) -> str:
    lines = [f"envoy_server_uptime {seconds:.0f}"]
    for version, share in SHARES.items():
        total = int(PER_SECOND * share * seconds)
        bad, slow = int(total * ERRORS), int(total * SLOW)
        counters = [
            ("istio_requests_total", 'response_code="200",response_flags="-"', total - bad),
            ("istio_requests_total", 'response_code="503",response_flags="-"', bad),
            ("istio_request_duration_milliseconds_bucket", 'le="500"', total - slow),
            ("istio_request_duration_milliseconds_bucket", 'le="+Inf"', total),
        ]
        for host in hosts:
            labels = f'reporter="source",destination_service="{host}"'
            labels += f',destination_canonical_revision="{version}"'
            lines += [f"{name}{{{labels},{more}}} {value}" for name, more, value in counters]
    return "\n".join(lines) + "\n"
