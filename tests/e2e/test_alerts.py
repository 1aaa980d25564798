"""Alerts of a real Alertmanager: by webhook and by poll, Rollback and Suspend."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.bed.operator import Operator, OperatorSetup
from tests.bed.processes import free_port
from tests.e2e import stage as stages
from tests.e2e.conftest import MANIFESTS, STAGE

if TYPE_CHECKING:
    from tests.bed.bed import Bed
    from tests.bed.place import Place

pytestmark = [
    pytest.mark.bed,
    pytest.mark.needs(*STAGE, "operator-process", "prometheus-control", "alertmanager"),
]
SLOW = """
groups:
- name: {name}
  rules:
  - alert: FraudIsSlow
    expr: |
      sum(rate(istio_request_duration_milliseconds_sum{{{arm}}}[5s]))
      / sum(rate(istio_request_duration_milliseconds_count{{{arm}}}[5s])) > 100
    labels: {{namespace: {name}, severity: page}}
"""
FIRES = """
groups:
- name: {name}
  rules:
  - alert: FraudIsSlow
    expr: vector({value}) > 0
    labels: {{namespace: {name}, severity: page}}
"""
Listen = Callable[..., Operator]


@pytest.fixture
def listen(bed: "Bed", _operator: Operator, place: "Place", tmp_path: Path) -> Iterator[Listen]:
    """Return a function that starts an operator which hears of alerts, in place of the usual one.

    The usual one is started again by the next test that asks for it.
    """
    started: list[Operator] = []

    def start(*, webhook: bool = False, poll: bool = False) -> Operator:
        token, port = tmp_path / "token", free_port()
        token.write_text("secret")
        connections: dict[str, Any] = {
            "prometheus": {"url": bed.prometheus.url, "lag": "50ms", "timeout": "2s"}
        }
        config: dict[str, Any] = {"connections": connections}
        if poll:
            url = bed.alertmanager.url
            connections["alertmanager"] = {"kind": "alertmanager", "url": url, "every": "1s"}
        if webhook:
            settings = {"port": port, "bindAddress": "127.0.0.1", "tokenFile": str(token)}
            config["alertReceiver"] = settings
        _operator.stop()
        started.append(bed.operator(OperatorSetup(manifests=MANIFESTS, config=config)))
        started[-1].start()
        if webhook:
            matchers = (f'namespace="{place.namespace}"',)
            url = f"http://127.0.0.1:{port}/alerts"
            bed.alertmanager.route(url, token_file=token, matchers=matchers)
        return started[-1]

    yield start
    bed.alertmanager.unroute()
    bed.prometheus.rules(place.namespace, "")
    for running in started:
        running.stop()


def fire(bed: "Bed", place: "Place", value: int = 1) -> None:
    """Let the alert fire, or end with the value 0."""
    bed.prometheus.rules(place.namespace, FIRES.format(name=place.namespace, value=value))


def silenced(bed: "Bed", place: "Place") -> str:
    """Silence the alerts of a place for an hour; return the silence's id."""
    matcher = {"name": "namespace", "value": place.namespace, "isRegex": False, "isEqual": True}
    now = datetime.now(UTC)
    content = {
        "matchers": [matcher],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "test",
        "comment": "test",
    }
    answer = requests.post(f"{bed.alertmanager.url}/api/v2/silences", json=content, timeout=10)
    answer.raise_for_status()
    return str(answer.json()["silenceID"])


def polled(running: Operator) -> float:
    """Return when the operator last polled, in seconds since 1970."""
    for line in running.metrics().splitlines():
        if line.startswith("penstock_alert_poll_last_success_timestamp_seconds{"):
            return float(line.rpartition(" ")[2])
    return 0.0


def rollout(action: str, **more: Any) -> dict[str, Any]:
    """Return a Rollout that stays at 10 % until something happens, and heeds the alert."""
    rule = {"match": {"alertname": "FraudIsSlow", "severity": "page"}, "action": action}
    plan = more.pop("plan", [stages.step(10, "10m")])
    return stages.rollout(plan=plan, alerts=[rule], **more)


def test_an_alert_rolls_back_what_no_metric_of_the_rollout_sees(
    listen: Listen, bed: "Bed", place: "Place"
) -> None:
    listen(webhook=True)
    play = stages.set_up(place, rollout("Rollback"))
    arm = f'destination_workload="fraud-v2",destination_workload_namespace="{place.namespace}"'
    bed.prometheus.rules(place.namespace, SLOW.format(name=place.namespace, arm=arm))
    play.release("v2")
    play.await_weight(10)
    place.wait(lambda: 10 in play.weights(), 10, "weight 10")
    assert play.phase == "Progressing"
    place.behave("v2", errors=stages.STABLE_ERRORS, delay_ms=300)
    play.await_phase("RolledBack")
    refusal = play.status["refused"][0]
    assert (refusal["version"], refusal["reason"]) == ("v2", "Alert")
    assert refusal["message"].startswith("alert FraudIsSlow {")
    assert 'severity="page"}, firing since ' in refusal["message"]
    assert play.weights() == [0, 10, 0]
    place.behave("v2", errors=stages.STABLE_ERRORS)
    place.wait(lambda: not bed.alertmanager.alerts(f'namespace="{place.namespace}"'), 30, "its end")
    assert play.phase == "RolledBack", "the end of the alert changes nothing"
    play.assert_clean()


def test_an_alert_is_found_by_polls_too_but_not_while_it_is_silenced(
    listen: Listen, bed: "Bed", place: "Place"
) -> None:
    running = listen(poll=True)
    play = stages.set_up(place, rollout("Rollback"))
    play.release("v2")
    play.await_weight(10)
    silence = silenced(bed, place)
    fire(bed, place)
    place.wait(lambda: bed.alertmanager.alerts(f'namespace="{place.namespace}"'), 10, "the alert")
    began = polled(running)
    place.wait(lambda: polled(running) > began + 2, 10, "two more polls")
    assert play.weights() == [0, 10]
    requests.delete(f"{bed.alertmanager.url}/api/v2/silence/{silence}", timeout=10)
    play.await_phase("RolledBack")
    assert play.status["refused"][0]["reason"] == "Alert"
    assert 'penstock_alerts_received_total{source="alertmanager"}' in running.metrics()
    play.assert_clean()


def test_suspend_holds_until_an_approval_and_the_metrics_go_on_judging(
    listen: Listen, bed: "Bed", place: "Place"
) -> None:
    listen(webhook=True)
    play = stages.set_up(place, rollout("Suspend", plan=[stages.step(10, "5s"), stages.step(50)]))
    play.release("v2")
    play.await_weight(10)
    fire(bed, place)
    play.await_phase("Waiting", version="held by alert FraudIsSlow")
    fire(bed, place, 0)
    place.wait(lambda: not bed.alertmanager.alerts(f'namespace="{place.namespace}"'), 30, "its end")
    assert (play.phase, play.weights()) == ("Waiting", [0, 10])
    play.command("approve=fraud-1/0#go")
    play.await_phase("Promoted")
    assert play.weights() == [0, 10, 50, 100]
    play.assert_clean()


def test_no_release_starts_while_an_alert_fires_also_after_a_restart(
    listen: Listen, bed: "Bed", place: "Place"
) -> None:
    """The operator has forgotten the alert, and the first poll brings it back."""
    running = listen(webhook=True, poll=True)
    play = stages.set_up(place, rollout("Rollback", plan=[stages.step(10)]))
    fire(bed, place)
    place.wait(lambda: bed.alertmanager.alerts(f'namespace="{place.namespace}"'), 10, "the alert")
    running.restart()
    place.wait(lambda: polled(running) > 0, 10, "a poll")
    play.release("v2")
    play.await_phase("Waiting", version="v2 waits until this is resolved: alert FraudIsSlow")
    assert play.weights() == [0]
    fire(bed, place, 0)
    play.await_phase("Promoted")
    assert play.weights() == [0, 10, 100]
    play.assert_clean()


def test_within_keep_old_an_alert_undoes_the_promotion(
    listen: Listen, bed: "Bed", place: "Place"
) -> None:
    listen(webhook=True)
    play = stages.set_up(place, rollout("Rollback", plan=[stages.step(10)]))
    play.release("v2")
    play.await_phase("Promoted")
    fire(bed, place)
    play.await_phase("RolledBack")
    assert play.stable == "v1"
    place.wait(lambda: play.weights() == [0, 10, 100, 0], 10, "v1 again")
    play.assert_clean()
