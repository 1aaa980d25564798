import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import dirichlet_multinomial, hypergeom, multinomial

from penstock.core.stats.multinomial import TILTS, Evidence, Groups, log_evidence, log_gains

BATCHES = np.array([[20, 17, 9], [18, 21, 8], [4, 6, 4], [18, 19, 11]], dtype=float)
SHARES = np.array([0.4, 0.4, 0.2])


def tables(total, classes):
    """All ways in which answers fall into classes, shape (ways, classes)."""
    ways = itertools.product(range(total + 1), repeat=classes)
    return np.array([way for way in ways if sum(way) == total], dtype=float)


def traffic(shares, per_look, streams=1, looks=40, seed=6):
    """Counts per stream, look and class; the shares may differ from look to look."""
    generator = np.random.default_rng(seed)
    rows = np.broadcast_to(shares, (looks, np.shape(shares)[-1]))
    return generator.multinomial(per_look, rows, (streams, looks)).astype(float)


def paths(candidate, stable):
    return Evidence.of(np.cumsum(log_gains(candidate, stable), -3))


def test_given_shares_are_tested_as_published():
    found = log_evidence(BATCHES, SHARES, np.ones(3))
    expected = [-2.9505608, -3.6819009, -3.8606584, -4.1838140]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_it_is_the_dirichlet_multinomial_over_the_multinomial_of_all_answers():
    alpha, total = 20 * SHARES, BATCHES.sum(0)
    expected = dirichlet_multinomial.logpmf(total.astype(int), alpha, int(total.sum()))
    expected -= multinomial.logpmf(total, total.sum(), SHARES)
    assert log_evidence(BATCHES, SHARES, alpha)[-1] == pytest.approx(expected)


def test_the_expectation_of_evidence_against_given_shares_is_one():
    for total in (1, 2, 7):
        ways = tables(total, 3)
        e = np.exp(log_evidence(ways[:, None], np.tile(SHARES, (len(ways), 1)), np.ones(3)))
        chance = multinomial.pmf(ways, total, SHARES)
        assert e[:, 0] @ chance == pytest.approx(1, rel=1e-12)


def test_an_answer_in_an_impossible_class_is_proof():
    counts, shares = np.array([[4.0, 0], [3, 1]]), np.array([1.0, 0.0])
    found = log_evidence(counts, shares, np.ones(2))
    assert np.isfinite(found[0])
    assert found[1] == math.inf


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (0.9, 0.09, 0.01), (0.34, 0.33, 0.33)])
@pytest.mark.parametrize("totals", [(1, 1), (1, 6), (3, 4), (6, 2), (5, 5)])
def test_no_stake_and_no_mixture_gains_where_both_arms_have_one_distribution(totals, shares):
    ours, theirs = (tables(total, 3) for total in totals)
    gains = log_gains(ours[:, None], theirs[None])
    chance = np.multiply.outer(
        multinomial.pmf(ours, totals[0], shares), multinomial.pmf(theirs, totals[1], shares)
    )
    expected = np.einsum("ab,abcu->cu", chance, np.exp(gains))
    assert expected.max() <= 1 + 1e-12
    both = Evidence.of(gains)
    assert (chance * np.exp(both.together)).sum() <= 1 + 1e-12


def costs(ours, theirs, inside):
    """What each tilt costs beyond its mean gain: in the code, and at least (exact law)."""
    x = np.arange(max(0, inside - theirs), min(ours, inside) + 1)
    law = hypergeom.logpmf(x, ours + theirs, ours, inside)
    mean = TILTS * (np.exp(law) @ x)
    exact = logsumexp(law[:, None] + np.outer(x, TILTS), axis=0)
    candidate = np.array([float(x[0]), ours - x[0]])
    stable = np.array([float(inside - x[0]), theirs - inside + x[0]])
    return TILTS * x[0] - log_gains(candidate, stable)[0] - mean, exact - mean


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.integers(1, 300), st.floats(0, 1))
def test_a_stake_costs_no_less_than_what_it_may_expect(ours, theirs, share):
    cost, exact = costs(ours, theirs, round(share * (ours + theirs)))
    assert (cost >= exact - 1e-7).all()


@pytest.mark.parametrize(
    ("totals", "inside", "times"),
    [
        ((10, 9990), 3000, 1.1),
        ((9990, 10), 7000, 1.1),
        ((400, 600), 9, 1.1),
        ((500, 500), 995, 1.1),
        ((50, 950), 700, 1.1),
        ((300, 700), 300, 1.6),
        ((500, 500), 500, 2.01),
    ],
)
def test_a_stake_costs_little_more_where_an_arm_or_a_class_is_small(totals, inside, times):
    cost, exact = costs(*totals, inside)
    assert (cost / exact).max() <= times


def test_looks_without_both_arms_and_a_single_class_tell_nothing():
    counts = np.array([[3.0, 4.0], [0, 0]])
    np.testing.assert_allclose(log_gains(counts, counts[::-1]), 0, atol=1e-12)
    np.testing.assert_allclose(log_gains(counts[:, :1], 5 * counts[:, :1]), 0, atol=1e-12)


def test_evidence_of_old_looks_is_kept_as_one_sum_per_class_and_tilt():
    candidate, stable = traffic(SHARES, 50)[0], traffic(SHARES[::-1], 400)[0]
    gains = log_gains(candidate, stable)
    assert gains.shape == (40, 3, 20)
    whole = Evidence.of(np.cumsum(gains, 0)).together
    past = gains[:25].sum(0)
    np.testing.assert_allclose(
        Evidence.of(past + gains[25:].sum(0)).together, whole[-1], rtol=1e-12
    )
    assert whole.shape == (40,)


def test_the_level_holds_whatever_the_shares_do_over_time():
    """At 20 to 1 seen 0.3 % together and 0.5 % for a class; simulation error .2 points."""
    wave = 0.2 + 0.15 * np.sin(np.arange(40))
    shares = np.stack((wave, 0.75 - wave, np.full(40, 0.2), np.full(40, 0.05)), -1)
    found = paths(traffic(shares, 60, 1000), traffic(shares, 300, 1000, seed=7))
    assert (found.together.max(-1) >= math.log(20)).mean() <= 0.01
    assert (found.classes.max(-2) >= math.log(20)).mean(0).max() <= 0.015


def test_a_class_that_only_the_candidate_knows_is_found_after_a_few_answers():
    stable = np.array([[800.0, 100, 0]] * 5)
    candidate = np.array([[88.0, 10, 2]] * 5)
    found = paths(candidate, stable)
    assert found.together[2] > math.log(200)
    assert found.classes[2].argmax() == 2


def test_a_shifted_class_is_named():
    candidate = traffic([0.5, 0.3, 0.2], 200)[0]
    found = paths(candidate, traffic([0.5, 0.42, 0.08], 800)[0])
    assert found.classes[-1].argmax() == 2
    assert found.together[5] > math.log(1000)
    assert found.classes[-1, 0] < math.log(20)


def test_rare_classes_are_counted_together():
    history = np.array([3.0, 500, 40, 0, 457])
    groups = Groups.of(history, answers=200)
    assert groups.index.tolist() == [3, 0, 1, 3, 2]
    assert groups.size == 4
    merged = groups.merge(np.array([[1.0, 2, 3, 4, 5], [0, 0, 0, 0, 7]]))
    assert merged.tolist() == [[2, 3, 5, 5], [0, 0, 7, 0]]


def test_no_more_groups_than_allowed_are_kept_the_most_frequent_first():
    groups = Groups.of(np.arange(20.0, 50.0), answers=1e6)
    assert groups.size == 12
    assert groups.index.tolist() == [11] * 19 + list(range(11))
    assert Groups.of(np.full(4, 9.0), 1e6, most=3).index.tolist() == [0, 1, 2, 2]
    assert Groups.of(np.full(4, 9.0), 1e6, most=1).size == 1


def test_classes_that_history_does_not_know_join_the_rest():
    groups = Groups.of(np.array([90.0, 80.0]), answers=1000)
    assert groups.merge(np.array([5.0, 6, 7, 8])).tolist() == [5, 6, 15]
    assert Groups.of(np.zeros(0), answers=1000).merge(np.array([5.0, 6])).tolist() == [11]
