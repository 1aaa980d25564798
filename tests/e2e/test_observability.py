"""Dashboards and alerts on a real Prometheus that scrapes the operator and the edge."""

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from tests.bed.operator import Operator
from tests.e2e import stage as stages
from tests.e2e import test_edits as edits
from tests.e2e.conftest import STAGE
from tests.observability import metrics_page, queries
from tests.observability.queries import Asked

if TYPE_CHECKING:
    from tests.bed.bed import Bed
    from tests.bed.place import Place

pytestmark = [
    pytest.mark.bed,
    pytest.mark.needs(*STAGE, "operator-process", "prometheus-control"),
]
# Nothing is copied, no alert has come, nobody is told.
EMPTY_HERE = {
    "Penstock: one release/Weight and what became of it/D",
    "Penstock: all releases/Alerts heard/A",
    "Penstock: all releases/Alerts heard/B",
    "Penstock: all releases/Notifications/A",
    "Penstock: all releases/Notifications/B",
    "Penstock: all releases/Notifications/C",
}


@pytest.fixture
def scraped(bed: "Bed", operator: Operator) -> Iterator[Operator]:
    """Let Prometheus scrape the operator and evaluate the rules, whose `for` is taken away."""
    bed.prometheus.scrape_operators([f"127.0.0.1:{operator.metrics_port}"])
    groups = queries.groups()
    for group in groups["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    bed.prometheus.rules("penstock", yaml.safe_dump(groups))
    yield operator
    bed.prometheus.rules("penstock", "")
    bed.prometheus.scrape_operators([])


def firing(bed: "Bed", alert: str, labels: str = "") -> dict[str, str]:
    """Return the labels of the alert while it fires; empty else."""
    found = bed.prometheus.query(f'ALERTS{{alertstate="firing",alertname="{alert}"{labels}}}')
    return found[0][0] if found else {}


def await_alert(bed: "Bed", place: "Place", alert: str) -> dict[str, str]:
    """Wait until the alert about the Rollout fires, and return its labels."""
    labels = f',namespace="{place.namespace}",rollout="fraud"'
    place.wait(lambda: firing(bed, alert, labels), 15, alert)
    return firing(bed, alert, labels)


def answer(bed: "Bed", asked: Asked, place: "Place", began: float) -> dict[str, Any]:
    """Return what Prometheus answers to a query over the time of the test."""
    values = {
        "namespace": place.namespace,
        "rollout": "fraud",
        "reporter": "source",
        "workload": "fraud-v1|fraud-v2|fraud-v3",
        "__rate_interval": "5s",
        "__interval": "5s",
        "__range": "1m",
    }
    sent = {"query": asked.filled(values), "start": began, "end": time.time(), "step": 1}
    found = requests.post(f"{bed.prometheus.url}/api/v1/query_range", data=sent, timeout=20)
    body: dict[str, Any] = found.json()
    assert body["status"] == "success", f"{asked.where}: {body}"
    assert not body.get("warnings", body.get("infos")), f"{asked.where}: {body}"
    return body["data"]  # type: ignore[no-any-return]


def numbers(data: dict[str, Any]) -> bool:
    """Return whether there is a value that is a number."""
    return any(text != "NaN" for series in data["result"] for _, text in series["values"])


def test_every_query_of_the_dashboards_has_an_answer_after_a_good_and_a_bad_release(
    scraped: Operator, bed: "Bed", place: "Place"
) -> None:
    began = time.time()
    play = stages.set_up(place, stages.rollout(plan=stages.steps(10, 50)))
    place.deploy("fraud", "v3")
    place.behave("v3", errors=0.3)
    play.release("v2")
    play.await_phase("Promoted")
    play.release("v3")
    play.await_phase("RolledBack")
    assert await_alert(bed, place, "PenstockRolledBack")["reason"] == "Worse"
    trouble = f'penstock_rollout_trouble{{namespace="{place.namespace}"}} offset 3s'
    place.wait(lambda: bed.prometheus.query(trouble), 10, "three seconds of it")
    every = {asked.where: answer(bed, asked, place, began) for asked in queries.of_boards()}
    assert {where for where, data in every.items() if not numbers(data)} <= EMPTY_HERE
    for asked in queries.of_rules():
        answer(bed, asked, place, began)
    shown = set(re.findall(r"^(penstock_\w+)(?<!_created)[ {]", scraped.metrics(), re.MULTILINE))
    assert shown - metrics_page.names() == set(), "docs/metrics-of-the-operator.md has them all"


def test_the_rules_are_evaluated_and_say_when_the_operator_is_gone(
    scraped: Operator, bed: "Bed", place: "Place"
) -> None:
    place.wait(lambda: bed.prometheus.value("penstock_started_timestamp_seconds"), 10, "a scrape")
    place.wait(lambda: not firing(bed, "PenstockOperatorDown"), 10, "the rules")
    scraped.kill()
    place.wait(lambda: firing(bed, "PenstockOperatorDown"), 15, "PenstockOperatorDown")
    scraped.start()
    place.wait(lambda: not firing(bed, "PenstockOperatorDown"), 15, "its end")
    groups = requests.get(f"{bed.prometheus.url}/api/v1/rules", timeout=10).json()["data"]["groups"]
    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert {health[rule["alert"]] for rule in queries.rules()} == {"ok"}


def test_a_release_without_data_and_a_route_that_somebody_else_writes_are_alerts(
    scraped: Operator, bed: "Bed", place: "Place"
) -> None:
    place.apply(edits.existing(place))
    spec = stages.rollout(route=edits.EXISTING, plan=[stages.step(10, "10m")])
    play = stages.set_up(place, spec, rate=0)
    play.release("v2")
    play.await_weight(10)
    assert await_alert(bed, place, "PenstockNoData")
    for _ in range(4):
        place.wait(lambda: edits.primary(place)["route"][0].get("weight") == 10, 10, "our weights")
        edits.edit(place, edits.weights_of(place, 90, 10), manager="argocd-controller")
        place.wait(lambda: _is_answered(play, place), 10, "an answer")
    assert await_alert(bed, place, "PenstockContested")
    assert not firing(bed, "PenstockStalled", f',namespace="{place.namespace}"')


def _is_answered(play: stages.Stage, place: "Place") -> bool:
    return bool(play.status.get("contested")) or edits.primary(place)["route"][0]["weight"] == 10
