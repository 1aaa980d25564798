"""Our own Prometheus metrics about notifications."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class NotificationMetrics:
    """What monitoring must know to trust that people are told."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make the metrics; their names are part of what dashboards rely on."""
        self._sent = Counter(
            "penstock_notifications_sent",
            "Notifications that a receiver has taken.",
            ("type",),
            registry=registry,
        )
        self._failed = Counter(
            "penstock_notifications_failed",
            "Attempts that failed, by reason; most are tried again.",
            ("type", "reason"),
            registry=registry,
        )
        self._dropped = Counter(
            "penstock_notifications_dropped",
            "Notifications that were given up, by reason.",
            ("reason",),
            registry=registry,
        )
        self._waiting = Gauge(
            "penstock_notifications_waiting",
            "Notifications that have not been taken yet.",
            registry=registry,
        )

    def sent(self, kind: str) -> None:
        """Count a notification that was taken."""
        self._sent.labels(kind).inc()

    def failed(self, kind: str, reason: str) -> None:
        """Count an attempt that failed."""
        self._failed.labels(kind, reason).inc()

    def dropped(self, reason: str) -> None:
        """Count a notification that was given up."""
        self._dropped.labels(reason).inc()

    def waiting(self, count: int) -> None:
        """Show how many have not been taken yet."""
        self._waiting.set(count)
