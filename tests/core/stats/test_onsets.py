import numpy as np
import pytest

from penstock.core.stats import onsets


@pytest.mark.parametrize("interval", [1.0, 10.0, 600.0])
def test_the_shares_of_all_starts_are_at_most_one(interval):
    after = np.arange(4.0, 400_000.0, 4)
    late = np.exp(onsets.log_share(after, interval)).sum()
    assert 0.3 < late < 0.5
    assert late + np.exp(onsets.LOG_FIRST) <= 1


def test_a_start_is_asked_for_four_times_its_spacing():
    after = np.arange(4.0, 6000.0, 4)
    for number in (1, 4, 5, 37, 512, 513, 1025, 5000):
        expected = after[(after < number) & (onsets.last(after) >= number)]
        assert np.sort(onsets.asked(number)).tolist() == expected.tolist()
        assert len(expected) <= 18


def test_starts_of_a_spacing_have_that_spacing():
    for space in onsets.SPACINGS:
        after = onsets.of_spacing(space, 5000)
        assert (onsets.spacing(after) == space).all()
    together = np.concatenate([onsets.of_spacing(space, 5000) for space in onsets.SPACINGS])
    assert np.sort(together).tolist() == list(range(4, 5000, 4))


@pytest.mark.parametrize("needed", [8, 40, 300, 1500])
def test_a_fault_has_a_start_near_its_beginning_as_long_as_it_takes(needed):
    for begins in range(0, 5000, 37):
        number = begins + needed
        nearest = np.abs(onsets.asked(number) - begins).min(initial=begins)
        assert nearest <= max(needed / 4, 4)
