"""End-to-end 1: a good version goes through the ladder."""

import pytest

pytestmark = pytest.mark.bed


def test_a_good_version_goes_through_the_ladder_and_is_promoted(stage):
    play = stage()
    play.release("v2")
    play.await_phase("Promoted")
    assert play.stable == "v2"
    assert play.weights() == [0, 1, 5, 25, 50, 100]
    play.assert_clean()
