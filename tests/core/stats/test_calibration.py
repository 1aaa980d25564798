"""What a history of stable tells about bursts and about pods.

Numbers of the prototype were computed once from its `cal_pods`, for two candidate pods beside 18.
"""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from penstock.core.stats import nulls
from penstock.core.stats.calibration import ENOUGH_BAD, Chance, calibrate, in_minutes

ALPHA = 0.01
SEEDS = range(30)


def history(minutes=60, pods=20, rate=0.005, per_minute=300, cluster=1, spread=0.0, seed=1):
    """Answers per minute and pod; bad ones come `cluster` at a time, rates differ by `spread`."""
    generator = np.random.default_rng((seed, 7))
    total = generator.poisson(per_minute, (minutes, pods)).astype(float)
    rates = rate * np.exp(spread * generator.standard_normal(pods) - spread**2 / 2)
    bad = cluster * generator.poisson(total * rates / cluster)
    return total, np.minimum(bad, total)


def learned(**more):
    return [calibrate(*history(seed=seed, **more), ALPHA) for seed in SEEDS]


def mean(values):
    return float(np.mean(list(values)))


def test_independent_answers_are_hardly_dispersed():
    found = [chance.phi for chance in learned()]
    assert mean(found) == pytest.approx(1.07, abs=0.08)
    assert 1.0 <= min(found) <= max(found) < 1.5


def test_the_shorter_the_history_the_nearer_to_the_prior():
    hour, minutes, two = (
        mean(chance.phi for chance in learned(minutes=length, pods=pods))
        for length, pods in ((60, 20), (10, 4), (2, 2))
    )
    assert hour < minutes < two == pytest.approx(1.5, abs=0.15)


@pytest.mark.parametrize("size", [2, 4, 10])
def test_bad_answers_in_clusters_are_dispersed_by_the_size_of_a_cluster(size):
    found = [chance.phi for chance in learned(cluster=size)]
    assert mean(found) == pytest.approx(size, rel=0.12)
    assert max(abs(phi / size - 1) for phi in found) < 0.5


def bursts(seed, minutes_long, factor=6.0):
    """Each pod's rate is `factor` times as high in a tenth of the spans of so many minutes."""
    generator = np.random.default_rng((seed, minutes_long))
    total, _ = history(seed=seed)
    spans = generator.random((-(-60 // minutes_long), 20)) < 0.1
    high = np.repeat(spans, minutes_long, axis=0)[:60]
    bad = generator.poisson(total * 0.01 * np.where(high, factor, 1.0)).astype(float)
    return total, np.minimum(bad, total), generator.permutation(60)


@pytest.mark.parametrize("minutes_long", [4, 12])
def test_bursts_that_last_for_minutes_are_dispersed_more_than_the_same_minutes_mixed(minutes_long):
    lasting, mixed = [], []
    for seed in SEEDS:
        total, bad, order = bursts(seed, minutes_long)
        lasting.append(calibrate(total, bad, ALPHA).phi)
        mixed.append(calibrate(total[order], bad[order], ALPHA).phi)
    assert mean(lasting) > 1.4 * mean(mixed)
    assert mean(mixed) > 2.0


def test_pods_that_differ_by_three_tenths_are_known_within_the_error_of_twenty_pods():
    found = learned(spread=0.3, rate=0.02)
    shrunk = math.sqrt((4 * 0.1**2 + 19 * 0.3**2) / 23)
    error = shrunk / math.sqrt(2 * 19)
    assert mean(chance.spread for chance in found) == pytest.approx(shrunk, abs=error)
    assert max(abs(chance.spread - shrunk) for chance in found) < 3.5 * error


def test_pods_that_differ_are_not_taken_for_bursts():
    assert mean(chance.phi for chance in learned(spread=0.5, rate=0.02)) < 1.25


def test_pods_that_are_alike_are_known_to_be():
    assert max(chance.spread for chance in learned(rate=0.02)) < 0.1


@pytest.mark.parametrize("few", [{"pods": 2, "rate": 0.02}, {"minutes": 5, "rate": 2e-4}])
def test_few_pods_or_few_errors_are_shrunk_to_a_tenth(few):
    found = [chance.spread for chance in learned(spread=0.3, **few)]
    assert abs(np.median(found) - 0.1) < abs(np.median(found) - 0.3)


def test_pods_whose_errors_tell_nothing_have_four_degrees_of_freedom():
    nothing = calibrate(*history(rate=0.0), ALPHA)
    much = calibrate(*history(spread=0.3, rate=0.2), ALPHA)
    assert nothing.quantile == pytest.approx(stdtrit(4, 1 - ALPHA / 2), rel=1e-3)
    assert much.quantile == pytest.approx(stdtrit(23, 1 - ALPHA / 2), rel=0.01)


def test_the_margin_of_pods_is_exceeded_as_rarely_as_promised():
    generator = np.random.default_rng(11)
    exceeded = 0
    for seed in range(200):
        chance = calibrate(*history(spread=0.3, rate=0.05, minutes=20, seed=seed), 0.2)
        margin = nulls.pod_margin(chance.spread, chance.quantile, np.array([2.0]), np.array([18.0]))
        pods = np.exp(0.3 * generator.standard_normal(20))
        exceeded += pods[:2].mean() > margin[0] * pods[2:].mean()
    assert exceeded / 200 <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / 200)


def test_fewer_than_thirty_bad_answers_give_a_cautious_dispersion_too():
    total = np.full((20, 3), 100.0)
    bad = np.zeros((20, 3))
    bad[np.arange(ENOUGH_BAD - 1) % 20, np.arange(ENOUGH_BAD - 1) % 3] += 1
    few = calibrate(total, bad, ALPHA)
    assert 1.0 <= few.phi < few.cautious_phi < 3.0
    bad[0, 0] += ENOUGH_BAD - bad.sum()
    assert calibrate(total, bad, ALPHA).cautious_phi == 0.0


def test_the_less_was_seen_the_more_cautious():
    rates = (0.0, 2e-6, 2e-5)
    found = [mean(chance.cautious_phi for chance in learned(rate=rate)) for rate in rates]
    assert found[0] == pytest.approx(3.0)
    assert found == sorted(found, reverse=True)


def test_pods_that_were_there_for_a_part_of_the_hour_are_pods_like_others():
    found = []
    for seed in SEEDS:
        total, bad = history(rate=0.02, seed=seed)
        gone = np.zeros((60, 20), dtype=bool)
        gone[30:, :5], gone[:30, 5:10], gone[20:50, 10:12] = True, True, True
        total[gone], bad[gone] = 0.0, 0.0
        found.append(calibrate(total, bad, ALPHA))
    assert mean(chance.phi for chance in found) < 1.25
    assert max(chance.spread for chance in found) < 0.1


def test_a_pod_that_never_answered_is_no_pod():
    total, bad = history(pods=3, rate=0.02)
    none = np.zeros((60, 2))
    wider = np.hstack((total, none)), np.hstack((bad, none))
    assert calibrate(*wider, ALPHA) == calibrate(total, bad, ALPHA)


def test_a_minute_without_answers_is_no_news():
    total, bad = history(rate=0.02, minutes=8, pods=4)
    total[3], bad[3] = 0.0, 0.0
    assert all(np.isfinite(astuple(calibrate(total, bad, ALPHA))))


NOTHING_KNOWN = Chance(1.5, 3.0, 0.1, float(stdtrit(4, 1 - ALPHA / 2)))


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (5, 0), (1, 0), (1, 1), (1, 4), (60, 4)])
def test_a_history_without_an_error_leaves_what_is_taken_for_granted(shape):
    found = calibrate(np.full(shape, 100.0), np.zeros(shape), ALPHA)
    assert astuple(found) == pytest.approx(astuple(NOTHING_KNOWN), rel=1e-6)


def test_one_minute_tells_nothing_of_bursts():
    found = calibrate(np.array([[100.0, 100.0]]), np.array([[90.0, 2.0]]), ALPHA)
    assert (found.phi, found.cautious_phi) == (1.5, 0.0)
    assert found.spread > 0.1


def test_one_pod_has_nobody_to_differ_from():
    found = calibrate(np.full((60, 1), 100.0), np.full((60, 1), 5.0), ALPHA)
    assert astuple(found) == pytest.approx((1.5, 0.0, 0.1, NOTHING_KNOWN.quantile))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), pods=st.integers(1, 8), minutes=st.integers(1, 30))
def test_the_order_of_pods_does_not_matter(seed, pods, minutes):
    total, bad = history(minutes, pods, rate=0.02, per_minute=40, spread=0.4, seed=seed)
    order = np.random.default_rng(seed).permutation(pods)
    found = calibrate(total, bad, ALPHA), calibrate(total[:, order], bad[:, order], ALPHA)
    assert astuple(found[0]) == pytest.approx(astuple(found[1]), rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(
    minutes=st.integers(0, 20),
    pods=st.integers(0, 4),
    alpha=st.floats(1e-5, 0.5),
    data=st.data(),
)
def test_whatever_was_counted_the_numbers_can_be_used(minutes, pods, alpha, data):
    total = np.zeros((minutes, pods))
    for place in np.ndindex(total.shape):
        total[place] = data.draw(st.sampled_from((0, 0, 1, 7, 10**7)))
    bad = np.floor(total * data.draw(st.sampled_from((0.0, 0.3, 1.0))))
    found = calibrate(total, bad, alpha)
    assert all(np.isfinite(astuple(found)))
    assert found.phi >= 1
    assert found.cautious_phi == 0 or found.cautious_phi >= found.phi
    assert min(found.spread, found.quantile) >= 0


def table(minutes, pods, modulus):
    """Counts without a generator, so that they can be made again elsewhere."""
    i, j = np.mgrid[:minutes, :pods]
    total = 100 + (7 * i + 13 * j) % 40
    bad = (3 * i * i + 5 * i * j + 2 * j) % modulus * (1 + (j % 3 == 0))
    return total.astype(float), bad.astype(float)


@pytest.mark.parametrize(
    ("shape", "alpha", "phi", "margin"),
    [
        ((60, 20, 7), 0.01, 1.612789190073, 2.380545308527),
        ((60, 20, 7), 0.0025, 1.612789190073, 2.858179585708),
        ((60, 4, 7), 0.01, 2.231933056317, 2.678264492796),
        ((60, 4, 7), 0.0025, 2.231933056317, 3.662612983702),
        ((13, 3, 5), 0.01, 1.685329742111, 1.657455306407),
        ((7, 2, 11), 0.0025, 1.906929804617, 2.295587019814),
        ((5, 1, 7), 0.01, 1.5, 1.409406889628),
    ],
)
def test_numbers_are_those_of_the_prototype(shape, alpha, phi, margin):
    found = calibrate(*table(*shape), alpha)
    pods = np.array([2.0]), np.array([18.0])
    assert found.phi == pytest.approx(phi, rel=1e-9)
    assert nulls.pod_margin(found.spread, found.quantile, *pods) == pytest.approx(margin, rel=1e-9)


def test_short_intervals_are_summed_to_minutes():
    counts = np.arange(26.0).reshape(13, 2)
    minutes = in_minutes(counts, 10)
    assert minutes.tolist() == [counts[:6].sum(0).tolist(), counts[6:12].sum(0).tolist()]


@pytest.mark.parametrize("seconds", [45, 60, 300])
def test_long_intervals_stay_as_they_are(seconds):
    counts = np.arange(10.0).reshape(5, 2)
    assert in_minutes(counts, seconds).tolist() == counts.tolist()


def test_less_than_a_minute_is_no_minute():
    assert in_minutes(np.ones((5, 2)), 10).shape == (0, 2)


def test_an_idle_pod_that_erred_once_leaves_a_margin_that_is_a_number():
    found = calibrate(np.array([[1.0, 1e6]]), np.array([[1.0, 0.0]]), ALPHA)
    one = np.ones(1)
    assert np.isfinite(nulls.pod_margin(found.spread, found.quantile, one, one)).all()
