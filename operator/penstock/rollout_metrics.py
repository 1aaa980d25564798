"""The numbers of all Rollouts as Prometheus collects them; those of a Rollout go with it."""

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from penstock.core.figures import MEASURES, Figure
from penstock.core.kinds import Key

PREFIX = "penstock_rollout_"
LABELS = ("namespace", "rollout")


class RolloutMetrics(Collector):
    """What was shown last of each Rollout, and nothing else: no series outlives what it says."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._shown: dict[Key, tuple[Figure, ...]] = {}

    def show(self, key: Key, figures: Sequence[Figure]) -> None:
        """Show these of a Rollout in place of what was shown before."""
        before = self._shown.get(key, ())
        if not any(one.measure.lasts for one in figures):
            figures = (*figures, *(one for one in before if one.measure.lasts))
        self._shown[key] = tuple(figures)

    def forget(self, key: Key) -> None:
        """Show nothing more of a Rollout."""
        self._shown.pop(key, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return all series; called from the thread of a scrape."""
        families = {
            one.name: GaugeMetricFamily(PREFIX + one.name, one.text, labels=(*LABELS, *one.labels))
            for one in MEASURES
        }
        for key, figures in list(self._shown.items()):
            for one in figures:
                family = families[one.measure.name]
                family.add_metric((key.namespace, key.name, *one.labels), one.value)
        yield from families.values()
