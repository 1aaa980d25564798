import numpy as np
import pytest
from scipy.stats import betabinom, binom

from penstock.core.stats.shares import ALARM, log_evidence


def traffic(share, looks=60, per_look=6000, seed=4):
    generator = np.random.default_rng(seed)
    total = generator.poisson(per_look, looks)
    candidate = generator.binomial(total, share)
    return candidate.astype(float), (total - candidate).astype(float)


def test_it_is_the_beta_binomial_over_the_binomial_of_all_answers_so_far():
    candidate, stable = traffic(0.1, looks=3)
    seen = log_evidence(candidate, stable, np.full(3, 0.1))
    ours, all_ = candidate.sum(), candidate.sum() + stable.sum()
    expected = betabinom.logpmf(ours, all_, 100, 900) - binom.logpmf(ours, all_, 0.1)
    assert seen[-1] == pytest.approx(expected, rel=1e-6)


def test_evidence_multiplies_over_spans_of_equal_weights():
    one, other = traffic(0.1, looks=4), traffic(0.5, looks=5, seed=9)
    together = [np.concatenate(arms) for arms in zip(one, other, strict=True)]
    share = np.repeat([0.1, 0.5], [4, 5])
    first = log_evidence(*one, share[:4])
    second = log_evidence(*other, share[4:])
    np.testing.assert_allclose(
        log_evidence(*together, share), np.concatenate((first, first[-1] + second)), rtol=1e-12
    )


def test_a_span_may_be_given_as_its_sums():
    candidate, stable = traffic(0.1, looks=8)
    each = log_evidence(candidate, stable, np.full(8, 0.1))
    sums = log_evidence(candidate.sum(keepdims=True), stable.sum(keepdims=True), np.array([0.1]))
    assert sums[-1] == pytest.approx(each[-1], rel=1e-12)


def test_traffic_that_follows_the_weight_raises_no_alarm():
    for seed in range(50):
        assert log_evidence(*traffic(0.1, seed=seed), np.full(60, 0.1)).max() < ALARM


def test_half_the_intended_share_is_an_alarm_at_the_first_look():
    assert log_evidence(*traffic(0.0556, looks=1), np.full(1, 0.1))[0] > ALARM


def test_nine_percent_instead_of_ten_costs_as_many_requests_as_published():
    paths = [log_evidence(*traffic(0.09, 20, seed=seed), np.full(20, 0.1)) for seed in range(40)]
    assert np.median([np.argmax(path > ALARM) for path in paths]) + 1 == pytest.approx(3, abs=1)


def test_nothing_is_left_to_chance_without_a_split():
    candidate, stable = np.array([0.0, 3.0]), np.array([100.0, 0.0])
    assert not log_evidence(candidate, stable, np.array([0.0, 1.0])).any()
    assert log_evidence(np.zeros(0), np.zeros(0), np.zeros(0)).size == 0
