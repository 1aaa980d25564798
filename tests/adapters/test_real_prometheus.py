"""What the expressions of `core.queries` get from a real Prometheus that scrapes what we say."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from penstock.adapters.prometheus import Prometheus
from penstock.api.connections import Connection
from penstock.api.v1alpha1.metric_template import Distribution, MetricTemplateSpec, Proportion
from penstock.core.counters import LookCounts, take_look
from penstock.core.looks import Counts
from penstock.core.queries import Arm, Subject, proportion_query, value_query
from penstock.core.readings import NoLook, read, read_value
from penstock.core.samples import Unreadable
from tests.bed.binaries import find_or_build
from tests.bed.processes import Child, free_port, wait_until
from tests.bed.prometheus import PrometheusClient

pytestmark = [pytest.mark.bed, pytest.mark.timeout(900)]

SCRAPE = 0.25
CONFIG = """
global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
scrape_configs:
- job_name: pods
  static_configs: [{{targets: [{targets}]}}]
"""
ERRORS = Proportion(
    total='istio_requests_total{destination_service="h",$variant}',
    bad='istio_requests_total{destination_service="h",response_code=~"5..|0",$variant}',
)
SLOW = Proportion(total='d_bucket{le="+Inf",$variant}', good='d_bucket{le=~"500|500[.]0",$variant}')
SUBJECT = Subject(
    namespace="ml",
    rollout="h",
    service="h",
    stable=Arm("v1", "h", 'destination_canonical_revision="v1"'),
    candidate=Arm("v2", "h", 'destination_canonical_revision="v2"'),
)


class Pod:
    """Something to scrape. `lines` are its metrics; None makes the scrape fail."""

    def __init__(self):
        self.lines: list[str] | None = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                if outer.lines is None:
                    self.send_error(503)
                    return
                body = "".join(f"{line}\n" for line in outer.lines).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._http.server_port}"
        Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def expose(self, *lines, started=None, uptime=None, process=None, **counts):
        """Show counters: v1_200=5 is five answers of version v1 with code 200."""
        shown = list(lines)
        for key, value in counts.items():
            version, code = key.split("_")
            labels = f'destination_service="h",destination_canonical_revision="{version}"'
            shown.append(f'istio_requests_total{{{labels},response_code="{code}"}} {value}')
        named = {
            "istio_agent_process_start_time_seconds": started,
            "envoy_server_uptime": uptime,
            "process_start_time_seconds": process,
        }
        shown += [f"{name} {value}" for name, value in named.items() if value is not None]
        self.lines = shown

    def stop(self):
        self._http.shutdown()
        self._http.server_close()


class Scraped:
    """Two pods, and a Prometheus that scrapes them."""

    def __init__(self, folder: Path):
        self.pods = [Pod(), Pod()]
        config = folder / "prometheus.yaml"
        targets = ",".join(f'"{pod.address}"' for pod in self.pods)
        config.write_text(CONFIG.format(targets=targets))
        url = f"http://127.0.0.1:{free_port()}"
        self.child = Child(
            "prometheus",
            [
                find_or_build()["prometheus"], "--config.file", config,
                "--storage.tsdb.path", folder / "data", "--web.listen-address", url[7:],
                "--scrape.discovery-reload-interval", "500ms",
            ],
            folder / "prometheus.log",
        )  # fmt: skip
        self.client = PrometheusClient(url)
        self.child.wait_ready(lambda: self.client.query("up"), 60)
        connection = Connection.model_validate({"url": url, "timeout": "5s", "maxSeries": 200})
        self.adapter = Prometheus({"prometheus": connection}, lambda *_: None)

    def stop(self):
        self.adapter.close()
        self.client.stop()
        self.child.kill()
        for pod in self.pods:
            pod.stop()

    async def settle(self):
        """Wait until every pod was scraped since now; return an instant after that."""
        begin = time.time()
        newest = "min(timestamp(up))"
        await asyncio.to_thread(
            wait_until,
            "scrapes",
            lambda: (self.client.value(newest) or 0) > begin,
            10,
        )
        return datetime.fromtimestamp(round(time.time(), 3), UTC)

    async def ask(self, template, at, previous):
        query = proportion_query(template, "prometheus", SUBJECT, at, previous)
        (answer,) = await self.adapter.read([query])
        assert not isinstance(answer, Unreadable), answer.reason
        return answer

    def target(self, number):
        return f"pods/{self.pods[number].address}"


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Scraped]:
    started = Scraped(tmp_path_factory.mktemp("prometheus"))
    yield started
    started.stop()


@pytest.fixture
def scraped(running):
    """The same Prometheus for all tests, with nothing exposed."""
    for pod in running.pods:
        pod.expose()
    return running


class Story:
    """Looks at one metric, one after the other, as soon as what is exposed was scraped."""

    def __init__(self, scraped, template=ERRORS):
        self.scraped, self.template = scraped, template
        self.baseline, self.since = None, None

    async def look(self):
        at = await self.scraped.settle()
        self.since = self.since or at - timedelta(seconds=5 * SCRAPE)
        previous = self.baseline.at if self.baseline else None
        answer = await self.scraped.ask(self.template, at, previous)
        said, self.baseline = take_look(self.baseline, answer, at, self.since)
        return said


async def test_both_arms_and_both_counters_come_raw_and_whole(scraped):
    scraped.pods[0].expose(v1_200=10, v1_500=3, v2_200=2, v2_0=1)
    scraped.pods[1].expose(v1_200=7)
    at = await scraped.settle()
    reading = read(await scraped.ask(ERRORS, at, None), at)
    first, second = (reading.targets[scraped.target(number)] for number in (0, 1))
    values = sorted((one.row, one.arm, value) for one, value in first.values.items())
    assert values == [
        ("bad", "candidate", 1), ("bad", "stable", 3),
        ("total", "candidate", 1), ("total", "candidate", 2),
        ("total", "stable", 3), ("total", "stable", 10),
    ]  # fmt: skip
    assert list(second.values.values()) == [7]
    assert at.timestamp() - 3 * SCRAPE < first.sampled <= at.timestamp()
    assert reading.previous is None


async def test_growth_is_counted_and_a_new_response_code_from_zero(scraped):
    story = Story(scraped)
    scraped.pods[0].expose(v1_200=10, v2_200=2)
    assert isinstance(await story.look(), NoLook)
    scraped.pods[0].expose(v1_200=14, v2_200=3, v2_500=5)
    said = await story.look()
    assert said.stable == {scraped.target(0): Counts(4, 0)}
    assert said.candidate == {scraped.target(0): Counts(6, 5)}


async def test_a_scraped_target_without_the_metric_counts_from_zero_when_it_comes(scraped):
    story = Story(scraped)
    scraped.pods[0].expose(v1_200=10)
    await story.look()
    scraped.pods[0].expose(v1_200=11)
    scraped.pods[1].expose(v2_500=5)
    said = await story.look()
    assert said.candidate == {scraped.target(1): Counts(5, 5)}


async def test_a_target_that_could_not_be_scraped_does_not_count_from_zero(scraped):
    story = Story(scraped)
    scraped.pods[0].expose(v1_200=10)
    scraped.pods[1].lines = None
    await story.look()
    scraped.pods[0].expose(v1_200=11)
    scraped.pods[1].expose(v2_500=5)
    said = await story.look()
    assert said.candidate == {}
    assert scraped.target(1) in said.skipped


@pytest.mark.parametrize("kind", ["uptime", "started", "process"])
async def test_a_target_that_started_since_the_last_look_counts_from_zero(scraped, kind):
    story = Story(scraped)
    scraped.pods[0].expose(v1_200=10)
    scraped.pods[1].lines = None
    await story.look()
    await asyncio.sleep(1.1)
    shown = {kind: 0 if kind == "uptime" else time.time()}
    scraped.pods[0].expose(v1_200=11)
    scraped.pods[1].expose(v2_500=5, **shown)
    said = await story.look()
    assert said.candidate == {scraped.target(1): Counts(5, 5)}


async def test_a_restart_counts_from_zero(scraped):
    story = Story(scraped)
    begin = time.time()
    scraped.pods[0].expose(v1_200=100, started=begin - 1000)
    await story.look()
    scraped.pods[0].expose(v1_200=4, v1_500=2, started=time.time())
    said = await story.look()
    assert said.stable == {scraped.target(0): Counts(6, 2)}


async def test_a_restart_of_the_application_is_none_of_its_proxy(scraped):
    story = Story(scraped)
    scraped.pods[0].expose(v1_200=100, uptime=1000, process=time.time() - 1000)
    await story.look()
    scraped.pods[0].expose(v1_200=4, uptime=1001, process=time.time())
    said = await story.look()
    assert isinstance(said, NoLook)
    assert "fell without a newer process start" in said.reason


async def test_a_target_that_is_gone_is_silence_not_zero(scraped):
    story = Story(scraped)
    scraped.pods[0].expose(v1_200=100)
    await story.look()
    scraped.pods[0].lines = None
    said = await story.look()
    assert isinstance(said, NoLook)
    assert "no series" in said.reason


async def test_a_histogram_s_bucket_is_the_good_part(scraped):
    def buckets(within, all_of_them):
        version = 'destination_canonical_revision="v1"'
        return [
            "# TYPE d histogram",
            f'd_bucket{{{version},le="500"}} {within}',
            f'd_bucket{{{version},le="+Inf"}} {all_of_them}',
            f"d_sum{{{version}}} 1",
            f"d_count{{{version}}} {all_of_them}",
        ]

    story = Story(scraped, SLOW)
    scraped.pods[0].expose(*buckets(8, 10))
    await story.look()
    scraped.pods[0].expose(*buckets(15, 20))
    said = await story.look()
    assert isinstance(said, LookCounts)
    assert said.stable == {scraped.target(0): Counts(10, 3)}


async def test_a_value_is_one_number_or_no_data(scraped):
    scraped.pods[0].expose('cpu{version="v2"} 0.5', 'cpu{version="v2",core="1"} 0.7')
    at = await scraped.settle()
    texts = [
        'max(cpu{version="$version"})',
        'cpu{version="$version"}',
        "max(nothing)",
        "vector(0)/0",
    ]
    answers = await scraped.adapter.read(
        [value_query(text, "prometheus", SUBJECT, at) for text in texts]
    )
    values = [read_value(answer) for answer in answers]
    assert values[0] == 0.7
    assert all(isinstance(value, NoLook) for value in values[1:])


async def test_a_wrong_query_is_unreadable_with_prometheus_own_words(scraped):
    (said,) = await scraped.adapter.read(
        [value_query("max(", "prometheus", SUBJECT, datetime.now(UTC))]
    )
    assert "parse error" in said.reason


async def test_more_series_than_allowed_are_not_read(scraped):
    scraped.pods[0].expose(*(f'many{{n="{number}"}} 1' for number in range(201)))
    at = await scraped.settle()
    (said,) = await scraped.adapter.read([value_query("many", "prometheus", SUBJECT, at)])
    assert "maxSeries 200" in said.reason


async def test_the_catalogue_s_templates_are_understood(scraped):
    root = Path(__file__).parents[2] / "manifests" / "base" / "catalogue"
    at = await scraped.settle()
    files = sorted(root.glob("istio-*.yaml"))
    assert len(files) >= 2
    for file in files:
        spec = MetricTemplateSpec.model_validate(yaml.safe_load(file.read_text())["spec"])
        proportion = spec.proportion or spec.distribution.beyond(250)
        answer = await scraped.ask(proportion, at, at - timedelta(seconds=1))
        assert isinstance(read(answer, at), NoLook)


HOST_ERRORS = Proportion(
    total='istio_requests_total{destination_service="$host",$variant}',
    bad='istio_requests_total{destination_service="$host",response_code=~"5..|0",$variant}',
    unreached='istio_requests_total{destination_service="$host",destination_workload="unknown"}',
)
HOST_SLOW = Distribution(buckets='d_bucket{destination_service="$host",$variant}')


def subject_of(number):
    stable, candidate = (
        Arm(name, f"h.{number}+x", f'destination_canonical_revision{match}"{name}"')
        for name, match in (("v1", "="), (f"v[2{number}]", "=~"))
    )
    return replace(SUBJECT, service=stable.host, stable=stable, candidate=candidate)


def many_counters(number, value):
    host = f'destination_service="h.{number}+x"'
    for version in ("v1", "v2", "v3"):
        name = f'destination_canonical_revision="{version}"'
        for code in ("200", "503", "0"):
            labels = f'{host},{name},response_code="{code}"'
            yield f"istio_requests_total{{{labels}}} {value}"
        for le in ("100", "250.0", "+Inf"):
            yield f'd_bucket{{{host},{name},le="{le}"}} {value}'
    yield f'istio_requests_total{{{host},destination_workload="unknown"}} {value}'


def rows(answer):
    """The rows, in any order. Of KNOWN it only matters whether there were any series."""
    assert not isinstance(answer, Unreadable), answer.reason
    return sorted(
        (sorted(s.labels.items()), min(s.value, 1) if s.labels["penstock"] == "known" else s.value)
        for s in answer
    )


@pytest.mark.parametrize("back", [None, 1.5])
async def test_queries_that_are_asked_together_get_what_each_gets_alone(scraped, back):
    scraped.pods[0].expose(
        "envoy_server_uptime 30", *(line for n in range(3) for line in many_counters(n, n + 5))
    )
    scraped.pods[1].expose(*many_counters(1, 3), started=time.time())
    await scraped.settle()
    await asyncio.sleep(2)
    scraped.pods[0].expose(*(line for n in range(2) for line in many_counters(n, n + 9)))
    at = await scraped.settle()
    previous = at - timedelta(seconds=back) if back else None
    templates = [HOST_ERRORS, HOST_SLOW.beyond(100), HOST_SLOW.beyond(250)]
    queries = [
        proportion_query(template, "prometheus", subject_of(number), at, previous)
        for number in range(4)
        for template in templates
    ]
    together = await scraped.adapter.read(queries)
    for query, answer in zip(queries, together, strict=True):
        (alone,) = await scraped.adapter.read([replace(query, counters=None)])
        assert rows(answer) == rows(alone)
    assert sum(len(answer) > 5 for answer in together) >= 6
