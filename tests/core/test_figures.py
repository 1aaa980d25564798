"""Monitoring is shown what the status says, by names that do not change."""

import math
from datetime import UTC, datetime, timedelta

from penstock.api.v1alpha1.analysis import OnWorse
from penstock.api.v1alpha1.metric_template import Categories
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import (
    AnalysisStatus,
    Candidate,
    Condition,
    Ended,
    MetricStatus,
    Phase,
    Refusal,
    RolloutStatus,
    Serving,
    StepStatus,
    TrafficStatus,
)
from penstock.core import figures
from penstock.core.judging import Opinion
from penstock.core.ledger import Guardrail
from tests import fakes

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
AT = NOW.timestamp()
ERRORS = MetricStatus(
    name="errors", verdict="Learning", candidate=2.5, stable=1.0, ratio=(0.5, 2.5, 9.0)
)


def shown(status):
    return {(one.measure.name, *one.labels): one.value for one in figures.of_status(status, NOW)}


def in_flight(step, **more):
    candidate = Candidate(
        version="v2", release="fraud-1", since=NOW, step=0, workloads=("fraud-v2",)
    )
    return RolloutStatus(
        phase=Phase.PROGRESSING,
        stable=Serving(version="v1", workloads=("fraud-v1", "fraud-v1-gpu")),
        candidate=candidate,
        steps=(step,),
        **more,
    )


def condition(type_, status, reason):
    return Condition(type=type_, status=status, reason=reason, last_transition_time=NOW)


def test_a_release_shows_its_arms_its_traffic_and_until_when_its_step_may_run():
    step = StepStatus(weight=5, since=NOW, deadline="10m")
    traffic = TrafficStatus(weight=5, observed_share=4.8)
    found = shown(in_flight(step, traffic=traffic))
    assert found["phase", "Progressing"] == 1
    assert found["version", "candidate", "v2"] == found["version", "stable", "v1"] == 1
    assert found["workload", "stable", "fraud-v1-gpu"] == 1
    assert (found["weight_percent",], found["observed_share_percent",]) == (5, 4.8)
    assert (found["step",], found["steps",], found["step_started_timestamp_seconds",]) == (0, 1, AT)
    assert found["step_deadline_timestamp_seconds",] == AT + 600


def test_an_approval_has_no_deadline():
    found = shown(in_flight(StepStatus(approval=True, since=NOW)))
    assert found["step_started_timestamp_seconds",] == AT
    assert ("step_deadline_timestamp_seconds",) not in found


def test_only_conditions_that_somebody_should_look_at_are_shown():
    conditions = (
        condition("Ready", "False", "Progressing"),
        condition("Stalled", "True", "Contested"),
        condition("DataTrusted", "False", "NoData"),
        condition("RollbackCapacity", "True", "Enough"),
        condition("SufficientTraffic", "Unknown", "NotYetKnown"),
    )
    found = shown(RolloutStatus(conditions=conditions))
    assert {labels[1:] for labels in found if labels[0] == "trouble"} == {
        ("Stalled", "Contested"),
        ("DataTrusted", "NoData"),
    }


def test_what_each_metric_says_is_shown_as_far_as_it_is_known():
    silent = MetricStatus(name="latency", verdict="NoData")
    analysis = AnalysisStatus(verdict="Learning", metrics=(ERRORS, silent))
    found = shown(RolloutStatus(analysis=analysis))
    assert found["verdict", "Learning"] == 1
    assert found["metric_verdict", "latency", "NoData"] == 1
    assert found["metric_value", "errors", "candidate"] == 2.5
    assert found["metric_ratio", "errors", "high"] == 9.0
    assert not [labels for labels in found if "latency" in labels and labels[0] == "metric_value"]


def test_the_newest_end_and_the_newest_refusal_are_shown_with_their_cause():
    ended = Ended(release="fraud-2", outcome="RolledBack", cause="Worse", at=NOW)
    refused = tuple(
        Refusal(version=version, release=version, reason=reason, at=NOW - timedelta(hours=age))
        for version, reason, age in (("v2", "Aborted", 1), ("v3", "Worse", 0), ("v4", "Alert", 2))
    )
    found = shown(RolloutStatus(ended=ended, refused=refused))
    assert found["last_release_timestamp_seconds", "RolledBack", "Worse"] == AT
    assert [labels[1:] for labels in found if labels[0] == "refused_timestamp_seconds"] == [
        ("Worse",)
    ]


def test_the_evidence_stands_beside_what_a_verdict_takes():
    rules = RolloutSpec.model_validate(fakes.rollout()["spec"])
    rail = Guardrail(
        "errors",
        "prometheus",
        OnWorse.ROLLBACK,
        categories=Categories(counts="n{$variant}", label="class"),
    )
    said = Opinion(rail, "Learning", ERRORS, log_worse=math.log(100), log_safe=0.0)
    found = {
        (one.measure.name, *one.labels): round(one.value, 6)
        for one in figures.of_evidence(rules, RolloutStatus(), [said])
    }
    assert found["metric_evidence_log10", rail.name, "worse"] == 2
    assert found["metric_evidence_log10", rail.name, "safe"] == 0
    assert found["evidence_needed_log10", "worse"] == 2  # falseAlarmRate 1 %, one metric
    assert found["evidence_needed_log10", "safe"] == round(
        -math.log10(rules.analysis.miss_rate / 100), 6
    )
    assert figures.of_evidence(rules, RolloutStatus(), []) == ()


def test_names_are_unique_and_no_label_is_taken_twice():
    names = [one.name for one in figures.MEASURES]
    assert len(names) == len(set(names))
    assert not [one for one in figures.MEASURES if {"namespace", "rollout"} & set(one.labels)]
