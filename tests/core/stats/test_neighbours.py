import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.stats import neighbours
from penstock.core.stats.contrasts import Arm


def arms(looks=4000, counts=(5, 90), slow=0.0, common=0.0, seed=1):
    generator = np.random.default_rng(seed)
    level = 1 + slow * np.sin(np.arange(looks) / 300) + common * generator.normal(size=looks)
    for count, scale in zip(counts, (1.0, 2.0), strict=True):
        number = generator.poisson(count, looks).astype(float)
        yield Arm(number, number * level + scale * generator.normal(size=looks) * number**0.5)


def test_neighbours_tell_the_variance_of_one_answer_of_each_arm():
    found = neighbours.variances(neighbours.after_each(*arms())[-1])
    np.testing.assert_allclose(found, [1.0, 4.0], rtol=0.1)


def test_slow_changes_that_both_have_in_common_do_not_matter():
    plain, slow = (neighbours.after_each(*arms(slow=each))[-1] for each in (0.0, 0.5))
    np.testing.assert_allclose(*map(neighbours.variances, (plain, slow)), rtol=0.01)


def test_what_both_arms_have_in_common_from_look_to_look_is_taken_out():
    known = neighbours.after_each(*arms(60, counts=(50, 950), common=0.5))[-1]
    left, seen = neighbours.variances(known), known[1:3] / known[0]
    assert seen[1] > 100
    assert left[1] < seen[1] / 4


@given(st.integers(0, 30), st.integers(0, 9))
def test_looks_may_be_told_in_two_parts(cut, seed):
    both = tuple(arms(30, counts=(1, 3), seed=seed))
    first, later = (
        [Arm(arm.count[rows], arm.total[rows]) for arm in both]
        for rows in (slice(cut), slice(cut, None))
    )
    whole = neighbours.after_each(*both)
    before = neighbours.after_each(*first)
    past = tuple(before[-1].tolist()) if cut else neighbours.NOTHING
    parts = np.concatenate((before, neighbours.after_each(*later, before=past)))
    np.testing.assert_allclose(parts, whole, rtol=1e-9)


def test_fewer_than_two_looks_with_answers_tell_nothing():
    count = np.array([0.0, 3, 0, 4])
    known = neighbours.after_each(Arm(count, 2 * count), Arm(count[::-1] + 1, count))
    assert neighbours.variances(known)[:3].tolist() == [[0, 0]] * 3
    assert known[-1][0] == 1
    assert neighbours.variances(known)[3] == pytest.approx([0.0, 16 / 2 / (1 / 3 + 1)], abs=9)
