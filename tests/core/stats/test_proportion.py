import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from penstock.core.stats.mixture import LOG_WEIGHTS, TILTS, log_sum
from penstock.core.stats.proportion import Bet, Cell, Null, Pairs, Question


def null(ratio, slack, looks=1):
    return Null(np.full(looks, float(ratio)), np.full(looks, float(slack)))


def pairs(*columns):
    return Pairs(*(np.atleast_1d(np.asarray(column, dtype=float)) for column in columns))


def log_e(question, seen, border, rate):
    rates = np.full(seen.candidate_total.shape, rate)
    return Bet.on(question, seen, border, rates).gains().log_e(seen)


def expectation(question, totals, shares, border, rate):
    """Exact E[e] per tilt, by enumeration of all outcomes of one look."""
    x, y = (grid.ravel() for grid in np.meshgrid(*(np.arange(total + 1) for total in totals)))
    outcomes = pairs(np.full(x.shape, totals[0]), x, np.full(x.shape, totals[1]), y)
    chance = binom.pmf(x, totals[0], shares[0]) * binom.pmf(y, totals[1], shares[1])
    return np.exp(log_e(question, outcomes, null(*border, len(x)), rate)) @ chance


BORDERS = tuple(itertools.product((1.0, 1.2, 5.0, 21.0), (0.0, 0.001, 0.05, 0.3, 1.2)))


@pytest.mark.parametrize("totals", [(1, 1), (1, 133), (3, 40), (12, 12), (20, 2)])
@pytest.mark.parametrize("stable_share", [0.0, 0.003, 0.1, 0.4, 0.8])
def test_no_look_is_expected_to_gain_when_the_candidate_is_tolerable(totals, stable_share):
    for (ratio, slack), rate in itertools.product(BORDERS, (0.004, 0.5)):
        worst_tolerable = min(ratio * stable_share + slack, 1.0)
        for share in (worst_tolerable, worst_tolerable / 2):
            shares = (share, stable_share)
            expected = expectation(Question.WORSE, totals, shares, (ratio, slack), rate)
            assert expected.max() <= 1 + 1e-9, (ratio, slack, rate, share)


@pytest.mark.parametrize("totals", [(1, 1), (1, 133), (3, 40), (12, 12), (20, 2)])
@pytest.mark.parametrize("stable_share", [0.0, 0.003, 0.1, 0.4, 0.8])
def test_no_look_is_expected_to_gain_when_the_candidate_is_not_good_enough(totals, stable_share):
    for (ratio, slack), rate in itertools.product(BORDERS, (0.004, 0.5)):
        least_bad = ratio * stable_share + slack
        for share in (least_bad, (1 + least_bad) / 2):
            if share <= 1:
                shares = (share, stable_share)
                expected = expectation(Question.SAFE, totals, shares, (ratio, slack), rate)
                assert expected.max() <= 1 + 1e-9, (ratio, slack, rate, share)


@settings(deadline=None)
@given(
    n=st.integers(1, 5000),
    m=st.integers(1, 5000),
    share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    ratio=st.floats(0.2, 50),
    rate=st.floats(0.001, 0.9),
    question=st.sampled_from(Question),
)
def test_without_slack_it_is_the_conditional_binomial_ratio(n, m, share, ratio, rate, question):
    x, y = int(share[0] * n), int(share[1] * m)
    s = n / (n + m)
    s0 = s * ratio / (s * ratio + 1 - s)
    tilted = np.exp(question.value * TILTS)
    q = s0 * tilted / (s0 * tilted + 1 - s0)
    expected = x * np.log(q / s0) + y * np.log((1 - q) / (1 - s0))
    seen = log_e(question, pairs(n, x, m, y), null(ratio, 0), rate)
    clipped = tilted * s0 / (1 - s0) > 900
    np.testing.assert_allclose(seen[~clipped, 0], expected[~clipped], rtol=1e-7, atol=1e-7)


@settings(deadline=None)
@given(
    n=st.integers(1, 50),
    m=st.integers(1, 200),
    bad=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=4),
    slack=st.floats(0, 0.5),
    rate=st.floats(0.001, 0.5),
    question=st.sampled_from(Question),
)
def test_the_cut_of_looks_with_equal_shares_changes_nothing(n, m, bad, slack, rate, question):
    x = np.array([int(share * n) for share, _ in bad])
    y = np.array([int(share * m) for _, share in bad])
    count = len(bad)
    parts = pairs(np.full(count, n), x, np.full(count, m), y)
    whole = pairs(n * count, x.sum(), m * count, y.sum())
    apart = log_e(question, parts, null(1.2, slack, count), rate).sum(-1)
    together = log_e(question, whole, null(1.2, slack), rate)[..., 0]
    np.testing.assert_allclose(apart, together, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("question", Question)
@pytest.mark.parametrize("counts", [(0, 0, 100, 7), (30, 12, 0, 0), (0, 0, 0, 0)])
def test_a_look_without_one_of_the_arms_says_nothing(question, counts):
    assert not log_e(question, pairs(*counts), null(1.2, 0.001), 0.01).any()


def test_leading_axes_are_judged_one_by_one():
    n, x, m, y = np.random.default_rng(3).integers(0, 20, (4, 6, 5)).astype(float)
    seen = Pairs(n + 20, x, m + 30, y)
    border = Null(np.array([[1.2], [5.0]])[:, None], np.array([[0.001], [0.02]])[:, None])
    rates = np.full((6, 5), 0.1)
    together = Bet.on(Question.WORSE, seen, border, rates).gains().log_e(seen)
    assert together.shape == (2, 6, len(TILTS), 5)
    columns = (seen.candidate_total, seen.candidate_bad, seen.stable_total, seen.stable_bad)
    single = pairs(*(column[4] for column in columns))
    expected = log_e(Question.WORSE, single, null(5.0, 0.02, 5), 0.1)
    np.testing.assert_allclose(together[1, 4], expected, rtol=1e-12)


def test_leaving_out_the_whole_candidate_leaves_no_evidence():
    seen = pairs(40, 25, 300, 2)
    bet = Bet.on(Question.WORSE, seen, null(1.2, 0.001), np.array([0.01]))
    gains = bet.gains()
    whole = bet.log_e_of_cell(gains, seen, Cell(seen.candidate_total, seen.candidate_bad))
    np.testing.assert_allclose(whole, gains.log_e(seen), rtol=1e-12)
    nothing = bet.log_e_of_cell(gains, seen, Cell(np.zeros(1), np.zeros(1)))
    assert not nothing.any()


def first_decision(question, shares, ratio, level, looks=4000, streams=300):
    """All bad answers until the decision, per stream; looks of 20 and 180 requests."""
    generator = np.random.default_rng(5)
    bad = [
        generator.binomial(total, share, (streams, looks))
        for total, share in zip((20, 180), shares, strict=True)
    ]
    seen = Pairs(np.array([20.0]), bad[0].astype(float), np.array([180.0]), bad[1].astype(float))
    gains = Bet.on(question, seen, null(ratio, 0), np.array([shares[1]])).gains()
    sums = [np.cumsum(column, -1)[:, None] for column in bad]
    path = sums[0] * gains.bad + sums[1] * gains.stable_bad + LOG_WEIGHTS[:, None]
    decided = log_sum(path, 1) >= math.log(1 / level)
    assert decided.any(-1).all()
    first = decided.argmax(-1)
    return (sums[0] + sums[1])[np.arange(streams), 0, first]


@pytest.mark.parametrize(
    ("times", "median", "looks"), [(2, 180, 2000), (4, 35, 600), (10, 10, 200)]
)
def test_a_worse_candidate_costs_as_many_bad_answers_as_published(times, median, looks):
    bad = first_decision(Question.WORSE, (0.005 * times, 0.005), 1.0, 0.01, looks)
    assert np.median(bad) == pytest.approx(median, rel=0.25)


@pytest.mark.parametrize(("ratio", "median", "looks"), [(2, 105, 1500), (3, 39, 600), (5, 17, 300)])
def test_an_equal_candidate_is_safe_after_as_many_bad_answers_as_published(ratio, median, looks):
    bad = first_decision(Question.SAFE, (0.005, 0.005), ratio, 0.05, looks)
    assert np.median(bad) == pytest.approx(median, rel=0.25)
