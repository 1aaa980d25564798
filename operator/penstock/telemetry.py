"""What people and their monitoring are told: our own Prometheus metrics and Kubernetes events."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from penstock.core.kinds import EVENT, Key, Manifest
from penstock.ports import TransientError, Writes

LOG = logging.getLogger("penstock")
ROLLOUT_LABELS = ("namespace", "rollout")
QUEUE_LIMIT = 1000
BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)


@dataclass
class Metrics:
    """The operator's own metrics. Series of a Rollout go with it."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        """Make the metrics; their names are part of what dashboards rely on."""
        registry = self.registry
        self.weight = Gauge(
            "penstock_rollout_weight_percent",
            "Candidate's share as decided, in percent.",
            ROLLOUT_LABELS,
            registry=registry,
        )
        self.states = {
            name: Gauge(
                f"penstock_rollout_{name}", text, (*ROLLOUT_LABELS, name), registry=registry
            )
            for name, text in (
                ("phase", "1 for the phase in which the Rollout is."),
                ("verdict", "1 for the verdict of the whole analysis."),
            )
        }
        self.evidence = Gauge(
            "penstock_rollout_metric_evidence_log10",
            "Evidence of one metric in the newest release, as log10 of the odds.",
            (*ROLLOUT_LABELS, "metric", "question"),
            registry=registry,
        )
        self.reconciled = Gauge(
            "penstock_rollout_last_reconcile_timestamp_seconds",
            "When the Rollout was last reconciled without an error.",
            ROLLOUT_LABELS,
            registry=registry,
        )
        self.outcomes = Counter(
            "penstock_releases_finished",
            "Releases that have ended, by outcome and its cause.",
            (*ROLLOUT_LABELS, "outcome", "cause"),
            registry=registry,
        )
        self.timings = Histogram(
            "penstock_operation_seconds",
            "How long queries and reconciles took, and how late looks at metrics were.",
            ("operation",),
            buckets=BUCKETS,
            registry=registry,
        )
        self.dropped = Counter(
            "penstock_events_dropped", "Kubernetes events that were not sent.", registry=registry
        )

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
        self._labels: dict[Key, set[tuple[str, tuple[str, ...]]]] = {}

    def event(self, rollout: Manifest, *, warning: bool, reason: str, message: str) -> None:
        """Queue a Kubernetes event about a Rollout; it is dropped when the queue is full."""
        try:
            self._queue.put_nowait(_event(rollout, warning, reason, message))
        except asyncio.QueueFull:
            self._metrics.dropped.inc()

    def rollout(self, key: Key, facts: Mapping[str, Any]) -> None:
        """Show weight, phase, verdict and evidence of a Rollout."""
        names = (key.namespace, key.name)
        self._metrics.weight.labels(*names).set(facts["weight"])
        self._metrics.reconciled.labels(*names).set(facts["at"])
        for state in ("phase", "verdict"):
            self._only(key, state, str(facts[state]))
        for metric, question, value in facts["evidence"]:
            self._metrics.evidence.labels(*names, metric, question).set(value)
            self._labels.setdefault(key, set()).add(("evidence", (metric, question)))

    def _only(self, key: Key, state: str, value: str) -> None:
        """Set the series of one state to 1 and remove those of the others."""
        gauge, names = self._metrics.states[state], (key.namespace, key.name)
        known = self._labels.setdefault(key, set())
        for entry in [e for e in known if e[0] == state and e[1] != (value,)]:
            gauge.remove(*names, *entry[1])
            known.discard(entry)
        if value:
            gauge.labels(*names, value).set(1)
            known.add((state, (value,)))

    def gone(self, key: Key) -> None:
        """Remove all series of a Rollout."""
        names = (key.namespace, key.name)
        gauges = {**self._metrics.states, "evidence": self._metrics.evidence}
        gauges |= {"outcome": self._metrics.outcomes}  # type: ignore[dict-item]
        for name, more in self._labels.pop(key, set()):
            gauges[name].remove(*names, *more)
        for gauge in (self._metrics.weight, self._metrics.reconciled):
            with contextlib.suppress(KeyError):
                gauge.remove(*names)

    def timing(self, name: str, seconds: float) -> None:
        """Note how long an operation took."""
        self._metrics.timing(name, seconds)

    def finished(self, key: Key, outcome: str, cause: str) -> None:
        """Count a release that has ended."""
        self._metrics.outcomes.labels(key.namespace, key.name, outcome, cause).inc()
        self._labels.setdefault(key, set()).add(("outcome", (outcome, cause)))

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
