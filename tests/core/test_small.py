"""Plans, thresholds, ledgers, pods: small values."""

from datetime import timedelta

import pytest

from penstock.api.v1alpha1.analysis import Threshold
from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.core import ledger, plan, pods
from penstock.core.thresholds import ThresholdRecord
from tests.core.rollout.builders import WITH_APPROVAL, spec

SECOND = timedelta(seconds=1)
AT_MOST_1 = Threshold.model_validate({"query": "q", "max": 1, "for": "3s"})


def looked(*values, threshold=AT_MOST_1):
    record = ThresholdRecord()
    for number, value in enumerate(values, 1):
        record = record.with_look(number, 0, value, threshold)
    return record


@pytest.mark.parametrize(
    ("values", "worse"),
    [
        ((2, 2, 2), True),
        ((2, 2), False),
        ((2, 2, 0, 2, 2), False),
        ((2, None, 2, None, 2), True),
        ((None, None, None, None), False),
        ((2, 2, float("nan"), 2), True),
        ((1, 1, 1), False),
    ],
)
def test_a_threshold_is_bad_for_a_time_reset_by_good_looks_and_silent_on_missing_data(
    values, worse
):
    assert looked(*values).worse(AT_MOST_1, SECOND) is worse


def test_a_threshold_may_have_a_least_value():
    least = Threshold.model_validate({"query": "q", "min": 5, "for": "1s"})
    assert looked(4, threshold=least).worse(least, SECOND)
    assert not looked(5, threshold=least).worse(least, SECOND)


def test_a_record_of_a_threshold_is_read_as_it_was_written_and_damage_is_told():
    record = looked(2, 2, None)
    assert ThresholdRecord.decode(record.encode()) == record
    with pytest.raises(ValueError, match="damaged"):
        ThresholdRecord.decode("[1]")


def test_a_look_is_taken_once():
    record = looked(2, 2)
    assert record.with_look(2, 0, 0.5, AT_MOST_1) == record


def test_each_step_proves_the_next_exposure():
    steps = plan.expand(spec(steps=WITH_APPROVAL))
    assert plan.next_exposures(steps) == (0.5, 0.5, 1.0)
    assert [plan.traffic_step(steps, n) for n in (-1, 0, 1, 2, 9)] == [-1, 0, 0, 2, 2]


def test_a_bake_longer_than_the_default_deadline_moves_the_deadline():
    steps = plan.expand(spec(steps=({"weight": 5, "bake": "3h"},)))
    assert (steps[0].bake, steps[0].deadline) == ("3h", "3h")


def test_hundredths_of_a_percent_need_ten_thousand_units():
    assert plan.total_units(spec(), third_destinations=False) == 100
    assert plan.total_units(spec(), third_destinations=True) == 10_000
    assert plan.total_units(spec(steps=({"weight": 0.5},)), third_destinations=False) == 10_000


def rails():
    rules = spec(
        analysis={
            "metrics": [
                {"template": "errors", "maxIncrease": 50},
                {"template": "slow", "onWorse": "Report"},
                {"name": "cpu", "value": {"query": "q", "max": 1}},
                {"template": "unknown"},
            ]
        }
    )
    proportion = {"total": "a{$variant}", "bad": "b{$variant}"}
    template = MetricTemplateSpec.model_validate({"proportion": proportion})
    found = ledger.guardrails(rules.analysis, {"errors": template, "slow": template})
    return rules, found


def test_guardrails_are_metrics_with_their_templates_filled_in():
    _, found = rails()
    assert [(r.name, r.acts, r.tolerance.max_increase) for r in found[:2]] == [
        ("errors", True, 50),
        ("slow", False, 20),
    ]
    assert found[2].threshold.max == 1
    assert len(found) == 3, "the one without its template is left out"


def test_a_ledger_is_read_as_it_was_written_and_damaged_records_begin_anew():
    rules, found = rails()
    book = ledger.empty(rules, found)
    texts = book.encode()
    assert ledger.decode(texts, rules, found) == (book, ())
    again, damaged = ledger.decode({**texts, "errors": "nonsense"}, rules, found)
    assert (again, damaged) == (book, ("errors",))


def pod(name="fraud-v1-abc-x", ready=True, **labels):
    labels = {"version": "v1", "pod-template-hash": "abc", **labels}
    owner = {"controller": True, "name": "fraud-v1-abc"}
    return {
        "metadata": {
            "name": name,
            "labels": labels,
            "ownerReferences": [owner],
            "creationTimestamp": "2026-11-24T10:00:00Z",
        },
        "spec": {"containers": [{"image": "fraud:1"}]},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def test_pods_are_told_apart_by_their_label_and_counted_when_ready():
    leaving = pod()
    leaving["metadata"]["deletionTimestamp"] = "2026-11-24T10:00:00Z"
    found = pods.by_version([pod(), pod(ready=False), leaving, pod(version="v2")], "version")
    assert {version: len(one) for version, one in found.items()} == {"v1": 2, "v2": 1}
    facts = pods.summary(found["v1"])
    assert (facts.ready, facts.images, facts.workloads) == (1, ("fraud:1",), ("fraud-v1",))


def test_pods_that_ended_or_have_no_node_are_none_that_could_be_ready():
    ended, homeless = pod(ready=False), pod(ready=False)
    ended["status"]["phase"] = "Failed"
    homeless["status"]["conditions"].append({"type": "PodScheduled", "status": "False"})
    facts = pods.summary([pod(), pod(ready=False), ended, homeless])
    assert (facts.ready, facts.total) == (1, 2)


def test_a_workload_is_the_deployment_not_its_replica_set():
    assert pods.workload(pod()) == "fraud-v1"
    assert pods.workload(pod(**{"service.istio.io/workload-name": "other"})) == "other"


def test_a_pod_without_an_owner_stands_for_itself_and_one_of_a_stateful_set_for_the_set():
    bare = {"metadata": {"name": "debug"}}
    assert pods.workload(bare) == "debug"
    owner = {"controller": True, "name": "fraud"}
    of_set = {"metadata": {"name": "fraud-0", "ownerReferences": [owner]}}
    assert pods.workload(of_set) == "fraud"
    other = {"metadata": {"name": "x", "ownerReferences": [{"name": "not-a-controller"}]}}
    assert pods.workload(other) == "x"


def test_a_pod_without_the_label_or_without_a_status_is_no_pod_of_a_version():
    assert pods.by_version([{"metadata": {"name": "x"}}], "version") == {}
    assert not pods.is_ready({"metadata": {}, "status": {"conditions": None}})
    assert not pods.is_ready({"metadata": {}})


def test_the_youngest_ready_pod_is_the_newest():
    old, new, unready = pod(), pod(), pod(ready=False)
    new["metadata"]["creationTimestamp"] = "2026-11-24T11:00:00Z"
    unready["metadata"]["creationTimestamp"] = "2026-11-24T12:00:00Z"
    assert pods.summary([old, new, unready]).youngest.hour == 11
    assert pods.summary([unready]).youngest is None


def test_a_threshold_bakes_by_its_looks_with_a_value_in_each_step():
    record = ThresholdRecord()
    for number, (step, value) in enumerate([(0, 1), (0, None), (0, 1), (2, 1)], 1):
        record = record.with_look(number, step, value, AT_MOST_1)
    assert [record.baked(step, SECOND) for step in (-1, 0, 1, 2, 3)] == [
        timedelta(seconds=s) for s in (0, 2, 0, 1, 0)
    ]


def test_a_threshold_for_no_time_acts_at_the_first_bad_look():
    at_once = Threshold.model_validate({"query": "q", "max": 1, "for": "0s"})
    assert not ThresholdRecord().worse(at_once, SECOND)
    assert looked(2, threshold=at_once).worse(at_once, SECOND)


def test_a_step_bakes_for_as_long_as_the_least_of_the_metrics_that_are_compared():
    rules, found = rails()
    book = ledger.empty(rules, found)
    seen = book.thresholds["cpu"].with_look(1, 0, 0.5, AT_MOST_1)
    book = book.with_threshold("cpu", seen)
    acting = frozenset({"errors", "cpu"})
    assert book.baked(0, SECOND, acting) == timedelta(0), "errors had no look yet"
    assert book.baked(-1, SECOND, acting) == timedelta(0)
    assert book.last_number == 1
    alone = ledger.Ledger({}, book.thresholds)
    assert alone.baked(0, SECOND, frozenset({"cpu"})) == SECOND


def test_the_same_damage_in_a_threshold_begins_it_anew():
    rules, found = rails()
    texts = {**ledger.empty(rules, found).encode(), "cpu": "[1,2"}
    book, damaged = ledger.decode(texts, rules, found)
    assert (book.thresholds["cpu"], damaged) == (ThresholdRecord(), ("cpu",))


def test_a_plan_is_pending_and_a_change_of_one_step_leaves_the_others():
    steps = plan.expand(spec(steps=WITH_APPROVAL))
    assert {step.state for step in steps} == {"Pending"}
    assert (steps[1].approval, steps[1].weight, steps[1].deadline) == (True, None, "")
    changed = plan.with_state(steps, 1, "Passed", by="ann")
    assert (changed[0], changed[2], changed[1].by) == (steps[0], steps[2], "ann")
    assert plan.first_exposure(steps[1:]).weight == 50
    assert plan.first_exposure(steps[1:2]) is None
