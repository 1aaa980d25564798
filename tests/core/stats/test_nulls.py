import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.stats import nulls
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Null


def test_a_small_exposure_tolerates_more():
    everybody, few = nulls.tolerated(Side.MORE, 20, 0.1), nulls.tolerated(Side.MORE, 20, 0.1, 0.05)
    assert (everybody.ratio[0], everybody.slack[0]) == pytest.approx((1.2, 0.001))
    assert (few.ratio[0], few.slack[0]) == pytest.approx((5.0, 0.02))


def test_the_margin_falls_with_pods_and_moves_ratio_and_slack():
    margin = nulls.pod_margin(0.1, 2.9, np.array([2.0, 10.0]), np.array([18.0, 90.0]))
    assert margin[0] == pytest.approx(math.exp(0.29 * math.sqrt(1 / 2 + 1 / 18)))
    assert margin[1] < margin[0]
    moved = nulls.with_margin(nulls.tolerated(Side.MORE, 20, 0.1), margin)
    np.testing.assert_allclose(moved.ratio, 1.2 * margin)
    np.testing.assert_allclose(moved.slack, 0.001 * margin)


def test_no_pods_count_as_one():
    none = nulls.pod_margin(0.1, 2.9, np.zeros(1), np.zeros(1))
    assert none == pytest.approx(math.exp(0.29 * math.sqrt(2)))


@settings(deadline=None)
@given(
    known=st.floats(0.0001, 0.99),
    share=st.floats(0, 1),
    ratio=st.floats(1, 30),
    slack=st.floats(0, 0.2),
)
def test_the_far_border_contains_eightfold_odds_and_the_near_border(known, share, ratio, slack):
    near = Null(np.array([ratio]), np.array([slack]))
    far = nulls.far(near, near.slack, np.array([known]))
    border = far.ratio[0] * share + far.slack[0]
    assert border >= 8 * share / (1 + 7 * share) - 1e-12
    assert border >= ratio * share + slack - 1e-12


def test_the_far_border_is_the_tangent_at_the_known_rate():
    near = Null(np.array([1.2]), np.array([0.001]))
    far = nulls.far(near, near.slack, np.array([0.02]))
    assert far.ratio[0] == pytest.approx(8 / 1.14**2)
    assert far.slack[0] == pytest.approx(56 * 0.02**2 / 1.14**2 + 0.008)
