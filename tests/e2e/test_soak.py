"""Releases with the default settings: minutes each, so outside `make test`."""

import pytest

from tests.e2e import stage as stages

pytestmark = [pytest.mark.bed, pytest.mark.soak, pytest.mark.timeout(3600)]


def by_default(*weights):
    """A Rollout with the defaults of analysis, bake and deadline."""
    spec = stages.rollout(plan=[{"weight": weight} for weight in weights])
    spec["spec"]["analysis"] = {"metrics": [{"template": "istio-errors", "maxIncrease": 100}]}
    return spec


def test_a_good_version_is_promoted_with_default_settings(stage):
    play = stage(by_default(5, 25, 50))
    play.release("v2")
    play.await_phase("Promoted", timeout=3000)
    assert play.weights() == [0, 5, 25, 50, 100]
    play.assert_clean()


def test_a_bad_version_is_rolled_back_with_default_settings(stage):
    play = stage(by_default(5, 25, 50))
    play.place.behave("v2", errors=0.3)
    play.release("v2")
    play.await_phase("RolledBack", timeout=3000)
    assert play.weights()[-1] == 0
    assert max(play.weights()) <= 25
    play.assert_clean()
