"""Our own Prometheus metrics about alerts."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class AlarmMetrics:
    """What monitoring must know to trust that alerts reach us."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make the metrics; their names are part of what dashboards rely on."""
        self._received = Counter(
            "penstock_alerts_received",
            "Alerts that were read, by source: webhook, or the connection that was polled.",
            ("source",),
            registry=registry,
        )
        self._refused = Counter(
            "penstock_alerts_refused",
            "Deliveries that were not taken, by reason.",
            ("reason",),
            registry=registry,
        )
        self._truncated = Counter(
            "penstock_alerts_truncated",
            "Alerts that Alertmanager cut off because of its max_alerts.",
            registry=registry,
        )
        self._polled = Gauge(
            "penstock_alert_poll_last_success_timestamp_seconds",
            "When a poll of an Alertmanager last succeeded.",
            ("connection",),
            registry=registry,
        )

    def received(self, source: str, alerts: int, truncated: int = 0) -> None:
        """Count alerts that were read, and those that were cut off."""
        self._received.labels(source).inc(alerts)
        self._truncated.inc(truncated)

    def refused(self, reason: str) -> None:
        """Count a delivery that was not taken."""
        self._refused.labels(reason).inc()

    def polled(self, connection: str, at: float) -> None:
        """Note when a poll succeeded, in seconds since 1970."""
        self._polled.labels(connection).set(at)
