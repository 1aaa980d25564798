import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.stats import mixture
from penstock.core.stats.mixture import Starts

MANY = st.integers(1, 12).flatmap(
    lambda looks: st.lists(
        st.lists(st.floats(-30, 30), min_size=looks, max_size=looks), min_size=1, max_size=3
    )
)


def prior(looks, before=0.0):
    return mixture.log_start_prior(before + 10.0 * np.arange(1, looks + 1), before)


def by_definition(log_e, log_prior, log_before):
    """S <- (S + prior) e, look by look."""
    result = np.exp(log_before)
    for column, mass in zip(log_e.T, np.exp(log_prior), strict=True):
        result = (result + mass) * np.exp(column)
    return result


def test_the_tilts_are_ten_and_their_weights_sum_to_one():
    assert mixture.TILTS.shape == (10,)
    assert (mixture.TILTS[0], mixture.TILTS[-1]) == (0.15, 3.2)
    assert np.exp(mixture.LOG_WEIGHTS).sum() == pytest.approx(1)


def test_the_prior_of_starts_seen_and_to_come_is_one_whatever_the_gaps():
    ends = np.array([10.0, 20.0, 90.0, 100.0, 5000.0])
    seen = np.exp(mixture.log_start_prior(ends, 0.0))
    assert seen.sum() + math.exp(mixture.log_prior_to_come(5000.0)) == pytest.approx(1)
    assert seen[0] == pytest.approx(1 - 0.5 / (1 + math.log(1 + 10 / 600)))


def test_the_prior_goes_on_where_it_stopped():
    ends = np.array([10.0, 20.0, 90.0, 100.0, 5000.0])
    whole = mixture.log_start_prior(ends, 0.0)
    np.testing.assert_allclose(mixture.log_start_prior(ends[2:], 20.0), whole[2:], rtol=1e-12)


@settings(deadline=None)
@given(MANY, st.floats(-5, 5))
def test_start_sums_follow_their_recurrence(rows, past):
    log_e = np.array(rows)
    before = np.full(len(log_e), past)
    starts = Starts.of(log_e, prior(log_e.shape[1]), before)
    expected = by_definition(log_e, prior(log_e.shape[1]), before)
    np.testing.assert_allclose(starts.log_total(), np.log(expected), rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(MANY, st.data())
def test_start_sums_may_be_taken_in_two_parts(rows, data):
    log_e = np.array(rows)
    cut = data.draw(st.integers(1, log_e.shape[1]))
    masses = prior(log_e.shape[1])
    nothing = np.full(len(log_e), -math.inf)
    whole = Starts.of(log_e, masses, nothing).log_total()
    total = Starts.of(log_e[:, :cut], masses[:cut], nothing).log_total()
    if cut < log_e.shape[1]:
        total = Starts.of(log_e[:, cut:], masses[cut:], total).log_total()
    np.testing.assert_allclose(total, whole, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(MANY, st.data())
def test_leaving_out_a_cell_is_a_run_with_that_look_lowered(rows, data):
    log_e = np.array(rows)
    looks = log_e.shape[1]
    which = data.draw(st.integers(0, looks - 1))
    cells = np.random.default_rng(which).uniform(0, 40, (len(log_e), 1 + looks))
    before = np.full(len(log_e), -1.0)
    without = Starts.of(log_e, prior(looks), before).log_without_each(cells)
    lowered = log_e.copy()
    lowered[:, which] -= cells[:, 1 + which]
    expected = Starts.of(lowered, prior(looks), before).log_total()
    np.testing.assert_allclose(without[:, 1 + which], expected, rtol=1e-9, atol=1e-9)
    folded = Starts.of(log_e, prior(looks), before - cells[:, 0]).log_total()
    np.testing.assert_allclose(without[:, 0], folded, rtol=1e-9, atol=1e-9)


def test_two_looks_of_enormous_evidence_do_not_hide_each_other():
    log_e = np.array([[3000.0, 3000.0]])
    starts = Starts.of(log_e, prior(2), np.array([-math.inf]))
    without = starts.log_without_each(np.array([[0.0, 3000.0, 3000.0]]))
    assert without[0, 1:].min() > 2990


def test_a_sum_of_nothing_but_impossibilities_is_impossible():
    assert mixture.log_sum(np.full(3, -math.inf)) == -math.inf
    assert mixture.log_add(np.array([-math.inf]), np.array([2.0])) == 2.0
