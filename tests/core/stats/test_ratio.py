import numpy as np
import pytest

from penstock.core.stats.mixture import LOG_WEIGHTS, log_sum
from penstock.core.stats.proportion import Bet, Null, Pairs, Question
from penstock.core.stats.ratio import LOG_EVIDENCE, log_evidence, mantel_haenszel, ratio


def pairs(*rows):
    return Pairs(*np.array(rows, dtype=float).T)


def generated(times, looks=50, seed=2):
    generator = np.random.default_rng(seed)
    n, m = generator.poisson(100, looks), generator.poisson(900, looks)
    x, y = generator.binomial(n, 0.01 * times), generator.binomial(m, 0.01)
    return pairs(*zip(n, x, m, y, strict=True))


def test_one_logarithm_gives_what_both_tests_give_without_slack():
    seen = generated(2)
    for question in Question:
        border = Null(np.array([1.7]), np.array([0.0]))
        log_e = Bet.on(question, seen, border, np.full(50, 0.01)).gains().log_e(seen)
        expected = float(log_sum(log_e.sum(-1) / 1.5 + LOG_WEIGHTS))
        assert log_evidence(seen, 1.5, question, np.log(1.7)) == pytest.approx(expected)


def test_the_limits_are_where_the_evidence_is_forty_to_one():
    seen = generated(3)
    found = ratio(seen, 1.5)
    assert found is not None
    assert found.low < found.mid < found.high
    for limit, question in ((found.low, Question.WORSE), (found.high, Question.SAFE)):
        at_limit = log_evidence(seen, 1.5, question, np.log(limit))
        assert at_limit == pytest.approx(LOG_EVIDENCE, abs=0.1)


@pytest.mark.parametrize("times", [0.3, 1.0, 8.0])
def test_the_interval_covers_the_truth(times):
    intervals = [ratio(generated(times, looks=30, seed=seed), 1.0) for seed in range(60)]
    missed = [each for each in intervals if each and not each.low <= times <= (each.high or 1e9)]
    assert len(missed) <= 6


def test_the_estimate_compares_within_looks():
    seen = pairs((100, 2, 900, 9), (900, 180, 100, 10))
    assert mantel_haenszel(seen) == pytest.approx((2 * 0.9 + 180 * 0.1) / (9 * 0.1 + 10 * 0.9))


def test_a_stable_that_never_errs_leaves_the_ratio_open_above():
    found = ratio(pairs((100, 8, 900, 0)), 1.0)
    assert found is not None
    assert found.low > 1
    assert (found.mid, found.high) == (None, None)


def test_a_candidate_that_never_errs_leaves_the_ratio_open_below():
    found = ratio(pairs((1000, 0, 1000, 30)), 1.0)
    assert found is not None
    assert (found.low, found.mid) == (0.0, 0.0)
    assert found.high < 1


def test_no_bad_answer_tells_no_ratio():
    assert ratio(pairs((100, 0, 900, 0), (0, 0, 900, 5), (10, 3, 0, 0)), 1.0) is None
