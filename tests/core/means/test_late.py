"""Faults of a mean that begin late, and the level where values are skewed."""

import numpy as np
import pytest

from tests.bench_evidence.means import (
    ARMS,
    HOUR,
    LESS,
    MORE,
    SKEWED_SIGMA,
    WITHIN,
    Stream,
    found_after,
    wrongly_called,
)


@pytest.mark.parametrize(("ratio", "looks"), [(2.0, 30), (4.0, 15)])
def test_a_fault_after_an_hour_is_found_about_as_soon_as_one_at_the_start(ratio, looks):
    for begins in (0, HOUR):
        stream = Stream(MORE, ratio, begins, begins + WITHIN, ARMS)
        assert np.median(found_after(stream, 9)) <= looks


@pytest.mark.parametrize("arms", [(2, 40), (15, 300)])
def test_skewed_values_without_squares_keep_the_level_twenty_to_one_between_the_arms(arms):
    """Lognormal, skewness 9, a candidate at the border; `bench_evidence means` has the figures."""
    stream = Stream(LESS, 0.9, 0, 60, arms, SKEWED_SIGMA, squares=False)
    worse, safe = wrongly_called(stream, 100)
    assert worse.percent <= 4
    assert safe.percent <= 10
