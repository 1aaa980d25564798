import numpy as np
import pytest
from scipy.stats import chi2, chi2_contingency, ks_2samp

from penstock.core.stats import histograms


def pairs(buckets, totals, streams=4000, shares=None, seed=2):
    """Both arms of streams without drift, shape (streams, buckets)."""
    generator = np.random.default_rng(seed)
    shares = np.full(buckets, 1 / buckets) if shares is None else shares
    return [generator.multinomial(total, shares, streams).astype(float) for total in totals]


def test_the_index_is_its_definition_with_half_an_answer_in_each_bucket():
    one, other = np.array([9.0, 0, 1]), np.array([20.0, 10, 0])
    p, q = np.array([9.5, 0.5, 1.5]) / 11.5, np.array([20.5, 10.5, 0.5]) / 31.5
    assert histograms.psi(one, other) == pytest.approx(((p - q) * np.log(p / q)).sum())
    assert histograms.psi(other, other) == 0


@pytest.mark.parametrize(("buckets", "beyond"), [(10, 0.30), (16, 0.74)])
def test_without_drift_the_usual_limit_is_passed_as_often_as_published(buckets, beyond):
    """A hundred answers beside very many; simulation error .7 points."""
    index = histograms.psi(*pairs(buckets, (100, 100_000)))
    assert (index > 0.1).mean() == pytest.approx(beyond, abs=0.03)
    if buckets == 10:
        assert index.mean() == pytest.approx(0.0845, abs=0.002)


def test_without_drift_its_quantile_is_passed_as_often_as_it_says():
    """Published .9 to 1.3 %; simulation error .2 points."""
    for buckets, totals in ((10, (1000, 1000)), (16, (500, 5000))):
        one, other = pairs(buckets, totals)
        limit = histograms.psi_quantile(one, other, 0.01)
        assert limit[0] == pytest.approx(chi2.isf(0.01, buckets - 1) * sum(1 / n for n in totals))
        assert (histograms.psi(one, other) > limit).mean() == pytest.approx(0.011, abs=0.006)


def test_chi_square_of_full_buckets_is_that_of_the_contingency_table():
    one, other = np.array([30.0, 60, 10]), np.array([400.0, 450, 150])
    found = histograms.chi_square(one, other)
    expected = chi2_contingency([one, other], correction=False)
    assert found.statistic == pytest.approx(expected.statistic)
    assert (found.freedom, found.p_value) == (expected.dof, pytest.approx(expected.pvalue))


def test_neighbours_are_merged_until_the_smaller_arm_expects_five():
    one, other = np.array([3.0, 2, 9, 0, 6, 1, 2]), np.array([2.0, 4, 9, 0, 4, 1, 3])
    found = histograms.chi_square(one, other)
    merged = [[5.0, 9, 9], [6.0, 9, 8]]
    assert found.statistic == pytest.approx(chi2_contingency(merged, correction=False).statistic)
    assert found.freedom == 2


def test_what_cannot_be_told_apart_has_a_p_value_of_one():
    for one, other in (([3.0, 1], [2.0, 2]), ([0.0, 0], [50.0, 40]), ([0.0, 0], [0.0, 0])):
        found = histograms.chi_square(np.array(one), np.array(other))
        assert (found.freedom, found.p_value) == (0, 1)


def test_chi_square_holds_its_level_with_many_rare_buckets():
    """At 5 and 1 %; simulation errors .35 and .16 points."""
    shares = 0.6 ** np.arange(20)
    p_value = histograms.chi_square(*pairs(0, (300, 900), shares=shares / shares.sum())).p_value
    assert (p_value <= 0.05).mean() == pytest.approx(0.05, abs=0.012)
    assert (p_value <= 0.01).mean() == pytest.approx(0.01, abs=0.006)


def test_streams_are_told_apart_together_as_one_by_one():
    shares = np.array([0.5, 0.3, 0.1, 0.05, 0.03, 0.01, 0.01])
    one, other = pairs(0, (80, 200), streams=50, shares=shares)
    together = histograms.chi_square(one, other)
    for stream in range(50):
        alone = histograms.chi_square(one[stream], other[stream])
        assert alone.statistic == pytest.approx(together.statistic[stream])
        assert alone.freedom == together.freedom[stream]


def test_the_distance_is_the_largest_at_the_edges():
    generator = np.random.default_rng(4)
    answers = generator.normal(0, 1, 300), generator.normal(0.4, 1, 500)
    edges = np.array([-np.inf, *np.linspace(-2, 2, 9), np.inf])
    counts = [np.histogram(each, edges)[0].astype(float) for each in answers]
    found = histograms.ks_distance(*counts)
    assert 0.1 < found <= ks_2samp(*answers).statistic
    snapped = [edges[np.digitize(each, edges[1:-1]) + 1].clip(-9, 9) for each in answers]
    assert found == pytest.approx(ks_2samp(*snapped).statistic)


def test_an_arm_without_answers_has_no_distance():
    nothing, some = np.zeros((2, 3)), np.array([[1.0, 2, 3], [0, 0, 0]])
    for found in (
        histograms.psi(nothing, some),
        histograms.psi_quantile(some, nothing, 0.01),
        histograms.ks_distance(nothing, some),
    ):
        assert np.isnan(found).all()
