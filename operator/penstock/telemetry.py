"""What people and their monitoring are told: our own Prometheus metrics and Kubernetes events."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from penstock.core.figures import Figure
from penstock.core.kinds import EVENT, Key, Manifest
from penstock.core.rollout import ending
from penstock.ports import FAILING, TransientError, Writes
from penstock.rollout_metrics import RolloutMetrics

LOG = logging.getLogger("penstock")
QUEUE_LIMIT = 1000
BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)


@dataclass
class Metrics:
    """The operator's own metrics; those of a Rollout are in `rollouts`, and go with it."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        """Make the metrics; their names are part of what dashboards rely on."""
        registry = self.registry
        self.rollouts = RolloutMetrics()
        registry.register(self.rollouts)
        self.started = Gauge(
            "penstock_started_timestamp_seconds", "When the operator started.", registry=registry
        )
        self.started.set_to_current_time()
        self.outcomes = Counter(
            "penstock_releases_finished",
            "Releases that have ended, by outcome and its cause.",
            ("outcome", "cause"),
            registry=registry,
        )
        self.timings = Histogram(
            "penstock_operation_seconds",
            "How long queries and reconciles took, and how late looks at metrics were.",
            ("operation",),
            buckets=BUCKETS,
            registry=registry,
        )
        self.failures = Counter(
            "penstock_failures",
            "Turns of a Rollout that failed, and writes of a status; all are tried again.",
            ("operation",),
            registry=registry,
        )
        self.dropped = Counter(
            "penstock_events_dropped", "Kubernetes events that were not sent.", registry=registry
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Show what has not happened yet as 0: `increase` does not see a first 1."""
        for outcome, causes in ending.CAUSES.items():
            for cause in causes:
                self.outcomes.labels(outcome, cause)
        for operation in FAILING:
            self.failures.labels(operation)

    def timing(self, name: str, seconds: float) -> None:
        """Note how long an operation took."""
        self.timings.labels(name).observe(seconds)


class Telemetry:
    """Implements `penstock.ports.Reports`."""

    def __init__(self, metrics: Metrics, writes: Writes) -> None:
        """Events wait in a queue of their own, so that no decision waits for them."""
        self._metrics = metrics
        self._writes = writes
        self._queue: asyncio.Queue[Manifest] = asyncio.Queue(QUEUE_LIMIT)

    def event(self, rollout: Manifest, *, warning: bool, reason: str, message: str) -> None:
        """Queue a Kubernetes event about a Rollout; it is dropped when the queue is full."""
        try:
            self._queue.put_nowait(_event(rollout, warning, reason, message))
        except asyncio.QueueFull:
            self._metrics.dropped.inc()

    def rollout(self, key: Key, figures: Sequence[Figure]) -> None:
        """Show the numbers of a Rollout."""
        self._metrics.rollouts.show(key, figures)

    def gone(self, key: Key) -> None:
        """Remove all series of a Rollout."""
        self._metrics.rollouts.forget(key)

    def timing(self, name: str, seconds: float) -> None:
        """Note how long an operation took."""
        self._metrics.timing(name, seconds)

    def failed(self, operation: str) -> None:
        """Count a failure."""
        self._metrics.failures.labels(operation).inc()

    def finished(self, outcome: str, cause: str) -> None:
        """Count a release that has ended."""
        self._metrics.outcomes.labels(outcome, cause).inc()

    async def send_events(self) -> None:
        """Send queued events until cancelled; one that is refused is dropped."""
        while True:
            event = await self._queue.get()
            try:
                await self._writes.create(EVENT, event)
            except TransientError as error:
                self._metrics.dropped.inc()
                LOG.warning("an event was not sent: %s", error)


def _event(rollout: Manifest, warning: bool, reason: str, message: str) -> Manifest:
    meta, now = rollout["metadata"], datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": rollout["apiVersion"],
            "kind": rollout["kind"],
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message[:1000],
        "source": {"component": "penstock"},
        "reportingComponent": "penstock",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
