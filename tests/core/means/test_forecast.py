import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core import outlook, plan
from penstock.core.forecast import Forecast, Proof
from penstock.core.ledger import Ledger, guardrails
from penstock.core.means.forecast import MeanTraffic, noise, until_safe
from penstock.core.means.looks import MeanArm, MeanLook
from penstock.core.means.record import MeanRecord
from penstock.core.question import Question
from penstock.core.terms import Calibration, Terms, Tolerance

TRAFFIC = MeanTraffic(1.0, 0.0, candidate_per_second=6.0, stable_per_second=54.0)
PROOF = Proof(Tolerance(20, 0.0), exposure=0.25, miss_rate=0.05, phi=1.0, interval_seconds=10.0)


def record(looks, seed=1, squares=True, per_look=(60, 540), tolerance=PROOF.tolerance):
    """Looks of exponential values: the variance of one is the square of their mean."""
    generator = np.random.default_rng(seed)
    kept = MeanRecord(Terms(10.0, tolerance, (0.25,), Calibration(phi=1.0, spread=0.0)))
    for number in range(1, looks + 1):
        arms = []
        for expected in per_look:
            values = generator.exponential(3.0, generator.poisson(expected))
            square = float((values**2).sum()) if squares else None
            arms.append(MeanArm(len(values), float(values.sum()), square))
        kept = kept.with_look(MeanLook(number, 0, False, *arms, 2, 18))
    return kept


@pytest.mark.parametrize(
    ("tolerance", "exposure"),
    [(Tolerance(20, 0.0), 0.5), (Tolerance(None, 0.0, 10.0), 0.3), (Tolerance(8, 0.0, 8.0), 0.25)],
)
def test_the_forecast_is_what_the_engine_then_needs(tolerance, exposure):
    needed = []
    for seed in range(30):
        kept = record(250, seed, tolerance=tolerance)
        weighing = replace(kept, terms=replace(kept.terms, exposures=(exposure,))).weighing
        sums = weighing.in_step(0)
        safe = np.minimum.reduce([weighing.log_safe(side, sums, 0) for side in weighing.sides])
        needed.append(10.0 * (int((safe >= math.log(20)).argmax()) + 1))
    found = until_safe(TRAFFIC, replace(PROOF, tolerance=tolerance, exposure=exposure))
    assert found.median == pytest.approx(np.median(needed), rel=0.35)
    assert found.bound == pytest.approx(np.quantile(needed, 0.9), rel=0.4)


def test_bake_and_warm_up_are_part_of_it_and_less_traffic_takes_longer():
    plain = until_safe(TRAFFIC, PROOF)
    warm = until_safe(TRAFFIC, replace(PROOF, warm_up_seconds=180.0))
    assert warm == Forecast(plain.median + 180.0, plain.bound + 180.0)
    assert until_safe(TRAFFIC, replace(PROOF, bake_seconds=7200.0)) == Forecast(7200.0, 7200.0)
    slow = until_safe(replace(TRAFFIC, candidate_per_second=0.02, stable_per_second=0.2), PROOF)
    assert slow.median > 10 * plain.median
    for rate in (0.0, 1e-6):
        traffic = replace(TRAFFIC, candidate_per_second=rate)
        assert until_safe(traffic, PROOF) == Forecast(None, None)


def test_noise_beyond_the_answers_is_not_reduced_by_more_of_them():
    hard = replace(PROOF, exposure=1.0)
    loud = until_safe(replace(TRAFFIC, between=0.05), hard)
    busy = MeanTraffic(1.0, 0.05, candidate_per_second=6e4, stable_per_second=5e5)
    assert until_safe(TRAFFIC, hard).median < loud.median
    assert until_safe(busy, hard).median > until_safe(replace(busy, between=0.0), hard).median


def test_where_nothing_could_be_too_low_a_step_passes_at_once():
    found = until_safe(TRAFFIC, replace(PROOF, tolerance=Tolerance(None, 0.0, 20.0), exposure=0.05))
    assert found == Forecast(10.0, 10.0)


@pytest.mark.parametrize("squares", [True, False])
def test_the_noise_is_told_by_looks_and_before_them_by_the_history(squares):
    assert noise(record(60, squares=squares)) == pytest.approx(1.0, rel=0.35)
    assert noise(record(3)) is None
    fresh = MeanRecord(record(1).terms).calibrated(Calibration(), 0.0, 2.5)
    assert noise(fresh) == 2.5
    assert MeanRecord.decode(fresh.encode()).noise == 2.5


def question(step):
    steps = [{"weight": weight, "bake": "30s", "deadline": "1h"} for weight in (10, 50)]
    content = {
        "version": "v2",
        "traffic": {"service": "fraud", "route": {"delegate": "fraud-split"}},
        "strategy": {"canary": {"steps": steps}},
        "analysis": {"warmUp": "0s", "metrics": [{"template": "revenue"}]},
    }
    rules = RolloutSpec.model_validate(content)
    template = {"mean": {"sum": "v_sum{$variant}", "count": "v_count{$variant}"}}
    templates = {"revenue": MetricTemplateSpec.model_validate(template)}
    rails = guardrails(rules.analysis, templates)
    return Question(rules, rails, plan.expand(rules), step, {}, None)


def test_a_release_that_is_judged_by_a_mean_has_an_eta_for_each_step():
    book = Ledger(means={"revenue": record(20)})
    found = outlook.eta(book, question(0), timedelta(0))
    assert sorted(found) == [0, 1]
    assert timedelta(seconds=30) <= found[0][0] <= found[0][1] < timedelta(hours=1)
    assert found[0][0] < found[1][0]


def test_before_the_first_weight_the_eta_is_by_stables_history():
    asked = question(-1)
    fresh = MeanRecord(record(1).terms)
    assert outlook.eta(Ledger(means={"revenue": fresh}), asked, timedelta(0)) == {}
    past = Calibration(history=replace(Calibration().history, total=216_000), seconds=3600.0)
    known = Ledger(means={"revenue": fresh.calibrated(past, 0.0, 1.0)})
    assert sorted(outlook.eta(known, asked, timedelta(0))) == [0, 1]
