"""End-to-end 5: the operator is killed at random moments of releases (rule 9)."""

import random
import time

import pytest

from tests.e2e import stage as stages

pytestmark = [pytest.mark.bed, pytest.mark.needs("operator-process")]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_good_release_with_five_kills_has_the_same_sequence_of_weights(stage, operator, seed):
    play = stage(stages.rollout(plan=stages.steps(5, 25, 50)))
    dice = random.Random(seed)
    play.release("v2")
    for _ in range(5):
        time.sleep(dice.uniform(0.2, 4))
        operator.kill()
        began = time.time()
        operator.start()
        resumed(play, operator, began)
    play.await_phase("Promoted")
    assert play.weights() == [0, 5, 25, 50, 100]
    play.assert_clean()


def resumed(play, operator, began):
    """The operator reconciles the Rollout within 3 s of its start."""
    name = f'namespace="{play.place.namespace}",rollout="fraud"'
    text = f"penstock_rollout_last_reconcile_timestamp_seconds{{{name}}}"
    play.place.wait(lambda: text in operator.metrics(), 5, "a turn")
    assert time.time() - began < 3.0 + STARTING


STARTING = 2.0
