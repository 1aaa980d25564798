"""What every benchmark stands on: a fresh bed with a running operator, and what it costs."""

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psutil
import requests
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.bed.bed import Bed
from tests.bed.operator import REPOSITORY, Operator, OperatorSetup

MANIFESTS = REPOSITORY / "manifests" / "testbed"
QUERIES = "prometheus_http_requests_total"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `met` is None for what has no target."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What the operator used in a span of time.

    Attributes:
        seconds: Length of the span.
        cpu: Share of one core, in percent.
        rss_mib: Memory at the end of the span.
        asked: Requests to the API server but watches, by verb and resource.
        queries: Requests to Prometheus.
    """

    seconds: float
    cpu: float
    rss_mib: float
    asked: Counter[str]
    queries: int

    @property
    def most_asked(self) -> str:
        """Return the commonest requests per second, in words."""
        return ", ".join(f"{n / self.seconds:.1f} {what}" for what, n in self.asked.most_common(5))


@dataclass
class Rig:
    """A bed and its operator, which asks the Prometheus at `metrics`."""

    bed: Bed
    operator: Operator
    say: Say
    metrics: str = ""

    @classmethod
    @contextlib.contextmanager
    def fresh(cls, say: Say) -> Iterator["Rig"]:
        """Start a bed and an operator; both end with the block."""
        say("starting a bed")
        with Bed.start(crds=REPOSITORY / "crds") as bed:
            operator = bed.operator(OperatorSetup(manifests=MANIFESTS))
            operator.start()
            yield cls(bed, operator, say, bed.prometheus.url)

    def let_ask(self, url: str) -> None:
        """Run the operator with another Prometheus."""
        self.operator.stop()
        connection = {"kind": "prometheus", "url": url, "lag": "50ms", "timeout": "2s"}
        config = {"connections": {"prometheus": connection}}
        self.operator = self.bed.operator(OperatorSetup(manifests=MANIFESTS, config=config))
        self.operator.start()
        self.metrics = url

    def families(self) -> dict[str, Metric]:
        """Return the operator's own metrics by name."""
        return {one.name: one for one in text_string_to_metric_families(self.operator.metrics())}

    def cost(self, seconds: float, what: str) -> Cost:
        """Wait so long and return what the operator used meanwhile."""
        process, began = psutil.Process(self.operator.pid), time.time()
        before, queried = _cpu(process), self._queried()
        while (left := began + seconds - time.time()) > 0:
            self.say(f"{what}: {left:.0f} s to go")
            time.sleep(min(left, 10))
        took = time.time() - began
        return Cost(
            seconds=took,
            cpu=100 * (_cpu(process) - before) / took,
            rss_mib=process.memory_info().rss / 2**20,
            asked=self.asked(began),
            queries=self._queried() - queried,
        )

    def asked(self, since: float) -> Counter[str]:
        """Return what the operator asked the API server since then, without watches."""
        found = self.bed.requests(self.operator.user, since)
        return Counter(
            " ".join(filter(None, (one.verb, one.resource, one.subresource)))
            for one in found
            if one.verb != "watch"
        )

    def _queried(self) -> int:
        """Return how many queries Prometheus has answered; nobody but the operator asks it."""
        text = requests.get(f"{self.metrics}/metrics", timeout=10).text
        return sum(
            int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == QUERIES and sample.labels["handler"] == "/api/v1/query"
        )


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def spread(values: Sequence[float], unit: str = "s") -> str:
    """Return median, 95 % quantile and maximum, in words."""
    scale, form = (1000.0, ".0f") if unit == "ms" else (1.0, ".2f")
    p50, p95, most = (quantile(values, share) * scale for share in (0.5, 0.95, 1.0))
    return f"p50 {p50:{form}}, p95 {p95:{form}}, max {most:{form}} {unit}, {len(values)} runs"
