"""Metrics of every kind: edges of a distribution, both directions, classes, arguments."""

import pytest
import yaml

from tests.bed.operator import REPOSITORY
from tests.e2e import stage as stages

pytestmark = pytest.mark.bed
CLASSES = {"fine": 0.9, "fraud": 0.1}


def staged(stage, metric, *weights, **more):
    spec = {"metrics": [metric], **more}
    return stage(stages.rollout(plan=stages.steps(*(weights or (20,))), analysis=spec))


def apply_template(play, name, **spec):
    play.place.apply(
        {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "MetricTemplate",
            "metadata": {"name": name},
            "spec": spec,
        }
    )


def test_a_slow_tail_is_found_at_an_edge_of_the_histogram(stage):
    metric = {"template": "istio-latency", "edges": [250, 1000], "maxIncrease": 50, "slack": 5}
    play = staged(stage, metric)
    play.place.behave("v2", slow=0.4, slow_ms=1500)
    play.release("v2")
    play.await_phase("RolledBack")
    message = play.status["message"]
    assert "istio-latency over " in message
    assert " ms: candidate " in message
    assert play.weights() == [0, 20, 0]
    play.assert_clean()


def test_a_version_as_fast_as_stable_passes_at_every_edge(stage):
    metric = {"template": "istio-latency", "edges": [250, 1000], "maxIncrease": 100, "slack": 5}
    play = staged(stage, metric, 20, 50)
    play.release("v2")
    play.await_phase("Promoted")
    assert play.weights() == [0, 20, 50, 100]
    play.assert_clean()


def test_too_good_is_a_bug_too_where_a_decrease_is_bounded(stage):
    metric = {"template": "istio-errors", "maxIncrease": 100, "maxDecrease": 40, "slack": 1}
    play = staged(stage, metric)
    play.place.behave("v1", errors=0.3)
    play.place.behave("v2", errors=0)
    play.release("v2")
    play.await_phase("RolledBack")
    assert "less than the tolerated 0.6 times - 1" in play.status["message"]
    play.assert_clean()


def test_a_share_of_good_answers_may_not_fall(stage):
    metric = {"template": "checkouts", "maxDecrease": 20, "slack": 1, "args": {"code": "200"}}
    play = staged(stage, metric)
    requests = 'app_requests_total{namespace="$namespace",version="$version"'
    apply_template(
        play,
        "checkouts",
        better="Higher",
        by=["code"],
        proportion={"total": f"{requests}}}", "good": f'{requests},code="$args.code"}}'},
    )
    play.place.behave("v1", errors=0.2)
    play.place.behave("v2", errors=0.7)
    play.release("v2")
    play.await_phase("RolledBack")
    assert "checkouts: candidate " in play.status["message"]
    assert {s["name"] for s in play.status["analysis"]["metrics"][0]["segments"]} == {"200", "500"}
    assert "less than the tolerated 0.8 times - 1" in play.status["message"]
    play.assert_clean()


@pytest.mark.parametrize(
    ("shares", "phase"), [(CLASSES, "Promoted"), ({"fine": 0.5, "fraud": 0.5}, "RolledBack")]
)
def test_predictions_that_drift_are_rolled_back_and_the_same_predictions_pass(stage, shares, phase):
    metric = {"template": "prediction-drift", "maxIncrease": 100, "maxDecrease": 80, "slack": 5}
    play = staged(stage, metric)
    play.place.behave("v1", classes=CLASSES)
    play.place.behave("v2", classes=shares)
    play.release("v2")
    play.await_phase(phase)
    if phase == "RolledBack":
        assert "prediction-drift class f" in play.status["message"]
        assert "PSI" in play.status["message"]
    play.assert_clean()


def test_edges_that_are_no_bounds_of_a_bucket_hold_and_say_so(stage):
    metric = {"template": "istio-latency", "edges": [300]}
    play = staged(stage, metric, 20, onNoData={"after": "10m"})
    play.release("v2")
    play.await_weight(20)
    play.place.wait(
        lambda: "no bucket ends at this edge" in play.status["message"], 20, "the reason"
    )
    assert play.status["phase"] == "Progressing"


CATALOGUE = sorted((REPOSITORY / "manifests/base/catalogue").glob("*-*.yaml"))


@pytest.mark.parametrize("file", CATALOGUE, ids=lambda file: file.stem)
def test_every_query_of_the_catalogue_is_answered(bed, file):
    spec = yaml.safe_load(file.read_text())["spec"]
    kinds = ("proportion", "distribution", "categories", "value")
    fields = ("total", "bad", "good", "buckets", "counts", "query")
    parts = [spec[kind] for kind in kinds if kind in spec]
    texts = [part[field] for part in parts for field in fields if field in part]
    assert texts
    for text in texts:
        for name, value in {
            "$variant": 'destination_canonical_revision="v1"',
            "$version": "v1",
            "$args.label": "version",
            "$reporter": "source",
            "$host": "fraud.default.svc.cluster.local",
            "$namespace": "default",
        }.items():
            text = text.replace(name, value)
        assert "$" not in text
        assert bed.prometheus.query(text) is not None


@pytest.mark.parametrize(("value", "phase"), [(5.0, "Promoted"), (0.5, "RolledBack")])
def test_a_mean_that_falls_is_rolled_back_and_an_equal_one_passes(stage, value, phase):
    metric = {"template": "revenue", "maxDecrease": 50}
    play = staged(stage, metric, 30)
    matcher = '{namespace="$namespace",version="$version"}'
    mean = {"sum": "app_value_sum", "count": "app_value_count", "sumOfSquares": "app_value_squares"}
    apply_template(
        play,
        "revenue",
        better="Higher",
        mean={key: f"{name}{matcher}" for key, name in mean.items()},
    )
    play.place.behave("v1", value=5.0)
    play.place.behave("v2", value=value)
    play.release("v2")
    play.await_phase(phase)
    if phase == "RolledBack":
        assert "revenue: candidate 0." in play.status["message"]
        assert "less than the tolerated 0." in play.status["message"]
    play.assert_clean()
