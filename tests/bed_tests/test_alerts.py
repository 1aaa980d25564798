"""Rules of the bed's Prometheus become alerts of a real Alertmanager, and webhooks."""

from pathlib import Path

import pytest

from tests.bed.bed import Bed
from tests.bed.place import Place
from tests.bed.processes import BedError, wait_until
from tests.bed_tests.hook import Delivery, Hook

pytestmark = [pytest.mark.bed, pytest.mark.needs("alertmanager", "prometheus-control")]
_RULES = """
groups:
- name: {name}
  rules:
  - alert: TooHot
    expr: vector({value}) > 1
    labels: {{namespace: {name}, severity: page}}
    annotations: {{summary: It is too hot.}}
"""


def _rules(place: Place, value: int) -> str:
    return _RULES.format(name=place.namespace, value=value)


def _ended(delivery: Delivery) -> bool:
    return bool(delivery.body["status"] == "resolved")


def test_rule_that_fires_reaches_the_webhook_with_its_token(
    bed: Bed, place: Place, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    with Hook() as hook:
        bed.alertmanager.route(hook.url, token_file=token)
        bed.prometheus.rules(place.namespace, _rules(place, 2))
        wait_until("webhook", lambda: hook.deliveries, 10)
        first = hook.deliveries[0]
        assert first.headers["Authorization"] == "Bearer secret"
        assert (first.body["version"], first.body["status"]) == ("4", "firing")
        (alert,) = first.body["alerts"]
        assert alert["labels"] == {
            "alertname": "TooHot", "namespace": place.namespace, "severity": "page",
        }  # fmt: skip
        bed.prometheus.rules(place.namespace, _rules(place, 0))
        wait_until("end of the alert", lambda: [d for d in hook.deliveries if _ended(d)], 10)
    bed.prometheus.rules(place.namespace, "")
    bed.alertmanager.unroute()


def test_new_receiver_is_told_of_alerts_that_fire_already(bed: Bed, place: Place) -> None:
    bed.alertmanager.send({"labels": {"alertname": "Old", "namespace": place.namespace}})
    assert [a["labels"]["alertname"] for a in _alerts(bed, place)] == ["Old"]
    for _ in range(2):
        with Hook() as hook:
            bed.alertmanager.route(hook.url, matchers=(f'namespace="{place.namespace}"',))
            wait_until("webhook", lambda: hook.deliveries, 10)
    bed.alertmanager.unroute()


def _alerts(bed: Bed, place: Place) -> list[dict[str, dict[str, str]]]:
    return bed.alertmanager.alerts(f'namespace="{place.namespace}"')


def test_rules_that_prometheus_does_not_understand_are_refused(bed: Bed, place: Place) -> None:
    with pytest.raises(BedError, match="one-two"):
        bed.prometheus.rules(place.namespace, "one-two: three")
    bed.prometheus.rules(place.namespace, _rules(place, 0))
    bed.prometheus.rules(place.namespace, "")
